// SPDX-License-Identifier: Apache-2.0
/* The files of a Debian package (an ar archive with a data.tar in it) as a tar archive; of archive.c only. */
#pragma once

#include <archive.h>

#include "err.h"

struct archive_deb;

/* Whether what @fd holds, from its start on, begins as an ar archive does. Moves nothing. */
bool archive_deb_is(int fd);
/* Opens @inner on the package's data.tar. @ret is set once @inner knows it, and freed
 * after @inner. REASON_SOURCE_INVALID. */
int archive_deb_open(int fd, struct archive *inner, struct archive_deb **ret,
	struct err *e) _must_check_;
void archive_deb_free(struct archive_deb *d);
DEFINE_CLEANUP(struct archive_deb, archive_deb_free)
