// SPDX-License-Identifier: Apache-2.0
/* An AcceleratorNode whose agent tells its topology, for tests. */
#pragma once

#include "test/unit/controller/fake_cluster.h"

/* What an agent says: so much of cpu is available on its one zone. */
static _unused_ struct json *acc(const char *name, const char *available)
{
	char text[1024];

	(void)snprintf(text, sizeof(text),
		"{\"metadata\":{\"name\":\"%s\",\"uid\":\"u-acc\",\"ownerReferences\":[{\"kind\":"
		"\"Node\",\"name\":\"%s\",\"uid\":\"u-node\"}]},\"status\":{\"kernel\":\"6.1\"%s%s%s}}",
		name, name,
		available
			? ",\"topology\":{\"policy\":\"single-numa-node\",\"scope\":\"pod\","
			  "\"podsFingerprint\":\"pfp0v001ef46db3751d8e999\","
			  "\"podsFingerprintMethod\":\"all\",\"zones\":[{\"name\":\"node-0\","
			  "\"costs\":[{\"name\":\"node-0\",\"value\":10}],\"resources\":["
			  "{\"name\":\"cpu\",\"capacity\":8,\"allocatable\":6,\"available\":"
			: "",
		available ? available : "", available ? "}]}]}" : "");
	return cluster_parse(text);
}
