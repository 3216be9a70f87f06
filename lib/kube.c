// SPDX-License-Identifier: Apache-2.0
/* Requests to the API server: address, credentials, bodies, and answers turned into codes. */
#include "kube.h"

#include <stdio.h>
#include <sys/stat.h>
#include <time.h>

#include "file.h"
#include "kube_config.h"

enum {
	KUBE_URL_MAX = 16 << 10,
	KUBE_BODY_MAX = 4 << 20,
	KUBE_TOKEN_MAX = 64 << 10,
	KUBE_MESSAGE_MAX = 1024,
	KUBE_HEADERS_MAX = 4
};
static const uint64_t KUBE_TIMEOUT_US = 30 * USEC_PER_SEC; /* of an apply */

struct kube {
	struct loop *loop;
	struct http *http;
	struct kube_config config;
	struct http_tls tls;
	struct kube_events *events;
	char *user_agent;
	char *auth; /* "Authorization: Bearer …", NULL without a token */
	struct stat token_stat; /* of the file that @auth came from */
	bool is_token_stale;
};

/* One request, from its start until http has no use for it any more. */
struct call {
	struct kube *kube;
	char *what; /* "PATCH /apis/…" without the query */
	struct buf body;
	int (*on_data)(const char *data, size_t len, void *user);
	void (*on_open)(void *user);
	kube_done_fn done;
	void *user;
};

/* ---- the client ---- */

static void wipe_free(char *s)
{
	if (s)
		explicit_bzero(s, strlen(s));
	free(s);
}

void kube_free(struct kube *k)
{
	if (!k)
		return;
	http_free(k->http);
	kube_events_free(k->events);
	kube_config_done(&k->config);
	wipe_free(k->auth);
	free(k->user_agent);
	free(k);
}

static int set_token(struct kube *k, const char *token, struct err *e)
{
	char *auth = NULL;

	for (const char *p = token; *p; p++)
		if (*p <= ' ' || *p > '~')
			return err_set(
				e, -EINVAL, "the token has a character that none has");
	if (!*token)
		return err_set(e, -EINVAL, "the token is empty");
	if (asprintf(&auth, "Authorization: Bearer %s", token) < 0)
		return err_set(e, -ENOMEM, "out of memory");
	wipe_free(k->auth);
	k->auth = auth;
	return 0;
}

/* Kubelets exchange the token's file every hour or so; a stat() per request is what it takes. */
static int refresh_token(struct kube *k, struct err *e)
{
	CLEANUP(freep) char *text = NULL;
	struct stat st, *old = &k->token_stat;
	size_t len;
	int r;

	if (!k->config.token_file)
		return 0;
	if (stat(k->config.token_file, &st) < 0)
		return k->auth ? 0 : err_errno(e, -errno, "'%s'", k->config.token_file);
	if (k->auth && !k->is_token_stale && st.st_ino == old->st_ino &&
		st.st_size == old->st_size && st.st_mtim.tv_sec == old->st_mtim.tv_sec &&
		st.st_mtim.tv_nsec == old->st_mtim.tv_nsec)
		return 0;
	r = file_read(k->config.token_file, KUBE_TOKEN_MAX, &text, &len, e);
	if (r < 0)
		return k->auth ? 0 : r;
	while (len && (unsigned char)text[len - 1] <= ' ')
		text[--len] = '\0';
	r = set_token(k, text, e);
	explicit_bzero(text, len);
	if (r < 0)
		return k->auth ? 0 : err_wrap(e, r, "'%s'", k->config.token_file);
	*old = st;
	k->is_token_stale = false;
	return 0;
}

int kube_new(
	struct loop *l, const struct kube_options *o, struct kube **ret, struct err *e)
{
	CLEANUP(kube_freep) struct kube *k = calloc(1, sizeof(*k));
	struct kube_config *c;
	int r;

	if (!k)
		return err_set(e, -ENOMEM, "out of memory");
	c = &k->config;
	k->loop = l;
	if (o->kubeconfig)
		r = kube_config_read(c, o->kubeconfig, e);
	else
		r = kube_config_in_cluster(c, o->mount, e);
	if (r < 0)
		return r;
	k->tls = (struct http_tls){ .ca_file = c->ca_file,
		.cert_file = c->cert_file,
		.key_file = c->key_file,
		.ca_data = c->ca_data,
		.cert_data = c->cert_data,
		.key_data = c->key_data };
	k->user_agent = strdup(
		o->user_agent ? o->user_agent : "farrier/" FARRIER_VERSION);
	if (!k->user_agent || kube_events_new(k, &k->events) < 0)
		return err_set(e, -ENOMEM, "out of memory");
	if (c->token) {
		r = set_token(k, c->token, e);
		if (r < 0)
			return r;
	}
	r = refresh_token(k, e);
	if (r < 0)
		return r;
	r = http_new(l, &k->http, e);
	if (r < 0)
		return r;
	*ret = TAKE(k);
	return 0;
}

const char *kube_namespace(const struct kube *k)
{
	return k->config.namespace_ ? k->config.namespace_ : "default";
}

struct loop *kube_loop(struct kube *k)
{
	return k->loop;
}

struct kube_events *kube_events_of(struct kube *k)
{
	return k->events;
}

/* ---- answers ---- */

static int result_of(long status, const struct json *obj)
{
	const char *reason = json_get_str(obj, "reason");

	switch (status) {
	case 400:
	case 422:
		return -EINVAL;
	case 401:
	case 403:
		return -EACCES;
	case 404:
		return -ENOENT;
	case 409:
		return reason && streq(reason, "AlreadyExists") ? -EEXIST : -EAGAIN;
	case 410:
		return -ESTALE;
	case 429:
		return -EBUSY;
	default:
		return status >= 200 && status < 300 ? 0 : -EIO;
	}
}

static void call_done(const struct http_response *h, void *user)
{
	struct call *c = user;
	CLEANUP(json_freep) struct json *obj = NULL;
	struct kube_response res = { .status = h->status,
		.retry_after_us = h->retry_after_us };
	const char *text, *reason;
	struct buf message;
	struct err e = { 0 };

	buf_init(&message, KUBE_MESSAGE_MAX);
	(void)buf_fmt(&message, "%.200s: ", c->what);
	if (h->status == 401)
		c->kube->is_token_stale = true;
	res.result = h->result;
	if (h->body_len && str_starts(h->content_type, "application/json") &&
		json_parse(h->body, h->body_len, &obj, &e) < 0 && !res.result &&
		h->status < 300)
		res.result = -EPROTO;
	if (!res.result)
		res.result = result_of(h->status, obj);
	res.obj = obj;

	if (h->result < 0) {
		(void)buf_str(&message, h->error);
	} else if (res.result == -EPROTO) {
		(void)buf_fmt(&message, "a wrong answer: %.200s", e.text);
	} else if (res.result < 0) {
		reason = json_get_str(obj, "reason");
		text = json_get_str(obj, "message");
		(void)buf_fmt(&message, "%ld", h->status);
		if (reason)
			(void)buf_fmt(&message, " %.64s", reason);
		if (text)
			(void)buf_fmt(&message, ": %.700s", text);
		else if (!obj && h->body_len) /* its first line */
			(void)buf_fmt(&message, ": %.*s",
				(int)MIN(strcspn(h->body, "\r\n"), (size_t)200), h->body);
	} else {
		(void)buf_fmt(&message, "%ld", h->status);
	}
	res.message = buf_cstr(&message);
	if (c->done)
		c->done(&res, c->user);
	buf_done(&message);
}

static int call_data(const char *data, size_t len, void *user)
{
	struct call *c = user;

	return c->on_data(data, len, c->user);
}

static void call_open(void *user)
{
	struct call *c = user;

	if (c->on_open)
		c->on_open(c->user);
}

static void call_free(void *user)
{
	struct call *c = user;

	if (!c)
		return;
	buf_done(&c->body);
	free(c->what);
	free(c);
}

/* ---- requests ---- */

static int call_new(struct kube *k, const char *method, const char *path,
	kube_done_fn done, void *user, struct call **ret, struct err *e)
{
	struct call *c;

	if (*path != '/')
		return err_set(e, -EINVAL, "'%s': not a path of the API", path);
	for (const char *p = path; *p; p++)
		if (*p <= ' ' || *p > '~')
			return err_set(e, -EINVAL, "'%s': not a path of the API", path);
	c = calloc(1, sizeof(*c));
	if (!c)
		return err_set(e, -ENOMEM, "out of memory");
	c->kube = k;
	c->done = done;
	c->user = user;
	buf_init(&c->body, KUBE_BODY_MAX);
	if (asprintf(&c->what, "%s %.*s", method, (int)strcspn(path, "?"), path) < 0) {
		c->what = NULL;
		call_free(c);
		return err_set(e, -ENOMEM, "out of memory");
	}
	*ret = c;
	return 0;
}

/* Owns @c from here on. */
static int call_start(struct call *c, const char *method, const char *path,
	const char *content_type, uint64_t timeout_us, struct http_req **ret,
	struct err *e)
{
	struct kube *k = c->kube;
	const char *headers[KUBE_HEADERS_MAX] = { "Accept: application/json" };
	struct http_options o = { .method = method,
		.headers = headers,
		.tls = &k->tls,
		.user_agent = k->user_agent,
		.timeout_us = timeout_us,
		.on_gone = call_free };
	struct buf url, type;
	size_t n = 1;
	int r = refresh_token(k, e);

	buf_init(&url, KUBE_URL_MAX);
	buf_init(&type, 256);
	(void)buf_fmt(&url, "%s%s", k->config.server, path);
	(void)buf_fmt(&type, "Content-Type: %s", content_type ? content_type : KUBE_JSON);
	if (r == 0 && (buf_ok(&url) < 0 || buf_ok(&type) < 0))
		r = err_set(e, -EINVAL, "the path is too long");
	if (c->body.len) {
		o.body = c->body.data;
		o.body_len = c->body.len;
		headers[n++] = buf_cstr(&type);
	}
	if (k->auth)
		headers[n++] = k->auth;
	o.url = buf_cstr(&url);
	if (c->on_data) {
		o.on_data = call_data;
		o.on_open = call_open;
	}
	if (r == 0)
		r = http_start(k->http, &o, call_done, c, ret, e);
	if (r < 0) {
		(void)err_wrap(e, r, "%s", c->what);
		call_free(c);
	}
	buf_done(&url);
	buf_done(&type);
	return r;
}

int kube_request(struct kube *k, const char *method, const char *path,
	const char *content_type, const struct json *body, uint64_t timeout_us,
	kube_done_fn done, void *user, struct http_req **ret, struct err *e)
{
	struct call *c = NULL;
	int r = call_new(k, method, path, done, user, &c, e);

	if (r < 0)
		return r;
	if (body) {
		r = json_print(body, false, &c->body);
		if (r < 0) {
			(void)err_errno(e, r, "%s: the body cannot be written", c->what);
			call_free(c);
			return r;
		}
	}
	return call_start(c, method, path, content_type, timeout_us, ret, e);
}

int kube_stream(struct kube *k, const char *path, uint64_t timeout_us,
	void (*on_open)(void *user),
	int (*on_data)(const char *data, size_t len, void *user), kube_done_fn done,
	void *user, struct http_req **ret, struct err *e)
{
	struct call *c = NULL;
	int r = call_new(k, "GET", path, done, user, &c, e);

	if (r < 0)
		return r;
	c->on_open = on_open;
	c->on_data = on_data;
	return call_start(c, "GET", path, NULL, timeout_us, ret, e);
}

int kube_apply(struct kube *k, const char *path, const char *manager,
	const struct json *body, kube_done_fn done, void *user, struct http_req **ret,
	struct err *e)
{
	struct buf full;
	int r;

	buf_init(&full, KUBE_URL_MAX);
	(void)buf_fmt(&full, "%s%sforce=true&fieldManager=", path,
		strchr(path, '?') ? "&" : "?");
	(void)kube_path_escape(&full, manager);
	r = buf_ok(&full);
	if (r < 0)
		r = err_set(e, -EINVAL, "the path is too long");
	else
		r = kube_request(k, "PATCH", buf_cstr(&full), KUBE_APPLY, body,
			KUBE_TIMEOUT_US, done, user, ret, e);
	buf_done(&full);
	return r;
}

int kube_path_escape(struct buf *b, const char *segment)
{
	static const char plain[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~";

	for (; *segment; segment++) {
		if (strchr(plain, *segment))
			(void)buf_chr(b, *segment);
		else
			(void)buf_fmt(b, "%%%02X", (unsigned char)*segment);
	}
	return buf_ok(b);
}

/* ---- times ---- */

void kube_time(uint64_t wall_us, char out[32])
{
	time_t s = (time_t)(wall_us / USEC_PER_SEC);
	struct tm tm;

	if (!gmtime_r(&s, &tm) || strftime(out, 32, "%Y-%m-%dT%H:%M:%SZ", &tm) == 0)
		*out = '\0';
}

static bool digits(const char **p, unsigned n, int *ret)
{
	int v = 0;

	for (; n; n--, (*p)++) {
		if (**p < '0' || **p > '9')
			return false;
		v = v * 10 + (**p - '0');
	}
	*ret = v;
	return true;
}

static bool literal(const char **p, char a, char b)
{
	return (**p == a || **p == b) && *(*p)++;
}

int kube_time_parse(const char *text, int64_t *ret_s)
{
	static const int month_days[] = { 31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30,
		31 };
	struct tm tm = { 0 };
	const char *p = text;
	int h = 0, m = 0, sign;

	if (!p || !digits(&p, 4, &tm.tm_year) || !literal(&p, '-', '-') ||
		!digits(&p, 2, &tm.tm_mon) || !literal(&p, '-', '-') ||
		!digits(&p, 2, &tm.tm_mday) || !literal(&p, 'T', 't') ||
		!digits(&p, 2, &tm.tm_hour) || !literal(&p, ':', ':') ||
		!digits(&p, 2, &tm.tm_min) || !literal(&p, ':', ':') ||
		!digits(&p, 2, &tm.tm_sec))
		return -EINVAL;
	if (tm.tm_mon < 1 || tm.tm_mon > 12 || tm.tm_mday < 1 ||
		tm.tm_mday > month_days[tm.tm_mon - 1] || tm.tm_hour > 23 ||
		tm.tm_min > 59 || tm.tm_sec > 60)
		return -EINVAL;
	if (*p == '.') {
		p++;
		if (!strspn(p, "0123456789"))
			return -EINVAL;
		p += strspn(p, "0123456789");
	}
	sign = *p == '-' ? -1 : 1;
	if (*p == '+' || *p == '-') {
		p++;
		if (!digits(&p, 2, &h) || !literal(&p, ':', ':') || !digits(&p, 2, &m) ||
			h > 23 || m > 59)
			return -EINVAL;
	} else if (!literal(&p, 'Z', 'z')) {
		return -EINVAL;
	}
	if (*p)
		return -EINVAL;
	tm.tm_year -= 1900;
	tm.tm_mon -= 1;
	*ret_s = (int64_t)timegm(&tm) - sign * ((int64_t)h * 3600 + (int64_t)m * 60);
	return 0;
}
