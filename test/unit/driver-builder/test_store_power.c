// SPDX-License-Identifier: Apache-2.0
/*
 * A power cut at every point of a store write. The process ends at its nth call that changes the disk;
 * then everything that was not fsynced by then is lost: contents of files, and names in folders. What is
 * left must be the old state or the new one, and what was promised must be there.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "driver-builder/store.h"
#include "file.h"

enum { SYNCED_MAX = 512, CUT = 77, POINTS_MAX = 200 };

/* Shared with the process that is cut. */
static struct disk {
	unsigned point, cut_at; /* 0: never */
	size_t synced_n;
	ino_t synced[SYNCED_MAX];
} * disk;

/* ---- the calls that the store makes, in between ---- */

static void one_more_point(void)
{
	if (disk && disk->cut_at && ++disk->point == disk->cut_at)
		_exit(CUT);
}

int fsync(int fd)
{
	struct stat st;
	int r;

	one_more_point();
	r = (int)syscall(SYS_fsync, fd);
	if (r == 0 && disk && fstat(fd, &st) == 0 && disk->synced_n < SYNCED_MAX)
		disk->synced[disk->synced_n++] = st.st_ino;
	return r;
}

int renameat2(int fd, const char *from, int to_fd, const char *to, unsigned flags)
{
	one_more_point();
	return (int)syscall(SYS_renameat2, fd, from, to_fd, to, flags);
}

int mkdir(const char *path, mode_t mode)
{
	one_more_point();
	return (int)syscall(SYS_mkdir, path, mode);
}

ssize_t sendfile(int out, int in, off_t *offset, size_t n)
{
	one_more_point();
	return syscall(SYS_sendfile, out, in, offset, n);
}

/* ---- what the disk forgets ---- */

static bool is_synced(ino_t ino)
{
	size_t i;

	for (i = 0; i < disk->synced_n; i++)
		if (disk->synced[i] == ino)
			return true;
	return false;
}

/* A folder that was never synced has no names; a file that was not has no contents. */
static int forget(const char *dir, bool has_names)
{
	struct dirent *x;
	DIR *d = opendir(dir);
	int forgotten = 0;

	assert_non_null(d);
	while ((x = readdir(d))) {
		char path[PATH_MAX];
		struct stat st;

		if (x->d_name[0] == '.' && (!x->d_name[1] || x->d_name[1] == '.'))
			continue;
		(void)snprintf(path, sizeof(path), "%s/%s", dir, x->d_name);
		assert_int_equal(lstat(path, &st), 0);
		if (!has_names) {
			assert_int_equal(dir_remove(path, NULL), 0);
			forgotten++;
		} else if (S_ISDIR(st.st_mode)) {
			forgotten += forget(path, is_synced(st.st_ino));
		} else if (!is_synced(st.st_ino)) {
			assert_int_equal(truncate(path, 0), 0);
			forgotten++;
		}
	}
	(void)closedir(d);
	return forgotten;
}

/* ---- the store ---- */

static char state[64], source[96];

static int put(unsigned n)
{
	struct artifact_module mods[2] = { { .name = "a", .file = "modules/a.ko" },
		{ .name = "b", .file = "modules/b.ko" } };
	struct artifact a = {
		.driver = "demo", .kernel = "6.1", .modules = mods, .modules_n = 2
	};
	struct store_txn *t = NULL;
	int r = store_begin(state, &t, NULL);

	(void)snprintf(a.key, sizeof(a.key), "%02x%062x", n, n);
	if (r == 0)
		r = store_txn_add(t, source, "modules/a.ko", NULL);
	if (r == 0)
		r = store_txn_add(t, source, "modules/b.ko", NULL);
	if (r < 0) {
		store_abort(t);
		return r;
	}
	return store_commit(t, &a, NULL);
}

static bool is_whole(unsigned n)
{
	char key[DIGEST_HEX + 1];
	struct artifact a = { 0 };
	struct err e = { 0 };
	int r;

	(void)snprintf(key, sizeof(key), "%02x%062x", n, n);
	r = store_get(state, key, &a, &e);
	artifact_done(&a);
	if (r < 0 && r != -ENOENT)
		fail_msg("point %u: %s", disk->cut_at, e.text);
	return r == 0;
}

static void round_of(unsigned cut_at, bool *ret_is_cut)
{
	char store[PATH_MAX];
	int status;
	pid_t pid;

	(void)snprintf(state, sizeof(state), "/tmp/farrier-power-XXXXXX");
	assert_non_null(mkdtemp(state));
	(void)snprintf(source, sizeof(source), "%s/source", state);
	assert_int_equal(file_write_atomic(source, "module bytes", 12, 0644, NULL), 0);
	*disk = (struct disk){ 0 };
	assert_int_equal(put(1), 0);
	disk->cut_at = cut_at;
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0)
		_exit(put(2) < 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	*ret_is_cut = WEXITSTATUS(status) == CUT;
	assert_true(*ret_is_cut || WEXITSTATUS(status) == 0);
	disk->cut_at = 0;
	(void)snprintf(store, sizeof(store), "%s/store", state);
	(void)forget(store, true);
	disk->cut_at = cut_at;
	/* The old one is there; the new one too once its writer was told so, and never in part. */
	assert_true(is_whole(1));
	if (!is_whole(2) && !*ret_is_cut)
		fail_msg("point %u: written, and lost", cut_at);
	disk->cut_at = 0;
	assert_int_equal(store_gc(state, NULL, 0, NULL, NULL), 0);
	assert_int_equal(put(2), 0);
	assert_true(is_whole(2));
	assert_int_equal(dir_remove(state, NULL), 0);
}

static void test_every_point(void **unused)
{
	bool is_cut = true;
	unsigned i;

	for (i = 1; is_cut; i++) {
		assert_true(i < POINTS_MAX);
		round_of(i, &is_cut);
	}
	/* Folders, two modules, manifest, rename and what makes them durable. */
	assert_true(i > 10);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_point),
	};

	disk = mmap(NULL, sizeof(*disk), PROT_READ | PROT_WRITE,
		MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (disk == MAP_FAILED)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
