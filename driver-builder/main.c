// SPDX-License-Identifier: Apache-2.0
/* farrier-driver-builder: keeps a node's accelerator drivers built, staged and loaded. */
#include <signal.h>

#include "cli.h"

int main(int argc, char **argv)
{
	(void)signal(SIGPIPE, SIG_IGN);
	return cli_main(argc, argv);
}
