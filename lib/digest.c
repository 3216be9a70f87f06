// SPDX-License-Identifier: Apache-2.0
/* SHA-256 of bytes, files and folders; the only user of libcrypto beside signatures. */
#include "digest.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>

#include <openssl/evp.h>

#include "file.h"

enum { DIGEST_CHUNK = 64 << 10, DIGEST_DEPTH_MAX = 64, DIGEST_ENTRIES_MAX = 1000000 };

struct digest {
	EVP_MD_CTX *ctx;
};

int digest_new(struct digest **ret)
{
	struct digest *d = calloc(1, sizeof(*d));

	if (!d)
		return -ENOMEM;
	d->ctx = EVP_MD_CTX_new();
	if (!d->ctx || EVP_DigestInit_ex(d->ctx, EVP_sha256(), NULL) != 1) {
		digest_free(d);
		return -ENOMEM;
	}
	*ret = d;
	return 0;
}

void digest_free(struct digest *d)
{
	if (!d)
		return;
	EVP_MD_CTX_free(d->ctx);
	free(d);
}

int digest_add(struct digest *d, const void *data, size_t len)
{
	return EVP_DigestUpdate(d->ctx, data, len) == 1 ? 0 : -EIO;
}

int digest_add_str(struct digest *d, const char *s)
{
	return digest_add(d, s, strlen(s) + 1);
}

int digest_hex(struct digest *d, char ret[DIGEST_HEX + 1])
{
	static const char hex[] = "0123456789abcdef";
	unsigned char md[EVP_MAX_MD_SIZE];
	unsigned n = 0, i;

	if (EVP_DigestFinal_ex(d->ctx, md, &n) != 1 || n != DIGEST_BYTES)
		return -EIO;
	for (i = 0; i < DIGEST_BYTES; i++) {
		ret[2 * i] = hex[md[i] >> 4];
		ret[2 * i + 1] = hex[md[i] & 15];
	}
	ret[DIGEST_HEX] = '\0';
	return 0;
}

int digest_bytes(const void *data, size_t len, char ret[DIGEST_HEX + 1], struct err *e)
{
	CLEANUP(digest_freep) struct digest *d = NULL;
	int r = digest_new(&d);

	if (r == 0)
		r = digest_add(d, data, len);
	if (r == 0)
		r = digest_hex(d, ret);
	return r < 0 ? err_errno(e, r, "digest") : 0;
}

/* Content of an open regular file, counted against *@left. */
static int digest_fd(int fd, uint64_t *left, char ret[DIGEST_HEX + 1])
{
	CLEANUP(digest_freep) struct digest *d = NULL;
	CLEANUP(freep) char *chunk = malloc(DIGEST_CHUNK);
	int r = digest_new(&d);

	if (r < 0 || !chunk)
		return -ENOMEM;
	for (;;) {
		ssize_t n = read(fd, chunk, DIGEST_CHUNK);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			return digest_hex(d, ret);
		if ((uint64_t)n > *left)
			return -EFBIG;
		*left -= (uint64_t)n;
		r = digest_add(d, chunk, (size_t)n);
		if (r < 0)
			return r;
	}
}

int digest_file(const char *path, char ret[DIGEST_HEX + 1], struct err *e)
{
	CLEANUP(closep) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	uint64_t left = UINT64_MAX;
	struct stat st;
	int r;

	if (fd < 0 || fstat(fd, &st) < 0)
		return err_errno(e, -errno, "digest of '%s'", path);
	if (!S_ISREG(st.st_mode))
		return err_set(e, -EINVAL, "digest of '%s': not a regular file", path);
	r = digest_fd(fd, &left, ret);
	return r < 0 ? err_errno(e, r, "digest of '%s'", path) : 0;
}

struct walk {
	struct digest *d;
	const char *root;
	char rel[PATH_MAX]; /* below root, of the folder being walked; "" at the top */
	uint64_t left;
	unsigned depth;
	size_t entries;
	struct err *e;
};

static int walk_entry(const char *name, void *user);

static int walk_file(struct walk *w, const char *path, const struct stat *want)
{
	CLEANUP(closep)
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY | O_NONBLOCK);
	char hex[DIGEST_HEX + 1];
	struct stat st;
	int r;

	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode) || st.st_ino != want->st_ino ||
		st.st_dev != want->st_dev)
		return -ESTALE;
	r = digest_fd(fd, &w->left, hex);
	if (r == 0)
		r = digest_add_str(w->d, hex);
	return r;
}

static int walk_link(struct walk *w, const char *path)
{
	char target[PATH_MAX];
	ssize_t n = readlink(path, target, sizeof(target) - 1);

	if (n < 0)
		return -errno;
	target[n] = '\0';
	return digest_add_str(w->d, target);
}

static int walk_dir(struct walk *w, const char *path)
{
	int r;

	if (w->depth >= DIGEST_DEPTH_MAX)
		return err_set(w->e, -ELOOP, "'%s': nested too deep", path);
	w->depth++;
	r = dir_each(path, walk_entry, w, w->e);
	w->depth--;
	return r;
}

static int walk_entry(const char *name, void *user)
{
	struct walk *w = user;
	char path[PATH_MAX];
	size_t keep = strlen(w->rel);
	const char *type = NULL;
	struct stat st;
	int r;

	if (++w->entries > DIGEST_ENTRIES_MAX)
		return err_errno(w->e, -E2BIG, "'%s'", w->root);
	if (keep + 1 + strlen(name) >= sizeof(w->rel) ||
		snprintf(path, sizeof(path), "%s/%s%s%s", w->root, w->rel,
			keep ? "/" : "", name) >= (int)sizeof(path))
		return err_errno(w->e, -ENAMETOOLONG, "'%s'", name);
	if (lstat(path, &st) < 0)
		return err_errno(w->e, -errno, "'%s'", path);
	if (S_ISREG(st.st_mode))
		type = st.st_mode & 0111 ? "x" : "f";
	else if (S_ISDIR(st.st_mode))
		type = "d";
	else if (S_ISLNK(st.st_mode))
		type = "l";
	else
		return err_set(
			w->e, -EINVAL, "'%s': neither file, folder nor link", path);
	(void)snprintf(
		w->rel + keep, sizeof(w->rel) - keep, "%s%s", keep ? "/" : "", name);
	r = digest_add_str(w->d, type);
	if (r == 0)
		r = digest_add_str(w->d, w->rel);
	if (r == 0 && *type == 'd') {
		r = walk_dir(w, path);
		w->rel[keep] = '\0';
		return r;
	}
	if (r == 0)
		r = *type == 'l' ? walk_link(w, path) : walk_file(w, path, &st);
	w->rel[keep] = '\0';
	return r < 0 ? err_errno(w->e, r, "'%s'", path) : 0;
}

int digest_dir(
	const char *path, uint64_t max_bytes, char ret[DIGEST_HEX + 1], struct err *e)
{
	CLEANUP(freep) struct walk *w = calloc(1, sizeof(*w));
	CLEANUP(digest_freep) struct digest *d = NULL;
	int r;

	if (!w || digest_new(&d) < 0)
		return err_errno(e, -ENOMEM, "digest of '%s'", path);
	*w = (struct walk){ .d = d, .root = path, .left = max_bytes, .e = e };
	r = digest_add_str(d, "farrier-tree-1");
	if (r == 0)
		r = walk_dir(w, path);
	if (r == 0)
		r = digest_hex(d, ret);
	return r < 0 ? err_wrap(e, r, "digest") : 0;
}
