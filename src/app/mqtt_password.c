/*
 * app/mqtt_password.c - see mqtt_password.h.
 */
#include "app/mqtt_password.h"

#include "base/file.h"
#include "base/mem.h"
#include "base/rand.h"

#include <errno.h>
#include <fcntl.h>
#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SALT 12 /* as Mosquitto has it */

bool
password_user_ok(struct str user)
{
	if (user.len == 0 || user.len > PASSWORD_USER_MAX ||
	    user.ptr[0] == '#' || !str_is_utf8(user))
		return false;
	for (size_t i = 0; i < user.len; i++)
		if ((unsigned char)user.ptr[i] < 0x20 || user.ptr[i] == ':' ||
		    user.ptr[i] == 0x7f)
			return false;
	return true;
}

/* --- hashes -------------------------------------------------------------- */

static int
read_salt_and_hash(struct str text, struct password *p, struct err *err)
{
	struct str hash = text, salt = str_cut(&hash, '$');
	struct buf b = { 0 };
	int rc = 0;

	if (!base64_decode(&b, salt) || b.len == 0 ||
	    b.len > PASSWORD_SALT_MAX) {
		rc = err_set(err, ERR_PARAM,
		    "the salt is no base64 text of "
		    "1 to 64 bytes");
		goto done;
	}
	memcpy(p->salt, b.ptr, b.len);
	p->salt_len = (uint8_t)b.len;
	buf_clear(&b);
	if (!base64_decode(&b, hash) || b.len != PASSWORD_HASH) {
		rc = err_set(
		    err, ERR_PARAM, "the hash is no base64 text of 64 bytes");
		goto done;
	}
	memcpy(p->hash, b.ptr, PASSWORD_HASH);
done:
	buf_free(&b);
	return rc;
}

int
password_read(struct str text, struct password *ret, struct err *err)
{
	struct password p = { 0 };
	struct str rest = text, number;
	uint64_t n;
	int rc;

	if (str_starts(text, STR("$6$"))) {
		rest.ptr += 3;
		rest.len -= 3;
	} else if (str_starts(text, STR("$7$"))) {
		rest.ptr += 3;
		rest.len -= 3;
		number = str_cut(&rest, '$');
		if (!str_to_u64(number, &n) || n < 1 ||
		    n > PASSWORD_ITERATIONS_MAX)
			return err_set(err, ERR_PARAM,
			    "iterations must be 1 to %d",
			    PASSWORD_ITERATIONS_MAX);
		p.iterations = (uint32_t)n;
	} else {
		return err_set(err, ERR_PARAM,
		    "the password must be hashed as $6$ or $7$; set it with "
		    "`marram mqtt passwd`");
	}
	if (rest.ptr == NULL)
		return err_set(err, ERR_PARAM, "salt and hash must follow");
	rc = read_salt_and_hash(rest, &p, err);
	if (rc == 0)
		*ret = p;
	return rc;
}

static int
sha512(const struct password *p, struct str password, uint8_t *out)
{
	gnutls_hash_hd_t h;
	int rc = gnutls_hash_init(&h, GNUTLS_DIG_SHA512);

	if (rc < 0)
		return rc;
	rc = gnutls_hash(h, password.ptr, password.len);
	if (rc == 0)
		rc = gnutls_hash(h, p->salt, p->salt_len);
	gnutls_hash_deinit(h, out);
	return rc;
}

static int
hash_of(const struct password *p, struct str password, uint8_t *out)
{
	gnutls_datum_t key = { (unsigned char *)password.ptr,
		(unsigned)password.len };
	gnutls_datum_t salt = { (unsigned char *)p->salt, p->salt_len };

	if (p->iterations == 0)
		return sha512(p, password, out);
	return gnutls_pbkdf2(
	    GNUTLS_MAC_SHA512, &key, &salt, p->iterations, out, PASSWORD_HASH);
}

bool
password_fits(const struct password *p, struct str password)
{
	uint8_t out[PASSWORD_HASH];
	bool fits;

	if (password.len > PASSWORD_MAX || hash_of(p, password, out) < 0)
		return false;
	fits = gnutls_memcmp(out, p->hash, PASSWORD_HASH) == 0;
	explicit_bzero(out, sizeof(out));
	return fits;
}

int
password_make(struct str password, uint32_t iterations, struct password *ret,
    struct err *err)
{
	int rc;

	if (password.len == 0)
		return err_set(err, ERR_PARAM, "the password is empty");
	if (password.len > PASSWORD_MAX)
		return err_set(err, ERR_PARAM, "the password is too long");
	*ret = (struct password){ .iterations = iterations, .salt_len = SALT };
	rand_bytes(ret->salt, SALT);
	rc = hash_of(ret, password, ret->hash);
	if (rc < 0)
		return err_set(
		    err, ERR_INTERNAL, "hash: %s", gnutls_strerror(rc));
	return 0;
}

void
password_put(const struct password *p, struct buf *out)
{
	if (p->iterations == 0)
		buf_addz(out, "$6$");
	else
		buf_addf(out, "$7$%" PRIu32 "$", p->iterations);
	base64_encode(out, p->salt, p->salt_len, false);
	buf_addc(out, '$');
	base64_encode(out, p->hash, PASSWORD_HASH, false);
}

/* --- files --------------------------------------------------------------- */

int
password_lines(struct str file,
    int (*each)(
	void *ctx, int no, struct str user, struct str rest, struct err *err),
    void *ctx, struct err *err)
{
	for (int no = 1; file.ptr != NULL; no++) {
		struct str rest = str_trim(str_cut(&file, '\n')), user;
		int rc = 0;

		if (rest.len == 0 || rest.ptr[0] == '#')
			continue;
		user = str_cut(&rest, ':');
		if (rest.ptr == NULL)
			rc = err_set(err, ERR_PARAM, "there is no colon");
		else if (!password_user_ok(user))
			rc = err_set(err, ERR_PARAM, "this is no user name");
		else
			rc = each(ctx, no, user, rest, err);
		if (rc != 0)
			return err_wrap(err, "line %d", no);
	}
	return 0;
}

/* The file's text with the user's line replaced, added or left out. */
static bool
change(
    struct str text, struct str user, const struct password *p, struct buf *out)
{
	bool found = false;

	while (text.len > 0) {
		struct str line = str_cut(&text, '\n'), rest = str_trim(line);
		bool is_comment = rest.len > 0 && rest.ptr[0] == '#';

		if (is_comment || !str_eq(str_cut(&rest, ':'), user) ||
		    rest.ptr == NULL) {
			buf_add_str(out, line);
			buf_addc(out, '\n');
			continue;
		}
		if (p != NULL && !found) {
			buf_addf(out, STR_FMT ":", STR_ARG(user));
			password_put(p, out);
			buf_addc(out, '\n');
		}
		found = true;
	}
	if (p != NULL && !found) {
		buf_addf(out, STR_FMT ":", STR_ARG(user));
		password_put(p, out);
		buf_addc(out, '\n');
	}
	return found;
}

/* So that the new name is there after the power was cut, too. */
static int
sync_folder_of(const char *path, struct err *err)
{
	const char *slash = strrchr(path, '/');
	char *dir = slash == NULL ? mem_printf(".")
	    : slash == path       ? mem_printf("/")
			    : mem_printf("%.*s", (int)(slash - path), path);
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC), rc = 0;

	if (fd < 0 || fsync(fd) < 0)
		rc = err_errno(err, "flush the folder %s", dir);
	if (fd >= 0)
		close(fd);
	free(dir);
	return rc;
}

static int
replace_file(const char *path, struct str text, struct err *err)
{
	char *temp = mem_printf("%s.XXXXXX", path);
	struct stat st;
	int fd = mkostemp(temp, O_CLOEXEC), rc = 0; /* with mode 0600 */

	if (fd < 0) {
		rc = err_errno(err, "create %s", temp);
		goto done;
	}
	/* root keeps the server's account as the owner */
	if (stat(path, &st) == 0 && geteuid() == 0 &&
	    fchown(fd, st.st_uid, st.st_gid) < 0)
		rc = err_errno(err, "give %s its owner", temp);
	else if (file_write_all(fd, text) < 0 || fsync(fd) < 0)
		rc = err_errno(err, "write %s", temp);
	else if (rename(temp, path) < 0)
		rc = err_errno(err, "rename %s to %s", temp, path);
	if (rc != 0)
		unlink(temp);
	close(fd);
	if (rc == 0)
		rc = sync_folder_of(path, err);
done:
	free(temp);
	return rc;
}

int
password_file_set(const char *path, struct str user, const struct password *p,
    struct err *err)
{
	struct buf was = { 0 }, now = { 0 };
	int rc = 0;

	if (access(path, F_OK) == 0)
		rc = file_read(path, &was, err);
	else if (errno != ENOENT)
		rc = err_errno(err, "open %s", path);
	if (rc != 0)
		goto done;
	if (!change(buf_str(&was), user, p, &now) && p == NULL)
		rc = err_set(err, ERR_NOT_FOUND,
		    "%s has no user \"" STR_FMT "\"", path, STR_ARG(user));
	else
		rc = replace_file(path, buf_str(&now), err);
done:
	buf_free(&was);
	buf_free(&now);
	return rc;
}
