/*
 * edge/command/cert_cloud.c - `cert upload c8y`, `cert download c8y`, and `cert
 * renew` by Cumulocity: what its HTTP API says about certificates. Signing is
 * EST (RFC 7030): a request goes there, a certificate in PKCS#7 comes back.
 */
#include "edge/command/cert_private.h"

#include "base/base.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/rand.h"
#include "codec/duration.h"
#include "codec/json.h"
#include "codec/url.h"
#include "edge/exchange.h"
#include "edge/fetch.h"
#include "edge/local.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define ANSWER_MAX (256u << 10)
#define ANSWER_MS 30000
#define TOKEN_MS 10000
#define PASSWORD_LEN 32

/* What was given, or typed on the terminal; the call's own. */
static const char *
asked_for(struct cert_job *j, const char *option, const char *prompt)
{
	const char *given =
	    option != NULL ? command_option(j->call, option) : NULL;
	char *typed;

	if (given != NULL)
		return given;
	typed = getpass(prompt); /* does not show it */
	if (typed == NULL || *typed == '\0') {
		err_set(&j->err, ERR_PARAM, "%s%s%s%s",
		    option ? "no --" : "no ", option ? option : "password",
		    " was given, and none was typed",
		    isatty(STDIN_FILENO) ? "" : ": this is no terminal");
		return NULL;
	}
	return arena_z(&j->arena, str_of(typed));
}

/* "https://HOST[:PORT]" */
static int
cloud_origin(struct cert_job *j, struct str host, struct str *ret)
{
	if (host.len == 0)
		return err_set(&j->err, ERR_PARAM,
		    "c8y.url is not set: tedge config set c8y.url HOST");
	*ret = arena_printf(&j->arena, "https://" STR_FMT, STR_ARG(host));
	return 0;
}

/* Asks; the answer is in `answer`, its status in `*status`, whatever it is. An
 * error: there was none. */
static int
ask(struct cert_job *j, struct fetch_request *r, int *status,
    struct buf *answer)
{
	struct fetch_conf conf;
	int rc;

	fetch_conf_of(&j->cloud, &conf);
	r->conf = &conf;
	r->answer_max = ANSWER_MAX;
	r->timeout_ms = ANSWER_MS;
	*status = 0;
	rc = fetch_wait(r, status, answer, &j->err);
	return *status != 0 ? 0 : rc;
}

static int
something_wrong(struct cert_job *j, int status)
{
	return err_set(&j->err, ERR_IO, "Something went wrong: %d", status);
}

/* --- upload -------------------------------------------------------------- */

/* Whose tenant is it? */
static int
tenant(struct cert_job *j, struct fetch_request r, struct str *ret)
{
	struct buf answer = { 0 };
	struct str value, name = STR_NULL;
	struct json json;
	int status, rc;

	r.url = arena_printf(
	    &j->arena, STR_FMT "/tenant/currentTenant", STR_ARG(r.url));
	rc = ask(j, &r, &status, &answer);
	if (rc == 0 && status == 401)
		rc = err_set(&j->err, ERR_DENIED,
		    "Cumulocity does not know that user, or the password is "
		    "wrong");
	else if (rc == 0 && status != 200)
		rc = something_wrong(j, status);
	if (rc == 0) {
		value = json_find(&j->arena, buf_str(&answer), STR("name"));
		json_open(&json, value, 0, &j->arena);
		if (value.ptr == NULL || !json_str(&json, &name) ||
		    name.len == 0)
			rc = err_set(&j->err, ERR_PROTO,
			    STR_FMT ": the answer has no \"name\"",
			    STR_ARG(r.url));
	}
	if (rc == 0)
		*ret = arena_str(&j->arena, name);
	buf_free(&answer);
	return rc;
}

static struct str
upload_body(struct cert_job *j, struct str id, struct str pem)
{
	struct buf text = { 0 };
	struct json_out out;
	struct str ret;

	json_out_init(&out, &text, false);
	json_out_object(&out);
	json_out_key(&out, "name");
	json_out_str(&out, id);
	json_out_key(&out, "certInPemFormat");
	json_out_str(&out, pem);
	json_out_key(&out, "autoRegistrationEnabled");
	json_out_bool(&out, true);
	json_out_key(&out, "status");
	json_out_str(&out, STR("ENABLED"));
	json_out_end_object(&out);
	ret = arena_str(&j->arena, buf_str(&text));
	buf_free(&text);
	return ret;
}

static int
upload(struct cert_job *j, struct str pem, struct str id)
{
	struct fetch_request r = { .accept = STR("application/json") };
	struct buf path = { 0 };
	const char *user, *password = NULL, *old = getenv("C8YPASS");
	struct str name;
	int status, rc;

	rc = cloud_origin(j, cloud_text(&j->cloud, "http"), &r.url);
	if (rc != 0)
		return rc;
	user = asked_for(j, "user", "Cumulocity user: ");
	if (user != NULL && command_option(j->call, "password") == NULL &&
	    old != NULL && *old != '\0')
		password = old;
	else if (user != NULL)
		password = asked_for(j, "password", "Password: ");
	if (password == NULL)
		return ERR_PARAM;
	r.user = str_of(user);
	r.password = str_of(password);
	rc = tenant(j, r, &name);
	if (rc != 0)
		return rc;
	url_encode(&path, name);
	r.url = arena_printf(&j->arena,
	    STR_FMT "/tenant/tenants/" STR_FMT "/trusted-certificates",
	    STR_ARG(r.url), STR_ARG(buf_str(&path)));
	buf_free(&path);
	r.method = "POST";
	r.type = STR("application/json");
	r.body = upload_body(j, id, pem);
	rc = ask(j, &r, &status, NULL);
	if (rc != 0)
		return rc;
	if (status == 409)
		fprintf(stderr, "Certificate already exists in the cloud.\n");
	else if (status == 200 || status == 201)
		fprintf(stderr, "Certificate uploaded successfully.\n");
	else
		rc = something_wrong(j, status);
	return rc;
}

int
cert_upload(struct command_call *c)
{
	struct buf pem = { 0 };
	struct cert_job j;
	struct str id;
	int rc;

	if (!cert_begin(&j, c, "c8y"))
		return 1;
	rc = cert_read_own(&j, &pem);
	if (rc == 0)
		rc = cert_common_name(&j, &id);
	if (rc == 0)
		rc = upload(&j, buf_str(&pem), id);
	buf_free(&pem);
	return cert_end(&j, rc, "upload the certificate to Cumulocity");
}

/* --- EST ----------------------------------------------------------------- */

/* What came as PKCS#7 in base64, in lines or with the marks of PEM. */
static int
read_answer(struct cert_job *j, struct str text, struct buf *pem)
{
	struct buf base64 = { 0 }, der = { 0 };
	int rc = 0;

	while (text.ptr != NULL) {
		struct str line = str_trim(str_cut(&text, '\n'));

		if (!str_starts(line, STR("-----")))
			buf_add_str(&base64, line);
	}
	if (base64.len == 0 || !base64_decode(&der, buf_str(&base64)))
		rc = err_set(&j->err, ERR_PROTO,
		    "Cumulocity has answered with something that is no "
		    "certificate");
	else
		rc = j->maker->from_pkcs7(buf_str(&der), pem, &j->err);
	buf_free(&base64);
	buf_free(&der);
	return rc;
}

/* The certificate must be of our key: with another one nobody can sign in. */
static int
check_key(struct cert_job *j, struct str pem)
{
	struct cert_key key;
	int rc = cert_read_key(j, &key);

	if (rc == 0 && !j->maker->belong(&key, pem))
		rc = err_set(&j->err, ERR_PROTO,
		    "Cumulocity has answered with a certificate of another "
		    "key");
	return rc;
}

/* `r` has the URL of the operation, and who asks. *status: of the answer. */
static int
enroll(struct cert_job *j, struct fetch_request r, struct str csr, int *status,
    struct buf *pem)
{
	struct buf answer = { 0 };
	int rc;

	r.method = "POST";
	r.type = STR("application/pkcs10");
	r.accept = STR("application/pkcs7-mime");
	r.body = csr;
	rc = ask(j, &r, status, &answer);
	if (rc == 0 && *status != 200)
		rc = something_wrong(j, *status);
	if (rc == 0)
		rc = read_answer(j, buf_str(&answer), pem);
	if (rc == 0)
		rc = check_key(j, buf_str(pem));
	buf_free(&answer);
	return rc;
}

/* --- renew --------------------------------------------------------------- */

static bool
is_token(struct str topic, struct str payload)
{
	(void)topic;
	return str_starts(payload, STR("71,"));
}

/* The device's token, asked for over the bridge. */
static int
token(struct cert_job *j, struct buf *ret)
{
	struct str prefix = cloud_text(&j->cloud, "bridge.topic_prefix");
	struct exchange x = {
		.filter =
		    arena_printf(&j->arena, STR_FMT "/s/dat", STR_ARG(prefix))
			.ptr,
		.topic =
		    arena_printf(&j->arena, STR_FMT "/s/uat", STR_ARG(prefix))
			.ptr,
		.payload = STR(""),
		.is_answer = is_token,
		.timeout_ms = TOKEN_MS,
	};
	struct local local = { 0 };
	struct buf answer = { 0 };
	int rc = local_open(&local, j->config, &j->err);

	if (rc == 0) {
		x.conf = &local.conf;
		rc = exchange(&x, &answer, &j->err);
		if (rc != 0)
			err_wrap(&j->err,
			    "ask Cumulocity for a token over the bridge");
	}
	if (rc == 0)
		buf_add(ret, answer.ptr + 3, answer.len - 3); /* "71," */
	local_close(&local);
	buf_free(&answer);
	return rc;
}

int
cert_reenroll(struct cert_job *j, struct str id, struct buf *pem)
{
	const char *path = command_option(j->call, "csr-path");
	struct buf csr = { 0 }, bearer = { 0 };
	struct fetch_request r = { 0 };
	int status, rc;

	rc = cloud_origin(j, cloud_text(&j->cloud, "http"), &r.url);
	if (rc == 0 && strcmp(j->cloud.name, "c8y") != 0)
		rc = err_set(&j->err, ERR_PARAM,
		    "only Cumulocity signs certificates; with --ca self-signed "
		    "the device does it by itself");
	if (rc == 0 && (j->maker = cert_with(&j->err)) == NULL)
		rc = ERR_IO;
	if (rc == 0)
		rc = path != NULL ? file_read(path, &csr, &j->err)
				  : cert_make_request(j, id, j->csr_path, &csr);
	if (rc == 0)
		rc = token(j, &bearer);
	if (rc == 0) {
		r.url = arena_printf(&j->arena,
		    STR_FMT "/.well-known/est/simplereenroll", STR_ARG(r.url));
		r.bearer = str_trim(buf_str(&bearer));
		rc = enroll(j, r, buf_str(&csr), &status, pem);
	}
	if (bearer.ptr != NULL)
		explicit_bzero(bearer.ptr, bearer.len);
	buf_free(&bearer);
	buf_free(&csr);
	return rc;
}

/* --- download ------------------------------------------------------------ */

/* Until the device is registered, its password is of nobody. */
static int
enroll_until(struct cert_job *j, const struct fetch_request *r, struct str csr,
    struct buf *pem)
{
	int64_t every_ms, max_ms, end;
	int status, rc;

	if (!duration_parse_ms(
		str_of(command_option(j->call, "retry-every")), &every_ms) ||
	    !duration_parse_ms(
		str_of(command_option(j->call, "max-timeout")), &max_ms) ||
	    every_ms <= 0)
		return err_set(&j->err, ERR_PARAM,
		    "--retry-every and --max-timeout are durations such as 30s "
		    "or 10m");
	for (end = clock_mono() + max_ms;;) {
		rc = enroll(j, *r, csr, &status, pem);
		if (rc == 0 || status == 200 || clock_mono() + every_ms > end)
			return rc;
		fprintf(stderr,
		    "Not accepted yet: %s. Trying again in %lld s\n",
		    j->err.text, (long long)(every_ms / 1000));
		(void)nanosleep(&(struct timespec){ every_ms / 1000,
				    every_ms % 1000 * 1000000 },
		    NULL);
	}
}

static int
one_time_password(
    struct cert_job *j, struct str id, struct str origin, struct str *ret)
{
	const char *given = command_option(j->call, "one-time-password");
	char made[PASSWORD_LEN + 1];

	if (given == NULL && command_option(j->call, "prompt") != NULL) {
		given = asked_for(j, NULL, "One-time password: ");
		if (given == NULL)
			return ERR_PARAM;
	}
	if (given == NULL) {
		rand_text(made, PASSWORD_LEN);
		given = arena_z(&j->arena, str_of(made));
	}
	*ret = str_of(given);
	if (command_option(j->call, "no-registration-url") == NULL)
		fprintf(stderr,
		    "If not already done, register the device "
		    "at:\n    " STR_FMT "/apps/devicemanagement/"
		    "index.html#/deviceregistration?externalId=" STR_FMT
		    "&one-time-password=%s\n",
		    STR_ARG(origin), STR_ARG(id), given);
	return 0;
}

static int
download(struct cert_job *j, struct str id)
{
	const char *path = command_option(j->call, "csr-path");
	const char *host = command_option(j->call, "url");
	struct fetch_request r = { .user = id };
	struct buf csr = { 0 }, pem = { 0 };
	struct str origin = STR_NULL;
	int rc = cert_must_be_new(j, "certificate", j->cert_path);

	if (rc == 0)
		rc = cloud_origin(j,
		    host != NULL ? str_of(host) : cloud_text(&j->cloud, "http"),
		    &origin);
	if (rc == 0)
		rc = cert_make_request(
		    j, id, path != NULL ? path : j->csr_path, &csr);
	if (rc == 0)
		rc = one_time_password(j, id, origin, &r.password);
	if (rc == 0) {
		r.url = arena_printf(&j->arena,
		    STR_FMT "/.well-known/est/simpleenroll", STR_ARG(origin));
		rc = enroll_until(j, &r, buf_str(&csr), &pem);
	}
	if (rc == 0)
		rc = cert_put(j, j->cert_path, buf_str(&pem));
	if (rc == 0)
		fprintf(stderr, "Certificate downloaded successfully: %s\n",
		    j->cert_path);
	buf_free(&csr);
	buf_free(&pem);
	return rc;
}

int
cert_download(struct command_call *c)
{
	struct cert_job j;
	struct str id;
	int rc;

	if (!cert_begin(&j, c, "c8y"))
		return 1;
	rc = cert_device_id(&j, &id);
	if (rc == 0)
		rc = download(&j, id);
	return cert_end(&j, rc, "download the certificate from Cumulocity");
}
