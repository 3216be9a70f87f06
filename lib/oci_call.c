// SPDX-License-Identifier: Apache-2.0
/* One exchange after the other, with logins, redirects, pauses and retries, until there is an answer. */
#include "oci_call.h"

#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <strings.h>

#include "file.h"
#include "oci_auth.h"

enum {
	REDIRECTS_MAX = 5,
	ANSWER_MAX = 64 << 10, /* of what is not a manifest */
	STALL_S = 60, /* no byte for so long: lost */
	PAUSE_MAX_S = 60,
};

/* ---- one exchange ---- */

int oci_sink_restart(struct oci_sink *s)
{
	digest_free(TAKE(s->digest));
	s->have = 0;
	if (ftruncate(s->fd, 0) < 0 || lseek(s->fd, 0, SEEK_SET) < 0)
		return -errno;
	return digest_new(&s->digest);
}

/* An answer from the start to a request for the rest. */
static int on_head(const struct http_response *head, void *user)
{
	struct oci_sink *s = ((struct oci_call *)user)->sink;

	return head->status != 206 && s->have > 0 ? s->failed = oci_sink_restart(s) : 0;
}

static int on_data(const char *data, size_t len, void *user)
{
	struct oci_call *x = user;
	struct oci_sink *s = x->sink;

	x->last_us = 0; /* a sign of life: turn() sets the time */
	if (len > s->size - s->have)
		return -EFBIG;
	for (size_t done = 0; done < len;) {
		ssize_t n = write(s->fd, data + done, len - done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return s->failed = -errno;
		done += (size_t)n;
	}
	s->have += len;
	return s->failed = digest_add(s->digest, data, len);
}

static void copy_text(char *out, size_t size, const char *s)
{
	/* What does not fit is not what was said: better nothing. */
	if (strlen(s) < size)
		memcpy(out, s, strlen(s) + 1);
	else
		*out = '\0';
}

static void on_done(const struct http_response *res, void *user)
{
	struct oci_call *x = user;

	x->is_done = true;
	x->result = res->result;
	x->status = res->status;
	x->retry_after_us = res->retry_after_us;
	copy_text(x->location, sizeof(x->location), res->location);
	copy_text(x->challenge, sizeof(x->challenge), res->www_authenticate);
	copy_text(x->digest, sizeof(x->digest), res->docker_content_digest);
	(void)snprintf(x->error, sizeof(x->error), "%s", res->error);
	buf_clear(&x->answer);
	if (buf_add(&x->answer, res->body, res->body_len) < 0)
		x->result = -EFBIG;
}

static int exchange(struct oci *c, struct oci_call *x, bool with_login, struct err *e)
{
	struct http_tls tls = { .ca_file = c->ca_file };
	const char *headers[5] = { NULL };
	char range[64];
	struct http_req *req;
	size_t n = 0;
	struct http_options o = {
		.method = x->method,
		.url = x->url,
		.headers = headers,
		.body = x->body,
		.body_len = x->body_len,
		.tls = &tls,
		.timeout_us = x->timeout_us,
		.body_max = x->answer_max ? x->answer_max : ANSWER_MAX,
		.on_data = x->sink ? on_data : NULL,
		.on_head = x->sink ? on_head : NULL,
	};
	int r;

	if (x->accept)
		headers[n++] = x->accept;
	if (x->type)
		headers[n++] = x->type;
	if (with_login && c->login)
		headers[n++] = c->login;
	if (x->sink && x->sink->have > 0) {
		(void)snprintf(range, sizeof(range), "Range: bytes=%llu-",
			(unsigned long long)x->sink->have);
		headers[n++] = range;
	}
	x->is_done = false;
	x->status = 0;
	x->last_us = 0;
	r = http_start(c->http, &o, on_done, x, &req, e);
	if (r < 0)
		return r;
	while (!x->is_done) {
		r = loop_step(c->loop, USEC_PER_SEC);
		if (r >= 0 && !x->is_done && x->last_us == 0)
			x->last_us = loop_now(c->loop);
		if (r >= 0 &&
			(x->is_done || !x->sink ||
				loop_now(c->loop) - x->last_us < STALL_S * USEC_PER_SEC))
			continue;
		http_cancel(req);
		x->result = r < 0 ? r : -ETIMEDOUT;
		(void)snprintf(x->error, sizeof(x->error), "no answer for %d s", STALL_S);
		return 0;
	}
	return 0;
}

static void on_pause(void *user)
{
	*(bool *)user = true;
}

static int pause_for(struct oci *c, uint64_t us, struct err *e)
{
	CLEANUP(loop_source_freep) struct loop_source *timer = NULL;
	bool is_over = false;
	int r = loop_timer(c->loop, loop_now(c->loop) + us, on_pause, &is_over, &timer);

	while (r >= 0 && !is_over)
		r = loop_step(c->loop, USEC_PER_SEC);
	return r < 0 ? err_errno(e, r, "registry") : 0;
}

/* ---- logging in ---- */

static int set_login(struct oci *c, const char *scheme, const char *secret, struct err *e)
{
	free(c->login);
	if (asprintf(&c->login, "Authorization: %s %s", scheme, secret) < 0)
		c->login = NULL;
	return c->login ? 0 : err_errno(e, -ENOMEM, "login");
}

static int find_credentials(
	struct oci *c, const struct oci_ref *ref, char **ret, struct err *e)
{
	CLEANUP(freep) char *text = NULL;
	size_t len;
	int r;

	if (!c->auth_file)
		return -ENOENT;
	r = file_read(c->auth_file, OCI_AUTH_FILE_MAX, &text, &len, e);
	if (r == 0)
		r = oci_auth_find(text, len, ref, ret, e);
	if (text)
		explicit_bzero(text, len);
	return r < 0 && r != -ENOENT ? err_wrap(e, r, "credentials '%s'", c->auth_file)
				     : r;
}

static int ask_token(struct oci *c, const struct oci_ref *ref,
	const struct oci_challenge *ch, const char *scope, struct err *e)
{
	CLEANUP(freep) struct oci_call *x = calloc(1, sizeof(*x));
	CLEANUP(freep) char *basic = NULL;
	CLEANUP(freep) char *token = NULL;
	struct buf url CLEANUP(buf_done);
	int r;

	buf_init(&url, OCI_URL_MAX - 1);
	if (!x)
		return err_errno(e, -ENOMEM, "login");
	if (!ref->is_plain && !str_starts(ch->realm, "https://"))
		return err_set(e, -EACCES, "its token server does not speak TLS");
	r = oci_token_url(ch, scope, &url);
	if (r == 0)
		r = find_credentials(c, ref, &basic, e);
	if (r < 0 && r != -ENOENT)
		return r;
	free(TAKE(c->login));
	if (basic) {
		r = set_login(c, "Basic", basic, e);
		if (r < 0)
			return r;
	}
	x->method = "GET";
	x->timeout_us = OCI_CALL_S * USEC_PER_SEC;
	copy_text(x->url, sizeof(x->url), buf_cstr(&url));
	buf_init(&x->answer, ANSWER_MAX);
	r = exchange(c, x, true, e);
	free(TAKE(c->login));
	if (r == 0 && x->result < 0)
		r = err_set(e, x->result, "token server: %s", x->error);
	else if (r == 0 && x->status != 200)
		r = err_set(e, x->status >= 500 ? -EAGAIN : -EACCES,
			"token server: HTTP status %ld", x->status);
	if (r == 0)
		r = oci_token_parse(buf_cstr(&x->answer), x->answer.len, &token, e);
	buf_done(&x->answer);
	return r < 0 ? r : set_login(c, "Bearer", token, e);
}

/* What a 401 asks for. */
static int log_in(
	struct oci *c, const struct oci_ref *ref, const struct oci_call *x, struct err *e)
{
	CLEANUP(freep) struct oci_challenge *ch = calloc(1, sizeof(*ch));
	CLEANUP(freep) char *basic = NULL;
	char scope[512];
	int r = ch ? oci_challenge_parse(x->challenge, ch) : -ENOMEM;

	if (r == -ENOMEM)
		return err_errno(e, r, "login");
	if (r < 0)
		return err_set(e, -EACCES, "it asks for an unknown kind of login");
	if (ch->is_bearer) {
		(void)snprintf(scope, sizeof(scope), "repository:%s:pull%s", ref->repo,
			x->is_push ? ",push" : "");
		return ask_token(c, ref, ch, scope, e);
	}
	r = find_credentials(c, ref, &basic, e);
	if (r == -ENOENT)
		return err_set(e, -EACCES, "it wants a password, and none is known");
	return r < 0 ? r : set_login(c, "Basic", basic, e);
}

/* A login is good for one repository and purpose, and never leaves its host. */
static void choose_login(struct oci *c, const struct oci_ref *ref, bool is_push)
{
	char name[sizeof(c->login_for)];

	(void)snprintf(name, sizeof(name), "%s/%s %d", ref->host, ref->repo, is_push);
	if (!streq(name, c->login_for))
		free(TAKE(c->login));
	memcpy(c->login_for, name, sizeof(name));
}

/* ---- where to ---- */

/* "scheme://host[:port]" of @url. */
static size_t origin_len(const char *url)
{
	const char *p = strstr(url, "://");

	return p ? (size_t)(p + 3 - url) + strcspn(p + 3, "/?#") : 0;
}

static bool is_same_origin(const char *x, const char *y)
{
	size_t n = origin_len(x);

	return n > 0 && n == origin_len(y) && strncasecmp(x, y, n) == 0;
}

int oci_call_follow(const struct oci_ref *ref, struct oci_call *x, struct err *e)
{
	char url[OCI_URL_MAX];
	int n = 0;

	if (*x->location == '/')
		n = snprintf(url, sizeof(url), "%.*s%s", (int)origin_len(x->url), x->url,
			x->location);
	else
		copy_text(url, sizeof(url), x->location);
	if (n >= (int)sizeof(url) || !*url)
		return err_set(e, -EBADMSG, "it sends us nowhere");
	if (!str_starts(url, "https://") &&
		!(ref->is_plain && str_starts(url, "http://")))
		return err_set(e, -EACCES, "it sends us to an address without TLS");
	memcpy(x->url, url, sizeof(url));
	return 0;
}

static bool is_redirect(long status)
{
	return status == 301 || status == 302 || status == 303 || status == 307 ||
	       status == 308;
}

/* ---- a call: exchanges until there is an answer ---- */

/* Worth another try: the network's or the server's trouble, not ours. */
static bool is_lost(int r)
{
	return r < 0 && r != -EINVAL && r != -EFBIG && r != -ENOMEM &&
	       r != -EKEYREJECTED && r != -EACCES && r != -EBADMSG && r != -ENOENT;
}

static bool is_temporary(const struct oci_call *x)
{
	if (x->sink && x->sink->failed)
		return false;
	if (x->result < 0)
		return is_lost(x->result);
	return x->status == 408 || x->status == 429 || x->status >= 500;
}

int oci_call_run(
	struct oci *c, const struct oci_ref *ref, struct oci_call *x, struct err *e)
{
	uint64_t pause = c->retry_us;
	char home[OCI_URL_MAX];
	bool was_asked = false;
	unsigned tries = 0, hops = 0;
	int r;

	memcpy(home, x->url, sizeof(home));
	choose_login(c, ref, x->is_push);
	for (;;) {
		uint64_t had = x->sink ? x->sink->have : 0;

		r = exchange(c, x, is_same_origin(home, x->url), e);
		if (r < 0)
			return r;
		if (x->status == 416 && had > 0) { /* what we have is too much already */
			r = oci_sink_restart(x->sink);
			if (r < 0)
				return err_errno(e, r, "write");
			if (++tries >= c->tries)
				return 0;
			continue;
		}
		if (x->result == 0 && x->status == 401 && !was_asked) {
			was_asked = true;
			r = log_in(c, ref, x, e);
			if (r == 0)
				continue;
			if (!is_lost(r))
				return r;
			was_asked = false; /* its token server has a bad time */
			x->result = r;
			(void)snprintf(x->error, sizeof(x->error), "login: no answer");
		}
		if (x->result == 0 && is_redirect(x->status) && !x->body &&
			hops++ < REDIRECTS_MAX) {
			r = oci_call_follow(ref, x, e);
			if (r < 0)
				return r;
			continue;
		}
		if (!is_temporary(x) || ++tries >= c->tries)
			return 0;
		memcpy(x->url, home, sizeof(home));
		hops = 0;
		r = pause_for(c,
			MIN(MAX(pause, x->retry_after_us), PAUSE_MAX_S * USEC_PER_SEC),
			e);
		if (r < 0)
			return r;
		pause *= 2;
	}
}

int oci_call_failure(const struct oci_call *x, struct err *e)
{
	int r;

	if (x->sink && x->sink->failed)
		return err_errno(e, x->sink->failed, "write");
	if (x->result < 0)
		return err_set(e, x->result, "%s", x->error);
	r = x->status == 404			   ? -ENOENT
	    : x->status == 401 || x->status == 403 ? -EACCES
	    : x->status == 429 || x->status >= 500 ? -EAGAIN
						   : -EPROTO;
	return err_set(e, r, "HTTP status %ld", x->status);
}

int oci_call_new(const struct oci_ref *ref, const char *method, struct oci_call **ret,
	struct err *e, const char *fmt, ...)
{
	struct oci_call *x = calloc(1, sizeof(*x));
	va_list ap;
	int n;

	if (!x)
		return err_errno(e, -ENOMEM, "registry");
	x->method = method;
	x->timeout_us = OCI_CALL_S * USEC_PER_SEC;
	buf_init(&x->answer, OCI_MANIFEST_MAX);
	n = snprintf(x->url, sizeof(x->url), "%s://%s/v2/%s/",
		ref->is_plain ? "http" : "https", ref->host, ref->repo);
	va_start(ap, fmt);
	(void)vsnprintf(x->url + n, sizeof(x->url) - (size_t)n, fmt, ap);
	va_end(ap);
	*ret = x;
	return 0;
}

void oci_call_free(struct oci_call *x)
{
	buf_done(&x->answer);
	free(x);
}
