// SPDX-License-Identifier: Apache-2.0
/* The signs of a device's health, the kubelet's configuration and command line, and what a plugin left behind. */
#include "device-plugin/aer.h"
#include "device-plugin/health_file.h"
#include "device-plugin/memory.h"
#include "device-plugin/pci_config.h"
#include "fuzz.h"
#include "kubelet_policy.h"

static bool ends_within(const char *s, size_t size)
{
	return memchr(s, '\0', size) != NULL;
}

static void counters(const char *text)
{
	struct aer_counts before = { 0 }, now = { .is_known = true };
	uint64_t fatal = 0, nonfatal = 0, again = 0;

	HOLDS(pci_link_speed(text) < 10000);
	(void)health_file_verdict(text);
	if (!aer_parse(text, &now.fatal))
		return;
	HOLDS(aer_parse(text, &again) && again == now.fatal);
	now.nonfatal = 1;
	aer_since(&before, &now, &fatal, &nonfatal);
	HOLDS(fatal == 0 && nonfatal == 0);
	now.nonfatal = 3;
	aer_since(&before, &now, &fatal, &nonfatal);
	HOLDS(fatal == 0 && nonfatal == 2);
}

/* What goes to the other process comes back as it was; unless a tab is in it. */
static void goes_and_comes(const struct kubelet_policy *p)
{
	struct kubelet_policy q = { 0 };
	char line[2048];

	HOLDS(ends_within(p->topology, sizeof(p->topology)));
	HOLDS(ends_within(p->cpu, sizeof(p->cpu)));
	HOLDS(kubelet_policy_print(p, line, sizeof(line)) > 0);
	if (strchr(p->topology, '\t') || strchr(p->scope, '\t') || strchr(p->cpu, '\t') ||
		strchr(p->memory, '\t'))
		return;
	HOLDS(kubelet_policy_parse(line, &q) == 0);
	HOLDS(streq(p->topology, q.topology) && streq(p->cpu, q.cpu));
	HOLDS(streq(p->memory, q.memory) && streq(p->scope, q.scope));
	(void)kubelet_policy_warning(p, 2, true);
}

static void policies(const char *text, size_t len)
{
	struct kubelet_policy p = { .is_known = true }, q = { 0 };
	char config[KUBELET_PATH_MAX], dir[KUBELET_PATH_MAX];
	struct err e = { 0 };
	int r;

	kubelet_policy_args(text, len, &p, config, dir);
	HOLDS(ends_within(config, sizeof(config)) && ends_within(dir, sizeof(dir)));
	goes_and_comes(&p);
	r = kubelet_policy_config(text, len, &p, &e);
	if (r < 0)
		says_why(r, &e);
	goes_and_comes(&p);
	if (kubelet_policy_parse(text, &q) == 0)
		goes_and_comes(&q);
}

static void memories(const char *text, size_t len)
{
	CLEANUP(json_freep) struct json *doc = NULL;
	struct device d = { .id = "a" };

	if (json_parse(text, len, &doc, NULL) < 0)
		return;
	memory_restore(doc, &d, 1);
	HOLDS(ends_within(d.health.text, sizeof(d.health.text)));
	HOLDS(!d.health.is_known || d.health.state != HEALTH_HEALTHY);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	CLEANUP(freep) char *text = malloc(len + 1);

	if (!text)
		return 0;
	memcpy(text, data, len);
	text[len] = '\0';
	counters(text);
	policies(text, len);
	policies(text, len + 1); /* the last string of a command line ends */
	memories(text, len);
	return 0;
}
