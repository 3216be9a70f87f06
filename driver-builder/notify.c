// SPDX-License-Identifier: Apache-2.0
/* sd_notify without its library. */
#include "notify.h"

#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>

struct notify {
	struct loop *loop;
	struct loop_source *timer;
	uint64_t interval_us;
	int fd;
	struct sockaddr_un to;
	socklen_t to_len;
};

static void on_watchdog(void *user)
{
	struct notify *n = user;

	notify_send(n, "WATCHDOG=1");
	loop_timer_set(n->timer, loop_now(n->loop) + n->interval_us);
}

/* "@name" is an abstract socket. */
static bool set_address(struct notify *n, const char *path)
{
	size_t len = strlen(path);

	if (len < 2 || len >= sizeof(n->to.sun_path) || (*path != '/' && *path != '@'))
		return false;
	n->to.sun_family = AF_UNIX;
	memcpy(n->to.sun_path, path, len);
	if (*path == '@')
		n->to.sun_path[0] = '\0';
	n->to_len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len);
	return true;
}

static int start_watchdog(struct notify *n, struct err *e)
{
	const char *text = getenv("WATCHDOG_USEC"), *pid = getenv("WATCHDOG_PID");
	char own[32], *end;
	unsigned long long us;
	int r;

	(void)snprintf(own, sizeof(own), "%d", (int)getpid());
	if (!text || (pid && !streq(pid, own)))
		return 0;
	errno = 0;
	us = strtoull(text, &end, 10);
	if (errno || *end || us < 2)
		return err_set(e, -EINVAL, "WATCHDOG_USEC '%s' is no number", text);
	n->interval_us = us / 2;
	r = loop_timer(
		n->loop, loop_now(n->loop) + n->interval_us, on_watchdog, n, &n->timer);
	return r < 0 ? err_errno(e, r, "watchdog") : 0;
}

int notify_new(struct loop *l, struct notify **ret, struct err *e)
{
	const char *path = getenv("NOTIFY_SOCKET");
	struct notify *n = calloc(1, sizeof(*n));
	int r;

	if (!n)
		return err_errno(e, -ENOMEM, "notify");
	n->loop = l;
	n->fd = -1;
	if (path && set_address(n, path)) {
		n->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
		r = n->fd < 0 ? err_errno(e, -errno, "notify socket")
			      : start_watchdog(n, e);
		if (r < 0) {
			notify_free(n);
			return r;
		}
	}
	*ret = n;
	return 0;
}

void notify_free(struct notify *n)
{
	if (!n)
		return;
	loop_source_free(n->timer);
	closep(&n->fd);
	free(n);
}

void notify_send(struct notify *n, const char *text)
{
	if (n->fd >= 0)
		(void)sendto(n->fd, text, strlen(text), MSG_NOSIGNAL,
			(const struct sockaddr *)&n->to, n->to_len);
}
