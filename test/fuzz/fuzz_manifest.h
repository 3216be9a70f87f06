// SPDX-License-Identifier: Apache-2.0
/* Objects of our API printed from their tables, for targets that read them again. */
#pragma once

#include "api.h"
#include "fuzz.h"

/* {apiVersion, kind, metadata: {name}, spec[, status]}; takes over @spec and @status. */
static inline struct json *fuzz_object(
	const char *kind, const char *name, struct json *spec, struct json *status)
{
	struct json *o = json_new_object(), *m = json_new_object();

	HOLDS(json_set_str(m, "name", name) == 0);
	HOLDS(json_set_str(o, "apiVersion", API_GROUP_VERSION) == 0);
	HOLDS(json_set_str(o, "kind", kind) == 0);
	HOLDS(json_set(o, "metadata", m) == 0);
	HOLDS(json_set(o, "spec", spec) == 0);
	HOLDS(!status || json_set(o, "status", status) == 0);
	return o;
}
