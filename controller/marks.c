// SPDX-License-Identifier: Apache-2.0
/* Labels and condition of a Node out of what its agent says. */
#include "marks.h"

#include "jhash.h"
#include "wave.h"

enum { NAME_MAX_ = 63 }; /* of the part of a label's key behind the '/', and of a value */

bool marks_is_label(const char *key)
{
	return str_starts(key, MARKS_DRIVER) || streq(key, MARKS_NEXT);
}

static uint32_t fold(uint64_t h)
{
	return (uint32_t)(h ^ h >> 32);
}

uint32_t marks_add_label(uint32_t hash, const char *key, const char *value)
{
	uint64_t h = JHASH_OBJECT;

	jhash_member(&h, key, jhash_str(value));
	return hash + (fold(jhash_end(h)) | 1);
}

uint32_t marks_of_condition(const char *status, const char *reason, const char *message)
{
	uint64_t h = JHASH_LIST;

	jhash_item(&h, jhash_str(status));
	jhash_item(&h, jhash_str(reason));
	jhash_item(&h, jhash_str(message));
	return fold(jhash_end(h)) | 1;
}

enum marks_status marks_status(const char *status)
{
	if (str_empty(status))
		return MARKS_NONE;
	return streq(status, "True")	? MARKS_TRUE
	       : streq(status, "False") ? MARKS_FALSE
					: MARKS_OTHER;
}

static bool is_alnum(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* @text as the value of a label: what may not be in one becomes '_'. */
static const char *label_value(struct arena *a, const char *text)
{
	size_t len = strlen(text);
	char *out;

	while (len > 0 && !is_alnum(text[0])) {
		text++;
		len--;
	}
	len = MIN(len, (size_t)NAME_MAX_);
	while (len > 0 && !is_alnum(text[len - 1]))
		len--;
	out = arena_strndup(a, text, len);
	for (size_t i = 0; out && i < len; i++)
		if (!is_alnum(out[i]) && !strchr("._-", out[i]))
			out[i] = '_';
	return out;
}

static int add(struct arena *a, struct marks *m, const char *key, const char *value)
{
	struct kv *kv = VIEW_AT(struct kv, m->labels, m->labels.n);

	kv->key = arena_strdup(a, key);
	kv->value = label_value(a, value);
	if (!kv->key || !kv->value)
		return -ENOMEM;
	m->labels_hash = marks_add_label(m->labels_hash, kv->key, kv->value);
	m->labels.n++;
	return 0;
}

static const struct view_driver *driver_of(const struct view *v, const char *name)
{
	for (size_t i = 0; i < v->n_drivers; i++)
		if (streq(v->drivers[i]->name, name))
			return v->drivers[i];
	return NULL;
}

static const struct view_driver_state *state_of(
	const struct view_node *n, const struct view_assign *s)
{
	for (size_t i = 0; i < n->states.n; i++) {
		const struct view_driver_state *st = VIEW_AT(
			struct view_driver_state, n->states, i);

		if (streq(st->name, s->name))
			return st->generation == s->generation ? st : NULL;
	}
	return NULL;
}

/* The worst of the drivers for the kernel that a reboot starts; NULL: there is none. */
static const char *next_kernel(const struct view_node *n)
{
	const char *worst = NULL;

	for (size_t i = 0; i < n->kernels.n; i++) {
		const struct view_kernel *k = VIEW_AT(struct view_kernel, n->kernels, i);

		if (!k->next || k->running || k->state == API_KERNEL_NOT_APPLICABLE)
			continue;
		if (k->state == API_KERNEL_FAILED)
			return "Failed";
		if (k->state != API_KERNEL_READY)
			worst = "Building";
		else if (!worst)
			worst = "Ready";
	}
	return worst;
}

static bool is_fine(const struct view_driver_state *st)
{
	return (st->state == API_DRIVER_LOADED && st->bound >= st->devices) ||
	       st->state == API_DRIVER_NOT_APPLICABLE ||
	       (st->state == API_DRIVER_BUILT && st->devices == 0);
}

static int make_condition(struct arena *a, const struct view_node *n,
	const struct list *assigns, struct marks *m)
{
	m->status = "True";
	m->reason = "DriversReady";
	m->message = "every driver of this node runs";
	for (size_t i = 0; i < assigns->n; i++) {
		const struct view_assign *s = VIEW_AT(struct view_assign, *assigns, i);
		const struct view_driver_state *st = state_of(n, s);

		if (st && is_fine(st))
			continue;
		m->status = "False";
		m->reason = st && *st->reason ? arena_strdup(a, st->reason)
					      : "DriverNotReady";
		m->message = arena_fmt(a, "driver '%s' is %s", s->name,
			st ? api_driver_state_names[st->state] : "not known yet");
		if (!m->reason || !m->message)
			return -ENOMEM;
		if (st && st->state == API_DRIVER_FAILED)
			break; /* the worst that there is */
	}
	m->condition_hash = marks_of_condition(m->status, m->reason, m->message);
	return 0;
}

int marks_make(struct arena *a, const struct view *v, const struct view_node *n,
	const struct list *assigns, struct marks *ret)
{
	struct marks m = { 0 };
	const char *next = next_kernel(n);
	int r = 0;

	if (assigns->n == 0) {
		*ret = m;
		return 0;
	}
	m.labels.items = arena_array(a, assigns->n + 1, sizeof(struct kv));
	if (!m.labels.items)
		return -ENOMEM;
	for (size_t i = 0; i < assigns->n && r >= 0; i++) {
		const struct view_assign *s = VIEW_AT(struct view_assign, *assigns, i);
		const struct view_driver_state *st = state_of(n, s);
		const struct view_driver *d = driver_of(v, s->name);
		const char *key = arena_fmt(a, MARKS_DRIVER "%s", s->name);

		if (!key)
			return -ENOMEM;
		if (!d || !d->has_spec || !st || st->state != API_DRIVER_LOADED ||
			strlen(key) - strlen(API_GROUP "/") > NAME_MAX_)
			continue;
		r = add(a, &m, key,
			s->generation == d->d.meta.generation
				? view_str(d->d.spec.version)
				: view_str(d->good.version));
	}
	if (r >= 0 && next)
		r = add(a, &m, MARKS_NEXT, next);
	if (r >= 0)
		r = make_condition(a, n, assigns, &m);
	if (r < 0)
		return r;
	*ret = m;
	return 0;
}
