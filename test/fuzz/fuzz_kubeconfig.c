// SPDX-License-Identifier: Apache-2.0
/* kubeconfig files: what is accepted is complete, and no token goes over the net in the clear. */
#include "fuzz.h"
#include "kube_config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	CLEANUP(kube_config_done) struct kube_config c = { 0 };
	struct err e = { 0 };
	int r;

	fuzz_file("config", data, len);
	r = kube_config_read(&c, fuzz_path("config"), &e);
	if (r < 0) {
		says_why(r, &e);
		HOLDS(!c.server && !c.token && !c.ca_data && !c.key_data);
		return 0;
	}
	HOLDS(str_starts(c.server, "https://") || str_starts(c.server, "http://"));
	HOLDS(c.server[strlen(c.server) - 1] != '/' || strlen(c.server) <= 8);
	HOLDS(!(c.cert_file || c.cert_data) == !(c.key_file || c.key_data));
	HOLDS(!c.token_file || *c.token_file == '/');
	HOLDS(!c.ca_file || *c.ca_file == '/');
	if (c.token || c.token_file)
		HOLDS(str_starts(c.server, "https://") ||
			str_starts(c.server, "http://127.0.0.1") ||
			str_starts(c.server, "http://localhost") ||
			str_starts(c.server, "http://[::1]"));
	return 0;
}
