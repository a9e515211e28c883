/*
 * codec/ssh_key.c - see ssh_key.h. A private key's file is PROTOCOL.key of
 * OpenSSH: base64 between two lines, of length-prefixed texts.
 */
#include "codec/ssh_key.h"

#include "base/rand.h"

#include <sodium.h>
#include <string.h>

#define BEGIN "-----BEGIN OPENSSH PRIVATE KEY-----"
#define END "-----END OPENSSH PRIVATE KEY-----"
#define MAGIC "openssh-key-v1" /* with its NUL */
#define LINE 70                /* letters of base64, as ssh-keygen has it */
#define BLOCK 8                /* what the secret part is filled up to */

/* --- texts with their length before them ---------------------------------- */

static bool
take_u32(struct str *s, uint32_t *ret)
{
	const unsigned char *p = (const unsigned char *)s->ptr;

	if (s->len < 4)
		return false;
	*ret = (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 |
	    (uint32_t)p[2] << 8 | p[3];
	s->ptr += 4;
	s->len -= 4;
	return true;
}

static bool
take_text(struct str *s, struct str *ret)
{
	uint32_t len;

	if (!take_u32(s, &len) || len > s->len)
		return false;
	*ret = (struct str){ s->ptr, len };
	s->ptr += len;
	s->len -= len;
	return true;
}

static void
put_u32(struct buf *b, uint32_t n)
{
	const char p[4] = { (char)(n >> 24), (char)(n >> 16), (char)(n >> 8),
		(char)n };

	buf_add(b, p, sizeof(p));
}

static void
put_text(struct buf *b, const void *bytes, size_t len)
{
	put_u32(b, (uint32_t)len);
	buf_add(b, bytes, len);
}

static bool
read_blob(struct str blob, struct ssh_public *ret)
{
	struct str type, key;

	if (!take_text(&blob, &type) || !str_eqz(type, SSH_ED25519) ||
	    !take_text(&blob, &key) || key.len != sizeof(ret->key) ||
	    blob.len != 0)
		return false;
	memcpy(ret->key, key.ptr, key.len);
	return true;
}

/* --- public keys ---------------------------------------------------------- */

int
ssh_public_read(struct str line, struct ssh_public *ret, struct err *err)
{
	struct str rest = str_trim(line), type = str_cut(&rest, ' ');
	struct buf blob = { 0 };
	struct str text;
	bool good;

	if (!str_eqz(type, SSH_ED25519))
		return err_set(err, ERR_PARAM,
		    "must be a key of type " SSH_ED25519 ", as \"" SSH_ED25519
		    " AAAA...\"");
	rest = rest.ptr != NULL ? str_trim(rest) : STR("");
	text = str_cut(&rest, ' ');
	good = memchr(line.ptr, '\n', str_trim(line).len) == NULL &&
	    base64_decode(&blob, text) && read_blob(buf_str(&blob), ret);
	buf_free(&blob);
	return good
	    ? 0
	    : err_set(err, ERR_PARAM, "is no whole key of type " SSH_ED25519);
}

void
ssh_public_blob(
    const struct ssh_public *key, unsigned char blob[SSH_ED25519_BLOB])
{
	struct buf b = { 0 };

	put_text(&b, SSH_ED25519, sizeof(SSH_ED25519) - 1);
	put_text(&b, key->key, sizeof(key->key));
	memcpy(blob, b.ptr, SSH_ED25519_BLOB);
	buf_free(&b);
}

void
ssh_public_write(const struct ssh_public *key, struct buf *out)
{
	unsigned char blob[SSH_ED25519_BLOB];

	ssh_public_blob(key, blob);
	buf_addz(out, SSH_ED25519 " ");
	base64_encode(out, blob, sizeof(blob), false);
}

int
ssh_public_normal(struct str line, struct buf *out, struct err *err)
{
	struct ssh_public key;
	int rc = ssh_public_read(line, &key, err);

	if (rc == 0)
		ssh_public_write(&key, out);
	return rc;
}

/* --- private keys --------------------------------------------------------- */

void
ssh_private_make(struct ssh_private *ret)
{
	unsigned char seed[crypto_sign_ed25519_SEEDBYTES];
	unsigned char public[crypto_sign_ed25519_PUBLICKEYBYTES];

	rand_bytes(seed, sizeof(seed));
	(void)crypto_sign_ed25519_seed_keypair(public, ret->key, seed);
	sodium_memzero(seed, sizeof(seed));
}

void
ssh_private_public(const struct ssh_private *key, struct ssh_public *ret)
{
	memcpy(ret->key, key->key + crypto_sign_ed25519_SEEDBYTES,
	    sizeof(ret->key));
}

static int
read_armour(struct str text, struct buf *bytes, struct err *err)
{
	struct str rest = str_trim(text);
	struct buf base64 = { 0 };
	bool ended = false, good;

	good = str_eqz(str_trim(str_cut(&rest, '\n')), BEGIN);
	while (good && rest.ptr != NULL && !ended) {
		struct str line = str_trim(str_cut(&rest, '\n'));

		ended = str_eqz(line, END);
		if (!ended)
			buf_add_str(&base64, line);
	}
	good = good && ended && rest.ptr == NULL &&
	    base64_decode(bytes, buf_str(&base64));
	if (base64.ptr != NULL)
		sodium_memzero(base64.ptr, base64.cap);
	buf_free(&base64);
	return good ? 0
		    : err_set(err, ERR_PARAM,
			  "is no private key as ssh-keygen writes it");
}

/* The secret part: twice the same number, then the key, then 1, 2, 3... */
static bool
read_secret(
    struct str in, const struct ssh_public *public, struct ssh_private *ret)
{
	struct str type, half, key, comment;
	uint32_t a, b;

	if (!take_u32(&in, &a) || !take_u32(&in, &b) || a != b ||
	    !take_text(&in, &type) || !str_eqz(type, SSH_ED25519) ||
	    !take_text(&in, &half) || half.len != sizeof(public->key) ||
	    !take_text(&in, &key) || key.len != sizeof(ret->key) ||
	    !take_text(&in, &comment))
		return false;
	for (size_t i = 0; i < in.len; i++)
		if ((unsigned char)in.ptr[i] != i + 1)
			return false;
	if (memcmp(half.ptr, public->key, half.len) != 0 ||
	    memcmp(key.ptr + crypto_sign_ed25519_SEEDBYTES, public->key,
		sizeof(public->key)) != 0)
		return false;
	memcpy(ret->key, key.ptr, key.len);
	return true;
}

/* Is the public half that of the seed? */
static bool
fits(const struct ssh_private *key)
{
	unsigned char public[crypto_sign_ed25519_PUBLICKEYBYTES];
	unsigned char secret[crypto_sign_ed25519_SECRETKEYBYTES];
	bool same;

	(void)crypto_sign_ed25519_seed_keypair(public, secret, key->key);
	same = memcmp(secret, key->key, sizeof(secret)) == 0;
	sodium_memzero(secret, sizeof(secret));
	return same;
}

int
ssh_private_read(struct str text, struct ssh_private *ret, struct err *err)
{
	struct str cipher, kdf, options, blob, secret, in;
	struct buf bytes = { 0 };
	struct ssh_public public;
	struct ssh_private key;
	uint32_t n;
	int rc = read_armour(text, &bytes, err);

	if (rc != 0)
		goto done;
	in = buf_str(&bytes);
	rc = ERR_PARAM;
	if (in.len < sizeof(MAGIC) || memcmp(in.ptr, MAGIC, sizeof(MAGIC)) != 0)
		goto broken;
	in.ptr += sizeof(MAGIC);
	in.len -= sizeof(MAGIC);
	if (!take_text(&in, &cipher) || !take_text(&in, &kdf) ||
	    !take_text(&in, &options) || !take_u32(&in, &n) || n != 1)
		goto broken;
	if (!str_eqz(cipher, "none") || !str_eqz(kdf, "none")) {
		(void)err_set(err, rc,
		    "the private key has a passphrase; take it away with "
		    "ssh-keygen -p");
		goto done;
	}
	if (!take_text(&in, &blob) || !take_text(&in, &secret) || in.len != 0)
		goto broken;
	if (!read_blob(blob, &public)) {
		(void)err_set(
		    err, rc, "the private key is not of type " SSH_ED25519);
		goto done;
	}
	if (!read_secret(secret, &public, &key) || !fits(&key))
		goto broken;
	*ret = key;
	sodium_memzero(&key, sizeof(key));
	rc = 0;
	goto done;
broken:
	(void)err_set(err, rc, "the private key is damaged");
done:
	if (bytes.ptr != NULL)
		sodium_memzero(bytes.ptr, bytes.cap);
	buf_free(&bytes);
	return rc;
}

void
ssh_private_write(
    const struct ssh_private *key, struct str comment, struct buf *out)
{
	unsigned char blob[SSH_ED25519_BLOB];
	struct buf all = { 0 }, secret = { 0 }, text = { 0 };
	struct ssh_public public;
	uint32_t check;

	ssh_private_public(key, &public);
	ssh_public_blob(&public, blob);
	rand_bytes(&check, sizeof(check));
	put_u32(&secret, check);
	put_u32(&secret, check);
	put_text(&secret, SSH_ED25519, sizeof(SSH_ED25519) - 1);
	put_text(&secret, public.key, sizeof(public.key));
	put_text(&secret, key->key, sizeof(key->key));
	put_text(&secret, comment.ptr, comment.len);
	for (char i = 1; secret.len % BLOCK != 0; i++)
		buf_addc(&secret, i);

	buf_add(&all, MAGIC, sizeof(MAGIC));
	put_text(&all, "none", 4);
	put_text(&all, "none", 4);
	put_text(&all, "", 0);
	put_u32(&all, 1);
	put_text(&all, blob, sizeof(blob));
	put_text(&all, secret.ptr, secret.len);
	base64_encode(&text, all.ptr, all.len, false);

	buf_addz(out, BEGIN "\n");
	for (size_t at = 0; at < text.len; at += LINE) {
		buf_add(out, text.ptr + at,
		    text.len - at < LINE ? text.len - at : LINE);
		buf_addc(out, '\n');
	}
	buf_addz(out, END "\n");
	sodium_memzero(secret.ptr, secret.cap);
	sodium_memzero(all.ptr, all.cap);
	sodium_memzero(text.ptr, text.cap);
	buf_free(&secret);
	buf_free(&all);
	buf_free(&text);
}
