// SPDX-License-Identifier: Apache-2.0
/* Tar archives (plain, gz, xz, zst) and Debian packages unpacked so that nothing in them can lead elsewhere;
 * with elf_file.c the only user of libarchive. What makes an archive is hostile until proved otherwise: build_source.c calls this in
 * the sandbox. */
#pragma once

#include "err.h"

enum { ARCHIVE_NAME_MAX = 1024, ARCHIVE_DEPTH_MAX = 64 };

struct archive_limits {
	size_t files; /* entries of any kind */
	uint64_t bytes; /* content, holes of sparse files included */
	/* It is (a part of) a root: nothing is taken off its names, and what its absolute links name is in it;
	 * @dir may hold other parts. */
	bool is_root;
};

/* Unpacks the archive read from @fd into the empty folder @dir. Folders and files come out as 0755 and
 * 0644 or 0755, owned by the caller, with their times (none in the future). When the archive is one
 * folder, as release archives are, that folder's content is what comes out. Of a Debian package the files that it installs come out. Refused, naming the entry:
 * absolute names, "..", links that lead out, hard links to what is not a file of the archive, devices,
 * pipes, sockets, names given twice, names with control characters, more than @limits, and anything that
 * is no such archive or ends early. REASON_SOURCE_INVALID, REASON_DISK_FULL. On failure @dir holds rubbish. */
int archive_unpack(int fd, int dir, const struct archive_limits *limits, struct err *e)
	_must_check_;
