// SPDX-License-Identifier: Apache-2.0
/* farrier-device-plugin: options, signals, readiness. */
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "log.h"
#include "plugin.h"
#include "single.h"

enum { EXIT_DONE, EXIT_FAILED, EXIT_USAGE, EXIT_ENVIRONMENT };
enum {
	OPT_CLASSES = 256,
	OPT_KUBELET_DIR,
	OPT_CDI_DIR,
	OPT_RUN,
	OPT_ROOT,
	OPT_METRICS,
	OPT_KUBELET_CONFIG,
	OPT_LIST,
	OPT_EXPLAIN,
	OPT_JSON,
	OPT_LOG_LEVEL,
	OPT_VERSION,
};

static const struct option options[] = {
	{ "classes", required_argument, NULL, OPT_CLASSES },
	{ "kubelet-dir", required_argument, NULL, OPT_KUBELET_DIR },
	{ "cdi-dir", required_argument, NULL, OPT_CDI_DIR },
	{ "run", required_argument, NULL, OPT_RUN },
	{ "root", required_argument, NULL, OPT_ROOT },
	{ "metrics", required_argument, NULL, OPT_METRICS },
	{ "kubelet-config", required_argument, NULL, OPT_KUBELET_CONFIG },
	{ "list", no_argument, NULL, OPT_LIST },
	{ "explain", no_argument, NULL, OPT_EXPLAIN },
	{ "json", no_argument, NULL, OPT_JSON },
	{ "log-level", required_argument, NULL, OPT_LOG_LEVEL },
	{ "version", no_argument, NULL, OPT_VERSION },
	{ "help", no_argument, NULL, 'h' },
	{ 0 },
};

static const char usage[] =
	"usage: farrier-device-plugin [options]\n"
	"Advertises the accelerators of this node to its kubelet.\n"
	"\n"
	"  --classes DIR      AcceleratorClass files (*.yaml, *.json); may be given again\n"
	"                     (default /etc/farrier/classes.d and /var/lib/farrier/classes)\n"
	"  --kubelet-dir DIR  the kubelet's plugin folder (default /var/lib/kubelet/device-plugins)\n"
	"  --cdi-dir DIR      where CDI specs go (default /var/run/cdi)\n"
	"  --run DIR          devices.json and stable device links (default /run/farrier)\n"
	"  --root DIR         the host's root as seen here, for device nodes (default /)\n"
	"  --kubelet-config FILE  the kubelet's configuration (default: found by its process)\n"
	"  --metrics ADDR     serve /metrics, /healthz and /readyz at host:port or unix:PATH\n"
	"  --list             print devices and classes, and exit\n"
	"  --explain          print for each device why it is or is not allocatable, and exit\n"
	"  --json             with --list and --explain: JSON\n"
	"  --log-level L      debug, info, warn or error (default info)\n"
	"  --version, --help\n"
	"\n"
	"Exit status: 0 done, 1 failed, 2 usage, 3 environment.\n";

struct settings {
	struct plugin_options plugin;
	bool is_list, is_explain, is_json;
};

static int usage_error(void)
{
	(void)fputs(usage, stderr);
	return EXIT_USAGE;
}

/* -1: go on; else the exit status. */
static int parse(int argc, char **argv, struct settings *s)
{
	enum log_level level;
	int c;

	while ((c = getopt_long(argc, argv, "h", options, NULL)) != -1) {
		switch (c) {
		case OPT_CLASSES:
			if (s->plugin.n_class_dirs >= CLASS_DIRS_MAX)
				return usage_error();
			s->plugin.class_dirs[s->plugin.n_class_dirs++] = optarg;
			break;
		case OPT_KUBELET_DIR:
			s->plugin.kubelet_dir = optarg;
			break;
		case OPT_CDI_DIR:
			s->plugin.cdi_dir = optarg;
			break;
		case OPT_RUN:
			s->plugin.run_dir = optarg;
			break;
		case OPT_ROOT:
			s->plugin.root = streq(optarg, "/") ? "" : optarg;
			break;
		case OPT_METRICS:
			s->plugin.metrics = optarg;
			break;
		case OPT_KUBELET_CONFIG:
			s->plugin.kubelet_config = optarg;
			break;
		case OPT_LIST:
			s->is_list = true;
			break;
		case OPT_EXPLAIN:
			s->is_explain = true;
			break;
		case OPT_JSON:
			s->is_json = true;
			break;
		case OPT_LOG_LEVEL:
			if (log_level_parse(optarg, &level) < 0)
				return usage_error();
			log_init("device-plugin", level);
			break;
		case OPT_VERSION:
			(void)puts(FARRIER_VERSION);
			return EXIT_DONE;
		case 'h':
			(void)fputs(usage, stdout);
			return EXIT_DONE;
		default:
			return usage_error();
		}
	}
	if (optind != argc || (s->is_list && s->is_explain))
		return usage_error();
	return -1;
}

/* Tells systemd how we are (Type=notify): one datagram, "READY=1". */
static void notify(const char *state)
{
	const char *path = getenv("NOTIFY_SOCKET");
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	CLEANUP(closep) int fd = -1;
	size_t n;

	if (!path || (path[0] != '/' && path[0] != '@'))
		return;
	n = strlen(path);
	if (n >= sizeof(a.sun_path))
		return;
	memcpy(a.sun_path, path, n);
	if (a.sun_path[0] == '@')
		a.sun_path[0] = '\0'; /* abstract: the length says where it ends */
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd >= 0)
		(void)sendto(fd, state, strlen(state), MSG_NOSIGNAL,
			(struct sockaddr *)&a,
			(socklen_t)(offsetof(struct sockaddr_un, sun_path) + n));
}

/* What runs, or waits until another plugin on this node is gone. */
struct server {
	const struct plugin_options *options;
	struct loop *loop;
	struct plugin *plugin; /* NULL while it waits */
	struct loop_source *again;
	int lock;
	bool has_said; /* that it waits */
};

enum { WAIT_US = 50 * 1000 };

static void on_signal(int signo, void *user)
{
	struct server *s = user;

	log_event(LOG_INFO, "stopping", "signal", strsignal(signo), NULL);
	notify("STOPPING=1");
	if (s->plugin)
		plugin_stop(s->plugin);
	else
		loop_exit(s->loop, EXIT_DONE);
}

static int exit_status(int r)
{
	return r == -EACCES || r == -EPERM || r == -ENOENT || r == -EROFS ||
			       r == -EADDRINUSE
		       ? EXIT_ENVIRONMENT
		       : EXIT_FAILED;
}

/* Starts serving, or comes back later: the kubelet asks whoever registered last, so two would take the
 * resources from each other for ever. */
static void start(void *user)
{
	struct server *s = user;
	struct err e = { 0 };
	int r;

	r = single_take(s->options->run_dir, &s->lock, &e);
	if (r == -EAGAIN) {
		if (!s->has_said)
			log_event(LOG_INFO, "waiting for the other one to end", "why",
				e.text, NULL);
		s->has_said = true;
		loop_timer_set(s->again, loop_now(s->loop) + WAIT_US);
		return;
	}
	if (r == 0)
		r = plugin_new(s->loop, s->options, &s->plugin, &e);
	if (r < 0) {
		log_error(&e, "cannot start", NULL);
		loop_exit(s->loop, exit_status(r));
		return;
	}
	log_event(LOG_INFO, "serving", "version", FARRIER_VERSION, NULL);
	notify("READY=1");
}

static int serve(const struct plugin_options *o)
{
	CLEANUP(loop_freep) struct loop *l = NULL;
	CLEANUP(closep) int lock = -1;
	struct server s = { .options = o, .lock = -1 };
	struct err e = { 0 };
	int r;

	(void)signal(SIGPIPE, SIG_IGN);
	r = loop_new(&l, NULL, &e);
	s.loop = l;
	if (r == 0)
		r = loop_signal(l, SIGTERM, on_signal, &s, NULL);
	if (r == 0)
		r = loop_signal(l, SIGINT, on_signal, &s, NULL);
	if (r == 0)
		r = loop_timer(l, 0, start, &s, &s.again);
	if (r < 0) {
		(void)err_errno(&e, r, "event loop");
		log_error(&e, "cannot start", NULL);
		return exit_status(r);
	}
	r = loop_run(l);
	plugin_free(s.plugin);
	lock = s.lock; /* until the plugin is gone */
	return r < 0 ? EXIT_FAILED : r;
}

int main(int argc, char **argv)
{
	struct settings s = {
		.plugin = { .kubelet_dir = "/var/lib/kubelet/device-plugins",
			.cdi_dir = "/var/run/cdi",
			.run_dir = "/run/farrier",
			.root = "" },
	};
	struct err e = { 0 };
	int r;

	log_init("device-plugin", LOG_INFO);
	r = parse(argc, argv, &s);
	if (r >= 0)
		return r;
	if (s.plugin.n_class_dirs == 0) {
		s.plugin.class_dirs[s.plugin.n_class_dirs++] = "/etc/farrier/classes.d";
		s.plugin.class_dirs[s.plugin.n_class_dirs++] = "/var/lib/farrier/classes";
	}
	if (!s.is_list && !s.is_explain)
		return serve(&s.plugin);
	r = plugin_show(&s.plugin, s.is_explain, s.is_json, &e);
	if (r < 0) {
		log_error(&e, "failed", NULL);
		return exit_status(r);
	}
	return EXIT_DONE;
}
