// SPDX-License-Identifier: Apache-2.0
/* Four watches into one fleet. */
#include "feed.h"

#include "log.h"
#include "watch.h"

struct stream {
	struct feed *fd;
	enum fleet_kind kind;
	struct watch *watch;
};

struct feed {
	struct kube *kube;
	struct fleet *fleet;
	const char *namespace_;
	bool stream;
	char *node_selector;
	void (*on_change)(void *user);
	void *user;
	const struct watch_ops *observer; /* of AcceleratorNodes; NULL: none */
	void *observer_user;
	struct stream streams[FLEET_KINDS_];
};

static const char *const paths[FLEET_KINDS_] = {
	[FLEET_DRIVERS] = "/apis/" API_GROUP_VERSION "/acceleratordrivers",
	[FLEET_CLASSES] = "/apis/" API_GROUP_VERSION "/acceleratorclasses",
	[FLEET_NODES] = "/api/v1/nodes",
	[FLEET_ACCS] = "/apis/" API_GROUP_VERSION "/acceleratornodes",
	[FLEET_CONFIGS] = "configmaps", /* of our namespace */
};

/* Whom else this concerns; NULL: nobody. */
static const struct watch_ops *observer(const struct stream *s)
{
	return s->kind == FLEET_ACCS ? s->fd->observer : NULL;
}

static void on_list(void *user)
{
	struct stream *s = user;

	fleet_list_begin(s->fd->fleet, s->kind);
	if (observer(s))
		observer(s)->on_list(s->fd->observer_user);
}

static void on_item(const struct json *obj, void *user)
{
	struct stream *s = user;
	struct err e = { 0 };
	int r = fleet_put(s->fd->fleet, s->kind, obj, &e);

	if (r < 0)
		log_error(&e, "object left out", "collection", paths[s->kind], NULL);
	if (observer(s))
		observer(s)->on_item(obj, s->fd->observer_user);
	if (r > 0)
		s->fd->on_change(s->fd->user);
}

static void on_delete(const struct json *obj, void *user)
{
	struct stream *s = user;
	const char *name = json_str(json_path(obj, "metadata.name"));

	if (!name)
		return;
	fleet_delete(s->fd->fleet, s->kind, name);
	if (observer(s))
		observer(s)->on_delete(obj, s->fd->observer_user);
	s->fd->on_change(s->fd->user);
}

static void on_sync(void *user)
{
	struct stream *s = user;

	fleet_list_end(s->fd->fleet, s->kind);
	if (observer(s))
		observer(s)->on_sync(s->fd->observer_user);
	s->fd->on_change(s->fd->user);
}

static void on_link(bool is_up, const char *why, void *user)
{
	struct stream *s = user;

	log_event(is_up ? LOG_INFO : LOG_WARN, is_up ? "watching" : "cannot watch",
		"collection", paths[s->kind], "why", is_up ? NULL : why, NULL);
	if (s->kind == FLEET_CONFIGS && !is_up) { /* only their drivers suffer */
		fleet_without_configs(s->fd->fleet);
		s->fd->on_change(s->fd->user);
	}
}

static const struct watch_ops ops = {
	.on_list = on_list,
	.on_item = on_item,
	.on_delete = on_delete,
	.on_sync = on_sync,
	.on_link = on_link,
};

static int start(struct feed *fd, enum fleet_kind kind, struct err *e)
{
	struct watch_options o = { .path = paths[kind] };
	struct stream *s = &fd->streams[kind];
	struct buf path CLEANUP(buf_done);

	buf_init(&path, 1024);
	if (kind == FLEET_CONFIGS) {
		(void)buf_str(&path, "/api/v1/namespaces/");
		(void)kube_path_escape(&path, fd->namespace_);
		(void)buf_str(&path, "/configmaps");
		o.path = buf_cstr(&path);
	}
	o.is_streamed = fd->stream && (kind == FLEET_NODES || kind == FLEET_ACCS);
	if (kind == FLEET_NODES)
		o.label_selector = fd->node_selector;
	watch_free(s->watch);
	s->watch = NULL;
	fleet_list_begin(fd->fleet, kind);
	return watch_new(fd->kube, &o, &ops, s, &s->watch, e);
}

int feed_new(struct kube *k, struct fleet *f, const char *namespace_,
	const char *node_selector, bool stream, void (*on_change)(void *user), void *user,
	struct feed **ret, struct err *e)
{
	CLEANUP(feed_freep) struct feed *fd = calloc(1, sizeof(*fd));
	int r;

	if (!fd)
		return err_set(e, -ENOMEM, "out of memory");
	fd->kube = k;
	fd->fleet = f;
	fd->namespace_ = str_empty(namespace_) ? kube_namespace(k) : namespace_;
	fd->on_change = on_change;
	fd->stream = stream;
	fd->user = user;
	for (int i = 0; i < FLEET_KINDS_; i++)
		fd->streams[i] = (struct stream){ .fd = fd, .kind = i };
	if (!str_empty(node_selector)) {
		fd->node_selector = strdup(node_selector);
		if (!fd->node_selector)
			return err_set(e, -ENOMEM, "out of memory");
	}
	r = start(fd, FLEET_DRIVERS, e);
	if (r >= 0)
		r = start(fd, FLEET_CLASSES, e);
	if (r >= 0)
		r = start(fd, FLEET_ACCS, e);
	if (r < 0)
		return r;
	*ret = TAKE(fd);
	return 0;
}

void feed_free(struct feed *fd)
{
	if (!fd)
		return;
	for (int i = 0; i < FLEET_KINDS_; i++)
		watch_free(fd->streams[i].watch);
	free(fd->node_selector);
	free(fd);
}

void feed_observe(struct feed *fd, const struct watch_ops *who, void *user)
{
	fd->observer = who;
	fd->observer_user = user;
}

bool feed_check(struct feed *fd)
{
	struct err e = { 0 };
	struct watch *nodes = fd->streams[FLEET_NODES].watch;

	if (!fleet_is_synced(fd->fleet, FLEET_DRIVERS) ||
		!fleet_is_synced(fd->fleet, FLEET_CLASSES))
		return false;
	if ((fleet_filter_grew(fd->fleet) || !nodes) && start(fd, FLEET_NODES, &e) < 0)
		log_error(&e, "cannot watch", "collection", paths[FLEET_NODES], NULL);
	if (fleet_configs_grew(fd->fleet) && start(fd, FLEET_CONFIGS, &e) < 0) {
		log_error(&e, "cannot watch", "collection", paths[FLEET_CONFIGS], NULL);
		fleet_without_configs(fd->fleet);
	}
	return fleet_is_synced(fd->fleet, FLEET_NODES) &&
	       fleet_is_synced(fd->fleet, FLEET_ACCS) &&
	       fleet_is_synced(fd->fleet, FLEET_CONFIGS);
}
