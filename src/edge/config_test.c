/*
 * edge/config_test.c - the settings: what wins, what is kept, what is refused.
 */
#include "edge/config.h"

#include "base/base.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/test.h"
#include "codec/json.h"
#include "codec/x509_sample.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct fixture {
	char dir[32], path[64];
	struct config *c;
	struct err err;
};

static void
forget_environment(void)
{
	for (char **e = environ; e != NULL && *e != NULL;) {
		char name[128];

		if (strncmp(*e, "TEDGE_", 6) != 0) {
			e++;
			continue;
		}
		snprintf(name, sizeof(name), "%.*s", (int)strcspn(*e, "="), *e);
		unsetenv(name);
		e = environ;
	}
}

static int
setup(void **state)
{
	struct fixture *f = mem_new(struct fixture);

	log_setup(LOG_OFF, LOG_JSON);
	forget_environment();
	snprintf(f->dir, sizeof(f->dir), "/tmp/config_test.XXXXXX");
	if (mkdtemp(f->dir) == NULL)
		return -1;
	snprintf(f->path, sizeof(f->path), "%s/tedge.toml", f->dir);
	*state = f;
	return 0;
}

static int
teardown(void **state)
{
	struct fixture *f = *state;
	char *cert = mem_printf("%s/cert.pem", f->dir);

	config_close(f->c);
	unlink(f->path);
	unlink(cert);
	free(cert);
	if (rmdir(f->dir) != 0) /* nothing else may be left there */
		return -1;
	free(f);
	return 0;
}

static void
put(const char *path, const char *text)
{
	FILE *to = fopen(path, "w");

	assert_non_null(to);
	fputs(text, to);
	fclose(to);
}

/* Opens the settings with this file; NULL: without one. */
static struct config *
with(struct fixture *f, const char *text)
{
	config_close(f->c);
	f->c = NULL;
	if (text != NULL)
		put(f->path, text);
	if (config_open(f->dir, &f->c, &f->err) != 0)
		fail_msg("%s", f->err.text);
	return f->c;
}

static void
assert_value(const struct config *c, const char *key, const char *value)
{
	struct str got = config_text(c, key);

	if (value == NULL ? got.ptr != NULL : !str_eqz(got, value))
		fail_msg("%s is " STR_FMT ", not %s", key, STR_ARG(got),
		    value == NULL ? "unset" : value);
}

static void
assert_file(const struct fixture *f, const char *text)
{
	struct buf got = { 0 };

	assert_int_equal(file_read(f->path, &got, NULL), 0);
	assert_string_equal(buf_z(&got), text);
	buf_free(&got);
}

static void
every_row_is_whole(void **state)
{
	struct fixture *f = *state;

	for (const struct config_key *k = config_keys; k->key != NULL; k++) {
		struct str from = str_of(k->from);

		if (config_find(str_of(k->key)) != k)
			fail_msg("%s is there twice", k->key);
		for (size_t i = 0; k->aliases != NULL && k->aliases[i] != NULL;
		     i++)
			if (config_find(str_of(k->aliases[i])) != k)
				fail_msg("%s is there twice", k->aliases[i]);
		if (k->doc == NULL || *k->doc == '\0' ||
		    k->doc[strlen(k->doc) - 1] == ' ')
			fail_msg("%s says nothing of itself", k->key);
		if ((k->type == CONFIG_ENUM) != (k->choices != NULL))
			fail_msg("%s has choices, or none", k->key);
		while (from.ptr != NULL)
			if (config_find(str_cut(&from, ',')) == NULL)
				fail_msg("%s is from nowhere", k->key);
		if (k->def == NULL)
			continue;
		/* its default is a value of it */
		with(f, "");
		if (k->def[0] != '$' &&
		    config_set(f->c, str_of(k->key), str_of(k->def), &f->err) !=
			0)
			fail_msg("%s", f->err.text);
	}
}

static void
defaults_hold_and_some_come_of_others(void **state)
{
	struct fixture *f = *state;
	struct config *c = with(f, NULL);
	char *key_path =
	    mem_printf("%s/device-certs/tedge-private-key.pem", f->dir);

	assert_value(c, "mqtt.bind.port", "1883");
	assert_value(c, "mqtt.client.port", "1883");
	assert_value(c, "c8y.url", NULL);
	assert_value(c, "c8y.http", NULL);
	assert_value(c, "az.mapper.timestamp", "true");
	assert_value(c, "device.key_path", key_path);
	assert_value(c, "c8y.device.key_path", key_path);
	assert_value(c, "http.bind.address", "127.0.0.1");
	assert_int_equal(config_ms(c, "c8y.availability.interval"), 3600000);
	assert_int_equal(config_ms(c, "run.log_memory_interval"), 0);
	assert_int_equal(config_list(c, "c8y.topics").n, 7);
	assert_int_equal(config_list(c, "c8y.smartrest.templates").n, 0);
	free(key_path);

	c = with(f,
	    "[mqtt]\nbind.port = 1884\nbind.address = \"10.0.0.1\"\n"
	    "[c8y]\nurl = \"x.org\"\n");
	assert_int_equal(config_int(c, "mqtt.client.port"), 1884);
	assert_value(c, "http.bind.address", "10.0.0.1");
	assert_value(c, "c8y.mqtt", "x.org");
	c = with(f,
	    "[mqtt.external.bind]\naddress = \"10.0.0.2\"\n"
	    "[c8y]\nurl = \"x.org\"\nmqtt = \"y.org:1\"\n");
	assert_value(c, "http.bind.address", "10.0.0.2");
	assert_value(c, "c8y.mqtt", "y.org:1");
	assert_value(c, "c8y.http", "x.org");
}

static void
the_environment_wins_over_the_file(void **state)
{
	struct fixture *f = *state;
	const char *file = "[c8y]\nurl = \"file\"\ntopics = [\"a\", \"b\"]\n"
			   "[c8y.profiles.edge1]\nurl = \"one\"\n";
	struct config *c = with(f, file);

	assert_value(c, "c8y.url", "file");
	setenv("TEDGE_C8Y_URL", "variable", 1);
	setenv("TEDGE_MQTT_BIND_PORT", "1999", 1);
	setenv("TEDGE_C8Y_PROFILES_EDGE1_ROOT_CERT_PATH", "/x", 1);
	setenv("TEDGE_C8Y_PROFILES_TWO_URL", "two", 1);
	setenv("TEDGE_C8Y_TOPICS", "[\"c\", 'd']", 1);
	setenv("TEDGE_AZ_URL", "\"quoted\"", 1);
	setenv("TEDGE_AZURE_MAPPER_TIMESTAMP", "false", 1);
	setenv("TEDGE_NO_SUCH_KEY", "1", 1);
	c = with(f, file);
	assert_value(c, "c8y.url", "variable");
	assert_value(c, "mqtt.client.port", "1999");
	assert_value(c, "c8y.profiles.edge1.root_cert_path", "/x");
	assert_value(c, "c8y.profiles.edge1.url", "one");
	assert_value(c, "c8y.profiles.TWO.url", "two");
	assert_value(c, "c8y.root_cert_path", "/etc/ssl/certs");
	assert_value(c, "c8y.topics", "c,d");
	assert_value(c, "az.url", "quoted");
	assert_value(c, "az.mapper.timestamp", "false");
	setenv("TEDGE_C8Y_URL", "", 1);
	c = with(f, file);
	assert_value(c, "c8y.url", NULL);

	setenv("TEDGE_MQTT_BIND_PORT", "70000", 1);
	assert_int_equal(config_open(f->dir, &c, &f->err), ERR_PARAM);
	assert_string_equal(f->err.text,
	    "TEDGE_MQTT_BIND_PORT: must be a number of 1 to 65535, not "
	    "\"70000\"");
}

static void
old_spellings_are_read_and_give_way_when_set(void **state)
{
	struct fixture *f = *state;
	struct config *c = with(f,
	    "# mine\n[mqtt]\nport = 1884 # other\n"
	    "[device.key]\npath = \"/k\"\n"
	    "[azure]\nurl = \"hub\"\nmapper.timestamp = false\n");

	assert_value(c, "mqtt.bind.port", "1884");
	assert_value(c, "mqtt.port", "1884");
	assert_value(c, "device.key_path", "/k");
	assert_value(c, "az.url", "hub");
	assert_false(config_bool(c, "az.mapper.timestamp"));
	assert_int_equal(
	    config_set(c, STR("mqtt.port"), STR("1885"), &f->err), 0);
	assert_value(c, "mqtt.bind.port", "1885");
	assert_int_equal(config_set(c, STR("az.url"), STR("other"), NULL), 0);
	assert_file(f,
	    "# mine\n[mqtt]\n[device.key]\npath = \"/k\"\n"
	    "[azure]\nmapper.timestamp = false\n"
	    "\n[mqtt.bind]\nport = 1885\n"
	    "\n[az]\nurl = \"other\"\n");
	/* both are there: the one of today */
	c = with(f, "[mqtt]\nport = 1\nbind.port = 2\n");
	assert_value(c, "mqtt.bind.port", "2");
	c = with(f, "[mqtt]\nbind.port = 2\nport = 1\n");
	assert_value(c, "mqtt.bind.port", "2");
}

static void
a_change_keeps_comments_and_the_files_mode(void **state)
{
	struct fixture *f = *state;
	struct config *c = with(f,
	    "# my device\n[config]\nversion = \"1\"\n\n"
	    "[c8y]  # the tenant\nurl = \"a\" # old\nunknown = [1]\n");
	struct stat st;

	assert_int_equal(chmod(f->path, 0640), 0);
	assert_int_equal(config_set(c, STR("c8y.url"), STR("b"), NULL), 0);
	assert_int_equal(
	    config_set(c, STR("c8y.proxy.bind.port"), STR("9"), NULL), 0);
	assert_int_equal(
	    config_set(c, STR("c8y.enable.log_upload"), STR("false"), NULL), 0);
	assert_file(f,
	    "# my device\n[config]\nversion = \"1\"\n\n"
	    "[c8y]  # the tenant\nurl = \"b\" # old\nunknown = [1]\n"
	    "\n[c8y.proxy.bind]\nport = 9\n"
	    "\n[c8y.enable]\nlog_upload = false\n");
	assert_int_equal(stat(f->path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0640);
	assert_int_equal(config_set(c, STR("c8y.url"), STR_NULL, NULL), 0);
	assert_value(c, "c8y.url", NULL);
	assert_value(c, "c8y.proxy.client.port", "9");
	assert_file(f,
	    "# my device\n[config]\nversion = \"1\"\n\n"
	    "[c8y]  # the tenant\nunknown = [1]\n"
	    "\n[c8y.proxy.bind]\nport = 9\n"
	    "\n[c8y.enable]\nlog_upload = false\n");
}

static void
a_bad_value_changes_nothing_and_is_named(void **state)
{
	static const struct {
		const char *key, *value, *why;
	} cases[] = {
		{ "mqtt.bind.port", "x",
		    "mqtt.bind.port: must be a number of 1 to 65535, not "
		    "\"x\"" },
		{ "mqtt.bind.port", "0",
		    "mqtt.bind.port: must be a number of 1 to 65535, not "
		    "\"0\"" },
		{ "az.mapper.timestamp", "yes",
		    "az.mapper.timestamp: must be true or false, not \"yes\"" },
		{ "device.key_path", "key.pem",
		    "device.key_path: must be a path that begins with \"/\", "
		    "not \"key.pem\"" },
		{ "c8y.url", "https://x.org",
		    "c8y.url: must be a host, with or without \":port\", not "
		    "\"https://x.org\"" },
		{ "c8y.url", "x.org:0",
		    "c8y.url: must be a host, with or without \":port\", not "
		    "\"x.org:0\"" },
		{ "c8y.url", "",
		    "c8y.url: must be a host, with or without \":port\", not "
		    "\"\"" },
		{ "c8y.auth_method", "maybe",
		    "c8y.auth_method: must be one of certificate, basic, auto, "
		    "not \"maybe\"" },
		{ "logs.path", "\xff", "logs.path: must be text in UTF-8" },
		{ "firmware.child.update.timeout", "-1s",
		    "firmware.child.update.timeout: must be seconds, or a time "
		    "such as 60s, 10m, 1h, 30d, not \"-1s\"" },
	};
	struct fixture *f = *state;
	struct config *c = with(f, "# as it was\n");

	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		assert_int_equal(config_set(c, str_of(cases[i].key),
				     str_of(cases[i].value), &f->err),
		    ERR_PARAM);
		assert_string_equal(f->err.text, cases[i].why);
	}
	assert_int_equal(
	    config_set(c, STR("no.such"), STR("1"), &f->err), ERR_NOT_FOUND);
	assert_string_equal(f->err.text,
	    "Invalid key `no.such'. See `tedge config list --doc` for a list "
	    "of valid keys.");
	assert_int_equal(
	    config_set(c, STR("c8y.profiles.a-b.url"), STR("x"), &f->err),
	    ERR_NOT_FOUND);
	assert_file(f, "# as it was\n");
}

static void
a_bad_file_is_named_with_its_line(void **state)
{
	static const struct {
		const char *file, *why;
	} cases[] = {
		{ "\n[mqtt]\nport = \"x\"\n",
		    "tedge.toml: line 3: mqtt.bind.port: must be a number of 1 "
		    "to 65535, not \"x\"" },
		{ "[c8y]\nurl = [{}]\n",
		    "tedge.toml: line 2: c8y.url: must be one value" },
		{ "[c8y\n",
		    "tedge.toml: line 1 column 5: \"]\" must stand "
		    "here" },
	};
	struct fixture *f = *state;
	struct config *c;

	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		put(f->path, cases[i].file);
		assert_int_equal(config_open(f->dir, &c, &f->err), ERR_PARAM);
		assert_string_equal(
		    strstr(f->err.text, "tedge.toml"), cases[i].why);
	}
	/* numbers may be quoted, and hosts be anything else that is one value
	 */
	c = with(f, "[mqtt.bind]\nport = \"1884\"\n[c8y]\nurl = 5\n");
	assert_int_equal(config_int(c, "mqtt.bind.port"), 1884);
}

static void
lists_grow_and_shrink(void **state)
{
	struct fixture *f = *state;
	struct config *c = with(f, "");
	struct str key = STR("c8y.smartrest.templates");

	assert_int_equal(config_add(c, key, STR("a"), NULL), 0);
	assert_int_equal(config_add(c, key, STR("b,c"), NULL), 0);
	assert_int_equal(config_add(c, key, STR("b"), NULL), 0); /* once */
	assert_file(f, "[c8y.smartrest]\ntemplates = [\"a\", \"c\", \"b\"]\n");
	assert_int_equal(config_remove(c, key, STR("a"), NULL), 0);
	assert_int_equal(config_remove(c, key, STR("none"), NULL), 0);
	assert_int_equal(config_list(c, "c8y.smartrest.templates").n, 2);
	assert_int_equal(config_set(c, key, STR("x, y"), NULL), 0);
	assert_file(f, "[c8y.smartrest]\ntemplates = [\"x\", \"y\"]\n");
	/* a default is added to, not lost */
	assert_int_equal(config_add(c, STR("az.topics"), STR("t"), NULL), 0);
	assert_int_equal(config_list(c, "az.topics").n, 5);
	assert_int_equal(
	    config_add(c, STR("c8y.url"), STR("x"), &f->err), ERR_PARAM);
	assert_string_equal(
	    f->err.text, "c8y.url is no list; use `tedge config set`");
}

static void
profiles_stand_beside_their_cloud(void **state)
{
	struct fixture *f = *state;
	struct config *c = with(f,
	    "[c8y]\nurl = \"main\"\ndevice.key_path = \"/c8y\"\n"
	    "[c8y.profiles.New]\nurl = \"new\"\n"
	    "[device]\nkey_path = \"/all\"\n");
	struct cloud cloud;

	assert_int_equal(config_cloud(c, "c8y", STR("new"), &cloud, NULL), 0);
	assert_str(cloud_text(&cloud, "url"), "new");
	assert_str(cloud_text(&cloud, "http"), "new");
	assert_str(cloud_text(&cloud, "device.key_path"), "/all");
	assert_str(cloud_text(&cloud, "bridge.topic_prefix"), "c8y");
	assert_int_equal(config_cloud(c, "c8y", STR_NULL, &cloud, NULL), 0);
	assert_str(cloud_text(&cloud, "device.key_path"), "/c8y");
	assert_int_equal(
	    config_cloud(c, "c8y", STR("old"), &cloud, &f->err), ERR_NOT_FOUND);
	assert_string_equal(f->err.text,
	    "there is no profile \"old\" of c8y; `tedge config set c8y.url URL "
	    "--profile old` makes it");
	assert_int_equal(
	    config_cloud(c, "gcp", STR_NULL, &cloud, &f->err), ERR_NOT_FOUND);

	/* in the file's own spelling; a new one in small letters */
	assert_int_equal(config_set(c, STR("c8y.profiles.nEW.root_cert_path"),
			     STR("/r"), NULL),
	    0);
	assert_int_equal(
	    config_set(c, STR("az.profiles.Two.url"), STR("z"), NULL), 0);
	assert_file(f,
	    "[c8y]\nurl = \"main\"\ndevice.key_path = \"/c8y\"\n"
	    "[c8y.profiles.New]\nurl = \"new\"\nroot_cert_path = \"/r\"\n"
	    "[device]\nkey_path = \"/all\"\n"
	    "\n[az.profiles.two]\nurl = \"z\"\n");
}

/* DIR/mappers/NAME/mapper.toml; NULL: it goes again. */
static char *
own_file(const struct fixture *f, const char *name, const char *text)
{
	char *mappers = mem_printf("%s/mappers", f->dir);
	char *folder = mem_printf("%s/%s", mappers, name);
	char *path = mem_printf("%s/mapper.toml", folder);

	if (text != NULL) {
		(void)mkdir(mappers, 0700);
		(void)mkdir(folder, 0700);
		put(path, text);
	} else {
		unlink(path);
		rmdir(folder);
		(void)rmdir(mappers); /* another one may be there */
	}
	free(mappers);
	free(folder);
	return path;
}

static void
assert_text(const char *path, const char *text)
{
	struct buf got = { 0 };

	assert_int_equal(file_read(path, &got, NULL), 0);
	assert_string_equal(buf_z(&got), text);
	buf_free(&got);
}

/* As `tedge config upgrade` of thin-edge.io 2 leaves them. */
static void
a_cloud_may_have_a_file_of_its_own(void **state)
{
	struct fixture *f = *state;
	char *c8y = own_file(f, "c8y",
	    "cloud_type = \"c8y\"\nurl = \"own.org\" # ours\n"
	    "max_payload_size = 1000\n[bridge]\ntopic_prefix = \"x\"\n"
	    "[device]\nid = \"dev\"\n");
	char *prod = own_file(f, "c8y.prod", "url = \"prod.org\"\n");
	char *az = own_file(f, "az", "[mapper]\ntimestamp = false\n");
	char *other = own_file(f, "az.a-b", "url = \"no profile's\"\n");
	struct config *c;
	struct cloud cloud;

	c = with(f,
	    "[c8y]\nurl = \"old.org\"\nhttp = \"h.org\"\n[az]\nurl = "
	    "\"a.org\"\n");
	assert_value(c, "c8y.url", "own.org");
	assert_value(c, "c8y.http", "h.org");
	assert_value(c, "c8y.mapper.mqtt.max_payload_size", "1000");
	assert_value(c, "c8y.bridge.topic_prefix", "x");
	assert_value(c, "c8y.device.id", "dev");
	assert_value(c, "c8y.profiles.prod.url", "prod.org");
	assert_value(c, "az.mapper.timestamp", "false");
	assert_int_equal(config_cloud(c, "c8y", STR("prod"), &cloud, NULL), 0);
	setenv("TEDGE_C8Y_URL", "env.org", 1);
	c = with(f, NULL);
	assert_value(c, "c8y.url", "env.org");
	unsetenv("TEDGE_C8Y_URL");
	c = with(f, NULL);
	/* a change goes where it counts */
	assert_int_equal(
	    config_set(c, STR("c8y.url"), STR("new.org"), &f->err), 0);
	assert_int_equal(config_set(c, STR("c8y.mapper.mqtt.max_payload_size"),
			     STR("2000"), &f->err),
	    0);
	assert_int_equal(
	    config_set(c, STR("c8y.profiles.PROD.url"), STR("p.org"), &f->err),
	    0);
	assert_value(c, "c8y.url", "new.org");
	assert_value(c, "c8y.mapper.mqtt.max_payload_size", "2000");
	assert_value(c, "c8y.profiles.prod.url", "p.org");
	assert_text(c8y,
	    "cloud_type = \"c8y\"\nurl = \"new.org\" # ours\n"
	    "[bridge]\ntopic_prefix = \"x\"\n[device]\nid = \"dev\"\n"
	    "\n[mapper.mqtt]\nmax_payload_size = 2000\n");
	assert_text(prod, "url = \"p.org\"\n");
	assert_int_equal(config_set(c, STR("c8y.url"), STR_NULL, &f->err), 0);
	assert_value(c, "c8y.url", NULL); /* nor the old one */
	/* what is wrong is named by its file */
	put(c8y, "\nbridge.keepalive_interval = \"soon\"\n");
	config_close(f->c);
	f->c = NULL;
	assert_int_equal(config_open(f->dir, &f->c, &f->err), ERR_PARAM);
	assert_non_null(strstr(f->err.text,
	    "mappers/c8y/mapper.toml: line 2: c8y.bridge.keepalive_interval"));
	free(own_file(f, "az.a-b", NULL));
	free(own_file(f, "az", NULL));
	free(own_file(f, "c8y.prod", NULL));
	free(own_file(f, "c8y", NULL));
	free(c8y);
	free(prod);
	free(az);
	free(other);
}

static void
the_certificate_names_the_device(void **state)
{
	struct fixture *f = *state;
	char *cert = mem_printf("%s/cert.pem", f->dir);
	char *file = mem_printf("[device]\nid = \"typed\"\n"
				"[c8y.device]\ncert_path = \"%s\"\n"
				"[c8y.profiles.p]\nurl = \"x\"\n",
	    cert);
	struct config *c = with(f, file);

	assert_value(c, "c8y.device.id", "typed");
	put(cert, x509_sample);
	c = with(f, file);
	assert_value(c, "device.id", "typed");
	assert_value(c, "c8y.device.id", "my-device_01");
	assert_value(c, "c8y.profiles.p.device.id", "typed");
	assert_int_equal(config_set(c, STR("device.id"), STR("new"), NULL), 0);
	assert_value(c, "az.device.id", "new");
	assert_int_equal(
	    config_set(c, STR("c8y.device.id"), STR("x"), &f->err), ERR_PARAM);
	assert_non_null(
	    strstr(f->err.text, "read from the device certificate"));
	free(file);
	free(cert);
}

static void
gather(
    void *ctx, const struct config_key *row, struct str key, struct str value)
{
	struct buf *b = ctx;

	if (str_ends(key, STR("url")))
		buf_addf(
		    b, STR_FMT "=" STR_FMT ";", STR_ARG(key), STR_ARG(value));
	assert_ptr_equal(config_find(key), row);
}

static void
all_are_visited_and_the_exposed_are_told(void **state)
{
	struct fixture *f = *state;
	struct config *c = with(f,
	    "[c8y]\nurl = \"u\"\n[c8y.profiles.b]\nurl = \"v\"\n"
	    "proxy.client.port = 5\n[c8y.profiles.a]\nhttp = \"w\"\n"
	    "[proxy]\npassword = \"secret\"\n");
	struct cloud cloud;
	struct buf b = { 0 };

	config_each(c, gather, &b);
	assert_string_equal(buf_z(&b),
	    "c8y.url=u;c8y.profiles.b.url=v;c8y.profiles.a.url=;az.url=;"
	    "aws.url=;marram.url=;fleet.url=;");
	buf_clear(&b);
	assert_int_equal(config_cloud(c, "c8y", STR("b"), &cloud, NULL), 0);
	config_exposed(c, &cloud, &b);
	assert_true(json_valid(buf_str(&b), 0));
	assert_non_null(strstr(buf_z(&b),
	    "{\"url\":\"v\",\"http\":\"v\",\"mqtt\":\"v\","
	    "\"auth_method\":\"certificate\",\"smartrest.templates\":[],"));
	assert_non_null(strstr(buf_z(&b), "\"proxy.client.port\":5"));
	assert_non_null(strstr(buf_z(&b), "\"enable.log_upload\":true"));
	buf_clear(&b);
	config_exposed(c, NULL, &b);
	assert_true(json_valid(buf_str(&b), 0));
	assert_non_null(strstr(buf_z(&b), "\"mqtt.client.port\":1883"));
	assert_null(strstr(buf_z(&b), "secret"));
	assert_null(strstr(buf_z(&b), "c8y"));
	buf_free(&b);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(every_row_is_whole),
		TEST(defaults_hold_and_some_come_of_others),
		TEST(the_environment_wins_over_the_file),
		TEST(old_spellings_are_read_and_give_way_when_set),
		TEST(a_change_keeps_comments_and_the_files_mode),
		TEST(a_bad_value_changes_nothing_and_is_named),
		TEST(a_bad_file_is_named_with_its_line),
		TEST(lists_grow_and_shrink),
		TEST(profiles_stand_beside_their_cloud),
		TEST(a_cloud_may_have_a_file_of_its_own),
		TEST(the_certificate_names_the_device),
		TEST(all_are_visited_and_the_exposed_are_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
