// SPDX-License-Identifier: Apache-2.0
/* The device plugin as a service of the host: its bundle (program, loader, libraries) is copied to
 * the host's disk, and a systemd unit starts it between the drivers and the kubelet. */
#pragma once

#include "env.h"
#include "err.h"

#define PLUGIN_BUNDLE "/usr/lib/farrier/plugin"
#define PLUGIN_UNIT "farrier-device-plugin.service"

enum { PLUGIN_BUNDLE_BYTES_MAX = 256 << 20 };

/* The unit's text. @has_loader: the bundle brings its own dynamic loader and libraries. @args may be
 * NULL. Pure. -ENOMEM, -EINVAL for arguments that a unit file cannot carry. */
struct buf;
int plugin_unit_text(bool has_loader, const char *args, struct buf *out) _must_check_;

/* Copies @from to <root>/var/lib/farrier/plugin-bundle-<digest>, switches the link plugin-bundle to
 * it, writes and enables the unit, and starts it where the host's service manager can be reached
 * (else it starts with the next boot; that is logged by the caller from ret_is_started). Blocks.
 * Nothing is restarted when nothing changed. */
int plugin_install(const struct env *env, const char *from, const char *args,
	bool *ret_is_started, struct err *e) _must_check_;
/* Stops it and takes all that away; absent is fine. */
int plugin_remove(const struct env *env, struct err *e) _must_check_;
