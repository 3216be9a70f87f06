// SPDX-License-Identifier: Apache-2.0
/* Does a release work? For `helm test`. */
#include <stdio.h>

#include "chore.h"
#include "schema.h"

enum { RENEWED_S = 60 }; /* clocks of two nodes may differ */

static const char *const definitions[] = {
	"acceleratordrivers.farrier.dev",
	"acceleratorclasses.farrier.dev",
	"acceleratornodes.farrier.dev",
};

static bool is_established(const struct json *crd)
{
	const struct json *conditions = json_path(crd, "status.conditions");

	for (size_t i = 0; i < json_len(conditions); i++) {
		const char *type = json_get_str(json_at(conditions, i), "type");
		const char *status = json_get_str(json_at(conditions, i), "status");

		if (type && streq(type, "Established"))
			return status && streq(status, "True");
	}
	return false;
}

/* Empty @why: it is as it should be. */
static void check_definition(struct chore *c, const char *name, char why[256])
{
	char path[256];
	const char *version;

	(void)snprintf(path, sizeof(path),
		"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/%s", name);
	if (chore_ask(c, "GET", path, NULL, NULL) < 0) {
		(void)snprintf(why, 256, "%s", c->why);
		return;
	}
	version = json_get_str(
		json_path(c->obj, "metadata.annotations"), "farrier.dev/version");
	if (!is_established(c->obj))
		(void)snprintf(why, 256, "it is not established");
	else if (version && schema_compare(version, FARRIER_VERSION) < 0)
		(void)snprintf(why, 256, "it is of version %.32s, this program of %s",
			version, FARRIER_VERSION);
}

static void check_deployment(
	struct chore *c, const struct chore_options *o, char why[256])
{
	struct buf path CLEANUP(buf_done);
	const struct json *status;
	int64_t ready;

	buf_init(&path, 1024);
	if (chore_path(&path, "/apis/apps/v1", o->namespace_, "deployments",
		    o->deployment) < 0 ||
		chore_ask(c, "GET", buf_cstr(&path), NULL, NULL) < 0) {
		(void)snprintf(why, 256, "%s", c->why);
		return;
	}
	status = json_get(c->obj, "status");
	ready = json_get_int(status, "readyReplicas", 0);
	if (json_get_int(status, "observedGeneration", 0) <
		json_get_int(json_get(c->obj, "metadata"), "generation", 0))
		(void)snprintf(why, 256, "its newest version is not rolled out yet");
	else if (ready < 1)
		(void)snprintf(why, 256, "no pod of it is ready");
}

static void check_leader(struct chore *c, const struct chore_options *o, char why[256])
{
	int r = chore_is_led(c, o->namespace_, o->deployment, RENEWED_S);

	if (r < 0)
		(void)snprintf(why, 256, "%s", c->why);
	else if (r == 0)
		(void)snprintf(why, 256, "nobody holds it");
}

enum { CHECKS = ARRAY_SIZE(definitions) + 2 };

/* Check number @i: what it is about; what is wrong into @why. */
static const char *check(
	struct chore *c, const struct chore_options *o, size_t i, char why[256])
{
	*why = '\0';
	if (i < ARRAY_SIZE(definitions)) {
		check_definition(c, definitions[i], why);
		return definitions[i];
	}
	if (i == ARRAY_SIZE(definitions)) {
		check_deployment(c, o, why);
		return "the controller's Deployment";
	}
	check_leader(c, o, why);
	return "the controller's Lease";
}

int check_release(struct kube *k, const struct chore_options *o)
{
	struct chore c;
	int r = chore_begin(&c, k, o->patience_s);

	if (r < 0)
		return r;
	for (size_t i = 0; i < CHECKS; i++) {
		char why[256];
		const char *what = check(&c, o, i, why);

		while (*why && chore_pause(&c)) /* it may just have been installed */
			what = check(&c, o, i, why);
		(void)printf("%s %s%s%s\n", *why ? "not ok" : "ok", what,
			*why ? ": " : "", why);
		if (*why)
			r = -EAGAIN;
	}
	(void)fflush(stdout);
	chore_end(&c);
	return r;
}
