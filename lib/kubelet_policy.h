// SPDX-License-Identifier: Apache-2.0
/* What the kubelet does with topology hints: its policies, from its command line and configuration. */
#pragma once

#include "buf.h"
#include "json.h"

enum { KUBELET_PATH_MAX = 512 };

struct kubelet_policy {
	bool is_known;
	char topology[32], scope[16], cpu[32], memory[32]; /* as the kubelet calls them */
	char source
		[KUBELET_PATH_MAX]; /* where it says so: a file or "the command line of process N" */
};

struct kubelet_where {
	const char *config; /* this file and nothing else; NULL: look for it */
	const char *root; /* prefix of the host's paths */
	const char *proc; /* NULL: "/proc" */
	const char *
		run; /* folder of kubelet.json, for who cannot see the process; NULL: not read */
};

/* Finds and reads it: its process and the files that it names, else what the node agent wrote of it,
 * else the usual files; may block as any file of another's process may. *ret says itself whether it is
 * known. -EINVAL when a file is none, -EPROTO when kubelet.json is of a later version, -ENOMEM. */
int kubelet_policy_read(const struct kubelet_where *w, struct kubelet_policy *ret,
	struct err *e) _must_check_;

/* Overrides in *p what a KubeletConfiguration (YAML or JSON) says. */
int kubelet_policy_config(const char *text, size_t len, struct kubelet_policy *p,
	struct err *e) _must_check_;
/* The same from a command line as /proc has it; a kubelet's own, or the --kubelet-arg of k3s and rke2.
 * *config and *config_dir get the files that it names, "" none. */
void kubelet_policy_args(const char *cmdline, size_t len, struct kubelet_policy *p,
	char config[KUBELET_PATH_MAX], char config_dir[KUBELET_PATH_MAX]);

/* Between processes: one line, and back. -EINVAL. */
int kubelet_policy_print(const struct kubelet_policy *p, char *out, size_t size);
int kubelet_policy_parse(const char *text, struct kubelet_policy *ret);

/* The same through a file, RUN/kubelet.json: removed when @p is not known. 1 when it changed. */
int kubelet_policy_write(const char *run, const struct kubelet_policy *p, struct err *e)
	_must_check_;

/* Why hints do not do what one may think, with @nodes NUMA nodes and whether any device has one;
 * NULL when they do, or nothing is known. Pure. */
const char *kubelet_policy_warning(
	const struct kubelet_policy *p, size_t nodes, bool has_numa);
