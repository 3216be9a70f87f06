// SPDX-License-Identifier: Apache-2.0
/* A umockdev testbed whose kernel events are made to order: prints its folder, then reads lines
 *     event SYSPATH ACTION
 * from stdin and answers each with "ok". The devices themselves are files that the caller makes. The
 * plugin runs in another process, preloaded with $UMOCKDEV_DIR. */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Of umockdev.h, which would want GLib's headers for these three. */
typedef struct UMockdevTestbed UMockdevTestbed;
UMockdevTestbed *umockdev_testbed_new(void);
char *umockdev_testbed_get_root_dir(UMockdevTestbed *t);
void umockdev_testbed_uevent(UMockdevTestbed *t, const char *path, const char *action);

/* umockdev's sender calls this one. It gives up (abort) when the reader's queue of ten datagrams is full, which a burst
 * does to a reader that is not scheduled for a moment; so it waits for room here. Ten seconds without is an error. */
ssize_t sendmsg(int fd, const struct msghdr *msg, int flags)
{
	struct pollfd p = { .fd = fd, .events = POLLOUT };
	ssize_t n;

	for (int i = 0; i < 10000; i++) {
		n = syscall(SYS_sendmsg, fd, msg, flags);
		if (n >= 0 || errno != EAGAIN)
			return n;
		(void)poll(&p, 1,
			1); /* says "writable" for datagrams whose peer has no room: hence the count */
		(void)usleep(1000);
	}
	errno = EAGAIN;
	return -1;
}

int main(void)
{
	UMockdevTestbed *t = umockdev_testbed_new();
	char line[1024], what[16], path[512], action[32];

	(void)setvbuf(stdout, NULL, _IOLBF, 0);
	(void)printf("%s\n", umockdev_testbed_get_root_dir(t));
	while (fgets(line, sizeof(line), stdin)) {
		if (sscanf(line, "%15s %511s %31s", what, path, action) == 3 &&
			strcmp(what, "event") == 0)
			umockdev_testbed_uevent(t, path, action);
		(void)printf("ok\n");
	}
	return 0;
}
