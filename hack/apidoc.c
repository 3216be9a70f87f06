// SPDX-License-Identifier: Apache-2.0
/* Writes docs/api.md to standard output, from the field tables of lib/api and the reasons of lib/reason. */
#include <stdio.h>

#include "api.h"
#include "buf.h"

enum { DOC_BYTES_MAX = 1 << 20, DOC_PATH_MAX = 256 };

static const char head[] =
	"<!-- SPDX-License-Identifier: Apache-2.0 -->\n"
	"<!-- Made by `make docs` from lib/api*.c; test/unit/lib/test_apidoc.c compares. -->\n"
	"# The API: farrier.dev/v1alpha1\n\n"
	"Three kinds, all cluster-scoped. People write the first two, Farrier writes the third.\n\n"
	"| kind | short | what |\n| --- | --- | --- |\n"
	"| [AcceleratorDriver](#acceleratordriver) | `accdrv` | which driver to build and load, and where |\n"
	"| [AcceleratorClass](#acceleratorclass) | `acccls` | which devices are advertised, as what, and how they are shared |\n"
	"| [AcceleratorNode](#acceleratornode) | `accnode` | one per node: what is wanted there and how it stands |\n\n"
	"Defaults live in the programs and are never written into a spec. In the tables, **!** marks a required field, "
	"`[]` the elements of a list and *key* the field that tells them apart. The same texts come from "
	"`kubectl explain accdrv.spec.build`. On a machine without a cluster the same documents lie in "
	"`/etc/farrier/drivers.d/` and `/etc/farrier/classes.d/`.\n";

static const char driver_head[] =
	"\n## AcceleratorDriver\n\n"
	"```yaml\n"
	"apiVersion: farrier.dev/v1alpha1\n"
	"kind: AcceleratorDriver\n"
	"metadata: { name: edu }\n"
	"spec:\n"
	"  version: \"1.0\"\n"
	"  devices: [ { bus: PCI, vendor: \"1234\", device: \"11e8\" } ]\n"
	"  source: { type: Host, host: { path: /usr/src/edu-1.0 } }\n"
	"  modules: [ { name: edu } ]\n"
	"```\n\n"
	"Beyond the table: `nodeSelector` or `devices` must be given, and given both, both must match; of `source` exactly "
	"the member that `type` names; `signing.secretRef` with mode `Secret` and only then; all inline files together "
	"hold 256 KiB at most.\n\n";

static const char class_head[] =
	"\n## AcceleratorClass\n\n"
	"```yaml\n"
	"apiVersion: farrier.dev/v1alpha1\n"
	"kind: AcceleratorClass\n"
	"metadata: { name: edu }\n"
	"spec:\n"
	"  match: [ { bus: PCI, vendor: \"1234\", device: \"11e8\", driver: edu } ]\n"
	"  resourceName: farrier.dev/edu\n"
	"  deviceNodes: [ { subsystem: edu, permissions: rw } ]\n"
	"```\n\n"
	"Beyond the table: of a device node exactly one of `subsystem` and `path`; `sharing.timeSlice` with strategy "
	"`TimeSlice` and only then, `maxPerRequest` at most `replicas`; paths hold no `..`; the resource's domain is not "
	"`kubernetes.io`.\n\n";

static const char node_head[] =
	"\n## AcceleratorNode\n\n"
	"Named as the Node and owned by it. The controller alone writes `spec`, the node's agent alone writes `status`; "
	"a driver that vanishes from `spec.drivers` is left as it is, only `unload: true` unloads.\n\n"
	"### spec\n\n";

static const char conditions[] =
	"\n## Conditions\n\n"
	"`Ready`, `Reconciling` and `Stalled` follow the kstatus rules: `Ready` is there from the first status on, the "
	"others only while they are true. `Degraded`: it works, but not everywhere or not as it should. `Conflict`: two "
	"objects claim the same thing. `reason` is one of the typed reasons of [operations.md](operations.md).\n";

/* Table cells end at '|' and lines. */
static void cell(struct buf *b, const char *s)
{
	for (; *s; s++) {
		if (*s == '|')
			(void)buf_chr(b, '\\');
		(void)buf_chr(b, *s == '\n' ? ' ' : *s);
	}
}

static void names(struct buf *b, const char *const *list)
{
	for (size_t i = 0; list[i]; i++)
		(void)buf_fmt(b, "%s`%s`", i ? ", " : "", *list[i] ? list[i] : "\"\"");
}

static void type(struct buf *b, const struct field *f)
{
	switch (f->type) {
	case FIELD_STR:
		(void)buf_str(b, "string");
		break;
	case FIELD_BOOL:
		(void)buf_str(b, "boolean");
		break;
	case FIELD_INT:
		(void)buf_str(b, "integer");
		if (f->max > f->min)
			(void)buf_fmt(b, ", %lld to %lld", (long long)f->min,
				(long long)f->max);
		break;
	case FIELD_ENUM:
		names(b, f->names);
		break;
	case FIELD_OBJ:
		(void)buf_str(b, "object");
		break;
	case FIELD_LIST:
		(void)buf_str(b, "list");
		break;
	case FIELD_STRS:
		(void)buf_str(b, f->flags & FIELD_KEY ? "set of " : "list of ");
		if (f->names)
			names(b, f->names);
		else
			(void)buf_str(b, "strings");
		break;
	case FIELD_STRMAP:
		(void)buf_str(b, "map of strings");
		break;
	case FIELD_INTSTR:
		(void)buf_str(b, "count or percent");
		break;
	case FIELD_JSON:
		(void)buf_str(b, "any");
		break;
	}
	if (f->pattern) {
		(void)buf_str(b, ", `");
		cell(b, f->pattern);
		(void)buf_str(b, "`");
	}
}

static void row(struct buf *b, const char *path, const struct field *f)
{
	(void)buf_fmt(b, "| `%s`%s | ", path, f->flags & FIELD_REQUIRED ? " **!**" : "");
	type(b, f);
	if (f->flags & FIELD_KEY && f->type == FIELD_STR)
		(void)buf_str(b, ", *key*");
	(void)buf_str(b, " | ");
	cell(b, f->doc ? f->doc : "");
	(void)buf_str(b, " |\n");
}

/* What is embedded in AcceleratorNode.spec has its own section. */
static bool is_elsewhere(const struct field *table, const struct field *top)
{
	return top == api_node_spec_fields &&
	       (table == api_driver_spec_fields || table == api_class_spec_fields);
}

static void rows(struct buf *b, const char *prefix, const struct field *table,
	const struct field *top)
{
	char path[DOC_PATH_MAX];

	for (const struct field *f = table; f->name; f++) {
		(void)snprintf(path, sizeof(path), "%.200s%s%.50s%s", prefix,
			*prefix ? "." : "", f->name, f->type == FIELD_LIST ? "[]" : "");
		row(b, path, f);
		if (f->sub && !is_elsewhere(f->sub, top))
			rows(b, path, f->sub, top);
	}
}

static void section(struct buf *b, const char *text, const struct field *table)
{
	(void)buf_str(b, text);
	(void)buf_str(b, "| field | type | meaning |\n| --- | --- | --- |\n");
	rows(b, "", table, table);
}

static int apidoc(struct buf *b)
{
	(void)buf_str(b, head);
	section(b, driver_head, api_driver_spec_fields);
	section(b, class_head, api_class_spec_fields);
	section(b, node_head, api_node_spec_fields);
	section(b, "\n### status\n\n", api_node_status_fields);
	(void)buf_str(b, conditions);
	return buf_ok(b);
}

int main(void)
{
	struct buf b;
	int r;

	buf_init(&b, DOC_BYTES_MAX);
	r = apidoc(&b);
	if (r == 0 && (fputs(buf_cstr(&b), stdout) < 0 || fflush(stdout) != 0))
		r = -errno;
	buf_done(&b);
	return r < 0 ? 1 : 0;
}
