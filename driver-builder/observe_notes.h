// SPDX-License-Identifier: Apache-2.0
/* What is remembered is made good while looking: lost records, loads that were not ours. */
#pragma once

#include "observe.h"

/* Records are gone and what they were made from cannot be looked at any more: an artifact of this
 * driver, version and kernel with the modules that are wanted is what was built then. Where source and
 * headers are there, the build finds it by its key, and compiles nothing either. */
void observe_adopt(struct memory *m, const struct api_node_driver *d,
	const struct kernel *k, const struct print *now);

/* A built artifact that is signed from outside: ready once it is, which is another artifact. */
void observe_signed(struct memory *m, struct arena *a, const struct api_node_driver *d,
	const char *release, struct plan_pair *p);
/* Of a step that was about @key and @generation; none when it was about others. */
struct plan_failure observe_failure(
	const struct step *s, const char *key, int64_t generation);

/* Loaded, and not by us in this boot: by the host's, with what it was told. Noted before anything
 * changes that, so that a later change is seen. */
void observe_boot(struct memory *m, struct arena *a, const struct seen *s,
	const struct plan_pair *running, const struct plan_driver *d);

/* Is what @rec was built against still what its drivers have? False too when what it lacked was built since. */
bool observe_depends(
	struct memory *m, const struct list *drivers, const struct record *rec);

/* What the host's boot shall load where @key is wanted: the build that is loaded, when @key was to replace
 * it and did not work. */
const char *observe_install_key(
	struct memory *m, const char *driver, const char *release, const char *key);
