// SPDX-License-Identifier: Apache-2.0
/* Archives of sources: whatever they hold is unpacked or refused with a reason, and nothing comes to be
 * outside the folder, no link in it leads out, and nothing in it is a device or set-uid. */
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "driver-builder/archive.h"
#include "fuzz.h"

static const struct archive_limits limits = { 64, 256 << 10 };

struct walk {
	char path[PATH_MAX];
	size_t top; /* length of the folder's own path */
	size_t seen;
};

static int look(const char *name, void *user)
{
	struct walk *w = user;
	size_t len = strlen(w->path);
	struct stat st;

	HOLDS(len + 1 + strlen(name) < sizeof(w->path));
	HOLDS(snprintf(w->path + len, sizeof(w->path) - len, "/%s", name) > 0);
	HOLDS(lstat(w->path, &st) == 0);
	HOLDS(S_ISREG(st.st_mode) || S_ISDIR(st.st_mode) || S_ISLNK(st.st_mode));
	HOLDS(S_ISLNK(st.st_mode) || (st.st_mode & 07022) == 0);
	w->seen++;
	if (S_ISDIR(st.st_mode))
		(void)dir_each(w->path, look, w, NULL);
	if (S_ISLNK(st.st_mode)) {
		char *real = realpath(w->path, NULL);

		/* It may lead nowhere, or in circles. */
		HOLDS(!real || (strncmp(real, w->path, w->top) == 0 &&
				       (real[w->top] == '/' || !real[w->top])));
		free(real);
	}
	w->path[len] = '\0';
	return 0;
}

static int count(const char *name, void *user)
{
	++*(size_t *)user;
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	CLEANUP(closep) int fd = memfd_create("archive", MFD_CLOEXEC);
	CLEANUP(closep) int dir = -1;
	struct walk w = { .seen = 0 };
	struct err e = { 0 };
	size_t beside = 0;
	int r;

	HOLDS(fd >= 0 && write(fd, data, len) == (ssize_t)len);
	HOLDS(lseek(fd, 0, SEEK_SET) == 0);
	(void)snprintf(w.path, sizeof(w.path), "%s", fuzz_path("box"));
	HOLDS(dir_remove(w.path, NULL) == 0 && mkdir(w.path, 0755) == 0);
	(void)snprintf(w.path, sizeof(w.path), "%s", fuzz_path("box/in"));
	HOLDS(mkdir(w.path, 0755) == 0);
	dir = open(w.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	HOLDS(dir >= 0);
	r = archive_unpack(fd, dir, &limits, &e);
	if (r < 0) {
		says_why(r, &e);
		HOLDS(r == -ENOMEM || e.reason == REASON_SOURCE_INVALID);
	}
	w.top = strlen(w.path);
	/* A refused archive leaves files that nobody looks at; its links are not made. */
	(void)dir_each(w.path, look, &w, NULL);
	HOLDS(r < 0 || w.seen > 0);
	HOLDS(dir_each(fuzz_path("box"), count, &beside, NULL) == 0 && beside == 1);
	return 0;
}
