// SPDX-License-Identifier: Apache-2.0
/* Finds, digests, recognises and copies the source of a driver. */
#include "source.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>

#include "file.h"
#include "kernels.h"
#include "key.h"
#include "oci.h"

enum { MAKEFILE_MAX = 4 << 20, COPY_CHUNK = 256 << 10, INLINE_MAX = 1 << 20 };

/* ---- recognising ---- */

/* "obj-m" or "obj-$(CONFIG_…)" outside comments: a Makefile for Kbuild. */
static bool is_kbuild_text(const char *text)
{
	const char *line = text;

	while (line) {
		line += strspn(line, " \t");
		if (str_starts(line, "obj-m") || str_starts(line, "obj-$("))
			return true;
		line = strchr(line, '\n');
		line = line ? line + 1 : NULL;
	}
	return false;
}

/* @get gives the text of a file of the source (the caller's), or NULL when it has none. */
static int recognise(char *(*get)(const struct source *s, const char *name),
	const struct source *s, struct err *e)
{
	static const char *const makefiles[] = { "GNUmakefile", "makefile", "Makefile" };
	CLEANUP(freep) char *dkms = get(s, "dkms.conf");
	CLEANUP(freep) char *kbuild = dkms ? NULL : get(s, "Kbuild");
	size_t i;

	if (dkms)
		return API_BUILD_DKMS;
	if (kbuild)
		return API_BUILD_KBUILD;
	for (i = 0; i < ARRAY_SIZE(makefiles); i++) {
		CLEANUP(freep) char *text = get(s, makefiles[i]);

		if (text)
			return is_kbuild_text(text) ? API_BUILD_KBUILD : API_BUILD_MAKE;
	}
	return err_reason(e, -EINVAL, REASON_SOURCE_INVALID,
		"no dkms.conf, Kbuild or Makefile in the source");
}

static char *get_from_dir(const struct source *s, const char *name)
{
	char path[PATH_MAX], *text = NULL;

	if (path_join(path, sizeof(path), s->path, name, NULL) < 0 ||
		file_read(path, MAKEFILE_MAX, &text, NULL, NULL) < 0)
		return NULL;
	return text;
}

static char *get_from_files(const struct source *s, const char *name)
{
	const struct kv *kvs = s->files->items;
	size_t i;

	for (i = 0; i < s->files->n; i++)
		if (streq(kvs[i].key, name))
			return strdup(kvs[i].value);
	return NULL;
}

int source_recognise(const char *dir, struct err *e)
{
	struct source s = { .path = (char *)(uintptr_t)dir };

	return recognise(get_from_dir, &s, e);
}

/* ---- opening ---- */

static bool is_safe_name(const char *name)
{
	const char *p = name;

	if (!*p || *p == '/' || strlen(name) >= 512)
		return false;
	while (p) {
		size_t n = strcspn(p, "/");

		if (n == 0 || n > NAME_MAX || (n == 1 && *p == '.') ||
			(n == 2 && p[0] == '.' && p[1] == '.'))
			return false;
		p = p[n] ? p + n + 1 : NULL;
	}
	return true;
}

static int by_key(const void *a, const void *b)
{
	return strcmp(((const struct kv *)a)->key, ((const struct kv *)b)->key);
}

/* Names and contents, sorted: the order in the manifest does not matter. */
static int digest_files(const struct list *files, char ret[DIGEST_HEX + 1], struct err *e)
{
	CLEANUP(digest_freep) struct digest *d = NULL;
	CLEANUP(freep) struct kv *kvs = calloc(files->n + 1, sizeof(*kvs));
	size_t i, total = 0;
	int r = kvs ? digest_new(&d) : -ENOMEM;

	if (r < 0)
		return err_errno(e, r, "source");
	if (files->n > 0)
		memcpy(kvs, files->items, files->n * sizeof(*kvs));
	qsort(kvs, files->n, sizeof(*kvs), by_key);
	r = digest_add_str(d, "farrier-inline-1");
	for (i = 0; r == 0 && i < files->n; i++) {
		if (!is_safe_name(kvs[i].key))
			return err_reason(e, -EINVAL, REASON_SOURCE_INVALID,
				"'%.128s' is no name for a file of a source", kvs[i].key);
		total += strlen(kvs[i].value);
		if (total > INLINE_MAX)
			return err_reason(e, -EFBIG, REASON_SOURCE_INVALID,
				"inline files: more than %d bytes", INLINE_MAX);
		r = digest_add_str(d, kvs[i].key);
		if (r == 0)
			r = digest_add_str(d, kvs[i].value);
	}
	if (r == 0)
		r = digest_hex(d, ret);
	return r < 0 ? err_errno(e, r, "source") : 0;
}

static int open_host(
	const struct api_source *in, const char *root, struct source *s, struct err *e)
{
	const char *path = in->host.path;
	struct stat st;
	int r;

	if (str_empty(path) || *path != '/')
		return err_reason(e, -EINVAL, REASON_SOURCE_INVALID,
			"source '%s': not an absolute path", path ? path : "");
	r = root_resolve(root, path, &s->path, NULL);
	if (r == 0 && stat(s->path, &st) < 0)
		r = -errno;
	if (r < 0)
		return err_reason(e, r, REASON_SOURCE_MISSING, "source '%s': %s", path,
			strerror(-r));
	s->is_archive = S_ISREG(st.st_mode);
	if (!S_ISDIR(st.st_mode) && !s->is_archive)
		return err_reason(e, -ENOTDIR, REASON_SOURCE_INVALID,
			"source '%s': neither a folder nor an archive", path);
	r = s->is_archive ? digest_file(s->path, s->digest, e)
			  : digest_dir(s->path, SOURCE_BYTES_MAX, s->digest, e);
	if (r < 0) {
		if (e)
			e->reason = REASON_SOURCE_INVALID;
		return err_wrap(e, r, "source '%s'", path);
	}
	if (!str_empty(in->host.sha256) && !streq(in->host.sha256, s->digest))
		return err_reason(e, -EBADMSG, REASON_SOURCE_DIGEST_MISMATCH,
			"source '%s' has digest %s, the manifest wants %.64s", path,
			s->digest, in->host.sha256);
	return 0;
}

/* Fetched when something is to be built from it, see build_source.c. */
static int open_http(const struct api_source *in, struct source *s, struct err *e)
{
	const char *sha256 = in->http.sha256;

	if (str_empty(in->http.url) || str_empty(sha256) || !key_is_valid(sha256))
		return err_reason(e, -EINVAL, REASON_SOURCE_INVALID,
			"an HTTP source needs 'url' and 'sha256'");
	s->url = in->http.url;
	s->is_archive = true;
	memcpy(s->digest, sha256, sizeof(s->digest));
	return 0;
}

/* Fetched by remote_source(); an image's digest covers all that is in it. */
static int open_oci(const struct api_source *in, struct source *s, struct err *e)
{
	struct oci_ref ref;
	int r = oci_ref_parse(in->oci.image ? in->oci.image : "", &ref, e);

	if (r == 0 && !*ref.digest)
		r = err_set(
			e, -EINVAL, "the image '%.300s' has no digest", in->oci.image);
	if (r < 0) {
		if (e)
			e->reason = REASON_SOURCE_INVALID;
		return err_wrap(e, r, "source");
	}
	s->image = in->oci.image;
	s->is_archive = true;
	memcpy(s->digest, ref.digest + strlen("sha256:"), sizeof(s->digest));
	return 0;
}

static int open_inline(const struct api_source *in, struct source *s, struct err *e)
{
	s->files = &in->inline_.files;
	if (s->files->n == 0)
		return err_reason(
			e, -ENOENT, REASON_SOURCE_MISSING, "the source holds no files");
	return digest_files(s->files, s->digest, e);
}

int source_open(const struct api_source *in, const char *root, int system,
	struct source *ret, struct err *e)
{
	static const char *const names[] = { "Host", "HTTP", "OCI", "ConfigMap",
		"Inline" };
	struct source s = { 0 };
	int r;

	if (in->type == API_SOURCE_HOST)
		r = open_host(in, root, &s, e);
	else if (in->type == API_SOURCE_INLINE ||
		 (in->type == API_SOURCE_CONFIGMAP && in->inline_.present))
		r = open_inline(in, &s, e);
	else if (in->type == API_SOURCE_HTTP)
		r = open_http(in, &s, e);
	else if (in->type == API_SOURCE_OCI)
		r = open_oci(in, &s, e);
	else
		r = err_reason(e, -EOPNOTSUPP, REASON_SOURCE_INVALID,
			"sources of type '%s' are not supported yet",
			in->type >= 0 && in->type < API_SOURCES_ ? names[in->type] : "?");
	if (r == 0)
		r = system != API_BUILD_AUTO || s.is_archive
			    ? system
			    : recognise(s.path ? get_from_dir : get_from_files, &s, e);
	if (r < 0) {
		source_done(&s);
		return r;
	}
	s.system = r;
	*ret = s;
	return 0;
}

void source_done(struct source *s)
{
	free(s->path);
	*s = (struct source){ 0 };
}

/* ---- copying: by file descriptors, so that no name can lead elsewhere ---- */

struct copying {
	uid_t uid;
	gid_t gid;
	uint64_t left;
	size_t files;
	char *chunk;
	struct err *e;
};

static void dirp(DIR **d)
{
	if (*d)
		(void)closedir(*d);
}

static int refuse(const struct copying *c, int r, const char *name, const char *why)
{
	return err_reason(c->e, r, REASON_SOURCE_INVALID, "source: '%s': %s", name, why);
}

static int write_all(int fd, const char *p, size_t n)
{
	while (n > 0) {
		ssize_t w = write(fd, p, n);

		if (w < 0 && errno == EINTR)
			continue;
		if (w < 0)
			return -errno;
		p += w;
		n -= (size_t)w;
	}
	return 0;
}

static int copy_bytes(struct copying *c, int in, int out, const char *name)
{
	ssize_t n;
	int r;

	while ((n = read(in, c->chunk, COPY_CHUNK)) != 0) {
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return refuse(c, -errno, name, strerror(errno));
		if ((uint64_t)n > c->left)
			return refuse(c, -EFBIG, name, "the source is too large");
		c->left -= (uint64_t)n;
		r = write_all(out, c->chunk, (size_t)n);
		if (r < 0)
			return err_reason(c->e, r,
				r == -ENOSPC ? REASON_DISK_FULL : REASON_INTERNAL,
				"copy '%s': %s", name, strerror(-r));
	}
	return 0;
}

static int copy_file(struct copying *c, int from, int to, const char *name, mode_t mode)
{
	CLEANUP(closep)
	int in = openat(
		from, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	CLEANUP(closep) int out = -1;
	struct stat st;
	int r;

	if (in < 0 || fstat(in, &st) < 0)
		return refuse(c, -errno, name, strerror(errno));
	if (!S_ISREG(st.st_mode))
		return refuse(c, -EINVAL, name, "neither file, folder nor link");
	out = openat(
		to, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (out < 0)
		return refuse(c, -errno, name, strerror(errno));
	r = copy_bytes(c, in, out, name);
	if (r < 0)
		return r;
	/* Times stay: what make finds newer must not change by copying. */
	if (fchown(out, c->uid, c->gid) < 0 ||
		fchmod(out, mode & 0111 ? 0755 : 0644) < 0 ||
		futimens(out, (const struct timespec[]){ st.st_atim, st.st_mtim }) < 0)
		return refuse(c, -errno, name, strerror(errno));
	return 0;
}

static int copy_link(const struct copying *c, int from, int to, const char *name)
{
	char target[PATH_MAX];
	ssize_t n = readlinkat(from, name, target, sizeof(target) - 1);

	if (n < 0)
		return refuse(c, -errno, name, strerror(errno));
	target[n] = '\0';
	if (symlinkat(target, to, name) < 0 ||
		fchownat(to, name, c->uid, c->gid, AT_SYMLINK_NOFOLLOW) < 0)
		return refuse(c, -errno, name, strerror(errno));
	return 0;
}

static int copy_dir(struct copying *c, int from, int to, unsigned depth);

static int copy_subdir(
	struct copying *c, int from, int to, const char *name, unsigned depth)
{
	CLEANUP(closep)
	int in = openat(from, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	CLEANUP(closep) int out = -1;

	if (in < 0)
		return refuse(c, -errno, name, strerror(errno));
	if (depth >= SOURCE_DEPTH_MAX)
		return refuse(c, -ELOOP, name, "too deep");
	if (mkdirat(to, name, 0755) < 0)
		return refuse(c, -errno, name, strerror(errno));
	out = openat(to, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (out < 0 || fchown(out, c->uid, c->gid) < 0)
		return refuse(c, -errno, name, strerror(errno));
	return copy_dir(c, in, out, depth + 1);
}

static int copy_entry(
	struct copying *c, int from, int to, const char *name, unsigned depth)
{
	struct stat st;

	if (++c->files > SOURCE_FILES_MAX)
		return refuse(c, -E2BIG, name, "too many files");
	if (fstatat(from, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return refuse(c, -errno, name, strerror(errno));
	if (S_ISDIR(st.st_mode))
		return copy_subdir(c, from, to, name, depth);
	if (S_ISLNK(st.st_mode))
		return copy_link(c, from, to, name);
	if (S_ISREG(st.st_mode))
		return copy_file(c, from, to, name, st.st_mode);
	return refuse(c, -EINVAL, name, "neither file, folder nor link");
}

static int copy_dir(struct copying *c, int from, int to, unsigned depth)
{
	int fd = fcntl(from, F_DUPFD_CLOEXEC, 0);
	CLEANUP(dirp) DIR *d = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *entry;

	if (!d) {
		closep(&fd);
		return refuse(c, -errno, ".", strerror(errno));
	}
	while ((errno = 0, entry = readdir(d)) != NULL) {
		int r;

		if (streq(entry->d_name, ".") || streq(entry->d_name, ".."))
			continue;
		r = copy_entry(c, from, to, entry->d_name, depth);
		if (r < 0)
			return r;
	}
	return errno ? refuse(c, -errno, ".", strerror(errno)) : 0;
}

static int write_inline(const struct copying *c, const struct source *s, const char *dest)
{
	const struct kv *kvs = s->files->items;
	size_t i;

	for (i = 0; i < s->files->n; i++) {
		char path[PATH_MAX], *slash;
		int r;

		if (!is_safe_name(kvs[i].key))
			return refuse(c, -EINVAL, kvs[i].key, "not a name");
		r = path_join(path, sizeof(path), dest, kvs[i].key, NULL);
		for (slash = path + strlen(dest) + 1;
			r == 0 && (slash = strchr(slash, '/')); *slash++ = '/') {
			*slash = '\0';
			if (mkdir(path, 0755) < 0 && errno != EEXIST)
				r = -errno;
			else if (lchown(path, c->uid, c->gid) < 0)
				r = -errno;
		}
		if (r == 0)
			r = file_write_atomic(
				path, kvs[i].value, strlen(kvs[i].value), 0644, c->e);
		if (r == 0 && lchown(path, c->uid, c->gid) < 0)
			r = -errno;
		if (r < 0)
			return refuse(c, r, kvs[i].key, strerror(-r));
	}
	return 0;
}

int source_copy(
	const struct source *s, const char *dest, uid_t uid, gid_t gid, struct err *e)
{
	CLEANUP(freep) char *chunk = malloc(COPY_CHUNK);
	struct copying c = { uid, gid, SOURCE_BYTES_MAX, 0, chunk, e };
	CLEANUP(closep) int from = -1;
	CLEANUP(closep) int to = open(dest, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	char digest[DIGEST_HEX + 1];
	int r;

	if (!chunk)
		return err_errno(e, -ENOMEM, "copy the source");
	if (to < 0 || fchown(to, uid, gid) < 0)
		return err_errno(e, -errno, "copy the source to '%s'", dest);
	if (!s->path)
		return write_inline(&c, s, dest);
	from = open(s->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (from < 0)
		return err_reason(e, -errno, REASON_SOURCE_MISSING, "source '%s': %s",
			s->path, strerror(errno));
	r = copy_dir(&c, from, to, 0);
	if (r == 0)
		r = digest_dir(dest, SOURCE_BYTES_MAX, digest, e);
	if (r < 0)
		return r;
	return streq(digest, s->digest)
		       ? 0
		       : err_reason(e, -EAGAIN, REASON_SOURCE_INVALID,
				 "source '%s' changed while it was copied", s->path);
}
