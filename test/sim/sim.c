// SPDX-License-Identifier: Apache-2.0
/* The simulated fleet. See sim.h. */
#include "sim.h"

#include <stdarg.h>
#include <stdio.h>

#include "../../controller/plan.h"
#include "../../controller/wave.h"

enum {
	NODES_MAX = 8,
	DRIVERS_MAX = 3,
	PODS_MAX = 4,
	GANGS_MAX = 2,
	TEXT = 128,
	TICK_S = 5,
	CHAOS_TICKS = 60,
	CALM_TICKS = 1500,
	ARENA_MAX = 8 << 20,
};

/* One AcceleratorNode as the server stores it. */
struct acc {
	bool exists;
	struct view_assign assigns[DRIVERS_MAX];
	size_t n_assigns;
	int state;
	int64_t since;
	char target[TEXT], reason[TEXT], message[TEXT], before[TEXT], boot[24];
	char group[32];
	uint64_t hash;
	/* status */
	bool is_known;
	struct view_driver_state states[DRIVERS_MAX];
	size_t n_states;
	char boot_id[24];
};

/* One Node as the server stores it. */
struct object {
	bool is_ready, is_unschedulable, is_cordoned, is_skipped, has_label;
	int64_t allocatable;
	uint64_t version;
};

struct pod {
	bool is_there, is_deleting, uses_devices, has_controller, is_protected;
	int64_t gone_at;
	unsigned gang; /* 0: none */
};

/* What runs on a node, the truth that only its agent sees. */
struct machine {
	int64_t built[DRIVERS_MAX]; /* generation that is staged */
	int64_t loaded[DRIVERS_MAX]; /* build that runs; 0: none */
	int64_t busy_until[DRIVERS_MAX];
	bool is_broken[DRIVERS_MAX]; /* the load failed */
	unsigned boots;
	int64_t back_at; /* it is rebooting until then; 0: it is not */
};

struct node {
	char name[24];
	struct acc acc;
	struct object obj;
	struct machine m;
	struct pod pods[PODS_MAX];
	bool admin_cordon; /* an admin wants it out of use */
	bool is_disturbed; /* an admin let pods in while it was drained */

	/* a write on its way */
	bool is_writing, is_uncertain; /* uncertain: an earlier try may have been done */
	struct acc write;
	int64_t write_at;

	/* what the controller believes */
	struct acc seen_acc;
	struct object seen_obj;
	struct view_node v;
	struct view_intent intent;
	struct kv label;
	struct view_count allocatable, before;
	const char *hardware;
	struct view_pods pods_seen;
	struct view_pod pod_records[PODS_MAX];
	char pod_names[PODS_MAX][24];
};

struct driver {
	char name[24];
	struct view_driver v;
	struct api_device_match match;
	struct kv selector;
	int64_t bad_from; /* generations from here on fail to load on some nodes; 0: none */
	unsigned bad_share; /* per cent */
	int64_t same_build; /* generation that changes nothing in the build */
};

/* A gang, as the controller has it listed. */
struct gang {
	bool is_listed;
	struct view_gang v;
	const char *names[NODES_MAX];
	uint32_t running[NODES_MAX];
};

struct sim {
	uint64_t seed;
	bool trace, is_calm;
	int64_t now;
	struct node nodes[NODES_MAX];
	size_t n_nodes;
	struct driver drivers[DRIVERS_MAX];
	size_t n_drivers;
	struct view_class class_;
	struct api_device_match class_match;
	struct view view;
	struct view_node *node_ptrs[NODES_MAX];
	struct view_driver *driver_ptrs[DRIVERS_MAX];
	struct view_class *class_ptr;
	struct gang gangs[GANGS_MAX];
	int64_t gang_min
		[GANGS_MAX]; /* pods without which it does not go on; 0: it needs all */
	struct view_gang *gang_ptrs[GANGS_MAX];
	struct arena *arena;
	struct sim_result *res;
	bool changed;
};

/* ---- chance, words ---- */

static uint64_t next(struct sim *s)
{
	uint64_t z = (s->seed += 0x9e3779b97f4a7c15ULL);

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
	return z ^ (z >> 31);
}

static uint64_t below(struct sim *s, uint64_t n)
{
	return next(s) % n;
}

/* In calm weather nothing bad happens. */
static bool trouble(struct sim *s, unsigned percent)
{
	return !s->is_calm && below(s, 100) < percent;
}

static void say(struct sim *s, const char *fmt, ...) _printf_(2, 3);
static void say(struct sim *s, const char *fmt, ...)
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

static void broken(struct sim *s, const char *fmt, ...) _printf_(2, 3);
static void broken(struct sim *s, const char *fmt, ...)
{
	va_list ap;

	if (*s->res->broken)
		return;
	va_start(ap, fmt);
	(void)vsnprintf(s->res->broken, sizeof(s->res->broken), fmt, ap);
	va_end(ap);
	say(s, "BROKEN: %s", s->res->broken);
}

static void copy_text(char out[TEXT], const char *s)
{
	(void)snprintf(out, TEXT, "%s", s);
}

/* ---- the fleet ---- */

static void make_policy(struct sim *s, struct api_upgrade_policy *p)
{
	memset(p, 0, sizeof(*p));
	p->present = below(s, 4) != 0;
	p->auto_upgrade = true;
	p->max_parallel = (int64_t)below(s, 4);
	p->max_unavailable = below(s, 2)
				     ? (struct intstr){ true, 10 + (int64_t)below(s, 91) }
				     : (struct intstr){ false, 1 + (int64_t)below(s, 4) };
	p->wait.present = below(s, 3) == 0;
	p->wait.timeout_seconds = 30;
	p->pod_deletion.present = below(s, 2);
	p->pod_deletion.force = below(s, 2);
	p->pod_deletion.timeout_seconds = 60;
	p->drain.present = below(s, 2);
	p->drain.enable = below(s, 2);
	p->drain.force = below(s, 2);
	p->drain.timeout_seconds = 60;
	p->validation_timeout_seconds = 80;
	p->reboot_required = below(s, 4) == 0;
	p->rollback_on_failure = below(s, 3) != 0;
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
	if (below(s, 2)) {
		d->v.d.spec.node_selector.present = true;
		d->v.d.spec.node_selector.match_labels = (struct list){ &d->selector, 1 };
	}
	make_policy(s, &d->v.d.spec.upgrade_policy);
	d->bad_share = (unsigned)below(s, 101);
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
	n->obj.is_skipped = below(s, 12) == 0;
	if (below(s, 8) == 0) {
		n->admin_cordon = true;
		n->obj.is_unschedulable = true;
	}
	for (size_t p = 0; p < PODS_MAX; p++) {
		n->pods[p] = (struct pod){
			.is_there = below(s, 3) != 0,
			.uses_devices = below(s, 2),
			.has_controller = below(s, 4) != 0,
			.is_protected = below(s, 6) == 0,
		};
		if (n->pods[p].is_there && n->pods[p].uses_devices && below(s, 4) == 0)
			n->pods[p].gang = 1 + (unsigned)below(s, GANGS_MAX);
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

static void make_fleet(struct sim *s)
{
	make_minima(s);
	s->n_nodes = 1 + below(s, NODES_MAX);
	s->n_drivers = 1 + below(s, DRIVERS_MAX);
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
		.own_node = below(s, 2) ? "n0" : NULL,
		.gangs = s->gang_ptrs,
	};
}

/* ---- what the controller sees ---- */

static void see_acc(struct sim *s, struct node *n)
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

static void see_obj(struct sim *s, struct node *n)
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

/* The watch: late, in any order between objects, and only the newest of several changes. */
static void watch(struct sim *s)
{
	for (size_t i = 0; i < s->n_nodes; i++) {
		struct node *n = &s->nodes[i];

		/* A difference in padding is one event too many, which must not matter. */
		/* NOLINTNEXTLINE(bugprone-suspicious-memory-comparison) */
		if (memcmp(&n->seen_acc, &n->acc, sizeof(n->acc)) != 0 && !trouble(s, 40))
			see_acc(s, n);
		if ((n->seen_obj.version != n->obj.version || !n->v.has_node) &&
			!trouble(s, 40))
			see_obj(s, n);
	}
}

/* ---- properties ---- */

static bool is_busy(const struct node *n, const struct plan_node *p)
{
	return (wave_is_active(n->acc.state) &&
		       (n->acc.state != API_UPGRADE_UNCORDON || n->obj.is_cordoned)) ||
	       (n->v.intent && wave_is_active(n->v.intent->upgrade.state)) ||
	       (n->is_writing && wave_is_active(n->write.state)) ||
	       (p && p->write && wave_is_active(p->upgrade.state));
}

static bool has_driver(const struct acc *a, const char *name)
{
	for (size_t i = 0; i < a->n_assigns; i++)
		if (streq(a->assigns[i].name, name))
			return true;
	return false;
}

static bool assigned(const struct list *assigns, const char *name)
{
	for (size_t i = 0; i < assigns->n; i++)
		if (streq(VIEW_AT(struct view_assign, *assigns, i)->name, name))
			return true;
	return false;
}

/* Counts by what is stored or on its way, whatever the controller's cache says. */
static void check_budget(
	struct sim *s, const struct plan *p, const struct plan_node *started)
{
	for (size_t d = 0; d < s->n_drivers; d++) {
		const struct api_upgrade_policy *policy =
			&s->drivers[d].v.d.spec.upgrade_policy;
		struct intstr quarter = { true, 25 };
		size_t online = 0, busy = 0, allowed;

		if (!assigned(&started->assigns, s->drivers[d].name))
			continue;
		for (size_t i = 0; i < s->n_nodes; i++) {
			struct node *n = &s->nodes[i];
			const struct plan_node *out = NULL;

			for (size_t k = 0; k < p->n_nodes && !out; k++)
				if (p->nodes[k].node == &n->v)
					out = &p->nodes[k];
			/* one that was sent away counts though it is not there */
			if ((!n->v.is_ready &&
				    n->v.upgrade.state != API_UPGRADE_REBOOT) ||
				!assigned(out ? &out->assigns : &n->v.assigns,
					s->drivers[d].name))
				continue;
			online++;
			busy += is_busy(n, out);
		}
		allowed = api_budget(
			policy->present ? &policy->max_unavailable : &quarter, online);
		if (busy > allowed)
			broken(s, "'%s' started: %zu of %zu nodes busy, %zu allowed (%s)",
				started->name, busy, online, allowed, s->drivers[d].name);
	}
}

static void check_assigns(struct sim *s, const struct node *n, const struct acc *w)
{
	for (size_t i = 0; i < n->acc.n_assigns; i++)
		if (!has_driver(w, n->acc.assigns[i].name) &&
			!(streq(n->acc.assigns[i].name, "d2") && has_driver(w, "d0")))
			broken(s, "'%s' lost driver '%s'", n->name,
				n->acc.assigns[i].name);
	for (size_t i = 0; i < w->n_assigns; i++) {
		if (w->assigns[i].unload)
			broken(s, "'%s' told to unload", n->name);
		if (w->assigns[i].proceed && !wave_may_replace(w->state))
			broken(s, "'%s' may replace in state %d", n->name, w->state);
	}
	if (has_driver(w, "d0") && has_driver(w, "d2"))
		broken(s, "'%s' has two drivers for one device", n->name);
}

/* ---- the API server ---- */

static void store(struct sim *s, struct node *n)
{
	struct acc *w = &n->write;

	if (n->acc.state != w->state)
		say(s, "%s: %d -> %d %s %s", n->name, n->acc.state, w->state, w->target,
			w->reason);
	if (n->acc.state != w->state && w->state == API_UPGRADE_DONE)
		s->res->upgrades++;
	if (n->acc.state != w->state && w->state == API_UPGRADE_FAILED)
		s->res->failures++;
	if (n->acc.state == API_UPGRADE_ROLLBACK && w->state == API_UPGRADE_FAILED &&
		strstr(w->message, "runs again"))
		s->res->rollbacks++;
	if (w->state == API_UPGRADE_CORDON)
		n->is_disturbed = false;
	check_assigns(s, n, w);
	/* the agent's half is its own */
	w->is_known = n->acc.is_known;
	memcpy(w->states, n->acc.states, sizeof(w->states));
	w->n_states = n->acc.n_states;
	memcpy(w->boot_id, n->acc.boot_id, sizeof(w->boot_id));
	n->acc = *w;
	n->acc.exists = true;
}

static void settle(struct sim *s, struct node *n)
{
	n->v.intent = NULL;
	n->is_uncertain = false;
	s->changed = true;
}

/* Ends a write: done, done and not told, lost, refused. */
static void finish_write(struct sim *s, struct node *n)
{
	uint64_t luck = s->is_calm ? 99 : below(s, 100);

	n->is_writing = false;
	s->changed = true;
	if (luck < 8) { /* lost: nobody knows, it is tried again */
		n->is_uncertain = true;
		return;
	}
	if (luck < 12) { /* refused, which says nothing of earlier tries */
		if (!n->is_uncertain)
			settle(s, n);
		return;
	}
	store(s, n);
	if (luck < 20) { /* done, the answer is lost */
		n->is_uncertain = true;
		return;
	}
	see_acc(s, n);
	settle(s, n);
}

static void begin_write(struct sim *s, struct node *n, const struct plan_node *p)
{
	struct acc *w = &n->write;

	n->intent.upgrade = p->upgrade;
	memset(w, 0, sizeof(*w));
	w->n_assigns = p->assigns.n;
	for (size_t i = 0; i < p->assigns.n; i++) {
		w->assigns[i] = *VIEW_AT(struct view_assign, p->assigns, i);
		for (size_t d = 0; d < s->n_drivers; d++)
			if (streq(s->drivers[d].name, w->assigns[i].name))
				w->assigns[i].name = s->drivers[d].name;
	}
	w->state = p->upgrade.state;
	w->since = p->upgrade.since;
	copy_text(w->target, p->upgrade.target);
	copy_text(w->reason, p->upgrade.reason);
	copy_text(w->message, p->upgrade.message);
	copy_text(w->before, p->before);
	(void)snprintf(w->boot, sizeof(w->boot), "%s", view_str(p->upgrade.boot));
	(void)snprintf(w->group, sizeof(w->group), "%s", view_str(p->upgrade.group));
	w->hash = p->hash;
	n->intent.upgrade.target = w->target;
	n->intent.upgrade.reason = w->reason;
	n->intent.upgrade.message = w->message;
	n->intent.upgrade.boot = *w->boot ? w->boot : NULL;
	n->intent.upgrade.group = *w->group ? w->group : NULL;
	n->intent.assigns = (struct list){ w->assigns, w->n_assigns };
	n->v.intent = &n->intent;
	n->is_writing = true;
	n->write_at = s->now + (int64_t)below(s, 3) * TICK_S;
}

/* The intent's strings live in the write, which a second try overwrites: keep them apart. */
static void again(struct sim *s, struct node *n, const struct plan_node *p)
{
	struct acc keep = n->write;
	struct plan_node q = *p;

	q.upgrade.target = keep.target;
	q.upgrade.reason = keep.reason;
	q.upgrade.message = keep.message;
	q.upgrade.boot = *keep.boot ? keep.boot : NULL;
	q.upgrade.group = *keep.group ? keep.group : NULL;
	begin_write(s, n, &q);
}

static void cordon(struct sim *s, struct node *n, bool on)
{
	if (n->obj.version != n->v.version) {
		s->res->conflicts++;
		return;
	}
	if (trouble(s, 10))
		return;
	if (on && n->obj.is_unschedulable)
		broken(s, "'%s' cordoned over another's cordon", n->name);
	if (!on && n->admin_cordon)
		broken(s, "'%s': an admin's cordon removed", n->name);
	say(s, "%s: %s", n->name, on ? "cordon" : "uncordon");
	n->obj.is_unschedulable = on;
	n->obj.is_cordoned = on;
	n->obj.version++;
	if (!trouble(s, 20))
		see_obj(s, n);
}

static const char *const gang_keys[GANGS_MAX] = { "default/job/g1", "default/job/g2" };

static bool has_gang(const struct node *n, unsigned gang)
{
	for (size_t i = 0; i < PODS_MAX; i++)
		if (n->pods[i].is_there && n->pods[i].gang == gang)
			return true;
	return false;
}

static uint32_t running_of(const struct node *n, unsigned gang)
{
	uint32_t k = 0;

	for (size_t i = 0; i < PODS_MAX; i++)
		k += n->pods[i].is_there && !n->pods[i].is_deleting &&
		     n->pods[i].gang == gang;
	return k;
}

static void list_gang(struct sim *s, const char *key)
{
	struct gang *g = &s->gangs[streq(key, gang_keys[1])];

	if (trouble(s, 15))
		return;
	g->is_listed = true;
	g->v = (struct view_gang){ .key = gang_keys[g - s->gangs],
		.listed_at = s->now,
		.running = g->running,
		.min = s->gang_min[g - s->gangs] };
	g->v.nodes.items = g->names;
	for (size_t i = 0; i < s->n_nodes; i++) {
		unsigned gang = (unsigned)(g - s->gangs) + 1;

		if (!has_gang(&s->nodes[i], gang))
			continue;
		g->running[g->v.nodes.n] = running_of(&s->nodes[i], gang);
		g->names[g->v.nodes.n++] = s->nodes[i].name;
	}
	s->view.n_gangs = 0;
	for (size_t i = 0; i < GANGS_MAX; i++)
		if (s->gangs[i].is_listed)
			s->gang_ptrs[s->view.n_gangs++] = &s->gangs[i].v;
	s->changed = true;
}

/* Whether the gang goes on without its pods on @n: by what is so, whatever the controller has listed. */
static bool is_spare(
	struct sim *s, const struct plan *p, const struct node *n, unsigned gang)
{
	int64_t staying = 0;

	if (s->gang_min[gang - 1] == 0)
		return false;
	for (size_t i = 0; i < s->n_nodes; i++) {
		const struct node *m = &s->nodes[i];
		const struct plan_node *out = NULL;

		for (size_t k = 0; k < p->n_nodes && !out; k++)
			if (p->nodes[k].node == &m->v)
				out = &p->nodes[k];
		if (m != n && m->v.is_ready && !is_busy(m, out))
			staying += running_of(m, gang);
	}
	return staying >= s->gang_min[gang - 1];
}

/* Nodes of a gang that could have started as well, and were left out. */
static void check_gang(
	struct sim *s, const struct plan *p, const struct plan_node *started)
{
	struct node *n = container_of(started->node, struct node, v);

	int64_t patience = 300;

	for (size_t i = 0; i < s->n_drivers; i++)
		if (s->drivers[i].v.d.spec.upgrade_policy.wait.present)
			patience = 30;
	if (s->now - n->v.upgrade.since >= patience)
		return; /* too large for the budget: one by one, after a while */
	for (size_t i = 0; i < p->n_nodes; i++) {
		const struct plan_node *o = &p->nodes[i];
		struct node *m = container_of(o->node, struct node, v);

		if (m == n || !m->v.is_ready ||
			o->upgrade.state != API_UPGRADE_REQUIRED ||
			(!streq(o->upgrade.reason, WAVE_BUDGET) &&
				!streq(o->upgrade.reason, WAVE_GANG)))
			continue;
		for (unsigned g = 1; g <= GANGS_MAX; g++)
			if (has_gang(n, g) && has_gang(m, g) && is_spare(s, p, n, g))
				s->res->surplus++;
			else if (has_gang(n, g) && has_gang(m, g))
				broken(s, "half a gang: '%s' started without '%s'",
					n->name, m->name);
	}
}

/* Nodes that started together are all cordoned before anything goes. */
static void check_group(struct sim *s, const struct node *n)
{
	for (size_t i = 0; i < s->n_nodes; i++) {
		const struct node *m = &s->nodes[i];

		if (m != n && *n->acc.group && streq(m->acc.group, n->acc.group) &&
			m->acc.state == API_UPGRADE_CORDON && m->obj.is_ready)
			broken(s, "'%s' evicts before '%s' is cordoned", n->name,
				m->name);
	}
}

static void list_pods(struct sim *s, struct node *n)
{
	size_t k = 0;

	if (trouble(s, 15))
		return;
	for (size_t i = 0; i < PODS_MAX; i++) {
		const struct pod *p = &n->pods[i];

		if (!p->is_there)
			continue;
		n->pod_records[k++] = (struct view_pod){
			.namespace_ = "default",
			.name = n->pod_names[i],
			.uid = n->pod_names[i],
			.uses_devices = p->uses_devices,
			.has_controller = p->has_controller,
			.is_deleting = p->is_deleting,
			.gang = p->gang ? gang_keys[p->gang - 1] : NULL,
		};
	}
	n->pods_seen = (struct view_pods){
		.pods = n->pod_records,
		.n = k,
		.listed_at = s->now,
		.for_state = n->v.upgrade.state,
		.for_since = n->v.upgrade.since,
	};
	n->v.pods = &n->pods_seen;
	s->changed = true;
}

static void evict(struct sim *s, struct node *n, const struct view_pod *pod)
{
	struct pod *p = &n->pods[pod->name[1] - '0'];
	struct view_pod *record = (struct view_pod *)pod;

	if (!n->obj.is_unschedulable)
		return; /* uncordoned in this moment: the next plan sees it */
	check_group(s, n);
	if (p->gang)
		s->res->gang_evictions++;
	if (p->is_protected) {
		record->is_blocked = true;
		record->retry_at = s->now + TICK_S;
		return;
	}
	if (trouble(s, 10))
		return;
	s->res->evictions++;
	p->is_deleting = record->is_deleting = true;
	p->gone_at = s->now + (int64_t)below(s, 4) * TICK_S;
}

static void act(struct sim *s, const struct plan *p)
{
	for (size_t i = 0; i < p->gangs.n; i++)
		list_gang(s, *VIEW_AT(const char *, p->gangs, i));
	for (size_t i = 0; i < p->n_nodes; i++) {
		const struct plan_node *out = &p->nodes[i];
		struct node *n = container_of(out->node, struct node, v);

		if (out->write && !n->is_writing) {
			if (n->v.intent) {
				again(s, n, out);
				continue;
			}
			if (n->v.upgrade.state == API_UPGRADE_REQUIRED &&
				out->upgrade.state == API_UPGRADE_CORDON) {
				check_budget(s, p, out);
				check_gang(s, p, out);
				s->res->grouped += out->upgrade.group != NULL;
			}
			begin_write(s, n, out);
		}
		n->v.labels_mark.stored = out->marks.labels_hash;
		n->v.condition_mark.stored = out->marks.condition_hash;
		if (out->write)
			continue;
		if (out->cordon != PLAN_CORDON_KEEP)
			cordon(s, n, out->cordon == PLAN_CORDON_ON);
		if (out->need_pods)
			list_pods(s, n);
		for (size_t k = 0; k < out->evict.n; k++)
			evict(s, n, *VIEW_AT(struct view_pod *, out->evict, k));
	}
}

/* ---- the agents ---- */

static bool holds_device(const struct node *n)
{
	for (size_t i = 0; i < PODS_MAX; i++)
		if (n->pods[i].is_there && n->pods[i].uses_devices)
			return true;
	return false;
}

/* The build that a generation stands for. */
static int64_t build_of(const struct driver *d, int64_t generation)
{
	return generation == d->same_build ? generation - 1 : generation;
}

static void replace(struct sim *s, struct node *n, struct driver *d, size_t i, int64_t g,
	struct view_driver_state *st)
{
	if (!wave_may_replace(n->acc.state))
		broken(s, "'%s' replaced a module in state %d", n->name, n->acc.state);
	if (holds_device(n)) {
		st->state = API_DRIVER_FAILED;
		st->reason = "ModuleInUse";
		return;
	}
	n->m.loaded[i] = build_of(d, g);
	n->m.is_broken[i] = d->bad_from && g >= d->bad_from &&
			    below(s, 100) < d->bad_share;
	n->m.busy_until[i] = s->now + (int64_t)below(s, 4) * TICK_S;
	n->obj.allocatable = 0;
	n->obj.version++;
}

static void run_driver(struct sim *s, struct node *n, const struct view_assign *a,
	struct view_driver_state *st)
{
	size_t i = (size_t)(a->name[1] - '0');
	struct driver *d = &s->drivers[i];
	int64_t g = a->generation;

	*st = (struct view_driver_state){
		.name = d->name,
		.reason = "",
		.generation = g,
		.state = API_DRIVER_BUILDING,
		.devices = 2,
	};
	if (n->m.built[i] != g) {
		n->m.built[i] = g;
		n->m.busy_until[i] = s->now + (int64_t)below(s, 4) * TICK_S;
	}
	if (s->now < n->m.busy_until[i])
		return;
	if (!n->m.loaded[i]) /* a first load needs no permission */
		n->m.loaded[i] = build_of(d, g);
	if (n->m.loaded[i] != build_of(d, g)) {
		st->state = API_DRIVER_UPGRADE_REQUIRED;
		st->bound = 2;
		if (a->proceed == g)
			replace(s, n, d, i, g, st);
		return;
	}
	if (n->m.is_broken[i]) {
		st->state = API_DRIVER_FAILED;
		st->reason = "LoadFailed";
		return;
	}
	st->state = API_DRIVER_LOADED;
	st->bound = 2;
}

static void run_boot(const struct node *n, char out[24])
{
	(void)snprintf(out, 24, "%s-%u", n->name, n->m.boots);
}

/* What is staged runs after a boot; a load may fail as well as in place. */
static void boot(struct sim *s, struct node *n)
{
	n->m.back_at = 0;
	n->m.boots++;
	n->obj.is_ready = true;
	n->obj.version++;
	for (size_t i = 0; i < s->n_drivers; i++) {
		const struct driver *d = &s->drivers[i];

		if (!n->m.loaded[i] || n->m.loaded[i] == build_of(d, n->m.built[i]))
			continue;
		n->m.loaded[i] = build_of(d, n->m.built[i]);
		n->m.is_broken[i] = d->bad_from && n->m.built[i] >= d->bad_from &&
				    below(s, 100) < d->bad_share;
	}
	say(s, "%s: booted", n->name);
}

/* True while the node is away. */
static bool reboot(struct sim *s, struct node *n)
{
	char now[24];

	if (n->m.back_at) {
		if (s->now >= n->m.back_at)
			boot(s, n);
		return true;
	}
	run_boot(n, now);
	if (n->acc.state != API_UPGRADE_REBOOT || !streq(n->acc.boot, now) ||
		!n->obj.is_ready || trouble(s, 30))
		return false;
	if (holds_device(n) && !n->is_disturbed)
		broken(s, "'%s' reboots under its pods", n->name);
	say(s, "%s: reboots", n->name);
	s->res->reboots++;
	n->m.back_at = s->now + (int64_t)(1 + below(s, 6)) * TICK_S;
	n->obj.is_ready = false;
	n->obj.allocatable = 0;
	n->obj.version++;
	return true;
}

static void run_agent(struct sim *s, struct node *n)
{
	bool works = true;

	if (!n->acc.exists || reboot(s, n) || !n->obj.is_ready)
		return;
	n->acc.is_known = true;
	run_boot(n, n->acc.boot_id);
	n->acc.n_states = n->acc.n_assigns;
	for (size_t i = 0; i < n->acc.n_assigns; i++) {
		run_driver(s, n, &n->acc.assigns[i], &n->acc.states[i]);
		works = works &&
			(n->acc.states[i].state == API_DRIVER_LOADED ||
				n->acc.states[i].state == API_DRIVER_UPGRADE_REQUIRED);
	}
	if (works && n->obj.allocatable == 0 && !trouble(s, 50)) {
		n->obj.allocatable = 2;
		n->obj.version++;
	}
}

static void run_pods(struct sim *s, struct node *n)
{
	for (size_t i = 0; i < PODS_MAX; i++) {
		struct pod *p = &n->pods[i];

		if (p->is_deleting && s->now >= p->gone_at && n->obj.is_ready)
			p->is_there = p->is_deleting = false;
		/* a gang that was there once ends one day and does not come again */
		if (p->gang && p->is_there && !p->is_deleting && !s->is_calm &&
			below(s, 200) == 0 && s->gang_min[p->gang - 1] == 0)
			p->is_there = false;
		if (!p->is_there && !p->gang && !n->obj.is_unschedulable &&
			trouble(s, 10))
			p->is_there = true; /* the scheduler */
	}
}

/* ---- the weather ---- */

static void touch(struct node *n)
{
	n->obj.version++;
}

static void upset_node(struct sim *s, struct node *n)
{
	if (trouble(s, 4) && !n->m.back_at) {
		n->obj.is_ready = !n->obj.is_ready;
		s->res->offline += !n->obj.is_ready;
		touch(n);
	}
	/* A cordon over our annotation could not be told from ours by anybody. */
	if (trouble(s, 2) && !n->obj.is_unschedulable && !n->obj.is_cordoned) {
		n->admin_cordon = n->obj.is_unschedulable = true;
		say(s, "%s: an admin cordons", n->name);
		touch(n);
	}
	if (trouble(s, 2) && n->obj.is_unschedulable) {
		n->admin_cordon = n->obj.is_unschedulable = false;
		n->is_disturbed = true;
		say(s, "%s: an admin uncordons", n->name);
		touch(n);
	}
	if (trouble(s, 2)) {
		n->obj.has_label = !n->obj.has_label;
		touch(n);
	}
	if (trouble(s, 10)) /* a heartbeat */
		touch(n);
}

static void edit_driver(struct sim *s, struct driver *d)
{
	int64_t g = ++d->v.generation;

	d->v.d.meta.generation = g;
	d->v.spec_hash++;
	d->v.d.spec.paused = below(s, 8) == 0;
	d->bad_from = below(s, 3) == 0 ? g : 0;
	d->same_build = below(s, 5) == 0 ? g : 0;
	say(s, "%s: generation %lld%s", d->name, (long long)g,
		d->bad_from ? ", bad" : "");
	s->changed = true;
}

/* Another leader, or the same again: what it knew is gone, what was on its way is done or not. */
static void restart(struct sim *s)
{
	s->res->restarts++;
	say(s, "restart");
	for (size_t i = 0; i < s->n_nodes; i++) {
		struct node *n = &s->nodes[i];

		if (n->is_writing && below(s, 2))
			store(s, n);
		n->is_writing = false;
		settle(s, n);
		n->v.pods = NULL;
		s->view.n_gangs = 0;
		memset(s->gangs, 0, sizeof(s->gangs));
		see_acc(s, n);
		see_obj(s, n);
	}
}

static void calm_down(struct sim *s)
{
	s->is_calm = true;
	say(s, "calm");
	for (size_t i = 0; i < s->n_nodes; i++) {
		s->nodes[i].obj.is_ready = s->nodes[i].m.back_at == 0;
		touch(&s->nodes[i]);
	}
	for (size_t i = 0; i < s->n_drivers; i++)
		if (s->drivers[i].v.d.spec.paused)
			edit_driver(s, &s->drivers[i]);
	for (size_t i = 0; i < s->n_drivers; i++)
		s->drivers[i].v.d.spec.paused = false;
}

/* The status of a driver is written, some time. */
static void keep_good(struct sim *s, struct driver *d, const struct plan_driver *p)
{
	int64_t g = d->v.d.meta.generation;

	if (!p->is_good || d->v.good.generation == g || trouble(s, 30))
		return;
	if (d->bad_from && d->bad_share == 100 && g >= d->bad_from && s->n_nodes > 0 &&
		d->same_build != g)
		for (size_t i = 0; i < s->n_nodes; i++)
			if (s->nodes[i].m.is_broken[d->name[1] - '0'])
				broken(s, "'%s': a bad generation is called good",
					d->name);
	d->v.good = (struct view_good){
		.generation = g,
		.version = "",
		.text = "{}",
		.spec_hash = d->v.spec_hash,
	};
	say(s, "%s: generation %lld is good", d->name, (long long)g);
	s->changed = true;
}

/* ---- time ---- */

/* An old build that still runs has a reason that people can see. */
static void check_builds(struct sim *s, const struct node *n)
{
	for (size_t i = 0; i < n->acc.n_assigns; i++) {
		const struct view_assign *a = &n->acc.assigns[i];
		size_t d = (size_t)(a->name[1] - '0');

		if (a->generation != s->drivers[d].v.d.meta.generation &&
			(n->acc.state != API_UPGRADE_FAILED ||
				a->generation != s->drivers[d].v.good.generation))
			broken(s, "'%s' has an old generation of '%s'", n->name, a->name);
		if (n->m.loaded[d] != build_of(&s->drivers[d], a->generation) &&
			n->acc.state != API_UPGRADE_REQUIRED &&
			n->acc.state != API_UPGRADE_FAILED)
			broken(s, "'%s' runs an old build of '%s' in state %d", n->name,
				a->name, n->acc.state);
	}
}

static void end_state(struct sim *s)
{
	for (size_t i = 0; i < s->n_nodes; i++) {
		const struct node *n = &s->nodes[i];

		check_builds(s, n);
		if (wave_is_active(n->acc.state))
			broken(s, "'%s' never ended: state %d, %s %s", n->name,
				n->acc.state, n->acc.reason, n->acc.message);
		if (n->acc.state == API_UPGRADE_REQUIRED &&
			(streq(n->acc.reason, WAVE_BUDGET) || !*n->acc.reason))
			broken(s, "'%s' waits for ever: %s", n->name, n->acc.reason);
		if (n->obj.is_cordoned)
			broken(s, "'%s' was left cordoned", n->name);
		if (n->obj.is_unschedulable != n->admin_cordon)
			broken(s, "'%s' is%s unschedulable, its admin wants%s", n->name,
				n->obj.is_unschedulable ? "" : " not",
				n->admin_cordon ? " it" : " not");
	}
}

static int tick(struct sim *s, int64_t *wake_at)
{
	struct plan p;
	int r;

	for (size_t i = 0; i < s->n_nodes; i++) {
		struct node *n = &s->nodes[i];

		run_pods(s, n);
		run_agent(s, n);
		if (n->is_writing && s->now >= n->write_at)
			finish_write(s, n);
		upset_node(s, n);
	}
	for (size_t i = 0; i < s->n_drivers; i++)
		if (trouble(s, 4))
			edit_driver(s, &s->drivers[i]);
	if (trouble(s, 2))
		restart(s);
	watch(s);
	if (!s->changed && s->now < *wake_at)
		return 0;
	s->changed = false;
	arena_reset(s->arena);
	r = plan_make(s->arena, &s->view, s->now, &p);
	if (r < 0) {
		broken(s, "plan: %d", r);
		return 0;
	}
	*wake_at = p.wake_at;
	for (size_t i = 0; i < s->n_drivers; i++)
		keep_good(s, &s->drivers[i], &p.drivers[i]);
	act(s, &p);
	return p.n_nodes > 0;
}

bool sim_run(uint64_t seed, bool trace, struct sim_result *ret)
{
	struct sim *s = calloc(1, sizeof(*s));
	int64_t wake_at = 0;
	unsigned quiet = 0;

	memset(ret, 0, sizeof(*ret));
	if (!s)
		return false;
	s->seed = seed;
	s->trace = trace;
	s->res = ret;
	s->now = 1000;
	s->changed = true;
	s->arena = arena_new(ARENA_MAX);
	if (!s->arena)
		broken(s, "memory");
	make_fleet(s);
	while (!*ret->broken && ret->ticks < CHAOS_TICKS + CALM_TICKS && quiet < 30) {
		if (ret->ticks == CHAOS_TICKS)
			calm_down(s);
		quiet = tick(s, &wake_at) || !s->is_calm ? 0 : quiet + 1;
		/* nothing moves but time */
		if (quiet > 10 && wake_at != INT64_MAX && wake_at > s->now) {
			s->now = wake_at;
			quiet = 0;
		}
		s->now += TICK_S;
		ret->ticks++;
	}
	if (!*ret->broken)
		end_state(s);
	arena_free(s->arena);
	free(s);
	return !*ret->broken;
}
