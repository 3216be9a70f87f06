// SPDX-License-Identifier: Apache-2.0
/* All resources of the process, and the kubelet's folder: whose sockets are there, and whether it is
 * another kubelet than before. */
#include "service.h"

#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>

#include "file.h"
#include "folder.h"
#include "log.h"
#include "messages.h"
#include "resource.h"

enum { RESOURCES_MAX = 256 };
/* Behind inotify, and without it; and while a machine boots, when every millisecond counts. */
static const uint64_t poll_us = 1 * USEC_PER_SEC;
static const uint64_t boot_poll_us = 10 * USEC_PER_MSEC;
static const uint64_t boot_us = 60 * USEC_PER_SEC;

struct service {
	struct resource_host host;
	struct folder *folder;
	struct loop_source *timer;
	struct resource *resources;
	size_t n_resources;
	struct stat kubelet; /* the kubelet.sock that we know; st_ino 0: none */
};

static struct resource *find(struct service *s, const char *name)
{
	for (struct resource *r = s->resources; r; r = r->next)
		if (streq(r->name, name) && !r->is_leaving)
			return r;
	return NULL;
}

static int add(
	struct service *s, const struct resource_view *v, struct buf *list, struct err *e)
{
	struct resource *r = NULL;
	int rc = resource_new(&s->host, v->name, v->wants_pre_start, list, &r, e);

	if (rc < 0)
		return rc;
	r->next = s->resources;
	s->resources = r;
	s->n_resources++;
	return 0;
}

void service_update(struct service *s, const struct snapshot *snapshot,
	const struct topology *topology)
{
	s->host.snapshot = snapshot;
	s->host.topology = topology;
	if (s->host.is_stopping)
		return;
	for (size_t i = 0; i < snapshot->n_resources; i++) {
		const struct resource_view *v = &snapshot->resources[i];
		struct resource *r = find(s, v->name);
		struct err e = { 0 };
		struct buf list;
		size_t left_out;
		int rc;

		buf_init(&list, LIST_MAX);
		rc = message_list(v, &list, &left_out);
		if (r)
			resource_pre_start(r, v->wants_pre_start);
		if (rc == 0 && r)
			resource_list(r, &list);
		else if (rc == 0 && s->n_resources < RESOURCES_MAX)
			rc = add(s, v, &list, &e);
		buf_done(&list);
		if (rc < 0)
			log_error(&e, "cannot serve", "resource", v->name, NULL);
		if (rc == 0 && left_out)
			log_event(LOG_ERROR,
				"more devices than a kubelet takes: the last are left out",
				"resource", v->name, NULL);
	}
	for (struct resource *r = s->resources; r; r = r->next)
		if (!r->is_leaving && !snapshot_resource(snapshot, r->name))
			resource_leave(r);
}

/* ---- the kubelet's folder ---- */
static void check_sockets(struct service *s, bool is_new_kubelet)
{
	for (struct resource *r = s->resources; r; r = r->next) {
		struct err e = { 0 };
		bool is_there;

		if (r->is_leaving)
			continue;
		is_there = grpc_server_is_there(r->server);
		if (!is_there && grpc_server_rebind(r->server, &e) < 0) {
			if (!r->is_lost_logged)
				log_error(&e, "cannot serve", "resource", r->name, NULL);
			r->is_lost_logged = true;
			continue;
		}
		r->is_lost_logged = false;
		if (!is_there)
			log_event(LOG_INFO, "our socket was deleted: made again",
				"resource", r->name, NULL);
		if (!is_there || is_new_kubelet)
			registration_renew(r->registration);
	}
}

static void reap(struct service *s)
{
	struct resource **p = &s->resources;

	while (*p) {
		struct resource *r = *p;

		if (!r->is_leaving || (grpc_server_conns(r->server) > 0 &&
					      loop_now(s->host.loop) < r->leave_at_us)) {
			p = &r->next;
			continue;
		}
		*p = r->next;
		s->n_resources--;
		resource_free(r);
	}
}

/* Looks at the folder: our sockets, and whether kubelet.sock is another one than before. */
static void look(struct service *s)
{
	struct stat st = { 0 };
	bool is_new;

	if (s->host.is_stopping)
		return;
	if (lstat(s->host.kubelet_socket, &st) < 0)
		st.st_ino = 0;
	is_new = st.st_ino &&
		 (st.st_ino != s->kubelet.st_ino || st.st_dev != s->kubelet.st_dev ||
			 memcmp(&st.st_ctim, &s->kubelet.st_ctim, sizeof(st.st_ctim)) !=
				 0);
	s->kubelet = st;
	check_sockets(s, is_new);
}

static void on_folder(void *user)
{
	look(user);
}

static bool is_boot(void)
{
	struct timespec t = { 0 };

	return clock_gettime(CLOCK_BOOTTIME, &t) == 0 &&
	       (uint64_t)t.tv_sec * USEC_PER_SEC < boot_us;
}

static void on_poll(void *user)
{
	struct service *s = user;

	if (folder_check(s->folder))
		log_event(LOG_DEBUG, "watching the kubelet's folder", NULL);
	look(s);
	reap(s);
	loop_timer_set(
		s->timer, loop_now(s->host.loop) + (is_boot() ? boot_poll_us : poll_us));
}

/* A socket nobody listens on is one of a dead process of ours. */
static int sweep_one(const char *name, void *user)
{
	const struct service *s = user;
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	CLEANUP(closep) int fd = -1;
	size_t n = strlen(name);

	if (!str_starts(name, "farrier-") || n < 5 || !streq(name + n - 5, ".sock") ||
		path_join(a.sun_path, sizeof(a.sun_path), s->host.kubelet_dir, name,
			NULL) < 0)
		return 0;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd >= 0 && connect(fd, (struct sockaddr *)&a, sizeof(a)) < 0 &&
		errno == ECONNREFUSED)
		(void)unlink(a.sun_path);
	return 0;
}

int service_new(struct loop *l, const struct service_options *o, struct service **ret,
	struct err *e)
{
	CLEANUP(service_freep) struct service *s = calloc(1, sizeof(*s));
	int r;

	if (!s)
		return err_errno(e, -ENOMEM, "service");
	s->host.loop = l;
	s->host.kubelet_dir = o->kubelet_dir;
	s->host.metrics = o->metrics;
	s->host.prestart = o->prestart;
	s->host.on_stream_lost = o->on_stream_lost;
	s->host.user = o->user;
	(void)snprintf(s->host.tag, sizeof(s->host.tag), "%06x",
		(unsigned)loop_random(l, 1u << 24));
	if (asprintf(&s->host.kubelet_socket, "%s/kubelet.sock", o->kubelet_dir) < 0) {
		s->host.kubelet_socket = NULL;
		return err_errno(e, -ENOMEM, "service");
	}
	r = dir_make(o->kubelet_dir, 0750, e);
	if (r < 0)
		return err_wrap(e, r, "kubelet's folder");
	(void)dir_each(o->kubelet_dir, sweep_one, s, NULL);
	if (lstat(s->host.kubelet_socket, &s->kubelet) < 0)
		s->kubelet.st_ino = 0;
	r = folder_new(l, o->kubelet_dir, on_folder, s, &s->folder, e);
	if (r < 0)
		return r;
	r = loop_timer(l, loop_now(l), on_poll, s, &s->timer);
	if (r < 0)
		return err_errno(e, r, "service");
	*ret = TAKE(s);
	return 0;
}

void service_stop(struct service *s)
{
	s->host.is_stopping = true;
	for (struct resource *r = s->resources; r; r = r->next) {
		if (!r->is_leaving)
			resource_stop(r);
	}
}

bool service_is_idle(const struct service *s)
{
	for (const struct resource *r = s->resources; r; r = r->next)
		if (grpc_server_conns(r->server) > 0)
			return false;
	return true;
}

void service_free(struct service *s)
{
	if (!s)
		return;
	s->host.is_stopping = true;
	while (s->resources) {
		struct resource *r = s->resources;

		s->resources = r->next;
		resource_free(r);
	}
	folder_free(s->folder);
	loop_source_free(s->timer);
	free(s->host.kubelet_socket);
	free(s);
}

size_t service_len(const struct service *s)
{
	size_t n = 0;

	for (const struct resource *r = s->resources; r; r = r->next)
		n += !r->is_leaving;
	return n;
}

const char *service_resource(
	const struct service *s, size_t i, enum registration_state *ret_state)
{
	for (const struct resource *r = s->resources; r; r = r->next) {
		if (r->is_leaving || i-- > 0)
			continue;
		*ret_state = r->registration ? registration_state(r->registration)
					     : REGISTRATION_WAITING;
		return r->name;
	}
	return NULL;
}
