/*
 * test/fuzz/age.c - any bytes as a file of age, as a private key, and as the
 * line of a public one; and what is encrypted comes back.
 */
#include "codec/age.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
must(bool holds)
{
	if (!holds)
		abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct ssh_private key;
	static struct ssh_public public;
	static bool made;
	const struct str in = { (const char *)data, size };
	struct buf out = { 0 }, file = { 0 };
	struct ssh_private other;
	struct ssh_public line;
	struct err err;

	if (!made) {
		ssh_private_make(&key);
		ssh_private_public(&key, &public);
		made = true;
	}
	(void)age_decrypt_ssh(&key, in, &out, &err);
	/* work factors of more than one digit would take the time of a run */
	if (memmem(data, size, " 1", 2) == NULL &&
	    memmem(data, size, " 2", 2) == NULL)
		(void)age_decrypt_passphrase(STR("x"), in, &out, &err);
	if (ssh_public_read(in, &line, &err) == 0)
		ssh_public_write(&line, &file);
	if (ssh_private_read(in, &other, &err) == 0)
		ssh_private_write(&other, STR(""), &file);
	buf_clear(&file);
	buf_clear(&out);
	must(age_encrypt_ssh(&public, 1, in, &file, &err) == 0);
	must(age_decrypt_ssh(&key, buf_str(&file), &out, &err) == 0);
	must(
	    out.len == size && (size == 0 || memcmp(out.ptr, data, size) == 0));
	buf_free(&out);
	buf_free(&file);
	return 0;
}
