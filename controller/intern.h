// SPDX-License-Identifier: Apache-2.0
/* Strings that many records share, kept once: a fleet has few different labels, kernels, reasons. */
#pragma once

#include "base.h"

struct intern;

struct intern *intern_new(void); /* NULL when memory is short */
void intern_free(struct intern *in);
DEFINE_CLEANUP(struct intern, intern_free)

/* The one copy of @s ("" for NULL), held until intern_put(). NULL when memory is short. O(1). */
const char *intern_get(struct intern *in, const char *s);
/* @s must come from intern_get(); NULL is fine. */
void intern_put(struct intern *in, const char *s);
size_t intern_len(const struct intern *in);
