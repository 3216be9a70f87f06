// SPDX-License-Identifier: Apache-2.0
/* A umockdev testbed whose kernel events are made to order: prints its folder, then reads lines from stdin:
 *     event SYSPATH ACTION
 * and answers each with "ok". The devices themselves are files that the caller makes. The plugin runs in another process, preloaded with $UMOCKDEV_DIR. */
#include <stdio.h>
#include <string.h>
#include <umockdev.h>

int main(void)
{
	UMockdevTestbed *t = umockdev_testbed_new();
	char line[1024], what[16], path[512], action[32];
	gchar *root = umockdev_testbed_get_root_dir(t);

	setvbuf(stdout, NULL, _IOLBF, 0);
	printf("%s\n", root);
	while (fgets(line, sizeof(line), stdin)) {
		if (sscanf(line, "%15s %511s %31s", what, path, action) == 3 &&
			strcmp(what, "event") == 0)
			umockdev_testbed_uevent(t, path, action);
		printf("ok\n");
	}
	g_free(root);
	g_object_unref(t);
	return 0;
}
