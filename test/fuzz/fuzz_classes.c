// SPDX-License-Identifier: Apache-2.0
/* Class files that change: a bad one keeps its last good content and says why; a good one is in force.
 * The first byte chooses YAML or JSON. */
#include "device-plugin/classes.h"
#include "fuzz.h"

static const char good[] =
	"apiVersion: farrier.dev/v1alpha1\nkind: AcceleratorClass\n"
	"metadata: { name: edu }\nspec:\n"
	"  match: [ { bus: PCI, vendor: \"1234\", device: \"11e8\", driver: edu } ]\n"
	"  resourceName: farrier.dev/edu\n";

static void check(const struct classes *c)
{
	for (size_t i = 0; i < classes_len(c); i++) {
		const struct api_class *k = classes_at(c, i);

		HOLDS(k->meta.name && k->spec.resource_name && k->spec.match.n > 0);
		HOLDS(i == 0 ||
			strcmp(classes_at(c, i - 1)->meta.name, k->meta.name) < 0);
		HOLDS(classes_find(c, k->meta.name) == k);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	CLEANUP(classes_freep) struct classes *c = NULL;
	char dir[PATH_MAX];
	const char *dirs[] = { dir }, *name;
	const struct class_file *f;
	struct err e = { 0 };
	int r;

	if (len < 1)
		return 0;
	name = data[0] & 1 ? "classes/b.json" : "classes/b.yaml";
	(void)snprintf(dir, sizeof(dir), "%s", fuzz_path("classes"));
	HOLDS(dir_make(dir, 0755, NULL) == 0);
	fuzz_file("classes/a.yaml", good, sizeof(good) - 1);
	fuzz_file(name, data + 1, len - 1);
	HOLDS(classes_new(dirs, 1, &c, &e) == 0);
	HOLDS(classes_load(c, &e) == 1);
	HOLDS(classes_files(c) == 2 && classes_find(c, "edu"));
	check(c);
	r = classes_have_errors(c);
	f = classes_file(c, 1);
	HOLDS(r == (f->error != NULL || classes_file(c, 0)->error != NULL));
	HOLDS(!f->error || f->error[0]);
	HOLDS(classes_len(c) == 1 + f->n);

	/* The good one breaks in the same way: it stays in force. */
	fuzz_file("classes/a.yaml", data + 1, len - 1);
	HOLDS(classes_load(c, &e) >= 0);
	check(c);
	if (classes_file(c, 0)->error && classes_len(c) == 1 + classes_file(c, 1)->n)
		HOLDS(classes_find(c, "edu"));
	HOLDS(unlink(fuzz_path(name)) == 0);
	HOLDS(classes_load(c, &e) >= 0);
	HOLDS(classes_files(c) == 1);
	check(c);
	HOLDS(classes_load(c, &e) == 0);
	return 0;
}
