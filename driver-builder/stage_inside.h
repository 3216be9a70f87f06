// SPDX-License-Identifier: Apache-2.0
/* What stage.c and stage_replace.c share: proved artifacts and the order in which they are loaded. */
#pragma once

#include "modules.h"
#include "stage.h"
#include "store.h"

/* An artifact that was read, checked and proved against the kernel. */
struct proved {
	struct arena *a;
	struct artifact artifact;
	const char **paths; /* of each module of the artifact */
};

/* Makes the arena and proves s->key, when there is one; proved_done() in every case. */
int proved_init(const struct stage *s, struct proved *p, struct err *e) _must_check_;
/* The firmware that the spec names: REASON_FIRMWARE_MISSING. */
int stage_firmware(const struct stage *s, struct err *e) _must_check_;
void proved_done(struct proved *p);

struct load_list {
	const struct stage *s;
	struct proved *p;
	struct modules_file *files;
	size_t n, depth;
};

/* The modules of the spec in order, each behind what it needs of the same artifact. */
int load_list_make(const struct stage *s, struct proved *p, struct load_list *l,
	struct err *e) _must_check_;

struct modules_env stage_modules_env(const struct stage *s);
