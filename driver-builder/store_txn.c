// SPDX-License-Identifier: Apache-2.0
/*
 * The artifact store, written. Why a power cut cannot tear it:
 *
 * 1. All files are written into STATE/store/.new-XXXXXX, which no reader looks at.
 * 2. Each file is fsynced, then modules/, then the folder: contents and names are on disk.
 * 3. renameat2(NOREPLACE) puts the folder under its key: one step in the file system's journal.
 * 4. <kk> and store/ are fsynced: the name is on disk before the caller says that it is there.
 *
 * Cut before 3: a temporary folder, taken away by store_gc() once the lock of its writer is gone.
 * Cut between 3 and 4: the old state or the new one, both whole. And should a file system not keep
 * its promises, store_get() checks every digest and moves what is damaged to quarantine.
 */
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/sendfile.h>
#include <sys/stat.h>

#include "store.h"
#include "store_manifest.h"
#include "store_path.h"

struct store_txn {
	char *store; /* STATE/store */
	char *dir;
	int lock; /* the folder itself, held locked: the writer lives */
};

static int no_space(struct err *e, int r)
{
	if (e && (r == -ENOSPC || r == -EDQUOT))
		e->reason = REASON_DISK_FULL;
	return r;
}

static void txn_free(struct store_txn *t)
{
	closep(&t->lock);
	free(t->store);
	free(t->dir);
	free(t);
}

void store_abort(struct store_txn *t)
{
	if (!t)
		return;
	if (t->dir) {
		int r = dir_remove(t->dir, NULL);

		(void)r; /* what stays is taken away by store_gc() */
	}
	txn_free(t);
}

int store_begin(const char *state, struct store_txn **ret, struct err *e)
{
	CLEANUP(store_abortp) struct store_txn *t = calloc(1, sizeof(*t));
	CLEANUP(freep) char *template = NULL;
	char path[PATH_MAX];
	int r;

	if (!t)
		return err_errno(e, -ENOMEM, "store");
	t->lock = -1;
	if (asprintf(&t->store, "%s/store", state) < 0) {
		t->store = NULL;
		return err_errno(e, -ENOMEM, "store");
	}
	r = dir_make(t->store, 0755, e);
	if (r < 0)
		return no_space(e, r);
	if (asprintf(&template, "%s/" STORE_TMP_PREFIX "XXXXXX", t->store) < 0) {
		template = NULL;
		return err_errno(e, -ENOMEM, "store");
	}
	if (!mkdtemp(template))
		return no_space(e, err_errno(e, -errno, "store '%s'", t->store));
	t->dir = TAKE(template);
	t->lock = open(t->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (t->lock < 0 || flock(t->lock, LOCK_EX | LOCK_NB) < 0)
		return err_errno(e, -errno, "lock '%s'", t->dir);
	r = path_join(path, sizeof(path), t->dir, "modules", NULL);
	if (r == 0 && (chmod(t->dir, 0755) < 0 || mkdir(path, 0755) < 0))
		r = -errno;
	if (r < 0)
		return no_space(e, err_errno(e, r, "store '%s'", t->store));
	*ret = TAKE(t);
	return 0;
}

const char *store_txn_dir(const struct store_txn *t)
{
	return t->dir;
}

static int sync_file(const char *path)
{
	CLEANUP(closep) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);

	return fd < 0 || fsync(fd) < 0 ? -errno : 0;
}

struct sync_walk {
	const char *dir;
	struct err *e;
};

static int sync_entry(const char *name, void *user)
{
	const struct sync_walk *w = user;
	char path[PATH_MAX];
	struct stat st;
	int r = path_join(path, sizeof(path), w->dir, name, NULL);

	if (r == 0 && lstat(path, &st) < 0)
		r = -errno;
	if (r == 0 && S_ISREG(st.st_mode))
		r = sync_file(path);
	return r < 0 ? err_errno(w->e, r, "sync '%s'", path) : 0;
}

static int sync_dir(const char *dir, struct err *e)
{
	struct sync_walk w = { dir, e };
	int r = dir_each(dir, sync_entry, &w, e);

	return r < 0 ? r : dir_sync(dir, e);
}

/* Nobody looks at it before the folder is visible: sync_dir() makes it durable. */
static int write_new(const char *path, const char *text, struct err *e)
{
	CLEANUP(closep)
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0644);
	size_t n = strlen(text);

	while (fd >= 0 && n > 0) {
		ssize_t w = write(fd, text, n);

		if (w < 0 && errno == EINTR)
			continue;
		if (w < 0)
			break;
		text += w;
		n -= (size_t)w;
	}
	return fd < 0 || n > 0 ? err_errno(e, -errno, "write '%s'", path) : 0;
}

static int fill_in(const struct store_txn *t, struct artifact *a, struct err *e)
{
	char path[PATH_MAX];
	struct stat st;
	size_t i;

	for (i = 0; i < a->modules_n; i++) {
		struct artifact_module *m = &a->modules[i];
		int r = path_join(path, sizeof(path), t->dir, m->file, NULL);

		if (r == 0)
			r = digest_file(path, m->sha256, e);
		if (r == 0 && stat(path, &st) < 0)
			r = err_errno(e, -errno, "'%s'", path);
		if (r < 0)
			return r;
		m->size = st.st_size;
	}
	return 0;
}

/* Makes the finished folder visible. -EEXIST when the key is there. */
static int publish(const struct store_txn *t, const char *key, struct err *e)
{
	char kk[PATH_MAX], final[PATH_MAX];
	int r = store_key_path(final, sizeof(final), t->store, key);

	if (r < 0)
		return err_errno(e, r, "store '%s'", t->store);
	memcpy(kk, final, sizeof(kk));
	*strrchr(kk, '/') = '\0';
	if (mkdir(kk, 0755) < 0 && errno != EEXIST)
		return err_errno(e, -errno, "make '%s'", kk);
	if (renameat2(AT_FDCWD, t->dir, AT_FDCWD, final, RENAME_NOREPLACE) < 0) {
		if (errno == ENOTEMPTY || errno == EEXIST)
			return -EEXIST;
		return err_errno(e, -errno, "rename '%s' to '%s'", t->dir, final);
	}
	r = dir_sync(kk, e);
	return r < 0 ? r : dir_sync(t->store, e);
}

int store_commit(struct store_txn *txn, struct artifact *a, struct err *e)
{
	CLEANUP(store_abortp) struct store_txn *t = txn;
	CLEANUP(freep) char *text = NULL;
	char path[PATH_MAX];
	int r;

	if (!key_is_valid(a->key))
		return err_set(e, -EINVAL, "store: '%.80s' is no key", a->key);
	r = fill_in(t, a, e);
	if (r == 0)
		r = manifest_print(a, &text, e);
	if (r == 0)
		r = path_join(path, sizeof(path), t->dir, "manifest.json", NULL);
	if (r == 0)
		r = write_new(path, text, e);
	if (r == 0)
		r = path_join(path, sizeof(path), t->dir, "modules", NULL);
	if (r == 0)
		r = sync_dir(path, e);
	if (r == 0)
		r = sync_dir(t->dir, e);
	if (r == 0)
		r = publish(t, a->key, e);
	if (r == -EEXIST)
		return 0; /* somebody was first with the same; ours is dropped */
	if (r < 0)
		return no_space(e, err_wrap(e, r, "store"));
	txn_free(TAKE(t));
	return 0;
}

int store_txn_add(struct store_txn *t, const char *from, const char *file, struct err *e)
{
	CLEANUP(closep) int in = open(from, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	CLEANUP(closep) int out = -1;
	char path[PATH_MAX];
	struct stat st;
	off_t left;
	int r = path_join(path, sizeof(path), t->dir, file, NULL);

	if (r < 0)
		return err_errno(e, r, "store '%s'", file);
	if (in < 0 || fstat(in, &st) < 0)
		return err_errno(e, -errno, "read '%s'", from);
	out = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0644);
	if (out < 0)
		return no_space(e, err_errno(e, -errno, "write '%s'", path));
	for (left = st.st_size; left > 0;) {
		ssize_t n = sendfile(out, in, NULL, (size_t)left);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return no_space(e,
				err_errno(e, n < 0 ? -errno : -EIO, "copy '%s'", from));
		left -= n;
	}
	return 0;
}
