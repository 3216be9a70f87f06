// SPDX-License-Identifier: Apache-2.0
/* `run`: the agent. */
#include <signal.h>
#include <stdio.h>

#include "agent.h"
#include "cli.h"
#include "plugin.h"
#include "topology_watch.h"

static void on_stop(int signo, void *user)
{
	loop_exit(user, 0);
}

static void on_hup(int signo, void *user)
{
	agent_poke(*(struct agent **)user);
}

static int run_loop(struct cli *c, const struct agent_options *o, struct err *e)
{
	CLEANUP(loop_freep) struct loop *l = NULL;
	CLEANUP(agent_freep) struct agent *a = NULL;
	int r;

	r = loop_new(&l, NULL, e);
	if (r == 0)
		r = loop_signal(l, SIGTERM, on_stop, l, NULL);
	if (r == 0)
		r = loop_signal(l, SIGINT, on_stop, l, NULL);
	if (r == 0)
		r = loop_signal(l, SIGHUP, on_hup, &a, NULL);
	if (r == 0)
		r = agent_new(l, o, &a, e);
	if (r < 0)
		return err_wrap(e, r, "start");
	log_event(LOG_INFO, "started", "version", FARRIER_VERSION, "mode",
		o->is_standalone ? "standalone" : "cluster", "root", o->env.root, NULL);
	return loop_run(l);
}

/* The device plugin as a service of the host, or no longer: by every start, so that an upgraded
 * image brings the plugin along. A failure does not stop the agent: drivers matter more. */
static int place_plugin(
	const struct cli *c, const char *mode, const char *bundle, const char *args)
{
	struct err e = { 0 };
	bool is_started = true;
	int r = 0;

	if (streq(mode, "HostService"))
		r = plugin_install(&c->env, bundle, args, &is_started, &e);
	else if (streq(mode, "DaemonSet"))
		r = plugin_remove(&c->env, &e);
	else
		return -EINVAL;
	if (r < 0)
		log_error(&e, "device plugin not placed", "mode", mode, NULL);
	else if (!is_started)
		log_event(LOG_WARN,
			"device plugin installed; it starts with the next boot", NULL);
	return 0;
}

/* "60"; false: no number of seconds that makes sense here. */
static bool read_interval(const char *text, uint64_t *ret_us)
{
	unsigned s = 0;

	if (!*text || strlen(text) > 4 || text[strspn(text, "0123456789")])
		return false;
	for (; *text; text++)
		s = s * 10 + (unsigned)(*text - '0');
	*ret_us = s * USEC_PER_SEC;
	return s >= TOPOLOGY_EVERY_MIN_S && s <= TOPOLOGY_EVERY_MAX_S;
}

int cli_run(struct cli *c, int argc, char **argv)
{
	const char *manifests = ENV_MANIFESTS, *node = getenv("NODE_NAME"),
		   *kubeconfig = NULL;
	const char *reboot = NULL, *metrics = NULL, *mode = NULL, *bundle = PLUGIN_BUNDLE,
		   *args = NULL, *interval = NULL, *socket = TOPOLOGY_SOCKET;
	uint64_t every_us = TOPOLOGY_EVERY_S * USEC_PER_SEC;
	struct remote remote = { NULL, NULL, NULL };
	bool is_standalone = false, has_topology = false;
	const struct cli_option own[] = {
		{ "standalone", NULL, &is_standalone,
			"no cluster: manifests from a folder" },
		{ "manifests", "DIR", &manifests,
			"standalone: AcceleratorDriver files (" ENV_MANIFESTS ")" },
		{ "node-name", "NAME", &node, "our AcceleratorNode ($NODE_NAME)" },
		{ "kubeconfig", "FILE", &kubeconfig, "outside a pod" },
		{ "metrics", "ADDR", &metrics,
			"serve /metrics at host:port or unix:PATH" },
		{ "registry", "REF", &remote.registry,
			"share what is built there: host[:port]/prefix" },
		{ "registry-auth", "FILE", &remote.auth_file,
			"credentials of registries: a Docker config.json" },
		{ "registry-ca", "FILE", &remote.ca_file,
			"CA of registries (the system's)" },
		{ "topology", NULL, &has_topology,
			"tell what is free on each NUMA node, for schedulers" },
		{ "topology-interval", "SECONDS", &interval,
			"how often the kubelet is asked for it (60)" },
		{ "pod-resources", "SOCKET", &socket,
			"the kubelet's, below the root (" TOPOLOGY_SOCKET ")" },
		{ "reboot-command", "PROGRAM", &reboot,
			"reboots when a wave asks for it (the host's systemctl)" },
		{ "plugin-mode", "MODE", &mode,
			"HostService: install the device plugin on the host; DaemonSet: remove it there" },
		{ "plugin-bundle", "DIR", &bundle,
			"where its bundle is (" PLUGIN_BUNDLE ")" },
		{ "plugin-args", "ARGS", &args, "options for the plugin's service" },
		{ NULL },
	};
	const struct cli_command *cmd = cli_find("run");
	struct agent_options o;
	struct err e = { 0 };
	int r;

	if (!cli_parse(c, cmd, own, argc, argv, 0, 0))
		return cli_early(c);
	if (!is_standalone && str_empty(node)) {
		(void)fprintf(stderr,
			"farrier-driver-builder run: --node-name or --standalone is needed\n");
		return CLI_USAGE;
	}
	if (interval && !read_interval(interval, &every_us)) {
		(void)fprintf(stderr,
			"farrier-driver-builder run: --topology-interval is %d to %d seconds\n",
			TOPOLOGY_EVERY_MIN_S, TOPOLOGY_EVERY_MAX_S);
		return CLI_USAGE;
	}
	if (mode && place_plugin(c, mode, bundle, args) < 0) {
		(void)fprintf(stderr, "farrier-driver-builder run: no plugin mode '%s'\n",
			mode);
		return CLI_USAGE;
	}
	o = (struct agent_options){
		.env = c->env,
		.is_standalone = is_standalone,
		.manifests = manifests,
		.node_name = node,
		.kubeconfig = kubeconfig,
		.metrics = metrics,
		.remote = remote,
		.topology = { has_topology, socket, every_us },
		.reboot_command = reboot,
	};
	r = run_loop(c, &o, &e);
	if (r >= 0)
		return CLI_DONE;
	log_error(&e, "stopped", NULL);
	return cli_fail(c, &e) == CLI_DONE ? CLI_DONE : CLI_ENVIRONMENT;
}
