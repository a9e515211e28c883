/*
 * core/backup/mycontroller.c - backups of MyController, into a unit.
 *
 * Each kind of row has a line in `kinds`: what it is called there and here, how
 * a row of it is prepared, and what identifies it among ours. All rows go into
 * one transaction per store; a dry run is the same, taken back at its end. A
 * row that can not be taken is listed with the reason and hinders no other.
 *
 *    gateway --> the same, or where there are none a network of its id
 *    node    --> a device at its address, and what the hub knows of it
 */
#include "core/backup/private.h"

#include "base/base.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/rand.h"
#include "codec/json.h"
#include "core/backup/convert.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define LOG_MODULE "backup"

#define TAKE_BACK 1 /* what the function of a dry run returns */

struct importing {
	struct backup *b;
	struct job *job;
	struct unpack *u;
	struct nest *nest;
	struct str unit_code;

	const struct kind *kind;
	struct tally *tallies; /* one for each line of `kinds`, then ours */
	struct tally networks, devices;
	struct buf skipped; /* JSON items */
	struct json_out out;
	int64_t n_skipped;
	struct map known; /* "gateway" and "gateway.node" -> their ids */
	struct buf files; /* firmware to be copied, a name a line */
	struct arena known_arena;
	struct arena arena; /* of the row in hand */
};

/* A row on its way: members of theirs, and our own before them. */
struct row {
	struct str json;  /* theirs, converted */
	struct str id;    /* theirs */
	struct buf ours;  /* members, each with a comma behind */
	const char *drop; /* names of theirs that do not count */
	/* known once it is taken: "gateway", "gateway.node" */
	struct str known_key, known_id;
};

struct kind {
	const char *theirs;
	const char *ours; /* "hub.task"; NULL: not taken */
	const char *id;   /* theirs that people read */
	int (*prepare)(struct importing *x, struct row *r, struct err *err);
	const char *unfold; /* members that may hold old variables */
	const char *why;    /* not taken: because */
	bool has_file;      /* its member `file` tells of one in firmware/ */
};

/* --- reading ------------------------------------------------------------- */

static struct str
text_member(struct arena *a, struct str json, const char *name)
{
	struct str raw = json_find(a, json, str_of(name)), text = STR("");
	struct json j;

	if (raw.len > 0 && raw.ptr[0] == '"') {
		json_open(&j, raw, 0, a);
		json_str(&j, &text);
	}
	return text;
}

static bool
has_word(const char *words, struct str word)
{
	struct str all = str_of(words);

	while (all.ptr != NULL)
		if (str_eq(str_cut(&all, ' '), word))
			return true;
	return false;
}

static void
put_ours(struct row *r, const char *name, struct str text)
{
	buf_addf(&r->ours, "\"%s\":", name);
	json_quote(&r->ours, text);
	buf_addc(&r->ours, ',');
}

/* --- writing ------------------------------------------------------------- */

static const struct entity *
entity_of(const struct importing *x, const char *ours, struct store **tx)
{
	struct str record = str_of(ours), name = str_cut(&record, '.');

	for (size_t i = 0; i < x->b->host.n_parts; i++) {
		const struct backup_part *p = &x->b->host.parts[i];

		if (!str_eqz(name, p->name))
			continue;
		*tx = x->nest->tx[i];
		for (size_t k = 0; p->entities[k] != NULL; k++)
			if (str_eqz(record, p->entities[k]->record.name))
				return p->entities[k];
	}
	return NULL;
}

static field_set_t
nullable(const struct record *r)
{
	field_set_t set = 0;

	for (size_t i = 0; r->fields[i].name != NULL; i++)
		if (r->fields[i].flags & FIELD_NULL)
			set |= (field_set_t)1 << i;
	return set;
}

static void
set_now(const struct entity *e, const char *name, void *row)
{
	const struct field *f =
	    field_find(&e->record, str_of(name), NULL, NULL);
	struct value v = value_time(clock_now());

	if (f != NULL && f->type == FIELD_TIME)
		field_set(f, (char *)row + f->offset, &v);
}

static int
seal(struct importing *x, const struct entity *e, void *row, bool open,
    struct err *err)
{
	const struct backup_host *host = &x->b->host;

	return host->seal != NULL
	    ? host->seal(host->ctx, e, row, open, &x->arena, err)
	    : 0;
}

static void
keep_time(const struct entity *e, const char *name, void *row, const void *old)
{
	const struct field *f =
	    field_find(&e->record, str_of(name), NULL, NULL);
	struct value v;

	if (f == NULL || f->type != FIELD_TIME)
		return;
	v = field_get(f, (const char *)old + f->offset);
	field_set(f, (char *)row + f->offset, &v);
}

static int
decode(struct importing *x, const struct entity *e, struct str json, void *row,
    struct err *err)
{
	field_set_t present;
	struct json j;
	int rc;

	memset(row, 0, e->record.size);
	record_init(&e->record, row);
	json_open(&j, json, 0, &x->arena);
	rc = record_from_json(&j, &e->record, FIELD_ALL, nullable(&e->record),
	    row, &present, err);
	if (rc == 0)
		rc = json_done(&j, err);
	if (rc == 0)
		rc = record_defaults(&e->record, &x->arena, present, row, err);
	set_now(e, "createdAt", row);
	set_now(e, "modifiedAt", row);
	return rc;
}

/* The row of a unique key that has these values; `found`. */
static int
find(struct importing *x, struct store *tx, const struct entity *e,
    const struct filter *f, void *row, bool *found, struct err *err)
{
	return store_get(tx, e, f, &x->arena, row, found, err);
}

static int
put_row(struct importing *x, const struct entity *e, struct store *tx,
    struct str json, struct tally *tally, struct err *err)
{
	void *row = arena_alloc(&x->arena, e->record.size);
	void *old = arena_alloc(&x->arena, e->record.size);
	const struct field *unit;
	struct filter f = { 0 };
	bool found;
	int rc;

	rc = decode(x, e, json, row, err);
	if (rc == 0)
		row_filter(e, row, &f);
	if (rc == 0)
		rc = find(x, tx, e, &f, old, &found, err);
	if (rc != 0)
		return rc;
	unit = field_find(&e->record, STR("unitId"), NULL, NULL);
	if (found && unit != NULL &&
	    !str_eq(field_get(unit, (char *)old + unit->offset).text,
		x->job->unit_id))
		return err_set(
		    err, ERR_EXISTS, "another unit has one of this id");
	if (found) { /* what is the same keeps its times */
		keep_time(e, "createdAt", row, old);
		keep_time(e, "modifiedAt", row, old);
	}
	if (found && seal(x, e, old, true, err) != 0)
		return err->code;
	if (found && row_same(e, row, old))
		return 0;
	set_now(e, "modifiedAt", row);
	rc = seal(x, e, row, false, err);
	if (rc == 0)
		rc = store_upsert(tx, e, row, err);
	if (rc == 0)
		tally_note(tally, found ? CHANGED : ADDED, row_name(e, row));
	return rc;
}

/* Our members, then theirs that are not among them. */
static struct str
join(struct importing *x, struct row *r)
{
	struct buf b = { 0 };
	struct str key, value, ret;
	struct arena *a = &x->arena;
	struct json j;
	bool comma;

	buf_addc(&b, '{');
	buf_add_str(&b, buf_str(&r->ours));
	comma = false;
	json_open(&j, r->json, 0, a);
	if (json_object(&j))
		while (json_member(&j, &key) && json_raw(&j, &value)) {
			struct buf name = { 0 };
			struct str ours = buf_str(&r->ours);
			bool mine;

			json_quote(&name, key);
			buf_addc(&name, ':');
			mine = ours.len > 0 &&
			    memmem(ours.ptr, ours.len, name.ptr, name.len) !=
				NULL;
			/* "" is what was never set: our default */
			if (!mine && !has_word(r->drop, key) &&
			    !str_eqz(value, "\"\"") && !str_eqz(value, "null"))
				buf_addf(&b, "%s" STR_FMT STR_FMT,
				    comma ? "," : "", STR_ARG(buf_str(&name)),
				    STR_ARG(value)),
				    comma = true;
			buf_free(&name);
		}
	if (!comma && b.len > 1)
		b.len--; /* the comma behind our last one */
	buf_addc(&b, '}');
	ret = arena_str(a, buf_str(&b));
	buf_free(&b);
	return ret;
}

/* --- gateways and nodes -------------------------------------------------- */

static void
know(struct importing *x, struct str key, struct str id)
{
	struct str *copy = arena_new(&x->known_arena, struct str);

	*copy = arena_str(&x->known_arena, id);
	(void)map_put(&x->known, arena_str(&x->known_arena, key), copy);
}

static struct str
known(const struct importing *x, struct str key)
{
	const struct str *id = map_get(&x->known, key);

	return id != NULL ? *id : STR_NULL;
}

/* The id of the row where `f` finds one, else a new one. */
static int
id_for(struct importing *x, const char *ours, const char *id_field,
    const struct filter *f, bool *found, struct str *ret, struct err *err)
{
	struct store *tx;
	const struct entity *e = entity_of(x, ours, &tx);
	void *row = arena_alloc(&x->arena, e->record.size);
	const struct field *id;
	int rc = find(x, tx, e, f, row, found, err);

	if (rc != 0)
		return rc;
	id = field_find(&e->record, str_of(id_field), NULL, NULL);
	*ret = *found ? field_get(id, (char *)row + id->offset).text
		      : rand_id(&x->arena, clock_now(), ID_SHORT);
	return 0;
}

static int
put_beside(struct importing *x, const char *ours, const struct buf *members,
    struct tally *tally, struct err *err)
{
	struct store *tx;
	const struct entity *e = entity_of(x, ours, &tx);

	return put_row(x, e, tx,
	    arena_printf(&x->arena, "{" STR_FMT "}", (int)members->len - 1,
		members->ptr),
	    tally, err);
}

/* The network of this code, if there is one. */
static int
find_network(struct importing *x, struct str code, bool *found, struct str *id,
    struct err *err)
{
	struct filter f = { 0 };

	filter_text(&f, "unitId", x->job->unit_id);
	filter_text(&f, "code", code);
	return id_for(x, "broker.network", "networkId", &f, found, id, err);
}

static int
make_network(struct importing *x, struct str code, struct str id,
    struct str name, struct err *err)
{
	struct row r = { 0 };
	int rc;

	put_ours(&r, "networkId", id);
	put_ours(&r, "unitId", x->job->unit_id);
	put_ours(&r, "unitCode", x->unit_code);
	put_ours(&r, "code", code);
	put_ours(&r, "hostUri", STR("mqtt://localhost"));
	put_ours(&r, "name", name);
	rc = put_beside(x, "broker.network", &r.ours, &x->networks, err);
	buf_free(&r.ours);
	return rc;
}

/* Where there are gateways one is a network by itself. A network that is there
 * stays as it is, and is the one. */
static int
gateway(struct importing *x, struct row *r, struct err *err)
{
	struct str code = arena_lower(&x->arena, r->id), id;
	struct str name = text_member(&x->arena, r->json, "description");
	struct filter f = { 0 };
	struct store *tx;
	bool network, found;
	int rc = find_network(x, code, &network, &id, err);

	if (rc == 0 && !network && entity_of(x, x->kind->ours, &tx) == NULL)
		rc =
		    make_network(x, code, id, name.len > 0 ? name : r->id, err);
	else if (rc == 0 && !network) {
		filter_text(&f, "unitId", x->job->unit_id);
		filter_text(&f, "code", code);
		rc = id_for(x, x->kind->ours, "id", &f, &found, &id, err);
		put_ours(r, "id", id);
		put_ours(r, "unitCode", x->unit_code);
		put_ours(r, "code", code);
		r->known_key = code;
		r->known_id = id;
		return rc;
	}
	if (rc == 0)
		know(x, code, id);
	if (rc == 0 && network)
		rc = err_set(err, ERR_NOT_FOUND,
		    "there is a network of this code: it is used as it is");
	return rc;
}

struct place {
	struct str gateway, node; /* in lower case */
	struct str network_id, device_id;
};

static int
place_of(struct importing *x, struct row *r, struct place *p, struct err *err)
{
	struct arena *a = &x->arena;

	p->gateway = arena_lower(a, text_member(a, r->json, "gatewayId"));
	p->node = arena_lower(a, str_trim(text_member(a, r->json, "nodeId")));
	p->network_id = known(x, p->gateway);
	p->device_id = known(x,
	    arena_printf(
		a, STR_FMT "." STR_FMT, STR_ARG(p->gateway), STR_ARG(p->node)));
	if (p->network_id.ptr == NULL)
		return err_set(err, ERR_NOT_FOUND,
		    "its gateway `" STR_FMT "` was not taken",
		    STR_ARG(p->gateway));
	return 0;
}

static void
put_place(struct row *r, const struct place *p)
{
	put_ours(r, "gatewayId", p->gateway);
	put_ours(r, "nodeId", p->node);
}

/* Its device. One that is there stays as it is. */
static int
device_for(struct importing *x, const struct place *p, struct str name,
    struct str *ret, struct err *err)
{
	struct row d = { 0 };
	struct filter f = { 0 };
	bool found;
	int rc;

	filter_text(&f, "networkId", p->network_id);
	filter_text(&f, "networkAddr", p->node);
	rc = id_for(x, "broker.device", "deviceId", &f, &found, ret, err);
	if (rc != 0 || found)
		return rc;
	put_ours(&d, "deviceId", *ret);
	put_ours(&d, "unitId", x->job->unit_id);
	put_ours(&d, "unitCode", x->unit_code);
	put_ours(&d, "networkId", p->network_id);
	put_ours(&d, "networkCode", p->gateway);
	put_ours(&d, "networkAddr", p->node);
	put_ours(&d, "name", name);
	rc = put_beside(x, "broker.device", &d.ours, &x->devices, err);
	buf_free(&d.ours);
	return rc;
}

static int
node(struct importing *x, struct row *r, struct err *err)
{
	struct str id, name = text_member(&x->arena, r->json, "name");
	struct place p;
	int rc = place_of(x, r, &p, err);

	if (rc == 0)
		rc = device_for(x, &p, name, &id, err);
	if (rc != 0)
		return rc;
	r->known_key = arena_printf(&x->arena, STR_FMT "." STR_FMT,
	    STR_ARG(p.gateway), STR_ARG(p.node));
	r->known_id = id;
	put_ours(r, "id", id);
	put_place(r, &p);
	return 0;
}

/* Sources and fields keep their ids, unless ours has one at that place. */
static int
below_node(
    struct importing *x, struct row *r, const char *last, struct err *err)
{
	struct arena *a = &x->arena;
	struct filter f = { 0 };
	struct place p;
	struct store *tx;
	const struct entity *e = entity_of(x, x->kind->ours, &tx);
	const struct field *id;
	void *row = arena_alloc(a, e->record.size);
	bool found;
	int rc = place_of(x, r, &p, err);

	if (rc == 0 && p.device_id.ptr == NULL)
		rc = err_set(err, ERR_NOT_FOUND,
		    "its node `" STR_FMT "` was not taken", STR_ARG(p.node));
	if (rc != 0)
		return rc;
	filter_text(&f, "deviceId", p.device_id);
	filter_text(&f, "sourceId", text_member(a, r->json, "sourceId"));
	if (last != NULL)
		filter_text(&f, last, text_member(a, r->json, last));
	rc = find(x, tx, e, &f, row, &found, err);
	if (rc != 0)
		return rc;
	id = field_find(&e->record, STR("id"), NULL, NULL);
	if (found)
		put_ours(r, "id", field_get(id, (char *)row + id->offset).text);
	else if (r->id.len == 0)
		put_ours(r, "id", rand_id(a, clock_now(), ID_LONG));
	put_ours(r, "deviceId", p.device_id);
	put_place(r, &p);
	return 0;
}

static int
source(struct importing *x, struct row *r, struct err *err)
{
	return below_node(x, r, NULL, err);
}

static int
field(struct importing *x, struct row *r, struct err *err)
{
	return below_node(x, r, "fieldId", err);
}

/* --- kinds --------------------------------------------------------------- */

#define OLD_VARIABLES "variables handlerParameters"

/* In the order in which one needs the other. */
static const struct kind kinds[] = {
	{ "gateway", "broker.gateway", "id", gateway },
	{ "node", "hub.node", "nodeId", node },
	{ "source", "hub.source", "sourceId", source },
	{ "field", "hub.field", "fieldId", field },
	{ "data_repository", "hub.dataRepository", "id" },
	{ "handler", "hub.handler", "id" },
	{ "task", "hub.task", "id", .unfold = OLD_VARIABLES },
	{ "schedule", "hub.schedule", "id", .unfold = OLD_VARIABLES },
	{ "forward_payload", "hub.forwardPayload", "id" },
	{ "dashboard", "hub.dashboard", "title" },
	{ "firmware", "hub.firmware", "id", .has_file = true },
	{ "virtual_device", "hub.virtualDevice", "id" },
	{ "virtual_assistant", "hub.virtualAssistant", "id" },
	{ "user", NULL, "username",
	    .why = "accounts are of the whole platform, and its password "
		   "can not be read: make it anew" },
	{ "service_token", NULL, "name",
	    .why = "tokens are made anew, by a client" },
	{ "settings", NULL, "id",
	    .why = "settings of MyController do not fit ours" },
};

static void
skip(struct importing *x, struct str id, const char *why)
{
	if (x->n_skipped++ > 0)
		buf_addc(&x->skipped, ',');
	json_out_init(&x->out, &x->skipped, false);
	json_out_object(&x->out);
	json_out_key(&x->out, "entity");
	json_out_str(&x->out, str_of(x->kind->theirs));
	json_out_key(&x->out, "id");
	json_out_str(&x->out, id);
	json_out_key(&x->out, "why");
	json_out_str(&x->out, str_of(why));
	json_out_end_object(&x->out);
}

/* Old variables become objects. */
static int
unfold(struct importing *x, struct row *r, struct err *err)
{
	struct buf b = { 0 };
	struct str key, value;
	struct json_out o;
	struct json j;
	int rc = 0;

	json_out_init(&o, &b, false);
	json_out_object(&o);
	json_open(&j, r->json, 0, &x->arena);
	if (json_object(&j))
		while (
		    rc == 0 && json_member(&j, &key) && json_raw(&j, &value)) {
			if (has_word(x->kind->unfold, key)) {
				rc = mc_unfold(&x->arena, value, &value, err);
				if (rc != 0)
					err_wrap(err, STR_FMT, STR_ARG(key));
			}
			json_out_key_str(&o, key);
			json_out_raw(&o, value);
		}
	json_out_end_object(&o);
	if (rc == 0)
		r->json = arena_str(&x->arena, buf_str(&b));
	buf_free(&b);
	return rc;
}

/* Its file is copied when all rows are in. */
static void
note_file(struct importing *x, struct row *r)
{
	struct arena *a = &x->arena;
	struct str name =
	    text_member(a, json_find(a, r->json, STR("file")), "internalName");

	if (name.len == 0 || name.ptr[0] == '.' ||
	    memchr(name.ptr, '/', name.len) != NULL ||
	    memchr(name.ptr, '\n', name.len) != NULL)
		return;
	buf_add_str(&x->files, name);
	buf_addc(&x->files, '\n');
}

static int
copy_file(struct importing *x, struct str name, struct err *err)
{
	const char *dir = x->b->data_dir;
	const struct zip_entry *e = unpack_find(
	    x->u, arena_printf(&x->arena, "firmware/" STR_FMT, STR_ARG(name)));
	char *path, *fresh;
	int rc;

	if (e == NULL)
		return 0; /* its row tells the sum: nothing has it */
	path = mem_printf("%s/firmware/" STR_FMT, dir, STR_ARG(name));
	fresh = mem_printf("%s.new", path);
	unlink(fresh);
	rc = unpack_file(x->u, e, fresh, err);
	if (rc == 0)
		rc = files_publish(fresh, path, err);
	free(path);
	free(fresh);
	return rc;
}

static int
copy_files(struct importing *x, struct err *err)
{
	struct str all = buf_str(&x->files), name;
	char *dir = mem_printf("%s/firmware", x->b->data_dir);
	int rc = 0;

	if (all.len > 0 && mkdir(dir, 0700) < 0 && errno != EEXIST)
		rc = err_errno(err, "make the folder %s", dir);
	while (rc == 0 && all.len > 0) {
		name = str_cut(&all, '\n');
		rc = copy_file(x, name, err);
	}
	free(dir);
	return rc;
}

static int
take(struct importing *x, struct row *r, const struct entity *e,
    struct store *tx, struct err *err)
{
	const struct kind *k = x->kind;
	int rc = 0;

	if (k->unfold != NULL)
		rc = unfold(x, r, err);
	if (rc == 0)
		rc = mc_convert(
		    &x->arena, r->json, x->job->secret, &r->json, err);
	put_ours(r, "unitId", x->job->unit_id);
	if (rc == 0 && k->prepare != NULL)
		rc = k->prepare(x, r, err);
	if (rc == 0 && e == NULL)
		return err_set(err, ERR_NOT_FOUND,
		    k->prepare == gateway
			? "this version has no gateways of its own: its "
			  "network is taken, its connection is not"
			: "this version has nothing like it");
	if (rc == 0)
		rc = put_row(x, e, tx, join(x, r), &x->tallies[k - kinds], err);
	if (rc == 0 && r->known_key.ptr != NULL)
		know(x, r->known_key, r->known_id);
	if (rc == 0 && k->has_file)
		note_file(x, r);
	return rc;
}

static int
on_item(void *ctx, struct str json, struct err *err)
{
	struct importing *x = ctx;
	const struct kind *k = x->kind;
	struct store *tx = NULL;
	const struct entity *e =
	    k->ours != NULL ? entity_of(x, k->ours, &tx) : NULL;
	struct row r = { .drop = "" };
	struct str name;
	struct err why;
	int rc;

	arena_clear(&x->arena);
	if (backup_ending(x->b))
		return err_set(err, ERR_CLOSED, "the program ends");
	r.json = arena_str(&x->arena, json);
	r.id = text_member(&x->arena, r.json, "id");
	name = text_member(&x->arena, r.json, k->id);
	if (k->ours == NULL) {
		skip(x, name, k->why);
		return 0;
	}
	rc = take(x, &r, e, tx, &why);
	buf_free(&r.ours);
	/* what the store itself could not do ends it all */
	if (rc == ERR_IO || rc == ERR_INTERNAL || rc == ERR_AGAIN) {
		*err = why;
		return rc;
	}
	if (rc != 0)
		skip(x, name, why.text);
	return 0;
}

/* --- the whole ----------------------------------------------------------- */

static int
find_unit(struct importing *x, struct err *err)
{
	struct store *tx;
	const struct entity *e = entity_of(x, "broker.unit", &tx);
	void *row = arena_alloc(&x->known_arena, e->record.size);
	struct filter f = { 0 };
	const struct field *code;
	bool found;
	int rc;

	filter_text(&f, "unitId", x->job->unit_id);
	rc = store_get(tx, e, &f, &x->known_arena, row, &found, err);
	if (rc == 0 && !found)
		rc = err_set(err, ERR_PARAM, "unitId: there is no such unit");
	if (rc != 0)
		return rc;
	code = field_find(&e->record, STR("code"), NULL, NULL);
	x->unit_code = field_get(code, (char *)row + code->offset).text;
	return 0;
}

static void
start_over(struct importing *x)
{
	for (size_t i = 0; i < COUNT_OF(kinds); i++)
		arena_fini(&x->tallies[i].arena);
	memset(x->tallies, 0, COUNT_OF(kinds) * sizeof(*x->tallies));
	arena_fini(&x->networks.arena);
	arena_fini(&x->devices.arena);
	memset(&x->networks, 0, sizeof(x->networks));
	memset(&x->devices, 0, sizeof(x->devices));
	buf_clear(&x->skipped);
	buf_clear(&x->files);
	x->n_skipped = 0;
	map_fini(&x->known);
	arena_clear(&x->known_arena);
	x->u->read = 0;
}

static int
import_all(struct nest *n, void *ctx, struct err *err)
{
	struct importing *x = ctx;
	int rc;

	start_over(x); /* it may be run again */
	x->nest = n;
	rc = find_unit(x, err);
	for (size_t i = 0; rc == 0 && i < COUNT_OF(kinds); i++) {
		x->kind = &kinds[i];
		rc = unpack_items(
		    x->u, str_of(kinds[i].theirs), on_item, x, err);
		backup_percent(x->b, (int)(i * 100 / COUNT_OF(kinds)));
	}
	return rc == 0 && x->job->dry_run ? TAKE_BACK : rc;
}

static void
report(struct importing *x)
{
	struct job *j = x->job;
	struct json_out o;

	buf_clear(&j->report);
	json_out_init(&o, &j->report, false);
	json_out_object(&o);
	json_out_key(&o, "backupId");
	json_out_str(&o, j->id);
	json_out_key(&o, "dryRun");
	json_out_bool(&o, j->dry_run);
	json_out_key(&o, "changes");
	json_out_array(&o);
	if (x->networks.n[ADDED] > 0)
		tally_write(&o, "broker.network", &x->networks);
	if (x->devices.n[ADDED] + x->devices.n[CHANGED] > 0)
		tally_write(&o, "broker.device", &x->devices);
	for (size_t i = 0; i < COUNT_OF(kinds); i++)
		if (x->tallies[i].n[ADDED] + x->tallies[i].n[CHANGED] > 0)
			tally_write(&o, kinds[i].ours, &x->tallies[i]);
	json_out_end_array(&o);
	json_out_key(&o, "skipped");
	json_out_raw(&o,
	    arena_printf(&j->arena, "[" STR_FMT "]", (int)x->skipped.len,
		x->skipped.len > 0 ? x->skipped.ptr : ""));
	json_out_end_object(&o);
}

/* Not dry: with a safety copy, and the hub at rest. */
static int
for_real(struct importing *x, struct err *err)
{
	struct backup *b = x->b;
	char *safety;
	struct err why;
	bool done;
	int rc;

	rc = restore_safety(x->job, "before_import", false, &safety, err);
	if (rc == 0)
		rc = b->host.pause(b->host.ctx, err);
	if (rc != 0)
		return rc;
	backup_step(b, "importing");
	rc = nest_run(b, import_all, x, err);
	done = rc == 0;
	if (rc == 0)
		rc = copy_files(x, err);
	if (b->host.resume(
		b->host.ctx, done ? BACKUP_MORE : BACKUP_SAME, &why) != 0 &&
	    rc == 0) {
		*err = why;
		rc = why.code;
	}
	return rc;
}

int
import(struct job *j, struct err *err)
{
	struct tally tallies[COUNT_OF(kinds)] = { 0 };
	struct unpack u = { 0 };
	struct importing x = {
		.b = j->backup, .job = j, .u = &u, .tallies = tallies
	};
	int rc;

	rc = unpack_open(
	    j->backup, file_path(&j->arena, j->backup->dir, j->id), &u, err);
	if (rc != 0)
		return rc;
	if (u.ours) {
		unpack_close(&u);
		return err_set(err, ERR_PARAM,
		    "this is a backup of ours: restore it instead");
	}
	if (j->dry_run)
		rc = nest_run(j->backup, import_all, &x, err);
	else
		rc = for_real(&x, err);
	if (rc == TAKE_BACK)
		rc = 0;
	if (rc == 0)
		report(&x);
	start_over(&x);
	buf_free(&x.skipped);
	buf_free(&x.files);
	arena_fini(&x.known_arena);
	arena_fini(&x.arena);
	unpack_close(&u);
	return rc;
}
