/*
 * edge/mosquitto.c - see mosquitto.h.
 */
#include "edge/mosquitto.h"

#include "base/base.h"
#include "base/file.h"
#include "base/mem.h"
#include "edge/program.h"

#include <dirent.h>
#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FOLDER "mosquitto-conf"
#define ENDING "-bridge.conf"
#define MESSAGE_MAX 268435455

/* --- settings ------------------------------------------------------------ */

bool
mosquitto_is_used(const struct config *c)
{
	struct str host = config_text(c, "mqtt.client.host");

	return !config_bool(c, "mqtt.broker.built_in") &&
	    (str_eqz(host, "localhost") || str_eqz(host, "::1") ||
		str_starts(host, STR("127.")));
}

bool
mosquitto_bridges(const struct config *c)
{
	return !config_bool(c, "mqtt.bridge.built_in");
}

int
mosquitto_version(struct buf *out, struct err *err)
{
	static const char *const argv[] = { "mosquitto", "-h", NULL };
	struct buf said = { 0 };
	struct str rest, word = STR_NULL;
	int rc = program_run(argv, &said, err);

	/* It ends with 3 when it was only asked: what it says counts. */
	rest = buf_str(&said);
	rest = str_cut(&rest, '\n'); /* mosquitto version 2.0.11 */
	while (rest.ptr != NULL && rest.len > 0)
		word = str_cut(&rest, ' ');
	if (rc == ERR_NOT_FOUND || word.len == 0 || *word.ptr < '0' ||
	    *word.ptr > '9') {
		buf_free(&said);
		return err_set(
		    err, ERR_NOT_FOUND, "mosquitto is not installed");
	}
	buf_add_str(out, word);
	buf_free(&said);
	return 0;
}

/* --- what the files hold ------------------------------------------------- */

static void
add_line(struct buf *out, const char *word, struct str value)
{
	if (value.len > 0)
		buf_addf(out, "%s " STR_FMT "\n", word, STR_ARG(value));
}

static bool
is_folder(struct str path)
{
	char *z = str_dupz(path);
	struct stat st;
	bool is = z != NULL && stat(z, &st) == 0 && S_ISDIR(st.st_mode);

	free(z);
	return is;
}

/* "capath DIR" or "cafile FILE", with a word in front. */
static void
add_trust(struct buf *out, const char *prefix, struct str path)
{
	if (path.len > 0)
		buf_addf(out, "%s%s " STR_FMT "\n", prefix,
		    is_folder(path) ? "capath" : "cafile", STR_ARG(path));
}

static void
add_outside(const struct config *c, struct buf *out)
{
	struct str ca = config_text(c, "mqtt.external.ca_path");
	struct str address = config_text(c, "mqtt.external.bind.address");

	buf_addf(out, "listener %d%s" STR_FMT "\n",
	    (int)config_int(c, "mqtt.external.bind.port"),
	    address.len > 0 ? " " : "", STR_ARG(address));
	buf_addf(out, "allow_anonymous %s\n", ca.len > 0 ? "false" : "true");
	buf_addf(
	    out, "require_certificate %s\n", ca.len > 0 ? "true" : "false");
	add_line(out, "bind_interface",
	    config_text(c, "mqtt.external.bind.interface"));
	add_trust(out, "", ca);
	add_line(out, "certfile", config_text(c, "mqtt.external.cert_file"));
	add_line(out, "keyfile", config_text(c, "mqtt.external.key_file"));
}

void
mosquitto_common_text(const struct config *c, struct buf *out)
{
	static const char *const kinds[] = { "error", "warning", "notice",
		"information", "subscribe", "unsubscribe" };

	buf_addz(out, "per_listener_settings true\nconnection_messages true\n");
	for (size_t i = 0; i < COUNT_OF(kinds); i++)
		buf_addf(out, "log_type %s\n", kinds[i]);
	buf_addf(out, "message_size_limit %d\n", MESSAGE_MAX);
	if (config_bool(c, "mqtt.bind.enabled"))
		buf_addf(out,
		    "listener %d " STR_FMT "\nallow_anonymous true\n"
		    "require_certificate false\n",
		    (int)config_int(c, "mqtt.bind.port"),
		    STR_ARG(config_text(c, "mqtt.bind.address")));
	if (config_int(c, "mqtt.external.bind.port") > 0)
		add_outside(c, out);
}

/* local_cleansession came with 2.0. */
static bool
says_local_session(const struct bridge_plan *p, struct str version)
{
	struct str word;
	uint64_t major;

	if (strcmp(p->cloud.name, "c8y") != 0)
		return false;
	word = cloud_text(&p->cloud, "bridge.include.local_cleansession");
	if (!str_eqz(word, "auto"))
		return str_eqz(word, "true");
	return str_to_u64(str_cut(&version, '.'), &major) && major >= 2;
}

void
mosquitto_bridge_text(
    const struct bridge_plan *p, struct str version, struct buf *out)
{
	struct arena a = { 0 };
	struct str profile = p->cloud.profile;
	const char *at = profile.len > 0 ? "@" : "";

	buf_addf(out, "connection edge_to_%s\n", p->label);
	buf_addf(out, "address %s:%u\n", p->host, p->port);
	if (p->tls)
		add_trust(out, "bridge_", str_of(p->ca_path));
	buf_addf(out, "remote_clientid %s\n", p->device_id);
	buf_addf(out, "local_clientid %s%s" STR_FMT "\n", p->client, at,
	    STR_ARG(profile));
	add_line(out, "remote_username", str_of(p->user));
	add_line(out, "remote_password", str_of(p->password));
	add_line(out, "bridge_certfile", str_of(p->cert_file));
	add_line(out, "bridge_keyfile", str_of(p->key_file));
	buf_addz(out, "try_private false\nstart_type automatic\n");
	buf_addf(out, "cleansession %s\n", p->forget_remote ? "true" : "false");
	if (says_local_session(p, version))
		buf_addz(out, "local_cleansession false\n");
	buf_addz(out, "notifications true\nnotifications_local_only true\n");
	add_line(out, "notification_topic", bridge_health_topic(p, false, &a));
	buf_addz(out, "bridge_attempt_unsubscribe false\n");
	buf_addf(out, "keepalive_interval %u\n\n### Topics\n", p->keepalive_s);
	bridge_plan_rules(p, out);
	arena_fini(&a);
}

/* --- where they lie ------------------------------------------------------ */

struct str
mosquitto_bridge_file(const struct cloud *cloud, struct arena *a)
{
	struct str profile = cloud->profile;

	return arena_printf(a, "%s/" FOLDER "/%s%s" STR_FMT ENDING,
	    config_dir(cloud->config), cloud->name, profile.len > 0 ? "@" : "",
	    STR_ARG(profile));
}

bool
mosquitto_is_connected(const struct cloud *cloud)
{
	struct arena a = { 0 };
	bool is = access(mosquitto_bridge_file(cloud, &a).ptr, F_OK) == 0;

	arena_fini(&a);
	return is;
}

/* Of a machine where there is no such user it stays ours. */
static void
give_to_mosquitto(const char *path)
{
	const struct passwd *user;

	if (geteuid() != 0 || (user = getpwnam("mosquitto")) == NULL)
		return;
	/* else it can still read what is not secret */
	(void)file_give(path, user->pw_uid, user->pw_gid, NULL);
}

static int
make_folder(const struct config *c, struct err *err)
{
	char *path = mem_printf("%s/" FOLDER, config_dir(c));
	int rc = 0;

	if (mkdir(path, 0755) < 0 && errno != EEXIST)
		rc = err_errno(err, "make the folder %s", path);
	free(path);
	return rc;
}

static int
put_file(const struct config *c, const char *path, struct str text, bool secret,
    bool *changed, struct err *err)
{
	struct buf before = { 0 };
	struct err ignored;
	int rc = make_folder(c, err);
	bool same = file_read(path, &before, &ignored) == 0 &&
	    str_eq(buf_str(&before), text);

	buf_free(&before);
	if (changed != NULL)
		*changed = !same;
	if (rc != 0 || same)
		return rc;
	rc = file_write(path, text, err);
	if (rc == 0 && !secret && chmod(path, 0644) < 0)
		rc = err_errno(err, "make %s readable", path);
	if (rc == 0)
		give_to_mosquitto(path);
	return rc;
}

int
mosquitto_write_common(const struct config *c, bool *changed, struct err *err)
{
	char *path =
	    mem_printf("%s/" FOLDER "/tedge-mosquitto.conf", config_dir(c));
	struct buf text = { 0 };
	int rc;

	mosquitto_common_text(c, &text);
	rc = put_file(c, path, buf_str(&text), false, changed, err);
	buf_free(&text);
	free(path);
	return rc;
}

int
mosquitto_write_bridge(const struct bridge_plan *p, struct err *err)
{
	const struct config *c = p->cloud.config;
	struct buf text = { 0 }, version = { 0 };
	struct arena a = { 0 };
	struct err ignored;
	int rc;

	if (mosquitto_bridges(c)) {
		(void)mosquitto_version(&version, &ignored);
		mosquitto_bridge_text(p, buf_str(&version), &text);
	} else {
		buf_addf(&text, "# The bridge to %s is built in: %s runs it.\n",
		    p->title, p->mapper);
	}
	rc = put_file(c, mosquitto_bridge_file(&p->cloud, &a).ptr,
	    buf_str(&text), mosquitto_bridges(c) && p->password != NULL, NULL,
	    err);
	buf_free(&text);
	buf_free(&version);
	arena_fini(&a);
	return rc;
}

int
mosquitto_remove_bridge(const struct cloud *cloud, struct err *err)
{
	struct arena a = { 0 };
	const char *path = mosquitto_bridge_file(cloud, &a).ptr;
	int rc = 0;

	if (unlink(path) < 0)
		rc = errno == ENOENT
		    ? err_set(err, ERR_NOT_FOUND, "there is no %s", path)
		    : err_errno(err, "remove %s", path);
	arena_fini(&a);
	return rc;
}

/* "c8y@p-bridge.conf": its cloud; the profile is lent. */
static bool
cloud_of_file(const struct config *c, const char *file, struct cloud *ret)
{
	static const char *const names[] = { "c8y", "az", "aws", "marram" };
	struct str name = str_of(file), rest;

	if (!str_ends(name, STR(ENDING)))
		return false;
	name.len -= strlen(ENDING);
	rest = name;
	name = str_cut(&rest, '@');
	for (size_t i = 0; i < COUNT_OF(names); i++)
		if (str_eqz(name, names[i])) {
			*ret = (struct cloud){ c, names[i], rest };
			return true;
		}
	return false;
}

static int
by_name(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

void
mosquitto_each_bridge(const struct config *c,
    void (*each)(void *ctx, const struct cloud *cloud), void *ctx)
{
	char *path = mem_printf("%s/" FOLDER, config_dir(c));
	struct dirent **found = NULL;
	int n = scandir(path, &found, NULL, by_name);

	for (int i = 0; i < n; i++) {
		struct cloud cloud;

		if (cloud_of_file(c, found[i]->d_name, &cloud))
			each(ctx, &cloud);
		free(found[i]);
	}
	free(found);
	free(path);
}

/* --- Mosquitto's own file ------------------------------------------------ */

/* The text with `line` before the first include_dir, or at its end. False: it
 * has the line. */
static bool
with_include(struct str text, struct str line, struct buf *out)
{
	struct str rest = text;
	bool done = false;

	while (rest.len > 0) {
		struct str one = str_cut(&rest, '\n');

		if (str_eq(str_trim(one), line))
			return false;
		if (!done && str_starts(str_trim(one), STR("include_dir "))) {
			buf_addf(out, STR_FMT "\n", STR_ARG(line));
			done = true;
		}
		buf_addf(out, STR_FMT "\n", STR_ARG(one));
	}
	if (!done)
		buf_addf(out, STR_FMT "\n", STR_ARG(line));
	return true;
}

int
mosquitto_include(const struct config *c, struct err *err)
{
	char *path = str_dupz(config_text(c, "mqtt.bridge.mosquitto_conf"));
	char *line = mem_printf("include_dir %s/" FOLDER, config_dir(c));
	struct buf before = { 0 }, after = { 0 };
	struct stat st;
	int rc = 0;

	if (path != NULL && stat(path, &st) == 0) {
		rc = file_read(path, &before, err);
		if (rc == 0 &&
		    with_include(buf_str(&before), str_of(line), &after)) {
			rc = file_write(path, buf_str(&after), err);
			if (rc == 0 &&
			    (chmod(path, st.st_mode & 07777) < 0 ||
				chown(path, st.st_uid, st.st_gid) < 0))
				rc = err_errno(
				    err, "give %s its owner again", path);
		}
	}
	buf_free(&before);
	buf_free(&after);
	free(path);
	free(line);
	return rc == 0 ? 0 : err_wrap(err, "include the device's settings");
}
