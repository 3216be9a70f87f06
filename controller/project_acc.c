// SPDX-License-Identifier: Apache-2.0
/* The projection of an AcceleratorNode. */
#include "builds.h"
#include "jhash.h"
#include "project_inside.h"

enum { KERNEL_ROWS_MAX = 1024, HARDWARE_MAX = 4096 };

static int name_index(const char *const *names, int n, const char *name, int fallback)
{
	for (int i = 0; i < n; i++)
		if (streq(names[i], name))
			return i;
	return fallback;
}

static uint16_t small(int64_t v)
{
	return v < 0 ? 0 : v > UINT16_MAX ? UINT16_MAX : (uint16_t)v;
}

static void put_upgrade(struct intern *in, struct view_upgrade *up)
{
	if (up->state != API_UPGRADE_NONE) {
		intern_put(in, up->target);
		intern_put(in, up->reason);
		intern_put(in, up->message);
		intern_put(in, up->boot);
		intern_put(in, up->group);
	}
}

static void put_assigns(struct intern *in, const struct list *l)
{
	for (size_t i = 0; i < l->n; i++)
		intern_put(in, VIEW_AT(struct view_assign, *l, i)->name);
}

static void put_states(struct intern *in, const struct list *l)
{
	for (size_t i = 0; i < l->n; i++) {
		intern_put(in, VIEW_AT(struct view_driver_state, *l, i)->name);
		intern_put(in, VIEW_AT(struct view_driver_state, *l, i)->reason);
	}
}

static void put_kernels(struct intern *in, const struct list *l)
{
	for (size_t i = 0; i < l->n; i++) {
		struct view_kernel *k = VIEW_AT(struct view_kernel, *l, i);

		intern_put(in, k->release);
		intern_put(in, k->driver);
		intern_put(in, k->reason);
		intern_put(in, k->artifact);
		intern_put(in, k->digest);
		intern_put(in, k->unsigned_digest);
	}
}

static void put_hardware(struct intern *in, const struct list *l)
{
	for (size_t i = 0; i < l->n; i++)
		intern_put(in, *VIEW_AT(const char *, *l, i));
}

static void put_devices(struct intern *in, const struct list *l)
{
	for (size_t i = 0; i < l->n; i++)
		intern_put(in, VIEW_AT(struct view_class_devices, *l, i)->class_name);
}

void project_clear_acc(struct intern *in, struct view_node *n)
{
	project_drop(in, &n->assigns, put_assigns);
	project_drop(in, &n->states, put_states);
	project_drop(in, &n->kernels, put_kernels);
	builds_clear(in, n);
	project_drop(in, &n->hardware, put_hardware);
	project_drop(in, &n->devices, put_devices);
	project_drop(in, &n->before, project_put_counts);
	put_upgrade(in, &n->upgrade);
	intern_put(in, n->boot_id);
	project_empty_acc(n);
}

void project_empty_acc(struct view_node *n)
{
	n->assigns = n->states = n->kernels = n->builds = (struct list){ 0 };
	n->hardware = n->devices = n->before = (struct list){ 0 };
	n->upgrade = (struct view_upgrade){ .target = "", .reason = "", .message = "" };
	n->boot_id = NULL;
	n->has_acc = n->is_known = false;
	n->acc_version = n->spec_hash = 0;
	uid_set(&n->acc_uid, NULL);
}

/* The value of @name in "name=value,name=value", with its length; NULL when it is not there. */
static const char *pair(const char *text, const char *name, size_t *ret_len)
{
	size_t len = strlen(name);

	while (text && *text) {
		const char *end = strchrnul(text, ',');

		if (strncmp(text, name, len) == 0 && text[len] == '=') {
			*ret_len = (size_t)(end - text) - len - 1;
			return text + len + 1;
		}
		text = *end ? end + 1 : NULL;
	}
	return NULL;
}

static uint64_t read_selector(const char *annotation, const char *driver)
{
	static const char digits[] = "0123456789abcdef";
	size_t len = 0;
	const char *s = pair(annotation, driver, &len);
	uint64_t v = 0;

	if (!s || len == 0 || len > 16)
		return 0;
	for (size_t i = 0; i < len; i++) {
		const char *d = memchr(digits, s[i], 16);

		if (!d)
			return 0;
		v = v << 4 | (uint64_t)(d - digits);
	}
	return v;
}

static int read_assigns(struct intern *in, const struct json *drivers,
	const char *selectors, struct view_node *n)
{
	int r = project_room(&n->assigns, json_len(drivers), PROJECT_ENTRIES_MAX,
		sizeof(struct view_assign));

	for (size_t i = 0; r >= 0 && i < json_len(drivers) && i < PROJECT_ENTRIES_MAX;
		i++) {
		const struct json *d = json_at(drivers, i);
		struct view_assign *s = VIEW_AT(
			struct view_assign, n->assigns, n->assigns.n++);

		s->name = intern_get(in, project_text(d, "name"));
		s->generation = json_get_int(d, "generation", 0);
		s->proceed = json_get_int(d, "proceedGeneration", 0);
		s->unload = json_get_bool(d, "unload", false);
		s->selector = read_selector(selectors, project_text(d, "name"));
		if (!s->name)
			return -ENOMEM;
	}
	return r;
}

/* "name=3,name=4" */
static int read_before(struct intern *in, const char *text, struct view_node *n)
{
	size_t commas = 1;
	int r;

	if (str_empty(text))
		return 0;
	for (const char *p = text; *p; p++)
		commas += *p == ',';
	r = project_room(
		&n->before, commas, PROJECT_ENTRIES_MAX, sizeof(struct view_count));
	while (r >= 0 && *text && n->before.n < PROJECT_ENTRIES_MAX) {
		const char *end = strchrnul(text, ',');
		const char *eq = memchr(text, '=', (size_t)(end - text));
		char name[320] = "";
		int64_t v = 0;

		if (eq && (size_t)(eq - text) < sizeof(name) &&
			project_int(eq + 1, (size_t)(end - eq) - 1, &v) >= 0) {
			struct view_count *c = VIEW_AT(
				struct view_count, n->before, n->before.n++);

			memcpy(name, text, (size_t)(eq - text));
			c->name = intern_get(in, name);
			c->n = v;
			if (!c->name)
				return -ENOMEM;
		}
		text = *end ? end + 1 : end;
	}
	return r;
}

static int read_upgrade(struct intern *in, const struct json *j, struct view_node *n)
{
	struct view_upgrade *up = &n->upgrade;
	int state = name_index(api_upgrade_state_names, API_UPGRADE_STATES_,
		project_text(j, "state"), API_UPGRADE_NONE);

	if (state == API_UPGRADE_NONE)
		return 0;
	up->state = state;
	up->since = json_get_int(j, "since", 0);
	up->target = intern_get(in, json_get_str(j, "target"));
	up->reason = intern_get(in, json_get_str(j, "reason"));
	up->message = intern_get(in, json_get_str(j, "message"));
	if (json_get_str(j, "group")) {
		up->group = intern_get(in, json_get_str(j, "group"));
		if (!up->group)
			return -ENOMEM;
	}
	if (json_get_str(j, "bootID")) {
		up->boot = intern_get(in, json_get_str(j, "bootID"));
		if (!up->boot)
			return -ENOMEM;
	}
	return up->target && up->reason && up->message ? 0 : -ENOMEM;
}

/* Nodes differ in it: only those that need it are worth the memory. */
static int read_boot(struct intern *in, const struct json *status, struct view_node *n)
{
	if (n->upgrade.state == API_UPGRADE_NONE || n->upgrade.state >= API_UPGRADE_DONE)
		return 0;
	n->boot_id = intern_get(in, json_get_str(status, "bootID"));
	return n->boot_id ? 0 : -ENOMEM;
}

static int read_states(struct intern *in, const struct json *drivers, struct view_node *n)
{
	int r = project_room(&n->states, json_len(drivers), PROJECT_ENTRIES_MAX,
		sizeof(struct view_driver_state));

	for (size_t i = 0; r >= 0 && i < json_len(drivers) && i < PROJECT_ENTRIES_MAX;
		i++) {
		const struct json *d = json_at(drivers, i);
		struct view_driver_state *s = VIEW_AT(
			struct view_driver_state, n->states, n->states.n++);

		s->name = intern_get(in, project_text(d, "name"));
		s->reason = intern_get(in, project_text(d, "reason"));
		s->generation = json_get_int(d, "generation", 0);
		s->state = name_index(api_driver_state_names, API_DRIVER_STATES_,
			project_text(d, "state"), API_DRIVER_PENDING);
		s->devices = small(json_get_int(d, "devices", 0));
		s->bound = small(json_get_int(d, "bound", 0));
		if (!s->name || !s->reason)
			return -ENOMEM;
	}
	return r;
}

static const char *const kernel_state_names[API_KERNEL_STATES_] = {
	[API_KERNEL_PENDING] = "Pending",
	[API_KERNEL_BUILDING] = "Building",
	[API_KERNEL_READY] = "Ready",
	[API_KERNEL_FAILED] = "Failed",
	[API_KERNEL_NOT_APPLICABLE] = "NotApplicable",
};

static int read_kernel_driver(struct intern *in, const struct json *kernel,
	const struct json *d, struct view_kernel *k)
{
	int64_t seconds = json_get_int(d, "buildSeconds", 0);

	k->release = intern_get(in, project_text(kernel, "release"));
	k->driver = intern_get(in, project_text(d, "name"));
	k->reason = intern_get(in, project_text(d, "reason"));
	k->artifact = intern_get(in, project_text(d, "artifact"));
	k->running = json_get_bool(kernel, "running", false);
	k->next = json_get_bool(kernel, "next", false);
	k->state = (uint8_t)name_index(kernel_state_names, API_KERNEL_STATES_,
		project_text(d, "state"), API_KERNEL_PENDING);
	k->generation = json_get_int(d, "generation", 0);
	if (*project_text(d, "digest")) {
		k->digest = intern_get(in, project_text(d, "digest"));
		if (!k->digest)
			return -ENOMEM;
	}
	if (*project_text(d, "unsignedDigest")) {
		k->unsigned_digest = intern_get(in, project_text(d, "unsignedDigest"));
		if (!k->unsigned_digest)
			return -ENOMEM;
	}
	k->build_seconds = seconds < 0 ? 0 : (uint32_t)MIN(seconds, (int64_t)UINT32_MAX);
	return k->release && k->driver && k->reason && k->artifact ? 0 : -ENOMEM;
}

static int read_kernels(
	struct intern *in, const struct json *kernels, struct view_node *n)
{
	size_t rows = 0;
	int r;

	for (size_t i = 0; i < json_len(kernels); i++)
		rows += json_len(json_get(json_at(kernels, i), "drivers"));
	r = project_room(&n->kernels, rows, KERNEL_ROWS_MAX, sizeof(struct view_kernel));
	for (size_t i = 0; r >= 0 && i < json_len(kernels); i++) {
		const struct json *drivers = json_get(json_at(kernels, i), "drivers");

		for (size_t j = 0;
			r >= 0 && j < json_len(drivers) && n->kernels.n < KERNEL_ROWS_MAX;
			j++)
			r = read_kernel_driver(in, json_at(kernels, i),
				json_at(drivers, j),
				VIEW_AT(struct view_kernel, n->kernels, n->kernels.n++));
	}
	return r;
}

static int read_hardware(struct intern *in, const struct json *list, struct view_node *n)
{
	int r = project_room(
		&n->hardware, json_len(list), HARDWARE_MAX, sizeof(const char *));

	for (size_t i = 0; r >= 0 && i < json_len(list) && i < HARDWARE_MAX; i++) {
		const char **at = VIEW_AT(const char *, n->hardware, n->hardware.n++);

		*at = intern_get(in, json_str(json_at(list, i)));
		if (!*at)
			return -ENOMEM;
	}
	return r;
}

static int read_devices(struct intern *in, const struct json *list, struct view_node *n)
{
	int r = project_room(&n->devices, json_len(list), PROJECT_ENTRIES_MAX,
		sizeof(struct view_class_devices));

	for (size_t i = 0; r >= 0 && i < json_len(list); i++) {
		const struct json *d = json_at(list, i);
		const char *class_name = project_text(d, "class");
		struct view_class_devices *at = NULL;

		if (!*class_name)
			continue;
		for (size_t j = 0; j < n->devices.n && !at; j++)
			if (streq(VIEW_AT(struct view_class_devices, n->devices, j)
					    ->class_name,
				    class_name))
				at = VIEW_AT(struct view_class_devices, n->devices, j);
		if (!at && n->devices.n == PROJECT_ENTRIES_MAX)
			continue;
		if (!at) {
			at = VIEW_AT(
				struct view_class_devices, n->devices, n->devices.n++);
			at->class_name = intern_get(in, class_name);
			if (!at->class_name)
				return -ENOMEM;
		}
		at->total = small(at->total + 1);
		at->healthy = small(
			at->healthy + streq(project_text(d, "health"), "Healthy"));
	}
	return r;
}

uint64_t project_hash(const struct json *acc)
{
	static const char *const annotations[] = { VIEW_SELECTORS, VIEW_BEFORE };
	const struct json *spec = json_get(acc, "spec");
	const struct json *upgrade = json_get(spec, "upgrade");
	uint64_t h = JHASH_OBJECT, none = jhash_end(JHASH_LIST);

	jhash_member(&h, "drivers",
		json_get(spec, "drivers") ? jhash(json_get(spec, "drivers")) : none);
	jhash_member(&h, "classes",
		json_get(spec, "classes") ? jhash(json_get(spec, "classes")) : none);
	if (json_len(upgrade) > 0)
		jhash_member(&h, "upgrade", jhash(upgrade));
	for (size_t i = 0; i < ARRAY_SIZE(annotations); i++) {
		const char *s = json_get_str(
			json_path(acc, "metadata.annotations"), annotations[i]);

		if (!str_empty(s))
			jhash_member(&h, annotations[i], jhash_str(s));
	}
	return builds_hash_with(jhash_end(h), builds_hash_json(json_get(spec, "builds")));
}

static int read_acc(struct intern *in, const struct json *obj, struct view_node *n)
{
	const struct json *notes = json_path(obj, "metadata.annotations");
	const struct json *spec = json_get(obj, "spec"),
			  *status = json_get(obj, "status");
	int r = read_assigns(
		in, json_get(spec, "drivers"), project_text(notes, VIEW_SELECTORS), n);

	if (r >= 0)
		r = read_before(in, project_text(notes, VIEW_BEFORE), n);
	if (r >= 0)
		r = read_upgrade(in, json_get(spec, "upgrade"), n);
	if (r >= 0)
		r = read_boot(in, status, n);
	if (r >= 0)
		r = builds_read(in, json_get(spec, "builds"), n);
	if (r >= 0)
		r = read_states(in, json_get(status, "drivers"), n);
	if (r >= 0)
		r = read_kernels(in, json_get(status, "kernels"), n);
	if (r >= 0)
		r = read_hardware(in, json_get(status, "hardware"), n);
	if (r >= 0)
		r = read_devices(in, json_get(status, "devices"), n);
	n->is_known = *project_text(status, "kernel") != '\0';
	if (r < 0)
		return r;
	project_share(in, &n->assigns, sizeof(struct view_assign), put_assigns);
	project_share(in, &n->states, sizeof(struct view_driver_state), put_states);
	project_share(in, &n->kernels, sizeof(struct view_kernel), put_kernels);
	project_share(in, &n->hardware, sizeof(const char *), put_hardware);
	project_share(in, &n->devices, sizeof(struct view_class_devices), put_devices);
	project_share(in, &n->before, sizeof(struct view_count), project_put_counts);
	return 0;
}

int project_acc(struct intern *in, const struct json *obj, struct view_node *n)
{
	const struct json *meta = json_get(obj, "metadata");
	int r;

	project_clear_acc(in, n);
	if (!json_get_str(meta, "name"))
		return -EINVAL;
	r = read_acc(in, obj, n);
	if (r < 0) {
		project_clear_acc(in, n);
		return r;
	}
	uid_set(&n->acc_uid, json_get_str(meta, "uid"));
	n->acc_version = project_version(obj);
	n->spec_hash = project_hash(obj);
	n->has_acc = true;
	return 0;
}
