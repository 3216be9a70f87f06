// SPDX-License-Identifier: Apache-2.0
/* Puts a source into the build folder: a tree is copied; an archive is fetched where it has to be, proved
 * by its digest, and unpacked in the sandbox, where nothing in it can do harm. */
#include <stdio.h>
#include <sys/stat.h>

#include "archive.h"
#include "build_work.h"
#include "fetch.h"
#include "file.h"
#include "remote.h"

/* Where the archive is, which may have to be fetched; PATH_MAX bytes. */
static int find_archive(struct work *w, char *path)
{
	static const struct remote nobody;
	CLEANUP(loop_freep) struct loop *l = NULL;
	const struct source *s = &w->source;
	int r;

	if (s->path) {
		(void)snprintf(path, PATH_MAX, "%s", s->path);
		return 0;
	}
	if (s->url)
		return fetch_archive(w->q->state, s->url, s->digest, NULL, path, w->e);
	r = loop_new(&l, NULL, w->e);
	return r < 0 ? r
		     : remote_source(l, w->q->remote ? w->q->remote : &nobody,
			       w->q->state, s->image, path, w->e);
}

/* ---- what a build before ours left in the source ---- */

struct sweep {
	char path[PATH_MAX];
	unsigned depth;
};

static void sweep_file(const char *dir, const char *name, size_t len)
{
	char path[PATH_MAX];

	if (snprintf(path, sizeof(path), "%s/%.*s", dir, (int)len, name) < PATH_MAX)
		(void)unlink(path); /* what is no file stays */
}

static int sweep_entry(const char *name, void *user)
{
	struct sweep *s = user;
	size_t len = strlen(s->path), n = strlen(name);
	struct stat st;
	int r = 0;

	if (len + 1 + n >= sizeof(s->path))
		return 0;
	/* Kbuild writes ".x.o.cmd" beside each x.o that it makes. */
	if (n > 5 && *name == '.' && streq(name + n - 4, ".cmd")) {
		sweep_file(s->path, name + 1, n - 5);
		sweep_file(s->path, name, n);
		return 0;
	}
	if (n > 3 && streq(name + n - 3, ".ko")) {
		sweep_file(s->path, name, n);
		return 0;
	}
	s->path[len] = '/';
	memcpy(s->path + len + 1, name, n + 1);
	if (s->depth < SOURCE_DEPTH_MAX && lstat(s->path, &st) == 0 &&
		S_ISDIR(st.st_mode)) {
		s->depth++;
		r = dir_each(s->path, sweep_entry, s, NULL);
		s->depth--;
	}
	s->path[len] = '\0';
	return r;
}

/* Every module that is there after the build must be of the build. DKMS trees say by CLEAN what they
 * want removed, and by name what they build. */
static int sweep(struct work *w)
{
	CLEANUP(freep) struct sweep *s = NULL;

	if (w->source.system == API_BUILD_DKMS)
		return 0;
	s = calloc(1, sizeof(*s));
	if (!s)
		return err_errno(w->e, -ENOMEM, "clean the source");
	memcpy(s->path, w->src, sizeof(s->path));
	return dir_each(s->path, sweep_entry, s, w->e);
}

static int put_source(struct work *w)
{
	static const struct archive_limits limits = { .files = SOURCE_FILES_MAX,
		.bytes = SOURCE_BYTES_MAX };
	uid_t uid = geteuid() == 0 ? SANDBOX_UID : (uid_t)-1;
	gid_t gid = geteuid() == 0 ? SANDBOX_GID : (gid_t)-1;
	struct source *s = &w->source;
	char path[PATH_MAX];
	int r;

	if (!s->is_archive)
		return source_copy(s, w->src, uid, gid, w->e);
	r = find_archive(w, path);
	if (r < 0)
		return r;
	if (chown(w->src, uid, gid) < 0)
		return err_errno(w->e, -errno, "unpack the source");
	r = build_unpack(w, path, w->src, &limits, w->tc.root);
	if (r < 0)
		return err_wrap(w->e, r, "source '%.200s'",
			s->url	   ? s->url
			: s->image ? s->image
				   : path);
	if (s->system != API_BUILD_AUTO)
		return r;
	r = source_recognise(w->src, w->e);
	if (r < 0)
		return r;
	s->system = r;
	return 0;
}

int build_source(struct work *w)
{
	int r = put_source(w);

	return r < 0 ? r : sweep(w);
}
