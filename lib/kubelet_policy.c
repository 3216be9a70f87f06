// SPDX-License-Identifier: Apache-2.0
/* Finding the kubelet's process and files, the four words that matter in them, and a note of those. */
#include "kubelet_policy.h"

#include <ctype.h>
#include <stdio.h>

#include "file.h"
#include "yaml.h"

enum {
	CMDLINE_MAX = 128 << 10,
	CONFIG_MAX = 1 << 20,
	COMM_MAX = 32,
	SOURCE_PID_MAX = 64,
	NOTE_VERSION = 1,
	NOTE_MAX = 64 << 10
};

static void set(char *to, size_t size, const char *text, size_t n)
{
	if (n == 0 || n >= size)
		return;
	memcpy(to, text, n);
	to[n] = '\0';
}

/* The kubelet's own defaults. */
static void defaults(struct kubelet_policy *p)
{
	*p = (struct kubelet_policy){
		.topology = "none", .scope = "container", .cpu = "none", .memory = "None"
	};
}

/* ---- configuration ---- */
int kubelet_policy_config(
	const char *text, size_t len, struct kubelet_policy *p, struct err *e)
{
	CLEANUP(json_freep) struct json *docs = NULL;
	const struct {
		const char *key;
		char *to;
		size_t size;
	} words[] = { { "topologyManagerPolicy", p->topology, sizeof(p->topology) },
		{ "topologyManagerScope", p->scope, sizeof(p->scope) },
		{ "cpuManagerPolicy", p->cpu, sizeof(p->cpu) },
		{ "memoryManagerPolicy", p->memory, sizeof(p->memory) } };
	const struct json *doc;
	int r = yaml_parse(text, len, &docs, e);

	if (r < 0)
		return r;
	doc = json_len(docs) == 1 ? json_at(docs, 0) : NULL;
	if (json_type(doc) != JSON_OBJECT || !json_get_str(doc, "kind") ||
		!streq(json_get_str(doc, "kind"), "KubeletConfiguration"))
		return err_set(e, -EINVAL, "no KubeletConfiguration");
	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		const char *v = json_get_str(doc, words[i].key);

		if (v)
			set(words[i].to, words[i].size, v, strlen(v));
	}
	return 0;
}

static int read_config(
	const char *root, const char *path, struct kubelet_policy *p, struct err *e)
{
	CLEANUP(freep) char *text = NULL;
	char full[KUBELET_PATH_MAX];
	size_t len = 0;
	int r = path_join(full, sizeof(full), *root ? root : "/", path, NULL);

	if (r == 0)
		r = file_read(full, CONFIG_MAX, &text, &len, e);
	if (r == 0)
		r = kubelet_policy_config(text, len, p, e);
	if (r < 0)
		return err_wrap(e, r, "'%s'", path);
	set(p->source, sizeof(p->source), path, strlen(path));
	return 0;
}

struct drop_ins {
	const char *root, *dir;
	struct kubelet_policy *p;
	struct err *e;
};

static int read_drop_in(const char *name, void *user)
{
	struct drop_ins *d = user;
	char path[KUBELET_PATH_MAX];
	size_t n = strlen(name);

	if (n < 6 || !streq(name + n - 5, ".conf") ||
		path_join(path, sizeof(path), d->dir, name, NULL) < 0)
		return 0;
	return read_config(d->root, path, d->p, d->e);
}

/* ---- command line ---- */
struct args {
	struct kubelet_policy *p;
	char *config, *config_dir;
};

/* "topology-manager-policy=restricted" */
static void take_flag(struct args *a, const char *flag)
{
	const struct {
		const char *name;
		char *to;
		size_t size;
	} flags[] = { { "topology-manager-policy", a->p->topology,
			      sizeof(a->p->topology) },
		{ "topology-manager-scope", a->p->scope, sizeof(a->p->scope) },
		{ "cpu-manager-policy", a->p->cpu, sizeof(a->p->cpu) },
		{ "memory-manager-policy", a->p->memory, sizeof(a->p->memory) },
		{ "config", a->config, KUBELET_PATH_MAX },
		{ "config-dir", a->config_dir, KUBELET_PATH_MAX } };
	const char *eq = strchr(flag, '=');

	for (size_t i = 0; eq && i < ARRAY_SIZE(flags); i++)
		if (strlen(flags[i].name) == (size_t)(eq - flag) &&
			str_starts(flag, flags[i].name))
			set(flags[i].to, flags[i].size, eq + 1, strlen(eq + 1));
}

/* The flags of the kubelet itself, or those that k3s and rke2 hand on to it. */
static void take_arg(struct args *a, const char *arg, const char *next, bool is_kubelet)
{
	static const char hand_on[] = "kubelet-arg";
	char joined[KUBELET_PATH_MAX];

	if (arg[0] != '-')
		return;
	arg += arg[1] == '-' ? 2 : 1;
	if (!strchr(arg, '=') && next) {
		(void)snprintf(joined, sizeof(joined), "%s=%s", arg, next);
		arg = joined;
	}
	if (is_kubelet) {
		take_flag(a, arg);
		return;
	}
	if (!str_starts(arg, hand_on) || arg[strlen(hand_on)] != '=')
		return;
	arg += strlen(hand_on) + 1;
	take_flag(a, arg + strspn(arg, "-"));
}

void kubelet_policy_args(const char *cmdline, size_t len, struct kubelet_policy *p,
	char config[KUBELET_PATH_MAX], char config_dir[KUBELET_PATH_MAX])
{
	struct args a = { p, config, config_dir };
	const char *end = cmdline + len, *base;
	bool is_kubelet;

	config[0] = config_dir[0] = '\0';
	if (len == 0 || cmdline[len - 1] != '\0')
		return;
	base = strrchr(cmdline, '/');
	is_kubelet = str_starts(base ? base + 1 : cmdline, "kubelet") ||
		     strstr(cmdline, "hyperkube");
	for (const char *s = cmdline + strlen(cmdline) + 1; s < end;) {
		const char *next = s + strlen(s) + 1;

		take_arg(&a, s, next < end ? next : NULL, is_kubelet);
		s = next;
	}
}

/* ---- the process ---- */
struct search {
	const char *proc;
	char *cmdline; /* found; zero-terminated strings */
	size_t len;
	char pid[16];
};

/* A kubelet, or what has one inside. */
static bool is_kubelet_name(const char *comm)
{
	return streq(comm, "kubelet") || str_starts(comm, "k3s") ||
	       str_starts(comm, "rke2") || streq(comm, "hyperkube");
}

static int visit(const char *pid, void *user)
{
	struct search *s = user;
	char path[KUBELET_PATH_MAX], comm[COMM_MAX];

	if (pid[strspn(pid, "0123456789")] || strlen(pid) >= sizeof(s->pid))
		return 0;
	if (path_join(path, sizeof(path), s->proc, pid, "comm", NULL) < 0 ||
		file_read_line(path, comm, sizeof(comm)) < 0 || !is_kubelet_name(comm))
		return 0;
	if (path_join(path, sizeof(path), s->proc, pid, "cmdline", NULL) < 0 ||
		file_read(path, CMDLINE_MAX, &s->cmdline, &s->len, NULL) < 0 ||
		s->len == 0) {
		free(TAKE(s->cmdline));
		return 0;
	}
	(void)snprintf(s->pid, sizeof(s->pid), "%s", pid);
	return 1;
}

/* Its flags win over its drop-ins, those over its file. */
static int read_process(
	const char *root, const struct search *s, struct kubelet_policy *p, struct err *e)
{
	char config[KUBELET_PATH_MAX], dir[KUBELET_PATH_MAX], full[KUBELET_PATH_MAX];
	struct kubelet_policy none;
	struct drop_ins d = { root, dir, p, e };
	int r = 0;

	defaults(&none);
	kubelet_policy_args(s->cmdline, s->len, &none, config, dir);
	(void)snprintf(
		p->source, sizeof(p->source), "the command line of process %s", s->pid);
	if (*config)
		r = read_config(root, config, p, e);
	if (r == 0 && *dir &&
		path_join(full, sizeof(full), *root ? root : "/", dir, NULL) == 0 &&
		file_exists(full))
		r = dir_each(full, read_drop_in, &d, e);
	if (r < 0)
		return r;
	kubelet_policy_args(s->cmdline, s->len, p, config, dir);
	p->is_known = true;
	return 0;
}

/* ---- what the node agent wrote ---- */
static const struct {
	const char *key;
	size_t off, size;
} note_words[] = {
#define WORD(k, m) \
	{ \
		k, offsetof(struct kubelet_policy, m), \
			sizeof(((struct kubelet_policy *)0)->m) \
	}
	WORD("topologyManagerPolicy", topology),
	WORD("topologyManagerScope", scope),
	WORD("cpuManagerPolicy", cpu),
	WORD("memoryManagerPolicy", memory),
	WORD("source", source),
};

static int read_note(const char *run, struct kubelet_policy *p, struct err *e)
{
	CLEANUP(json_freep) struct json *doc = NULL;
	CLEANUP(freep) char *text = NULL;
	char path[KUBELET_PATH_MAX];
	size_t len = 0;
	int64_t version;
	int r = path_join(path, sizeof(path), run, "kubelet.json", NULL);

	if (r == 0)
		r = file_read(path, NOTE_MAX, &text, &len, e);
	if (r == 0)
		r = json_parse(text, len, &doc, e);
	if (r < 0)
		return r == -ENOENT ? r : err_wrap(e, r, "'%s'", path);
	version = json_get_int(doc, "version", 0);
	if (version > NOTE_VERSION)
		return err_set(e, -EPROTO, "'%s': version %lld, known is %d", path,
			(long long)version, NOTE_VERSION);
	for (size_t i = 0; i < ARRAY_SIZE(note_words); i++) {
		const char *v = json_get_str(doc, note_words[i].key);

		if (version < 1 || !v || strchr(v, '\t') ||
			strlen(v) >= note_words[i].size)
			return err_set(e, -EINVAL, "'%s': '%s' is no word", path,
				note_words[i].key);
		set((char *)p + note_words[i].off, note_words[i].size, v, strlen(v));
	}
	p->is_known = true;
	return 0;
}

int kubelet_policy_write(const char *run, const struct kubelet_policy *p, struct err *e)
{
	CLEANUP(json_freep) struct json *doc = json_new_object();
	char path[KUBELET_PATH_MAX];
	struct buf text CLEANUP(buf_done);
	int r = path_join(path, sizeof(path), run, "kubelet.json", NULL);

	buf_init(&text, NOTE_MAX);
	if (r == 0 && !p->is_known) {
		r = unlink(path) < 0 ? -errno : 1;
		return r == -ENOENT ? 0 : r < 0 ? err_errno(e, r, "'%s'", path) : 1;
	}
	if (r == 0)
		r = json_set_int(doc, "version", NOTE_VERSION);
	for (size_t i = 0; i < ARRAY_SIZE(note_words) && r == 0; i++)
		r = json_set_str(
			doc, note_words[i].key, (const char *)p + note_words[i].off);
	if (r == 0)
		r = json_print(doc, false, &text);
	if (r < 0)
		return err_errno(e, r, "kubelet.json");
	return file_write_if_changed(path, text.data, text.len, 0644, e);
}

/* Where installers put it, for when the process cannot be seen. */
static const char *const usual[] = { "/var/lib/kubelet/config.yaml",
	"/etc/kubernetes/kubelet/config.json",
	"/etc/kubernetes/kubelet/kubelet-config.json",
	"/home/kubernetes/kubelet-config.yaml" };

int kubelet_policy_read(
	const struct kubelet_where *w, struct kubelet_policy *ret, struct err *e)
{
	struct search s = { .proc = w->proc ? w->proc : "/proc" };
	CLEANUP(freep) char *cmdline = NULL;
	struct kubelet_policy p;
	int r = 0;

	defaults(&p);
	if (w->config) {
		r = read_config("", w->config, &p, e);
		p.is_known = r == 0;
		goto out;
	}
	(void)dir_each(s.proc, visit, &s, NULL);
	cmdline = s.cmdline;
	if (cmdline) {
		r = read_process(w->root, &s, &p, e);
		goto out;
	}
	if (w->run) {
		r = read_note(w->run, &p, e);
		if (r != -ENOENT)
			goto out;
		err_clear(e);
	}
	for (size_t i = 0; i < ARRAY_SIZE(usual) && !p.is_known; i++) {
		r = read_config(w->root, usual[i], &p, e);
		p.is_known = r == 0;
		if (r < 0 && r != -ENOENT && r != -EACCES)
			goto out;
	}
	r = 0;
out:
	if (r < 0)
		return err_wrap(e, r, "the kubelet's configuration");
	*ret = p;
	return 0;
}

/* ---- from the child to us ---- */
int kubelet_policy_print(const struct kubelet_policy *p, char *out, size_t size)
{
	int n = snprintf(out, size, "%d\t%s\t%s\t%s\t%s\t%s", p->is_known, p->topology,
		p->scope, p->cpu, p->memory, p->source);

	return n < 0 || (size_t)n >= size ? -ENOBUFS : n;
}

int kubelet_policy_parse(const char *text, struct kubelet_policy *ret)
{
	struct kubelet_policy p = { 0 };
	const struct {
		char *to;
		size_t size;
	} words[] = { { p.topology, sizeof(p.topology) }, { p.scope, sizeof(p.scope) },
		{ p.cpu, sizeof(p.cpu) }, { p.memory, sizeof(p.memory) },
		{ p.source, sizeof(p.source) } };

	if ((text[0] != '0' && text[0] != '1') || text[1] != '\t')
		return -EINVAL;
	p.is_known = text[0] == '1';
	text += 2;
	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		size_t n = strcspn(text, "\t");

		if ((text[n] == '\t') != (i + 1 < ARRAY_SIZE(words)))
			return -EINVAL;
		set(words[i].to, words[i].size, text, n);
		text += n + 1;
	}
	*ret = p;
	return 0;
}

const char *kubelet_policy_warning(
	const struct kubelet_policy *p, size_t nodes, bool has_numa)
{
	if (!p->is_known || nodes < 2 || !has_numa)
		return NULL;
	if (streq(p->topology, "none"))
		return "its Topology Manager has the policy 'none': topology hints have no "
		       "effect; set topologyManagerPolicy to best-effort, restricted or "
		       "single-numa-node";
	if (!streq(p->cpu, "static"))
		return "its CPU Manager has no static policy: devices are aligned with one "
		       "another, and CPUs with none of them; set cpuManagerPolicy to static";
	return NULL;
}
