/*
 * edge/fleet/secret.c - secrets that the platform sends, on this device.
 *
 * Each comes as a file of age for our SSH host key. A secret has its owner and
 * mode before it has its content, and takes the place of the old one at once;
 * what is not sent any more is removed. The message is kept, sealed as it came,
 * so that a device that starts without the platform has its secrets, too.
 */
#include "edge/fleet/private.h"

#include "base/base.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "codec/age.h"
#include "codec/json.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define LOG_MODULE "fleet"
#define MESSAGE "thymis-secrets-message.json"
#define INITIAL "thymis-secrets-initial.json"
#define PLACED "placed"
#define PASSWORD "/run/thymis/root_password_hash"
#define SECRETS_MAX 1000

struct info {
	struct str id, path, owner, group, mode;
};

/* --- one file ------------------------------------------------------------- */

static bool
path_is_good(struct str path)
{
	struct str rest = path;

	if (path.len < 2 || path.len > 3000 || path.ptr[0] != '/' ||
	    path.ptr[path.len - 1] == '/' ||
	    memchr(path.ptr, '\0', path.len) != NULL)
		return false;
	while (rest.ptr != NULL) {
		struct str part = str_cut(&rest, '/');

		if (str_eqz(part, "..") || str_eqz(part, "."))
			return false;
	}
	return true;
}

static int
find_owner(struct arena *a, const struct info *i, uid_t *uid, gid_t *gid,
    struct err *err)
{
	const struct passwd *p;
	const struct group *g;
	int64_t n;

	*uid = (uid_t)-1;
	*gid = (gid_t)-1;
	if (i->owner.len > 0 && str_to_i64(i->owner, &n)) {
		*uid = (uid_t)n;
	} else if (i->owner.len > 0) {
		p = getpwnam(arena_z(a, i->owner));
		if (p == NULL)
			return err_set(err, ERR_NOT_FOUND,
			    "there is no user " STR_FMT, STR_ARG(i->owner));
		*uid = p->pw_uid;
	}
	if (i->group.len > 0 && str_to_i64(i->group, &n)) {
		*gid = (gid_t)n;
	} else if (i->group.len > 0) {
		g = getgrnam(arena_z(a, i->group));
		if (g == NULL)
			return err_set(err, ERR_NOT_FOUND,
			    "there is no group " STR_FMT, STR_ARG(i->group));
		*gid = g->gr_gid;
	}
	return 0;
}

static int
read_mode(struct str text, mode_t *mode, struct err *err)
{
	unsigned m = 0;

	*mode = 0400;
	if (text.len == 0)
		return 0;
	for (size_t i = 0; i < text.len; i++) {
		if (text.ptr[i] < '0' || text.ptr[i] > '7' || text.len > 5)
			return err_set(
			    err, ERR_PARAM, "mode: must be octal, as 0400");
		m = m * 8 + (unsigned)(text.ptr[i] - '0');
	}
	*mode = (mode_t)(m & 07777);
	return 0;
}

static void
make_folders(char *path)
{
	for (char *at = path + 1; (at = strchr(at, '/')) != NULL; at++) {
		*at = '\0';
		(void)mkdir(path, 0755);
		*at = '/';
	}
}

static int
write_all(int fd, struct str text)
{
	while (text.len > 0) {
		ssize_t n = write(fd, text.ptr, text.len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return -1;
		text.ptr += n;
		text.len -= (size_t)n;
	}
	return 0;
}

static int
place(const struct fleet_conf *c, struct arena *a, const struct info *i,
    struct str value, struct err *err)
{
	char *path = arena_z(
	    a, arena_printf(a, "%s" STR_FMT, c->root, STR_ARG(i->path)));
	char *temp = arena_z(a, arena_printf(a, "%s.XXXXXX", path));
	uid_t uid;
	gid_t gid;
	mode_t mode;
	int fd, rc;

	if (!path_is_good(i->path))
		return err_set(err, ERR_PARAM, "its path is none");
	rc = find_owner(a, i, &uid, &gid, err);
	if (rc == 0)
		rc = read_mode(i->mode, &mode, err);
	if (rc != 0)
		return rc;
	make_folders(path);
	fd = mkostemp(temp, O_CLOEXEC); /* mode 0600 */
	if (fd < 0)
		return err_errno(err, "create %s", temp);
	if (((uid != (uid_t)-1 || gid != (gid_t)-1) &&
		fchown(fd, uid, gid) < 0) ||
	    fchmod(fd, mode) < 0 || write_all(fd, value) < 0 || fsync(fd) < 0 ||
	    rename(temp, path) < 0) {
		rc = err_errno(err, "place %s", path);
		(void)unlink(temp);
	}
	close(fd);
	return rc;
}

/* --- root's password ------------------------------------------------------ */

static void
password_set(void *ctx, const struct child_end *end)
{
	(void)ctx;
	if (end->status != 0)
		log_warn("chpasswd has not taken root's password: " STR_FMT,
		    STR_ARG(str_trim(end->err)));
}

static void
set_password(struct fleet_agent *f, struct str hash)
{
	static const char *const argv[] = { "chpasswd", "-e", NULL };
	struct arena a = { 0 };
	const struct child_conf conf = { .argv = argv,
		.input = arena_printf(
		    &a, "root:" STR_FMT "\n", STR_ARG(str_trim(hash))),
		.timeout_ms = 10000 };
	struct child *child;
	struct err err;

	if (f->conf.root[0] != '\0')
		return; /* of another root it is not ours to set */
	if (memchr(hash.ptr, '\n', str_trim(hash).len) != NULL ||
	    child_start(
		f->conf.loop, &conf, password_set, NULL, &child, &err) != 0)
		log_warn("root's password could not be set");
	arena_fini(&a);
}

/* --- what was placed before ----------------------------------------------- */

static const char *
placed_file(const struct fleet_conf *c, struct arena *a)
{
	return arena_printf(a, "%s/" PLACED, c->data_dir).ptr;
}

static bool
is_among(const struct info *infos, size_t n, struct str path)
{
	for (size_t i = 0; i < n; i++)
		if (str_eq(infos[i].path, path))
			return true;
	return false;
}

/* A crash may leave more in the list than there is, never less. */
static int
note_placed(const struct fleet_conf *c, struct arena *a,
    const struct info *infos, size_t n, bool all, struct err *err)
{
	struct buf old = { 0 }, lines = { 0 };
	struct str rest;
	int rc;

	(void)file_read(placed_file(c, a), &old, NULL);
	rest = old.len > 0 ? buf_str(&old) : STR("");
	for (size_t i = 0; i < n; i++)
		if (path_is_good(infos[i].path))
			buf_addf(&lines, STR_FMT "\n", STR_ARG(infos[i].path));
	while (rest.ptr != NULL && rest.len > 0) {
		struct str path = str_cut(&rest, '\n');

		if (!path_is_good(path) || is_among(infos, n, path))
			continue;
		if (all)
			buf_addf(&lines, STR_FMT "\n", STR_ARG(path));
		else
			(void)unlink(arena_printf(
			    a, "%s" STR_FMT, c->root, STR_ARG(path))
					 .ptr);
	}
	rc = file_write(
	    placed_file(c, a), lines.len > 0 ? buf_str(&lines) : STR(""), err);
	buf_free(&old);
	buf_free(&lines);
	return rc;
}

/* --- a message ------------------------------------------------------------ */

static size_t
read_infos(struct str json, struct arena *a, struct info *infos)
{
	struct str key;
	struct json j;
	size_t n = 0;

	json_open(&j, json, 0, a);
	if (!json_array(&j))
		return 0;
	while (n < SECRETS_MAX && json_item(&j)) {
		struct info i = { 0 };

		if (!json_object(&j))
			break;
		while (json_member(&j, &key)) {
			struct str *to = str_eqz(key, "secret_id") ? &i.id
			    : str_eqz(key, "path")                 ? &i.path
			    : str_eqz(key, "owner")                ? &i.owner
			    : str_eqz(key, "group")                ? &i.group
			    : str_eqz(key, "mode")                 ? &i.mode
								   : NULL;

			if (to == NULL || json_peek(&j) != JSON_STRING)
				json_skip(&j);
			else
				json_str(&j, to);
		}
		if (i.id.len > 0 && i.path.len > 0)
			infos[n++] = i;
	}
	return n;
}

static int
read_host_key(const char *path, struct ssh_private *key, struct err *err)
{
	struct buf text = { 0 };
	int rc = file_read(path, &text, err);

	if (rc == 0 && ssh_private_read(buf_str(&text), key, err) != 0)
		rc = err_wrap(err, "%s", path);
	if (text.ptr != NULL)
		sodium_memzero(text.ptr, text.cap);
	buf_free(&text);
	return rc;
}

int
secret_unseal(
    const char *key_file, const char *file, struct buf *out, struct err *err)
{
	struct ssh_private key;
	struct buf sealed = { 0 };
	int rc = read_host_key(key_file, &key, err);

	if (rc == 0)
		rc = file_read(file, &sealed, err);
	if (rc == 0)
		rc = age_decrypt_ssh(&key,
		    sealed.len > 0 ? buf_str(&sealed) : STR(""), out, err);
	sodium_memzero(&key, sizeof(key));
	buf_free(&sealed);
	return rc;
}

/* Opens one; with a passphrase: by that. */
static int
open_one(struct arena *a, struct str secrets, const struct info *i,
    const struct ssh_private *key, struct str passphrase, struct buf *out,
    struct err *err)
{
	struct str json = json_find(a, secrets, i->id), text;
	struct buf sealed = { 0 };
	struct json j;
	int rc;

	json_open(&j, json, 0, a);
	if (json.ptr == NULL || !json_str(&j, &text) ||
	    !base64_decode(&sealed, text))
		rc = err_set(err, ERR_PROTO, "it did not come along");
	else if (key != NULL)
		rc = age_decrypt_ssh(key, buf_str(&sealed), out, err);
	else
		rc = age_decrypt_passphrase(
		    passphrase, buf_str(&sealed), out, err);
	buf_free(&sealed);
	return rc;
}

static int
take(struct fleet_agent *f, struct str secrets, struct str list,
    struct str passphrase, struct err *err)
{
	const struct fleet_conf *c = &f->conf;
	struct arena a = { 0 };
	struct info *infos = arena_array(&a, SECRETS_MAX, struct info);
	size_t n = read_infos(list, &a, infos);
	struct ssh_private key;
	struct err why;
	int rc =
	    passphrase.ptr == NULL ? read_host_key(c->host_key, &key, err) : 0;

	if (rc == 0)
		rc = note_placed(c, &a, infos, n, true, err);
	for (size_t i = 0; rc == 0 && i < n; i++) {
		struct buf value = { 0 };
		struct str text;
		int one = open_one(&a, secrets, &infos[i],
		    passphrase.ptr == NULL ? &key : NULL, passphrase, &value,
		    &why);

		text = value.len > 0 ? buf_str(&value) : STR("");
		if (one == 0)
			one = place(c, &a, &infos[i], text, &why);
		if (one == 0 && str_eqz(infos[i].path, PASSWORD))
			set_password(f, text);
		if (one != 0)
			log_error("secret for " STR_FMT ": %s",
			    STR_ARG(infos[i].path), why.text);
		if (value.ptr != NULL)
			sodium_memzero(value.ptr, value.cap);
		buf_free(&value);
	}
	if (rc == 0)
		rc = note_placed(c, &a, infos, n, false, err);
	sodium_memzero(&key, sizeof(key));
	arena_fini(&a);
	return rc;
}

int
secrets_take(
    struct fleet_agent *f, const struct relay_message *m, struct err *err)
{
	struct arena a = { 0 };
	struct buf text = { 0 };
	const char *dir =
	    f->conf.boot_dir[0] != '\0' ? f->conf.boot_dir : f->conf.data_dir;
	int rc;

	relay_write(m, &text);
	rc = file_write(
	    arena_printf(&a, "%s/" MESSAGE, dir).ptr, buf_str(&text), err);
	if (rc == 0)
		rc = take(f, m->secrets, m->secret_infos, STR_NULL, err);
	buf_free(&text);
	arena_fini(&a);
	return rc;
}

/* Of an image: opened by the token. */
static void
take_initial(struct fleet_agent *f, struct arena *a)
{
	struct buf text = { 0 };
	struct str secrets, infos, token;
	struct err err;

	if (file_read(kept_path(&f->conf, a, INITIAL), &text, NULL) != 0)
		return;
	secrets = json_find(a, buf_str(&text), STR("secrets"));
	infos = json_find(a, buf_str(&text), STR("secret_infos"));
	token = str_of(f->token);
	if (secrets.ptr != NULL && infos.ptr != NULL &&
	    take(f, secrets, infos, token, &err) != 0)
		log_error("the secrets of the image: %s", err.text);
	buf_free(&text);
}

void
secrets_again(struct fleet_agent *f)
{
	struct arena a = { 0 };
	struct buf text = { 0 };
	struct relay_message m;
	struct err err;

	if (file_read(kept_path(&f->conf, &a, MESSAGE), &text, NULL) != 0) {
		take_initial(f, &a);
	} else if (relay_read(buf_str(&text), false, &a, &m, &err) != 0 ||
	    m.kind != RELAY_SECRETS ||
	    take(f, m.secrets, m.secret_infos, STR_NULL, &err) != 0) {
		log_error("the secrets that were kept: %s", err.text);
	}
	buf_free(&text);
	arena_fini(&a);
}
