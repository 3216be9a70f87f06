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
		.doc = "Or one fixed node." },
	{ .name = "permissions",
		.type = FIELD_STR,
		NODE(permissions),
		.max = 3,
		.pattern = "^r?w?m?$",
		.def_str = "rw",
		.doc = "Cgroup permissions; rw when absent." },
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
	{ .name = "resourceName",
		.type = FIELD_STR,
		.flags = FIELD_REQUIRED,
		SPEC(resource_name),
		.max = API_LABEL_NAME_MAX,
		.pattern =
			"^[a-z0-9]([a-z0-9.-]*[a-z0-9])?/[A-Za-z0-9]([A-Za-z0-9_.-]*[A-Za-z0-9])?$",
		.doc = "Extended resource that pods ask for: farrier.dev/edu." },
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
	return 0;
}
