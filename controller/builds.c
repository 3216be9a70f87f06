// SPDX-License-Identifier: Apache-2.0
/* The list of builds between JSON, the view and its hash. */
#include "builds.h"

#include "arena.h"
#include "jhash.h"
#include "project_inside.h"

enum { BUILDS_MAX = 1024 };

static const char *text_or_null(
	struct intern *in, const struct json *j, const char *key, int *r)
{
	const char *s = json_get_str(j, key), *out = NULL;

	if (str_empty(s))
		return NULL;
	out = intern_get(in, s);
	if (!out)
		*r = -ENOMEM;
	return out;
}

static void put_builds(struct intern *in, const struct list *l)
{
	for (size_t i = 0; i < l->n; i++) {
		struct view_build *b = VIEW_AT(struct view_build, *l, i);

		intern_put(in, b->driver);
		intern_put(in, b->kernel);
		intern_put(in, b->node);
		intern_put(in, b->key);
		intern_put(in, b->digest);
		intern_put(in, b->unsigned_digest);
		intern_put(in, b->asked);
	}
}

int builds_read(struct intern *in, const struct json *list, struct view_node *n)
{
	size_t len = MIN(json_len(list), (size_t)BUILDS_MAX);
	int r = project_room(&n->builds, len, BUILDS_MAX, sizeof(struct view_build));

	for (size_t i = 0; r >= 0 && i < len; i++) {
		const struct json *j = json_at(list, i);
		struct view_build *b = VIEW_AT(
			struct view_build, n->builds, n->builds.n++);

		b->driver = intern_get(in, project_text(j, "driver"));
		b->kernel = intern_get(in, project_text(j, "kernel"));
		b->node = intern_get(in, project_text(j, "node"));
		b->key = text_or_null(in, j, "key", &r);
		b->digest = text_or_null(in, j, "digest", &r);
		b->unsigned_digest = text_or_null(in, j, "unsignedDigest", &r);
		b->asked = text_or_null(in, j, "asked", &r);
		b->generation = json_get_int(j, "generation", 0);
		b->epoch = json_get_int(j, "epoch", 0);
		b->since = json_get_int(j, "since", 0);
		if (!b->driver || !b->kernel || !b->node)
			r = -ENOMEM;
	}
	if (r >= 0)
		project_share(in, &n->builds, sizeof(struct view_build), put_builds);
	return r;
}

void builds_clear(struct intern *in, struct view_node *n)
{
	project_drop(in, &n->builds, put_builds);
}

/* ---- writing ---- */

static struct json *build_json(const struct view_build *b)
{
	CLEANUP(json_freep) struct json *j = json_new_object();

	if (!j || json_set_str(j, "driver", b->driver) < 0 ||
		json_set_int(j, "generation", b->generation) < 0 ||
		json_set_str(j, "kernel", b->kernel) < 0 ||
		json_set_str(j, "node", view_str(b->node)) < 0 ||
		json_set_int(j, "epoch", b->epoch) < 0 ||
		json_set_int(j, "since", b->since) < 0 ||
		json_set_str(j, "key", b->key) < 0 ||
		json_set_str(j, "digest", b->digest) < 0 ||
		json_set_str(j, "unsignedDigest", b->unsigned_digest) < 0 ||
		json_set_str(j, "asked", b->asked) < 0)
		return NULL;
	return TAKE(j);
}

struct json *builds_json(const struct list *builds)
{
	CLEANUP(json_freep) struct json *list = json_new_array();
	int r = list ? 0 : -ENOMEM;

	for (size_t i = 0; r >= 0 && i < builds->n; i++)
		r = json_add(list, build_json(VIEW_AT(struct view_build, *builds, i)));
	return r < 0 ? NULL : TAKE(list);
}

static uint64_t hash_build(const struct view_build *b)
{
	uint64_t h = JHASH_OBJECT;

	jhash_member(&h, "driver", jhash_str(b->driver));
	jhash_member(&h, "generation", jhash_int(b->generation));
	jhash_member(&h, "kernel", jhash_str(b->kernel));
	jhash_member(&h, "node", jhash_str(view_str(b->node)));
	jhash_member(&h, "epoch", jhash_int(b->epoch));
	jhash_member(&h, "since", jhash_int(b->since));
	if (b->key)
		jhash_member(&h, "key", jhash_str(b->key));
	if (b->digest)
		jhash_member(&h, "digest", jhash_str(b->digest));
	if (b->unsigned_digest)
		jhash_member(&h, "unsignedDigest", jhash_str(b->unsigned_digest));
	if (b->asked)
		jhash_member(&h, "asked", jhash_str(b->asked));
	return jhash_end(h);
}

uint64_t builds_hash(const struct list *builds)
{
	uint64_t h = JHASH_LIST;

	if (builds->n == 0)
		return 0;
	for (size_t i = 0; i < builds->n; i++)
		jhash_item(&h, hash_build(VIEW_AT(struct view_build, *builds, i)));
	return jhash_end(h);
}

uint64_t builds_hash_json(const struct json *list)
{
	return json_len(list) > 0 ? jhash(list) : 0;
}

uint64_t builds_hash_with(uint64_t rest, uint64_t builds)
{
	uint64_t h = JHASH_LIST;

	if (builds == 0)
		return rest;
	jhash_item(&h, rest);
	jhash_item(&h, builds);
	return jhash_end(h);
}

/* ---- keeping ---- */

static bool keep_text(struct arena *a, const char **s)
{
	if (!*s)
		return true;
	*s = arena_strdup(a, *s);
	return *s != NULL;
}

int builds_keep(struct arena *a, struct list *builds)
{
	struct view_build *copy = arena_array(a, builds->n + 1, sizeof(*copy));

	if (!copy)
		return -ENOMEM;
	for (size_t i = 0; i < builds->n; i++) {
		struct view_build *b = &copy[i];

		*b = *VIEW_AT(struct view_build, *builds, i);
		if (!keep_text(a, &b->driver) || !keep_text(a, &b->kernel) ||
			!keep_text(a, &b->node) || !keep_text(a, &b->key) ||
			!keep_text(a, &b->digest) || !keep_text(a, &b->unsigned_digest) ||
			!keep_text(a, &b->asked))
			return -ENOMEM;
	}
	builds->items = copy;
	return 0;
}
