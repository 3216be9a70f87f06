// SPDX-License-Identifier: Apache-2.0
/* libkmod, with a fresh context for each operation and always the host's module folder. */
#include "modules.h"

#include <limits.h>

#include <libkmod.h>

#include "file.h"
#include "hardware.h"
#include "routes.h"

struct session {
	struct arena *a;
	const struct modules_env *env;
	struct kmod_ctx *ctx;
};

static void session_done(struct session *s)
{
	if (s->ctx)
		(void)kmod_unref(s->ctx);
}

static int session_init(
	struct session *s, struct arena *a, const struct modules_env *env, struct err *e)
{
	/* No modprobe.d: what we load is what the spec says, not what a container's image says. */
	static const char *const no_config[] = { NULL };
	char dir[PATH_MAX];
	int r;

	*s = (struct session){ .a = a, .env = env };
	r = path_join(dir, sizeof(dir), env->root, "lib/modules", env->release, NULL);
	if (r < 0)
		return err_errno(e, r, "module folder of '%s'", env->release);
	s->ctx = kmod_new(dir, no_config);
	if (!s->ctx)
		return err_errno(e, -ENOMEM, "libkmod");
	kmod_set_log_priority(s->ctx, 0);
	return 0;
}

static const struct {
	int code;
	enum reason reason;
	const char *text;
} load_errors[] = {
	{ -EKEYREJECTED, REASON_KEY_REJECTED, "the kernel does not trust its signature" },
	{ -ENOKEY, REASON_KEY_REJECTED,
		"the kernel demands a signature of a key it knows" },
	{ -EBADMSG, REASON_KEY_REJECTED, "its signature cannot be read" },
	{ -ENOEXEC, REASON_MODULE_INVALID, "the kernel refuses its format" },
	{ -ENOENT, REASON_SYMBOL_MISSING,
		"it needs a symbol that the kernel does not have" },
	{ -ENOMEM, REASON_OUT_OF_MEMORY, "the kernel is short of memory" },
	{ -EPERM, REASON_LOAD_FAILED, "no permission to load modules" },
	{ -EBUSY, REASON_IN_TREE_CONFLICT, "something else has what it wants" },
	{ -ENODEV, REASON_DEVICE_ABSENT, "it found no device that it drives" },
};

static int load_error(int r, const char *name, struct err *e)
{
	for (size_t i = 0; i < ARRAY_SIZE(load_errors); i++)
		if (load_errors[i].code == r)
			return err_reason(e, r, load_errors[i].reason,
				"load '%s': %s (%s)", name, load_errors[i].text,
				strerror(-r));
	return err_reason(e, r, REASON_LOAD_FAILED, "load '%s': %s", name, strerror(-r));
}

int modules_options(
	struct arena *a, const struct list *parameters, const char **ret, struct err *e)
{
	const struct kv *kv = parameters ? parameters->items : NULL;
	size_t n = parameters ? parameters->n : 0;
	const char *text = "";

	for (size_t i = 0; i < n; i++) {
		const char *quote = strpbrk(kv[i].value, " \t") ? "\"" : "";

		if (strpbrk(kv[i].key, " \t\n\"=") || strpbrk(kv[i].value, "\n\""))
			return err_reason(e, -EINVAL, REASON_MANIFEST_INVALID,
				"parameter '%s' cannot be given to a module", kv[i].key);
		text = arena_fmt(a, "%s%s%s=%s%s%s", text, i ? " " : "", kv[i].key, quote,
			kv[i].value, quote);
		if (!text)
			return err_errno(e, -ENOMEM, "parameters");
	}
	if (strlen(text) > MODULES_OPTIONS_MAX)
		return err_reason(e, -E2BIG, REASON_MANIFEST_INVALID,
			"parameters are longer than %d bytes", MODULES_OPTIONS_MAX);
	*ret = text;
	return 0;
}

/* "module 'a', 'python3 (pid 7)'": who keeps @name in use. */
static const char *holders_text(
	struct session *s, const char *name, const struct hardware_module *m)
{
	const char *const *item = m->holders.items;
	const char *text = "";
	struct list openers;

	for (size_t i = 0; i < m->holders.n && i < HARDWARE_HOLDERS_MAX && text; i++)
		text = arena_fmt(
			s->a, "%s%smodule '%s'", text, *text ? ", " : "", item[i]);
	if (text &&
		hardware_openers(s->a, s->env->sys, s->env->proc, name, &openers) == 0) {
		item = openers.items;
		for (size_t i = 0; i < openers.n && text; i++)
			text = arena_fmt(
				s->a, "%s%s'%s'", text, *text ? ", " : "", item[i]);
	}
	if (!text || !*text)
		return arena_fmt(s->a, "%lld users", (long long)m->refcnt);
	return text;
}

static int in_use(struct session *s, const char *name, enum reason reason,
	const struct hardware_module *m, struct err *e)
{
	const char *who = holders_text(s, name, m);

	return err_reason(e, -EBUSY, reason, "module '%s' is in use by %s", name,
		who ? who : "somebody");
}

/* Nobody can be told that the node was cut off for its own good. */
static int spare_management(struct session *s, const char *name, struct err *e)
{
	const char *iface = routes_device_of(s->a, s->env->sys, s->env->proc, name);

	if (!iface)
		return 0;
	return err_reason(e, -EBUSY, REASON_MANAGEMENT_DEVICE,
		"module '%s' drives '%s', which carries the default route", name, iface);
}

/* @reason: what it means when somebody uses the module. */
static int remove_one(
	struct session *s, const char *name, enum reason reason, struct err *e)
{
	struct kmod_module *mod = NULL;
	struct hardware_module m;
	int r;

	r = hardware_module(s->a, s->env->sys, name, &m, e);
	if (r == 0 && m.is_loaded)
		r = spare_management(s, name, e);
	if (r < 0 || !m.is_loaded)
		return r;
	r = kmod_module_new_from_name(s->ctx, name, &mod);
	if (r < 0)
		return err_errno(e, r, "module '%s'", name);
	r = kmod_module_remove_module(mod, 0);
	(void)kmod_module_unref(mod);
	if (r == -EAGAIN || r == -EBUSY || r == -EWOULDBLOCK) {
		/* Its users as they are now; those of before when that cannot be read. */
		if (hardware_module(s->a, s->env->sys, name, &m, NULL) < 0)
			err_clear(e);
		return in_use(s, name, reason, &m, e);
	}
	if (r < 0 && r != -ENOENT)
		return err_reason(
			e, r, REASON_LOAD_FAILED, "unload '%s': %s", name, strerror(-r));
	return 0;
}

int modules_unload(struct arena *a, const struct modules_env *env,
	const struct list *names, struct err *e)
{
	CLEANUP(session_done) struct session s = { .a = NULL };
	const char *const *item = names->items;
	struct hardware_module m;
	int r;

	r = session_init(&s, a, env, e);
	/* Our own modules hold one another: only the last one's users are somebody else's. */
	for (size_t i = names->n; r == 0 && i-- > 0;) {
		size_t ours = 0;

		r = hardware_module(a, env->sys, item[i], &m, e);
		if (r == 0 && m.is_loaded)
			r = spare_management(&s, item[i], e);
		if (r < 0 || !m.is_loaded)
			continue;
		for (size_t k = 0; k < m.holders.n; k++)
			for (size_t j = i + 1; j < names->n; j++)
				ours += streq(((const char *const *)m.holders.items)[k],
					item[j]);
		if (m.refcnt > (int64_t)ours)
			r = in_use(&s, item[i], REASON_MODULE_IN_USE, &m, e);
	}
	for (size_t i = names->n; r == 0 && i-- > 0;)
		r = remove_one(&s, item[i], REASON_MODULE_IN_USE, e);
	return r;
}

/* A module that ours depends on and that is not ours: from the kernel's own folder. */
static int load_dependency(struct session *s, const char *name, struct err *e)
{
	struct kmod_list *list = NULL, *it;
	struct hardware_module m;
	bool is_found = false;
	int r;

	r = hardware_module(s->a, s->env->sys, name, &m, e);
	if (r < 0 || m.is_loaded)
		return r;
	r = kmod_module_new_from_lookup(s->ctx, name, &list);
	kmod_list_foreach(it, list)
	{
		struct kmod_module *mod = kmod_module_get_module(it);

		is_found = true;
		if (r == 0)
			r = kmod_module_probe_insert_module(
				mod, 0, NULL, NULL, NULL, NULL);
		(void)kmod_module_unref(mod);
	}
	(void)kmod_module_unref_list(list);
	if (r == 0 && !is_found)
		return err_reason(e, -ENOENT, REASON_MODULE_MISSING,
			"dependency '%s' is not among the modules of '%s'", name,
			s->env->release);
	return r < 0 ? load_error(r, name, e) : 0;
}

static bool is_ours(const char *name, const struct modules_file *files, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (streq(files[i].name, name))
			return true;
	return false;
}

static int load_dependencies(struct session *s, const struct modules_file *f,
	const struct modules_file *files, size_t n, struct err *e)
{
	const char *p = f->depends ? f->depends : "";

	while (*p) {
		size_t len = strcspn(p, ",");
		const char *name = arena_strndup(s->a, p, len);
		int r;

		if (!name)
			return err_errno(e, -ENOMEM, "dependencies");
		r = *name && !is_ours(name, files, n) ? load_dependency(s, name, e) : 0;
		if (r < 0)
			return r;
		p += len + (p[len] == ',');
	}
	return 0;
}

static int load_one(struct session *s, const struct modules_file *f, struct err *e)
{
	struct kmod_module *mod = NULL;
	const char *options;
	int r;

	r = f->options ? 0 : modules_options(s->a, f->parameters, &options, e);
	if (r < 0)
		return r;
	if (f->options)
		options = f->options;
	r = kmod_module_new_from_path(s->ctx, f->path, &mod);
	if (r < 0)
		return err_reason(
			e, r, REASON_MODULE_MISSING, "'%s': %s", f->path, strerror(-r));
	r = kmod_module_insert_module(mod, 0, options);
	(void)kmod_module_unref(mod);
	/* Somebody else was quicker: the kernel has it, the next look will say which build. */
	return r < 0 && r != -EEXIST ? load_error(r, f->name, e) : 0;
}

/* Of several rivals none is taken out when one of them has to stay. */
static int spare_rivals(struct session *s, const struct list *rivals, struct err *e)
{
	struct hardware_module m;
	int r = 0;

	for (size_t i = 0; r == 0 && rivals && i < rivals->n; i++) {
		const char *name = ((const char *const *)rivals->items)[i];

		r = hardware_module(s->a, s->env->sys, name, &m, e);
		if (r == 0 && m.is_loaded)
			r = spare_management(s, name, e);
	}
	return r;
}

int modules_load(struct arena *a, const struct modules_env *env,
	const struct modules_file *files, size_t n, struct err *e)
{
	CLEANUP(session_done) struct session s = { .a = NULL };
	int r;

	r = session_init(&s, a, env, e);
	for (size_t i = 0; r == 0 && i < n; i++)
		r = spare_rivals(&s, files[i].replaces, e);
	for (size_t i = 0; r == 0 && i < n; i++) {
		const struct list *rivals = files[i].replaces;

		for (size_t k = 0; r == 0 && rivals && k < rivals->n; k++)
			r = remove_one(&s, ((const char *const *)rivals->items)[k],
				REASON_IN_TREE_CONFLICT, e);
	}
	for (size_t i = 0; r == 0 && i < n; i++) {
		struct hardware_module m;

		r = hardware_module(a, env->sys, files[i].name, &m, e);
		if (r < 0 || m.is_loaded)
			continue;
		r = load_dependencies(&s, &files[i], files, n, e);
		if (r == 0)
			r = load_one(&s, &files[i], e);
	}
	return r;
}
