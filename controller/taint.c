// SPDX-License-Identifier: Apache-2.0
/* When a node's devices are advertised. */
#include "taint.h"

static const struct view_class_devices *devices_of(
	const struct view_node *n, const struct view_class *k)
{
	for (size_t i = 0; i < n->devices.n; i++) {
		const struct view_class_devices *d = VIEW_AT(
			struct view_class_devices, n->devices, i);

		if (streq(d->class_name, k->name))
			return d;
	}
	return NULL;
}

static int64_t allocatable(const struct view_node *n, const char *resource)
{
	for (size_t i = 0; i < n->allocatable.n; i++) {
		const struct view_count *c = VIEW_AT(
			struct view_count, n->allocatable, i);

		if (streq(c->name, resource))
			return c->n;
	}
	return 0;
}

/* Whether a driver that the node is to have loads the module @name. */
static bool loads(const struct view *v, const struct list *assigns, const char *name)
{
	for (size_t i = 0; i < assigns->n; i++)
		for (size_t j = 0; j < v->n_drivers; j++) {
			const struct view_driver *d = v->drivers[j];
			const struct list *modules = &d->d.spec.modules;

			if (!d->has_spec ||
				!streq(d->name,
					VIEW_AT(struct view_assign, *assigns, i)->name))
				continue;
			for (size_t k = 0; k < modules->n; k++)
				if (streq(view_str(VIEW_AT(struct api_module, *modules, k)
							   ->name),
					    name))
					return true;
		}
	return false;
}

/* Whether the hardware says that devices of @k will come, before the plugin has seen any. What depends on
 * more than IDs is not known yet. */
static bool is_promised(const struct view *v, const struct view_node *n,
	const struct list *assigns, const struct view_class *k)
{
	const struct list *match = &k->c.spec.match;

	for (size_t i = 0; i < match->n; i++) {
		const struct api_device_match *m = VIEW_AT(
			struct api_device_match, *match, i);

		if (m->function != API_FUNCTION_ANY || m->attributes.n > 0 ||
			m->subsystem || m->subvendor || m->subdevice || m->class_code ||
			str_empty(m->vendor) ||
			(m->driver && !loads(v, assigns, m->driver)))
			continue;
		for (size_t j = 0; j < n->hardware.n; j++)
			if (api_hardware_match(m, *VIEW_AT(const char *, n->hardware, j)))
				return true;
	}
	return false;
}

bool taint_is_over(const struct view *v, const struct view_node *n,
	const struct list *assigns, const struct marks *m)
{
	if (!n->is_known || !n->is_ready || (m->status && !streq(m->status, "True")))
		return false;
	for (size_t i = 0; i < v->n_classes; i++) {
		const struct view_class *k = v->classes[i];
		const struct view_class_devices *d = devices_of(n, k);
		const char *resource = view_str(k->c.spec.resource_name);

		if (!k->has_spec || (!d && !is_promised(v, n, assigns, k)))
			continue;
		/* A name with variables is a different resource for each device: the plugin's word must do. */
		if (strchr(resource, '{') ? !d || d->healthy == 0
					  : allocatable(n, resource) == 0)
			return false;
	}
	return true;
}
