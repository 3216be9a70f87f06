// SPDX-License-Identifier: Apache-2.0
/* curl's multi interface driven by the loop: curl says which sockets and which time it waits for,
 * and is called from there only. No call into curl is made from inside one of its callbacks. */
#include "http.h"

#include <sys/epoll.h>

#include <curl/curl.h>

#include "http_setup.h"

enum { RETRY_AFTER_MAX_S = 86400, HEADER_MAX = 8 << 10, OVERDUE_US = 1000000 };

enum req_state {
	REQ_WAITING, /* to be given to curl as soon as curl has returned */
	REQ_RUNNING,
	REQ_CANCELLED, /* from inside curl: to be freed as soon as it has returned */
	REQ_ENDED /* its done callback runs or has run */
};

enum header {
	HDR_TYPE,
	HDR_LOCATION,
	HDR_AUTHENTICATE,
	HDR_DIGEST,
	HDR_RANGE,
	HDR_ETAG,
	HDRS_
};
static const char *const header_names[] = { "content-type", "location",
	"www-authenticate", "docker-content-digest", "content-range", "etag" };

struct http_sock {
	struct http_sock *next, **prev;
	struct http *http;
	struct loop_source *io;
};

struct http_req {
	struct http_req *next, **prev;
	struct http *http;
	enum req_state state;
	CURL *easy;
	struct curl_slist *headers;
	struct loop_source *overdue; /* for those with a time limit */
	http_done_fn done;
	int (*on_data)(const char *data, size_t len, void *user);
	void (*on_open)(void *user);
	int (*on_head)(const struct http_response *head, void *user);
	void (*on_gone)(void *user);
	void *user;
	struct buf body;
	bool is_open; /* the headers of a 2xx answer are there */
	int stopped; /* why the transfer was ended by us */
	char *header[HDRS_];
	char error[CURL_ERROR_SIZE];
};

struct http {
	struct loop *loop;
	CURLM *multi;
	struct loop_source *timer;
	struct http_req *reqs;
	struct http_sock *socks;
	bool in_curl, is_settling, is_dead;
};

static void settle(struct http *h);

static void req_free(struct http_req *r)
{
	void (*on_gone)(void *user) = r->on_gone;
	void *user = r->user;

	*r->prev = r->next;
	if (r->next)
		r->next->prev = r->prev;
	if (r->easy) {
		(void)curl_multi_remove_handle(r->http->multi, r->easy);
		curl_easy_cleanup(r->easy);
	}
	curl_slist_free_all(r->headers);
	loop_source_free(r->overdue);
	for (size_t i = 0; i < HDRS_; i++)
		free(r->header[i]);
	buf_done(&r->body);
	free(r);
	if (on_gone)
		on_gone(user);
}

/* ---- sockets and time ---- */

static void sock_free(struct http_sock *s)
{
	*s->prev = s->next;
	if (s->next)
		s->next->prev = s->prev;
	loop_source_free(s->io);
	free(s);
}

static void run_curl(struct http *h, curl_socket_t fd, int what)
{
	int running = 0;

	h->in_curl = true;
	(void)curl_multi_socket_action(h->multi, fd, what, &running);
	h->in_curl = false;
	settle(h);
}

static void on_sock(int fd, uint32_t events, void *user)
{
	struct http_sock *s = user;
	int what = 0;

	what |= events & EPOLLIN ? CURL_CSELECT_IN : 0;
	what |= events & EPOLLOUT ? CURL_CSELECT_OUT : 0;
	what |= events & (EPOLLERR | EPOLLHUP) ? CURL_CSELECT_ERR : 0;
	run_curl(s->http, fd, what);
}

static int on_curl_socket(
	CURL *easy, curl_socket_t fd, int what, void *user, void *socket)
{
	struct http *h = user;
	struct http_sock *s = socket;
	uint32_t events = 0;

	if (what == CURL_POLL_REMOVE) {
		if (s) {
			sock_free(s);
			(void)curl_multi_assign(h->multi, fd, NULL);
		}
		return 0;
	}
	events |= what & CURL_POLL_IN ? EPOLLIN : 0;
	events |= what & CURL_POLL_OUT ? EPOLLOUT : 0;
	if (s)
		return loop_io_set(s->io, events) < 0 ? -1 : 0;

	s = calloc(1, sizeof(*s));
	if (!s)
		return -1;
	s->http = h;
	if (loop_io(h->loop, fd, events, on_sock, s, &s->io) < 0) {
		free(s);
		return -1;
	}
	s->prev = &h->socks;
	s->next = h->socks;
	if (s->next)
		s->next->prev = &s->next;
	h->socks = s;
	(void)curl_multi_assign(h->multi, fd, s);
	return 0;
}

static void on_timer(void *user)
{
	run_curl(user, CURL_SOCKET_TIMEOUT, 0);
}

/* Only arms: calling curl from here would be calling it from inside itself. */
static int on_curl_timer(CURLM *multi, long ms, void *user)
{
	struct http *h = user;
	uint64_t now = loop_now(h->loop);

	loop_timer_set(
		h->timer, ms < 0 ? UINT64_MAX : now + (uint64_t)ms * USEC_PER_MSEC);
	return 0;
}

/* ---- one transfer, as curl calls it ---- */

static long status_of(struct http_req *r)
{
	long status = 0;

	(void)curl_easy_getinfo(r->easy, CURLINFO_RESPONSE_CODE, &status);
	return status;
}

static bool is_success(long status)
{
	return status >= 200 && status < 300;
}

static void keep_header(struct http_req *r, const char *line, size_t len)
{
	for (size_t i = 0; i < HDRS_; i++) {
		size_t n = strlen(header_names[i]);

		if (len <= n || len > HEADER_MAX || line[n] != ':' ||
			strncasecmp(line, header_names[i], n) != 0)
			continue;
		line += n + 1;
		len -= n + 1;
		while (len && (*line == ' ' || *line == '\t')) {
			line++;
			len--;
		}
		while (len && (unsigned char)line[len - 1] <= ' ')
			len--;
		free(r->header[i]);
		r->header[i] = strndup(line, len);
		return;
	}
}

static void fill_headers(const struct http_req *r, struct http_response *res)
{
	const char *v[HDRS_];

	for (size_t i = 0; i < HDRS_; i++)
		v[i] = r->header[i] ? r->header[i] : "";
	res->content_type = v[HDR_TYPE];
	res->location = v[HDR_LOCATION];
	res->www_authenticate = v[HDR_AUTHENTICATE];
	res->docker_content_digest = v[HDR_DIGEST];
	res->content_range = v[HDR_RANGE];
	res->etag = v[HDR_ETAG];
}

static void tell_head(struct http_req *r)
{
	struct http_response head = { .status = status_of(r), .body = "", .error = "" };

	fill_headers(r, &head);
	r->stopped = r->on_head(&head, r->user);
}

static size_t on_curl_header(char *line, size_t size, size_t n, void *user)
{
	struct http_req *r = user;
	size_t len = size * n;

	if (r->state == REQ_CANCELLED)
		return 0;
	keep_header(r, line, len);
	if (len <= 2 && !r->is_open && is_success(status_of(r))) {
		r->is_open = true;
		if (r->on_open)
			r->on_open(r->user);
		if (r->on_head && r->state != REQ_CANCELLED)
			tell_head(r);
	}
	return r->state == REQ_CANCELLED || r->stopped ? 0 : len;
}

static size_t on_curl_body(char *data, size_t size, size_t n, void *user)
{
	struct http_req *r = user;
	size_t len = size * n;

	if (r->state == REQ_CANCELLED)
		return 0;
	if (r->on_data && is_success(status_of(r))) {
		r->stopped = r->on_data(data, len, r->user);
		return r->stopped || r->state == REQ_CANCELLED ? 0 : len;
	}
	r->stopped = buf_add(&r->body, data, len);
	if (r->stopped == -ENOBUFS)
		r->stopped = -EFBIG;
	return r->stopped ? 0 : len;
}

/* ---- how it ended ---- */

static int result_of(struct http_req *r, CURLcode code)
{
	long os = 0;

	if (r->stopped)
		return r->stopped;
	switch (code) {
	case CURLE_OK:
		return 0;
	case CURLE_COULDNT_RESOLVE_HOST:
		return -EHOSTUNREACH;
	case CURLE_COULDNT_CONNECT:
		(void)curl_easy_getinfo(r->easy, CURLINFO_OS_ERRNO, &os);
		return os > 0 ? (int)-os : -ECONNREFUSED;
	case CURLE_OPERATION_TIMEDOUT:
		return -ETIMEDOUT;
	case CURLE_GOT_NOTHING:
	case CURLE_RECV_ERROR:
	case CURLE_SEND_ERROR:
	case CURLE_PARTIAL_FILE:
		return -ECONNRESET;
	case CURLE_OUT_OF_MEMORY:
		return -ENOMEM;
	case CURLE_URL_MALFORMAT:
	case CURLE_SSL_CERTPROBLEM:
	case CURLE_SSL_CACERT_BADFILE:
		return -EINVAL;
	case CURLE_PEER_FAILED_VERIFICATION:
		return -EKEYREJECTED;
	default:
		return -EPROTO;
	}
}

static const char *error_text(const struct http_req *r, CURLcode code, int result)
{
	if (!result)
		return "";
	if (result == -EFBIG && r->stopped)
		return "the answer is too large";
	if (r->stopped)
		return strerror(-result);
	return *r->error ? r->error : curl_easy_strerror(code);
}

static void finish(struct http_req *r, CURLcode code)
{
	struct http_response res = { .status = r->easy ? status_of(r) : 0 };
	curl_off_t after = 0;

	res.result = r->easy ? result_of(r, code) : -ENOMEM;
	res.body = buf_cstr(&r->body);
	res.body_len = r->body.len;
	res.error = error_text(r, code, res.result);
	if (r->easy)
		(void)curl_easy_getinfo(r->easy, CURLINFO_RETRY_AFTER, &after);
	if (after > 0)
		res.retry_after_us = MIN((uint64_t)after, (uint64_t)RETRY_AFTER_MAX_S) *
				     USEC_PER_SEC;
	fill_headers(r, &res);

	r->state = REQ_ENDED;
	if (r->done)
		r->done(&res, r->user);
	req_free(r);
}

static void destroy(struct http *h)
{
	while (h->reqs)
		req_free(h->reqs);
	if (h->multi)
		(void)curl_multi_cleanup(h->multi);
	while (h->socks)
		sock_free(h->socks);
	loop_source_free(h->timer);
	curl_global_cleanup();
	free(h);
}

/* What had to wait while curl was running: cancels, starts and ends. */
static bool settle_one(struct http *h)
{
	struct http_req *r, *next;
	CURLMsg *msg;
	int left;

	for (r = h->reqs; r; r = next) {
		next = r->next;
		if (r->state == REQ_CANCELLED) {
			req_free(r);
			return true;
		}
		if (r->state == REQ_WAITING) {
			r->state = REQ_RUNNING;
			if (curl_multi_add_handle(h->multi, r->easy) != CURLM_OK)
				finish(r, CURLE_OUT_OF_MEMORY);
			return true;
		}
	}
	while ((msg = curl_multi_info_read(h->multi, &left))) {
		CURLcode code = msg->data.result;

		if (msg->msg != CURLMSG_DONE)
			continue;
		(void)curl_easy_getinfo(msg->easy_handle, CURLINFO_PRIVATE, (char **)&r);
		finish(r, code);
		return true;
	}
	return false;
}

static void settle(struct http *h)
{
	if (h->is_settling)
		return;
	h->is_settling = true;
	while (!h->is_dead && settle_one(h))
		;
	h->is_settling = false;
	if (h->is_dead)
		destroy(h);
}

/* curl ends a transfer whose time is up. Where its timer got lost (seen once, on a machine that was busy) nobody would,
 * and whoever waits would wait for ever: so we do, a moment later. */
static void on_overdue(void *user)
{
	struct http_req *r = user;
	struct http *h = r->http;

	if (r->state == REQ_CANCELLED)
		return;
	h->is_settling = true;
	finish(r, CURLE_OPERATION_TIMEDOUT);
	h->is_settling = false;
	settle(h);
}

/* ---- what others call ---- */

int http_new(struct loop *l, struct http **ret, struct err *e)
{
	struct http *h;
	int r;

	if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
		return err_set(e, -ENOMEM, "curl cannot be initialised");
	h = calloc(1, sizeof(*h));
	if (!h) {
		curl_global_cleanup();
		return err_set(e, -ENOMEM, "out of memory");
	}
	h->loop = l;
	h->multi = curl_multi_init();
	r = h->multi ? loop_timer(l, UINT64_MAX, on_timer, h, &h->timer) : -ENOMEM;
	if (r < 0) {
		destroy(h);
		return err_errno(e, r, "curl cannot be initialised");
	}
	(void)curl_multi_setopt(h->multi, CURLMOPT_SOCKETFUNCTION, on_curl_socket);
	(void)curl_multi_setopt(h->multi, CURLMOPT_SOCKETDATA, h);
	(void)curl_multi_setopt(h->multi, CURLMOPT_TIMERFUNCTION, on_curl_timer);
	(void)curl_multi_setopt(h->multi, CURLMOPT_TIMERDATA, h);
	*ret = h;
	return 0;
}

void http_free(struct http *h)
{
	if (!h)
		return;
	h->is_dead = true;
	for (struct http_req *r = h->reqs; r; r = r->next)
		if (r->state != REQ_ENDED)
			r->state = REQ_CANCELLED;
	if (!h->in_curl && !h->is_settling)
		destroy(h);
}

void http_cancel(struct http_req *r)
{
	if (!r || r->state == REQ_ENDED)
		return;
	if (r->http->in_curl)
		r->state = REQ_CANCELLED;
	else
		req_free(r);
}

#define SET(opt, value) (ok = ok && curl_easy_setopt(r->easy, (opt), (value)) == CURLE_OK)

static bool set_callbacks(struct http_req *r)
{
	bool ok = true;

	SET(CURLOPT_PRIVATE, r);
	SET(CURLOPT_ERRORBUFFER, r->error);
	SET(CURLOPT_HEADERFUNCTION, on_curl_header);
	SET(CURLOPT_HEADERDATA, r);
	SET(CURLOPT_WRITEFUNCTION, on_curl_body);
	SET(CURLOPT_WRITEDATA, r);
	return ok;
}

int http_start(struct http *h, const struct http_options *o, http_done_fn done,
	void *user, struct http_req **ret, struct err *e)
{
	struct http_req *r = calloc(1, sizeof(*r));

	if (!r)
		return err_set(e, -ENOMEM, "out of memory");
	r->http = h;
	r->prev = &h->reqs;
	r->next = h->reqs;
	if (r->next)
		r->next->prev = &r->next;
	h->reqs = r;
	r->user = user;
	buf_init(&r->body, o->body_max ? o->body_max : HTTP_BODY_MAX);
	r->easy = curl_easy_init();
	if (!r->easy || !http_setup(r->easy, o, &r->headers) || !set_callbacks(r)) {
		req_free(r);
		return err_set(e, -EINVAL, "the request cannot be set up");
	}
	if (o->timeout_us &&
		loop_timer(h->loop, loop_now(h->loop) + o->timeout_us + OVERDUE_US,
			on_overdue, r, &r->overdue) < 0) {
		req_free(r);
		return err_set(e, -ENOMEM, "out of memory");
	}
	r->done = done;
	r->on_data = o->on_data;
	r->on_open = o->on_open;
	r->on_head = o->on_head;
	if (!h->in_curl) {
		r->state = REQ_RUNNING;
		if (curl_multi_add_handle(h->multi, r->easy) != CURLM_OK) {
			req_free(r);
			return err_set(e, -ENOMEM, "the request cannot be started");
		}
	}
	r->on_gone = o->on_gone;
	if (ret)
		*ret = r;
	return 0;
}
