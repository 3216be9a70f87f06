// SPDX-License-Identifier: Apache-2.0
/* `gc`: takes from the store what no kernel here can need any more, as the agent does when it starts. */
#include <stdio.h>
#include <time.h>

#include "cli.h"
#include "cli_subject.h"
#include "store.h"

/* As the agent: what was built ahead may wait a week for its kernel. */
#define AHEAD_US (7 * 24 * 3600 * USEC_PER_SEC)

struct present {
	const struct kernels *kernels;
	uint64_t since_us;
};

static bool is_present(const struct record *rec, void *user)
{
	const struct present *p = user;

	return kernels_find(p->kernels, rec->kernel) != NULL || rec->at_us > p->since_us;
}

static bool is_kept(const struct list *keys, const char *key)
{
	const char *const *k = keys->items;

	for (size_t i = 0; i < keys->n; i++)
		if (streq(k[i], key))
			return true;
	return false;
}

struct outcome {
	size_t kept, removed;
	int64_t bytes;
};

static int64_t size_of(const struct artifact *a)
{
	int64_t n = 0;

	for (size_t i = 0; i < a->modules_n; i++)
		n += a->modules[i].size;
	return n;
}

static int collect(const struct env *env, const struct list *keys, bool is_dry,
	struct outcome *ret, struct err *e)
{
	struct outcome o = { 0 };
	struct artifact *a;
	size_t n;
	int r = store_list(env->state, &a, &n, e);

	if (r < 0)
		return r;
	for (size_t i = 0; i < n; i++) {
		bool is_needed = is_kept(keys, a[i].key);

		o.kept += is_needed;
		o.removed += !is_needed;
		o.bytes += is_needed ? 0 : size_of(&a[i]);
	}
	artifacts_free(a, n);
	if (!is_dry)
		r = store_gc(env->state, keys->items, keys->n, &o.removed, e);
	if (r == 0)
		*ret = o;
	return r;
}

static int print(const struct cli *c, const struct outcome *o, bool is_dry)
{
	CLEANUP(json_freep) struct json *j = json_new_object();
	char text[160];

	(void)snprintf(text, sizeof(text), "%s %zu artifacts (%lld KiB), %zu kept\n",
		is_dry ? "would remove" : "removed", o->removed,
		(long long)(o->bytes >> 10), o->kept);
	if (!j || json_set_int(j, "removed", (int64_t)o->removed) < 0 ||
		json_set_int(j, "kept", (int64_t)o->kept) < 0 ||
		json_set_int(j, "bytes", o->bytes) < 0 ||
		json_set_bool(j, "dryRun", is_dry) < 0)
		return CLI_FAILED;
	return cli_print(c, j, text);
}

int cli_gc(struct cli *c, int argc, char **argv)
{
	struct subject s CLEANUP(subject_done) = { 0 };
	bool is_dry = false;
	const struct cli_option own[] = {
		{ "dry-run", NULL, &is_dry, "only tell what would be removed" },
		{ NULL },
	};
	struct outcome o = { 0 };
	struct present present = { .kernels = &s.kernels };
	struct timespec t = { 0 };
	struct list keys;
	struct err e = { 0 };
	int r;

	if (!cli_parse(c, cli_find("gc"), own, argc, argv, 0, 0))
		return cli_early(c);
	r = subject_init(&s, &c->env, ENV_MANIFESTS, &e);
	if (r < 0)
		return cli_fail(c, &e);
	(void)clock_gettime(CLOCK_REALTIME, &t);
	present.since_us = (uint64_t)t.tv_sec * USEC_PER_SEC - AHEAD_US;
	records_prune(s.records, is_present, &present);
	r = records_keys(s.records, s.a, &keys);
	if (r < 0)
		(void)err_errno(&e, r, "records");
	else
		r = collect(&c->env, &keys, is_dry || keys.n == 0, &o, &e);
	/* No keys means lost records, not a store that nobody needs. */
	if (r == 0 && keys.n == 0 && o.removed > 0)
		r = err_set(&e, -ENOENT,
			"'%s/builds.json' names no artifact: nothing is removed",
			c->env.state);
	return r < 0 ? cli_fail(c, &e) : print(c, &o, is_dry);
}
