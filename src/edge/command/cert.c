/*
 * edge/command/cert.c - `cert ...`: the device's key and certificate.
 *
 * What is there is never overwritten: a new key is made where there is none,
 * and a renewed certificate lies beside the old one, as FILE.new, until `tedge
 * connect` has seen that the cloud takes it.
 */
#include "edge/command/cert_private.h"

#include "base/base.h"
#include "base/clock.h"
#include "base/file.h"
#include "codec/x509.h"
#include "edge/system.h"

#include <errno.h>
#include <libgen.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define CERT_MODE 0444
#define KEY_MODE 0400
#define DAY_S 86400
#define NEEDS_RENEWAL_FAILED 2 /* exit status */

/* --- what is asked of the settings --------------------------------------- */

/* Of the cloud if one was named; else of the device. */
static struct str
text_of(const struct cert_job *j, const char *key)
{
	return j->cloud.name != NULL ? cloud_text(&j->cloud, key)
				     : config_text(j->config, key);
}

static const char *
path_of(struct cert_job *j, const char *key)
{
	struct str s = text_of(j, key);

	return s.len > 0 ? arena_z(&j->arena, s) : NULL;
}

bool
cert_begin(struct cert_job *j, struct command_call *c, const char *cloud)
{
	*j = (struct cert_job){ .call = c, .config = command_config(c) };
	if (j->config == NULL ||
	    (cloud != NULL && !command_cloud(c, cloud, &j->cloud)))
		return false;
	j->cert_path = path_of(j, "device.cert_path");
	j->csr_path = path_of(j, "device.csr_path");
	if (device_key(j->config, cloud != NULL ? &j->cloud : NULL, &j->arena,
		&j->key, &j->err) == 0)
		return true;
	cert_end(j, j->err.code, "find the private key");
	return false;
}

/* Returns the exit status. */
int
cert_end(struct cert_job *j, int rc, const char *doing)
{
	int status = rc == 0 ? 0 : command_failed(doing, &j->err);

	if (j->secret.ptr != NULL)
		explicit_bzero(j->secret.ptr, j->secret.len);
	buf_free(&j->secret);
	arena_fini(&j->arena);
	return status;
}

static int
load_maker(struct cert_job *j)
{
	j->maker = cert_with(&j->err);
	return j->maker != NULL ? 0 : ERR_IO;
}

/* Who it is for: as given, else as it is set. */
int
cert_device_id(struct cert_job *j, struct str *ret)
{
	const char *given = command_option(j->call, "device-id");

	*ret = given != NULL ? str_of(given) : text_of(j, "device.id");
	if (ret->ptr == NULL)
		return err_set(&j->err, ERR_PARAM,
		    "no device id: give one with --device-id ID");
	return cert_check_id(*ret, &j->err);
}

static struct cert_subject
subject_of(struct cert_job *j, struct str id)
{
	return (struct cert_subject){ id,
		config_text(j->config, "certificate.organization"),
		config_text(j->config, "certificate.organization_unit") };
}

/* --- files --------------------------------------------------------------- */

/* Made by root, for the user who runs the bridge. */
static void
give_away(struct cert_job *j, const char *path)
{
	struct system system;
	const struct passwd *pw;
	struct err err;

	if (geteuid() != 0 ||
	    system_read(j->config, &j->arena, &system, NULL) != 0)
		return;
	pw = getpwnam(config_bool(j->config, "mqtt.bridge.built_in")
		? system.user
		: "mosquitto");
	if (pw != NULL && file_give(path, pw->pw_uid, pw->pw_gid, &err) != 0)
		command_say(
		    "warning", "it can not be %s's: %s", pw->pw_name, err.text);
}

static void
make_folder_of(const char *path)
{
	char *copy = str_dupz(str_of(path));

	(void)mkdir(dirname(copy), 0755); /* else the file can not be made, and
					   * that is told */
	free(copy);
}

static bool
is_there(const char *path)
{
	struct stat st;

	return lstat(path, &st) == 0;
}

int
cert_must_be_new(struct cert_job *j, const char *what, const char *path)
{
	if (!is_there(path))
		return 0;
	return err_set(&j->err, ERR_EXISTS,
	    "A %s already exists and would be overwritten. Existing file: "
	    "\"%s\". Run 'tedge cert remove' first to generate a new one.",
	    what, path);
}

static int
no_certificate(struct cert_job *j, const char *path)
{
	return err_set(&j->err, ERR_NOT_FOUND,
	    "No certificate has been attached to that device. Missing file: "
	    "\"%s\". Run 'tedge cert create' to generate a new certificate.",
	    path);
}

int
cert_read_own(struct cert_job *j, struct buf *pem)
{
	return is_there(j->cert_path) ? file_read(j->cert_path, pem, &j->err)
				      : no_certificate(j, j->cert_path);
}

static int
put_new(struct cert_job *j, const char *path, struct str text, unsigned mode)
{
	int rc;

	make_folder_of(path);
	rc = file_create(path, text, mode, &j->err);
	if (rc == 0)
		give_away(j, path);
	return rc;
}

/* In place of whatever is there; nothing secret. */
int
cert_put(struct cert_job *j, const char *path, struct str text)
{
	int rc;

	make_folder_of(path);
	rc = file_write(path, text, &j->err);
	if (rc == 0 && chmod(path, CERT_MODE) < 0)
		rc = err_errno(&j->err, "open %s to all", path);
	if (rc == 0)
		give_away(j, path);
	return rc;
}

static struct cert_key
key_of(struct cert_job *j)
{
	return (struct cert_key){ j->key.in_token ? str_of(j->key.path)
						  : buf_str(&j->secret),
		j->key.module, j->key.pin };
}

int
cert_read_key(struct cert_job *j, struct cert_key *ret)
{
	int rc = 0;

	if (!j->key.in_token && j->secret.len == 0)
		rc = file_read(j->key.path, &j->secret, &j->err);
	*ret = key_of(j);
	return rc;
}

/* The key that is there, or one that was just made and is in no file yet. */
static int
make_key(struct cert_job *j, struct cert_key *ret)
{
	int rc = j->key.in_token ? 0 : j->maker->new_key(&j->secret, &j->err);

	*ret = key_of(j);
	return rc;
}

/* --- create -------------------------------------------------------------- */

static int
self_sign(struct cert_job *j, const struct cert_key *key, struct str id,
    struct buf *pem)
{
	const struct cert_subject subject = subject_of(j, id);
	int64_t now = clock_now() / 1000;
	int64_t valid_s =
	    config_ms(j->config, "certificate.validity.requested_duration") /
	    1000;

	return j->maker->self_sign(
	    key, &subject, now - DAY_S, now + valid_s, pem, &j->err);
}

static int
create(struct cert_job *j, struct str id)
{
	struct buf pem = { 0 };
	struct cert_key key;
	bool made = false;
	int rc = cert_must_be_new(j, "certificate", j->cert_path);

	if (rc == 0 && !j->key.in_token)
		rc = cert_must_be_new(j, "private key", j->key.path);
	if (rc == 0)
		rc = load_maker(j);
	if (rc == 0)
		rc = make_key(j, &key);
	if (rc == 0)
		rc = self_sign(j, &key, id, &pem);
	if (rc == 0 && !j->key.in_token) {
		rc = put_new(j, j->key.path, key.text, KEY_MODE);
		made = rc == 0;
	}
	if (rc == 0)
		rc = put_new(j, j->cert_path, buf_str(&pem), CERT_MODE);
	if (rc != 0 && made)
		(void)unlink(j->key.path);
	buf_free(&pem);
	return rc;
}

static int show(struct cert_job *j, const char *path);

static int
run_create(struct command_call *c)
{
	struct str id;
	struct cert_job j;
	int rc;

	if (!cert_begin(&j, c, command_arg(c, "CLOUD")))
		return 1;
	rc = cert_device_id(&j, &id);
	if (rc == 0)
		rc = create(&j, id);
	if (rc == 0) {
		fprintf(stderr, "Certificate was successfully created\n");
		rc = show(&j, j.cert_path);
	}
	return cert_end(&j, rc, "create a self-signed certificate");
}

/* --- create-csr ---------------------------------------------------------- */

/* The key that is there, or a new one, in its file. */
static int
key_or_new(struct cert_job *j, struct cert_key *key)
{
	int rc;

	if (j->key.in_token || is_there(j->key.path))
		return cert_read_key(j, key);
	rc = make_key(j, key);
	return rc == 0 ? put_new(j, j->key.path, key->text, KEY_MODE) : rc;
}

int
cert_make_request(
    struct cert_job *j, struct str id, const char *path, struct buf *pem)
{
	const struct cert_subject subject = subject_of(j, id);
	struct cert_key key;
	int rc = load_maker(j);

	if (rc == 0)
		rc = key_or_new(j, &key);
	if (rc == 0)
		rc = j->maker->request(&key, &subject, pem, &j->err);
	if (rc == 0)
		rc = cert_put(j, path, buf_str(pem));
	return rc;
}

static int
run_create_csr(struct command_call *c)
{
	const char *path = command_option(c, "output-path");
	struct buf pem = { 0 };
	struct str id;
	struct cert_job j;
	int rc;

	if (!cert_begin(&j, c, command_arg(c, "CLOUD")))
		return 1;
	path = path != NULL ? path : j.csr_path;
	rc = cert_device_id(&j, &id);
	if (rc == 0)
		rc = cert_make_request(&j, id, path, &pem);
	if (rc == 0)
		fprintf(stderr,
		    "Certificate Signing Request was successfully created: "
		    "%s\n",
		    path);
	buf_free(&pem);
	return cert_end(&j, rc, "create a certificate signing request");
}

/* --- show ---------------------------------------------------------------- */

/* 364d 8h 42m 43s */
static void
span_text(int64_t s, struct buf *out)
{
	static const struct {
		const char *unit;
		int64_t s;
	} units[] = { { "y", 31557600 }, { "d", DAY_S }, { "h", 3600 },
		{ "m", 60 }, { "s", 1 } };
	size_t before = out->len;

	for (size_t i = 0; i < COUNT_OF(units); i++) {
		if (s >= units[i].s)
			buf_addf(out, "%s%lld%s", out->len > before ? " " : "",
			    (long long)(s / units[i].s), units[i].unit);
		s %= units[i].s;
	}
	if (out->len == before)
		buf_addz(out, "0s");
}

enum status { NOT_YET, VALID, SOON, EXPIRED };

static enum status
status_of(const struct cert_job *j, const struct cert_about *about, int64_t now)
{
	int64_t soon_s =
	    config_ms(j->config, "certificate.validity.minimum_duration") /
	    1000;

	return now < about->from_s          ? NOT_YET
	    : now > about->until_s          ? EXPIRED
	    : about->until_s - now < soon_s ? SOON
					    : VALID;
}

static void
status_text(
    const struct cert_job *j, const struct cert_about *about, struct buf *out)
{
	static const char *const words[] = {
		[NOT_YET] = "NOT VALID YET (will be in: ",
		[VALID] = "VALID (expires in: ",
		[SOON] = "EXPIRES SOON (expires in: ",
		[EXPIRED] = "EXPIRED (since: ",
	};
	int64_t now = clock_now() / 1000;
	enum status s = status_of(j, about, now);

	buf_addz(out, words[s]);
	span_text(s == NOT_YET ? about->from_s - now
		: s == EXPIRED ? now - about->until_s
			       : about->until_s - now,
	    out);
	buf_addc(out, ')');
}

static void
time_line(const char *label, int64_t s)
{
	time_t t = (time_t)s;
	char text[64];
	struct tm tm;

	if (gmtime_r(&t, &tm) == NULL ||
	    strftime(text, sizeof(text), "%a, %d %b %Y %H:%M:%S +0000", &tm) ==
		0)
		text[0] = '\0';
	printf("%-15s%s\n", label, text);
}

/* A number of any size, with a base of 256, as a decimal one. */
static void
decimal(struct str bytes, struct buf *out)
{
	unsigned char digits[3 * 64] = { 0 };
	size_t n = 1;

	for (size_t i = 0; i < bytes.len && i < 64; i++) {
		unsigned carry = (unsigned char)bytes.ptr[i];

		for (size_t k = 0; k < n; k++) {
			carry += digits[k] * 256u;
			digits[k] = carry % 10;
			carry /= 10;
		}
		for (; carry > 0; carry /= 10)
			digits[n++] = carry % 10;
	}
	while (n > 0)
		buf_addc(out, (char)('0' + digits[--n]));
}

static void
serial_line(struct str serial)
{
	struct buf text = { 0 }, hex = { 0 };
	const char *digits;

	decimal(serial, &text);
	hex_encode(&hex, serial.ptr, serial.len);
	digits = buf_z(&hex);
	while (digits[0] == '0' && digits[1] != '\0')
		digits++;
	printf("%-15s%s (0x%s)\n", "Serial number:", buf_z(&text), digits);
	buf_free(&text);
	buf_free(&hex);
}

static int
read_about(struct cert_job *j, const char *path, struct cert_about *ret)
{
	struct buf pem = { 0 };
	int rc;

	if (!is_there(path))
		return no_certificate(j, path);
	rc = file_read(path, &pem, &j->err);
	if (rc == 0)
		rc = load_maker(j);
	if (rc == 0 &&
	    (rc = j->maker->read(&j->arena, buf_str(&pem), ret, &j->err)) != 0)
		err_wrap(&j->err, "%s", path);
	buf_free(&pem);
	return rc;
}

static int
show(struct cert_job *j, const char *path)
{
	struct cert_about about;
	struct buf text = { 0 };
	int rc = read_about(j, path, &about);

	if (rc != 0)
		return rc;
	status_text(j, &about, &text);
	printf("%-15s%s\n", "Certificate:", path);
	printf("%-15s" STR_FMT "\n", "Subject:", STR_ARG(about.subject));
	printf("%-15s" STR_FMT "\n", "Issuer:", STR_ARG(about.issuer));
	printf("%-15s%s\n", "Status:", buf_z(&text));
	time_line("Valid from:", about.from_s);
	time_line("Valid until:", about.until_s);
	serial_line(about.serial);
	printf("%-15s", "Thumbprint:");
	for (size_t i = 0; i < about.sha1.len; i++)
		printf("%02X", (unsigned char)about.sha1.ptr[i]);
	putchar('\n');
	buf_free(&text);
	return 0;
}

/* The certificate that a command is about: as given, or the cloud's. */
static const char *
chosen(struct cert_job *j)
{
	const char *path = command_option(j->call, "cert-path");

	return path != NULL ? path : j->cert_path;
}

static int
run_show(struct command_call *c)
{
	const char *path;
	struct cert_job j;

	if (!cert_begin(&j, c, command_arg(c, "CLOUD")))
		return 1;
	path = chosen(&j);
	if (command_option(c, "new") != NULL)
		path = arena_printf(&j.arena, "%s.new", path).ptr;
	return cert_end(&j, show(&j, path), "show the device certificate");
}

/* --- needs-renewal, renew ------------------------------------------------ */

static int
run_needs_renewal(struct command_call *c)
{
	struct cert_about about;
	enum status status;
	struct cert_job j;
	int rc;

	if (!cert_begin(&j, c, command_arg(c, "CLOUD")))
		return NEEDS_RENEWAL_FAILED;
	rc = read_about(&j, chosen(&j), &about);
	if (rc != 0) {
		cert_end(&j, rc, "check the device certificate");
		return NEEDS_RENEWAL_FAILED;
	}
	status = status_of(&j, &about, clock_now() / 1000);
	cert_end(&j, 0, "");
	return status == SOON || status == EXPIRED ? 0 : 1;
}

/* For whom the certificate is that there is. */
int
cert_common_name(struct cert_job *j, struct str *ret)
{
	struct buf pem = { 0 }, name = { 0 };
	int rc = is_there(j->cert_path) ? file_read(j->cert_path, &pem, &j->err)
					: no_certificate(j, j->cert_path);

	if (rc == 0 && !x509_common_name(buf_str(&pem), &name))
		rc = err_set(&j->err, ERR_PARAM,
		    "%s: its subject has no common name", j->cert_path);
	if (rc == 0)
		*ret = arena_str(&j->arena, buf_str(&name));
	buf_free(&pem);
	buf_free(&name);
	return rc;
}

static int
renew_self_signed(struct cert_job *j, struct str id, struct buf *pem)
{
	struct cert_key key;
	int rc = load_maker(j);

	if (rc == 0)
		rc = cert_read_key(j, &key);
	if (rc == 0)
		rc = self_sign(j, &key, id, pem);
	return rc;
}

static int
run_renew(struct command_call *c)
{
	const char *ca = command_option(c, "ca");
	bool by_itself = strcmp(ca, "self-signed") == 0;
	const char *cloud = command_arg(c, "CLOUD"), *path;
	struct buf pem = { 0 };
	struct cert_job j;
	struct str id;
	int rc;

	if (!by_itself && strcmp(ca, "c8y") != 0) {
		command_say("error",
		    "invalid value '%s' for '--ca <CA>': c8y or self-signed",
		    ca);
		return 2;
	}
	if (!cert_begin(&j, c, cloud == NULL && !by_itself ? "c8y" : cloud))
		return 1;
	path = arena_printf(&j.arena, "%s.new", j.cert_path).ptr;
	rc = cert_common_name(&j, &id);
	if (rc == 0)
		rc = by_itself ? renew_self_signed(&j, id, &pem)
			       : cert_reenroll(&j, id, &pem);
	if (rc == 0)
		rc = cert_put(&j, path, buf_str(&pem));
	if (rc == 0)
		fprintf(stderr,
		    "Certificate was successfully renewed: %s. It is used from "
		    "the next 'tedge connect' or 'tedge reconnect' on\n",
		    path);
	buf_free(&pem);
	return cert_end(&j, rc, "renew the device certificate");
}

/* --- remove -------------------------------------------------------------- */

/* Is it gone? *there: it was there. */
static int
take_away(struct cert_job *j, const char *path, bool *there)
{
	if (unlink(path) == 0)
		*there = true;
	else if (errno != ENOENT)
		return err_errno(&j->err, "remove %s", path);
	return 0;
}

static int
run_remove(struct command_call *c)
{
	bool there = false, ignored;
	struct cert_job j;
	int rc;

	if (!cert_begin(&j, c, command_arg(c, "CLOUD")))
		return 1;
	rc = take_away(&j, j.cert_path, &there);
	if (rc == 0 && !j.key.in_token)
		rc = take_away(&j, j.key.path, &there);
	if (rc == 0) /* what was renewed was of that key */
		rc = take_away(&j,
		    arena_printf(&j.arena, "%s.new", j.cert_path).ptr,
		    &ignored);
	if (rc == 0)
		fprintf(stderr, "%s\n",
		    there ? "Certificate was successfully removed"
			  : "There is no certificate to remove");
	return cert_end(&j, rc, "remove the device certificate");
}

/* --- rows ---------------------------------------------------------------- */

#define PROFILE                                                                \
	{                                                                      \
		.name = "profile", .arg = "NAME",                              \
		.env = "TEDGE_CLOUD_PROFILE",                                  \
		.help = "the profile of the cloud to use"                      \
	}
#define DEVICE_ID                                                              \
	{                                                                      \
		.name = "device-id", .arg = "ID",                              \
		.help = "who the certificate is for: 1 to 64 characters"       \
	}
#define CERT_PATH                                                              \
	{                                                                      \
		.name = "cert-path", .arg = "FILE",                            \
		.help = "this certificate, not that of the settings"           \
	}

static const struct command_option create_options[] = { DEVICE_ID, PROFILE,
	{ 0 } };
static const struct command_option csr_options[] = {
	DEVICE_ID,
	{ .name = "output-path",
	    .arg = "FILE",
	    .help = "where the request is written; default: device.csr_path" },
	PROFILE,
	{ 0 },
};
static const struct command_option renewal_options[] = { CERT_PATH, PROFILE,
	{ 0 } };
static const struct command_option show_options[] = {
	CERT_PATH,
	{ .name = "new", .help = "the one that waits to be used" },
	PROFILE,
	{ 0 },
};
static const struct command_option profile_options[] = { PROFILE, { 0 } };
static const struct command_option renew_options[] = {
	{ .name = "csr-path",
	    .arg = "FILE",
	    .help = "this signing request, not a new one" },
	{ .name = "ca",
	    .arg = "CA",
	    .def = "c8y",
	    .help = "who signs: c8y or self-signed" },
	PROFILE,
	{ 0 },
};
static const struct command_option upload_options[] = {
	{ .name = "user",
	    .arg = "USER",
	    .env = "C8Y_USER",
	    .help = "an administrator of the tenant; asked for where it is not "
		    "given" },
	{ .name = "password",
	    .arg = "PASSWORD",
	    .env = "C8Y_PASSWORD",
	    .help = "the password; better in the variable, or asked for" },
	PROFILE,
	{ 0 },
};
static const struct command_option download_options[] = {
	{ .name = "device-id",
	    .arg = "ID",
	    .env = "DEVICE_ID",
	    .help = "who the certificate is for: 1 to 64 characters" },
	{ .name = "one-time-password",
	    .letter = 'p',
	    .arg = "PASSWORD",
	    .env = "DEVICE_ONE_TIME_PASSWORD",
	    .help = "the one it was registered with; else one is made" },
	{ .name = "prompt", .help = "ask for the one-time password" },
	{ .name = "no-registration-url",
	    .env = "DEVICE_NO_REGISTRATION_URL",
	    .help = "do not show where the device can be registered" },
	{ .name = "csr-path",
	    .arg = "FILE",
	    .help = "where the signing request is written" },
	{ .name = "url",
	    .arg = "HOST",
	    .help = "the tenant; default: c8y.http" },
	{ .name = "retry-every",
	    .arg = "DURATION",
	    .def = "30s",
	    .help = "until the device is registered" },
	{ .name = "max-timeout",
	    .arg = "DURATION",
	    .def = "10m",
	    .help = "for how long" },
	PROFILE,
	{ 0 },
};

const struct command cert_commands[] = {
	{ .words = "cert create",
	    .args = "[CLOUD]",
	    .options = create_options,
	    .help = "Make a private key and a self-signed certificate",
	    .run = run_create },
	{ .words = "cert create-csr",
	    .args = "[CLOUD]",
	    .options = csr_options,
	    .help = "Make a certificate signing request, and a private key if "
		    "there is none",
	    .run = run_create_csr },
	{ .words = "cert show",
	    .args = "[CLOUD]",
	    .options = show_options,
	    .help = "Show the certificate of the device",
	    .run = run_show },
	{ .words = "cert needs-renewal",
	    .args = "[CLOUD]",
	    .options = renewal_options,
	    .help = "Exit status 0: the certificate is to be renewed; 1: it is "
		    "still good; 2: it can not be read",
	    .run = run_needs_renewal },
	{ .words = "cert renew",
	    .args = "[CLOUD]",
	    .options = renew_options,
	    .help = "Get a new certificate for the same key, as FILE.new",
	    .run = run_renew },
	{ .words = "cert remove",
	    .args = "[CLOUD]",
	    .options = profile_options,
	    .help = "Remove the certificate and the private key",
	    .run = run_remove },
	{ .words = "cert upload c8y",
	    .args = "",
	    .options = upload_options,
	    .help = "Make Cumulocity trust the certificate of the device",
	    .run = cert_upload },
	{ .words = "cert download c8y",
	    .args = "",
	    .options = download_options,
	    .help = "Get a certificate from Cumulocity, when the device is "
		    "registered there",
	    .run = cert_download },
	{ 0 },
};
