/*
 * codec/age.c - see age.h.
 *
 *    age-encryption.org/v1
 *    -> ssh-ed25519 TAG SHARE        one stanza for each who may read: the key
 *    BASE64                          of the file, wrapped for him
 *    --- MAC                         of all above, by the key of the file
 *    NONCE CHUNK CHUNK ...           64 KiB each, with 16 bytes of tag; the
 *                                    last one is marked in its nonce (STREAM)
 */
#include "codec/age.h"

#include "base/base.h"
#include "base/rand.h"

#include <sodium.h>
#include <string.h>

#define VERSION "age-encryption.org/v1"
#define SSH_LABEL VERSION "/ssh-ed25519"
#define SCRYPT_LABEL VERSION "/scrypt"
#define COLUMNS 64 /* letters of base64 on a line */
#define CHUNK 65536
#define TAG crypto_aead_chacha20poly1305_ietf_ABYTES
#define NONCE crypto_aead_chacha20poly1305_ietf_NPUBBYTES
#define KEY 16 /* of a file */
#define WRAPPED (KEY + TAG)
#define SALT 16
#define HEADER_MAX 65536
#define ARGS_MAX 8
#define FINGERPRINT 4

_Static_assert(NONCE == 12, "eleven bytes that count, and one that ends");

/* --- keys from keys ------------------------------------------------------- */

/* HKDF of RFC 5869 with SHA-256, to 32 bytes. */
static void
derive(const void *salt, size_t salt_len, const void *secret, size_t secret_len,
    const char *info, unsigned char out[32])
{
	crypto_auth_hmacsha256_state h;
	unsigned char prk[32];

	crypto_auth_hmacsha256_init(&h, salt, salt_len);
	crypto_auth_hmacsha256_update(&h, secret, secret_len);
	crypto_auth_hmacsha256_final(&h, prk);
	crypto_auth_hmacsha256_init(&h, prk, sizeof(prk));
	crypto_auth_hmacsha256_update(
	    &h, (const unsigned char *)info, strlen(info));
	crypto_auth_hmacsha256_update(&h, (const unsigned char *)"\1", 1);
	crypto_auth_hmacsha256_final(&h, out);
	sodium_memzero(prk, sizeof(prk));
}

static void
mac_of(const unsigned char key[KEY], struct str header, unsigned char mac[32])
{
	crypto_auth_hmacsha256_state h;
	unsigned char k[32];

	derive("", 0, key, KEY, "header", k);
	crypto_auth_hmacsha256_init(&h, k, sizeof(k));
	crypto_auth_hmacsha256_update(
	    &h, (const unsigned char *)header.ptr, header.len);
	crypto_auth_hmacsha256_final(&h, mac);
	sodium_memzero(k, sizeof(k));
}

static void
wrap(const unsigned char by[32], const unsigned char key[KEY],
    unsigned char out[WRAPPED])
{
	static const unsigned char nonce[NONCE];

	(void)crypto_aead_chacha20poly1305_ietf_encrypt(
	    out, NULL, key, KEY, NULL, 0, NULL, nonce, by);
}

static bool
unwrap(const unsigned char by[32], struct str wrapped, unsigned char key[KEY])
{
	static const unsigned char nonce[NONCE];

	return wrapped.len == WRAPPED &&
	    crypto_aead_chacha20poly1305_ietf_decrypt(key, NULL, NULL,
		(const unsigned char *)wrapped.ptr, wrapped.len, NULL, 0, nonce,
		by) == 0;
}

/* --- base64 as the format wants it ---------------------------------------- */

static void
put_base64(struct buf *out, const void *bytes, size_t len)
{
	base64_encode(out, bytes, len, false);
	while (out->len > 0 && out->ptr[out->len - 1] == '=')
		out->len--;
}

/* Only the one text that these bytes have. */
static bool
take_base64(struct str s, struct buf *out)
{
	struct buf again = { 0 };
	size_t from = out->len;
	bool same;

	if (!base64_decode(out, s))
		return false;
	put_base64(
	    &again, out->ptr != NULL ? out->ptr + from : "", out->len - from);
	same = str_eq(again.ptr != NULL ? buf_str(&again) : STR(""), s);
	buf_free(&again);
	if (!same)
		out->len = from;
	return same;
}

static bool
take_bytes(struct str s, unsigned char *p, size_t len)
{
	struct buf b = { 0 };
	bool good = take_base64(s, &b) && b.len == len;

	if (good)
		memcpy(p, b.ptr, len);
	buf_free(&b);
	return good;
}

static void
put_body(struct buf *out, const void *bytes, size_t len)
{
	struct buf b = { 0 };
	size_t at = 0;

	put_base64(&b, bytes, len);
	/* the last line is a short one, if need be an empty one */
	for (;;) {
		size_t n = MIN_OF(b.len - at, (size_t)COLUMNS);

		buf_add(out, b.ptr + at, n);
		buf_addc(out, '\n');
		at += n;
		if (n < COLUMNS)
			break;
	}
	buf_free(&b);
}

/* --- for an SSH key ------------------------------------------------------- */

static void
fingerprint(const struct ssh_public *key, unsigned char tag[FINGERPRINT])
{
	unsigned char blob[SSH_ED25519_BLOB], hash[32];

	ssh_public_blob(key, blob);
	crypto_hash_sha256(hash, blob, sizeof(blob));
	memcpy(tag, hash, FINGERPRINT);
}

/* What both sides know, bound to the SSH key, and of it the key that wraps. */
static bool
ssh_wrapping(const struct ssh_public *key, const unsigned char share[32],
    const unsigned char theirs[32], unsigned char shared[32],
    unsigned char out[32])
{
	unsigned char blob[SSH_ED25519_BLOB], tweak[32], salt[64], both[32];
	bool good;

	ssh_public_blob(key, blob);
	derive(blob, sizeof(blob), "", 0, SSH_LABEL, tweak);
	good = crypto_scalarmult(both, tweak, shared) == 0;
	memcpy(salt, share, 32);
	memcpy(salt + 32, theirs, 32);
	derive(salt, sizeof(salt), both, sizeof(both), SSH_LABEL, out);
	sodium_memzero(both, sizeof(both));
	sodium_memzero(shared, 32);
	return good;
}

static int
ssh_stanza(const struct ssh_public *key, const unsigned char file[KEY],
    struct buf *out, struct err *err)
{
	unsigned char tag[FINGERPRINT], theirs[32], secret[32], share[32];
	unsigned char shared[32], by[32], wrapped[WRAPPED];

	if (crypto_sign_ed25519_pk_to_curve25519(theirs, key->key) != 0)
		return err_set(
		    err, ERR_PARAM, "the SSH key is no point of its curve");
	rand_bytes(secret, sizeof(secret));
	if (crypto_scalarmult_base(share, secret) != 0 ||
	    crypto_scalarmult(shared, secret, theirs) != 0 ||
	    !ssh_wrapping(key, share, theirs, shared, by))
		return err_set(err, ERR_PARAM, "the SSH key is a weak one");
	wrap(by, file, wrapped);
	fingerprint(key, tag);
	buf_addz(out, "-> " SSH_ED25519 " ");
	put_base64(out, tag, sizeof(tag));
	buf_addc(out, ' ');
	put_base64(out, share, sizeof(share));
	buf_addc(out, '\n');
	put_body(out, wrapped, sizeof(wrapped));
	sodium_memzero(secret, sizeof(secret));
	sodium_memzero(by, sizeof(by));
	return 0;
}

static bool
ssh_open(const struct ssh_private *key, const struct str *args, size_t n,
    struct str body, unsigned char file[KEY])
{
	unsigned char tag[FINGERPRINT], is[FINGERPRINT], share[32], secret[32];
	unsigned char ours[32], shared[32], by[32];
	struct ssh_public public;
	bool good;

	ssh_private_public(key, &public);
	fingerprint(&public, tag);
	if (n != 2 || !take_bytes(args[0], is, sizeof(is)) ||
	    memcmp(tag, is, sizeof(tag)) != 0 ||
	    !take_bytes(args[1], share, sizeof(share)))
		return false;
	good = crypto_sign_ed25519_sk_to_curve25519(secret, key->key) == 0 &&
	    crypto_scalarmult_base(ours, secret) == 0 &&
	    crypto_scalarmult(shared, secret, share) == 0 &&
	    ssh_wrapping(&public, share, ours, shared, by) &&
	    unwrap(by, body, file);
	sodium_memzero(secret, sizeof(secret));
	sodium_memzero(by, sizeof(by));
	return good;
}

/* --- by a passphrase ------------------------------------------------------ */

static bool
stretch(struct str passphrase, const unsigned char salt[SALT], unsigned work,
    unsigned char out[32])
{
	unsigned char all[sizeof(SCRYPT_LABEL) - 1 + SALT];

	memcpy(all, SCRYPT_LABEL, sizeof(SCRYPT_LABEL) - 1);
	memcpy(all + sizeof(SCRYPT_LABEL) - 1, salt, SALT);
	return crypto_pwhash_scryptsalsa208sha256_ll(
		   (const uint8_t *)passphrase.ptr, passphrase.len, all,
		   sizeof(all), (uint64_t)1 << work, 8, 1, out, 32) == 0;
}

/* --- the payload ---------------------------------------------------------- */

/* Goes to the next chunk; the first one has the number 0. */
static void
count(unsigned char nonce[NONCE])
{
	for (int i = NONCE - 2; i >= 0 && ++nonce[i] == 0; i--)
		;
}

static void
put_payload(const unsigned char file[KEY], struct str text, struct buf *out)
{
	unsigned char salt[SALT], key[32], nonce[NONCE] = { 0 };
	size_t at = 0;

	rand_bytes(salt, sizeof(salt));
	derive(salt, sizeof(salt), file, KEY, "payload", key);
	buf_add(out, salt, sizeof(salt));
	do {
		size_t n = MIN_OF(text.len - at, (size_t)CHUNK);

		nonce[NONCE - 1] = at + n == text.len;
		buf_reserve(out, n + TAG);
		(void)crypto_aead_chacha20poly1305_ietf_encrypt(
		    (unsigned char *)out->ptr + out->len, NULL,
		    (const unsigned char *)text.ptr + at, n, NULL, 0, NULL,
		    nonce, key);
		out->len += n + TAG;
		at += n;
		count(nonce);
	} while (at < text.len);
	sodium_memzero(key, sizeof(key));
}

static int
take_payload(const unsigned char file[KEY], struct str in, struct buf *out,
    struct err *err)
{
	unsigned char key[32], nonce[NONCE] = { 0 };
	size_t from = out->len, at = SALT;
	bool good = in.len >= SALT + TAG, last = false;

	if (good)
		derive(in.ptr, SALT, file, KEY, "payload", key);
	while (good && !last) {
		size_t n = MIN_OF(in.len - at, (size_t)CHUNK + TAG);

		last = at + n == in.len;
		nonce[NONCE - 1] = last;
		/* only an empty text has an empty last chunk */
		good = n > TAG || (n == TAG && at == SALT);
		if (!good)
			break;
		buf_reserve(out, n);
		good = crypto_aead_chacha20poly1305_ietf_decrypt(
			   (unsigned char *)out->ptr + out->len, NULL, NULL,
			   (const unsigned char *)in.ptr + at, n, NULL, 0,
			   nonce, key) == 0;
		out->len += good ? n - TAG : 0;
		at += n;
		count(nonce);
	}
	sodium_memzero(key, sizeof(key));
	if (good)
		return 0;
	if (out->ptr != NULL)
		sodium_memzero(out->ptr + from, out->len - from);
	out->len = from;
	return err_set(
	    err, ERR_PROTO, "what was encrypted was changed, or is cut off");
}

/* --- writing -------------------------------------------------------------- */

static void
finish(const unsigned char file[KEY], size_t from, struct str text,
    struct buf *out)
{
	unsigned char mac[32];

	buf_addz(out, "---");
	mac_of(file, (struct str){ out->ptr + from, out->len - from }, mac);
	buf_addc(out, ' ');
	put_base64(out, mac, sizeof(mac));
	buf_addc(out, '\n');
	put_payload(file, text, out);
}

int
age_encrypt_ssh(const struct ssh_public *keys, size_t n, struct str text,
    struct buf *out, struct err *err)
{
	unsigned char file[KEY];
	size_t from = out->len;
	int rc = n > 0 && n <= AGE_RECIPIENTS_MAX
	    ? 0
	    : err_set(err, ERR_PARAM, "must be for 1 to %d keys",
		  AGE_RECIPIENTS_MAX);

	rand_bytes(file, sizeof(file));
	buf_addz(out, VERSION "\n");
	for (size_t i = 0; rc == 0 && i < n; i++)
		rc = ssh_stanza(&keys[i], file, out, err);
	if (rc == 0)
		finish(file, from, text, out);
	else
		out->len = from;
	sodium_memzero(file, sizeof(file));
	return rc;
}

int
age_encrypt_passphrase(struct str passphrase, unsigned work, struct str text,
    struct buf *out, struct err *err)
{
	unsigned char file[KEY], salt[SALT], by[32], wrapped[WRAPPED];
	size_t from = out->len;

	if (passphrase.len == 0 || work < 1 || work > AGE_WORK_MAX)
		return err_set(err, ERR_PARAM,
		    "needs a passphrase, and a work factor of 1 to %d",
		    AGE_WORK_MAX);
	rand_bytes(file, sizeof(file));
	rand_bytes(salt, sizeof(salt));
	if (!stretch(passphrase, salt, work, by))
		return err_set(err, ERR_LIMIT, "too little memory for scrypt");
	wrap(by, file, wrapped);
	buf_addz(out, VERSION "\n-> scrypt ");
	put_base64(out, salt, sizeof(salt));
	buf_addf(out, " %u\n", work);
	put_body(out, wrapped, sizeof(wrapped));
	finish(file, from, text, out);
	sodium_memzero(file, sizeof(file));
	sodium_memzero(by, sizeof(by));
	return 0;
}

/* --- reading -------------------------------------------------------------- */

struct opener {
	const struct ssh_private *key; /* NULL: by the passphrase */
	struct str passphrase;
	bool open, too_much, scrypt;
	size_t stanzas;
	unsigned char file[KEY];
};

/* "-> type arg arg": printable letters, one space between two. */
static bool
read_args(struct str line, struct str args[ARGS_MAX], size_t *n)
{
	struct str rest = { line.ptr + 3, line.len - 3 };

	*n = 0;
	while (rest.ptr != NULL) {
		struct str one = str_cut(&rest, ' ');

		if (one.len == 0)
			return false;
		for (size_t i = 0; i < one.len; i++)
			if (one.ptr[i] < 33 || one.ptr[i] > 126)
				return false;
		if (*n < ARGS_MAX)
			args[*n] = one;
		++*n;
	}
	return *n > 0;
}

static bool
read_work(struct str s, unsigned *work)
{
	uint64_t n;

	if (s.len == 0 || s.len > 2 || s.ptr[0] == '0' || !str_to_u64(s, &n))
		return false;
	*work = (unsigned)n;
	return true;
}

static bool
try_stanza(struct opener *o, const struct str *args, size_t n, struct str body)
{
	unsigned char salt[SALT], by[32];
	unsigned work;

	o->stanzas++;
	if (str_eqz(args[0], "scrypt")) {
		o->scrypt = true;
		if (n != 3 || !take_bytes(args[1], salt, sizeof(salt)) ||
		    !read_work(args[2], &work) || body.len != WRAPPED)
			return false;
		if (o->key != NULL || o->open)
			return true;
		o->too_much = work > AGE_WORK_MAX;
		if (!o->too_much && stretch(o->passphrase, salt, work, by))
			o->open = unwrap(by, body, o->file);
		sodium_memzero(by, sizeof(by));
	} else if (str_eqz(args[0], SSH_ED25519) && o->key != NULL &&
	    !o->open && n <= ARGS_MAX) {
		o->open = ssh_open(o->key, args + 1, n - 1, body, o->file);
	}
	return true;
}

/* Takes one line; false: there is none. */
static bool
take_line(struct str *in, struct str *line)
{
	const char *nl = in->len > 0
	    ? memchr(in->ptr, '\n', MIN_OF(in->len, (size_t)HEADER_MAX))
	    : NULL;

	if (nl == NULL)
		return false;
	*line = (struct str){ in->ptr, (size_t)(nl - in->ptr) };
	in->ptr += line->len + 1;
	in->len -= line->len + 1;
	return true;
}

static bool
read_stanza(struct opener *o, struct str line, struct str *in)
{
	struct str args[ARGS_MAX];
	struct buf text = { 0 }, body = { 0 };
	struct str one;
	size_t n;
	bool good = read_args(line, args, &n), last = false;

	while (good && !last) {
		good = take_line(in, &one) && one.len <= COLUMNS &&
		    text.len < HEADER_MAX;
		if (!good)
			break;
		buf_add_str(&text, one);
		last = one.len < COLUMNS;
	}
	good = good &&
	    take_base64(text.len > 0 ? buf_str(&text) : STR(""), &body) &&
	    try_stanza(o, args, n, body.len > 0 ? buf_str(&body) : STR(""));
	buf_free(&text);
	buf_free(&body);
	return good;
}

/* Reads up to the payload, which `*in` is then; the MAC is `mac`'s. */
static bool
read_header(struct opener *o, struct str *in, struct str *covered,
    unsigned char mac[32])
{
	const char *from = in->ptr;
	struct str line;

	if (!take_line(in, &line) || !str_eqz(line, VERSION))
		return false;
	while (take_line(in, &line)) {
		if (in->ptr - from > HEADER_MAX)
			return false;
		if (str_starts(line, STR("--- "))) {
			*covered =
			    (struct str){ from, (size_t)(line.ptr + 3 - from) };
			return o->stanzas > 0 &&
			    (!o->scrypt || o->stanzas == 1) &&
			    take_bytes(
				(struct str){ line.ptr + 4, line.len - 4 }, mac,
				32);
		}
		if (!str_starts(line, STR("-> ")) || !read_stanza(o, line, in))
			return false;
	}
	return false;
}

static int
decrypt(struct opener *o, struct str in, struct buf *out, struct err *err)
{
	unsigned char mac[32], is[32];
	struct str covered;
	int rc;

	if (!read_header(o, &in, &covered, mac))
		return err_set(err, ERR_PROTO, "is no file of age");
	if (o->too_much)
		return err_set(err, ERR_LIMIT,
		    "the passphrase is too expensive to try (over 2^%d)",
		    AGE_WORK_MAX);
	if (!o->open)
		return err_set(err, ERR_DENIED,
		    o->key != NULL ? "is not encrypted for this key"
				   : "the passphrase is wrong");
	mac_of(o->file, covered, is);
	rc = sodium_memcmp(mac, is, sizeof(mac)) == 0
	    ? take_payload(o->file, in, out, err)
	    : err_set(err, ERR_PROTO, "its header was changed");
	sodium_memzero(o->file, sizeof(o->file));
	return rc;
}

int
age_decrypt_ssh(const struct ssh_private *key, struct str file, struct buf *out,
    struct err *err)
{
	struct opener o = { .key = key };

	return decrypt(&o, file, out, err);
}

int
age_decrypt_passphrase(
    struct str passphrase, struct str file, struct buf *out, struct err *err)
{
	struct opener o = { .passphrase = passphrase };

	return decrypt(&o, file, out, err);
}
