// SPDX-License-Identifier: Apache-2.0
/* inotify on one folder, taken up again when the folder is replaced. */
#include "folder.h"

#include <sys/epoll.h>
#include <sys/inotify.h>
#include <sys/stat.h>

struct folder {
	char *path;
	int fd, watch; /* -1: none */
	dev_t dev;
	ino_t ino;
	struct loop_source *source;
	void (*on_change)(void *user);
	void *user;
};

static void on_event(int fd, uint32_t events, void *user)
{
	struct folder *f = user;
	_Alignas(struct inotify_event) char data[4096];
	bool is_changed = false;

	while (read(fd, data, sizeof(data)) > 0)
		is_changed = true;
	if (is_changed)
		f->on_change(f->user);
}

int folder_new(struct loop *l, const char *path, void (*on_change)(void *user),
	void *user, struct folder **ret, struct err *e)
{
	CLEANUP(folder_freep) struct folder *f = calloc(1, sizeof(*f));
	int r;

	if (!f)
		return err_errno(e, -ENOMEM, "'%s'", path);
	f->fd = f->watch = -1;
	f->on_change = on_change;
	f->user = user;
	f->path = strdup(path);
	if (!f->path)
		return err_errno(e, -ENOMEM, "'%s'", path);
	f->fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	if (f->fd >= 0) {
		r = loop_io(l, f->fd, EPOLLIN, on_event, f, &f->source);
		if (r < 0)
			return err_errno(e, r, "'%s'", path);
		(void)folder_check(f);
	}
	*ret = TAKE(f);
	return 0;
}

bool folder_check(struct folder *f)
{
	struct stat st;

	if (f->fd < 0 || stat(f->path, &st) < 0)
		return false;
	if (f->watch >= 0 && st.st_dev == f->dev && st.st_ino == f->ino)
		return false;
	if (f->watch >= 0)
		(void)inotify_rm_watch(f->fd, f->watch);
	f->watch = inotify_add_watch(f->fd, f->path,
		IN_CREATE | IN_DELETE | IN_MOVED_TO | IN_MOVED_FROM | IN_CLOSE_WRITE |
			IN_ATTRIB | IN_DELETE_SELF | IN_ONLYDIR);
	f->dev = st.st_dev;
	f->ino = st.st_ino;
	return true;
}

void folder_free(struct folder *f)
{
	if (!f)
		return;
	loop_source_free(f->source);
	closep(&f->fd);
	free(f->path);
	free(f);
}
