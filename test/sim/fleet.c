// SPDX-License-Identifier: Apache-2.0
/* The simulated fleet: chance, what it is made of, and what the controller sees of it. */
#include "model.h"

#include <stdarg.h>
#include <stdio.h>

static uint64_t next(struct sim *s)
{
	uint64_t z = (s->seed += 0x9e3779b97f4a7c15ULL);

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
	return z ^ (z >> 31);
}

uint64_t sim_below(struct sim *s, uint64_t n)
{
	return next(s) % n;
}

bool sim_trouble(struct sim *s, unsigned percent)
{
	return !s->is_calm && sim_below(s, 100) < percent;
}

void sim_say(struct sim *s, const char *fmt, ...)
{
	va_list ap;

	if (!s->trace)
		return;
	(void)fprintf(stderr, "%6lld ", (long long)s->now);
	va_start(ap, fmt);
	(void)vfprintf(stderr, fmt, ap);
	va_end(ap);
	(void)fputc('\n', stderr);
}

void sim_broken(struct sim *s, const char *fmt, ...)
{
	va_list ap;

	if (*s->res->broken)
		return;
	va_start(ap, fmt);
	(void)vsnprintf(s->res->broken, sizeof(s->res->broken), fmt, ap);
	va_end(ap);
	sim_say(s, "BROKEN: %s", s->res->broken);
}

void sim_copy_text(char out[TEXT], const char *s)
{
	(void)snprintf(out, TEXT, "%s", s);
}

static void make_policy(struct sim *s, struct api_upgrade_policy *p)
{
	memset(p, 0, sizeof(*p));
	p->present = sim_below(s, 4) != 0;
	p->auto_upgrade = true;
	p->max_parallel = (int64_t)sim_below(s, 4);
	p->max_unavailable = sim_below(s, 2) ? (struct intstr){ true,
		10 + (int64_t)sim_below(s, 91) }
					     : (struct intstr){ false,
						       1 + (int64_t)sim_below(s, 4) };
	p->wait.present = sim_below(s, 3) == 0;
	p->wait.timeout_seconds = 30;
	p->pod_deletion.present = sim_below(s, 2);
	p->pod_deletion.force = sim_below(s, 2);
	p->pod_deletion.timeout_seconds = 60;
	p->drain.present = sim_below(s, 2);
	p->drain.enable = sim_below(s, 2);
	p->drain.force = sim_below(s, 2);
	p->drain.timeout_seconds = 60;
	p->validation_timeout_seconds = 80;
	p->reboot_required = sim_below(s, 4) == 0;
	p->rollback_on_failure = sim_below(s, 3) != 0;
}

static void make_driver(struct sim *s, size_t i)
{
	struct driver *d = &s->drivers[i];

	(void)snprintf(d->name, sizeof(d->name), "d%zu", i);
	/* the third claims what the first has: a conflict on every node */
	d->match = (struct api_device_match){
		.bus = API_BUS_PCI,
		.vendor = "1234",
		.device = i == 1 ? "0002" : "0001",
	};
	d->selector = (struct kv){ "pool", "a" };
	d->v = (struct view_driver){
		.name = d->name,
		.uid = d->name,
		.generation = 1,
		.created = (int64_t)i,
		.has_spec = true,
		.selector = 7,
		.spec_hash = 100 * i + 1,
	};
	d->v.d.meta.name = d->name;
	d->v.d.meta.generation = 1;
	d->v.d.spec.devices = (struct list){ &d->match, 1 };
	if (sim_below(s, 2)) {
		d->v.d.spec.node_selector.present = true;
		d->v.d.spec.node_selector.match_labels = (struct list){ &d->selector, 1 };
	}
	make_policy(s, &d->v.d.spec.upgrade_policy);
	d->bad_share = (unsigned)sim_below(s, 101);
	s->driver_ptrs[i] = &d->v;
}

static void make_node(struct sim *s, size_t i)
{
	struct node *n = &s->nodes[i];

	(void)snprintf(n->name, sizeof(n->name), "n%zu", i);
	n->obj = (struct object){
		.is_ready = true,
		.has_label = true,
		.allocatable = 2,
		.version = 1,
	};
	n->hardware = "pci:1234:0001";
	n->obj.is_skipped = sim_below(s, 12) == 0;
	if (sim_below(s, 8) == 0) {
		n->admin_cordon = true;
		n->obj.is_unschedulable = true;
	}
	for (size_t p = 0; p < PODS_MAX; p++) {
		n->pods[p] = (struct pod){
			.is_there = sim_below(s, 3) != 0,
			.uses_devices = sim_below(s, 2),
			.has_controller = sim_below(s, 4) != 0,
			.is_protected = sim_below(s, 6) == 0,
		};
		if (n->pods[p].is_there && n->pods[p].uses_devices &&
			sim_below(s, 4) == 0)
			n->pods[p].gang = 1 + (unsigned)sim_below(s, GANGS_MAX);
		else if (p == 0 && s->gang_min[0] > 0 && n->pods[p].uses_devices)
			n->pods[p].gang =
				1; /* a gang that is large enough to spare some */
		(void)snprintf(n->pod_names[p], sizeof(n->pod_names[p]), "p%zu", p);
	}
	n->v.name = n->name;
	n->v.upgrade = (struct view_upgrade){ 0, 0, "", "", "", NULL };
	s->node_ptrs[i] = &n->v;
}

/* By the seed alone, and not with every one: what a seed did before there was a minimum, it still does. */
static void make_minima(struct sim *s)
{
	static const bool has_minimum[7] = {
		[0] = true, [2] = true, [3] = true, [5] = true
	};

	for (size_t i = 0; has_minimum[s->seed % 7] && i < GANGS_MAX; i++)
		s->gang_min[i] = 1 + (int64_t)((s->seed / 7 + i) % 3);
}

void sim_make_fleet(struct sim *s)
{
	make_minima(s);
	s->n_nodes = 1 + sim_below(s, NODES_MAX);
	s->n_drivers = 1 + sim_below(s, DRIVERS_MAX);
	for (size_t i = 0; i < s->n_drivers; i++)
		make_driver(s, i);
	for (size_t i = 0; i < s->n_nodes; i++)
		make_node(s, i);
	s->class_match = (struct api_device_match){
		.bus = API_BUS_PCI, .vendor = "1234", .device = "0001"
	};
	s->class_ = (struct view_class){ .name = "c", .uid = "c", .has_spec = true };
	s->class_.c.spec.resource_name = "farrier.dev/x";
	s->class_.c.spec.match = (struct list){ &s->class_match, 1 };
	s->class_ptr = &s->class_;
	s->view = (struct view){
		.drivers = s->driver_ptrs,
		.n_drivers = s->n_drivers,
		.classes = &s->class_ptr,
		.n_classes = 1,
		.nodes = s->node_ptrs,
		.n_nodes = s->n_nodes,
		.own_node = sim_below(s, 2) ? "n0" : NULL,
		.gangs = s->gang_ptrs,
	};
}

bool sim_has_gang(const struct node *n, unsigned gang)
{
	for (size_t i = 0; i < PODS_MAX; i++)
		if (n->pods[i].is_there && n->pods[i].gang == gang)
			return true;
	return false;
}

uint32_t sim_running_of(const struct node *n, unsigned gang)
{
	uint32_t k = 0;

	for (size_t i = 0; i < PODS_MAX; i++)
		k += n->pods[i].is_there && !n->pods[i].is_deleting &&
		     n->pods[i].gang == gang;
	return k;
}

int64_t sim_build_of(const struct driver *d, int64_t generation)
{
	return generation == d->same_build ? generation - 1 : generation;
}

void sim_see_acc(struct sim *s, struct node *n)
{
	const struct acc *a = &n->seen_acc;

	n->seen_acc = n->acc;
	s->changed = true;
	n->v.has_acc = a->exists;
	n->v.is_known = a->is_known;
	n->v.spec_hash = a->hash;
	n->v.assigns = (struct list){ n->seen_acc.assigns, a->n_assigns };
	n->v.states = (struct list){ n->seen_acc.states, a->n_states };
	n->v.hardware = (struct list){ &n->hardware, a->is_known ? 1 : 0 };
	n->v.upgrade = (struct view_upgrade){
		.state = a->state,
		.since = a->since,
		.target = a->target,
		.reason = a->reason,
		.message = a->message,
		.boot = *a->boot ? a->boot : NULL,
		.group = *a->group ? a->group : NULL,
	};
	n->v.boot_id = a->boot_id;
	n->before = (struct view_count){ "farrier.dev/x", *a->before ? 2 : 0 };
	n->v.before = (struct list){ &n->before, *a->before ? 1 : 0 };
}

void sim_see_obj(struct sim *s, struct node *n)
{
	n->seen_obj = n->obj;
	s->changed = true;
	n->v.has_node = true;
	n->v.is_ready = n->obj.is_ready;
	n->v.is_unschedulable = n->obj.is_unschedulable;
	n->v.is_cordoned = n->obj.is_cordoned;
	n->v.is_skipped = n->obj.is_skipped;
	n->v.version = n->obj.version;
	n->label = (struct kv){ "pool", "a" };
	n->v.labels = (struct list){ &n->label, n->obj.has_label ? 1 : 0 };
	n->allocatable = (struct view_count){ "farrier.dev/x", n->obj.allocatable };
	n->v.allocatable = (struct list){ &n->allocatable, 1 };
}

void sim_watch(struct sim *s)
{
	for (size_t i = 0; i < s->n_nodes; i++) {
		struct node *n = &s->nodes[i];

		/* A difference in padding is one event too many, which must not matter. */
		/* NOLINTNEXTLINE(bugprone-suspicious-memory-comparison) */
		if (memcmp(&n->seen_acc, &n->acc, sizeof(n->acc)) != 0 &&
			!sim_trouble(s, 40))
			sim_see_acc(s, n);
		if ((n->seen_obj.version != n->obj.version || !n->v.has_node) &&
			!sim_trouble(s, 40))
			sim_see_obj(s, n);
	}
}
