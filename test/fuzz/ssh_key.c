/*
 * test/fuzz/ssh_key.c - any bytes as the line of a public key and as the file
 * of a private one: what is taken is written, and read the same again.
 */
#include "codec/ssh_key.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
must(bool holds)
{
	if (!holds)
		abort();
}

static void
public_line(struct str in)
{
	struct buf line = { 0 }, again = { 0 };
	struct ssh_public key, same;

	if (ssh_public_read(in, &key, NULL) == 0) {
		ssh_public_write(&key, &line);
		must(ssh_public_read(buf_str(&line), &same, NULL) == 0);
		must(memcmp(&key, &same, sizeof(key)) == 0);
		must(ssh_public_normal(in, &again, NULL) == 0);
		must(str_eq(buf_str(&line), buf_str(&again)));
		must(memchr(again.ptr, '\n', again.len) == NULL);
	}
	buf_free(&line);
	buf_free(&again);
}

static void
private_file(struct str in)
{
	struct ssh_private key, same;
	struct buf text = { 0 };

	if (ssh_private_read(in, &key, NULL) == 0) {
		ssh_private_write(&key, STR("fuzz"), &text);
		must(ssh_private_read(buf_str(&text), &same, NULL) == 0);
		must(memcmp(&key, &same, sizeof(key)) == 0);
	}
	buf_free(&text);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char begin[] = "-----BEGIN OPENSSH PRIVATE KEY-----\n";
	static const char end[] = "\n-----END OPENSSH PRIVATE KEY-----\n";
	static const char public[] = "ssh-ed25519 ";
	struct str in = { (const char *)data, size };
	struct buf b = { 0 };

	public_line(in);
	private_file(in);
	/* and as the bytes that base64 has hidden */
	buf_add(&b, public, sizeof(public) - 1);
	base64_encode(&b, data, size, false);
	public_line(buf_str(&b));
	buf_clear(&b);
	buf_add(&b, begin, sizeof(begin) - 1);
	base64_encode(&b, data, size, false);
	buf_add(&b, end, sizeof(end) - 1);
	private_file(buf_str(&b));
	buf_free(&b);
	return 0;
}
