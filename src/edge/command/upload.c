/*
 * edge/command/upload.c - `upload c8y`: a file becomes the binary of an event
 * in Cumulocity. It goes by the device's proxy, which shows the cloud who we
 * are.
 */
#include "edge/command.h"

#include "base/arena.h"
#include "base/base.h"
#include "base/clock.h"
#include "base/mem.h"
#include "codec/json.h"
#include "codec/url.h"
#include "edge/c8y_proxy.h"
#include "edge/fetch.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define ANSWER_MAX ((size_t)64 << 10)
#define ANSWER_MS 60000 /* of a request without a file */

struct job {
	struct command_call *call;
	struct cloud cloud;
	struct fetch_conf conf;
	struct arena arena;
	struct str root; /* "http://127.0.0.1:8001/c8y" */
	struct err err;
};

/* Asks; `*id` is what the answer has below `keys`. */
static int
ask(struct job *j, const char *what, struct fetch_request *r,
    const char *const *keys, struct str *id)
{
	struct buf answer = { 0 };
	struct str found;
	struct json json;
	int rc;

	r->conf = &j->conf;
	r->accept = STR("application/json");
	r->answer_max = ANSWER_MAX;
	rc = fetch_wait(r, NULL, &answer, &j->err);
	if (rc != 0) {
		struct str said = str_trim(buf_str(&answer));

		if (said.len > 0)
			(void)err_wrap(&j->err, "%s: %.*s", what,
			    (int)MIN_OF(said.len, 120), said.ptr);
		else
			(void)err_wrap(&j->err, "%s", what);
	}
	found = buf_str(&answer);
	for (; rc == 0 && id != NULL && *keys != NULL; keys++)
		found = json_find(&j->arena, found, str_of(*keys));
	if (rc == 0 && id != NULL) {
		json_open(&json, found, 0, &j->arena);
		if (found.ptr == NULL || !json_str(&json, &found) ||
		    found.len == 0)
			rc = err_set(&j->err, ERR_PROTO,
			    "%s: the answer has no id", what);
		else
			*id = arena_str(&j->arena, found);
	}
	buf_free(&answer);
	return rc;
}

/* The device's own number in the cloud. */
static int
find_device(struct job *j, struct str device, struct str *id)
{
	static const char *const keys[] = { "managedObject", "id", NULL };
	struct fetch_request r = { .timeout_ms = ANSWER_MS };
	struct buf url = { 0 };
	int rc;

	buf_addf(&url, STR_FMT "/identity/externalIds/c8y_Serial/",
	    STR_ARG(j->root));
	url_encode(&url, device);
	r.url = buf_str(&url);
	rc = ask(j, "find the device in the cloud", &r, keys, id);
	buf_free(&url);
	return rc;
}

/* What was given with --json goes over what we would say. */
static int
event_body(struct job *j, struct str device, struct str more, struct buf *out)
{
	const char *file = command_option(j->call, "file");
	const char *text = command_option(j->call, "text");
	const struct {
		const char *key;
		struct str value;
	} own[] = {
		{ "type", str_of(command_option(j->call, "type")) },
		{ "text",
		    text != NULL
			? str_of(text)
			: arena_printf(&j->arena, "Uploaded file: %s", file) },
		{ "time", time_text(&j->arena, clock_now()) },
	};
	struct str key, value;
	struct json json;

	buf_addz(out, "{\"source\":{\"id\":");
	json_quote(out, device);
	buf_addc(out, '}');
	json_open(&json, more, 0, &j->arena);
	if (json_object(&json))
		while (json_member(&json, &key) && json_raw(&json, &value))
			if (!str_eqz(key, "source")) {
				buf_addc(out, ',');
				json_quote(out, key);
				buf_addc(out, ':');
				buf_add_str(out, value);
			}
	if (json_done(&json, NULL) != 0)
		return err_set(
		    &j->err, ERR_PARAM, "--json: a JSON object is expected");
	for (size_t i = 0; i < COUNT_OF(own); i++)
		if (json_find(&j->arena, more, str_of(own[i].key)).ptr ==
		    NULL) {
			buf_addf(out, ",\"%s\":", own[i].key);
			json_quote(out, own[i].value);
		}
	buf_addc(out, '}');
	return 0;
}

static int
upload(struct job *j, struct str *event)
{
	static const char *const keys[] = { "id", NULL };
	const char *device = command_option(j->call, "device-id");
	const char *file = command_option(j->call, "file");
	const char *type = command_option(j->call, "mime-type");
	struct str more = str_of(command_option(j->call, "json")), id = STR("");
	struct fetch_request make = { .method = "POST",
		.type = STR("application/json"),
		.timeout_ms = ANSWER_MS };
	struct fetch_request send = { .method = "POST",
		.type = str_of(type != NULL ? type : command_file_type(file)),
		.path = file,
		.put = true };
	struct buf body = { 0 };
	struct stat st;
	int rc;

	if (stat(file, &st) < 0 || access(file, R_OK) < 0)
		return err_errno(&j->err, "open %s", file);
	if (!S_ISREG(st.st_mode))
		return err_set(&j->err, ERR_PARAM, "%s is no file", file);
	rc = event_body(j, id, more, &body); /* is it one? */
	buf_clear(&body);
	if (rc == 0)
		rc = find_device(j,
		    device != NULL ? str_of(device)
				   : cloud_text(&j->cloud, "device.id"),
		    &id);
	if (rc == 0)
		rc = event_body(j, id, more, &body);
	if (rc == 0) {
		make.url = arena_printf(
		    &j->arena, STR_FMT "/event/events", STR_ARG(j->root));
		make.body = buf_str(&body);
		rc = ask(j, "make an event", &make, keys, event);
	}
	if (rc == 0) {
		send.url = arena_printf(&j->arena,
		    STR_FMT "/event/events/" STR_FMT "/binaries",
		    STR_ARG(j->root), STR_ARG(*event));
		rc = ask(j, "send the file", &send, NULL, NULL);
	}
	buf_free(&body);
	return rc;
}

static int
run_upload(struct command_call *c)
{
	struct job j = { .call = c };
	struct str event;
	int status = 0;

	if (!command_cloud(c, "c8y", &j.cloud))
		return 1;
	fetch_conf_local(&j.cloud, &j.conf);
	j.root = c8y_proxy_root(&j.cloud, &j.arena);
	if (upload(&j, &event) != 0) {
		char *doing = mem_printf(
		    "upload %s to Cumulocity", command_option(c, "file"));

		status = command_failed(doing, &j.err);
		free(doing);
	} else {
		printf(STR_FMT "\n", STR_ARG(event));
	}
	arena_fini(&j.arena);
	return status;
}

static const struct command_option options[] = {
	{ .name = "file",
	    .arg = "FILE",
	    .required = true,
	    .help = "the file to send" },
	{ .name = "mime-type",
	    .arg = "TYPE",
	    .help = "its MIME type; else that of the file's ending" },
	{ .name = "type",
	    .arg = "TYPE",
	    .def = "tedge_UploadedFile",
	    .help = "of the event" },
	{ .name = "text",
	    .arg = "TEXT",
	    .help = "of the event; else \"Uploaded file: FILE\"" },
	{ .name = "json",
	    .arg = "JSON",
	    .def = "{}",
	    .help = "an object: more members of the event, or others" },
	{ .name = "device-id",
	    .arg = "ID",
	    .help = "the external id of another device" },
	{ .name = "profile",
	    .arg = "NAME",
	    .env = "TEDGE_CLOUD_PROFILE",
	    .help = "of Cumulocity" },
	{ 0 },
};

const struct command upload_commands[] = {
	{ .words = "upload c8y",
	    .args = "",
	    .options = options,
	    .help = "make an event in Cumulocity with a file, and print its id",
	    .run = run_upload },
	{ 0 },
};
