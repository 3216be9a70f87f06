// SPDX-License-Identifier: Apache-2.0
/* Log lines and metrics of the whole plugin. */
#include "report.h"

#include "log.h"

static const char *const explained_once =
	"see `farrier-device-plugin --explain`"; /* for messages that cannot say it all */

void report_classes(const struct classes *classes)
{
	for (size_t i = 0; i < classes_files(classes); i++) {
		const struct class_file *f = classes_file(classes, i);

		if (f->error)
			log_event(LOG_ERROR, "class file is not good", "error", f->error,
				"inForce",
				f->n ? "its last good content" : "nothing of it", NULL);
	}
}

static bool is_used(const struct snapshot *s, const struct api_class *c)
{
	for (size_t k = 0; k < s->n_claims; k++)
		if (s->claims[k].class_ == c)
			return true;
	return false;
}

void report_claims(const struct snapshot *s, const struct classes *classes)
{
	for (size_t i = 0; i < classes_len(classes); i++)
		if (!is_used(s, classes_at(classes, i)))
			log_event(LOG_WARN, "class matches no device here", "class",
				classes_at(classes, i)->meta.name, "reason",
				reason_name(REASON_NO_MATCHING_DEVICES), NULL);
	for (size_t k = 0; k < s->n_claims; k++)
		if (s->claims[k].rival)
			log_event(LOG_WARN, "two classes claim one device", "device",
				s->claims[k].device->id, "class",
				s->claims[k].class_->meta.name, "other",
				s->claims[k].rival->meta.name, "reason",
				reason_name(REASON_CONFLICT), "hint", explained_once,
				NULL);
	for (size_t i = 0; i < s->n_resources; i++)
		if (s->resources[i].is_mixed)
			log_event(LOG_WARN,
				"some devices have no NUMA node: those never satisfy a "
				"topology hint",
				"resource", s->resources[i].name, NULL);
}

struct report_state *report_states(const struct snapshot *s, size_t *ret_n)
{
	struct report_state *a;

	*ret_n = s ? s->n_claims : 0;
	a = calloc(*ret_n + 1, sizeof(*a));
	for (size_t i = 0; a && i < *ret_n; i++) {
		memcpy(a[i].id, s->claims[i].device->id, sizeof(a[i].id));
		a[i].health = s->claims[i].health;
		a[i].reason = s->claims[i].reason;
	}
	return a;
}

static void count_change(struct metrics *m, const struct claim *c)
{
	struct buf labels;

	buf_init(&labels, 4096);
	(void)metrics_label(&labels, "class", c->class_->meta.name);
	(void)metrics_label(&labels, "to", health_names[c->health]);
	if (buf_ok(&labels) == 0)
		(void)metrics_add(m, METRIC_COUNTER,
			"farrier_plugin_health_changes_total", buf_cstr(&labels),
			"Changes of devices' health, by what it became.", 1);
	buf_done(&labels);
}

bool report_health(const struct snapshot *s, const struct report_state *before, size_t n,
	struct metrics *m)
{
	bool is_new = n != s->n_claims;

	for (size_t i = 0; i < s->n_claims; i++) {
		const struct claim *c = &s->claims[i];
		const struct report_state *was = NULL;

		for (size_t k = 0; k < n && !was; k++)
			if (streq(before[k].id, c->device->id))
				was = &before[k];
		is_new |= !was;
		if (was && was->health == c->health && was->reason == c->reason)
			continue;
		if (was && was->health != c->health)
			count_change(m, c);
		log_event(c->health == HEALTH_HEALTHY ? LOG_INFO : LOG_WARN, "device",
			"device", c->device->id, "class", c->class_->meta.name, "health",
			health_names[c->health], "reason",
			c->reason ? reason_name(c->reason) : NULL, "message",
			*c->text ? c->text : NULL, NULL);
	}
	return is_new;
}

/* ---- metrics ---- */
static void metric_device(struct metrics *m, const struct claim *c)
{
	struct buf labels;

	buf_init(&labels, 4096);
	(void)metrics_label(&labels, "resource", c->resource ? c->resource : "");
	(void)metrics_label(&labels, "class", c->class_->meta.name);
	(void)metrics_label(&labels, "health", health_names[c->health]);
	if (buf_ok(&labels) == 0)
		(void)metrics_add(m, METRIC_GAUGE, "farrier_plugin_devices",
			buf_cstr(&labels), "Devices by class and health.", 1);
	buf_done(&labels);
}

static void metric_causes(struct metrics *m, const struct claim *c)
{
	for (unsigned k = 0; k < CAUSES_; k++) {
		struct buf labels;

		if (!(c->device->health.causes & 1u << k))
			continue;
		buf_init(&labels, 4096);
		(void)metrics_label(&labels, "device", c->device->id);
		(void)metrics_label(&labels, "class", c->class_->meta.name);
		(void)metrics_label(&labels, "cause", cause_names[k]);
		if (buf_ok(&labels) == 0)
			(void)metrics_set(m, METRIC_GAUGE, "farrier_plugin_device_cause",
				buf_cstr(&labels), "1 for each thing that is amiss now.",
				1);
		buf_done(&labels);
	}
}

static void metric_registered(
	struct metrics *m, const char *resource, enum registration_state state)
{
	struct buf labels;

	buf_init(&labels, 4096);
	if (resource && metrics_label(&labels, "resource", resource) == 0)
		(void)metrics_set(m, METRIC_GAUGE, "farrier_plugin_registered",
			buf_cstr(&labels), "1 while the kubelet watches the resource.",
			state == REGISTRATION_DONE);
	buf_done(&labels);
}

void report_metrics(struct metrics *m, const struct snapshot *s,
	const struct classes *classes, const struct service *service)
{
	size_t bad = 0;

	metrics_clear(m, "farrier_plugin_devices");
	metrics_clear(m, "farrier_plugin_device_cause");
	for (size_t i = 0; i < s->n_claims; i++) {
		metric_device(m, &s->claims[i]);
		metric_causes(m, &s->claims[i]);
	}
	for (size_t i = 0; i < classes_files(classes); i++)
		bad += classes_file(classes, i)->error != NULL;
	(void)metrics_set(m, METRIC_GAUGE, "farrier_plugin_class_files_bad", NULL,
		"Class files whose content is not good.", (double)bad);
	(void)metrics_set(m, METRIC_GAUGE, "farrier_plugin_classes", NULL,
		"Classes in force.", (double)classes_len(classes));
	metrics_clear(m, "farrier_plugin_registered");
	for (size_t i = 0; i < service_len(service); i++) {
		enum registration_state state = REGISTRATION_WAITING;
		const char *name = service_resource(service, i, &state);

		metric_registered(m, name, state);
	}
}

/* ---- the kubelet's policies ---- */
static bool has_numa(const struct snapshot *s)
{
	for (size_t i = 0; i < s->n_resources; i++)
		for (size_t k = 0; k < s->resources[i].n_units; k++)
			if (s->resources[i].units[k].claim->device->numa_node >= 0)
				return true;
	return false;
}

static const char *warning(
	const struct kubelet_watch *w, const struct snapshot *s, size_t nodes)
{
	return kubelet_policy_warning(kubelet_watch_policy(w), nodes, has_numa(s));
}

static void metric_policy(struct metrics *m, const struct kubelet_policy *p)
{
	struct buf labels;

	metrics_clear(m, "farrier_plugin_kubelet_policy");
	if (!p->is_known)
		return;
	buf_init(&labels, 4096);
	(void)metrics_label(&labels, "topologyManager", p->topology);
	(void)metrics_label(&labels, "cpuManager", p->cpu);
	(void)metrics_label(&labels, "memoryManager", p->memory);
	if (buf_ok(&labels) == 0)
		(void)metrics_set(m, METRIC_GAUGE, "farrier_plugin_kubelet_policy",
			buf_cstr(&labels), "1 for the kubelet's policies, when known.",
			1);
	buf_done(&labels);
}

void report_kubelet(struct metrics *m, const struct kubelet_watch *w,
	const struct snapshot *s, size_t nodes)
{
	const struct kubelet_policy *p = kubelet_watch_policy(w);
	const char *text = warning(w, s, nodes);

	metric_policy(m, p);
	(void)metrics_set(m, METRIC_GAUGE, "farrier_plugin_hints_without_effect", NULL,
		"1 when the kubelet's policies leave topology hints without effect.",
		text != NULL);
	if (kubelet_watch_error(w))
		log_event(LOG_WARN, "the kubelet's policies are not known", "error",
			kubelet_watch_error(w), NULL);
	else if (p->is_known)
		log_event(text ? LOG_WARN : LOG_INFO, "the kubelet's policies",
			"topologyManager", p->topology, "cpuManager", p->cpu, "source",
			p->source, "warning", text, NULL);
}

int report_kubelet_text(const struct kubelet_watch *w, const struct snapshot *s,
	size_t nodes, struct buf *out)
{
	const struct kubelet_policy *p = kubelet_watch_policy(w);
	const char *text = warning(w, s, nodes);

	if (kubelet_watch_error(w))
		(void)buf_fmt(out, "kubelet: %s\n", kubelet_watch_error(w));
	else if (!p->is_known)
		(void)buf_str(out,
			"kubelet: its policies are not known: neither its process nor "
			"its configuration can be seen from here\n");
	else
		(void)buf_fmt(out,
			"kubelet: Topology Manager %s (scope %s), CPU Manager %s, Memory "
			"Manager %s, by %s\n",
			p->topology, p->scope, p->cpu, p->memory, p->source);
	if (text)
		(void)buf_fmt(out, "  warning: %s\n", text);
	return buf_ok(out);
}

int report_kubelet_json(const struct kubelet_watch *w, const struct snapshot *s,
	size_t nodes, struct json *doc)
{
	CLEANUP(json_freep) struct json *o = json_new_object();
	const struct kubelet_policy *p = kubelet_watch_policy(w);

	if (json_set_bool(o, "known", p->is_known) < 0 ||
		json_set_str(o, "error", kubelet_watch_error(w)) < 0 ||
		json_set_str(o, "warning", warning(w, s, nodes)) < 0)
		return -ENOMEM;
	if (p->is_known &&
		(json_set_str(o, "topologyManagerPolicy", p->topology) < 0 ||
			json_set_str(o, "topologyManagerScope", p->scope) < 0 ||
			json_set_str(o, "cpuManagerPolicy", p->cpu) < 0 ||
			json_set_str(o, "memoryManagerPolicy", p->memory) < 0 ||
			json_set_str(o, "source", p->source) < 0))
		return -ENOMEM;
	return json_set(doc, "kubelet", TAKE(o));
}
