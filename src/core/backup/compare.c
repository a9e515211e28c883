/*
 * core/backup/compare.c - what a restore would change: every row of a backup is
 * read, checked, and compared with ours.
 *
 * Of each kind only the keys are in memory, one kind at a time.
 */
#include "core/backup/private.h"

#include "base/base.h"
#include "base/map.h"
#include "base/mem.h"
#include "codec/json.h"

#include <stdlib.h>
#include <string.h>

/* --- names of rows ------------------------------------------------------- */

static struct str
text_of(const struct entity *e, const char *field, const void *row)
{
	const struct field *f =
	    field_find(&e->record, str_of(field), NULL, NULL);

	if (f == NULL || f->type != FIELD_TEXT || f->flags & FIELD_SECRET)
		return STR_NULL;
	return field_get(f, (const char *)row + f->offset).text;
}

struct str
row_name(const struct entity *e, const void *row)
{
	static const char *const fields[] = { "account", "code", "userName",
		"networkAddr", "title", "id", "name" };

	for (size_t i = 0; i < COUNT_OF(fields); i++) {
		struct str s = text_of(e, fields[i], row);

		if (s.len > 0)
			return s;
	}
	return text_of(e, e->keys[0].fields[0], row);
}

struct str
row_key(struct arena *a, const struct entity *e, const void *row)
{
	struct buf b = { 0 };
	struct str ret;

	for (size_t i = 0; e->keys[0].fields[i] != NULL; i++) {
		const struct field *f = field_find(
		    &e->record, str_of(e->keys[0].fields[i]), NULL, NULL);

		field_encode(&b, f, (const char *)row + f->offset);
		buf_addc(&b, '\n');
	}
	ret = arena_str(a, buf_str(&b));
	buf_free(&b);
	return ret;
}

static const char *const fate_words[] = { "added", "changed", "removed" };

void
tally_note(struct tally *t, int fate, struct str name)
{
	if (t->n[fate] < NAMES_MAX)
		t->names[fate][t->n[fate]] = arena_str(&t->arena, name);
	t->n[fate]++;
}

void
tally_write(struct json_out *o, const char *entity, struct tally *t)
{
	json_out_object(o);
	json_out_key(o, "entity");
	json_out_str(o, str_of(entity));
	for (int i = 0; i < FATES; i++) {
		json_out_key(o, fate_words[i]);
		json_out_int(o, t->n[i]);
	}
	json_out_key(o, "names");
	json_out_object(o);
	for (int i = 0; i < FATES; i++) {
		json_out_key(o, fate_words[i]);
		json_out_array(o);
		for (int64_t k = 0; k < MIN_OF(t->n[i], NAMES_MAX); k++)
			json_out_str(o, t->names[i][k]);
		json_out_end_array(o);
	}
	json_out_end_object(o);
	json_out_end_object(o);
	arena_fini(&t->arena);
}

/* --- rows of a backup against ours ---------------------------------------- */

struct comparing {
	struct unpack *u;
	struct json_out *report;
	uint64_t rows; /* read so far */

	/* the kind in hand */
	const struct backup_part *part;
	const struct entity *e;
	struct tally tally;
	struct map seen; /* keys, in `keys` */
	struct arena keys;
	void *row;
	struct arena arena; /* of the row */
};

int
row_decode(struct backup *b, const struct backup_part *p,
    const struct entity *e, struct str json, struct arena *a, void *row,
    struct err *err)
{
	int rc = record_decode(json, &e->record, a, row, err);

	if (rc == 0 && backup_ending(b))
		return err_set(err, ERR_CLOSED, "the program ends");
	return rc == 0 ? 0 : err_wrap(err, "%s.%s", p->name, e->record.name);
}

void
row_filter(const struct entity *e, const void *row, struct filter *f)
{
	for (size_t i = 0; e->keys[0].fields[i] != NULL; i++) {
		const struct field *x = field_find(
		    &e->record, str_of(e->keys[0].fields[i]), NULL, NULL);

		filter_add(f, x->name, COND_EQ,
		    field_get(x, (const char *)row + x->offset));
	}
}

bool
row_same(const struct entity *e, const void *a, const void *b)
{
	struct buf x = { 0 }, y = { 0 };
	bool is;

	record_encode(&x, &e->record, a);
	record_encode(&y, &e->record, b);
	is = str_eq(buf_str(&x), buf_str(&y));
	buf_free(&x);
	buf_free(&y);
	return is;
}

static int
look_row(void *ctx, struct str json, struct err *err)
{
	struct comparing *r = ctx;
	struct filter f = { 0 };
	struct str key;
	void *old;
	bool found;
	int rc;

	arena_clear(&r->arena);
	r->rows++;
	rc = row_decode(
	    r->u->backup, r->part, r->e, json, &r->arena, r->row, err);
	if (rc != 0)
		return rc;
	key = row_key(&r->keys, r->e, r->row);
	if (map_put(&r->seen, key, r) != NULL)
		return err_set(err, ERR_PARAM,
		    "two rows of %s.%s have the same key", r->part->name,
		    r->e->record.name);
	old = arena_alloc(&r->arena, r->e->record.size);
	row_filter(r->e, r->row, &f);
	rc = store_get(r->part->store, r->e, &f, &r->arena, old, &found, err);
	if (rc == 0 && !found)
		tally_note(&r->tally, ADDED, row_name(r->e, r->row));
	else if (rc == 0 && !row_same(r->e, r->row, old))
		tally_note(&r->tally, CHANGED, row_name(r->e, r->row));
	return rc;
}

static int
look_gone(void *ctx, const void *row, struct err *err)
{
	struct comparing *r = ctx;

	(void)err;
	arena_clear(&r->arena);
	if (map_get(&r->seen, row_key(&r->arena, r->e, row)) == NULL)
		tally_note(&r->tally, REMOVED, row_name(r->e, row));
	return 0;
}

static int
look_kind(struct comparing *r, struct str what, struct err *err)
{
	static const struct store_query all = { 0 };
	int rc;

	r->row = mem_alloc(r->e->record.size);
	memset(&r->tally, 0, sizeof(r->tally));
	rc = unpack_items(r->u, what, look_row, r, err);
	if (rc == 0)
		rc = store_list(r->part->store, r->e, &all, look_gone, r, err);
	if (rc == 0 &&
	    r->tally.n[ADDED] + r->tally.n[CHANGED] + r->tally.n[REMOVED] > 0) {
		struct arena a = { 0 };

		tally_write(r->report, arena_z(&a, what), &r->tally);
		arena_fini(&a);
	} else {
		arena_fini(&r->tally.arena);
	}
	free(r->row);
	map_fini(&r->seen);
	arena_fini(&r->keys);
	arena_fini(&r->arena);
	return rc;
}

static int
look_part(struct comparing *r, struct err *err)
{
	int rc = 0;

	for (size_t k = 0; rc == 0 && r->part->entities[k] != NULL; k++) {
		struct arena a = { 0 };
		struct str what;

		r->e = r->part->entities[k];
		what = what_of(&a, r->part, r->e);
		if (backup_keep(r->part, r->e) == KEEP ||
		    unpack_has(r->u, what))
			rc = look_kind(r, what, err);
		arena_fini(&a);
	}
	return rc;
}

/* --- folders beside the rows ---------------------------------------------- */

static void
note_folder(void *ctx, const char *fate, struct str name)
{
	for (int i = 0; i < FATES; i++)
		if (strcmp(fate, fate_words[i]) == 0)
			tally_note(ctx, i, name);
}

/* Unpacked aside, for as long as they are looked at. */
static int
look_folder(struct comparing *r, const struct backup_folder *f, struct err *err)
{
	char *from =
	    mem_printf("%s/restore.look.%s", r->u->backup->data_dir, f->name);
	struct tally tally = { 0 };
	int rc;

	r->u->read = 0; /* it is as much again */
	rc = unpack_folder(r->u, f->name, from, err);
	if (rc == 0)
		rc = f->compare(f->ctx, from, note_folder, &tally, err);
	files_remove(from);
	free(from);
	if (rc == 0 && tally.n[ADDED] + tally.n[CHANGED] + tally.n[REMOVED] > 0)
		tally_write(r->report, f->what, &tally);
	else
		arena_fini(&tally.arena);
	return rc;
}

int
compare(struct job *j, struct unpack *u, struct err *err)
{
	const struct backup_host *host = &j->backup->host;
	struct comparing r = { .u = u };
	struct json_out o;
	int rc = 0;

	backup_step(j->backup, "comparing");
	json_out_init(&o, &j->report, false);
	json_out_object(&o);
	json_out_key(&o, "backupId");
	json_out_str(&o, j->id);
	json_out_key(&o, "dryRun");
	json_out_bool(&o, j->dry_run);
	json_out_key(&o, "version");
	json_out_str(&o, u->version);
	json_out_key(&o, "createdOn");
	json_out_str(&o, u->created);
	json_out_key(&o, "changes");
	json_out_array(&o);
	r.report = &o;
	for (size_t i = 0; rc == 0 && i < host->n_parts; i++) {
		r.part = &host->parts[i];
		rc = look_part(&r, err);
	}
	for (size_t i = 0; rc == 0 && i < host->n_folders; i++)
		if (unpack_has_folder(u, host->folders[i].name))
			rc = look_folder(&r, &host->folders[i], err);
	json_out_end_array(&o);
	json_out_key(&o, "rows");
	json_out_int(&o, (int64_t)r.rows);
	json_out_end_object(&o);
	return rc;
}
