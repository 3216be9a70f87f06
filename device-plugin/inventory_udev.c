// SPDX-License-Identifier: Apache-2.0
/* Listens to the kernel's own uevents (a pod has no udevd): that something changed, never what. */
#include "inventory_udev.h"

#include <libudev.h>
#include <sys/epoll.h>

enum { EVENTS_PER_WAKE = 256, RECEIVE_BYTES = 1 << 20 };

struct inventory_udev {
	struct udev *udev;
	struct udev_monitor *monitor;
	struct loop_source *source;
	void (*on_change)(void *user);
	void *user;
};

/* Every event leads to a new scan, so their contents do not matter, and neither does a lost one:
 * ENOBUFS is a change as well. Receiving one event at a time keeps the socket from overflowing. */
static void on_event(int fd, uint32_t events, void *user)
{
	struct inventory_udev *u = user;
	bool is_changed = false;

	for (int i = 0; i < EVENTS_PER_WAKE; i++) {
		struct udev_device *d;

		errno = 0;
		d = udev_monitor_receive_device(u->monitor);
		if (!d && errno != ENOBUFS)
			break;
		is_changed = true;
		udev_device_unref(d);
	}
	if (is_changed)
		u->on_change(u->user);
}

int inventory_udev_new(struct loop *l, void (*on_change)(void *user), void *user,
	struct inventory_udev **ret, struct err *e)
{
	struct inventory_udev *u = calloc(1, sizeof(*u));
	int r = -ENOMEM;

	if (!u)
		return err_errno(e, -ENOMEM, "udev");
	u->on_change = on_change;
	u->user = user;
	u->udev = udev_new();
	if (u->udev)
		u->monitor = udev_monitor_new_from_netlink(u->udev, "kernel");
	if (u->monitor) {
		(void)udev_monitor_set_receive_buffer_size(u->monitor, RECEIVE_BYTES);
		r = udev_monitor_enable_receiving(u->monitor);
	}
	if (r >= 0)
		r = loop_io(l, udev_monitor_get_fd(u->monitor), EPOLLIN, on_event, u,
			&u->source);
	if (r < 0) {
		inventory_udev_free(u);
		return err_errno(e, r, "kernel events");
	}
	*ret = u;
	return 0;
}

void inventory_udev_free(struct inventory_udev *u)
{
	if (!u)
		return;
	loop_source_free(u->source);
	udev_monitor_unref(u->monitor);
	udev_unref(u->udev);
	free(u);
}
