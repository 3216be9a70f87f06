// SPDX-License-Identifier: Apache-2.0
/* A registry that keeps what it is given, a kernel, and two nodes' stores: one builds, the other takes. */
#pragma once

#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>

#include "driver-builder/key.h"
#include "driver-builder/publish.h"
#include "driver-builder/remote.h"
#include "driver-builder/source.h"
#include "driver-builder/store.h"
#include "driver-builder/unsigned.h"
#include "elf_maker.h"
#include "file.h"
#include "test/unit/lib/fake_server.h"

#define RELEASE "6.1.0-56"
#define FLAGS "SMP preempt mod_unload modversions "
#define CONFIG \
	"CONFIG_X86_64=y\nCONFIG_SMP=y\nCONFIG_PREEMPT_BUILD=y\n" \
	"CONFIG_MODULE_UNLOAD=y\nCONFIG_MODVERSIONS=y\n"
#define SYMVERS(crc) \
	"0x00000007\tmodule_layout\tvmlinux\tEXPORT_SYMBOL\t\n" crc \
	"\tprintk\tvmlinux\tEXPORT_SYMBOL\t\n"
#define KEY "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
#define OTHER_KEY "ff112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"

enum { BLOBS_MAX = 64 };

struct fixture {
	struct loop *loop;
	struct fake_server server;
	struct {
		char digest[OCI_DIGEST_MAX + 1];
		char *data;
		size_t len;
	} blobs[BLOBS_MAX];
	size_t blobs_n;
	unsigned requests;
	char dir[64], builder[80], taker[80], registry[64], headers[80];
	struct kernel kernel;
	struct remote remote;
};

/* ---- a registry that keeps what it is given ---- */

static const char *keep(struct fixture *f, const void *data, size_t len)
{
	char digest[OCI_DIGEST_MAX + 1] = "sha256:";

	assert_int_equal(digest_bytes(data, len, digest + 7, NULL), 0);
	for (size_t i = 0; i < f->blobs_n; i++)
		if (streq(f->blobs[i].digest, digest))
			return f->blobs[i].digest;
	assert_true(f->blobs_n < BLOBS_MAX);
	memcpy(f->blobs[f->blobs_n].digest, digest, sizeof(digest));
	f->blobs[f->blobs_n].data = malloc(len + 1);
	assert_non_null(f->blobs[f->blobs_n].data);
	memcpy(f->blobs[f->blobs_n].data, data, len);
	f->blobs[f->blobs_n].len = len;
	return f->blobs[f->blobs_n++].digest;
}

static void serve(struct fake_conn *c, const struct fake_request *q, void *user)
{
	struct fixture *f = user;
	const char *digest = strstr(q->path, "sha256:");

	f->requests++;
	assert_true(str_starts(q->path, "/v2/team/"));
	if (streq(q->method, "POST")) {
		fake_reply(c, "202 Accepted", "Location: /v2/team/up?x=1\r\n", "");
	} else if (streq(q->method, "PUT")) {
		(void)keep(f, q->body, q->body_len);
		fake_reply(c, "201 Created", "", "");
	} else {
		for (size_t i = 0; digest && i < f->blobs_n; i++)
			if (streq(f->blobs[i].digest, digest)) {
				bool is_head = streq(q->method, "HEAD");

				fake_reply_bytes(c, "200 OK", "", f->blobs[i].data,
					is_head ? 0 : f->blobs[i].len);
				return;
			}
		fake_reply(c, "404 Not Found", "", "");
	}
}

static void put(const char *dir, const char *name, const void *data, size_t len)
{
	char path[PATH_MAX];

	assert_int_equal(path_join(path, sizeof(path), dir, name, NULL), 0);
	assert_int_equal(file_write_atomic(path, data, len, 0644, NULL), 0);
}

static int setup(void **state)
{
	static struct fixture f;
	char *const dirs[] = { f.builder, f.taker, f.headers };
	static const char *const names[] = { "builder", "taker", "headers" };

	f = (struct fixture){ .kernel.has_modules = true };
	(void)snprintf(f.dir, sizeof(f.dir), "/tmp/farrier-remote-XXXXXX");
	assert_non_null(mkdtemp(f.dir));
	for (size_t i = 0; i < ARRAY_SIZE(dirs); i++) {
		(void)snprintf(dirs[i], 80, "%s/%s", f.dir, names[i]);
		assert_int_equal(mkdir(dirs[i], 0755), 0);
	}
	put(f.headers, ".config", CONFIG, strlen(CONFIG));
	put(f.headers, "Module.symvers", SYMVERS("0x11111111"),
		strlen(SYMVERS("0x11111111")));
	(void)snprintf(f.kernel.release, sizeof(f.kernel.release), RELEASE);
	f.kernel.headers = f.headers;
	assert_int_equal(loop_new(&f.loop, NULL, NULL), 0);
	fake_start(&f.server, f.loop, serve, &f);
	(void)snprintf(
		f.registry, sizeof(f.registry), "127.0.0.1:%u/team", f.server.port);
	f.remote.registry = f.registry;
	*state = &f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	fake_stop(&f->server);
	loop_free(f->loop);
	for (size_t i = 0; i < f->blobs_n; i++)
		free(f->blobs[i].data);
	return dir_remove(f->dir, NULL);
}

/* ---- artifacts ---- */

static uint8_t *demo_module(bool is_honest, size_t *ret_len)
{
	static const struct made_symbol symbols[] = {
		{ "printk", 0x11111111, .has_crc = true },
	};
	const struct made m = {
		.modinfo = is_honest ? "name=demo\0srcversion=ABCDEF\0vermagic=" RELEASE
				       " " FLAGS "\0"
				     : "name=demo\0srcversion=ABCDEE\0vermagic=" RELEASE
				       " " FLAGS "\0",
		.symbols = symbols,
		.symbols_n = 1,
		.layout_crc = 7
	};

	return make_module(&m, ret_len);
}

/* Into the builder's store, as a build would; what a builder that was broken into would, when not honest. */
static void build_as(struct fixture *f, const char *key, const char *name, bool is_honest)
{
	struct artifact_module mod = {
		.file = "modules/demo.ko", .vermagic = "claimed", .srcversion = "claimed"
	};
	struct artifact a = { .driver = "demo",
		.driver_version = "1.0",
		.kernel = RELEASE,
		.created_at = "2026-01-01T00:00:00Z",
		.is_compiled = true,
		.modules = &mod,
		.modules_n = 1 };
	CLEANUP(store_abortp) struct store_txn *t = NULL;
	char path[PATH_MAX];
	size_t len;
	uint8_t *bytes = demo_module(is_honest, &len);

	memcpy(a.key, key, sizeof(a.key));
	memcpy(a.source_digest, key, sizeof(a.key));
	memcpy(a.headers_digest, key, sizeof(a.key));
	memcpy(a.recipe, key, sizeof(a.key));
	(void)snprintf(mod.name, sizeof(mod.name), "%s", name);
	put(f->dir, "demo.ko", bytes, len);
	put(f->dir, "log", "a log", 5);
	free(bytes);
	assert_int_equal(store_begin(f->builder, &t, NULL), 0);
	(void)snprintf(path, sizeof(path), "%s/demo.ko", f->dir);
	assert_int_equal(store_txn_add(t, path, "modules/demo.ko", NULL), 0);
	(void)snprintf(path, sizeof(path), "%s/log", f->dir);
	assert_int_equal(store_txn_add(t, path, "build.log.gz", NULL), 0);
	assert_int_equal(store_commit(TAKE(t), &a, NULL), 0);
}

static void build(struct fixture *f, const char *key, const char *name)
{
	build_as(f, key, name, true);
}

static struct remote_want want(
	struct fixture *f, const char *key, const char digest[OCI_DIGEST_MAX + 1])
{
	return (struct remote_want){ .root = f->dir,
		.state = f->taker,
		.driver = "demo",
		.kernel = &f->kernel,
		.key = key,
		.digest = digest };
}

static void assert_nothing_left(const struct fixture *f)
{
	char path[PATH_MAX];

	assert_int_equal(path_join(path, sizeof(path), f->taker, "pull", NULL), 0);
	if (file_exists(path))
		assert_int_equal(rmdir(path), 0);
}
