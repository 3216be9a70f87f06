// SPDX-License-Identifier: Apache-2.0
/* farrier-controller: flags, signals, lease, metrics; the work is done by reconcile.c. */
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <sys/random.h>

#include "chore.h"
#include "claim.h"
#include "lease.h"
#include "log.h"
#include "metrics.h"
#include "reconcile.h"

enum { EXIT_DONE = 0, EXIT_FAILED = 1, EXIT_USAGE = 2, EXIT_ENVIRONMENT = 3 };

struct options {
	const char *kubeconfig, *namespace_, *lease, *metrics, *node_selector, *builders,
		*startup_taint;
	const char *check, *retire, *agents; /* a Deployment; DaemonSets */
	unsigned patience_s, quorum;
	bool stream_lists;
	enum log_level level;
	bool once;
	bool topology;
};

struct controller {
	struct loop *loop;
	struct metrics *metrics;
	struct metrics_server *server;
	struct kube *kube;
	struct reconcile *reconcile;
	struct lease *lease;
	bool is_ending;
};

static void usage(FILE *to)
{
	(void)fputs(
		"usage: farrier-controller [OPTION]...\n"
		"Decides which accelerator drivers each node gets and rolls new versions out.\n"
		"\n"
		"  --kubeconfig FILE     talk to the cluster of FILE (default: in-cluster)\n"
		"  --namespace NS        namespace of the lease and of ConfigMaps\n"
		"                        (default: POD_NAMESPACE, then ours)\n"
		"  --lease NAME          name of the lease (default: farrier-controller)\n"
		"  --metrics ADDR        serve /metrics, /healthz, /readyz on HOST:PORT or :PORT\n"
		"  --builders PATTERNS   nodes that build for others, by name: 'build-*,n7' (default: none)\n"
		"  --quorum N            so many of them have to build the same bytes (1)\n"
		"  --node-selector SEL   manage only Nodes with these labels (default: all)\n"
		"  --startup-taint KEY   take this taint from a node whose devices are advertised\n"
		"  --stream-lists        list Nodes and AcceleratorNodes as streams (WatchList) where\n"
		"                        the server can; pages where it cannot\n"
		"  --topology            publish what agents tell of their NUMA nodes for schedulers,\n"
		"                        where the cluster knows NodeResourceTopology\n"
		"  --once                decide and act until nothing is left to do, then end\n"
		"  --check DEPLOYMENT    say whether the release of this Deployment works, and end\n"
		"  --retire DEPLOYMENT   before it is uninstalled: stop it, free AcceleratorDrivers of\n"
		"                        our finalizer, take the plugin's service from hosts; then end\n"
		"  --agents NAMES        with --retire: DaemonSets of agents, 'a,b'\n"
		"  --patience SECONDS    how long those two may take (default: 120)\n"
		"  --log-level L         debug, info, warn or error (default: info)\n"
		"  --version, --help\n"
		"\n"
		"NODE_NAME says which node this runs on: it is upgraded last.\n",
		to);
}

/* 1 to 99999. */
static int read_number(const char *text, unsigned *ret)
{
	unsigned n = 0;

	if (!*text || strlen(text) > 5)
		return -EINVAL;
	for (; *text; text++) {
		if (*text < '0' || *text > '9')
			return -EINVAL;
		n = n * 10 + (unsigned)(*text - '0');
	}
	*ret = n;
	return n > 0 ? 0 : -EINVAL;
}

/* 0: go on; positive: exit with this minus one. */
static int read_options(int argc, char **argv, struct options *o)
{
	static const struct option longs[] = {
		{ "kubeconfig", required_argument, NULL, 'k' },
		{ "namespace", required_argument, NULL, 'n' },
		{ "lease", required_argument, NULL, 'l' },
		{ "metrics", required_argument, NULL, 'm' },
		{ "builders", required_argument, NULL, 'b' },
		{ "quorum", required_argument, NULL, 'q' },
		{ "node-selector", required_argument, NULL, 's' },
		{ "startup-taint", required_argument, NULL, 't' },
		{ "stream-lists", no_argument, NULL, 'S' },
		{ "topology", no_argument, NULL, 'T' },
		{ "once", no_argument, NULL, 'o' },
		{ "check", required_argument, NULL, 'C' },
		{ "retire", required_argument, NULL, 'R' },
		{ "agents", required_argument, NULL, 'A' },
		{ "patience", required_argument, NULL, 'P' },
		{ "log-level", required_argument, NULL, 'L' },
		{ "version", no_argument, NULL, 'V' },
		{ "help", no_argument, NULL, 'h' },
		{ 0 },
	};
	int c;

	while ((c = getopt_long(argc, argv, "h", longs, NULL)) != -1) {
		switch (c) {
		case 'k':
			o->kubeconfig = optarg;
			break;
		case 'n':
			o->namespace_ = optarg;
			break;
		case 'l':
			o->lease = optarg;
			break;
		case 'm':
			o->metrics = optarg;
			break;
		case 'b':
			o->builders = optarg;
			break;
		case 'q':
			if (read_number(optarg, &o->quorum) < 0 ||
				o->quorum > CLAIM_QUORUM_MAX) {
				(void)fprintf(stderr,
					"'%s' builders cannot agree: 1 to %d\n", optarg,
					CLAIM_QUORUM_MAX);
				return 1 + EXIT_USAGE;
			}
			break;
		case 's':
			o->node_selector = optarg;
			break;
		case 'C':
			o->check = optarg;
			break;
		case 'R':
			o->retire = optarg;
			break;
		case 'A':
			o->agents = optarg;
			break;
		case 'P':
			if (read_number(optarg, &o->patience_s) < 0) {
				(void)fprintf(
					stderr, "no number of seconds: '%s'\n", optarg);
				return 1 + EXIT_USAGE;
			}
			break;
		case 'S':
			o->stream_lists = true;
			break;
		case 't':
			o->startup_taint = optarg;
			break;
		case 'T':
			o->topology = true;
			break;
		case 'o':
			o->once = true;
			break;
		case 'L':
			if (log_level_parse(optarg, &o->level) < 0) {
				(void)fprintf(stderr, "no log level '%s'\n", optarg);
				return 1 + EXIT_USAGE;
			}
			break;
		case 'V':
			(void)puts("farrier-controller " FARRIER_VERSION);
			return 1 + EXIT_DONE;
		case 'h':
			usage(stdout);
			return 1 + EXIT_DONE;
		default:
			usage(stderr);
			return 1 + EXIT_USAGE;
		}
	}
	if (optind == argc)
		return 0;
	(void)fprintf(stderr, "unexpected argument '%s'\n", argv[optind]);
	return 1 + EXIT_USAGE;
}

/* ---- what happens ---- */

static void on_lease(bool is_leader, void *user)
{
	struct controller *c = user;

	log_event(LOG_INFO, is_leader ? "leading" : "not leading", NULL);
	(void)metrics_set(c->metrics, METRIC_GAUGE, "farrier_controller_leads", NULL,
		"1 when this process leads", is_leader);
	if (c->is_ending)
		return;
	if (is_leader)
		reconcile_start(c->reconcile);
	else
		reconcile_stop(c->reconcile);
}

static void on_lease_link(bool is_up, const char *why, void *user)
{
	log_event(is_up ? LOG_INFO : LOG_WARN,
		is_up ? "the API server answers" : "cannot reach the lease", "why",
		is_up ? NULL : why, NULL);
}

static void on_released(void *user)
{
	struct controller *c = user;

	loop_exit(c->loop, EXIT_DONE);
}

static void on_signal(int signo, void *user)
{
	struct controller *c = user;

	if (c->is_ending) {
		loop_exit(c->loop, EXIT_DONE);
		return;
	}
	c->is_ending = true;
	log_event(LOG_INFO, "ending", "signal", signo == SIGTERM ? "TERM" : "INT", NULL);
	reconcile_stop(c->reconcile);
	lease_release(c->lease, on_released, c);
}

/* A standby is ready as it is: it knows nothing until it leads. */
static bool is_ready(void *user)
{
	struct controller *c = user;

	return !c->lease || !lease_is_leader(c->lease) ||
	       reconcile_is_synced(c->reconcile);
}

/* ---- set-up ---- */

static int make_identity(char *out, size_t size)
{
	const char *pod = getenv("POD_NAME");
	char host[256] = "";
	uint32_t salt = 0;

	if (str_empty(pod) && gethostname(host, sizeof(host) - 1) < 0)
		return -errno;
	if (getrandom(&salt, sizeof(salt), 0) != (ssize_t)sizeof(salt))
		return -EIO;
	(void)snprintf(out, size, "%s_%08x", str_empty(pod) ? host : pod, salt);
	return 0;
}

static const char *own_namespace(const struct controller *c, const struct options *o)
{
	const char *ns = o->namespace_;

	if (str_empty(ns))
		ns = getenv("POD_NAMESPACE");
	return str_empty(ns) ? kube_namespace(c->kube) : ns;
}

static void on_end(int signo, void *user)
{
	loop_exit(user, 0);
}

/* What a hook of the chart asks for. */
static int do_chore(struct controller *c, const struct options *o)
{
	struct kube_options ko = {
		.kubeconfig = o->kubeconfig,
		.user_agent = "farrier-controller/" FARRIER_VERSION,
	};
	struct chore_options co = {
		.deployment = o->check ? o->check : o->retire,
		.agents = o->agents,
		.patience_s = o->patience_s,
	};
	struct err e = { 0 };
	int r = loop_new(&c->loop, NULL, &e);

	if (r >= 0)
		r = loop_signal(c->loop, SIGTERM, on_end, c->loop, NULL);
	if (r >= 0)
		r = loop_signal(c->loop, SIGINT, on_end, c->loop, NULL);
	if (r >= 0)
		r = kube_new(c->loop, &ko, &c->kube, &e);
	if (r < 0) {
		log_error(&e, "cannot start", NULL);
		return EXIT_ENVIRONMENT;
	}
	co.namespace_ = own_namespace(c, o);
	r = o->check ? check_release(c->kube, &co) : retire_release(c->kube, &co);
	return r < 0 ? EXIT_FAILED : EXIT_DONE;
}

static int start_lease(struct controller *c, const struct options *o, struct err *e)
{
	struct lease_options lo = {
		.namespace_ = own_namespace(c, o),
		.name = o->lease ? o->lease : "farrier-controller",
		.on_link = on_lease_link,
	};
	char identity[320];
	int r = make_identity(identity, sizeof(identity));

	if (r < 0)
		return err_errno(e, r, "identity");
	lo.identity = identity;
	return lease_new(c->kube, &lo, on_lease, c, &c->lease, e);
}

static int set_up(struct controller *c, const struct options *o, struct err *e)
{
	struct kube_options ko = {
		.kubeconfig = o->kubeconfig,
		.user_agent = "farrier-controller/" FARRIER_VERSION,
	};
	struct reconcile_options ro = {
		.own_node = getenv("NODE_NAME"),
		.builders = o->builders,
		.quorum = o->quorum,
		.node_selector = o->node_selector,
		.startup_taint = o->startup_taint,
		.stream_lists = o->stream_lists,
		.topology = o->topology,
		.once = o->once,
	};
	int r = loop_new(&c->loop, NULL, e);

	if (r >= 0)
		r = metrics_new(&c->metrics);
	if (r >= 0)
		r = loop_signal(c->loop, SIGTERM, on_signal, c, NULL);
	if (r >= 0)
		r = loop_signal(c->loop, SIGINT, on_signal, c, NULL);
	if (r < 0)
		return err_wrap(e, r, "set-up");
	r = kube_new(c->loop, &ko, &c->kube, e);
	if (r >= 0) {
		ro.namespace_ = own_namespace(c, o);
		r = reconcile_new(c->kube, c->metrics, &ro, &c->reconcile, e);
	}
	if (r >= 0 && o->metrics)
		r = metrics_listen(c->loop, c->metrics, o->metrics, NULL, is_ready, c,
			&c->server, e);
	return r < 0 ? r : start_lease(c, o, e);
}

static void tear_down(struct controller *c)
{
	reconcile_free(c->reconcile);
	lease_free(c->lease);
	metrics_server_free(c->server);
	kube_free(c->kube);
	metrics_free(c->metrics);
	loop_free(c->loop);
}

int main(int argc, char **argv)
{
	struct options o = { .level = LOG_INFO };
	struct controller c = { 0 };
	struct err e = { 0 };
	int r = read_options(argc, argv, &o);

	if (r > 0)
		return r - 1;
	log_init("farrier-controller", o.level);
	(void)signal(SIGPIPE, SIG_IGN);
	if (o.check || o.retire) {
		r = do_chore(&c, &o);
		tear_down(&c);
		return r;
	}
	r = set_up(&c, &o, &e);
	if (r < 0) {
		log_error(&e, "cannot start", NULL);
		tear_down(&c);
		return EXIT_ENVIRONMENT;
	}
	log_event(LOG_INFO, "started", "version", FARRIER_VERSION, NULL);
	r = loop_run(c.loop);
	tear_down(&c);
	return r < 0 ? EXIT_FAILED : r;
}
