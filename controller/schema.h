// SPDX-License-Identifier: Apache-2.0
/* Notices when the CustomResourceDefinitions of the cluster are older than this program: then the server
 * drops fields that it does not know. By the annotation that the chart gives them; without it, nothing is said. */
#pragma once

#include "kube.h"

struct schema;

/* Asks at once and every ten minutes; @on_change when the answer is another one. */
int schema_new(struct kube *k, void (*on_change)(void *user), void *user,
	struct schema **ret, struct err *e) _must_check_;
void schema_free(struct schema *s);
DEFINE_CLEANUP(struct schema, schema_free)

/* What is too old, for people; NULL: nothing, as far as is known. */
const char *schema_note(const struct schema *s);

/* "1.2.3" against "1.10": below 0 when @a is older; 0 also when one of them is no version. */
int schema_compare(const char *a, const char *b);
