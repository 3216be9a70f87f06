// SPDX-License-Identifier: Apache-2.0
/* The records that a dkms.conf leaves: whatever they say, nothing that is accepted leads out of the
 * build, and the same records give the same again. */
#include "driver-builder/dkms.h"
#include "fuzz.h"

static const struct dkms_kernel kernel = { "6.1.0-56-amd64", "x86_64", "/usr/src/h",
	"CONFIG_PCI=y\nCONFIG_USB=m\n# CONFIG_RT is not set\n", 4 };

static bool is_inside(const char *s)
{
	return *s != '/' && !streq(s, "..") && !str_starts(s, "../") &&
	       !strstr(s, "/../") && !(strlen(s) > 2 && streq(s + strlen(s) - 3, "/.."));
}

static void check(const struct dkms *d)
{
	HOLDS(*d->package && !strchr(d->package, '/') && *d->version);
	HOLDS(d->modules_n > 0 && d->modules_n <= DKMS_MODULES_MAX);
	for (size_t i = 0; i < d->modules_n; i++) {
		const struct dkms_module *m = &d->modules[i];

		HOLDS(*m->name && !strchr(m->name, '/') && *m->name != '.');
		HOLDS(*m->dest_name && !strchr(m->dest_name, '/'));
		HOLDS(is_inside(m->location) && m->dest_location);
	}
	for (size_t i = 0; i < d->patches_n; i++)
		HOLDS(*d->patches[i] && is_inside(d->patches[i]));
	for (size_t i = 0; i < d->depends_n; i++)
		HOLDS(*d->depends[i] && !strchr(d->depends[i], '/'));
	HOLDS(*d->make && *d->clean);
	HOLDS(is_inside(d->pre_build) && is_inside(d->post_build));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	CLEANUP(arena_freep) struct arena *a = arena_new(FUZZ_ARENA_MAX);
	struct dkms d = { 0 }, again = { 0 };
	struct err e = { 0 };
	int r = dkms_parse(a, (const char *)data, len, &kernel, &d, &e);

	if (r < 0) {
		says_why(r, &e);
		HOLDS(r == -ENOMEM || e.reason == REASON_NOT_FOR_THIS_KERNEL ||
			e.reason == REASON_SOURCE_INVALID);
		return 0;
	}
	check(&d);
	HOLDS(dkms_parse(a, (const char *)data, len, &kernel, &again, &e) == 0);
	HOLDS(again.modules_n == d.modules_n && again.patches_n == d.patches_n);
	HOLDS(streq(again.make, d.make) && streq(again.clean, d.clean));
	return 0;
}
