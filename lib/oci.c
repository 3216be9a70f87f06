// SPDX-License-Identifier: Apache-2.0
/* What is asked of a registry: manifests and blobs, there and back, each checked by its digest. */
#include "oci.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/utsname.h>

#include "file.h"
#include "json.h"
#include "oci_call.h"

enum {
	TRIES = 5,
	UPLOAD_BYTES_PER_S = 64 << 10, /* slower than this is lost */
};

#define TYPES \
	"Accept: " OCI_TYPE_MANIFEST ", " OCI_TYPE_INDEX ", " OCI_TYPE_DOCKER \
	", " OCI_TYPE_DOCKER_LIST

static int digest_of(
	const void *data, size_t len, char out[OCI_DIGEST_MAX + 1], struct err *e)
{
	memcpy(out, "sha256:", 7);
	return digest_bytes(data, len, out + 7, e);
}

/* ---- pulling ---- */

static const char *architecture(void)
{
	static struct utsname u;

	if (uname(&u) < 0)
		return "";
	return streq(u.machine, "x86_64")    ? "amd64"
	       : streq(u.machine, "aarch64") ? "arm64"
					     : u.machine;
}

/* The digest that an index gives for this machine; false when @text is no index. */
static int choose_of_index(
	const char *text, size_t len, char out[OCI_DIGEST_MAX + 1], struct err *e)
{
	CLEANUP(json_freep) struct json *j = NULL;
	const struct json *list;
	int r = json_parse(text, len, &j, e);

	if (r < 0)
		return r == -ENOMEM ? r : err_wrap(e, -EBADMSG, "manifest");
	list = json_get(j, "manifests");
	if (!list)
		return 0;
	for (size_t i = 0; i < json_len(list); i++) {
		const struct json *m = json_at(list, i), *p = json_get(m, "platform");
		const char *digest = json_get_str(m, "digest"),
			   *os = json_get_str(p, "os"),
			   *arch = json_get_str(p, "architecture");

		if (!digest || !oci_digest_is_valid(digest) ||
			(os && !streq(os, "linux")) ||
			(arch && !streq(arch, architecture())))
			continue;
		memcpy(out, digest, OCI_DIGEST_MAX + 1);
		return 1;
	}
	return err_set(e, -ENOENT, "the index has nothing for linux/%s", architecture());
}

/* The bytes under @ref, which have the digest that was asked for. */
static int get_text(struct oci *c, const struct oci_ref *ref, struct oci_call **ret,
	char digest[OCI_DIGEST_MAX + 1], struct err *e)
{
	CLEANUP(oci_call_freep) struct oci_call *x = NULL;
	const char *what = *ref->digest ? ref->digest : *ref->tag ? ref->tag : "latest";
	int r = oci_call_new(ref, "GET", &x, e, "manifests/%s", what);

	if (r < 0)
		return r;
	x->accept = TYPES;
	x->answer_max = OCI_MANIFEST_MAX;
	r = oci_call_run(c, ref, x, e);
	if (r < 0)
		return r;
	if (x->result < 0 || x->status != 200)
		return oci_call_failure(x, e);
	r = digest_of(buf_cstr(&x->answer), x->answer.len, digest, e);
	if (r < 0)
		return r;
	if (*ref->digest && !streq(ref->digest, digest))
		return err_set(e, -EBADMSG, "the manifest has digest %s", digest);
	*ret = TAKE(x);
	return 0;
}

int oci_get_manifest(
	struct oci *c, const struct oci_ref *ref, struct oci_manifest *ret, struct err *e)
{
	struct oci_ref at = *ref;
	struct oci_manifest m;
	char digest[OCI_DIGEST_MAX + 1];
	int r = 0;

	/* An index once, and no index within it. */
	for (int hop = 0; hop < 2; hop++) {
		CLEANUP(oci_call_freep) struct oci_call *x = NULL;

		r = get_text(c, &at, &x, digest, e);
		if (r == 0 && hop == 0)
			r = choose_of_index(
				buf_cstr(&x->answer), x->answer.len, at.digest, e);
		if (r == 1)
			continue;
		if (r == 0)
			r = oci_manifest_parse(
				buf_cstr(&x->answer), x->answer.len, &m, e);
		/* JSON has no zero bytes: the text is all of it. */
		if (r == 0 && !(m.text = buf_steal(&x->answer))) {
			oci_manifest_done(&m);
			r = err_errno(e, -ENOMEM, "manifest");
		}
		break;
	}
	if (r < 0)
		return err_wrap(e, r, "%s/%s", ref->host, ref->repo);
	memcpy(m.digest, digest, sizeof(digest));
	*ret = m;
	return 0;
}

/* Opens "@path.part" and takes in what is there of it. */
static int sink_open(struct oci_sink *s, const char *part, int64_t size, struct err *e)
{
	char chunk[64 << 10];
	ssize_t n;
	int r;

	*s = (struct oci_sink){ .fd = -1, .size = (uint64_t)size };
	s->fd = open(part, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (s->fd < 0)
		return err_errno(e, -errno, "write '%s'", part);
	r = digest_new(&s->digest);
	while (r == 0 && (n = read(s->fd, chunk, sizeof(chunk))) != 0) {
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 || (uint64_t)n > s->size - s->have) {
			r = oci_sink_restart(s);
			break;
		}
		s->have += (uint64_t)n;
		r = digest_add(s->digest, chunk, (size_t)n);
	}
	return r < 0 ? err_errno(e, r, "write '%s'", part) : 0;
}

static void sink_close(struct oci_sink *s)
{
	closep(&s->fd);
	digest_free(s->digest);
}

/* 1: the file is what @b says, 0: not yet; -EBADMSG: all of it is there and it is not, emptied. */
static int is_whole(const struct oci_blob *b, struct oci_sink *s, struct err *e)
{
	char hex[DIGEST_HEX + 1];
	int r;

	if (s->have != s->size)
		return 0;
	r = digest_hex(s->digest, hex);
	if (r == 0 && streq(hex, b->digest + strlen("sha256:")))
		return 1;
	if (r == 0)
		r = oci_sink_restart(s);
	return r < 0 ? err_errno(e, r, "write")
		     : err_set(e, -EBADMSG, "what came does not have its digest");
}

static int receive(struct oci *c, const struct oci_ref *ref, const struct oci_blob *b,
	struct oci_sink *s, struct err *e)
{
	CLEANUP(oci_call_freep) struct oci_call *x = NULL;
	int r = is_whole(b, s, e);

	if (r == 1 || (r < 0 && r != -EBADMSG))
		return MIN(r, 0);
	r = oci_call_new(ref, "GET", &x, e, "blobs/%s", b->digest);
	if (r < 0)
		return r;
	x->sink = s;
	x->timeout_us = 0; /* as long as bytes come */
	r = oci_call_run(c, ref, x, e);
	if (r < 0)
		return r;
	if (x->result == -EFBIG)
		return err_set(e, -EBADMSG, "it is larger than its manifest says");
	if (x->result < 0 || (x->status != 200 && x->status != 206))
		return oci_call_failure(x, e);
	r = is_whole(b, s, e);
	if (r == 0)
		r = err_set(e, -EBADMSG, "it is smaller than its manifest says");
	return MIN(r, 0);
}

int oci_get_blob(struct oci *c, const struct oci_ref *ref, const struct oci_blob *blob,
	const char *path, struct err *e)
{
	CLEANUP(freep) char *part = NULL;
	struct oci_sink s;
	int r;

	if (asprintf(&part, "%s.part", path) < 0) {
		part = NULL;
		return err_errno(e, -ENOMEM, "registry");
	}
	r = sink_open(&s, part, blob->size, e);
	if (r == 0)
		r = receive(c, ref, blob, &s, e);
	if (r == 0 && (fsync(s.fd) < 0 || rename(part, path) < 0))
		r = err_errno(e, -errno, "write '%s'", path);
	sink_close(&s);
	return r < 0 ? err_wrap(e, r, "%s/%s: blob %.19s", ref->host, ref->repo,
			       blob->digest)
		     : 0;
}

/* ---- pushing ---- */

/* 1, 0, or why nobody knows. */
static int has_blob(
	struct oci *c, const struct oci_ref *ref, const char *digest, struct err *e)
{
	CLEANUP(oci_call_freep) struct oci_call *x = NULL;
	int r = oci_call_new(ref, "HEAD", &x, e, "blobs/%s", digest);

	if (r < 0)
		return r;
	x->is_push = true;
	r = oci_call_run(c, ref, x, e);
	if (r < 0)
		return r;
	if (x->result < 0 || (x->status != 200 && x->status != 404))
		return oci_call_failure(x, e);
	return x->status == 200;
}

static int upload(struct oci *c, const struct oci_ref *ref, const void *data, size_t len,
	const char *digest, struct err *e)
{
	CLEANUP(oci_call_freep) struct oci_call *x = NULL;
	size_t n;
	int r = oci_call_new(ref, "POST", &x, e, "blobs/uploads/");

	if (r < 0)
		return r;
	x->is_push = true;
	x->type = "Content-Type: application/octet-stream";
	x->body = "";
	r = oci_call_run(c, ref, x, e);
	if (r < 0)
		return r;
	if (x->result < 0 || x->status != 202)
		return oci_call_failure(x, e);
	r = oci_call_follow(ref, x, e);
	if (r < 0)
		return r;
	n = strlen(x->url);
	if (snprintf(x->url + n, sizeof(x->url) - n, "%cdigest=%s",
		    strchr(x->url, '?') ? '&' : '?', digest) >= (int)(sizeof(x->url) - n))
		return err_set(e, -EBADMSG, "it sends us nowhere");
	x->method = "PUT";
	x->body = data;
	x->body_len = len;
	x->timeout_us = (OCI_CALL_S + len / UPLOAD_BYTES_PER_S) * USEC_PER_SEC;
	r = oci_call_run(c, ref, x, e);
	if (r < 0)
		return r;
	return x->result < 0 || x->status != 201 ? oci_call_failure(x, e) : 0;
}

int oci_put_bytes(struct oci *c, const struct oci_ref *ref, const void *data, size_t len,
	struct oci_blob *ret, struct err *e)
{
	char digest[OCI_DIGEST_MAX + 1];
	int r = digest_of(data, len, digest, e);

	if (r == 0)
		r = has_blob(c, ref, digest, e);
	if (r == 0)
		r = upload(c, ref, data, len, digest, e);
	if (r < 0)
		return err_wrap(
			e, r, "%s/%s: upload %.19s", ref->host, ref->repo, digest);
	memcpy(ret->digest, digest, sizeof(digest));
	ret->size = (int64_t)len;
	return 0;
}

int oci_put_file(struct oci *c, const struct oci_ref *ref, const char *path,
	struct oci_blob *ret, struct err *e)
{
	CLEANUP(closep) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	struct stat st;
	void *data;
	int r;

	if (fd < 0 || fstat(fd, &st) < 0)
		return err_errno(e, -errno, "read '%s'", path);
	if (!S_ISREG(st.st_mode))
		return err_set(e, -EINVAL, "'%s' is no file", path);
	if (st.st_size == 0)
		return oci_put_bytes(c, ref, "", 0, ret, e);
	data = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (data == MAP_FAILED)
		return err_errno(e, -errno, "read '%s'", path);
	r = oci_put_bytes(c, ref, data, (size_t)st.st_size, ret, e);
	(void)munmap(data, (size_t)st.st_size);
	return r;
}

int oci_put_manifest(
	struct oci *c, const struct oci_ref *ref, struct oci_manifest *m, struct err *e)
{
	CLEANUP(oci_call_freep) struct oci_call *x = NULL;
	struct buf text CLEANUP(buf_done);
	char digest[OCI_DIGEST_MAX + 1];
	int r;

	buf_init(&text, OCI_MANIFEST_MAX);
	r = oci_manifest_print(m, &text);
	if (r < 0)
		return err_errno(e, r, "manifest");
	r = digest_of(buf_cstr(&text), text.len, digest, e);
	if (r == 0)
		r = oci_call_new(
			ref, "PUT", &x, e, "manifests/%s", *ref->tag ? ref->tag : digest);
	if (r < 0)
		return r;
	x->is_push = true;
	x->type = "Content-Type: " OCI_TYPE_MANIFEST;
	x->body = buf_cstr(&text);
	x->body_len = text.len;
	r = oci_call_run(c, ref, x, e);
	if (r == 0 && (x->result < 0 || x->status != 201))
		r = oci_call_failure(x, e);
	if (r == 0 && *x->digest && !streq(x->digest, digest))
		r = err_set(e, -EBADMSG, "it stored another manifest, %s", x->digest);
	if (r < 0)
		return err_wrap(e, r, "%s/%s: put the manifest", ref->host, ref->repo);
	memcpy(m->digest, digest, sizeof(digest));
	return 0;
}

/* ---- */

int oci_new(struct loop *l, const struct oci_options *o, struct oci **ret, struct err *e)
{
	CLEANUP(oci_freep) struct oci *c = calloc(1, sizeof(*c));
	int r;

	if (!c)
		return err_errno(e, -ENOMEM, "registry");
	c->loop = l;
	c->retry_us = o->retry_us ? o->retry_us : USEC_PER_SEC;
	c->tries = o->tries ? o->tries : TRIES;
	c->auth_file = o->auth_file ? strdup(o->auth_file) : NULL;
	c->ca_file = o->ca_file ? strdup(o->ca_file) : NULL;
	if ((o->auth_file && !c->auth_file) || (o->ca_file && !c->ca_file))
		return err_errno(e, -ENOMEM, "registry");
	r = http_new(l, &c->http, e);
	if (r < 0)
		return r;
	*ret = TAKE(c);
	return 0;
}

void oci_free(struct oci *c)
{
	if (!c)
		return;
	http_free(c->http);
	free(c->login);
	free(c->auth_file);
	free(c->ca_file);
	free(c);
}
