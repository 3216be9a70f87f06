// SPDX-License-Identifier: Apache-2.0
/* status.topology as a NodeResourceTopology, in the words that schedulers know. */
#include "topology_body.h"

#include <inttypes.h>
#include <stdio.h>

#include "api.h"
#include "bodies.h"
#include "jhash.h"

enum { ARENA_MAX = 8 << 20, QUANTITY_MAX = 32, HEX_MAX = 17 };

uint64_t topology_hash(const struct json *nrt)
{
	uint64_t h = JHASH_OBJECT, none = jhash_end(JHASH_LIST);

	jhash_member(&h, "zones",
		json_get(nrt, "zones") ? jhash(json_get(nrt, "zones")) : none);
	jhash_member(&h, "attributes",
		json_get(nrt, "attributes") ? jhash(json_get(nrt, "attributes")) : none);
	h = jhash_end(h);
	return h ? h : 1;
}

static void print_hash(uint64_t hash, char out[HEX_MAX])
{
	(void)snprintf(out, HEX_MAX, "%016" PRIx64, hash);
}

bool topology_is_ours(const struct json *nrt, uint64_t hash)
{
	const char *label = json_get_str(
		json_path(nrt, "metadata.labels"), TOPOLOGY_LABEL);
	char text[HEX_MAX];

	print_hash(hash, text);
	return label && streq(label, text);
}

/* ---- zones ---- */

static int set_quantity(struct json *j, const char *key, int64_t v)
{
	char text[QUANTITY_MAX];

	(void)snprintf(text, sizeof(text), "%" PRId64, v);
	return json_set_str(j, key, text);
}

static struct json *cost_body(const struct api_topology_cost *c)
{
	struct json *j = json_new_object();

	if (j && json_set_str(j, "name", c->name) == 0 &&
		json_set_int(j, "value", c->value) == 0)
		return j;
	json_free(j);
	return NULL;
}

static struct json *resource_body(const struct api_topology_resource *x)
{
	struct json *j = json_new_object();

	if (j && json_set_str(j, "name", x->name) == 0 &&
		set_quantity(j, "capacity", x->capacity) == 0 &&
		set_quantity(j, "allocatable", x->allocatable) == 0 &&
		set_quantity(j, "available", x->available) == 0)
		return j;
	json_free(j);
	return NULL;
}

static struct json *zone_body(const struct api_topology_zone *z)
{
	CLEANUP(json_freep)
	struct json *j = json_new_object(), *costs = json_new_array(),
		    *resources = json_new_array();
	const struct api_topology_cost *c = z->costs.items;
	const struct api_topology_resource *x = z->resources.items;
	int r = j && costs && resources ? json_set_str(j, "name", z->name) : -ENOMEM;

	if (r == 0)
		r = json_set_str(j, "type", "Node");
	for (size_t i = 0; r == 0 && i < z->costs.n; i++)
		r = json_add(costs, cost_body(&c[i]));
	for (size_t i = 0; r == 0 && i < z->resources.n; i++)
		r = json_add(resources, resource_body(&x[i]));
	if (r == 0 && z->costs.n > 0)
		r = json_set(j, "costs", TAKE(costs));
	if (r == 0 && z->resources.n > 0)
		r = json_set(j, "resources", TAKE(resources));
	return r == 0 ? TAKE(j) : NULL;
}

static int set_zones(struct json *j, const struct list *zones)
{
	CLEANUP(json_freep) struct json *list = json_new_array();
	const struct api_topology_zone *z = zones->items;
	int r = list ? 0 : -ENOMEM;

	for (size_t i = 0; r == 0 && i < zones->n; i++)
		r = json_add(list, zone_body(&z[i]));
	return r < 0 ? r : json_set(j, "zones", TAKE(list));
}

static int set_attributes(struct json *j, const struct api_node_topology *t)
{
	const struct kv all[] = { { "topologyManagerPolicy", t->policy },
		{ "topologyManagerScope", t->scope },
		{ "nodeTopologyPodsFingerprint", t->fingerprint },
		{ "nodeTopologyPodsFingerprintMethod", t->fingerprint_method } };
	CLEANUP(json_freep) struct json *list = json_new_array();
	int r = list ? 0 : -ENOMEM;

	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(all); i++) {
		CLEANUP(json_freep) struct json *x = NULL;

		if (str_empty(all[i].value))
			continue;
		x = json_new_object();
		if (!x || json_set_str(x, "name", all[i].key) < 0 ||
			json_set_str(x, "value", all[i].value) < 0)
			return -ENOMEM;
		r = json_add(list, TAKE(x));
	}
	return r < 0 ? r : json_set(j, "attributes", TAKE(list));
}

/* ---- metadata ---- */

/* The AcceleratorNode's own owner: the Node of its name. */
static const struct json *find_owner(const struct json *acc)
{
	const struct json *list = json_path(acc, "metadata.ownerReferences");
	const char *name = json_str(json_path(acc, "metadata.name"));

	for (size_t i = 0; i < json_len(list); i++) {
		const struct json *o = json_at(list, i);
		const char *kind = json_get_str(o, "kind"), *of = json_get_str(o, "name");

		if (kind && of && name && streq(kind, "Node") && streq(of, name) &&
			json_get_str(o, "uid"))
			return o;
	}
	return NULL;
}

static int set_meta(struct json *j, const struct json *owner, uint64_t hash)
{
	struct json *meta = (struct json *)json_get(j, "metadata");
	CLEANUP(json_freep)
	struct json *labels = json_new_object(), *o = json_new_object(),
		    *list = json_new_array();
	char text[HEX_MAX];
	int r = labels && o && list ? 0 : -ENOMEM;

	print_hash(hash, text);
	if (r == 0)
		r = json_set_str(labels, TOPOLOGY_LABEL, text);
	if (r == 0)
		r = json_set(meta, "labels", TAKE(labels));
	if (r == 0)
		r = json_set_str(o, "apiVersion", "v1");
	if (r == 0)
		r = json_set_str(o, "kind", "Node");
	if (r == 0)
		r = json_set_str(o, "name", json_get_str(owner, "name"));
	if (r == 0)
		r = json_set_str(o, "uid", json_get_str(owner, "uid"));
	if (r == 0)
		r = json_add(list, TAKE(o));
	return r < 0 ? r : json_set(meta, "ownerReferences", TAKE(list));
}

/* Schedulers take the number in a zone's name for its place in the list, and do not check: a list with a gap
 * ends one. */
static bool is_whole(const struct list *zones)
{
	const struct api_topology_zone *z = zones->items;
	char name[QUANTITY_MAX];

	for (size_t i = 0; i < zones->n; i++) {
		(void)snprintf(name, sizeof(name), "node-%zu", i);
		if (!streq(z[i].name, name))
			return false;
	}
	return zones->n > 0;
}

static int make(const struct json *acc, struct arena *a, struct json *j, struct err *e)
{
	struct api_node_topology t = { .present = true };
	int r = field_parse_at(a, api_node_topology_fields,
		json_path(acc, "status.topology"), "status.topology", false, &t, e);

	if (r < 0)
		return r;
	if (!is_whole(&t.zones))
		return err_set(
			e, -EINVAL, "'status.topology.zones': not node-0, node-1, …");
	r = set_zones(j, &t.zones);
	if (r == 0)
		r = set_attributes(j, &t);
	return r < 0 ? err_errno(e, r, "NodeResourceTopology") : 0;
}

int topology_body(
	const struct json *acc, struct json **ret, uint64_t *ret_hash, struct err *e)
{
	const char *name = json_str(json_path(acc, "metadata.name"));
	const struct json *owner = find_owner(acc);
	CLEANUP(arena_freep) struct arena *a = arena_new(ARENA_MAX);
	CLEANUP(json_freep) struct json *j = NULL;
	uint64_t hash;
	int r;

	if (!name || !owner)
		return err_set(e, -EINVAL, "no Node owns AcceleratorNode '%s'",
			name ? name : "");
	j = bodies_object("topology.node.k8s.io/v1alpha2", "NodeResourceTopology", name);
	if (!a || !j)
		return err_errno(e, -ENOMEM, "NodeResourceTopology");
	r = make(acc, a, j, e);
	if (r < 0)
		return r;
	hash = topology_hash(j);
	r = set_meta(j, owner, hash);
	if (r < 0)
		return err_errno(e, r, "NodeResourceTopology");
	*ret = TAKE(j);
	*ret_hash = hash;
	return 0;
}
