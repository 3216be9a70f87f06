// SPDX-License-Identifier: Apache-2.0
/* Builds the paths and bodies of the controller's writes. */
#include "bodies.h"

#include "builds.h"
#include "kube.h"

enum { GOOD_MAX = 512 << 10 }; /* of a spec in a status; an object may have 1.5 MB */

int bodies_path(struct buf *out, const char *prefix, const char *name, const char *suffix)
{
	buf_clear(out);
	(void)buf_str(out, prefix);
	(void)kube_path_escape(out, name);
	(void)buf_str(out, suffix);
	return buf_ok(out);
}

struct json *bodies_object(const char *api_version, const char *kind, const char *name)
{
	CLEANUP(json_freep) struct json *j = json_new_object(), *m = json_new_object();

	if (!j || !m || json_set_str(m, "name", name) < 0 ||
		json_set_str(j, "apiVersion", api_version) < 0 ||
		json_set_str(j, "kind", kind) < 0 || json_set(j, "metadata", TAKE(m)) < 0)
		return NULL;
	return TAKE(j);
}

/* json_get() for what we built ourselves. */
static struct json *member(struct json *j, const char *key)
{
	return (struct json *)json_get(j, key);
}

/* ---- AcceleratorNode ---- */

static int add_driver(
	const struct fleet *f, struct json *list, const struct view_assign *s)
{
	const struct json *driver = fleet_driver_spec_of(f, s->name, s->generation);
	struct json *j;

	if (!driver)
		return -ESTALE;
	j = json_new_object();
	if (!j)
		return -ENOMEM;
	if (json_set_str(j, "name", s->name) < 0 ||
		json_set_int(j, "generation", s->generation) < 0 ||
		(s->proceed && json_set_int(j, "proceedGeneration", s->proceed) < 0) ||
		(s->unload && json_set_bool(j, "unload", true) < 0) ||
		json_set(j, "spec", json_copy(driver)) < 0) {
		json_free(j);
		return -ENOMEM;
	}
	return json_add(list, j);
}

static int add_class(const struct fleet *f, struct json *list, const char *name)
{
	struct json *j = json_new_object();

	if (!j)
		return -ENOMEM;
	if (json_set_str(j, "name", name) < 0 ||
		json_set(j, "spec", json_copy(fleet_class_spec(f, name))) < 0) {
		json_free(j);
		return -ENOMEM;
	}
	return json_add(list, j);
}

static int add_upgrade(struct json *spec, const struct view_upgrade *up)
{
	struct json *j;

	if (up->state == API_UPGRADE_NONE)
		return 0;
	j = json_new_object();
	if (!j)
		return -ENOMEM;
	if (json_set_str(j, "state", api_upgrade_state_names[up->state]) < 0 ||
		json_set_int(j, "since", up->since) < 0 ||
		json_set_str(j, "target", up->target) < 0 ||
		(up->group && json_set_str(j, "group", up->group) < 0) ||
		(up->boot && json_set_str(j, "bootID", up->boot) < 0) ||
		(*up->reason && json_set_str(j, "reason", up->reason) < 0) ||
		(*up->message && json_set_str(j, "message", up->message) < 0)) {
		json_free(j);
		return -ENOMEM;
	}
	return json_set(spec, "upgrade", j);
}

static int add_owner(struct json *meta, const struct view_node *n)
{
	struct json *owners = json_new_array(), *o = json_new_object();
	char uid[UID_TEXT_MAX];

	if (!owners || !o || json_set_str(o, "apiVersion", "v1") < 0 ||
		json_set_str(o, "kind", "Node") < 0 ||
		json_set_str(o, "name", n->name) < 0 ||
		json_set_str(o, "uid", uid_text(&n->uid, uid)) < 0) {
		json_free(owners);
		json_free(o);
		return -ENOMEM;
	}
	if (json_add(owners, o) < 0) {
		json_free(owners);
		return -ENOMEM;
	}
	return json_set(meta, "ownerReferences", owners);
}

static int add_annotations(struct json *meta, const struct plan_node *p)
{
	struct json *j = json_new_object();

	if (!j)
		return -ENOMEM;
	if ((*p->selectors && json_set_str(j, VIEW_SELECTORS, p->selectors) < 0) ||
		(*p->before && json_set_str(j, VIEW_BEFORE, p->before) < 0)) {
		json_free(j);
		return -ENOMEM;
	}
	return json_set(meta, "annotations", j);
}

static int fill_spec(const struct fleet *f, const struct view *v,
	const struct plan_node *p, struct json *spec)
{
	CLEANUP(json_freep) struct json *drivers = json_new_array();
	CLEANUP(json_freep) struct json *classes = json_new_array();
	int r = drivers && classes ? 0 : -ENOMEM;

	for (size_t i = 0; i < p->assigns.n && r >= 0; i++)
		r = add_driver(f, drivers, VIEW_AT(struct view_assign, p->assigns, i));
	for (size_t i = 0; i < v->n_classes && r >= 0; i++)
		if (v->classes[i]->has_spec)
			r = add_class(f, classes, v->classes[i]->name);
	if (r >= 0)
		r = json_set(spec, "drivers", TAKE(drivers));
	if (r >= 0)
		r = json_set(spec, "classes", TAKE(classes));
	if (r >= 0)
		r = add_upgrade(spec, &p->upgrade);
	if (r >= 0 && p->builds.n > 0)
		r = json_set(spec, "builds", builds_json(&p->builds));
	return r;
}

int bodies_acc(const struct fleet *f, const struct plan_node *p, struct json **ret)
{
	CLEANUP(json_freep)
	struct json *j = bodies_object(API_GROUP_VERSION, API_KIND_NODE, p->name),
		    *spec = json_new_object();
	const struct view_node *n = fleet_node(f, p->name);
	const struct view *v = fleet_view((struct fleet *)f);
	int r;

	if (!j || !spec || !v)
		return -ENOMEM;
	if (!n || !n->has_node)
		return -ESTALE;
	r = fill_spec(f, v, p, spec);
	if (r >= 0)
		r = json_set(j, "spec", TAKE(spec));
	if (r >= 0)
		r = add_owner(member(j, "metadata"), n);
	if (r >= 0)
		r = add_annotations(member(j, "metadata"), p);
	if (r < 0)
		return r;
	*ret = TAKE(j);
	return 0;
}

/* ---- statuses ---- */

static int add_condition(struct json *list, const struct api_condition *c)
{
	struct json *j = json_new_object();

	if (!j)
		return -ENOMEM;
	if (json_set_str(j, "type", c->type) < 0 ||
		json_set_str(j, "status", c->status) < 0 ||
		json_set_str(j, "reason", c->reason) < 0 ||
		json_set_str(j, "message", view_str(c->message)) < 0 ||
		json_set_str(j, "lastTransitionTime", c->last_transition_time) < 0 ||
		json_set_int(j, "observedGeneration", c->observed_generation) < 0) {
		json_free(j);
		return -ENOMEM;
	}
	return json_add(list, j);
}

static int set_conditions(struct json *status, const struct list *conds)
{
	struct json *list = json_new_array();
	int r = list ? 0 : -ENOMEM;

	for (size_t i = 0; i < conds->n && r >= 0; i++)
		r = add_condition(list, VIEW_AT(struct api_condition, *conds, i));
	if (r < 0) {
		json_free(list);
		return r;
	}
	return json_set(status, "conditions", list);
}

static const char *const kernel_states[API_KERNEL_STATES_] = {
	[API_KERNEL_PENDING] = "Pending",
	[API_KERNEL_BUILDING] = "Building",
	[API_KERNEL_READY] = "Ready",
	[API_KERNEL_FAILED] = "Failed",
	[API_KERNEL_NOT_APPLICABLE] = "NotApplicable",
};

static int add_kernel(struct json *list, const struct plan_kernel *k)
{
	struct json *j = json_new_object();

	if (!j)
		return -ENOMEM;
	if (json_set_str(j, "release", k->release) < 0 ||
		json_set_int(j, "nodes", k->nodes) < 0 ||
		json_set_str(j, "state", kernel_states[k->state]) < 0 ||
		(*k->artifact && json_set_str(j, "artifact", k->artifact) < 0) ||
		(k->build_seconds &&
			json_set_int(j, "buildSeconds", k->build_seconds) < 0)) {
		json_free(j);
		return -ENOMEM;
	}
	return json_add(list, j);
}

static int set_kernels(struct json *status, const struct plan_driver *p)
{
	struct json *list = json_new_array();
	int r = list ? 0 : -ENOMEM;

	for (size_t i = 0; i < p->n_kernels && r >= 0; i++)
		r = add_kernel(list, &p->kernels[i]);
	if (r < 0) {
		json_free(list);
		return r;
	}
	return json_set(status, "kernels", list);
}

/* The generation to go back to: today's once it is ready everywhere, else the one that is stored. */
static int set_good(
	const struct fleet *f, struct json *status, const struct plan_driver *p)
{
	const struct view_driver *d = p->driver;
	bool is_new = p->is_good && d->good.generation != d->d.meta.generation;
	struct buf text CLEANUP(buf_done);
	struct json *j;
	int r;

	buf_init(&text, GOOD_MAX);
	if (!is_new && d->good.generation == 0)
		return 0;
	/* One that is too large to keep is not kept. */
	if (is_new && json_print(fleet_driver_spec(f, d->name), false, &text) < 0)
		return 0;
	j = json_new_object();
	if (!j)
		return -ENOMEM;
	r = json_set_int(
		j, "generation", is_new ? d->d.meta.generation : d->good.generation);
	if (r >= 0)
		r = json_set_str(
			j, "version", is_new ? d->d.spec.version : d->good.version);
	if (r >= 0)
		r = json_set_str(j, "spec", is_new ? buf_cstr(&text) : d->good.text);
	if (r < 0) {
		json_free(j);
		return r;
	}
	return json_set(status, "lastGood", j);
}

int bodies_driver_status(
	const struct fleet *f, const struct plan_driver *p, struct json **ret)
{
	CLEANUP(json_freep)
	struct json *j = bodies_object(
			    API_GROUP_VERSION, API_KIND_DRIVER, p->driver->name),
		    *status = json_new_object();
	int r;

	if (!j || !status)
		return -ENOMEM;
	r = json_set_int(status, "observedGeneration", p->driver->generation);
	if (r >= 0)
		r = json_set_int(status, "desiredNodes", p->desired);
	if (r >= 0)
		r = json_set_int(status, "readyNodes", p->ready);
	if (r >= 0)
		r = json_set_int(status, "failedNodes", p->failed);
	if (r >= 0)
		r = set_kernels(status, p);
	if (r >= 0)
		r = set_good(f, status, p);
	if (r >= 0)
		r = set_conditions(status, &p->conditions);
	if (r >= 0)
		r = json_set(j, "status", TAKE(status));
	if (r < 0)
		return r;
	*ret = TAKE(j);
	return 0;
}

int bodies_class_status(const struct plan_class *p, struct json **ret)
{
	CLEANUP(json_freep)
	struct json *j = bodies_object(
			    API_GROUP_VERSION, API_KIND_CLASS, p->class_->name),
		    *status = json_new_object();
	int r;

	if (!j || !status)
		return -ENOMEM;
	r = json_set_int(status, "observedGeneration", p->class_->generation);
	if (r >= 0)
		r = json_set_int(status, "nodes", p->nodes);
	if (r >= 0)
		r = json_set_int(status, "devices", p->devices);
	if (r >= 0)
		r = json_set_int(status, "healthyDevices", p->healthy);
	if (r >= 0)
		r = set_conditions(status, &p->conditions);
	if (r >= 0)
		r = json_set(j, "status", TAKE(status));
	if (r < 0)
		return r;
	*ret = TAKE(j);
	return 0;
}

/* ---- finalizers ---- */

int bodies_finalizers(
	const struct fleet *f, const char *driver, bool add, struct json **ret)
{
	CLEANUP(json_freep)
	struct json *j = json_new_object(), *meta = json_new_object(),
		    *list = json_new_array();
	const struct list *now = fleet_finalizers(f, driver);
	int r = 0;

	if (!now)
		return -ESTALE;
	if (!j || !meta || !list)
		return -ENOMEM;
	for (size_t i = 0; i < now->n && r >= 0; i++) {
		const char *s = *VIEW_AT(const char *, *now, i);

		if (!streq(s, VIEW_FINALIZER))
			r = json_add(list, json_new_str(s));
	}
	if (add && r >= 0)
		r = json_add(list, json_new_str(VIEW_FINALIZER));
	if (r >= 0)
		r = json_set(meta, "finalizers", TAKE(list));
	if (r >= 0)
		r = json_set_str(meta, "resourceVersion", fleet_version(f, driver));
	if (r >= 0)
		r = json_set(j, "metadata", TAKE(meta));
	if (r < 0)
		return r;
	*ret = TAKE(j);
	return 0;
}
