/*
 * core/rest/version_test.c - versions of an object that no module has: what
 * version.h promises.
 *
 * A box has parts that go with it, a secret that is not shown, and a member
 * that machines write. Who calls may change what is not "theirs".
 */
#include "core/rest/version.h"

#include "base/base.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/rand.h"
#include "core/rest/test_rest.h"

struct box {
	struct str id, unit_id;
	struct str name, secret, labels;
	int64_t count, modified_at;
};

struct part {
	struct str id, unit_id, box_id;
};

static const struct field box_fields[] = {
	F_TEXT(struct box, id, "id"),
	F_TEXT(struct box, unit_id, "unitId"),
	F_TEXT(struct box, name, "name", .def = "\"\"", .max = 20),
	F_TEXT(
	    struct box, secret, "secret", .flags = FIELD_SECRET, .def = "\"\""),
	F_JSON(
	    struct box, labels, "labels", .flags = FIELD_OBJECT, .def = "{}"),
	F_INT(struct box, count, "count", .def = "0"),
	F_TIME(struct box, modified_at, "modifiedAt"),
	{ 0 },
};
static const struct field part_fields[] = {
	F_TEXT(struct part, id, "id"),
	F_TEXT(struct part, unit_id, "unitId"),
	F_TEXT(struct part, box_id, "boxId"),
	{ 0 },
};
static const struct entity box_entity = {
	.record = { "box", sizeof(struct box), box_fields },
	.table = "box",
	.version = 1,
	.keys = (const struct entity_key[]){ { "id", { "id" } }, { 0 } },
};
static const struct entity part_entity = {
	.record = { "part", sizeof(struct part), part_fields },
	.table = "part",
	.version = 1,
	.keys = (const struct entity_key[]){ { "id", { "id" } }, { 0 } },
	.refs =
	    (const struct entity_ref[]){
		{ "boxId", "box", "id", ENTITY_CASCADE }, { 0 } },
};
static const struct entity *const entities[] = { &box_entity, &part_entity,
	&rest_version_entity, NULL };

static struct fixture {
	struct test_rest r;
	struct versions *versions;
	char dir[32], path[64];
	bool fail_in_tx, refuse_add, refuse_parts;
	int told;
} * fx;

/* --- the decisions -------------------------------------------------------- */

static bool
may(struct rest *r, enum rest_verb verb, const void *row)
{
	(void)r;
	(void)verb;
	return !str_eqz(((const struct box *)row)->unit_id, "theirs");
}

static bool
before_add(struct rest *r, void *row, void *extra, void *beside)
{
	(void)row;
	(void)extra;
	(void)beside;
	if (!(r->o->entity == &part_entity ? fx->refuse_parts : fx->refuse_add))
		return true;
	http_error(r->c, 409, "err_refused", "no more");
	return false;
}

static int
in_tx(struct err *err)
{
	return fx->fail_in_tx ? err_set(err, ERR_IO, "lost") : 0;
}

static int
in_add(struct rest *r, struct store *tx, const void *row, struct err *err)
{
	(void)r;
	(void)tx;
	(void)row;
	return in_tx(err);
}

static int
in_patch(struct rest *r, struct store *tx, const void *old, const void *row,
    field_set_t present, struct err *err)
{
	(void)r;
	(void)tx;
	(void)old;
	(void)row;
	(void)present;
	return in_tx(err);
}

static void
show(struct rest *r, enum rest_verb verb, void *row)
{
	(void)r;
	(void)verb;
	((struct box *)row)->secret = STR("");
}

static bool
limit(struct rest *r, enum rest_verb verb, struct filter *f)
{
	assert_ptr_equal(r->module, fx);
	(void)verb;
	filter_add(f, "unitId", COND_NE, value_text(STR("theirs")));
	return true;
}

static const struct rest_object box_object = {
	.name = "box",
	.entity = &box_entity,
	.id = "id",
	.id_len = ID_SHORT,
	.sort = "",
	.add = "id unitId! name secret labels",
	.patch = "name secret labels count",
	.fleeting = "count",
	.help = "boxes.",
	.may = may,
	.before_add = before_add,
	.in_add = in_add,
	.in_patch = in_patch,
	.show = show,
};
static const struct rest_object part_object = {
	.name = "part",
	.entity = &part_entity,
	.id = "id",
	.id_len = ID_SHORT,
	.sort = "",
	.add = "id unitId! boxId!",
	.help = "parts.",
	.may = may,
	.before_add = before_add,
};

/* --- the server ----------------------------------------------------------- */

static void
who(struct http_call *c, struct str *user_id, struct str *account)
{
	(void)c;
	*user_id = STR("u1");
	*account = STR("ann");
}

static void
told(void *module, const struct versions_change *change)
{
	assert_ptr_equal(module, fx);
	assert_true(change->old != NULL || change->row != NULL);
	fx->told++;
}

static int
set_up(void **state)
{
	struct store_conf conf = { .engine = *state, .entities = entities };

	fx = mem_new(struct fixture);
	strcpy(fx->dir, "/tmp/version-XXXXXX");
	assert_non_null(mkdtemp(fx->dir));
	snprintf(fx->path, sizeof(fx->path), "%s/db", fx->dir);
	conf.path = fx->path;
	test_rest_open(&fx->r, &conf, fx);
	fx->versions =
	    versions_new(&(struct versions_conf){ 5, 3600000, 20, 4 },
		&(struct versions_host){ .store = fx->r.store,
		    .module = fx,
		    .entities = entities,
		    .who = who,
		    .access = test_rest_everybody,
		    .limit = limit,
		    .told = told });
	versions_add(fx->versions, &box_object);
	versions_add(fx->versions, &part_object);
	fx->r.mounts.versions[0] = fx->versions;
	test_rest_mount(&fx->r, &box_object, "/api", fx, 0);
	test_rest_mount(&fx->r, &part_object, "/api", fx, 0);
	versions_mount(&fx->r.mounts, fx->versions, "/api", 0, test_rest_add,
	    fx->r.t.http);
	test_server_start(&fx->r.t);
	return 0;
}

static int
tear_down(void **state)
{
	static const char *const files[] = { "", "-wal", "-shm" };
	char path[80];

	(void)state;
	test_rest_stop(&fx->r);
	versions_free(fx->versions);
	test_rest_close(&fx->r);
	for (size_t i = 0; i < COUNT_OF(files); i++) {
		snprintf(path, sizeof(path), "%s%s", fx->path, files[i]);
		(void)unlink(path);
	}
	(void)rmdir(fx->dir);
	free(fx);
	return 0;
}

static void
call(int status, const char *what, const char *json)
{
	test_rest_call(&fx->r, "/api", what, json);
	if (fx->r.reply.status != status)
		fail_msg("%s: wanted %d, got %d %s", what, status,
		    fx->r.reply.status, fx->r.reply.body.ptr);
}

static void
says(const char *text)
{
	if (!test_rest_says(&fx->r, text))
		fail_msg("no %s in %s", text, fx->r.reply.body.ptr);
}

static void
says_not(const char *text)
{
	if (test_rest_says(&fx->r, text))
		fail_msg("%s in %s", text, fx->r.reply.body.ptr);
}

/* The versions of an object, oldest first. */
static const struct rest_version *
versions_are(const char *type, const char *id, size_t n)
{
	struct store_query q = { .sort = { { "number", false } }, .n_sort = 1 };
	struct filter f = { 0 };
	struct rows rows;

	filter_text(&f, "objectType", str_of(type));
	filter_text(&f, "objectId", str_of(id));
	q.filter = &f;
	assert_int_equal(store_all(fx->r.store, &rest_version_entity, &q,
			     &fx->r.arena, &rows, NULL),
	    0);
	assert_int_equal(rows.n, n);
	return rows.at;
}

static void
at_version(int status, const char *verb, const struct rest_version *v,
    const char *tail)
{
	call(status,
	    arena_printf(&fx->r.arena, "%s /version/" STR_FMT "%s", verb,
		STR_ARG(v->version_id), tail)
		.ptr,
	    NULL);
}

static void
make_box(void)
{
	call(200, "POST /box",
	    "{\"data\":{\"id\":\"b\",\"unitId\":\"mine\",\"name\":\"one\","
	    "\"secret\":\"s1\"}}");
	call(200, "POST /part",
	    "{\"data\":{\"id\":\"p\",\"unitId\":\"mine\",\"boxId\":\"b\"}}");
}

/* --- the tests ------------------------------------------------------------ */

static void
each_change_is_recorded_once(void **state)
{
	const struct rest_version *v;

	(void)state;
	make_box();
	call(204, "PATCH /box/b", "{\"data\":{\"name\":\"two\"}}");
	assert_true(test_header(&fx->r.reply, "X-Marram-Version").len > 0);
	call(204, "PATCH /box/b", "{\"data\":{\"name\":\"two\"}}");
	assert_int_equal(test_header(&fx->r.reply, "X-Marram-Version").len, 0);
	call(204, "DELETE /box/b", NULL);
	v = versions_are("box", "b", 3);
	assert_true(str_eqz(v[0].verb, "created"));
	assert_true(str_eqz(v[1].verb, "changed"));
	assert_true(str_eqz(v[2].verb, "deleted"));
	for (int i = 0; i < 3; i++) {
		assert_int_equal(v[i].number, i + 1);
		assert_true(str_eqz(v[i].account, "ann"));
		assert_true(str_eqz(v[i].unit_id, "mine"));
	}
	assert_true(
	    str_eq(versions_are("part", "p", 2)[1].change_id, v[2].change_id));
	assert_int_equal(fx->told, 5);
}

static void
what_is_taken_back_leaves_no_version(void **state)
{
	(void)state;
	make_box();
	fx->fail_in_tx = true;
	call(503, "PATCH /box/b", "{\"data\":{\"name\":\"two\"}}");
	call(503, "POST /box", "{\"data\":{\"id\":\"c\",\"unitId\":\"mine\"}}");
	versions_are("box", "b", 1);
	versions_are("box", "c", 0);
	assert_int_equal(fx->told, 2);
}

static void
what_machines_write_is_in_no_version(void **state)
{
	const struct rest_version *v;

	(void)state;
	make_box();
	call(204, "PATCH /box/b", "{\"data\":{\"count\":7}}");
	v = versions_are("box", "b", 1);
	at_version(200, "GET", v, "");
	says_not("\"count\"");
	call(204, "PATCH /box/b", "{\"data\":{\"name\":\"two\"}}");
	at_version(200, "POST", versions_are("box", "b", 2), "/restore");
	call(200, "GET /box/b", NULL);
	says("\"name\":\"one\"");
	says("\"count\":7");
}

static void
a_restore_keeps_the_present_secret(void **state)
{
	const struct rest_version *v;
	struct filter f = { 0 };
	struct box box;
	bool found;

	(void)state;
	make_box();
	call(204, "PATCH /box/b",
	    "{\"data\":{\"name\":\"two\",\"secret\":\"s2\"}}");
	v = versions_are("box", "b", 2);
	at_version(200, "GET", v, "");
	says_not("s1");
	at_version(200, "GET", v + 1, "/diff");
	says("{\"path\":\"name\",\"before\":\"one\",\"after\":\"two\"}");
	says_not("s2");
	at_version(200, "POST", v, "/restore");
	says("\"done\":\"changed\"");
	filter_text(&f, "id", STR("b"));
	assert_int_equal(store_get(fx->r.store, &box_entity, &f, &fx->r.arena,
			     &box, &found, NULL),
	    0);
	assert_true(str_eqz(box.name, "one"));
	assert_true(str_eqz(box.secret, "s2"));
	/* one that was deleted has that of then */
	call(204, "DELETE /box/b", NULL);
	at_version(200, "POST", versions_are("box", "b", 4) + 3, "/restore");
	assert_int_equal(store_get(fx->r.store, &box_entity, &f, &fx->r.arena,
			     &box, &found, NULL),
	    0);
	assert_true(found && str_eqz(box.secret, "s2"));
}

static void
what_went_along_comes_back_and_what_can_not_is_named(void **state)
{
	(void)state;
	make_box();
	call(204, "DELETE /box/b", NULL);
	fx->refuse_parts = true;
	at_version(200, "POST", versions_are("box", "b", 2) + 1, "/restore");
	says("\"failed\":[{\"objectType\":\"part\",\"objectId\":\"p\","
	     "\"code\":\"err_refused\",\"message\":\"no more\"}]");
	call(404, "GET /part/p", NULL);
	fx->refuse_parts = false;
	at_version(200, "POST", versions_are("box", "b", 3) + 1, "/restore");
	says("\"done\":\"nothing\"");
	says("\"restored\":[{\"objectType\":\"part\",\"objectId\":\"p\"}]");
	call(200, "GET /part/p", NULL);
}

static void
a_restore_is_refused_as_a_call_would_be(void **state)
{
	const struct rest_version *v;

	(void)state;
	make_box();
	call(204, "DELETE /box/b", NULL);
	v = versions_are("box", "b", 2);
	fx->refuse_add = true;
	at_version(409, "POST", v, "/restore");
	says("err_refused");
	call(404, "GET /box/b", NULL);
	versions_are("box", "b", 2);
	call(404, "POST /version/none/restore", NULL);
	call(404, "GET /version/none", NULL);
}

static void
others_versions_are_not_there(void **state)
{
	static const struct box row = { .id = { "x", 1 },
		.unit_id = { "theirs", 6 },
		.name = { "", 0 },
		.secret = { "", 0 },
		.labels = { "{}", 2 } };
	const struct rest_version *v;

	(void)state;
	assert_int_equal(versions_store_add_many(fx->versions, NULL,
			     &box_entity, &row, 1, false, NULL),
	    0);
	v = versions_are("box", "x", 1);
	assert_null(v->account.ptr);
	at_version(404, "GET", v, "");
	at_version(404, "GET", v, "/diff");
	at_version(404, "POST", v, "/restore");
	at_version(404, "POST", v, "/undo");
	call(200, "GET /version/list", NULL);
	says("{\"data\":[]}");
}

static void
undo_takes_back_the_newest_change_only(void **state)
{
	const struct rest_version *v;

	(void)state;
	make_box();
	call(204, "PATCH /box/b", "{\"data\":{\"name\":\"two\"}}");
	v = versions_are("box", "b", 2);
	at_version(409, "POST", v, "/undo");
	at_version(200, "POST", v + 1, "/undo");
	call(200, "GET /box/b", NULL);
	says("\"name\":\"one\"");
	/* undo again: what the undo did */
	at_version(200, "POST", versions_are("box", "b", 3) + 2, "/undo");
	call(200, "GET /box/b", NULL);
	says("\"name\":\"two\"");
	call(200, "POST /box", "{\"data\":{\"id\":\"c\",\"unitId\":\"mine\"}}");
	at_version(200, "POST", versions_are("box", "c", 1), "/undo");
	says("\"done\":\"deleted\"");
	call(404, "GET /box/c", NULL);
}

static void
a_restore_of_many_is_one_change_and_undone_as_one(void **state)
{
	const struct rest_version *v;

	(void)state;
	make_box();
	call(204, "DELETE /box/b", NULL);
	at_version(200, "POST", versions_are("box", "b", 2) + 1, "/undo");
	v = versions_are("box", "b", 3);
	assert_true(
	    str_eq(versions_are("part", "p", 3)[2].change_id, v[2].change_id));
	assert_true(str_eq(v[2].version_id, v[2].change_id));
	at_version(200, "POST", v + 2, "/undo");
	says("\"done\":\"deleted\"");
	says("\"failed\":[]");
	call(404, "GET /part/p", NULL);
	/* and what was deleted by that is one change again */
	at_version(200, "POST", versions_are("box", "b", 4) + 3, "/undo");
	call(200, "GET /box/b", NULL);
	call(200, "GET /part/p", NULL);
}

static void
differences_go_into_objects_and_lists(void **state)
{
	const struct rest_version *v;

	(void)state;
	make_box();
	call(204, "PATCH /box/b",
	    "{\"data\":{\"labels\":{\"a\":{\"b\":[1,{\"c\":2}]},\"d\":null}}}");
	call(204, "PATCH /box/b",
	    "{\"data\":{\"labels\":{\"a\":{\"b\":[1,{\"c\":3},4]}}}}");
	v = versions_are("box", "b", 3);
	at_version(200, "GET", v + 2, "/diff");
	says("{\"data\":["
	     "{\"path\":\"labels.a.b[1].c\",\"before\":2,\"after\":3},"
	     "{\"path\":\"labels.a.b[2]\",\"after\":4},"
	     "{\"path\":\"labels.d\",\"before\":null}]}");
	at_version(200, "GET", v,
	    arena_printf(
		&fx->r.arena, "/diff?with=" STR_FMT, STR_ARG(v[2].version_id))
		.ptr);
	says("\"path\":\"labels.a\"");
}

static void
no_more_are_kept_than_the_settings_say(void **state)
{
	const struct rest_version *v;
	char body[64];
	int64_t n;

	(void)state;
	make_box();
	for (int i = 0; i < 8; i++) {
		snprintf(body, sizeof(body), "{\"data\":{\"name\":\"%d\"}}", i);
		call(204, "PATCH /box/b", body);
	}
	v = versions_are("box", "b", 5);
	assert_int_equal(v[4].number, 9);
	for (int i = 0; i < 6; i++) {
		snprintf(body, sizeof(body),
		    "{\"data\":{\"id\":\"p%d\",\"unitId\":\"mine\","
		    "\"boxId\":\"b\"}}",
		    i);
		call(200, "POST /part", body);
	}
	call(204, "DELETE /box/b", NULL); /* and 7 parts; 4 may be recorded */
	v = versions_are("box", "b", 5);
	assert_true(str_starts(v[4].comment, STR("4 more rows")));
	for (int i = 0; i < 10; i++) {
		snprintf(body, sizeof(body),
		    "{\"data\":{\"id\":\"c%d\",\"unitId\":\"mine\"}}", i);
		call(200, "POST /box", body);
	}
	assert_int_equal(versions_clean(fx->versions, NULL), 0);
	assert_int_equal(store_count(fx->r.store, &rest_version_entity,
			     &(struct filter){ 0 }, &n, NULL),
	    0);
	assert_int_equal(n, 20);
	clock_advance(2 * 3600000);
	assert_int_equal(versions_clean(fx->versions, NULL), 0);
	assert_int_equal(store_count(fx->r.store, &rest_version_entity,
			     &(struct filter){ 0 }, &n, NULL),
	    0);
	assert_int_equal(n, 0);
	/* and the next change of what is left has a version to go back to */
	call(204, "PATCH /box/c0", "{\"data\":{\"name\":\"x\"}}");
	assert_true(str_starts(
	    versions_are("box", "c0", 2)[0].comment, STR("as it was before")));
}

#define T(name)                                                                \
	{ #name " (sqlite)", name, set_up, tear_down, (void *)"sqlite" },      \
	{                                                                      \
#name " (memory)", name, set_up, tear_down, (void *)"memory"   \
	}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(each_change_is_recorded_once),
		T(what_is_taken_back_leaves_no_version),
		T(what_machines_write_is_in_no_version),
		T(a_restore_keeps_the_present_secret),
		T(what_went_along_comes_back_and_what_can_not_is_named),
		T(a_restore_is_refused_as_a_call_would_be),
		T(others_versions_are_not_there),
		T(undo_takes_back_the_newest_change_only),
		T(a_restore_of_many_is_one_change_and_undone_as_one),
		T(differences_go_into_objects_and_lists),
		T(no_more_are_kept_than_the_settings_say),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
