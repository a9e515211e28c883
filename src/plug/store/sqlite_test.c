/*
 * plug/store/sqlite_test.c - what only a store in a file can promise: it stays,
 * it survives a kill, it is opened by newer and refused by older programs, it
 * may have been made by Sylvia-IoT, and look-ups use its indexes.
 */
#include "plug/store/sqlite.h"
#include "plug/store/test_entities.h"

#include "base/base.h"
#include "base/mem.h"

#include <inttypes.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

struct fixture {
	struct err err;
	struct arena arena;
	char dir[32];
	char path[64];
};

static int
set_up(void **state)
{
	struct fixture *f = mem_new(struct fixture);

	strcpy(f->dir, "/tmp/sqlite-XXXXXX");
	if (mkdtemp(f->dir) == NULL)
		return -1;
	snprintf(f->path, sizeof(f->path), "%s/db", f->dir);
	*state = f;
	return 0;
}

static int
tear_down(void **state)
{
	struct fixture *f = *state;
	static const char *const more[] = { "", "-wal", "-shm" };

	for (size_t i = 0; i < COUNT_OF(more); i++) {
		char path[80];

		snprintf(path, sizeof(path), "%s%s", f->path, more[i]);
		unlink(path);
	}
	rmdir(f->dir);
	arena_fini(&f->arena);
	free(f);
	return 0;
}

static int
try_open(
    struct fixture *f, const struct entity *const *entities, struct store **ret)
{
	struct store_conf conf = { .engine = "sqlite",
		.path = f->path,
		.sync = true,
		.entities = entities };

	*ret = NULL;
	return store_open(&conf, ret, &f->err);
}

static struct store *
open_store(struct fixture *f, const struct entity *const *entities)
{
	struct store *s;

	if (try_open(f, entities, &s) != 0)
		fail_msg("%s", f->err.text);
	return s;
}

/* Runs SQL beside the store. */
static void
sql(struct fixture *f, const char *text)
{
	sqlite3 *db;
	char *why = NULL;

	assert_int_equal(sqlite3_open(f->path, &db), SQLITE_OK);
	if (sqlite3_exec(db, text, NULL, NULL, &why) != SQLITE_OK)
		fail_msg("%s", why);
	sqlite3_close(db);
}

static int
add_cell(void *ctx, int n, char **cells, char **names)
{
	struct buf *b = ctx;

	(void)names;
	for (int i = 0; i < n; i++)
		buf_addf(b, "%s%s", b->len > 0 ? " " : "",
		    cells[i] == NULL ? "NULL" : cells[i]);
	return 0;
}

/* All cells of the answer, with spaces between them. */
static const char *
ask(struct fixture *f, const char *text)
{
	struct buf b = { 0 };
	sqlite3 *db;
	const char *z;

	assert_int_equal(sqlite3_open(f->path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, text, add_cell, &b, NULL), SQLITE_OK);
	sqlite3_close(db);
	z = arena_z(&f->arena, b.len > 0 ? buf_str(&b) : STR(""));
	buf_free(&b);
	return z;
}

static bool
get(struct fixture *f, struct store *s, const struct entity *e,
    const char *field, const char *id, void *row)
{
	struct filter filter = { 0 };
	bool found = false;

	filter_text(&filter, field, str_of(id));
	if (store_get(s, e, &filter, &f->arena, row, &found, &f->err) != 0)
		fail_msg("%s", f->err.text);
	return found;
}

#define assert_str(s, z)                                                       \
	do {                                                                   \
		struct str s_ = (s);                                           \
		assert_non_null(s_.ptr);                                       \
		assert_int_equal(s_.len, strlen(z));                           \
		assert_memory_equal(s_.ptr, z, s_.len);                        \
	} while (0)

/* --- the file ------------------------------------------------------------ */

static void
the_file_is_for_its_owner_alone(void **state)
{
	struct fixture *f = *state;
	mode_t old = umask(0);
	struct store *s = open_store(f, test_entities);
	struct stat st;
	char wal[80];

	umask(old);
	assert_int_equal(stat(f->path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	snprintf(wal, sizeof(wal), "%s-wal", f->path);
	assert_int_equal(stat(wal, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	store_close(s);
}

static void
rows_are_there_when_it_is_opened_again(void **state)
{
	struct fixture *f = *state;
	struct store *s = open_store(f, test_entities);
	struct t_token t = { STR("secret"), STR("u"), 5 };

	assert_int_equal(store_add(s, &token_entity, &t, &f->err), 0);
	store_close(s);
	s = open_store(f, test_entities);
	assert_true(get(f, s, &token_entity, "accessToken", "secret", &t));
	assert_int_equal(t.expires_at, 5);
	store_close(s);
}

static void
two_stores_may_share_a_file(void **state)
{
	static const struct entity *const tokens[] = { &token_entity, NULL };
	static const struct entity *const folders[] = { &folder_entity, NULL };
	struct fixture *f = *state;
	struct store *a = open_store(f, tokens), *b = open_store(f, folders);
	struct t_token t = { STR("secret"), STR("u"), 5 };
	struct t_tie tie = { STR("f"), STR_NULL };

	for (int i = 0; i < 20; i++) {
		assert_int_equal(
		    store_upsert(a, &token_entity, &t, &f->err), 0);
		assert_int_equal(
		    store_upsert(b, &folder_entity, &tie, &f->err), 0);
	}
	store_close(a);
	assert_true(get(f, b, &folder_entity, "id", "f", &tie));
	store_close(b);
	assert_string_equal(ask(f, "SELECT count(*) FROM access_token"), "1");
}

static void
what_is_no_database_is_refused(void **state)
{
	struct fixture *f = *state;
	struct store *s;
	FILE *file = fopen(f->path, "w");

	for (int i = 0; i < 1000; i++)
		fputs("this is not a database\n", file);
	fclose(file);
	assert_int_equal(try_open(f, test_entities, &s), ERR_IO);
	assert_null(s);
	strcat(f->path, "/none");
	assert_int_equal(try_open(f, test_entities, &s), ERR_IO);
	f->path[strlen(f->path) - 5] = '\0';
}

/* Adds tokens for ever, and says on the pipe which ones are done. */
static _Noreturn void
write_until_killed(struct fixture *f, int fd)
{
	struct store *s = open_store(f, test_entities);

	for (uint32_t i = 0;; i++) {
		char id[16];
		struct t_token t = { .user_id = STR("u"), .expires_at = i };

		snprintf(id, sizeof(id), "k%" PRIu32, i);
		t.access_token = str_of(id);
		if (store_add(s, &token_entity, &t, &f->err) != 0 ||
		    write(fd, &i, sizeof(i)) != sizeof(i))
			_exit(1);
	}
}

static void
a_kill_loses_nothing_that_was_reported_done(void **state)
{
	struct fixture *f = *state;
	uint32_t done = 0, i;
	int fds[2], status;
	struct store *s;
	int64_t n;
	pid_t pid;

	assert_int_equal(pipe(fds), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0)
		write_until_killed(f, fds[1]);
	close(fds[1]);
	while (done < 100 && read(fds[0], &i, sizeof(i)) == sizeof(i))
		done++;
	kill(pid, SIGKILL);
	while (read(fds[0], &i, sizeof(i)) == sizeof(i))
		done++; /* was said before it died */
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status));
	close(fds[0]);

	s = open_store(f, test_entities);
	assert_int_equal(store_count(s, &token_entity, NULL, &n, &f->err), 0);
	assert_true(n == done || n == done + 1);
	for (i = 0; i < done; i++) {
		struct t_token t;
		char id[16];

		snprintf(id, sizeof(id), "k%" PRIu32, i);
		assert_true(get(f, s, &token_entity, "accessToken", id, &t));
		assert_int_equal(t.expires_at, i);
	}
	store_close(s);
	assert_string_equal(ask(f, "PRAGMA integrity_check"), "ok");
}

/* --- history of a table -------------------------------------------------- */

struct t_old {
	struct str id, title, colour;
};

static const struct entity old_entity = {
	.record = { "thing", sizeof(struct t_old),
	    (const struct field[]){ F_TEXT(struct t_old, id, "id"),
		F_TEXT(struct t_old, title, "title"),
		F_TEXT(struct t_old, colour, "colour", .flags = FIELD_NULL),
		{ 0 } } },
	.table = "thing",
	.version = 1,
	.keys = (const struct entity_key[]){ { "id", { "id" } },
	    { "title", { "title", "colour" } }, { 0 } },
	.indexes =
	    (const struct entity_key[]){ { "colour", { "colour" } }, { 0 } },
};

struct t_new {
	struct str id, name, kind, info;
	int64_t size;
	struct t_dampening dampening;
	struct strs tags;
};

static const struct entity new_entity = {
	.record = { "thing", sizeof(struct t_new),
	    (const struct field[]){ F_TEXT(struct t_new, id, "id"),
		F_TEXT(struct t_new, name, "name"),
		F_TEXT(
		    struct t_new, kind, "kind", .since = 2, .def = "\"it's\""),
		F_JSON(struct t_new, info, "info", .since = 2,
		    .flags = FIELD_NULL | FIELD_EMPTY),
		F_INT(struct t_new, size, "size", .since = 3,
		    .flags = FIELD_NULL),
		F_RECORD(struct t_new, dampening, struct t_dampening,
		    "dampening", .since = 3, .record = &dampening_record),
		F_TEXTS(struct t_new, tags, "tags", .since = 3, .def = "['a']"),
		{ 0 } } },
	.table = "thing",
	.version = 3,
	.keys = (const struct entity_key[]){ { "id", { "id" } },
	    { "name", { "name" } }, { 0 } },
	.steps =
	    (const struct entity_step[]){ { 3, ENTITY_RENAME, "label", "name" },
		{ 2, ENTITY_RENAME, "title", "label" },
		{ 2, ENTITY_DROP, "colour", NULL }, { 0 } },
};

static const struct entity *const old_entities[] = { &old_entity, NULL };
static const struct entity *const new_entities[] = { &new_entity, NULL };

static void
add_old(struct fixture *f, const char *id, const char *title)
{
	struct store *s = open_store(f, old_entities);
	struct t_old row = { str_of(id), str_of(title), STR_NULL };

	assert_int_equal(store_add(s, &old_entity, &row, &f->err), 0);
	store_close(s);
}

static void
an_old_table_is_brought_to_the_new_version(void **state)
{
	struct fixture *f = *state;
	struct store *s;
	struct t_new row, twin;

	add_old(f, "1", "first");
	s = open_store(f, new_entities);
	assert_true(get(f, s, &new_entity, "id", "1", &row));
	assert_str(row.name, "first");
	assert_str(row.kind, "it's");
	assert_null(row.info.ptr);
	assert_true(row.size == FIELD_INT_NULL);
	assert_null(row.dampening.type.ptr);
	assert_true(row.dampening.occurrences == FIELD_INT_NULL);
	assert_int_equal(row.tags.n, 1);
	assert_str(row.tags.at[0], "a");
	twin = row;
	twin.id = STR("2");
	assert_int_equal(store_add(s, &new_entity, &twin, &f->err), ERR_EXISTS);
	assert_true(str_starts(str_of(f->err.text), STR("name: ")));
	store_close(s);

	assert_string_equal(
	    ask(f, "SELECT name FROM pragma_table_info('thing')"),
	    "id name kind info size dampening tags");
	assert_string_equal(
	    ask(f,
		"SELECT name FROM sqlite_master WHERE type = 'index' AND "
		"tbl_name = 'thing' ORDER BY name"),
	    "marram_thing_id marram_thing_name");
	assert_string_equal(
	    ask(f, "SELECT entity_table, version FROM marram_schema"),
	    "thing 3");
	s = open_store(f, new_entities); /* and once more changes nothing */
	assert_true(get(f, s, &new_entity, "id", "1", &row));
	store_close(s);
}

static void
a_new_table_starts_with_its_version(void **state)
{
	struct fixture *f = *state;

	store_close(open_store(f, new_entities));
	assert_string_equal(ask(f, "SELECT version FROM marram_schema"), "3");
}

static void
a_newer_schema_is_refused_by_name(void **state)
{
	struct fixture *f = *state;
	struct store *s;

	store_close(open_store(f, new_entities));
	assert_int_equal(try_open(f, old_entities, &s), ERR_DENIED);
	assert_non_null(strstr(f->err.text, "thing"));
	assert_non_null(strstr(f->err.text, "version 3"));
	assert_non_null(strstr(f->err.text, "knows 1"));
	assert_string_equal(ask(f, "SELECT version FROM marram_schema"), "3");
}

static void
a_failed_migration_leaves_everything_as_it_was(void **state)
{
	struct fixture *f = *state;
	struct store *s;
	struct t_old row;

	add_old(f, "1", "same");
	sql(f,
	    "INSERT INTO thing (id, title, colour) VALUES (2, 'same', "
	    "'red')"); /* breaks the new key on the name alone */
	assert_int_equal(try_open(f, new_entities, &s), ERR_PARAM);
	assert_non_null(strstr(f->err.text, "thing.name"));
	s = open_store(f, old_entities);
	assert_true(get(f, s, &old_entity, "id", "2", &row));
	assert_str(row.colour, "red");
	store_close(s);
}

static void
a_changed_index_is_made_again(void **state)
{
	static const struct entity_key indexes[] = {
		{ "colour", { "colour", "id" } }, { 0 }
	};
	struct entity changed = old_entity;
	const struct entity *const entities[] = { &changed, NULL };
	struct fixture *f = *state;

	store_close(open_store(f, old_entities));
	changed.indexes = indexes;
	store_close(open_store(f, entities));
	assert_string_equal(
	    ask(f,
		"SELECT name FROM pragma_index_info('marram_thing_colour') "
		"ORDER BY seqno"),
	    "colour id");
}

/* --- tables of others ---------------------------------------------------- */

static const char foreign_tables[] =
    "CREATE TABLE unit (unit_id TEXT NOT NULL UNIQUE, code TEXT NOT NULL "
    "UNIQUE, made INTEGER, member_ids TEXT NOT NULL, PRIMARY KEY (unit_id));"
    "INSERT INTO unit VALUES ('u1', 'one', 5, 'ann bob'), "
    "('u2', 'two', 6, '');"
    "CREATE TABLE network (network_id TEXT NOT NULL UNIQUE, code TEXT NOT "
    "NULL, unit_id TEXT NOT NULL, UNIQUE (unit_id, code), PRIMARY KEY "
    "(network_id));"
    "INSERT INTO network VALUES ('n1', 'net', 'u1'), ('n2', 'net', '');";

static const struct entity *const foreign_entities[] = { &unit_entity,
	&network_entity, NULL };

static void
a_table_made_by_another_program_opens_as_it_is(void **state)
{
	struct fixture *f = *state;
	struct t_unit u;
	struct t_network n;
	struct store *s;

	sql(f, foreign_tables);
	s = open_store(f, foreign_entities);
	assert_true(get(f, s, &unit_entity, "code", "one", &u));
	assert_int_equal(u.member_ids.n, 2);
	assert_str(u.member_ids.at[1], "bob");
	assert_true(get(f, s, &unit_entity, "code", "two", &u));
	assert_int_equal(u.member_ids.n, 0);
	assert_true(get(f, s, &network_entity, "networkId", "n2", &n));
	assert_null(n.unit_id.ptr);

	/* what we write is what it would have written */
	n = (struct t_network){ STR("n3"), STR_NULL, STR("radio") };
	assert_int_equal(store_add(s, &network_entity, &n, &f->err), 0);
	store_close(s);
	assert_string_equal(
	    ask(f, "SELECT quote(unit_id) FROM network WHERE code = 'radio'"),
	    "''");
	assert_string_equal(
	    ask(f, "SELECT made FROM unit ORDER BY unit_id"), "5 6");
}

static void
keys_that_another_program_made_are_named_and_used(void **state)
{
	struct fixture *f = *state;
	struct t_unit u = { STR("u3"), STR("one"), { 0 } };
	struct t_network n = { STR("n4"), STR_NULL, STR("net") };
	struct store *s;

	sql(f, foreign_tables);
	s = open_store(f, foreign_entities);
	assert_int_equal(store_add(s, &unit_entity, &u, &f->err), ERR_EXISTS);
	assert_true(str_starts(str_of(f->err.text), STR("code: ")));
	u = (struct t_unit){ STR("u1"), STR("other"), { 0 } };
	assert_int_equal(store_add(s, &unit_entity, &u, &f->err), ERR_EXISTS);
	assert_true(str_starts(str_of(f->err.text), STR("unitId: ")));
	assert_int_equal(
	    store_add(s, &network_entity, &n, &f->err), ERR_EXISTS);
	assert_true(str_starts(str_of(f->err.text), STR("code: ")));
	assert_int_equal(store_upsert(s, &unit_entity, &u, &f->err), 0);
	store_close(s);
	/* no second index beside the table's own */
	assert_string_equal(
	    ask(f,
		"SELECT name FROM sqlite_master WHERE type = 'index' AND "
		"name LIKE 'marram%'"),
	    "");
	/* and a column of theirs outlives a replaced row */
	assert_string_equal(
	    ask(f, "SELECT code, made FROM unit WHERE unit_id = 'u1'"),
	    "other 5");
}

static void
columns_that_are_missing_are_added(void **state)
{
	struct fixture *f = *state;
	struct t_unit u;
	struct store *s;

	sql(f,
	    "CREATE TABLE unit (unit_id TEXT NOT NULL PRIMARY KEY, code "
	    "TEXT NOT NULL UNIQUE);"
	    "INSERT INTO unit VALUES ('u1', 'one')");
	s = open_store(f, foreign_entities);
	assert_true(get(f, s, &unit_entity, "unitId", "u1", &u));
	assert_int_equal(u.member_ids.n, 0);
	store_close(s);
}

static void
a_column_that_is_not_json_is_an_error_that_names_it(void **state)
{
	struct fixture *f = *state;
	struct store *s = open_store(f, test_entities);
	struct t_device d = { 0 };
	struct store_query all = { 0 };
	struct rows rows;

	record_init(&device_entity.record, &d);
	d.device_id = d.unit_id = d.network_id = d.network_code =
	    d.network_addr = STR("x");
	d.created_at = 1;
	assert_int_equal(store_add(s, &device_entity, &d, &f->err), 0);
	sql(f, "UPDATE device SET info = '{oops'");
	assert_int_equal(
	    store_all(s, &device_entity, &all, &f->arena, &rows, &f->err),
	    ERR_IO);
	assert_string_equal(f->err.text, "table device: info: not JSON");
	sql(f, "UPDATE device SET info = '', tags = '{'");
	assert_int_not_equal(
	    store_all(s, &device_entity, &all, &f->arena, &rows, &f->err), 0);
	assert_non_null(strstr(f->err.text, "tags"));
	store_close(s);
}

/* --- plans --------------------------------------------------------------- */

/* How SQLite would run the list. */
static const char *
explain(struct fixture *f, const struct entity *e, const struct store_query *q)
{
	struct arena a = { 0 };
	struct buf b = { 0 };
	struct sql text = { 0 };
	sqlite3_stmt *st;
	struct plan p;
	sqlite3 *db;
	const char *z;

	assert_int_equal(plan_query(&p, e, q, &a, &f->err), 0);
	buf_addz(&text.text, "EXPLAIN QUERY PLAN ");
	sql_select(&text, &p);
	assert_int_equal(sqlite3_open(f->path, &db), SQLITE_OK);
	assert_int_equal(
	    sqlite3_prepare_v2(db, buf_z(&text.text), -1, &st, NULL),
	    SQLITE_OK);
	sql_bind(&text, st);
	while (sqlite3_step(st) == SQLITE_ROW)
		buf_addf(&b, "%s%s", b.len > 0 ? "; " : "",
		    sqlite3_column_text(st, 3));
	sqlite3_finalize(st);
	sqlite3_close(db);
	z = arena_z(&f->arena, buf_str(&b));
	buf_free(&b);
	sql_fini(&text);
	arena_fini(&a);
	return z;
}

static void
look_ups_by_a_key_use_its_index(void **state)
{
	struct fixture *f = *state;
	struct filter filter = { 0 };
	struct store_query q = { .filter = &filter, .limit = 1 };
	struct value list[] = { value_text(STR("a")), value_text(STR("b")) };

	store_close(open_store(f, test_entities));
	filter_text(&filter, "deviceId", STR("d"));
	assert_string_equal(explain(f, &device_entity, &q),
	    "SEARCH device USING INDEX marram_device_deviceId "
	    "(device_id=?)");

	filter = (struct filter){ 0 };
	filter_text(&filter, "unitCode", STR("one"));
	filter_text(&filter, "networkCode", STR("net"));
	filter_text(&filter, "networkAddr", STR("1"));
	assert_non_null(strstr(explain(f, &device_entity, &q),
	    "SEARCH device USING INDEX marram_device_address "
	    "(<expr>=? AND network_code=? AND network_addr=?)"));
	filter.at[0].value = value_text(STR_NULL);
	assert_non_null(strstr(explain(f, &device_entity, &q),
	    "SEARCH device USING INDEX marram_device_address "
	    "(<expr>=? AND network_code=? AND network_addr=?)"));

	filter = (struct filter){ 0 };
	filter_in(&filter, "deviceId", list, 2);
	assert_string_equal(explain(f, &device_entity, &q),
	    "SEARCH device USING INDEX marram_device_deviceId "
	    "(device_id=?)");
}

static void
pages_begin_in_the_index(void **state)
{
	struct fixture *f = *state;
	struct t_process row = { STR("t"), 1, STR_NULL, STR_NULL, STR_NULL };
	struct t_device d = { 0 };
	struct store_query q = { .limit = 10, .after = &row };

	store_close(open_store(f, test_entities));
	assert_string_equal(explain(f, &process_entity, &q),
	    "SEARCH task_processes USING INDEX marram_task_processes_process "
	    "(task_id>?)");
	record_init(&device_entity.record, &d);
	d.device_id = STR("d");
	d.created_at = 5;
	q.after = &d;
	q.sort[0] = (struct store_sort){ "createdAt", true };
	q.n_sort = 1;
	assert_non_null(strstr(explain(f, &device_entity, &q),
	    "SEARCH device USING INDEX marram_device_createdAt "
	    "(created_at<?)"));
}

static void
references_have_an_index(void **state)
{
	struct fixture *f = *state;
	struct filter filter = { 0 };
	struct store_query q = { .filter = &filter };

	store_close(open_store(f, test_entities));
	filter_text(&filter, "to", STR("d"));
	assert_non_null(strstr(explain(f, &route_entity, &q),
	    "SEARCH route USING INDEX marram_route_ref_to (to=?)"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_file_is_for_its_owner_alone),
		TEST(rows_are_there_when_it_is_opened_again),
		TEST(two_stores_may_share_a_file),
		TEST(what_is_no_database_is_refused),
		TEST(a_kill_loses_nothing_that_was_reported_done),
		TEST(an_old_table_is_brought_to_the_new_version),
		TEST(a_new_table_starts_with_its_version),
		TEST(a_newer_schema_is_refused_by_name),
		TEST(a_failed_migration_leaves_everything_as_it_was),
		TEST(a_changed_index_is_made_again),
		TEST(a_table_made_by_another_program_opens_as_it_is),
		TEST(keys_that_another_program_made_are_named_and_used),
		TEST(columns_that_are_missing_are_added),
		TEST(a_column_that_is_not_json_is_an_error_that_names_it),
		TEST(look_ups_by_a_key_use_its_index),
		TEST(pages_begin_in_the_index),
		TEST(references_have_an_index),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
