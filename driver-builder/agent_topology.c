// SPDX-License-Identifier: Apache-2.0
/* The agent's part in topology for schedulers: what it tells in its status, and when the kubelet is asked. */
#include <limits.h>
#include <sys/stat.h>

#include "act.h"
#include "file.h"
#include "log.h"
#include "status.h"

static void on_round(bool is_changed, const struct err *e, void *user)
{
	struct agent *a = user;
	bool is_ill = e->code < 0;

	if (is_ill && !a->topology.is_ill)
		log_error(e, "topology not known anew", NULL);
	else if (!is_ill && a->topology.is_ill)
		log_event(LOG_INFO, "topology known again", NULL);
	a->topology.is_ill = is_ill;
	(void)metrics_set(a->metrics, METRIC_GAUGE, "farrier_topology_known", NULL,
		"1 while the kubelet says what is free on each NUMA node.", !is_ill);
	if (is_changed)
		agent_look(a, 0);
}

int agent_topology_start(struct agent *a, struct err *e)
{
	const struct topology_watch_options o = { &a->o->env, a->o->topology.socket,
		a->o->topology.every_us };

	if (a->o->is_standalone || !a->o->topology.is_on)
		return 0;
	return topology_watch_new(a->loop, &o, json_get(a->status, "topology"), on_round,
		a, &a->topology.watch, e);
}

/* Does the plugin advertise anything? It writes devices.json when its devices change. */
static void look_at_plugin(struct agent *a)
{
	CLEANUP(freep) char *text = NULL;
	CLEANUP(json_freep) struct json *j = NULL;
	char path[PATH_MAX];
	struct stat st;
	size_t len;

	if (path_join(path, sizeof(path), a->o->env.run, "devices.json", NULL) < 0 ||
		stat(path, &st) < 0 ||
		(st.st_ino == a->topology.ino &&
			st.st_mtim.tv_sec == a->topology.at.tv_sec &&
			st.st_mtim.tv_nsec == a->topology.at.tv_nsec))
		return;
	if (file_read(path, STATUS_BYTES_MAX, &text, &len, NULL) < 0 ||
		json_parse(text, len, &j, NULL) < 0)
		return;
	a->topology.ino = st.st_ino;
	a->topology.at = st.st_mtim;
	a->topology.has_devices = json_len(json_get(j, "devices")) > 0;
	topology_watch_poke(a->topology.watch);
}

void agent_topology(struct agent *a, struct api_node_status *st)
{
	const struct api_node_topology *t;

	if (!a->topology.watch)
		return;
	look_at_plugin(a);
	t = topology_watch_get(a->topology.watch);
	/* A node without accelerators is none of our business. */
	if (t && (st->devices.n > 0 || a->topology.has_devices))
		st->topology = *t;
}
