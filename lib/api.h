// SPDX-License-Identifier: Apache-2.0
/* The custom resources of farrier.dev/v1alpha1 as C structures, with the field tables (lib/field.h)
 * that parse, print, document and check them. Everything parsed lives in the arena it was given. */
#pragma once

#include "field.h"

#define API_GROUP "farrier.dev"
#define API_VERSION "v1alpha1"
#define API_GROUP_VERSION API_GROUP "/" API_VERSION
#define API_KIND_DRIVER "AcceleratorDriver"
#define API_KIND_CLASS "AcceleratorClass"
#define API_KIND_NODE "AcceleratorNode"

/* Labels and annotations that we read and write. */
#define API_NODE_SKIP_LABEL \
	API_GROUP "/skip-upgrade" /* on a Node, "true": no waves here */
#define API_POD_SKIP_LABEL API_GROUP "/skip-drain" /* on a pod, "true": not evicted */
#define API_NODE_CORDONED API_GROUP "/cordoned" /* annotation on a Node: we cordoned it */
#define API_MANAGER_CONTROLLER "farrier-controller" /* field managers */
#define API_MANAGER_AGENT "farrier-driver-builder"

enum api_bus { API_BUS_PCI, API_BUS_USB, API_BUS_DFL, API_BUS_PLATFORM, API_BUSES_ };
extern const char *const api_bus_names[];

/* One kind of device: ids are lower-case hex without 0x; NULL matches any. */
struct api_device_match {
	int bus; /* enum api_bus */
	const char *vendor, *device, *subvendor, *subdevice;
	const char *
		class_code; /* PCI class, prefix of the six hex digits: "03", "0302", "120000" */
	const char *driver; /* classes only: the bound driver */
	const char *subsystem; /* classes only: udev subsystem */
	int function; /* classes only: enum api_function */
	struct list attributes; /* classes only: struct api_attribute, all of them */
};
/* SR-IOV. */
enum api_function {
	API_FUNCTION_ANY,
	API_FUNCTION_PHYSICAL,
	API_FUNCTION_VIRTUAL,
	API_FUNCTIONS_
};
/* A file below the device's folder in sysfs; @value and @regexp NULL: it need only be there. */
struct api_attribute {
	const char *name, *value, *regexp;
};

struct api_selector_expr {
	const char *key;
	int op; /* enum api_selector_op */
	struct list values; /* const char * */
};
enum api_selector_op {
	API_SEL_IN,
	API_SEL_NOT_IN,
	API_SEL_EXISTS,
	API_SEL_NOT_EXISTS,
	API_SEL_OPS_
};
struct api_selector {
	bool present;
	struct list match_labels; /* struct kv */
	struct list exprs; /* struct api_selector_expr */
};

enum api_source_type {
	API_SOURCE_HOST,
	API_SOURCE_HTTP,
	API_SOURCE_OCI,
	API_SOURCE_CONFIGMAP,
	API_SOURCE_INLINE,
	API_SOURCES_
};
struct api_source {
	int type; /* enum api_source_type */
	struct {
		bool present;
		const char *path, *sha256;
	} host;
	struct {
		bool present;
		const char *url, *sha256;
	} http;
	struct {
		bool present;
		const char *image;
	} oci;
	struct {
		bool present;
		const char *name;
	} config_map;
	struct {
		bool present;
		struct list files; /* struct kv: relative name, content */
	} inline_;
};

enum api_build_system {
	API_BUILD_AUTO,
	API_BUILD_KBUILD,
	API_BUILD_DKMS,
	API_BUILD_MAKE,
	API_BUILDS_
};
enum api_toolchain { API_TOOLCHAIN_SELF, API_TOOLCHAIN_HOST, API_TOOLCHAINS_ };
struct api_kernel_override {
	const char *regexp; /* POSIX extended, against the release */
	struct list make_args;
};
/* Where a file is, and its digest. */
struct api_archive {
	const char *from; /* http(s) address, or an absolute path on the host */
	const char *sha256;
};
struct api_kernel_headers {
	const char *kernel; /* release, or a pattern of fnmatch() */
	struct list archives; /* struct api_archive */
};
struct api_build {
	bool present;
	int system, toolchain;
	struct list make_args; /* const char * */
	int64_t timeout_seconds; /* 1800 */
	const char *memory; /* quantity, "2Gi" */
	bool prebuild; /* true */
	struct list extra_kernels; /* const char * */
	struct list kernels; /* struct api_kernel_override */
	struct list headers; /* struct api_kernel_headers */
};

struct api_module {
	const char *name;
	struct list parameters; /* struct kv */
	struct list replaces; /* const char *: in-tree rivals */
};

enum api_signing_mode {
	API_SIGNING_NONE,
	API_SIGNING_SECRET,
	API_SIGNING_EXTERNAL,
	API_SIGNINGS_
};
enum api_unbuildable {
	API_UNBUILDABLE_HOLD,
	API_UNBUILDABLE_WARN,
	API_UNBUILDABLE_KEEP,
	API_UNBUILDABLES_
};
enum api_deletion { API_DELETION_RETAIN, API_DELETION_UNLOAD, API_DELETIONS_ };

struct api_upgrade_policy {
	bool present;
	bool auto_upgrade; /* true */
	int64_t max_parallel; /* maxParallelUpgrades: 1; 0 = no limit but maxUnavailable */
	struct intstr
		max_unavailable; /* 25% of the matching nodes, rounded down, at least 1 */
	struct {
		bool present;
		struct api_selector pod_selector;
		int64_t timeout_seconds;
	} wait;
	struct {
		bool present;
		bool force;
		int64_t timeout_seconds;
		bool delete_empty_dir;
	} pod_deletion;
	struct {
		bool present;
		bool enable, force;
		struct api_selector pod_selector;
		int64_t timeout_seconds;
		bool delete_empty_dir;
	} drain;
	int64_t validation_timeout_seconds; /* 600 */
	bool reboot_required;
	bool rollback_on_failure; /* true */
};

struct api_driver_spec {
	const char *version;
	struct api_selector node_selector;
	struct list devices; /* struct api_device_match */
	struct api_source source;
	struct api_build build;
	struct list modules; /* struct api_module, loading order */
	struct list firmware; /* const char * */
	struct {
		bool present;
		int mode;
		const char *secret_ref;
	} signing;
	int on_unbuildable, deletion_policy;
	bool paused;
	struct api_upgrade_policy upgrade_policy;
};

/* metadata that we use; strings live in the arena */
struct api_meta {
	const char *name, *uid, *resource_version, *deletion_timestamp;
	int64_t generation;
	struct list labels, annotations, finalizers; /* kv, kv, const char * */
};

struct api_driver {
	struct api_meta meta;
	struct api_driver_spec spec;
};

enum api_sharing {
	API_SHARING_EXCLUSIVE,
	API_SHARING_TIMESLICE,
	API_SHARING_EXTERNAL,
	API_SHARINGS_
};
struct api_device_node {
	const char *subsystem; /* nodes of the device's own children in this subsystem */
	const char *path; /* or a path, with {variables} */
	const char *permissions; /* "rw" */
	const char
		*name; /* subsystem only: pattern that the node's name fits, "renderD*" */
	int64_t function; /* subsystem only: of this function of the same PCI slot; -1: its own */
	bool optional; /* the device is healthy without it */
};
/* A value of the device that a class may name as {name}. */
struct api_variable {
	const char *name;
	const char *file; /* below its folder in sysfs, or in /proc */
	const char *regexp; /* the first group of it; NULL: the first line */
};
enum { API_COMMAND_ARGS_MAX = 16 };
/* What every device has without a variable of the class. */
extern const char *const api_variable_builtins[];
struct api_mount {
	const char *host_path, *container_path;
	bool read_only; /* true */
};
struct api_class_spec {
	struct list match; /* struct api_device_match: any of them */
	struct list variables; /* struct api_variable */
	const char
		*resource_name; /* with {variables}: may be another one for each device */
	struct list device_nodes; /* struct api_device_node */
	struct list mounts; /* struct api_mount */
	struct list env; /* struct kv */
	bool cdi; /* true */
	struct list
		cdi_devices; /* const char *, with {variables}: names of other vendors' specs */
	struct {
		bool present;
		int strategy;
		struct {
			bool present;
			int64_t replicas, max_per_request;
		} time_slice;
	} sharing;
	struct {
		bool present;
		bool pci_link, aer;
		const char *file;
		struct {
			bool present;
			struct list argv; /* const char *, with {variables}; no shell */
			int64_t interval_seconds, timeout_seconds;
		} command;
	} health;
	struct {
		bool present;
		struct list prefer; /* const char *: "numa", "pcieRoot" */
	} topology;
};
struct api_class {
	struct api_meta meta;
	struct api_class_spec spec;
};

/* ---- AcceleratorNode.spec: written by the controller, everything that an agent needs ---- */
struct api_node_driver {
	const char *name;
	int64_t generation; /* of the AcceleratorDriver */
	int64_t proceed_generation; /* a loaded module of another build may be replaced by this generation's; 0: not now */
	bool unload; /* explicit intent to unload (deletionPolicy: Unload) */
	struct api_driver_spec spec;
};
struct api_node_class {
	const char *name;
	struct api_class_spec spec;
};
/* States of one node's upgrade, as the field's controllers name them. */
enum api_upgrade_state {
	API_UPGRADE_NONE, /* "" */
	API_UPGRADE_REQUIRED,
	API_UPGRADE_CORDON,
	API_UPGRADE_WAIT_FOR_JOBS,
	API_UPGRADE_POD_DELETION,
	API_UPGRADE_DRAIN,
	API_UPGRADE_REPLACE, /* the agent may proceed: unload, load */
	API_UPGRADE_REBOOT, /* the agent reboots the node, if it still runs the boot named */
	API_UPGRADE_VALIDATION,
	API_UPGRADE_ROLLBACK, /* it failed: the last good build comes back */
	API_UPGRADE_UNCORDON,
	API_UPGRADE_DONE,
	API_UPGRADE_FAILED,
	API_UPGRADE_STATES_
};
extern const char *const api_upgrade_state_names[];
struct api_node_upgrade {
	bool present;
	int state;
	int64_t since; /* seconds since 1970 when this state was entered */
	const char *
		target; /* "<driver>@<generation>[,…]" sorted: what this upgrade is for */
	const char *boot_id; /* of the boot that API_UPGRADE_REBOOT ends */
	const char *group; /* "<first>/<count>": nodes that gangs tie together */
	const char *reason, *message;
};
/* Who builds a driver for a kernel, for the whole fleet, and what came of it. */
struct api_node_build {
	const char *driver;
	int64_t generation; /* of the AcceleratorDriver */
	const char *kernel;
	const char *node; /* builds and publishes; "": each node for itself */
	int64_t epoch; /* counts the nodes that were asked */
	int64_t since; /* seconds since 1970 when this one was */
	/* Once it is published: content key, manifest's digest, and what the builders agreed on. */
	const char *key, *digest, *unsigned_digest;
	const char *
		asked; /* "<node>=<since>,…": all who build it, to be compared; NULL: one does */
};
struct api_node_spec {
	struct list drivers; /* struct api_node_driver */
	struct list classes; /* struct api_node_class */
	struct list builds; /* struct api_node_build: only where the fleet shares */
	struct api_node_upgrade upgrade;
};

/* ---- AcceleratorNode.status: written by the agent ---- */
enum api_kernel_state {
	API_KERNEL_PENDING,
	API_KERNEL_BUILDING,
	API_KERNEL_READY,
	API_KERNEL_FAILED,
	API_KERNEL_NOT_APPLICABLE,
	API_KERNEL_STATES_
};
struct api_node_kernel_driver { /* one driver for one kernel */
	const char *name;
	int state; /* enum api_kernel_state */
	const char *reason, *message;
	const char *artifact; /* content key */
	int64_t build_seconds; /* 0: taken from the store */
	int64_t generation; /* of the AcceleratorDriver that this entry speaks of */
	/* Of the artifact's manifest in the registry, once we published it; and of its modules without their
	 * signatures: "none" when we did not compile them. */
	const char *digest, *unsigned_digest;
};
struct api_node_kernel {
	const char *release;
	bool running, next; /* next: what a reboot would start, as far as the host says */
	struct list drivers;
};
enum api_driver_state {
	API_DRIVER_PENDING,
	API_DRIVER_BUILDING,
	API_DRIVER_BUILT, /* staged; not loaded yet, or no device here */
	API_DRIVER_LOADED, /* the wanted build runs and is bound to its devices */
	API_DRIVER_UPGRADE_REQUIRED, /* another build runs; the wanted one is staged and waits for permission */
	API_DRIVER_FAILED,
	API_DRIVER_NOT_APPLICABLE, /* not for this kernel */
	API_DRIVER_UNLOADED, /* on intent */
	API_DRIVER_STATES_
};
extern const char *const api_driver_state_names[];
struct api_node_driver_status {
	const char *name;
	int64_t generation; /* the generation this entry speaks of */
	int state; /* enum api_driver_state, for the running kernel */
	const char *version; /* wanted */
	const char *loaded_version; /* running, "" when not loaded or not ours */
	const char *reason, *message;
	const char *artifact, *srcversion;
	int64_t devices,
		bound; /* matching devices here, and how many are bound to the driver */
};
struct api_node_device {
	const char *id; /* bus address */
	const char *bus, *vendor, *device, *driver;
	int64_t numa_node; /* -1: none */
	const char *pcie_root;
	const char *
		health; /* Healthy | Suspect | Unhealthy | Recovering | "" when no plugin runs */
	const char *resource_name, *class_name;
	const char *reason;
};
/* What schedulers need to know of the NUMA nodes, as NodeResourceTopology has it. */
struct api_topology_cost {
	const char *name; /* of a zone */
	int64_t value; /* distance to it; 10: itself */
};
struct api_topology_resource {
	const char *name;
	int64_t capacity, allocatable, available;
};
struct api_topology_zone {
	const char *name; /* "node-0" */
	struct list costs; /* struct api_topology_cost */
	struct list resources; /* struct api_topology_resource */
};
struct api_node_topology {
	bool present;
	const char *policy, *scope; /* of the kubelet's Topology Manager; "": unknown */
	const char *fingerprint, *fingerprint_method; /* of the pods counted */
	struct list zones; /* struct api_topology_zone, by number */
};
struct api_condition {
	const char *type, *status, *reason, *message, *last_transition_time;
	int64_t observed_generation;
};
struct api_node_status {
	int64_t observed_generation;
	const char *boot_id, *kernel, *agent_version;
	const char *next_kernel, *next_kernel_state; /* flat, for the printer columns */
	int64_t drivers_desired, drivers_ready;
	const char *reason, *message; /* the worst, flat, for the printer columns */
	struct list hardware; /* const char *: "pci:1234:11e8", sorted, unique */
	struct list kernels, drivers, devices, conditions;
	struct api_node_topology topology;
};
struct api_node {
	struct api_meta meta;
	struct api_node_spec spec;
	struct api_node_status status;
};

extern const struct field api_driver_spec_fields[];
extern const struct field api_class_spec_fields[];
extern const struct field api_node_spec_fields[];
extern const struct field api_node_status_fields[];
extern const struct field api_node_topology_fields[];
extern const struct field api_device_match_fields[];
extern const struct field api_condition_fields[];

/* Parses a whole object (apiVersion, kind, metadata, spec; status only for nodes) and checks what
 * tables cannot say (unions, selector or devices, names of modules, "must be positive"). Errors
 * name the field; REASON_MANIFEST_INVALID. @strict refuses unknown members (manifests of people);
 * objects from the API server are read with @strict false, since a newer peer may know more; a status
 * that cannot be read is an empty one then. */
int api_driver_parse(struct arena *a, const struct json *obj, bool strict,
	struct api_driver *ret, struct err *e) _must_check_;
int api_class_parse(struct arena *a, const struct json *obj, bool strict,
	struct api_class *ret, struct err *e) _must_check_;
int api_node_parse(struct arena *a, const struct json *obj, bool strict,
	struct api_node *ret, struct err *e) _must_check_;
int api_meta_parse(struct arena *a, const struct json *obj, struct api_meta *ret,
	struct err *e) _must_check_;

/* Label selector semantics of Kubernetes; an absent selector matches everything. @labels: struct kv. */
bool api_selector_match(const struct api_selector *s, const struct list *labels);
/* "pci:1234:11e8" against one match; only bus, vendor and device count. */
bool api_hardware_match(const struct api_device_match *m, const char *hardware);
/* Kubernetes quantity ("2Gi", "500M", "1") in bytes; -EINVAL. */
int api_quantity(const char *text, uint64_t *ret);
/* maxUnavailable of @total nodes: percent rounded down, at least 1. */
size_t api_budget(const struct intstr *v, size_t total);
/* The value of @key in a list of struct kv, NULL when absent. */
const char *api_kv_get(const struct list *kvs, const char *key);
