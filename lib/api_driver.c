// SPDX-License-Identifier: Apache-2.0
/* AcceleratorDriver.spec: its field tables, and with them its defaults and documentation. */
#include "api_tables.h"

const char *const api_bus_names[] = { "PCI", "USB", "DFL", "Platform", NULL };
static const char *const selector_op_names[] = { "In", "NotIn", "Exists", "DoesNotExist",
	NULL };
static const char *const source_names[] = { "Host", "HTTP", "OCI", "ConfigMap", "Inline",
	NULL };
static const char *const build_names[] = { "Auto", "Kbuild", "DKMS", "Make", NULL };
static const char *const toolchain_names[] = { "Self", "Host", NULL };
static const char *const signing_names[] = { "None", "Secret", "External", NULL };
static const char *const unbuildable_names[] = { "Hold", "Warn", "KeepLastGood", NULL };
static const char *const deletion_names[] = { "Retain", "Unload", NULL };

#define SELECTOR_EXPR(m) .off = offsetof(struct api_selector_expr, m)
static const struct field selector_expr_fields[] = {
	{ .name = "key",
		.type = FIELD_STR,
		.flags = FIELD_REQUIRED,
		SELECTOR_EXPR(key),
		.min = 1,
		.max = API_LABEL_NAME_MAX,
		.doc = "Name of the label." },
	{ .name = "operator",
		.type = FIELD_ENUM,
		.flags = FIELD_REQUIRED,
		SELECTOR_EXPR(op),
		.names = selector_op_names,
		.doc = "How the label is compared with the values: In, NotIn, Exists or DoesNotExist." },
	{ .name = "values",
		.type = FIELD_STRS,
		SELECTOR_EXPR(values),
		.max = 63,
		.doc = "Values for In and NotIn." },
	{ 0 }
};

#define SELECTOR(m) .off = offsetof(struct api_selector, m)
const struct field api_selector_fields[] = {
	{ .name = "matchLabels",
		.type = FIELD_STRMAP,
		SELECTOR(match_labels),
		.max = 64,
		.doc = "Labels that must all be present with these values." },
	{ .name = "matchExpressions",
		.type = FIELD_LIST,
		SELECTOR(exprs),
		.max = 64,
		.sub = selector_expr_fields,
		.size = sizeof(struct api_selector_expr),
		.doc = "Expressions over labels that must all hold." },
	{ 0 }
};

#define MATCH(m) .off = offsetof(struct api_device_match, m)
#define DEVICE_FIELDS \
	{ .name = "bus", \
		.type = FIELD_ENUM, \
		.flags = FIELD_REQUIRED, \
		MATCH(bus), \
		.names = api_bus_names, \
		.doc = "Bus of the device: PCI, USB, DFL or Platform." }, \
		{ .name = "vendor", \
			.type = FIELD_STR, \
			MATCH(vendor), \
			.max = 8, \
			.pattern = API_ID_PATTERN, \
			.doc = "Vendor id in lower-case hex without 0x; any when absent." }, \
		{ .name = "device", \
			.type = FIELD_STR, \
			MATCH(device), \
			.max = 8, \
			.pattern = API_ID_PATTERN, \
			.doc = "Device id in lower-case hex without 0x; any when absent." }, \
		{ .name = "subvendor", \
			.type = FIELD_STR, \
			MATCH(subvendor), \
			.max = 8, \
			.pattern = API_ID_PATTERN, \
			.doc = "Subsystem vendor id; any when absent." }, \
		{ .name = "subdevice", \
			.type = FIELD_STR, \
			MATCH(subdevice), \
			.max = 8, \
			.pattern = API_ID_PATTERN, \
			.doc = "Subsystem device id; any when absent." }, \
	{ \
		.name = "class", .type = FIELD_STR, MATCH(class_code), .max = 6, \
		.pattern = "^[0-9a-f]{1,6}$", \
		.doc = "Beginning of the six hex digits of the PCI class: 03, 0302, 120000." \
	}

const struct field api_driver_device_fields[] = { DEVICE_FIELDS, { 0 } };

#define ATTRIBUTE(m) .off = offsetof(struct api_attribute, m)
static const struct field attribute_fields[] = {
	{ .name = "name",
		.type = FIELD_STR,
		.flags = FIELD_KEY,
		ATTRIBUTE(name),
		.min = 1,
		.max = 255,
		.doc = "File below the device's folder in sysfs; '*' stands for any part of a name, and "
		       "'../' in front for the device above. A link counts by its target's name." },
	{ .name = "value",
		.type = FIELD_STR,
		ATTRIBUTE(value),
		.min = 1,
		.max = 255,
		.doc = "What its first line must be." },
	{ .name = "regexp",
		.type = FIELD_STR,
		ATTRIBUTE(regexp),
		.min = 1,
		.max = 255,
		.doc = "Or a POSIX extended regular expression that its first line must match." },
	{ 0 }
};

static const char *const function_names[] = { "Any", "Physical", "Virtual", NULL };

const struct field api_device_match_fields[] = { DEVICE_FIELDS,
	{ .name = "driver",
		.type = FIELD_STR,
		MATCH(driver),
		.min = 1,
		.max = 64,
		.doc = "Kernel driver the device must be bound to; any when absent." },
	{ .name = "subsystem",
		.type = FIELD_STR,
		MATCH(subsystem),
		.min = 1,
		.max = 64,
		.doc = "Subsystem of the device; any when absent." },
	{ .name = "function",
		.type = FIELD_ENUM,
		MATCH(function),
		.names = function_names,
		.def = API_FUNCTION_ANY,
		.doc = "Of SR-IOV: Physical functions only, Virtual ones only, or Any, which is the default." },
	{ .name = "attributes",
		.type = FIELD_LIST,
		MATCH(attributes),
		.max = 16,
		.sub = attribute_fields,
		.size = sizeof(struct api_attribute),
		.doc = "Files of the device in sysfs that must all be as said." },
	{ 0 } };

#define HOST(m) .off = IN_OUTER(struct api_source, host, m)
static const struct field source_host_fields[] = {
	{ .name = "path",
		.type = FIELD_STR,
		.flags = FIELD_REQUIRED,
		HOST(path),
		.max = API_PATH_MAX,
		.pattern = "^/",
		.doc = "Absolute path on the host: the folder of the source tree, or a tar archive "
		       "of it." },
	{ .name = "sha256",
		.type = FIELD_STR,
		HOST(sha256),
		.max = 64,
		.pattern = API_DIGEST_PATTERN,
		.doc = "Digest that the tree, or the archive, must have. Without it nothing built "
		       "from it is shared with "
		       "other nodes." },
	{ 0 }
};

#define HTTP(m) .off = IN_OUTER(struct api_source, http, m)
static const struct field source_http_fields[] = {
	{ .name = "url",
		.type = FIELD_STR,
		.flags = FIELD_REQUIRED,
		HTTP(url),
		.max = 2048,
		.pattern = "^https?://",
		.doc = "Where the archive is (tar; plain, gz, xz or zst). It is fetched once and "
		       "kept on the node." },
	{ .name = "sha256",
		.type = FIELD_STR,
		.flags = FIELD_REQUIRED,
		HTTP(sha256),
		.max = 64,
		.pattern = API_DIGEST_PATTERN,
		.doc = "SHA-256 digest of the archive." },
	{ 0 }
};

static const struct field source_oci_fields[] = {
	{ .name = "image",
		.type = FIELD_STR,
		.flags = FIELD_REQUIRED,
		.off = IN_OUTER(struct api_source, oci, image),
		.max = 1024,
		.pattern = "@sha256:[0-9a-f]{64}$",
		.doc = "The artifact by digest: registry/repository@sha256:..." },
	{ 0 }
};

static const struct field source_config_map_fields[] = {
	{ .name = "name",
		.type = FIELD_STR,
		.flags = FIELD_REQUIRED,
		.off = IN_OUTER(struct api_source, config_map, name),
		.min = 1,
		.max = API_NAME_MAX,
		.doc = "Name of the ConfigMap." },
	{ 0 }
};

static const struct field source_inline_fields[] = {
	{ .name = "files",
		.type = FIELD_STRMAP,
		.flags = FIELD_REQUIRED,
		.off = IN_OUTER(struct api_source, inline_, files),
		.max = 64,
		.doc = "Contents by relative file name." },
	{ 0 }
};

#define SOURCE(m) \
	.off = offsetof(struct api_source, m), \
	.present_off = offsetof(struct api_source, m.present)
static const struct field source_fields[] = {
	{ .name = "type",
		.type = FIELD_ENUM,
		.flags = FIELD_REQUIRED,
		.off = offsetof(struct api_source, type),
		.names = source_names,
		.doc = "Which member below is given: Host, HTTP, OCI, ConfigMap or Inline." },
	{ .name = "host",
		.type = FIELD_OBJ,
		SOURCE(host),
		.sub = source_host_fields,
		.doc = "A source tree on the node itself." },
	{ .name = "http",
		.type = FIELD_OBJ,
		SOURCE(http),
		.sub = source_http_fields,
		.doc = "An archive to download." },
	{ .name = "oci",
		.type = FIELD_OBJ,
		SOURCE(oci),
		.sub = source_oci_fields,
		.doc = "An OCI artifact that holds the source tree." },
	{ .name = "configMap",
		.type = FIELD_OBJ,
		SOURCE(config_map),
		.sub = source_config_map_fields,
		.doc = "A ConfigMap in the release's namespace, 256 KiB at most; the controller embeds "
		       "it for the nodes." },
	{ .name = "inline",
		.type = FIELD_OBJ,
		SOURCE(inline_),
		.sub = source_inline_fields,
		.doc = "Source files written into this object." },
	{ 0 }
};

#define OVERRIDE(m) .off = offsetof(struct api_kernel_override, m)
static const struct field kernel_override_fields[] = {
	{ .name = "regexp",
		.type = FIELD_STR,
		.flags = FIELD_KEY,
		OVERRIDE(regexp),
		.min = 1,
		.max = 256,
		.doc = "POSIX extended regular expression over the kernel release." },
	{ .name = "makeArgs",
		.type = FIELD_STRS,
		OVERRIDE(make_args),
		.max = 1024,
		.doc = "Arguments for make, instead of those above." },
	{ 0 }
};

#define ARCHIVE(m) .off = offsetof(struct api_archive, m)
static const struct field archive_fields[] = {
	{ .name = "from",
		.type = FIELD_STR,
		.flags = FIELD_REQUIRED,
		ARCHIVE(from),
		.max = 2048,
		.pattern = "^(https?:/)?/",
		.doc = "Its address (http or https), or its absolute path on the host." },
	{ .name = "sha256",
		.type = FIELD_STR,
		.flags = FIELD_REQUIRED,
		ARCHIVE(sha256),
		.max = 64,
		.pattern = API_DIGEST_PATTERN,
		.doc = "SHA-256 digest of the file." },
	{ 0 }
};

#define HEADERS(m) .off = offsetof(struct api_kernel_headers, m)
static const struct field kernel_headers_fields[] = {
	{ .name = "kernel",
		.type = FIELD_STR,
		.flags = FIELD_KEY,
		HEADERS(kernel),
		.min = 1,
		.max = 64,
		.pattern = "^[A-Za-z0-9._+~*?-]+$",
		.doc = "Kernel release; '*' and '?' stand for any characters, or any one." },
	{ .name = "archives",
		.type = FIELD_LIST,
		.flags = FIELD_REQUIRED,
		HEADERS(archives),
		.max = 8,
		.sub = archive_fields,
		.size = sizeof(struct api_archive),
		.doc = "Archives (tar; plain, gz, xz or zst) or Debian packages that hold its "
		       "headers together. They are fetched once and kept on the node." },
	{ 0 }
};

#define BUILD(m) .off = offsetof(struct api_build, m)
static const struct field build_fields[] = {
	{ .name = "system",
		.type = FIELD_ENUM,
		BUILD(system),
		.names = build_names,
		.def = API_BUILD_AUTO,
		.doc = "Build system: Auto (the default, by what the tree holds), Kbuild, DKMS "
		       "(dkms.conf as it stands) or Make." },
	{ .name = "toolchain",
		.type = FIELD_ENUM,
		BUILD(toolchain),
		.names = toolchain_names,
		.def = API_TOOLCHAIN_SELF,
		.doc = "Whose compiler builds: Self (the default, of the agent's image) or Host." },
	{ .name = "makeArgs",
		.type = FIELD_STRS,
		BUILD(make_args),
		.max = 1024,
		.doc = "More arguments for make." },
	{ .name = "timeoutSeconds",
		.type = FIELD_INT,
		BUILD(timeout_seconds),
		.min = 1,
		.max = 86400,
		.def = 1800,
		.doc = "A build that takes longer is ended with BuildTimeout; 1800 when absent." },
	{ .name = "memory",
		.type = FIELD_STR,
		BUILD(memory),
		.max = 32,
		.def_str = "2Gi",
		.doc = "Limit of memory for one build as a quantity; 2Gi when absent." },
	{ .name = "prebuild",
		.type = FIELD_BOOL,
		BUILD(prebuild),
		.def = true,
		.doc = "Also build for kernels that are installed and not yet booted; true when "
		       "absent." },
	{ .name = "extraKernels",
		.type = FIELD_STRS,
		.flags = FIELD_KEY,
		BUILD(extra_kernels),
		.min = 1,
		.max = 64,
		.doc = "Kernel releases to build for that no node has yet, where their headers are "
		       "on the node or among those below." },
	{ .name = "kernels",
		.type = FIELD_LIST,
		BUILD(kernels),
		.max = 64,
		.sub = kernel_override_fields,
		.size = sizeof(struct api_kernel_override),
		.doc = "Overrides for some kernels; the first that matches is used." },
	{ .name = "headers",
		.type = FIELD_LIST,
		BUILD(headers),
		.max = 64,
		.sub = kernel_headers_fields,
		.size = sizeof(struct api_kernel_headers),
		.doc = "Headers of kernels for which the node has none; the first entry that "
		       "matches is used." },
	{ 0 }
};

#define MODULE(m) .off = offsetof(struct api_module, m)
static const struct field module_fields[] = { { .name = "name",
						      .type = FIELD_STR,
						      .flags = FIELD_KEY,
						      MODULE(name),
						      .min = 1,
						      .max = 55,
						      .pattern = API_MODULE_PATTERN,
						      .doc = "Name of the module." },
	{ .name = "parameters",
		.type = FIELD_STRMAP,
		MODULE(parameters),
		.max = 64,
		.doc = "Parameters of the module." },
	{ .name = "replaces",
		.type = FIELD_STRS,
		.flags = FIELD_KEY,
		MODULE(replaces),
		.min = 1,
		.max = 55,
		.pattern = API_MODULE_PATTERN,
		.doc = "Modules of the kernel's own that must make way for this one." },
	{ 0 } };

#define SIGNING(m) .off = IN_OUTER(struct api_driver_spec, signing, m)
static const struct field signing_fields[] = {
	{ .name = "mode",
		.type = FIELD_ENUM,
		.flags = FIELD_REQUIRED,
		SIGNING(mode),
		.names = signing_names,
		.def = API_SIGNING_NONE,
		.doc = "Who signs: None, Secret (a key in the cluster) or External: what is built is "
		       "neither loaded nor staged until there is a signature from outside for "
		       "each module (AwaitingSignature names them by their digests)." },
	{ .name = "secretRef",
		.type = FIELD_STR,
		SIGNING(secret_ref),
		.min = 1,
		.max = API_NAME_MAX,
		.doc = "Name of the Secret with the key, in the release's namespace." },
	{ 0 }
};

#define WAIT(m) IN_OUTER(struct api_upgrade_policy, wait, m)
static const struct field wait_fields[] = {
	{ .name = "podSelector",
		.type = FIELD_OBJ,
		.off = WAIT(pod_selector),
		.present_off = WAIT(pod_selector.present),
		.sub = api_selector_fields,
		.doc = "Pods that are meant; all when absent." },
	{ .name = "timeoutSeconds",
		.type = FIELD_INT,
		.off = WAIT(timeout_seconds),
		.min = 0,
		.max = 604800,
		.doc = "How long to wait; 0 or absent waits for ever." },
	{ 0 }
};

#define POD_DELETION(m) .off = IN_OUTER(struct api_upgrade_policy, pod_deletion, m)
static const struct field pod_deletion_fields[] = {
	{ .name = "force",
		.type = FIELD_BOOL,
		POD_DELETION(force),
		.doc = "Also delete pods that no controller would bring back." },
	{ .name = "timeoutSeconds",
		.type = FIELD_INT,
		POD_DELETION(timeout_seconds),
		.min = 0,
		.max = 604800,
		.def = 300,
		.doc = "How long the pods may take to end; 300 when absent." },
	{ .name = "deleteEmptyDir",
		.type = FIELD_BOOL,
		POD_DELETION(delete_empty_dir),
		.doc = "Also delete pods with emptyDir volumes, whose content is lost." },
	{ 0 }
};

#define DRAIN(m) IN_OUTER(struct api_upgrade_policy, drain, m)
static const struct field drain_fields[] = {
	{ .name = "enable",
		.type = FIELD_BOOL,
		.off = DRAIN(enable),
		.def = true,
		.doc = "Drain the node before the driver is replaced; true when absent." },
	{ .name = "force",
		.type = FIELD_BOOL,
		.off = DRAIN(force),
		.doc = "Also evict pods that no controller would bring back." },
	{ .name = "podSelector",
		.type = FIELD_OBJ,
		.off = DRAIN(pod_selector),
		.present_off = DRAIN(pod_selector.present),
		.sub = api_selector_fields,
		.doc = "Pods that are meant; all when absent." },
	{ .name = "timeoutSeconds",
		.type = FIELD_INT,
		.off = DRAIN(timeout_seconds),
		.min = 0,
		.max = 604800,
		.def = 300,
		.doc = "How long the drain may take; 300 when absent." },
	{ .name = "deleteEmptyDir",
		.type = FIELD_BOOL,
		.off = DRAIN(delete_empty_dir),
		.doc = "Also evict pods with emptyDir volumes, whose content is lost." },
	{ 0 }
};

#define POLICY(m) .off = offsetof(struct api_upgrade_policy, m)
#define POLICY_OBJ(m) \
	POLICY(m), .present_off = offsetof(struct api_upgrade_policy, m.present)
static const struct field upgrade_policy_fields[] = {
	{ .name = "autoUpgrade",
		.type = FIELD_BOOL,
		POLICY(auto_upgrade),
		.def = true,
		.doc = "Upgrade nodes without further asking; true when absent." },
	{ .name = "maxParallelUpgrades",
		.type = FIELD_INT,
		POLICY(max_parallel),
		.min = 0,
		.max = 100000,
		.def = 1,
		.doc = "Nodes upgraded at the same time; 1 when absent, 0 for no limit but "
		       "maxUnavailable." },
	{ .name = "maxUnavailable",
		.type = FIELD_INTSTR,
		POLICY(max_unavailable),
		.def_str = "25%",
		.doc = "Nodes that may be unavailable, as a count or in percent of the matching nodes "
		       "(rounded down, at least 1); 25% when absent." },
	{ .name = "waitForCompletion",
		.type = FIELD_OBJ,
		POLICY_OBJ(wait),
		.sub = wait_fields,
		.doc = "Pods to wait for before the node is drained." },
	{ .name = "podDeletion",
		.type = FIELD_OBJ,
		POLICY_OBJ(pod_deletion),
		.sub = pod_deletion_fields,
		.doc = "Deletion of the pods that hold devices of this driver." },
	{ .name = "drain",
		.type = FIELD_OBJ,
		POLICY_OBJ(drain),
		.sub = drain_fields,
		.doc = "Eviction of all pods from the node, with respect for PodDisruptionBudgets." },
	{ .name = "validationTimeoutSeconds",
		.type = FIELD_INT,
		POLICY(validation_timeout_seconds),
		.min = 1,
		.max = 86400,
		.def = 600,
		.doc = "How long devices may take to be bound and allocatable again; 600 when "
		       "absent." },
	{ .name = "rebootRequired",
		.type = FIELD_BOOL,
		POLICY(reboot_required),
		.doc = "The agent reboots the drained node inside the wave instead of replacing "
		       "the module in place." },
	{ .name = "rollbackOnFailure",
		.type = FIELD_BOOL,
		POLICY(rollback_on_failure),
		.def = true,
		.doc = "Give nodes on which the new generation fails the last good one again, the one "
		       "that ran on all nodes; true when absent." },
	{ 0 }
};

#define SPEC(m) .off = offsetof(struct api_driver_spec, m)
#define SPEC_OBJ(m) SPEC(m), .present_off = offsetof(struct api_driver_spec, m.present)
const struct field api_driver_spec_fields[] = {
	{ .name = "version",
		.type = FIELD_STR,
		.flags = FIELD_REQUIRED,
		SPEC(version),
		.min = 1,
		.max = 63,
		.doc = "Version of the driver; a change of it rolls over the fleet by upgradePolicy." },
	{ .name = "nodeSelector",
		.type = FIELD_OBJ,
		SPEC_OBJ(node_selector),
		.sub = api_selector_fields,
		.doc = "Nodes this driver is for. Given together with devices, both must match." },
	{ .name = "devices",
		.type = FIELD_LIST,
		SPEC(devices),
		.max = 64,
		.sub = api_driver_device_fields,
		.size = sizeof(struct api_device_match),
		.doc = "Devices this driver is for; a node with any of them gets it. Given together "
		       "with nodeSelector, both must match." },
	{ .name = "source",
		.type = FIELD_OBJ,
		.flags = FIELD_REQUIRED,
		SPEC(source),
		.sub = source_fields,
		.doc = "Where the driver's source comes from; exactly the member that type names." },
	{ .name = "build",
		.type = FIELD_OBJ,
		SPEC_OBJ(build),
		.sub = build_fields,
		.doc = "How the modules are built." },
	{ .name = "modules",
		.type = FIELD_LIST,
		.flags = FIELD_REQUIRED,
		SPEC(modules),
		.max = 32,
		.sub = module_fields,
		.size = sizeof(struct api_module),
		.doc = "Kernel modules to load, in this order." },
	{ .name = "firmware",
		.type = FIELD_STRS,
		.flags = FIELD_KEY,
		SPEC(firmware),
		.min = 1,
		.max = API_PATH_MAX,
		.doc = "Firmware files that the driver needs, relative to the firmware folder; checked "
		       "before a load." },
	{ .name = "signing",
		.type = FIELD_OBJ,
		SPEC_OBJ(signing),
		.sub = signing_fields,
		.doc = "How the modules are signed for kernels that demand it." },
	{ .name = "onUnbuildable",
		.type = FIELD_ENUM,
		SPEC(on_unbuildable),
		.names = unbuildable_names,
		.def = API_UNBUILDABLE_HOLD,
		.doc = "What to do when the driver cannot be built for an installed kernel: Hold the "
		       "reboot (the default), Warn only, or KeepLastGood: hold too, and keep "
		       "GRUB's default at the newest kernel that is ready." },
	{ .name = "deletionPolicy",
		.type = FIELD_ENUM,
		SPEC(deletion_policy),
		.names = deletion_names,
		.def = API_DELETION_RETAIN,
		.doc = "What happens to loaded modules when this object is deleted: Retain (the "
		       "default) leaves them, Unload removes them." },
	{ .name = "paused",
		.type = FIELD_BOOL,
		SPEC(paused),
		.doc = "While true nothing is built, loaded or rolled out anew; what runs keeps "
		       "running." },
	{ .name = "upgradePolicy",
		.type = FIELD_OBJ,
		SPEC_OBJ(upgrade_policy),
		.sub = upgrade_policy_fields,
		.doc = "How a new driver version rolls over the fleet." },
	{ 0 }
};
