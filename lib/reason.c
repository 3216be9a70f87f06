// SPDX-License-Identifier: Apache-2.0
/* The one table of typed reasons: the name that conditions carry and what a person can do. */
#include "reason.h"

#include "base.h"

static const struct {
	const char *name, *remedy;
} reasons[REASONS_] = {
	[REASON_NONE] = { "", "" },
	[REASON_HEADERS_MISSING] = { "HeadersMissing",
		"install the kernel's headers package (linux-headers-<release> on Debian and "
		"Ubuntu, kernel-devel on Fedora and RHEL) on the node; the build starts by itself" },
	[REASON_DEPENDENCY_MISSING] = { "DependencyMissing",
		"the driver is built against another one's modules: add an AcceleratorDriver for the "
		"package that the message names; once that is built, this one is too" },
	[REASON_COMPILER_MISSING] = { "CompilerMissing",
		"set build.toolchain to Self and use the agent image with a toolchain, or install "
		"gcc, make and binutils on the node" },
	[REASON_COMPILER_MISMATCH] = { "CompilerMismatch",
		"use the compiler that the kernel was built with (its version is in the kernel's "
		".config, CONFIG_CC_VERSION_TEXT), or set build.toolchain to Host" },
	[REASON_BUILD_FAILED] = { "BuildFailed",
		"read the end of the build log in the message; the driver's source has to support "
		"this kernel: take a newer version of it, or add a build.kernels override" },
	[REASON_BUILD_TIMEOUT] = { "BuildTimeout",
		"raise build.timeoutSeconds, or find out why the node is slow" },
	[REASON_BUILD_ELSEWHERE] = { "BuildElsewhere",
		"another node builds this for the fleet and publishes it; nothing to do: where that "
		"takes too long, this node builds it itself" },
	[REASON_BUILDERS_DISAGREE] = { "BuildersDisagree",
		"builders made different modules of one source: find out which of them is right "
		"(each node's kernels[].drivers[].unsignedDigest), and take the other out of "
		"trust.builders; until enough agree every node builds for itself" },
	[REASON_BUILDERS_TOO_FEW] = { "BuildersTooFew",
		"trust.quorum asks for more builders than there are for this kernel: name more in "
		"trust.builders, or lower trust.quorum; until then every node builds for itself" },
	[REASON_ARTIFACT_NOT_AGREED] = { "ArtifactNotAgreed",
		"the registry gave a module that is not what the builders agreed on, and it was not "
		"stored: distrust the node that published it; this node builds for itself" },
	[REASON_OUT_OF_MEMORY] = { "OutOfMemory",
		"raise build.memory, or free memory on the node" },
	[REASON_SYMBOL_MISSING] = { "SymbolMissing",
		"the kernel exports no such symbol: take a driver version that supports it, or list "
		"the module that exports it in spec.modules before this one" },
	[REASON_SYMBOL_CRC_MISMATCH] = { "SymbolCRCMismatch",
		"the module was built against other headers than this kernel's: install the headers "
		"package of exactly this release; it is then built again" },
	[REASON_VERMAGIC_MISMATCH] = { "VermagicMismatch",
		"the module was built for another kernel or configuration: install the headers "
		"package of exactly this release; it is then built again" },
	[REASON_KEY_REJECTED] = { "KeyRejected",
		"the kernel trusts no key that signed the module: set signing.mode to Secret with a "
		"key that is enrolled (mokutil --import), or enrol the key" },
	[REASON_AWAITING_SIGNATURE] = { "AwaitingSignature",
		"sign each file that the message names (openssl cms -sign -binary -noattr "
		"-nosmimecap -nocerts -outform DER, or the kernel's sign-file -p) and put the "
		"signature as <SHA-256>.p7s into /etc/farrier/signatures on the node, or into the "
		"ConfigMap that the chart's driverBuilder.signatures names" },
	[REASON_MODULE_INVALID] = { "ModuleInvalid",
		"the file is no kernel module for this machine: check the source's build and "
		"spec.modules[].name" },
	[REASON_MODULE_IN_USE] = { "ModuleInUse",
		"a process or another module holds the module: drain the node, stop what uses the "
		"device (fuser on its device node tells), or reboot" },
	[REASON_MODULE_MISSING] = { "ModuleMissing",
		"the build made no module of that name: compare spec.modules[].name with the .ko "
		"files that the source builds" },
	[REASON_IN_TREE_CONFLICT] = { "InTreeConflict",
		"another driver holds the device: list it in spec.modules[].replaces, or unbind it" },
	[REASON_MANAGEMENT_DEVICE] = { "ManagementDevice",
		"the module drives the network device that the node is reached by: it is never "
		"unloaded while it runs; reboot the node into the staged module, or move the default "
		"route to another device first" },
	[REASON_FIRMWARE_MISSING] = { "FirmwareMissing",
		"install the firmware package on the node, so that the file is below "
		"/lib/firmware" },
	[REASON_SOURCE_MISSING] = { "SourceMissing",
		"put the driver's source where spec.source says, on every node that matches" },
	[REASON_SOURCE_UNAVAILABLE] = { "SourceUnavailable",
		"the source could not be fetched and is tried again by itself: check its address, "
		"and whether the node reaches that server" },
	[REASON_SOURCE_INVALID] = { "SourceInvalid",
		"the source is no Kbuild, DKMS or Make tree: check spec.source, or set "
		"build.system" },
	[REASON_SOURCE_DIGEST_MISMATCH] = { "SourceDigestMismatch",
		"the source is not the one that spec.source.*.sha256 names: restore it, or, if the "
		"change is meant, set the new digest" },
	[REASON_ARTIFACT_CORRUPT] = { "ArtifactCorrupt",
		"the stored module was damaged and is set aside; it is built again by itself: check "
		"the node's disk if this comes back" },
	[REASON_DISK_FULL] = { "DiskFull",
		"free space on the node's file system that holds the agent's state "
		"(/var/lib/farrier)" },
	[REASON_DEVICE_ABSENT] = { "DeviceAbsent",
		"no matching device is on the node: check spec.devices against lspci -nn" },
	[REASON_DEVICE_LOST] = { "DeviceLost",
		"the device vanished from its bus: look for AER or link errors in the kernel's log, "
		"reseat or replace it, then reboot" },
	[REASON_DRIVER_NOT_BOUND] = { "DriverNotBound",
		"the module is loaded but its device is not bound: the kernel's log (dmesg) says "
		"why probing failed" },
	[REASON_DEVICE_ERRORS] = { "DeviceErrors",
		"the device reports PCI errors: the kernel's log (AER lines) says which; reseat the "
		"card or its riser, update its firmware, replace it if they go on" },
	[REASON_DEVICE_ILL] = { "DeviceIll",
		"the device's own health file or command says that it is ill, or does not answer: "
		"look at the kernel's log and the vendor's tool" },
	[REASON_LINK_DEGRADED] = { "LinkDegraded",
		"the PCI link is down, narrower or slower than it could be: reseat the card, check "
		"slot and riser; an idle device that lowers its speed to save power is fine" },
	[REASON_LOAD_FAILED] = { "LoadFailed",
		"the kernel refused the module: its log (dmesg) says why; check the module's "
		"parameters" },
	[REASON_NOT_FOR_THIS_KERNEL] = { "NotForThisKernel",
		"the driver declares that it does not support this kernel; nothing to do unless "
		"that is wrong (BUILD_EXCLUSIVE_KERNEL in its dkms.conf)" },
	[REASON_SANDBOX_UNAVAILABLE] = { "SandboxUnavailable",
		"the host allows no namespaces for builds: run the agent privileged, or allow user "
		"namespaces (sysctl user.max_user_namespaces)" },
	[REASON_MANIFEST_INVALID] = { "ManifestInvalid",
		"correct the field that the message names; kubectl explain shows what it may "
		"hold" },
	[REASON_CONFLICT] = { "Conflict",
		"two objects claim the same thing: change or delete the one that the message "
		"names" },
	[REASON_NO_MATCHING_NODES] = { "NoMatchingNodes",
		"compare spec.nodeSelector with the labels of the nodes (kubectl get nodes "
		"--show-labels)" },
	[REASON_NO_MATCHING_DEVICES] = { "NoMatchingDevices",
		"compare the devices that the object names with status.hardware of the "
		"AcceleratorNodes (or lspci -nn on a node)" },
	[REASON_DRAIN_BLOCKED] = { "DrainBlocked",
		"a PodDisruptionBudget or a pod without a controller stops the drain: add replicas, "
		"delete the pod, or set upgradePolicy.drain.force" },
	[REASON_DRAIN_TIMEOUT] = { "DrainTimeout",
		"pods did not end in time: look at those that are terminating, or raise "
		"upgradePolicy.drain.timeoutSeconds" },
	[REASON_VALIDATION_TIMEOUT] = { "ValidationTimeout",
		"the driver did not come up on the node in time: look at the node's "
		"AcceleratorNode status; it stays cordoned until that is resolved" },
	[REASON_ROLLOUT_STOPPED] = { "RolloutStopped",
		"the same failure came on several nodes: fix the driver (or go back to the version "
		"before) and change the spec, which starts the rollout anew" },
	[REASON_NODE_OFFLINE] = { "NodeOffline",
		"the node's agent has not reported: check the node and its farrier pod" },
	[REASON_USERSPACE_MISMATCH] = { "UserspaceMismatch",
		"the user-space libraries and the module are of different versions: install the "
		"matching ones, or set spec.version to what the libraries need" },
	[REASON_TIMEOUT] = { "Timeout",
		"the operation did not end in time and is tried again: look at the load of the node "
		"or the API server if it stays" },
	[REASON_INTERNAL] = { "Internal",
		"this is a bug or a state that we did not foresee: please report it with the log of "
		"the component" },
};

const char *reason_name(enum reason r)
{
	if ((unsigned)r >= REASONS_)
		return reasons[REASON_INTERNAL].name;
	return reasons[r].name;
}

const char *reason_remedy(enum reason r)
{
	if ((unsigned)r >= REASONS_)
		return reasons[REASON_INTERNAL].remedy;
	return reasons[r].remedy;
}

enum reason reason_from_name(const char *name)
{
	unsigned i;

	if (str_empty(name))
		return REASON_NONE;
	for (i = 1; i < REASONS_; i++)
		if (streq(reasons[i].name, name))
			return i;
	return REASON_INTERNAL;
}
