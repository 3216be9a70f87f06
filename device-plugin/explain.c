// SPDX-License-Identifier: Apache-2.0
/* Inventory, classes and reasons, as JSON and as text for people. */
#include "explain.h"

#include <stdio.h>

/* ---- facts that both forms share ---- */
static const char *bus_name(const struct device *d)
{
	return api_bus_names[d->bus];
}

/* Display controllers and accelerators: what a person may miss when no class claims it. */
static bool is_accelerator_like(const struct device *d)
{
	return d->bus == API_BUS_PCI &&
	       (str_starts(d->class_code, "03") || str_starts(d->class_code, "12") ||
		       str_starts(d->class_code, "0b40"));
}

static bool is_external(const struct api_class *c)
{
	return c->spec.sharing.present &&
	       c->spec.sharing.strategy == API_SHARING_EXTERNAL;
}

static const char *sharing_name(const struct api_class *c)
{
	static const char *const names[API_SHARINGS_] = { "Exclusive", "TimeSlice",
		"External" };

	return names[c->spec.sharing.present ? c->spec.sharing.strategy : 0];
}

static size_t claimed_by(const struct snapshot *s, const struct api_class *c)
{
	size_t n = 0;

	for (size_t i = 0; i < s->n_claims; i++)
		n += s->claims[i].class_ == c;
	return n;
}

static const struct claim *claim_of(const struct snapshot *s, const struct device *d)
{
	for (size_t i = 0; i < s->n_claims; i++)
		if (s->claims[i].device == d)
			return &s->claims[i];
	return NULL;
}

/* The class that would have it with another driver bound; NULL. */
static const struct api_class *near_miss(
	const struct classes *classes, struct inventory *inv, struct device *d)
{
	for (size_t i = 0; i < classes_len(classes); i++)
		if (class_match(classes_at(classes, i), inv, d) == CLASS_OTHER_DRIVER)
			return classes_at(classes, i);
	return NULL;
}

/* What --explain speaks of: what is claimed, nearly claimed, or looks as if it should be. */
struct subject {
	struct device *device;
	const struct claim *claim; /* NULL */
	const struct api_class *near; /* NULL */
};

static bool next_subject(const struct snapshot *s, const struct classes *classes,
	struct inventory *inv, size_t *it, struct subject *ret)
{
	while (*it < inventory_len(inv)) {
		struct device *d = inventory_at(inv, (*it)++);

		*ret = (struct subject){ d, claim_of(s, d), NULL };
		if (!ret->claim)
			ret->near = near_miss(classes, inv, d);
		if (ret->claim || ret->near || is_accelerator_like(d))
			return true;
	}
	return false;
}

/* "" when it is allocatable. */
static void why_not(const struct subject *x, char *out, size_t size)
{
	const struct claim *c = x->claim;

	if (!c && x->near)
		(void)snprintf(out, size,
			"driver '%s' is bound, class '%s' wants another one",
			x->device->driver, x->near->meta.name);
	else if (!c)
		(void)snprintf(out, size, "no class matches it");
	else if (is_external(c->class_))
		(void)snprintf(out, size,
			"class '%s' leaves handing it out to another plugin",
			c->class_->meta.name);
	else if (c->served_by)
		(void)snprintf(out, size, "another plugin serves '%s': %s", c->resource,
			c->served_by);
	else if (c->nameless)
		(void)snprintf(out, size, "no resource name: %s", c->nameless);
	else if (!claim_is_healthy(c))
		(void)snprintf(out, size, "%s: %s", reason_name(c->reason), c->text);
	else
		out[0] = '\0';
}

/* ---- JSON ---- */
static struct json *causes_json(const struct claim *c)
{
	CLEANUP(json_freep) struct json *a = json_new_array();

	for (unsigned i = 0; i < CAUSES_; i++)
		if (c->device->health.causes & 1u << i &&
			json_add(a, json_new_str(cause_names[i])) < 0)
			return NULL;
	return TAKE(a);
}

/* Why a device is not as its class would have it: what ails it, or who else has its resource. */
static enum reason reason_of(const struct claim *c)
{
	return c->reason == REASON_NONE && c->served_by ? REASON_CONFLICT : c->reason;
}

static int set_claim(struct json *o, const struct claim *c)
{
	const char *text = reason_of(c) == c->reason ? c->text : c->served_by;

	if (json_set_str(o, "class", c->class_->meta.name) < 0 ||
		json_set_str(o, "resourceName", c->resource ? c->resource : "") < 0 ||
		json_set_str(o, "health", health_names[c->health]) < 0 ||
		json_set_str(o, "reason", reason_name(reason_of(c))) < 0 ||
		json_set_str(o, "message", text) < 0 ||
		json_set(o, "causes", causes_json(c)) < 0 ||
		(c->served_by && json_set_str(o, "servedBy", c->served_by) < 0))
		return -ENOMEM;
	return 0;
}

static int set_place(struct json *o, const struct device *d)
{
	if (json_set_int(o, "numaNode", d->numa_node) < 0 ||
		json_set_str(o, "pcieRoot", d->pcie_root) < 0)
		return -ENOMEM;
	return 0;
}

int devices_json(const struct snapshot *s, struct json **ret)
{
	CLEANUP(json_freep) struct json *doc = json_new_object(), *a = json_new_array();

	for (size_t i = 0; i < s->n_claims; i++) {
		const struct claim *c = &s->claims[i];
		CLEANUP(json_freep) struct json *o = json_new_object();

		if (json_set_str(o, "id", c->device->id) < 0 || set_claim(o, c) < 0 ||
			set_place(o, c->device) < 0 || json_add(a, TAKE(o)) < 0)
			return -ENOMEM;
	}
	if (json_set_int(doc, "version", 1) < 0 || json_set(doc, "devices", TAKE(a)) < 0)
		return -ENOMEM;
	*ret = TAKE(doc);
	return 0;
}

static int set_device(struct json *o, const struct device *d)
{
	if (json_set_str(o, "id", d->id) < 0 || json_set_str(o, "bus", bus_name(d)) < 0 ||
		json_set_str(o, "vendor", d->vendor) < 0 ||
		json_set_str(o, "device", d->device) < 0 ||
		json_set_str(o, "pciClass", d->class_code) < 0 ||
		json_set_str(o, "driver", d->driver) < 0 || set_place(o, d) < 0)
		return -ENOMEM;
	return 0;
}

static struct json *nodes_json(const struct claim *c)
{
	CLEANUP(json_freep) struct json *a = json_new_array();

	for (size_t i = 0; i < c->n_nodes; i++)
		if (json_add(a, json_new_str(c->nodes[i].path)) < 0)
			return NULL;
	return TAKE(a);
}

static struct json *claim_json(const struct claim *c)
{
	CLEANUP(json_freep) struct json *o = json_new_object();

	if (set_device(o, c->device) < 0 || set_claim(o, c) < 0 ||
		json_set(o, "deviceNodes", nodes_json(c)) < 0)
		return NULL;
	return TAKE(o);
}

static struct json *class_json(const struct snapshot *s, const struct api_class *c)
{
	CLEANUP(json_freep) struct json *o = json_new_object();
	size_t n = claimed_by(s, c);

	if (json_set_str(o, "name", c->meta.name) < 0 ||
		json_set_str(o, "resourceName", c->spec.resource_name) < 0 ||
		json_set_str(o, "sharing", sharing_name(c)) < 0 ||
		json_set_bool(o, "cdi", c->spec.cdi) < 0 ||
		json_set_int(o, "devices", (int64_t)n) < 0 ||
		(n == 0 && json_set_str(o, "reason",
				   reason_name(REASON_NO_MATCHING_DEVICES)) < 0))
		return NULL;
	return TAKE(o);
}

static struct json *file_json(const struct class_file *f)
{
	CLEANUP(json_freep) struct json *o = json_new_object();

	if (json_set_str(o, "path", f->path) < 0 ||
		json_set_int(o, "classes", (int64_t)f->n) < 0 ||
		json_set_str(o, "error", f->error) < 0)
		return NULL;
	return TAKE(o);
}

static int set_classes(
	struct json *doc, const struct snapshot *s, const struct classes *classes)
{
	CLEANUP(json_freep) struct json *c = json_new_array(), *f = json_new_array();

	for (size_t i = 0; i < classes_len(classes); i++)
		if (json_add(c, class_json(s, classes_at(classes, i))) < 0)
			return -ENOMEM;
	for (size_t i = 0; i < classes_files(classes); i++)
		if (json_add(f, file_json(classes_file(classes, i))) < 0)
			return -ENOMEM;
	if (json_set(doc, "classes", TAKE(c)) < 0 || json_set(doc, "files", TAKE(f)) < 0)
		return -ENOMEM;
	return 0;
}

int list_json(const struct snapshot *s, const struct classes *classes, struct json **ret)
{
	CLEANUP(json_freep) struct json *doc = json_new_object(), *a = json_new_array();

	for (size_t i = 0; i < s->n_claims; i++)
		if (json_add(a, claim_json(&s->claims[i])) < 0)
			return -ENOMEM;
	if (json_set_int(doc, "version", 1) < 0 ||
		json_set(doc, "devices", TAKE(a)) < 0 || set_classes(doc, s, classes) < 0)
		return -ENOMEM;
	*ret = TAKE(doc);
	return 0;
}

static struct json *explained(const struct subject *x)
{
	CLEANUP(json_freep) struct json *o = json_new_object();
	const struct claim *c = x->claim;
	char why[512];

	why_not(x, why, sizeof(why));
	if (set_device(o, x->device) < 0 ||
		json_set_bool(o, "allocatable", !why[0]) < 0 ||
		(why[0] && json_set_str(o, "why", why) < 0) ||
		(c && set_claim(o, c) < 0) ||
		(c && c->rival &&
			json_set_str(o, "alsoClaimedBy", c->rival->meta.name) < 0))
		return NULL;
	if (c && c->reason != REASON_NONE &&
		json_set_str(o, "remedy", reason_remedy(c->reason)) < 0)
		return NULL;
	return TAKE(o);
}

int explain_json(const struct snapshot *s, const struct classes *classes,
	struct inventory *inv, struct json **ret)
{
	CLEANUP(json_freep) struct json *doc = json_new_object(), *a = json_new_array();
	struct subject x;
	size_t it = 0;

	while (next_subject(s, classes, inv, &it, &x))
		if (json_add(a, explained(&x)) < 0)
			return -ENOMEM;
	if (json_set_int(doc, "version", 1) < 0 ||
		json_set(doc, "devices", TAKE(a)) < 0 || set_classes(doc, s, classes) < 0)
		return -ENOMEM;
	*ret = TAKE(doc);
	return 0;
}

/* ---- text ---- */
static const char *dash(const char *s)
{
	return str_empty(s) ? "-" : s;
}

static void numa_text(const struct device *d, char out[16])
{
	if (d->numa_node < 0)
		(void)snprintf(out, 16, "-");
	else
		(void)snprintf(out, 16, "%d", d->numa_node);
}

static void text_files(const struct classes *classes, struct buf *out)
{
	for (size_t i = 0; i < classes_files(classes); i++) {
		const struct class_file *f = classes_file(classes, i);

		if (f->error)
			(void)buf_fmt(out,
				"\nfile in error (%zu classes of it in force): %s\n",
				f->n, f->error);
	}
}

int list_text(const struct snapshot *s, const struct classes *classes, struct buf *out)
{
	(void)buf_fmt(out, "%-14s %-9s %-12s %-4s %-12s %-16s %-24s %-9s %s\n", "DEVICE",
		"ID", "DRIVER", "NUMA", "PCIEROOT", "CLASS", "RESOURCE", "HEALTH",
		"NODES");
	for (size_t i = 0; i < s->n_claims; i++) {
		const struct claim *c = &s->claims[i];
		const struct device *d = c->device;
		char numa[16], ids[24];

		numa_text(d, numa);
		(void)snprintf(
			ids, sizeof(ids), "%s:%s", dash(d->vendor), dash(d->device));
		(void)buf_fmt(out, "%-14s %-9s %-12s %-4s %-12s %-16s %-24s %-9s ", d->id,
			ids, dash(d->driver), numa, dash(d->pcie_root),
			c->class_->meta.name, dash(c->resource), health_names[c->health]);
		for (size_t k = 0; k < c->n_nodes; k++)
			(void)buf_fmt(out, "%s%s", k ? "," : "", c->nodes[k].path);
		(void)buf_str(out, c->n_nodes ? "\n" : "-\n");
	}
	(void)buf_fmt(out, "\n%-24s %-32s %-10s %-4s %s\n", "CLASS", "RESOURCE",
		"SHARING", "CDI", "DEVICES");
	for (size_t i = 0; i < classes_len(classes); i++) {
		const struct api_class *c = classes_at(classes, i);

		(void)buf_fmt(out, "%-24s %-32s %-10s %-4s %zu\n", c->meta.name,
			c->spec.resource_name, sharing_name(c),
			c->spec.cdi ? "yes" : "no", claimed_by(s, c));
	}
	text_files(classes, out);
	return buf_ok(out);
}

static void explain_device(const struct subject *x, struct buf *out)
{
	const struct device *d = x->device;
	const struct claim *c = x->claim;
	char why[512];

	why_not(x, why, sizeof(why));
	(void)buf_fmt(out, "%s (%s %s:%s, driver %s): ", d->id, bus_name(d),
		dash(d->vendor), dash(d->device), d->driver[0] ? d->driver : "none");
	if (why[0])
		(void)buf_fmt(out, "not allocatable: %s\n", why);
	else
		(void)buf_fmt(out, "allocatable as %s by class '%s'\n", c->resource,
			c->class_->meta.name);
	if (c && !why[0] && c->reason != REASON_NONE)
		(void)buf_fmt(out, "  %s: %s: %s\n", health_names[c->health],
			reason_name(c->reason), c->text);
	if (c && c->reason != REASON_NONE && *reason_remedy(c->reason))
		(void)buf_fmt(out, "  remedy: %s\n", reason_remedy(c->reason));
	if (c && c->rival)
		(void)buf_fmt(out,
			"  class '%s' claims it too; the first by name has it\n",
			c->rival->meta.name);
}

int explain_text(const struct snapshot *s, const struct classes *classes,
	struct inventory *inv, struct buf *out)
{
	struct subject x;
	size_t n = 0, it = 0;

	while (next_subject(s, classes, inv, &it, &x)) {
		explain_device(&x, out);
		n++;
	}
	if (n == 0)
		(void)buf_str(out, "no accelerator found\n");
	for (size_t i = 0; i < classes_len(classes); i++) {
		const struct api_class *c = classes_at(classes, i);

		if (claimed_by(s, c) == 0)
			(void)buf_fmt(out, "class '%s': %s: it matches no device here\n",
				c->meta.name, reason_name(REASON_NO_MATCHING_DEVICES));
	}
	for (size_t i = 0; i < s->n_resources; i++)
		if (s->resources[i].is_mixed)
			(void)buf_fmt(out,
				"resource '%s': some devices have no NUMA node: those "
				"never satisfy a topology hint\n",
				s->resources[i].name);
	text_files(classes, out);
	return buf_ok(out);
}
