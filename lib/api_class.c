// SPDX-License-Identifier: Apache-2.0
/* AcceleratorClass.spec: its field tables, and what they cannot say. */
#include "api_tables.h"

#include <stdio.h>

static const char *const sharing_names[] = { "Exclusive", "TimeSlice", "External", NULL };
static const char *const prefer_names[] = { "numa", "pcieRoot", NULL };

#define NODE(m) .off = offsetof(struct api_device_node, m)
static const struct field device_node_fields[] = {
	{ .name = "subsystem",
		.type = FIELD_STR,
		NODE(subsystem),
		.min = 1,
		.max = 64,
		.doc = "The nodes of the device's own children in this subsystem." },
	{ .name = "path",
		.type = FIELD_STR,
		NODE(path),
		.max = API_PATH_MAX,
		.pattern = "^/dev/",
		.doc = "Or one node by its path, in which {variables} may stand: /dev/nvidia{minor}." },
	{ .name = "permissions",
		.type = FIELD_STR,
		NODE(permissions),
		.max = 3,
		.pattern = "^r?w?m?$",
		.def_str = "rw",
		.doc = "Cgroup permissions; rw when absent." },
	{ .name = "name",
		.type = FIELD_STR,
		NODE(name),
		.min = 1,
		.max = 64,
		.doc = "With subsystem: only nodes whose name fits this pattern: renderD*." },
	{ .name = "function",
		.type = FIELD_INT,
		NODE(function),
		.min = 0,
		.max = 7,
		.def = -1,
		.doc = "With subsystem: the nodes of this function of the same PCI slot, not of the device "
		       "itself." },
	{ .name = "optional",
		.type = FIELD_BOOL,
		NODE(optional),
		.doc = "The device is healthy without it." },
	{ 0 }
};

#define VARIABLE(m) .off = offsetof(struct api_variable, m)
static const struct field variable_fields[] = {
	{ .name = "name",
		.type = FIELD_STR,
		.flags = FIELD_KEY,
		VARIABLE(name),
		.min = 1,
		.max = 32,
		.pattern = "^[a-z][A-Za-z0-9]*$",
		.doc = "How it is named in braces." },
	{ .name = "file",
		.type = FIELD_STR,
		.flags = FIELD_REQUIRED,
		VARIABLE(file),
		.min = 1,
		.max = 255,
		.doc = "File below the device's folder in sysfs, as in match.attributes, or below /proc/; a "
		       "link gives its target's name." },
	{ .name = "regexp",
		.type = FIELD_STR,
		VARIABLE(regexp),
		.min = 1,
		.max = 255,
		.doc = "POSIX extended regular expression, matched against each line: its first group is the "
		       "value. Absent: the first line. {address}, {slot} and the other builtins may stand "
		       "in it and in file." },
	{ 0 }
};

#define MOUNT(m) .off = offsetof(struct api_mount, m)
static const struct field mount_fields[] = { { .name = "hostPath",
						     .type = FIELD_STR,
						     .flags = FIELD_REQUIRED,
						     MOUNT(host_path),
						     .max = API_PATH_MAX,
						     .pattern = "^/",
						     .doc = "Path on the host." },
	{ .name = "containerPath",
		.type = FIELD_STR,
		.flags = FIELD_KEY,
		MOUNT(container_path),
		.max = API_PATH_MAX,
		.pattern = "^/",
		.doc = "Path in the container." },
	{ .name = "readOnly",
		.type = FIELD_BOOL,
		MOUNT(read_only),
		.def = true,
		.doc = "Mounted read-only; true when absent." },
	{ 0 } };

#define SLICE(m) .off = IN_OUTER(struct api_class_spec, sharing.time_slice, m)
static const struct field time_slice_fields[] = {
	{ .name = "replicas",
		.type = FIELD_INT,
		.flags = FIELD_REQUIRED,
		SLICE(replicas),
		.min = 2,
		.max = 256,
		.def = 1,
		.doc = "How many times each device is advertised." },
	{ .name = "maxPerRequest",
		.type = FIELD_INT,
		SLICE(max_per_request),
		.min = 1,
		.max = 256,
		.def = 1,
		.doc = "How many of them one container may ask for; 1 when absent." },
	{ 0 }
};

#define SHARING(m) IN_OUTER(struct api_class_spec, sharing, m)
static const struct field sharing_fields[] = {
	{ .name = "strategy",
		.type = FIELD_ENUM,
		.flags = FIELD_REQUIRED,
		.off = SHARING(strategy),
		.names = sharing_names,
		.def = API_SHARING_EXCLUSIVE,
		.doc = "Exclusive (the default), TimeSlice, or External: another system owns the "
		       "resource and Farrier keeps driver, health and inventory." },
	{ .name = "timeSlice",
		.type = FIELD_OBJ,
		.off = SHARING(time_slice),
		.present_off = SHARING(time_slice.present),
		.sub = time_slice_fields,
		.doc = "One device is advertised several times; nothing but the driver limits who uses "
		       "how much." },
	{ 0 }
};

#define COMMAND(m) .off = IN_OUTER(struct api_class_spec, health.command, m)
static const struct field command_fields[] = {
	{ .name = "argv",
		.type = FIELD_STRS,
		.flags = FIELD_REQUIRED,
		COMMAND(argv),
		.max = 512,
		.pattern = "^[^[:cntrl:]]*$",
		.doc = "Program by its absolute path, and its arguments, in which {variables} may "
		       "stand: {address}. No shell reads it." },
	{ .name = "intervalSeconds",
		.type = FIELD_INT,
		COMMAND(interval_seconds),
		.min = 5,
		.max = 3600,
		.def = 30,
		.doc = "How often it is run for each device; 30 when absent, and sooner after an "
		       "answer that is not good." },
	{ .name = "timeoutSeconds",
		.type = FIELD_INT,
		COMMAND(timeout_seconds),
		.min = 1,
		.max = 60,
		.def = 5,
		.doc = "How long it may take before it is killed; 5 when absent." },
	{ 0 }
};

#define HEALTH(m) .off = IN_OUTER(struct api_class_spec, health, m)
static const struct field health_fields[] = {
	{ .name = "pciLink",
		.type = FIELD_BOOL,
		HEALTH(pci_link),
		.doc = "The PCI link is down or narrower than it was." },
	{ .name = "aer",
		.type = FIELD_BOOL,
		HEALTH(aer),
		.doc = "The PCI device reports fatal errors." },
	{ .name = "file",
		.type = FIELD_STR,
		HEALTH(file),
		.max = API_PATH_MAX,
		.doc = "File below the device's sysfs folder that reads other than 0 when it is ill." },
	{ .name = "command",
		.type = FIELD_OBJ,
		HEALTH(command),
		.present_off = IN_OUTER(struct api_class_spec, health, command.present),
		.sub = command_fields,
		.doc = "A program that ends with status 0 for a device that is well. It is looked for, "
		       "and run, where the device plugin runs." },
	{ 0 }
};

static const struct field topology_fields[] = {
	{ .name = "prefer",
		.type = FIELD_STRS,
		.off = IN_OUTER(struct api_class_spec, topology, prefer),
		.names = prefer_names,
		.doc = "Nearness to prefer, most important first: numa, pcieRoot." },
	{ 0 }
};

#define SPEC(m) .off = offsetof(struct api_class_spec, m)
#define SPEC_OBJ(m) SPEC(m), .present_off = offsetof(struct api_class_spec, m.present)
const struct field api_class_spec_fields[] = {
	{ .name = "match",
		.type = FIELD_LIST,
		.flags = FIELD_REQUIRED,
		SPEC(match),
		.max = 64,
		.sub = api_device_match_fields,
		.size = sizeof(struct api_device_match),
		.doc = "Devices of this class; a device that any of these matches belongs to it." },
	{ .name = "variables",
		.type = FIELD_LIST,
		SPEC(variables),
		.max = 16,
		.sub = variable_fields,
		.size = sizeof(struct api_variable),
		.doc = "Values read for each device, named in braces elsewhere. Each device has {address}, "
		       "{slot}, {vendor}, {device}, {driver} and {iommuGroup} without this." },
	{ .name = "resourceName",
		.type = FIELD_STR,
		.flags = FIELD_REQUIRED,
		SPEC(resource_name),
		.max = API_LABEL_NAME_MAX,
		.pattern =
			"^[a-z0-9]([a-z0-9.-]*[a-z0-9])?/[A-Za-z0-9{]([A-Za-z0-9_.{}-]*[A-Za-z0-9}])?$",
		.doc = "Extended resource that pods ask for: farrier.dev/edu. {variables} behind the slash make "
		       "one resource for each value: fpga.intel.com/af-{afu}." },
	{ .name = "deviceNodes",
		.type = FIELD_LIST,
		SPEC(device_nodes),
		.max = 64,
		.sub = device_node_fields,
		.size = sizeof(struct api_device_node),
		.doc = "Device nodes that a container gets for each device." },
	{ .name = "mounts",
		.type = FIELD_LIST,
		SPEC(mounts),
		.max = 64,
		.sub = mount_fields,
		.size = sizeof(struct api_mount),
		.doc = "Host files and folders that a container gets." },
	{ .name = "env",
		.type = FIELD_STRMAP,
		SPEC(env),
		.max = 64,
		.doc = "Environment variables that a container gets." },
	{ .name = "cdi",
		.type = FIELD_BOOL,
		SPEC(cdi),
		.def = true,
		.doc = "Name devices by CDI where the container runtime has it; true when absent." },
	{ .name = "cdiDevices",
		.type = FIELD_STRS,
		SPEC(cdi_devices),
		.max = 255,
		.pattern = "^[a-z0-9.-]+/[A-Za-z0-9_.{}-]+=[A-Za-z0-9_.:{}-]+$",
		.doc = "CDI devices of other specs that a container gets besides, with {variables}: "
		       "nvidia.com/gpu={uuid}." },
	{ .name = "sharing",
		.type = FIELD_OBJ,
		SPEC_OBJ(sharing),
		.sub = sharing_fields,
		.doc = "How many containers may use one device." },
	{ .name = "health",
		.type = FIELD_OBJ,
		SPEC_OBJ(health),
		.sub = health_fields,
		.doc = "What makes a device unhealthy besides its absence." },
	{ .name = "topology",
		.type = FIELD_OBJ,
		SPEC_OBJ(topology),
		.sub = topology_fields,
		.doc = "Which devices are preferred together." },
	{ 0 }
};

/* As the kubelet asks of an extended resource: what it does not take must not reach it. */
static int check_resource(const char *name, const char *path, struct err *e)
{
	const char *slash = strchr(name, '/');
	char domain[API_NAME_MAX + 1];
	size_t n = slash ? (size_t)(slash - name) : 0, m;

	if (!slash || n > API_NAME_MAX)
		return api_bad(e, path, "must be <domain>/<name>");
	memcpy(domain, name, n);
	domain[n] = '\0';
	if (!api_name_is_valid(domain) || !strchr(domain, '.'))
		return api_bad(e, path, "'%s' is no domain", domain);
	if (strlen(slash + 1) > 63)
		return api_bad(e, path, "longer than 63 bytes behind the '/'");
	m = strlen("kubernetes.io");
	if (n >= m && streq(domain + n - m, "kubernetes.io"))
		return api_bad(e, path, "'%s' is the kubelet's own domain", domain);
	if (str_starts(name, "requests."))
		return api_bad(e, path, "must not begin with 'requests.'");
	return 0;
}

/* ---- {variables} ---- */
const char *const api_variable_builtins[] = { "address", "slot", "vendor", "device",
	"driver", "iommuGroup", NULL };

static bool is_variable(const struct api_class_spec *s, const char *name, size_t n)
{
	const struct api_variable *v = s ? s->variables.items : NULL;

	for (size_t i = 0; api_variable_builtins[i]; i++)
		if (strlen(api_variable_builtins[i]) == n &&
			memcmp(api_variable_builtins[i], name, n) == 0)
			return true;
	for (size_t i = 0; v && i < s->variables.n; i++)
		if (strlen(v[i].name) == n && memcmp(v[i].name, name, n) == 0)
			return true;
	return false;
}

/* Every '{' begins the name of a variable and every '}' ends one. @s NULL: builtins only. */
static int check_braces(
	const struct api_class_spec *s, const char *text, const char *path, struct err *e)
{
	const char *p = text;

	while (*(p += strcspn(p, "{}"))) {
		size_t n = strcspn(p + 1, "{}");

		if (*p == '}' || p[1 + n] != '}')
			return api_bad(e, path, "'%s': unpaired brace", text);
		if (!is_variable(s, p + 1, n))
			return api_bad(
				e, path, "'%s': no variable '%.*s'", text, (int)n, p + 1);
		p += n + 2;
	}
	return 0;
}

/* Its builtins stand for what has no special characters. */
static int check_variable_regexp(const char *text, const char *path, struct err *e)
{
	char plain[512];
	size_t n = 0;

	while (*text && n + 1 < sizeof(plain)) {
		size_t k = *text == '{' ? strcspn(text + 1, "}") : 0;

		if (k && text[1 + k] == '}' && is_variable(NULL, text + 1, k)) {
			plain[n++] = '0';
			text += k + 2;
		} else {
			plain[n++] = *text++;
		}
	}
	plain[n] = '\0';
	return api_regexp_check(plain, path, e);
}

static int check_variables(
	const struct api_class_spec *s, const char *path, struct err *e)
{
	const struct api_variable *v = s->variables.items;
	char where[FIELD_PATH_MAX];

	for (size_t i = 0; i < s->variables.n; i++) {
		const char *file = v[i].file;
		int r;

		api_where(where, "%s.variables[%zu]", path, i);
		if (is_variable(NULL, v[i].name, strlen(v[i].name)))
			return api_bad(
				e, where, "every device has '%s' already", v[i].name);
		if (*file == '/' ? !str_starts(file, "/proc/") || !api_path_is_safe(file)
				 : !api_attribute_is_safe(file))
			return api_bad(e, where,
				"'file' must be below the device's folder or /proc/");
		r = check_braces(NULL, file, where, e);
		if (r == 0 && v[i].regexp)
			r = check_variable_regexp(v[i].regexp, where, e);
		if (r < 0)
			return r;
	}
	return 0;
}

static int check_cdi_devices(
	const struct api_class_spec *s, const char *path, struct err *e)
{
	const char *const *names = s->cdi_devices.items;
	char where[FIELD_PATH_MAX];
	int r = 0;

	api_where(where, "%s.cdiDevices", path);
	if (s->cdi_devices.n > API_CDI_DEVICES_MAX)
		return api_bad(e, where, "more than %d", API_CDI_DEVICES_MAX);
	if (s->cdi_devices.n && !s->cdi)
		return api_bad(e, where, "needs 'cdi'");
	for (size_t i = 0; i < s->cdi_devices.n && r == 0; i++)
		r = check_braces(s, names[i], where, e);
	return r;
}

static int check_command(const struct api_class_spec *s, const char *path, struct err *e)
{
	const char *const *argv = s->health.command.argv.items;
	char where[FIELD_PATH_MAX];
	int r = 0;

	if (!s->health.command.present)
		return 0;
	api_where(where, "%s.command.argv", path);
	if (s->health.command.argv.n > API_COMMAND_ARGS_MAX)
		return api_bad(e, where, "more than %d", API_COMMAND_ARGS_MAX);
	if (!api_path_is_safe(argv[0]) || strchr(argv[0], '{'))
		return api_bad(e, where,
			"the program's path must be absolute, without '..' and variables");
	for (size_t i = 1; i < s->health.command.argv.n && r == 0; i++)
		r = check_braces(s, argv[i], where, e);
	return r;
}

static int check_device_nodes(
	const struct api_class_spec *s, const char *path, struct err *e)
{
	const struct api_device_node *d = s->device_nodes.items;
	char where[FIELD_PATH_MAX];
	size_t i;

	for (i = 0; i < s->device_nodes.n; i++, d++) {
		api_where(where, "%s.deviceNodes[%zu]", path, i);
		if (!d->subsystem == !d->path)
			return api_bad(e, where,
				"exactly one of 'subsystem' and 'path' must be given");
		if (d->path && !api_path_is_safe(d->path))
			return api_bad(e, where, "'path' must be absolute, without '..'");
		if (d->path && (d->name || d->function >= 0))
			return api_bad(
				e, where, "'name' and 'function' go with 'subsystem'");
		if (d->path && check_braces(s, d->path, where, e) < 0)
			return -EINVAL;
		if (!*d->permissions)
			return api_bad(e, where, "'permissions' must not be empty");
		if (d->subsystem && (strchr(d->subsystem, '/') || *d->subsystem == '.'))
			return api_bad(e, where, "'subsystem' must be a name");
	}
	return 0;
}

static int check_mounts(const struct api_class_spec *s, const char *path, struct err *e)
{
	const struct api_mount *m = s->mounts.items;
	const struct kv *kv = s->env.items;
	char where[FIELD_PATH_MAX];
	size_t i;

	for (i = 0; i < s->mounts.n; i++, m++) {
		api_where(where, "%s.mounts[%zu]", path, i);
		if (!api_path_is_safe(m->host_path))
			return api_bad(
				e, where, "'hostPath' must be absolute, without '..'");
		if (!api_path_is_safe(m->container_path))
			return api_bad(e, where,
				"'containerPath' must be absolute, without '..'");
	}
	for (i = 0; i < s->env.n; i++, kv++) {
		api_where(where, "%s.env", path);
		if (!*kv->key || strchr(kv->key, '='))
			return api_bad(
				e, where, "'%s' is no name of a variable", kv->key);
	}
	return 0;
}

int api_class_check(const struct api_class_spec *s, const char *path, struct err *e)
{
	char where[FIELD_PATH_MAX];
	int r;

	api_where(where, "%s.match", path);
	r = api_devices_check(&s->match, where, e);
	if (r < 0)
		return r;
	api_where(where, "%s.resourceName", path);
	r = check_resource(s->resource_name, where, e);
	if (r == 0)
		r = check_variables(s, path, e);
	if (r == 0)
		r = check_braces(s, s->resource_name, where, e);
	if (r == 0)
		r = check_cdi_devices(s, path, e);
	if (r == 0)
		r = check_device_nodes(s, path, e);
	if (r == 0)
		r = check_mounts(s, path, e);
	if (r < 0)
		return r;
	api_where(where, "%s.sharing", path);
	if ((s->sharing.strategy == API_SHARING_TIMESLICE) !=
		s->sharing.time_slice.present)
		return api_bad(e, where,
			"'timeSlice' must be given when strategy is TimeSlice, and only then");
	if (s->sharing.time_slice.max_per_request > s->sharing.time_slice.replicas)
		return api_bad(
			e, where, "'timeSlice.maxPerRequest' is more than 'replicas'");
	api_where(where, "%s.health", path);
	if (s->health.file && !api_relative_is_safe(s->health.file))
		return api_bad(e, where, "'file' must be relative, without '..'");
	return check_command(s, where, e);
}
