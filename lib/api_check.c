// SPDX-License-Identifier: Apache-2.0
/* What the tables of AcceleratorDriver cannot say, and the checks that others share. */
#include "api_tables.h"

#include <stdarg.h>
#include <stdio.h>

enum { RELEASE_MAX = 64 };

int api_bad(struct err *e, const char *path, const char *fmt, ...)
{
	char what[512];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(what, sizeof(what), fmt, ap);
	va_end(ap);
	return err_reason(e, -EINVAL, REASON_MANIFEST_INVALID, "'%s': %s", path, what);
}

void api_where(char out[FIELD_PATH_MAX], const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(out, FIELD_PATH_MAX, fmt, ap);
	va_end(ap);
}

static bool is_plain_part(const char *part, size_t n)
{
	size_t i;

	if (n == 0 || n > 255 || (n == 1 && part[0] == '.') ||
		(n == 2 && part[0] == '.' && part[1] == '.'))
		return false;
	for (i = 0; i < n; i++)
		if ((unsigned char)part[i] < 0x20 || part[i] == 0x7f)
			return false;
	return true;
}

bool api_relative_is_safe(const char *path)
{
	if (strlen(path) > API_PATH_MAX)
		return false;
	for (;;) {
		size_t n = strcspn(path, "/");

		if (!is_plain_part(path, n))
			return false;
		if (!path[n])
			return true;
		path += n + 1;
	}
}

bool api_path_is_safe(const char *path)
{
	return path[0] == '/' && (!path[1] || api_relative_is_safe(path + 1));
}

bool api_attribute_is_safe(const char *path)
{
	for (int i = 0; i < API_PARENTS_MAX && str_starts(path, "../"); i++)
		path += 3;
	return api_relative_is_safe(path);
}

bool api_name_is_valid(const char *name)
{
	size_t n = strlen(name), i;
	char before = '.';

	if (n == 0 || n > API_NAME_MAX)
		return false;
	for (i = 0; i < n; i++) {
		char c = name[i];
		bool is_alnum = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');

		if (!is_alnum && c != '-' && c != '.')
			return false;
		if (!is_alnum && before == '.') /* a part begins with a letter or digit */
			return false;
		if (c == '.' && before == '-')
			return false;
		before = c;
	}
	return before != '.' && before != '-';
}

static bool is_release(const char *s)
{
	size_t n = strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
			     "0123456789._+~-");

	return n > 0 && !s[n] && n <= RELEASE_MAX && s[0] != '.' && s[0] != '-';
}

static int check_attributes(
	const struct api_device_match *m, const char *path, struct err *e)
{
	const struct api_attribute *a = m->attributes.items;
	char where[FIELD_PATH_MAX];
	int r = 0;

	for (size_t i = 0; i < m->attributes.n && r == 0; i++) {
		api_where(where, "%s.attributes[%zu]", path, i);
		if (!api_attribute_is_safe(a[i].name))
			return api_bad(e, where,
				"'name' must be a file below the device's folder");
		if (a[i].value && a[i].regexp)
			return api_bad(
				e, where, "'value' and 'regexp' exclude each other");
		if (a[i].regexp)
			r = api_regexp_check(a[i].regexp, where, e);
	}
	return r;
}

static int check_device(const struct api_device_match *m, const char *path, struct err *e)
{
	const char *const ids[] = { m->vendor, m->device, m->subvendor, m->subdevice };
	static const char *const names[] = { "vendor", "device", "subvendor",
		"subdevice" };
	size_t i;

	if (!m->vendor && !m->device && !m->class_code && !m->driver && !m->subsystem &&
		!m->attributes.n)
		return api_bad(
			e, path, "matches everything: name at least a vendor or a class");
	for (i = 0; i < ARRAY_SIZE(ids); i++)
		if (ids[i] && strlen(ids[i]) != 4 &&
			(m->bus == API_BUS_PCI || m->bus == API_BUS_USB))
			return api_bad(e, path, "'%s': '%s' is not four hex digits",
				names[i], ids[i]);
	if (m->class_code && m->bus != API_BUS_PCI)
		return api_bad(e, path, "'class' is for the bus PCI only");
	if (m->driver && !is_plain_part(m->driver, strlen(m->driver)))
		return api_bad(e, path, "'driver' must be a name");
	if (m->function != API_FUNCTION_ANY && m->bus != API_BUS_PCI)
		return api_bad(e, path, "'function' is for the bus PCI only");
	return check_attributes(m, path, e);
}

int api_devices_check(const struct list *devices, const char *path, struct err *e)
{
	const struct api_device_match *m = devices->items;
	char where[FIELD_PATH_MAX];
	size_t i;
	int r;

	for (i = 0; i < devices->n; i++) {
		api_where(where, "%s[%zu]", path, i);
		r = check_device(&m[i], where, e);
		if (r < 0)
			return r;
	}
	return 0;
}

static int check_selector(const struct api_selector *s, const char *path, struct err *e)
{
	const struct api_selector_expr *x = s->exprs.items;
	size_t i;

	for (i = 0; i < s->exprs.n; i++) {
		bool has_values = x[i].values.n > 0;
		bool wants_values = x[i].op == API_SEL_IN || x[i].op == API_SEL_NOT_IN;

		if (has_values != wants_values)
			return api_bad(e, path, "'%s': 'values' %s", x[i].key,
				wants_values
					? "must not be empty"
					: "must be absent for Exists and DoesNotExist");
	}
	return 0;
}

static int check_source(const struct api_source *s, const char *path, struct err *e)
{
	const bool present[API_SOURCES_] = {
		[API_SOURCE_HOST] = s->host.present,
		[API_SOURCE_HTTP] = s->http.present,
		[API_SOURCE_OCI] = s->oci.present,
		[API_SOURCE_CONFIGMAP] = s->config_map.present,
		[API_SOURCE_INLINE] = s->inline_.present,
	};
	static const char *const members[API_SOURCES_] = { "host", "http", "oci",
		"configMap", "inline" };
	const struct kv *kv = s->inline_.files.items;
	size_t total = 0, i;
	int t;

	for (t = 0; t < API_SOURCES_; t++)
		if (present[t] != (t == s->type))
			return api_bad(e, path,
				t == s->type ? "'%s' must be given, as type says"
					     : "'%s' is not what type says",
				members[t]);
	if (s->host.present && !api_path_is_safe(s->host.path))
		return api_bad(e, path, "'host.path' must be absolute, without '..'");
	for (i = 0; i < s->inline_.files.n; i++) {
		if (!api_relative_is_safe(kv[i].key))
			return api_bad(e, path,
				"'inline.files': '%.100s' must be relative, without '..'",
				kv[i].key);
		total += strlen(kv[i].value);
	}
	if (total > API_INLINE_MAX)
		return api_bad(
			e, path, "'inline.files': more than %d bytes", API_INLINE_MAX);
	return 0;
}

static int check_headers(
	const struct api_kernel_headers *h, const char *path, struct err *e)
{
	const struct api_archive *a = h->archives.items;
	char where[FIELD_PATH_MAX];

	for (size_t i = 0; i < h->archives.n; i++) {
		api_where(where, "%s.archives[%zu]", path, i);
		if (*a[i].from == '/' && !api_path_is_safe(a[i].from))
			return api_bad(e, where,
				"'from' must be an address, or absolute, without '..'");
	}
	return 0;
}

static int check_build(const struct api_build *b, const char *path, struct err *e)
{
	const struct api_kernel_override *k = b->kernels.items;
	const char *const *releases = b->extra_kernels.items;
	const struct api_kernel_headers *h = b->headers.items;
	char where[FIELD_PATH_MAX];
	uint64_t bytes = 0;
	size_t i;
	int r = 0;

	if (api_quantity(b->memory, &bytes) < 0 || bytes == 0)
		return api_bad(
			e, path, "'memory': '%s' is no quantity such as 2Gi", b->memory);
	for (i = 0; i < b->extra_kernels.n; i++)
		if (!is_release(releases[i]))
			return api_bad(e, path,
				"'extraKernels[%zu]': '%s' is no kernel release", i,
				releases[i]);
	for (i = 0; i < b->kernels.n && r == 0; i++) {
		api_where(where, "%s.kernels[%zu].regexp", path, i);
		r = api_regexp_check(k[i].regexp, where, e);
	}
	for (i = 0; i < b->headers.n && r == 0; i++) {
		api_where(where, "%s.headers[%zu]", path, i);
		r = check_headers(&h[i], where, e);
	}
	return r;
}

/* Names and values end up in modprobe.d, where a line is a command. */
static int check_module(const struct api_module *m, const char *path, struct err *e)
{
	const struct kv *kv = m->parameters.items;
	size_t i;

	for (i = 0; i < m->parameters.n; i++, kv++) {
		const char *c;

		if (!*kv->key || kv->key[strspn(kv->key, "abcdefghijklmnopqrstuvwxyz"
							 "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
							 "0123456789_.-")])
			return api_bad(e, path,
				"'parameters': '%.100s' is no name of a parameter",
				kv->key);
		for (c = kv->value; *c; c++)
			if ((unsigned char)*c < 0x20 || *c == 0x7f || *c == '"')
				return api_bad(e, path,
					"'parameters[%s]': quotes and control characters cannot be "
					"passed on",
					kv->key);
	}
	return 0;
}

static int check_modules(const struct api_driver_spec *s, const char *path, struct err *e)
{
	const struct api_module *m = s->modules.items;
	const char *const *firmware = s->firmware.items;
	char where[FIELD_PATH_MAX];
	size_t i;
	int r;

	for (i = 0; i < s->modules.n; i++) {
		api_where(where, "%s.modules[%zu]", path, i);
		r = check_module(&m[i], where, e);
		if (r < 0)
			return r;
	}
	api_where(where, "%s.firmware", path);
	for (i = 0; i < s->firmware.n; i++)
		if (!api_relative_is_safe(firmware[i]))
			return api_bad(e, where,
				"'%.100s' must be relative, without '..'", firmware[i]);
	return 0;
}

int api_driver_check(
	const struct api_driver_spec *s, const char *path, bool is_whole, struct err *e)
{
	char where[FIELD_PATH_MAX];
	int r;

	if (is_whole && !s->node_selector.present && s->devices.n == 0)
		return api_bad(e, path,
			"'nodeSelector' or 'devices' must be given, or this driver would be built "
			"on every node");
	api_where(where, "%s.nodeSelector", path);
	r = check_selector(&s->node_selector, where, e);
	if (r < 0)
		return r;
	api_where(where, "%s.devices", path);
	r = api_devices_check(&s->devices, where, e);
	if (r < 0)
		return r;
	api_where(where, "%s.source", path);
	r = check_source(&s->source, where, e);
	if (r < 0)
		return r;
	api_where(where, "%s.build", path);
	r = check_build(&s->build, where, e);
	if (r == 0)
		r = check_modules(s, path, e);
	if (r < 0)
		return r;
	api_where(where, "%s.signing", path);
	if ((s->signing.mode == API_SIGNING_SECRET) != !!s->signing.secret_ref)
		return api_bad(e, where,
			"'secretRef' must be given when mode is Secret, and only then");
	api_where(where, "%s.upgradePolicy", path);
	r = check_selector(&s->upgrade_policy.wait.pod_selector, where, e);
	if (r == 0)
		r = check_selector(&s->upgrade_policy.drain.pod_selector, where, e);
	return r;
}
