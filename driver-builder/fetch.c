// SPDX-License-Identifier: Apache-2.0
/* One archive at a time: STATE/sources/<sha256>.part grows, is proved, and becomes STATE/sources/<sha256>. */
#include "fetch.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "file.h"
#include "http.h"

#define STALL_US (60 * USEC_PER_SEC)
#define TOTAL_US (3600 * USEC_PER_SEC)
enum { ATTEMPTS_MAX = 8, ETAG_MAX = 256, BODY_MAX = 64 << 10 };

struct fetch {
	const char *sha256;
	struct fetch_limits limits;
	char file[PATH_MAX], part[PATH_MAX], tag[PATH_MAX];
	char url[FETCH_URL_MAX + 1];
	char etag[ETAG_MAX]; /* of what the part is of; "" when the server gave none */
	struct loop *loop;
	struct http *http;
	struct http_req *req;
	struct loop_source *stall;
	int fd; /* the part, held locked */
	uint64_t size; /* bytes in the part */
	bool is_resumed; /* some of the part came by an earlier request */
	/* How the last request ended. */
	int result;
	long status;
	char location[FETCH_URL_MAX + 1], why[256];
	struct err *e;
};

static int unavailable(const struct fetch *f, int r, const char *why)
{
	return err_reason(
		f->e, r, REASON_SOURCE_UNAVAILABLE, "fetch '%.300s': %s", f->url, why);
}

static int bad_disk(const struct fetch *f, int r)
{
	return err_reason(f->e, r,
		r == -ENOSPC || r == -EDQUOT ? REASON_DISK_FULL : REASON_INTERNAL,
		"fetch to '%s': %s", f->part, strerror(-r));
}

/* ---- the part ---- */

static int start_over(struct fetch *f)
{
	f->size = 0;
	f->is_resumed = false;
	*f->etag = '\0';
	(void)unlink(f->tag);
	return ftruncate(f->fd, 0) < 0 ? -errno : 0;
}

static int open_part(struct fetch *f)
{
	struct stat st;

	f->fd = open(f->part, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	/* A command and the agent may want the same archive: the second waits and finds it. */
	if (f->fd < 0 || flock(f->fd, LOCK_EX) < 0 || fstat(f->fd, &st) < 0)
		return bad_disk(f, -errno);
	f->size = (uint64_t)st.st_size;
	f->is_resumed = f->size > 0;
	if (file_read_line(f->tag, f->etag, sizeof(f->etag)) < 0)
		*f->etag = '\0';
	return 0;
}

/* ---- one request ---- */

/* "bytes 100-199/200": does it begin where the part ends? */
static bool range_fits(const char *range, uint64_t size)
{
	unsigned long long from;
	char *end;

	if (!str_starts(range, "bytes "))
		return false;
	errno = 0;
	from = strtoull(range + strlen("bytes "), &end, 10);
	return errno == 0 && *end == '-' && from == size;
}

static int on_head(const struct http_response *head, void *user)
{
	struct fetch *f = user;
	int r = 0;

	if (head->status == 206 && f->size > 0)
		return range_fits(head->content_range, f->size) ? 0 : -ESTALE;
	if (head->status != 200)
		return -EPROTO;
	r = start_over(f);
	/* Only a strong tag says that the bytes are the same. */
	if (r == 0 && *head->etag == '"' && strlen(head->etag) < sizeof(f->etag)) {
		(void)snprintf(f->etag, sizeof(f->etag), "%s", head->etag);
		r = file_write_atomic(f->tag, f->etag, strlen(f->etag), 0600, NULL);
	}
	return r;
}

static int on_data(const char *data, size_t len, void *user)
{
	struct fetch *f = user;

	loop_timer_set(f->stall, loop_now(f->loop) + f->limits.stall_us);
	if (f->size + len > f->limits.bytes)
		return -EFBIG;
	while (len > 0) {
		ssize_t n = pwrite(f->fd, data, len, (off_t)f->size);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		data += n;
		len -= (size_t)n;
		f->size += (size_t)n;
	}
	return 0;
}

static void on_done(const struct http_response *res, void *user)
{
	struct fetch *f = user;

	f->req = NULL;
	f->result = res->result;
	f->status = res->status;
	(void)snprintf(f->location, sizeof(f->location), "%s", res->location);
	(void)snprintf(f->why, sizeof(f->why), "%s", res->error);
	loop_exit(f->loop, 0);
}

static void on_stall(void *user)
{
	struct fetch *f = user;

	http_cancel(TAKE(f->req));
	f->result = -ETIMEDOUT;
	f->status = 0;
	(void)snprintf(f->why, sizeof(f->why), "nothing came for %llu s",
		(unsigned long long)(f->limits.stall_us / USEC_PER_SEC));
	loop_exit(f->loop, 0);
}

static int request(struct fetch *f, uint64_t deadline_us)
{
	char range[64], if_range[ETAG_MAX + 16];
	const char *headers[] = { NULL, NULL, NULL };
	uint64_t now = loop_now(f->loop);
	struct http_options o = { .method = "GET",
		.url = f->url,
		.headers = headers,
		.timeout_us = deadline_us > now ? deadline_us - now : 1,
		.body_max = BODY_MAX,
		.on_data = on_data,
		.on_head = on_head };
	int r;

	if (f->size > 0) {
		(void)snprintf(range, sizeof(range), "Range: bytes=%llu-",
			(unsigned long long)f->size);
		headers[0] = range;
	}
	if (f->size > 0 && *f->etag) {
		(void)snprintf(if_range, sizeof(if_range), "If-Range: %s", f->etag);
		headers[1] = if_range;
	}
	*f->location = *f->why = '\0';
	loop_timer_set(f->stall, now + f->limits.stall_us);
	r = http_start(f->http, &o, on_done, f, &f->req, f->e);
	if (r == 0)
		r = loop_run(f->loop);
	loop_timer_set(f->stall, UINT64_MAX);
	return r;
}

/* ---- redirects ---- */

/* The address that @location means, seen from f->url, into f->url. */
static int follow(struct fetch *f)
{
	char next[FETCH_URL_MAX * 2], *host = strstr(f->url, "://"), *path;
	bool was_tls = str_starts(f->url, "https://");
	size_t keep;

	if (!host || str_empty(f->location))
		return unavailable(f, -EPROTO, "a redirect to nowhere");
	host += 3;
	path = host + strcspn(host, "/?#");
	if (strstr(f->location, "://"))
		keep = 0;
	else if (str_starts(f->location, "//"))
		keep = (size_t)(host - 2 - f->url);
	else if (*f->location == '/')
		keep = (size_t)(path - f->url);
	else
		keep = (size_t)(path - f->url) + strcspn(path, "?#");
	/* Beside the last part of the path. */
	if (keep > (size_t)(path - f->url) && *f->location != '/')
		while (f->url[keep - 1] != '/')
			keep--;
	if (snprintf(next, sizeof(next), "%.*s%s%s", (int)keep, f->url,
		    keep > 0 && keep == (size_t)(path - f->url) && *f->location != '/'
			    ? "/"
			    : "",
		    f->location) > FETCH_URL_MAX)
		return unavailable(f, -ENAMETOOLONG, "a redirect that is too long");
	if (!str_starts(next, "https://") && (was_tls || !str_starts(next, "http://")))
		return unavailable(f, -EPROTO, "a redirect to what is not https");
	memcpy(f->url, next, strlen(next) + 1);
	return 0;
}

static bool is_redirect(long status)
{
	return status == 301 || status == 302 || status == 303 || status == 307 ||
	       status == 308;
}

/* ---- the whole ---- */

/* What a request that brought no end means. 1: again; 0: the part is all there is. */
static int judge(struct fetch *f, uint64_t before)
{
	char text[300];

	if (f->result == 0 && (f->status == 200 || f->status == 206))
		return 0;
	/* The part is as long as the file, or longer. */
	if (f->result == 0 && f->status == 416 && f->size > 0)
		return 0;
	if (f->result == -ESTALE)
		return start_over(f) < 0 ? bad_disk(f, -errno) : 1;
	if (f->result == -EFBIG && (f->status == 200 || f->status == 206))
		return err_reason(f->e, -EFBIG, REASON_SOURCE_INVALID,
			"fetch '%.300s': more than %llu bytes", f->url,
			(unsigned long long)f->limits.bytes);
	if (f->result == -ENOSPC || f->result == -EDQUOT || f->result == -EIO)
		return bad_disk(f, f->result);
	/* Cut off, and further than before: the server lets us go on. */
	if (f->result < 0 && f->size > before)
		return 1;
	if (f->result < 0)
		return unavailable(f, f->result, *f->why ? f->why : strerror(-f->result));
	(void)snprintf(text, sizeof(text), "the server answers %ld", f->status);
	return unavailable(f, -EPROTO, text);
}

static int download(struct fetch *f)
{
	uint64_t deadline = loop_now(f->loop) + f->limits.total_us;
	unsigned attempts = 0, redirects = 0;

	for (;;) {
		uint64_t before = f->size;
		int r = request(f, deadline);

		if (r < 0)
			return r;
		if (f->result == 0 && is_redirect(f->status)) {
			if (++redirects > FETCH_REDIRECTS_MAX)
				return unavailable(f, -ELOOP, "too many redirects");
			r = follow(f);
			if (r < 0)
				return r;
			continue;
		}
		r = judge(f, before);
		if (r <= 0)
			return r;
		f->is_resumed = f->is_resumed || f->size > 0;
		if (++attempts >= ATTEMPTS_MAX)
			return unavailable(f, -ECONNRESET, "cut off again and again");
	}
}

static bool is_whole(const char *path, const char *sha256)
{
	char digest[DIGEST_HEX + 1];

	return digest_file(path, digest, NULL) == 0 && streq(digest, sha256);
}

/* Downloads and proves. What was put together from two downloads may be of two files: once more then. */
static int download_proved(struct fetch *f, const char *url)
{
	char digest[DIGEST_HEX + 1];
	bool was_resumed;
	int r;

	do {
		(void)snprintf(f->url, sizeof(f->url), "%s", url);
		r = download(f);
		if (r == 0)
			r = digest_file(f->part, digest, f->e);
		if (r < 0)
			return r;
		if (streq(digest, f->sha256))
			return 0;
		was_resumed = f->is_resumed;
		r = start_over(f);
		if (r < 0)
			return bad_disk(f, r);
	} while (was_resumed);
	return err_reason(f->e, -EBADMSG, REASON_SOURCE_DIGEST_MISMATCH,
		"'%.300s' has digest %s, the manifest wants %.64s", url, digest,
		f->sha256);
}

static int publish(struct fetch *f, const char *dir)
{
	if (fsync(f->fd) < 0 || rename(f->part, f->file) < 0)
		return bad_disk(f, -errno);
	(void)unlink(f->tag);
	return dir_sync(dir, f->e);
}

static void fetch_done(struct fetch *f)
{
	http_cancel(f->req);
	http_free(f->http);
	loop_source_free(f->stall);
	loop_free(f->loop);
	closep(&f->fd);
}

/* ---- what is kept ---- */

struct keep {
	const char *dir, *but;
	struct timespec oldest;
	char name[DIGEST_HEX + 1];
	size_t n;
};

static int keep_look(const char *name, void *user)
{
	struct keep *k = user;
	char path[PATH_MAX];
	struct stat st;

	if (strlen(name) != DIGEST_HEX ||
		path_join(path, sizeof(path), k->dir, name, NULL) < 0 ||
		stat(path, &st) < 0)
		return 0;
	k->n++;
	if (streq(name, k->but) ||
		(*k->name && (st.st_mtim.tv_sec > k->oldest.tv_sec ||
				     (st.st_mtim.tv_sec == k->oldest.tv_sec &&
					     st.st_mtim.tv_nsec >= k->oldest.tv_nsec))))
		return 0;
	k->oldest = st.st_mtim;
	memcpy(k->name, name, DIGEST_HEX + 1);
	return 0;
}

/* Takes away the archives that were used longest ago. */
static void prune(const char *dir, const char *but)
{
	for (;;) {
		struct keep k = { .dir = dir, .but = but };
		char path[PATH_MAX];

		if (dir_each(dir, keep_look, &k, NULL) < 0 || k.n <= FETCH_KEPT_MAX ||
			path_join(path, sizeof(path), dir, k.name, NULL) < 0 ||
			unlink(path) < 0)
			return;
	}
}

static int fetch(struct fetch *f, const char *dir, const char *url)
{
	int r = dir_make(dir, 0700, f->e);

	if (r == 0)
		r = open_part(f);
	if (r < 0)
		return r;
	/* Another one has just brought it. */
	if (is_whole(f->file, f->sha256)) {
		(void)unlink(f->part);
		return 0;
	}
	r = loop_new(&f->loop, NULL, f->e);
	if (r == 0)
		r = http_new(f->loop, &f->http, f->e);
	if (r == 0 && loop_timer(f->loop, UINT64_MAX, on_stall, f, &f->stall) < 0)
		r = err_errno(f->e, -ENOMEM, "fetch");
	if (r == 0)
		r = download_proved(f, url);
	return r < 0 ? r : publish(f, dir);
}

int fetch_archive(const char *state, const char *url, const char *sha256,
	const struct fetch_limits *limits, char ret_path[PATH_MAX], struct err *e)
{
	CLEANUP(freep) struct fetch *f = calloc(1, sizeof(*f));
	char dir[PATH_MAX];
	int n, r;

	if (!f)
		return err_errno(e, -ENOMEM, "fetch");
	f->limits = limits ? *limits : (struct fetch_limits){ 0 };
	f->limits.bytes = f->limits.bytes ? f->limits.bytes : FETCH_BYTES_MAX;
	f->limits.stall_us = f->limits.stall_us ? f->limits.stall_us : STALL_US;
	f->limits.total_us = f->limits.total_us ? f->limits.total_us : TOTAL_US;
	f->sha256 = sha256;
	f->e = e;
	f->fd = -1;
	r = path_join(dir, sizeof(dir), state, "sources", NULL);
	if (r == 0)
		r = path_join(f->file, sizeof(f->file), dir, sha256, NULL);
	n = snprintf(f->part, sizeof(f->part), "%s.part", f->file);
	if (r < 0 || n >= PATH_MAX || strlen(url) > FETCH_URL_MAX ||
		snprintf(f->tag, sizeof(f->tag), "%s.etag", f->file) >= PATH_MAX)
		return err_errno(e, -ENAMETOOLONG, "fetch");
	if (!is_whole(f->file, sha256))
		r = fetch(f, dir, url);
	fetch_done(f);
	if (r < 0)
		return r;
	/* The time of the last use. */
	(void)utimensat(AT_FDCWD, f->file, NULL, 0);
	prune(dir, sha256);
	memcpy(ret_path, f->file, PATH_MAX);
	return 0;
}
