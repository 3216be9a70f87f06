// SPDX-License-Identifier: Apache-2.0
/* Class files that change: a bad one keeps its last good content and says why; a good one is in force.
 * The first byte chooses YAML or JSON, and whether the good one breaks too. */
#include <fcntl.h>

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

enum { GOOD, YAML, JSON, FILES };
static char dir[PATH_MAX], paths[FILES][PATH_MAX];

static void make_folder(void)
{
	static const char *const names[] = { [GOOD] = "classes/a.yaml",
		[YAML] = "classes/b.yaml",
		[JSON] = "classes/b.json" };

	(void)snprintf(dir, sizeof(dir), "%s", fuzz_path("classes"));
	HOLDS(dir_make(dir, 0755, NULL) == 0);
	for (size_t i = 0; i < FILES; i++)
		(void)snprintf(paths[i], sizeof(paths[i]), "%s", fuzz_path(names[i]));
}

/* A new file each time, as a change is seen by that: the old one's number is @held meanwhile. */
static void put(const char *path, const void *data, size_t len)
{
	CLEANUP(closep) int fd = -1, held = -1;

	held = open(path, O_RDONLY | O_CLOEXEC);
	if (held >= 0)
		HOLDS(unlink(path) == 0);
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	HOLDS(fd >= 0 && (len == 0 || write(fd, data, len) == (ssize_t)len));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	CLEANUP(classes_freep) struct classes *c = NULL;
	const char *dirs[] = { dir }, *path;
	const struct class_file *f;
	struct err e = { 0 };
	int r;

	if (len < 1)
		return 0;
	if (!dir[0])
		make_folder();
	path = paths[data[0] & 1 ? JSON : YAML];
	put(paths[GOOD], good, sizeof(good) - 1);
	put(path, data + 1, len - 1);
	HOLDS(classes_new(dirs, 1, &c, &e) == 0);
	HOLDS(classes_load(c, &e) == 1);
	HOLDS(classes_files(c) == 2 && classes_find(c, "edu"));
	check(c);
	r = classes_have_errors(c);
	f = classes_file(c, 1);
	HOLDS(r == (f->error != NULL || classes_file(c, 0)->error != NULL));
	HOLDS(!f->error || f->error[0]);
	HOLDS(classes_len(c) == 1 + f->n);

	if (!(data[0] & 2)) {
		/* The good one breaks in the same way: it stays in force. */
		put(paths[GOOD], data + 1, len - 1);
		HOLDS(classes_load(c, &e) >= 0);
		check(c);
		if (classes_file(c, 0)->error &&
			classes_len(c) == 1 + classes_file(c, 1)->n)
			HOLDS(classes_find(c, "edu"));
	}
	HOLDS(unlink(path) == 0);
	HOLDS(classes_load(c, &e) >= 0);
	HOLDS(classes_files(c) == 1);
	check(c);
	HOLDS(classes_load(c, &e) == 0);
	return 0;
}
