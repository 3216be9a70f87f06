// SPDX-License-Identifier: Apache-2.0
/* Assigns drivers to nodes: selector and hardware, sticky, one driver for each device. */
#include "assign.h"

#include "wave.h"

static const struct view_assign *find(const struct list *assigns, const char *name)
{
	for (size_t i = 0; i < assigns->n; i++) {
		const struct view_assign *s = VIEW_AT(struct view_assign, *assigns, i);

		if (streq(s->name, name))
			return s;
	}
	return NULL;
}

static bool claims(const struct view_driver *d, const char *hardware)
{
	const struct list *devices = &d->d.spec.devices;

	for (size_t i = 0; i < devices->n; i++)
		if (api_hardware_match(
			    VIEW_AT(struct api_device_match, *devices, i), hardware))
			return true;
	return false;
}

static bool has_hardware(const struct view_driver *d, const struct view_node *n)
{
	if (d->d.spec.devices.n == 0)
		return true;
	for (size_t i = 0; i < n->hardware.n; i++)
		if (claims(d, *VIEW_AT(const char *, n->hardware, i)))
			return true;
	return false;
}

static bool differ(const char *x, const char *y)
{
	return x && y && !streq(x, y);
}

bool assign_overlap(const struct api_device_match *x, const struct api_device_match *y)
{
	if (x->bus != y->bus || differ(x->vendor, y->vendor) ||
		differ(x->device, y->device) || differ(x->subvendor, y->subvendor) ||
		differ(x->subdevice, y->subdevice))
		return false;
	if (x->class_code && y->class_code && !str_starts(x->class_code, y->class_code) &&
		!str_starts(y->class_code, x->class_code))
		return false;
	return true;
}

/* Whether @x and @y may claim the same device that @hardware stands for. */
static bool both_claim(
	const struct view_driver *x, const struct view_driver *y, const char *hardware)
{
	const struct list *xs = &x->d.spec.devices, *ys = &y->d.spec.devices;

	for (size_t i = 0; i < xs->n; i++) {
		const struct api_device_match *m = VIEW_AT(
			struct api_device_match, *xs, i);

		if (!api_hardware_match(m, hardware))
			continue;
		for (size_t j = 0; j < ys->n; j++) {
			const struct api_device_match *o = VIEW_AT(
				struct api_device_match, *ys, j);

			if (api_hardware_match(o, hardware) && assign_overlap(m, o))
				return true;
		}
	}
	return false;
}

/* Whether @n should have @d, conflicts aside. @old: what it has now, or NULL. */
static bool is_wanted(const struct view_driver *d, const struct view_node *n,
	const struct view_assign *old)
{
	bool selected = api_selector_match(&d->d.spec.node_selector, &n->labels);

	if (!old)
		return n->is_known && !d->deleted_at && selected && has_hardware(d, n);
	if (d->deleted_at)
		return true; /* until the object is gone */
	return selected || !old->selector || old->selector == d->selector;
}

/* The driver among the first @n_before that has a claim to a device of @d, or NULL. */
static const struct view_driver *rival(const struct view *v, const bool *is_taken,
	size_t n_before, const struct view_driver *d, const struct view_node *n)
{
	for (size_t i = 0; i < n_before; i++) {
		if (!is_taken[i] || !v->drivers[i]->has_spec)
			continue;
		for (size_t h = 0; h < n->hardware.n; h++)
			if (both_claim(v->drivers[i], d,
				    *VIEW_AT(const char *, n->hardware, h)))
				return v->drivers[i];
	}
	return NULL;
}

/* Whether @old went back to the last good generation because today's failed, and nothing is new. */
static bool is_rolled_back(const struct view_driver *d, const struct view_assign *old,
	const struct view_upgrade *up)
{
	return old->generation != d->d.meta.generation &&
	       old->generation == d->good.generation &&
	       (up->state == API_UPGRADE_ROLLBACK || up->state == API_UPGRADE_FAILED) &&
	       wave_targets(up->target, d->name, d->d.meta.generation);
}

static struct view_assign make(const struct view_driver *d, const struct view_assign *old,
	const struct view_upgrade *up, bool is_selected)
{
	struct view_assign s = {
		.name = d->name,
		.generation = d->d.meta.generation,
		.selector = d->selector,
	};

	if (old && is_rolled_back(d, old, up))
		s.generation = old->generation;
	if (old)
		s.proceed = old->proceed;
	/* A node that is kept though its label is gone remembers by which selector it came. */
	if (old && !is_selected && old->selector)
		s.selector = old->selector;
	s.unload = d->deleted_at && d->has_finalizer &&
		   d->d.spec.deletion_policy == API_DELETION_UNLOAD;
	return s;
}

static bool same(const struct view_assign *x, const struct view_assign *y)
{
	return streq(x->name, y->name) && x->generation == y->generation &&
	       x->proceed == y->proceed && x->selector == y->selector &&
	       x->unload == y->unload;
}

int assign_node(struct arena *a, const struct view *v, struct plan_driver *drivers,
	const struct view_node *n, struct list *ret)
{
	/* What may be stored already counts as stored. */
	const struct list *stored = n->intent ? &n->intent->assigns : &n->assigns;
	const struct view_upgrade *up = n->intent ? &n->intent->upgrade : &n->upgrade;
	struct view_assign *out;
	bool *is_taken, is_same = true;
	size_t k = 0;

	if (v->n_drivers == 0) {
		*ret = (struct list){ 0 };
		return 0;
	}
	out = arena_array(a, v->n_drivers, sizeof(*out));
	is_taken = arena_array(a, v->n_drivers, sizeof(*is_taken));
	if (!out || !is_taken)
		return -ENOMEM;
	for (size_t i = 0; i < v->n_drivers; i++) {
		const struct view_driver *d = v->drivers[i], *other;
		const struct view_assign *old = find(stored, d->name);

		/* Unreadable and never readable since we started: whoever has it keeps it. */
		if (!d->has_spec) {
			if (old)
				out[k++] = *old;
			continue;
		}
		if (!is_wanted(d, n, old))
			continue;
		other = rival(v, is_taken, i, d, n);
		if (other) {
			drivers[i].conflicts++;
			drivers[i].conflict_with = other->name;
			continue;
		}
		is_taken[i] = true;
		out[k] = make(d, old, up,
			api_selector_match(&d->d.spec.node_selector, &n->labels));
		is_same = is_same && old && same(&out[k], old);
		k++;
	}
	*ret = (struct list){ out, k };
	if (is_same && k == stored->n)
		*ret = *stored;
	return 0;
}
