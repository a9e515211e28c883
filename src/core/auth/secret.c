/*
 * core/auth/secret.c - passwords and tokens: how they are kept and compared,
 * and who has guessed too often.
 */
#include "core/auth/private.h"

#include "base/mem.h"
#include "base/rand.h"

#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#define PBKDF2_ROUNDS 10000
#define KEY_PREFIX "sha256$"

struct str
auth_secret(struct arena *arena)
{
	unsigned char raw[32];
	struct buf b = { 0 };
	struct str s;

	rand_bytes(raw, sizeof(raw));
	hex_encode(&b, raw, sizeof(raw));
	s = arena_str(arena, buf_str(&b));
	buf_free(&b);
	return s;
}

struct str
auth_hash(struct arena *arena, struct str secret)
{
	unsigned char hash[crypto_hash_sha256_BYTES];
	struct buf b = { 0 };
	struct str s;

	crypto_hash_sha256(hash, (const unsigned char *)secret.ptr, secret.len);
	buf_addz(&b, KEY_PREFIX);
	base64_encode(&b, hash, sizeof(hash), true);
	s = arena_str(arena, buf_str(&b));
	buf_free(&b);
	return s;
}

struct str
auth_key(struct auth *a, struct arena *arena, struct str secret)
{
	return a->conf.shared_database ? secret : auth_hash(arena, secret);
}

void
auth_key_filter(struct auth *a, struct arena *arena, struct filter *f,
    const char *field, struct str secret)
{
	struct value *both = arena_array(arena, 2, struct value);
	size_t n = 0;

	both[n++] = value_text(auth_key(a, arena, secret));
	/* Rows of an upstream database hold tokens in clear. What we keep is
	 * no 64 hex digits, so a stolen key is never taken for a token. */
	if (secret.len == 64 && str_is_hex(secret))
		both[n++] = value_text(secret);
	filter_in(f, field, both, n);
}

static void
pbkdf2(struct str password, struct str salt, struct buf *hex)
{
	gnutls_datum_t key = { (unsigned char *)password.ptr,
		(unsigned)password.len };
	gnutls_datum_t with = { (unsigned char *)salt.ptr, (unsigned)salt.len };
	unsigned char out[32];

	if (gnutls_pbkdf2(GNUTLS_MAC_SHA256, &key, &with, PBKDF2_ROUNDS, out,
		sizeof(out)) == 0)
		hex_encode(hex, out, sizeof(out));
	sodium_memzero(out, sizeof(out));
}

int
auth_password_set(struct auth *a, struct arena *arena, struct auth_user *u,
    struct str password, struct err *err)
{
	char text[crypto_pwhash_STRBYTES], salt[9];
	struct buf hex = { 0 };

	if (a->conf.shared_database) {
		rand_text(salt, sizeof(salt) - 1);
		u->salt = arena_str(arena, str_of(salt));
		pbkdf2(password, u->salt, &hex);
		u->password = arena_str(arena, buf_str(&hex));
		buf_free(&hex);
		return u->password.len > 0
		    ? 0
		    : err_set(err, ERR_INTERNAL, "PBKDF2 failed");
	}
	if (crypto_pwhash_str(text, password.ptr, password.len,
		crypto_pwhash_OPSLIMIT_INTERACTIVE,
		crypto_pwhash_MEMLIMIT_INTERACTIVE) != 0)
		return err_set(
		    err, ERR_LIMIT, "not enough memory to hash a password");
	u->password = arena_str(arena, str_of(text));
	u->salt = STR("");
	return 0;
}

bool
auth_password_is(const struct auth_user *u, struct str password, bool *old)
{
	struct buf hex = { 0 };
	char *kept;
	bool same;

	*old = false;
	if (str_starts(u->password, STR("$argon2"))) {
		kept = str_dupz(u->password);
		same = crypto_pwhash_str_verify(
			   kept, password.ptr, password.len) == 0;
		free(kept);
		return same;
	}
	pbkdf2(password, u->salt, &hex);
	same = hex.len == 64 && u->password.len == 64 &&
	    sodium_memcmp(hex.ptr, u->password.ptr, 64) == 0;
	buf_free(&hex);
	*old = same;
	return same;
}

void
auth_password_waste(const struct auth *a, struct str password)
{
	/* of 32 random bytes that nobody kept */
	struct auth_user nobody = {
		.password = STR("$argon2id$v=19$m=65536,t=2,p=1$"
				"go9ori1FflAExE5rtKsEQQ$"
				"yN+uuHcZUFJFiOoc2CFLTAlgreYa2HRDSHBZWmmJo/E"),
	};
	bool old;

	if (a->conf.shared_database) {
		nobody.password = STR("-");
		nobody.salt = STR("00000000");
	}
	(void)auth_password_is(&nobody, password, &old);
}

/* --- who has failed too often -------------------------------------------- */

#define ADDRESSES_MAX 4096

struct failure {
	int64_t since; /* of this minute */
	uint32_t n;
	char address[]; /* the key */
};

struct auth_failures {
	pthread_mutex_t lock;
	_Atomic uint32_t per_minute;
	struct map map;
};

struct auth_failures *
auth_failures_new(void)
{
	struct auth_failures *f = mem_new(struct auth_failures);

	pthread_mutex_init(&f->lock, NULL);
	return f;
}

void
auth_failures_limit(struct auth_failures *f, uint32_t per_minute)
{
	f->per_minute = per_minute;
}

static void
forget_all(struct auth_failures *f)
{
	struct failure *x;
	size_t pos = 0;

	while ((x = map_next(&f->map, &pos)) != NULL)
		free(x);
	map_fini(&f->map);
}

void
auth_failures_free(struct auth_failures *f)
{
	if (f == NULL)
		return;
	forget_all(f);
	pthread_mutex_destroy(&f->lock);
	free(f);
}

/* "address:port" without its port. */
static struct str
address_of(struct str remote)
{
	while (remote.len > 0 && remote.ptr[remote.len - 1] != ':')
		remote.len--;
	if (remote.len > 0)
		remote.len--;
	return remote;
}

bool
auth_may_try(struct auth *a, struct str remote)
{
	struct auth_failures *f = a->failures;
	struct failure *x;
	bool may = true;

	if (f->per_minute == 0)
		return true;
	pthread_mutex_lock(&f->lock);
	x = map_get(&f->map, address_of(remote));
	if (x != NULL && clock_mono() - x->since < 60000)
		may = x->n < f->per_minute;
	pthread_mutex_unlock(&f->lock);
	return may;
}

void
auth_failed(struct auth *a, struct str remote)
{
	struct auth_failures *f = a->failures;
	struct str address = address_of(remote);
	struct failure *x;

	if (f->per_minute == 0)
		return;
	pthread_mutex_lock(&f->lock);
	x = map_get(&f->map, address);
	if (x == NULL) {
		if (f->map.n >= ADDRESSES_MAX)
			forget_all(f); /* better than to grow or to lock out */
		x = mem_alloc(sizeof(*x) + address.len + 1);
		memcpy(x->address, address.ptr, address.len);
		x->since = clock_mono();
		map_put(&f->map, (struct str){ x->address, address.len }, x);
	}
	if (clock_mono() - x->since >= 60000) {
		x->since = clock_mono();
		x->n = 0;
	}
	x->n++;
	pthread_mutex_unlock(&f->lock);
}
