/*
 * core/hub/firmware.c - files for devices: their rows in the store, their bytes
 * in a folder beside it.
 *
 * A file is written beside its place, flushed and renamed; then its row is
 * changed. Who reads it checks the sum, so that a crash in between is found.
 */
#include "core/hub/private.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "core/rest/check.h"

#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define BODY_MAX (256 << 20) /* the setting says less */
#define EXTENSION_MAX 12

struct hub_file {
	struct str name, internal_name, checksum;
	int64_t size, modified_at;
};

struct hub_firmware {
	struct str id, unit_id;
	struct str description;
	struct hub_file file;
	struct str labels;
	int64_t modified_at;
};

static const struct field file_fields[] = {
	F_TEXT(struct hub_file, name, "name", .def = "\"\"",
	    .help = "As it was uploaded."),
	F_TEXT(struct hub_file, internal_name, "internalName", .def = "\"\"",
	    .help = "In the folder of firmware; empty: there is no file."),
	F_TEXT(struct hub_file, checksum, "checksum", .def = "\"\"",
	    .help = "sha256: and the sum in hex."),
	F_INT(struct hub_file, size, "size", .help = "Bytes."),
	F_TIME(struct hub_file, modified_at, "modifiedOn", .flags = FIELD_NULL),
	{ 0 },
};
static const struct record file_record = { "file", sizeof(struct hub_file),
	file_fields };

#define F struct hub_firmware
static const struct field firmware_fields[] = {
	F_TEXT(F, id, "id", .max = 128, .check = hub_check_id,
	    .help = "Identifies the firmware; chosen at will, it never "
		    "changes. Left out: one is made."),
	F_TEXT(F, unit_id, "unitId", .help = "The unit it belongs to."),
	F_TEXT(F, description, "description", .def = "\"\"", .max = 4096,
	    .help = "What people read."),
	F_RECORD(F, file, struct hub_file, "file", .record = &file_record),
	F_JSON(F, labels, "labels", .flags = FIELD_OBJECT, .def = "{}",
	    .help = "Texts by key. MySensors asks for ms_type_id and "
		    "ms_version_id."),
	F_TIME(F, modified_at, "modifiedOn", .flags = FIELD_NULL),
	{ 0 },
};
const struct entity hub_firmware_entity = {
	.record = { "firmware", sizeof(F), firmware_fields },
	.table = "firmware",
	.version = 1,
	.keys = (const struct entity_key[]){ { "id", { "id" } }, { 0 } },
	.indexes =
	    (const struct entity_key[]){ { "unitId", { "unitId" } }, { 0 } },
	.help = "A file for devices.",
};

static const char *
path_of(const struct hub *h, struct arena *a, struct str internal_name)
{
	return arena_z(a,
	    arena_printf(
		a, "%s/" STR_FMT, h->firmware_dir, STR_ARG(internal_name)));
}

static struct str
sum_of(struct arena *a, struct str bytes)
{
	unsigned char sum[crypto_hash_sha256_BYTES];
	struct buf b = { 0 };
	struct str ret;

	(void)crypto_hash_sha256(
	    sum, (const unsigned char *)bytes.ptr, bytes.len);
	buf_addz(&b, "sha256:");
	hex_encode(&b, (const char *)sum, sizeof(sum));
	ret = arena_str(a, buf_str(&b));
	buf_free(&b);
	return ret;
}

static int
get(struct hub *h, struct str id, struct arena *a, struct hub_firmware *ret,
    bool *found, struct err *err)
{
	struct filter f = { 0 };

	filter_text(&f, "id", id);
	return store_get(
	    h->store, &hub_firmware_entity, &f, a, ret, found, err);
}

/* --- over HTTP ----------------------------------------------------------- */

static void
firmware_after_del(struct rest *r, const void *row)
{
	const struct hub_firmware *fw = row;

	if (fw->file.internal_name.len > 0)
		(void)unlink(
		    path_of(r->module, &r->c->arena, fw->file.internal_name));
}

static int
remove_file(void *ctx, const void *row, struct err *err)
{
	const struct hub_firmware *fw = row;
	struct arena a = { 0 };

	(void)err;
	if (fw->file.internal_name.len > 0)
		(void)unlink(path_of(ctx, &a, fw->file.internal_name));
	arena_fini(&a);
	return 0;
}

void
firmware_unit_gone(struct hub *h, struct str unit_id)
{
	struct filter f = { 0 };
	const struct store_query q = { .filter = &f };

	filter_text(&f, "unitId", unit_id);
	(void)store_list(
	    h->store, &hub_firmware_entity, &q, remove_file, h, NULL);
}

const struct rest_object hub_firmware_object = {
	HUB_SHARED,
	.name = "firmware",
	.entity = &hub_firmware_entity,
	.filters =
	    (const struct rest_filter[]){
		{ "contains", "id", COND_CONTAINS }, { 0 } },
	.sorts = (const struct rest_sort[]){ { "id", "id" },
	    { "modified", "modifiedOn" }, { 0 } },
	.sort = "id:asc",
	.add = "id unitId! description labels",
	.patch = "description labels",
	.exists =
	    (const struct rest_exists[]){ { "id", "err_hub_exist" }, { 0 } },
	.help = "firmware: files for devices.",
	.before_add = hub_before_add,
	.after_del = firmware_after_del,
};

/* The row of the path, if the caller has this right. */
static bool
firmware_of(struct http_call *c, enum rest_verb verb, struct hub_firmware *ret)
{
	struct hub *h = (struct hub *)c->route->ctx;
	struct rest r = { .c = c, .module = h };
	struct err err;
	bool found;

	if (get(h, http_var(c, 0), &c->arena, ret, &found, &err) != 0) {
		rest_db_error(c, &err);
		return false;
	}
	if (found && hub_may(&r, verb, ret))
		return true;
	if (c->status == 0)
		http_error(c, 404, "err_not_found", NULL);
	return false;
}

/* ".hex" of "blink.hex"; only letters and digits. */
static struct str
extension_of(struct arena *a, struct str name)
{
	size_t i = name.len;

	while (i > 0 && name.ptr[i - 1] != '.')
		i--;
	if (i == 0 || name.len - i == 0 || name.len - i > EXTENSION_MAX)
		return STR(".bin");
	for (size_t k = i; k < name.len; k++) {
		char ch = name.ptr[k] | 0x20;

		if ((ch < 'a' || ch > 'z') && (ch < '0' || ch > '9'))
			return STR(".bin");
	}
	return arena_lower(
	    a, (struct str){ name.ptr + i - 1, name.len - i + 1 });
}

static int
keep(struct hub *h, struct http_call *c, struct hub_firmware *fw,
    struct err *err)
{
	struct arena *a = &c->arena;
	struct str old = fw->file.internal_name, name = http_query(c, "name");
	struct change changes[8];
	struct filter f = { 0 };
	size_t n;
	int rc;

	if (mkdir(h->firmware_dir, 0750) != 0 && errno != EEXIST)
		return err_errno(err, "make %s", h->firmware_dir);
	fw->file = (struct hub_file){
		.name = name.len > 0 ? name : STR("firmware.bin"),
		.internal_name = arena_printf(a, STR_FMT STR_FMT,
		    STR_ARG(fw->id), STR_ARG(extension_of(a, name))),
		.checksum = sum_of(a, c->body),
		.size = (int64_t)c->body.len,
		.modified_at = c->came_at,
	};
	fw->modified_at = c->came_at;
	rc = file_write(path_of(h, a, fw->file.internal_name), c->body, err);
	if (rc != 0)
		return rc;
	n = rest_changes(&hub_firmware_entity.record,
	    field_bits(&hub_firmware_entity.record, "file modifiedOn", NULL), a,
	    fw, changes);
	filter_text(&f, "id", fw->id);
	rc = store_update(
	    h->store, &hub_firmware_entity, &f, changes, n, NULL, err);
	if (rc == 0 && old.len > 0 && !str_eq(old, fw->file.internal_name))
		(void)unlink(path_of(h, a, old));
	return rc;
}

static void
handle_upload(struct http_call *c)
{
	struct hub *h = (struct hub *)c->route->ctx;
	struct hub_firmware fw;
	struct err err;

	if (!firmware_of(c, REST_PATCH, &fw))
		return;
	if (c->body.len == 0) {
		http_error(c, 400, "err_param",
		    "the body is empty: send the bytes of the file");
	} else if (c->body.len > (size_t)h->conf.firmware_max) {
		http_error(c, 413, "err_param",
		    "the file is larger than hub.firmwareMax");
	} else if (keep(h, c, &fw, &err) != 0) {
		http_error(c, 503, "err_rsc", "%s", err.text);
	} else {
		rest_answer(c, &hub_firmware_entity.record, &fw);
	}
}

static void
handle_download(struct http_call *c)
{
	struct hub *h = (struct hub *)c->route->ctx;
	struct buf bytes = { 0 };
	struct hub_firmware fw;
	struct err err;

	if (!firmware_of(c, REST_GET, &fw))
		return;
	if (fw.file.internal_name.len == 0)
		http_error(c, 404, "err_not_found",
		    "no file was uploaded for this firmware yet");
	else if (file_read(path_of(h, &c->arena, fw.file.internal_name), &bytes,
		     &err) != 0)
		http_error(c, 503, "err_rsc", "%s", err.text);
	else
		http_text(c, 200, "application/octet-stream", buf_str(&bytes));
	buf_free(&bytes);
}

struct upload_query {
	struct str name;
};
static const struct field upload_fields[] = {
	F_TEXT(struct upload_query, name, "name",
	    .help = "Name of the file, whose ending is kept."),
	{ 0 },
};
static const struct record upload_record = { "firmwareUpload",
	sizeof(struct upload_query), upload_fields };

const struct http_route hub_firmware_rows[] = {
	{ "POST", "/firmware/{id}/file", HTTP_TOKEN,
	    .scope = "firmware.post.file", .query = &upload_record,
	    .body = { .media = "application/octet-stream" },
	    .reply = { .record = &hub_firmware_entity.record },
	    .flags = HTTP_SLOW, .body_max = BODY_MAX, .handle = handle_upload,
	    .help = "Uploads the file: the body is its bytes, the answer the "
		    "row." },
	{ "GET", "/firmware/{id}/file", HTTP_TOKEN,
	    .scope = "firmware.get.file",
	    .reply = { .media = "application/octet-stream" },
	    .flags = HTTP_SLOW, .handle = handle_download,
	    .help = "Downloads the file." },
	{ 0 },
};

/* --- for gateways -------------------------------------------------------- */

struct fetching {
	struct worker_job job;
	struct loop_post post;
	struct gate *gate;
	unsigned round;
	gateway_firmware_done *done;
	void *ctx;
	struct str id; /* in `arena` */
	struct hub_firmware row;
	struct buf bytes;
	struct err err;
	struct arena arena;
};

/* On a worker. */
static void
run_fetching(struct worker_job *job)
{
	struct fetching *f = container_of(job, struct fetching, job);
	struct hub *h = f->gate->hub;
	struct arena *a = &f->arena;
	bool found = false;
	int rc = get(h, f->id, a, &f->row, &found, &f->err);

	if (rc == 0 &&
	    (!found || !str_eq(f->row.unit_id, f->gate->row.unit_id)))
		(void)err_set(&f->err, ERR_NOT_FOUND,
		    "there is no firmware " STR_FMT, STR_ARG(f->id));
	else if (rc == 0 && f->row.file.internal_name.len == 0)
		(void)err_set(&f->err, ERR_NOT_FOUND,
		    "firmware " STR_FMT " has no file yet", STR_ARG(f->id));
	else if (rc == 0 &&
	    file_read(path_of(h, a, f->row.file.internal_name), &f->bytes,
		&f->err) == 0 &&
	    !str_eq(sum_of(a, buf_str(&f->bytes)), f->row.file.checksum))
		(void)err_set(&f->err, ERR_IO,
		    "firmware " STR_FMT ": its file is not what was uploaded; "
		    "upload it again",
		    STR_ARG(f->id));
	loop_post(h->loop, &f->post);
}

static void
on_fetched(struct loop_post *p)
{
	struct fetching *f = container_of(p, struct fetching, post);
	const struct gateway_firmware fw = { buf_str(&f->bytes),
		f->row.labels };

	if (f->gate->plug != NULL && f->gate->round == f->round)
		f->done(f->ctx, f->err.code == 0 ? &fw : NULL, &f->err);
	gate_unref(f->gate);
	buf_free(&f->bytes);
	arena_fini(&f->arena);
	free(f);
}

void
firmware_for(
    void *ctx, struct str id, gateway_firmware_done *done, void *done_ctx)
{
	struct fetching *f = mem_new(struct fetching);
	struct gate *g = ctx;

	g->refs++;
	f->gate = g;
	f->round = g->round;
	f->done = done;
	f->ctx = done_ctx;
	f->id = arena_str(&f->arena, id);
	f->job.run = run_fetching;
	f->post.run = on_fetched;
	if (worker_submit(g->hub->errands, &f->job) != 0) {
		(void)err_set(&f->err, ERR_LIMIT, "too much at once");
		loop_post(g->hub->loop, &f->post);
	}
}
