// SPDX-License-Identifier: Apache-2.0
/* `signing.mode: Secret`: signs what was built with a key that the admin put on this machine. What is signed
 * from outside is external.h's. */
#include <stdio.h>

#include "build_work.h"
#include "file.h"
#include "signature.h"

enum { MODULE_BYTES_MAX = 512 << 20 };

int build_sign_path(
	const char *folder, const char *secret_ref, const char *file, char out[PATH_MAX])
{
	/* One folder of ours, not a path to anywhere. */
	if (strchr(secret_ref, '/') || *secret_ref == '.')
		return -EINVAL;
	return path_join(
		out, PATH_MAX, folder ? folder : BUILD_SIGNING, secret_ref, file, NULL);
}

static int key_path(const struct work *w, const char *file, char out[PATH_MAX])
{
	return build_sign_path(w->q->signing, w->q->spec->signing.secret_ref, file, out);
}

int build_sign_open(struct work *w)
{
	char cert[PATH_MAX] = "", hex[DIGEST_HEX + 1];
	int r;

	if (w->q->spec->signing.mode == API_SIGNING_EXTERNAL) {
		/* What waits for a signature is never taken for what needs none. */
		(void)snprintf(w->signer, sizeof(w->signer), "signed-outside");
		w->signer_item = w->signer;
		w->patches = (struct list){ (void *)&w->signer_item, 1 };
		return 0;
	}
	if (w->q->spec->signing.mode != API_SIGNING_SECRET)
		return 0;
	r = key_path(w, "tls.crt", cert);
	if (r == 0)
		r = digest_file(cert, hex, NULL);
	if (r < 0)
		return err_reason(w->e, r, REASON_KEY_REJECTED,
			"the certificate of the signing key, '%s', cannot be read: %s",
			cert, strerror(-r));
	/* Another key, another artifact. */
	(void)snprintf(w->signer, sizeof(w->signer), "signed-by:%s", hex);
	w->signer_item = w->signer;
	w->patches = (struct list){ (void *)&w->signer_item, 1 };
	return 0;
}

int build_sign_ready(struct work *w)
{
	char key[PATH_MAX] = "";
	int r;

	if (w->q->spec->signing.mode != API_SIGNING_SECRET)
		return 0;
	r = key_path(w, "tls.key", key);
	if (r == 0 && access(key, R_OK) < 0)
		r = -errno;
	return r == 0 ? 0
		      : err_reason(w->e, r, REASON_KEY_REJECTED,
				"nothing to take, and the signing key '%s' cannot be read: %s",
				key, strerror(-r));
}

static int sign_file(const struct work *w, const char *path)
{
	CLEANUP(freep) char *data = NULL, *sig = NULL;
	char key[PATH_MAX], cert[PATH_MAX];
	struct buf out CLEANUP(buf_done);
	size_t len, n;
	int r = file_read(path, MODULE_BYTES_MAX, &data, &len, w->e);

	buf_init(&out, (size_t)MODULE_BYTES_MAX + SIGNATURE_BYTES_MAX);
	if (r == 0)
		r = key_path(w, "tls.key", key);
	if (r == 0)
		r = key_path(w, "tls.crt", cert);
	if (r == 0)
		r = signature_make(key, cert, data, len, &sig, &n, w->e);
	if (r == 0)
		r = buf_add(&out, data, len);
	if (r == 0)
		r = buf_add(&out, sig, n);
	return r == 0 ? file_write_atomic(path, out.data, out.len, 0644, w->e) : r;
}

int build_sign(struct work *w)
{
	size_t i;
	int r = 0;

	if (w->q->spec->signing.mode != API_SIGNING_SECRET)
		return 0;
	for (i = 0; r == 0 && i < w->modules_n; i++)
		r = sign_file(w, w->modules[i].path);
	if (r < 0 && w->e && w->e->reason == REASON_NONE)
		w->e->reason = r == -ENOSPC ? REASON_DISK_FULL : REASON_KEY_REJECTED;
	return r < 0 ? err_wrap(w->e, r, "sign") : 0;
}
