// SPDX-License-Identifier: Apache-2.0
/* What the tests of the custom resources share: YAML into objects, and a driver with replaceable parts. */
#pragma once

#include <stdio.h>

#include "api.h"
#include "yaml.h"

static struct arena *arena;
static struct json *docs;

static _unused_ int setup(void **state)
{
	arena = arena_new(4 << 20);
	return arena ? 0 : -1;
}

static _unused_ int teardown(void **state)
{
	arena_free(TAKE(arena));
	json_free(TAKE(docs));
	return 0;
}

static _unused_ const struct json *yaml(const char *text)
{
	struct err e = { 0 };

	json_free(TAKE(docs));
	if (yaml_parse(text, strlen(text), &docs, &e) < 0)
		fail_msg("%s: %s", e.text, text);
	return json_at(docs, 0);
}

#define DRIVER_HEAD \
	"apiVersion: farrier.dev/v1alpha1\nkind: AcceleratorDriver\nmetadata: { name: edu }\n"
#define CLASS_HEAD \
	"apiVersion: farrier.dev/v1alpha1\nkind: AcceleratorClass\nmetadata: { name: edu }\n"
#define NODE_HEAD \
	"apiVersion: farrier.dev/v1alpha1\nkind: AcceleratorNode\nmetadata: { name: node-1 }\n"

/* A whole driver, in which one part is replaced; each case sets what it tests. */
struct parts {
	const char *version, *where, *source, *modules, *more;
};

static _unused_ const char *driver(const struct parts *p)
{
	static char text[16 << 10];

	(void)snprintf(text, sizeof(text),
		DRIVER_HEAD "spec:\n  %s\n  %s\n  %s\n  %s\n  %s\n",
		p->version ? p->version : "version: '1.0'",
		p->where ? p->where
			 : "devices: [ { bus: PCI, vendor: '1234', device: '11e8' } ]",
		p->source ? p->source
			  : "source: { type: Host, host: { path: /usr/src/edu-1.0 } }",
		p->modules ? p->modules : "modules: [ { name: edu } ]",
		p->more ? p->more : "paused: false");
	return text;
}

#define SHA "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
