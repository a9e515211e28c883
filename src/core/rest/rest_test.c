/*
 * core/rest/rest_test.c - an object that no module has, over HTTP: what
 * rest.h promises to whoever adds one.
 *
 * A gadget has a record inside, free JSON and a list. Beside it is a table of
 * notes, which the decisions write in the transaction of a change. Each
 * decision writes its name into a log.
 */
#include "core/rest/rest.h"

#include "base/base.h"
#include "base/mem.h"
#include "base/rand.h"
#include "core/rest/check.h"
#include "core/rest/test_rest.h"

struct place {
	struct str room;
	int64_t floor;
};

struct gadget {
	struct str gadget_id, code;
	int64_t created_at, modified_at;
	struct str name, labels;
	int64_t size;
	struct place place;
	struct strs tags;
};

struct note {
	struct str gadget_id, text;
};

static const struct field place_fields[] = {
	F_TEXT(struct place, room, "room", .max = 20),
	F_INT(struct place, floor, "floor", .def = "1"),
	{ 0 },
};
static const struct record place_record = { "place", sizeof(struct place),
	place_fields };

static const struct field gadget_fields[] = {
	F_TEXT(struct gadget, gadget_id, "gadgetId"),
	F_TEXT(struct gadget, code, "code", .flags = FIELD_LOWER,
	    .check = check_code),
	F_TIME(struct gadget, created_at, "createdAt"),
	F_TIME(struct gadget, modified_at, "modifiedAt"),
	F_TEXT(struct gadget, name, "name", .def = "\"\""),
	F_JSON(struct gadget, labels, "labels", .flags = FIELD_OBJECT,
	    .def = "{}"),
	F_INT(struct gadget, size, "size", .flags = FIELD_NULL, .min = 1,
	    .max = 9000),
	F_RECORD(struct gadget, place, struct place, "place",
	    .record = &place_record, .def = "{\"room\":\"hall\",\"floor\":1}"),
	F_TEXTS(struct gadget, tags, "tags", .flags = FIELD_UNIQ),
	{ 0 },
};
static const struct field note_fields[] = {
	F_TEXT(struct note, gadget_id, "gadgetId"),
	F_TEXT(struct note, text, "text"),
	{ 0 },
};

static const struct entity gadget_entity = {
	.record = { "gadget", sizeof(struct gadget), gadget_fields },
	.table = "gadget",
	.version = 1,
	.keys = (const struct entity_key[]){ { "gadgetId", { "gadgetId" } },
	    { "code", { "code" } }, { 0 } },
};
static const struct entity note_entity = {
	.record = { "note", sizeof(struct note), note_fields },
	.table = "note",
	.version = 1,
	.keys = (const struct entity_key[]){ { "gadgetId", { "gadgetId" } },
	    { 0 } },
	.refs =
	    (const struct entity_ref[]){
		{ "gadgetId", "gadget", "gadgetId", ENTITY_CASCADE }, { 0 } },
};
static const struct entity *const entities[] = { &gadget_entity, &note_entity,
	NULL };

/* What may come beside the fields. */
struct beside {
	bool loud;
};
static const struct field beside_fields[] = {
	F_BOOL(struct beside, loud, "loud"),
	{ 0 },
};
static const struct record beside_record = { "beside", sizeof(struct beside),
	beside_fields };
static const struct field extra_fields[] = {
	F_TEXT(struct note, text, "note"),
	{ 0 },
};
static const struct record extra_record = { "noteText", sizeof(struct note),
	extra_fields };

static struct fixture {
	struct test_rest r;

	pthread_mutex_t lock; /* guards the log */
	struct buf log;
	_Atomic long shown;     /* rows */
	_Atomic size_t most;    /* bytes of the call's arena in `show` */
	const char *refuse;     /* the decision that answers by itself */
	bool fail_in_tx;        /* what is done in a tx fails */
	bool delete_in_between; /* the row goes before the change is stored */
} * fx;                         /* of the test that runs */

/* --- the decisions -------------------------------------------------------- */

static void
say(const char *name, enum rest_verb verb)
{
	static const char *const verbs[] = { "add", "count", "list", "get",
		"patch", "del" };

	pthread_mutex_lock(&fx->lock);
	buf_addf(&fx->log, "%s:%s ", name, verbs[verb]);
	pthread_mutex_unlock(&fx->lock);
}

/* Logs; false when the test wants this one to refuse. */
static bool
decide(struct rest *r, const char *name, enum rest_verb verb)
{
	assert_ptr_equal(r->module, fx);
	say(name, verb);
	if (fx->refuse == NULL || strcmp(fx->refuse, name) != 0)
		return true;
	http_error(r->c, 409, "err_refused", "%s", name);
	return false;
}

static bool
limit(struct rest *r, enum rest_verb verb, struct filter *f)
{
	filter_add(f, "code", COND_NE, value_text(STR("hidden")));
	return decide(r, "limit", verb);
}

static bool
may(struct rest *r, enum rest_verb verb, const void *row)
{
	const struct gadget *g = row;

	return decide(r, "may", verb) && !str_eqz(g->code, "hidden");
}

static bool
before_add(struct rest *r, void *row, void *extra, void *beside)
{
	struct gadget *g = row;
	const struct note *n = extra;
	const struct beside *b = beside;

	assert_in_range(g->gadget_id.len, ID_SHORT + 2, 64);
	assert_int_equal(g->created_at, r->c->came_at);
	r->note = (void *)n;
	if (b->loud)
		g->name = STR("LOUD");
	return decide(r, "before_add", REST_ADD);
}

static int
write_note(struct store *tx, struct str id, struct str text, struct err *err)
{
	struct note n = { id, text };
	int rc = store_upsert(tx, &note_entity, &n, err);

	if (rc == 0 && fx->fail_in_tx)
		rc = err_set(err, ERR_IO, "the note was lost");
	return rc;
}

static int
in_add(struct rest *r, struct store *tx, const void *row, struct err *err)
{
	const struct note *n = r->note;

	say("in_add", REST_ADD);
	return n->text.ptr == NULL
	    ? 0
	    : write_note(
		  tx, ((const struct gadget *)row)->gadget_id, n->text, err);
}

static void
after_add(struct rest *r, const void *row, void *extra)
{
	(void)extra;
	say("after_add", REST_ADD);
	json_out_key(&r->c->json, "code");
	json_out_str(&r->c->json, ((const struct gadget *)row)->code);
}

static bool
before_patch(struct rest *r, const void *old, void *row, field_set_t *present,
    void *extra, field_set_t extra_present, void *beside,
    field_set_t beside_present)
{
	const struct gadget *was = old;
	struct gadget *g = row;
	const struct beside *b = beside;
	struct filter f = { 0 };

	r->note = extra_present != 0 ? extra : NULL;
	if (beside_present != 0 && b->loud) {
		g->name = STR("LOUD");
		*present |= field_bit(&gadget_entity.record, "name");
	}
	if (str_eq(was->code, g->code))
		*present &= ~field_bit(&gadget_entity.record, "code");
	if (fx->delete_in_between) {
		filter_text(&f, "gadgetId", was->gadget_id);
		assert_int_equal(
		    store_del(fx->r.store, &gadget_entity, &f, NULL, NULL), 0);
	}
	return decide(r, "before_patch", REST_PATCH);
}

static int
in_patch(struct rest *r, struct store *tx, const void *old, const void *row,
    field_set_t present, struct err *err)
{
	const struct note *n = r->note;

	(void)old;
	(void)present;
	say("in_patch", REST_PATCH);
	return n == NULL
	    ? 0
	    : write_note(
		  tx, ((const struct gadget *)row)->gadget_id, n->text, err);
}

static void
after_patch(struct rest *r, const void *old, const void *row,
    field_set_t present, void *extra, field_set_t extra_present)
{
	const struct gadget *was = old, *g = row;

	(void)r;
	(void)present;
	(void)extra;
	(void)extra_present;
	assert_true(str_eq(was->gadget_id, g->gadget_id));
	say("after_patch", REST_PATCH);
}

static bool
before_del(struct rest *r, const void *row)
{
	(void)row;
	return decide(r, "before_del", REST_DEL);
}

static void
after_del(struct rest *r, const void *row)
{
	(void)r;
	(void)row;
	say("after_del", REST_DEL);
}

static void
show(struct rest *r, enum rest_verb verb, void *row)
{
	struct gadget *g = row;

	(void)verb;
	fx->shown++;
	fx->most = MAX_OF(fx->most, r->c->arena.used);
	if (str_eqz(g->name, "secret"))
		g->name = arena_printf(&r->c->arena, "%s", "***");
}

static void
more(struct rest *r, enum rest_verb verb, const void *row)
{
	(void)row;
	if (fx->refuse != NULL && strcmp(fx->refuse, "more") == 0) {
		http_error(r->c, 503, "err_db", "no more");
		return;
	}
	if (verb != REST_GET)
		return;
	json_out_key(&r->c->json, "more");
	json_out_bool(&r->c->json, true);
}

static const struct rest_object gadget_object = {
	.name = "gadget",
	.entity = &gadget_entity,
	.id = "gadgetId",
	.id_len = ID_SHORT,
	.filters = (const struct rest_filter[]){ { "code", "code", COND_EQ,
						     .lower = true },
	    { "contains", "name", COND_CONTAINS, .unless = "code" },
	    { "size", "size", COND_EQ }, { "tag", "tags", COND_HAS },
	    { "codes", "code", COND_IN }, { 0 } },
	.sorts = (const struct rest_sort[]){ { "code", "code" },
	    { "size", "size" }, { "created", "createdAt" }, { 0 } },
	.sort = "code:asc",
	.add = "code! name labels size place tags",
	.patch = "code name labels size place tags",
	.patch_null = "size",
	.add_extra = &extra_record,
	.add_beside = &beside_record,
	.patch_extra = &extra_record,
	.patch_beside = &beside_record,
	.exists = (const struct rest_exists[]){ { "code", "err_gadget_exist" },
	    { 0 } },
	.csv = "gadgetId code size place tags",
	.help = "gadgets.",
	.limit = limit,
	.may = may,
	.before_add = before_add,
	.in_add = in_add,
	.after_add = after_add,
	.before_patch = before_patch,
	.in_patch = in_patch,
	.after_patch = after_patch,
	.before_del = before_del,
	.after_del = after_del,
	.show = show,
	.more = more,
};

/* --- the server ----------------------------------------------------------- */

static int
set_up(void **state)
{
	struct store_conf conf = { .engine = "memory", .entities = entities };

	(void)state;
	fx = mem_new(struct fixture);
	pthread_mutex_init(&fx->lock, NULL);
	test_rest_open(&fx->r, &conf, fx);
	test_rest_mount(&fx->r, &gadget_object, "/api/v1", fx, REST_CSV);
	test_server_start(&fx->r.t);
	return 0;
}

static int
tear_down(void **state)
{
	(void)state;
	test_rest_stop(&fx->r);
	test_rest_close(&fx->r);
	pthread_mutex_destroy(&fx->lock);
	buf_free(&fx->log);
	free(fx);
	return 0;
}

#define GADGETS "/api/v1/gadget"

/* `what`: "METHOD path-below-GADGETS". */
static void
call(const char *what, const char *json)
{
	buf_clear(&fx->log);
	test_rest_call(&fx->r, GADGETS, what, json);
}

static void
is(int status, const char *body)
{
	if (fx->r.reply.status != status ||
	    (body != NULL && strcmp(fx->r.reply.body.ptr, body) != 0))
		fail_msg("wanted %d %s, got %d %s", status,
		    body != NULL ? body : "", fx->r.reply.status,
		    fx->r.reply.body.ptr);
}

static void
is_error(int status, const char *code)
{
	struct str want = arena_printf(&fx->r.arena, "{\"code\":\"%s\"", code);

	if (fx->r.reply.status != status || !str_starts(fx->r.reply.body, want))
		fail_msg("wanted %d %s, got %d %s", status, code,
		    fx->r.reply.status, fx->r.reply.body.ptr);
	assert_int_equal(fx->r.reply.body.ptr[fx->r.reply.body.len - 1], '}');
}

static void
heard(const char *log)
{
	assert_string_equal(buf_z(&fx->log), log);
}

static bool
says(const char *part)
{
	return test_rest_says(&fx->r, part);
}

/* Adds one by POST; returns its id. */
static const char *
added(const char *json)
{
	struct str body, id;

	call("POST ", json);
	is(200, NULL);
	body = fx->r.reply.body;
	assert_true(str_starts(body, STR("{\"data\":{\"gadgetId\":\"")));
	body.ptr += sizeof("{\"data\":{\"gadgetId\":\"") - 1;
	id = str_cut(&body, '"');
	return arena_z(&fx->r.arena, id);
}

static const char *
path(const char *method, const char *id)
{
	return arena_printf(&fx->r.arena, "%s /%s", method, id).ptr;
}

static int64_t
rows_of(const struct entity *e)
{
	int64_t n;

	assert_int_equal(store_count(fx->r.store, e, NULL, &n, NULL), 0);
	return n;
}

/* Adds `n` rows with codes g000000, g000001, ... straight to the store. */
static void
fill(size_t n, size_t name_len)
{
	struct gadget *all = mem_array(n, sizeof(*all));
	char *name = arena_alloc(&fx->r.arena, name_len + 1);

	memset(name, 'n', name_len);
	for (size_t i = 0; i < n; i++)
		all[i] = (struct gadget){
			.gadget_id =
			    arena_printf(&fx->r.arena, "id%06zu", n - i),
			.code = arena_printf(&fx->r.arena, "g%06zu", i),
			.created_at = 1000,
			.modified_at = 1000,
			.name = { name, name_len },
			.labels = STR("{}"),
			.size = (int64_t)(i % 7 + 1),
			.place = { STR("hall"), 1 },
		};
	assert_int_equal(store_add_many(fx->r.store, &gadget_entity, all, n,
			     false, NULL, NULL),
	    0);
	free(all);
}

/* --- one by one ----------------------------------------------------------- */

static void
a_row_is_added_shown_changed_and_deleted(void **state)
{
	const char *id;

	(void)state;
	id = added("{\"data\":{\"code\":\"Lamp\",\"size\":3,"
		   "\"labels\":{\"b\": [1, 2]},"
		   "\"place\":{\"room\":\"attic\",\"floor\":4},"
		   "\"tags\":[\"b\",\"a\",\"b\"]}}");
	assert_true(says("\"code\":\"lamp\"}}"));
	heard("before_add:add in_add:add after_add:add ");

	call(path("GET", id), NULL);
	is(200, NULL);
	heard("may:get ");
	assert_true(says("\"code\":\"lamp\""));
	assert_true(says("\"name\":\"\",\"labels\":{\"b\":[1,2]},\"size\":3,"
			 "\"place\":{\"room\":\"attic\",\"floor\":4},"
			 "\"tags\":[\"a\",\"b\"],\"more\":true}}"));

	call(path("PATCH", id),
	    "{\"data\":{\"name\":\"secret\",\"place\":{\"room\":\"cellar\"},"
	    "\"tags\":[]}}");
	is(204, "");
	heard("may:patch before_patch:patch in_patch:patch after_patch:patch ");
	call(path("GET", id), NULL);
	assert_true(says("\"name\":\"***\""));
	assert_true(says("\"place\":{\"room\":\"cellar\",\"floor\":1},"
			 "\"tags\":[]"));

	call("GET /count", NULL);
	is(200, "{\"data\":{\"count\":1}}");
	heard("limit:count ");
	call(path("DELETE", id), NULL);
	is(204, "");
	heard("may:del before_del:del after_del:del ");
	assert_int_equal(rows_of(&gadget_entity), 0);
	call(path("GET", id), NULL);
	is_error(404, "err_not_found");
	call(path("PATCH", id), "{\"data\":{\"name\":\"x\"}}");
	is_error(404, "err_not_found");
	call(path("DELETE", id), NULL); /* as if it had been there */
	is(204, "");
	heard("");
}

static void
members_without_a_value_get_their_defaults(void **state)
{
	const char *id = added("{\"data\":{\"code\":\"a\"}}");

	(void)state;
	call(path("GET", id), NULL);
	assert_true(says("\"name\":\"\",\"labels\":{},\"size\":null,"
			 "\"place\":{\"room\":\"hall\",\"floor\":1},"
			 "\"tags\":[]"));
}

static void
a_bad_body_is_400_and_says_what_is_wrong(void **state)
{
	static const struct {
		const char *json, *says;
	} bad[] = {
		{ "", "" },
		{ "[]", "" },
		{ "{\"data\":{\"code\":\"a\"}", "" },
		{ "{}", "code" },
		{ "{\"data\":{}}", "missing `code`" },
		{ "{\"data\":{\"code\":7}}", "code" },
		{ "{\"data\":{\"code\":\"list\"}}", "code" },
		{ "{\"data\":{\"code\":\"a\",\"size\":9001}}", "size" },
		{ "{\"data\":{\"code\":\"a\",\"labels\":[]}}", "labels" },
		{ "{\"data\":{\"code\":\"a\",\"place\":{\"floor\":\"x\"}}}",
		    "floor" },
		{ "{\"data\":{\"code\":\"a\",\"tags\":[1]}}", "tags" },
		{ "{\"data\":{\"code\":\"a\"},\"loud\":1}", "loud" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(bad); i++) {
		call("POST ", bad[i].json);
		is_error(400, "err_param");
		if (!says(bad[i].says))
			fail_msg("%s: %s", bad[i].json, fx->r.reply.body.ptr);
		heard("");
	}
	assert_int_equal(rows_of(&gadget_entity), 0);
}

static void
a_key_that_is_there_has_its_own_error(void **state)
{
	const char *id;

	(void)state;
	added("{\"data\":{\"code\":\"a\"}}");
	call("POST ", "{\"data\":{\"code\":\"A\",\"note\":\"n\"}}");
	is_error(400, "err_gadget_exist");
	heard("before_add:add ");
	assert_int_equal(rows_of(&note_entity), 0);
	id = added("{\"data\":{\"code\":\"b\"}}");
	call(path("PATCH", id), "{\"data\":{\"code\":\"a\"}}");
	is_error(400, "err_gadget_exist");
	heard("may:patch before_patch:patch ");
}

static void
members_beside_and_more_in_data_reach_the_decisions(void **state)
{
	const char *id =
	    added("{\"data\":{\"code\":\"a\",\"note\":\"n\"},\"loud\":true}");

	(void)state;
	assert_int_equal(rows_of(&note_entity), 1);
	call(path("GET", id), NULL);
	assert_true(says("\"name\":\"LOUD\""));
	call(path("PATCH", id), "{\"data\":{\"name\":\"quiet\"}}");
	call(path("PATCH", id), "{\"loud\":true}");
	is(204, "");
	call(path("GET", id), NULL);
	assert_true(says("\"name\":\"LOUD\""));
	call(path("DELETE", id), NULL);
	assert_int_equal(rows_of(&note_entity), 0);
}

static void
what_fails_in_the_transaction_takes_everything_back(void **state)
{
	const char *id = added("{\"data\":{\"code\":\"a\",\"note\":\"n\"}}");

	(void)state;
	fx->fail_in_tx = true;
	call("POST ", "{\"data\":{\"code\":\"b\",\"note\":\"n\"}}");
	is(503, "{\"code\":\"err_db\",\"message\":\"the note was lost\"}");
	heard("before_add:add in_add:add ");
	assert_int_equal(rows_of(&gadget_entity), 1);
	assert_int_equal(rows_of(&note_entity), 1);

	call(path("PATCH", id), "{\"data\":{\"name\":\"new\",\"note\":\"m\"}}");
	is_error(503, "err_db");
	heard("may:patch before_patch:patch in_patch:patch ");
	call(path("GET", id), NULL);
	assert_true(says("\"name\":\"\""));
}

static void
null_clears_what_may_be_cleared_and_is_no_value_elsewhere(void **state)
{
	const char *id = added("{\"data\":{\"code\":\"a\",\"size\":3}}");

	(void)state;
	call(path("PATCH", id), "{\"data\":{\"size\":null}}");
	is(204, "");
	call(path("GET", id), NULL);
	assert_true(says("\"size\":null"));
	call(path("PATCH", id), "{\"data\":{\"name\":null}}");
	is_error(400, "err_param");
	call(path("PATCH", id), "{\"data\":{}}");
	is_error(400, "err_param");
	heard("");
}

static void
a_patch_stamps_the_row_only_when_it_changes_it(void **state)
{
	const char *id = added("{\"data\":{\"code\":\"a\"}}");
	struct str first;

	(void)state;
	call(path("GET", id), NULL);
	first = fx->r.reply.body;
	test_server_advance(&fx->r.t, 5000);
	call(path("PATCH", id), "{\"data\":{\"code\":\"a\"}}");
	is(204, "");
	call(path("GET", id), NULL);
	is(200, first.ptr);
	call(path("PATCH", id), "{\"data\":{\"code\":\"b\"}}");
	is(204, "");
	call(path("GET", id), NULL);
	assert_string_not_equal(fx->r.reply.body.ptr, first.ptr);
}

static void
a_row_deleted_while_it_is_changed_is_404(void **state)
{
	const char *id = added("{\"data\":{\"code\":\"a\"}}");

	(void)state;
	fx->delete_in_between = true;
	call(path("PATCH", id), "{\"data\":{\"name\":\"x\",\"note\":\"n\"}}");
	is_error(404, "err_not_found");
	heard("may:patch before_patch:patch ");
	assert_int_equal(rows_of(&note_entity), 0);

	fx->delete_in_between = false;
	id = added("{\"data\":{\"code\":\"a\"}}");
	fx->delete_in_between = true;
	call(path("PATCH", id), "{\"data\":{\"note\":\"n\"}}");
	is_error(404, "err_not_found");
	assert_int_equal(rows_of(&note_entity), 0);
}

static void
what_the_caller_may_not_see_is_not_there(void **state)
{
	const char *id = added("{\"data\":{\"code\":\"hidden\"}}");

	(void)state;
	call(path("GET", id), NULL);
	is_error(404, "err_not_found");
	call(path("PATCH", id), "{\"data\":{\"name\":\"x\"}}");
	is_error(404, "err_not_found");
	call(path("DELETE", id), NULL);
	is(204, "");
	assert_int_equal(rows_of(&gadget_entity), 1);
	call("GET /count", NULL);
	is(200, "{\"data\":{\"count\":0}}");
	call("GET /list", NULL);
	is(200, "{\"data\":[]}");
}

static void
a_decision_may_answer_by_itself(void **state)
{
	static const struct {
		const char *decision, *what, *json;
	} all[] = {
		{ "limit", "GET /count", NULL },
		{ "limit", "GET /list", NULL },
		{ "may", "GET /", NULL },
		{ "may", "PATCH /", "{\"data\":{\"name\":\"x\"}}" },
		{ "may", "DELETE /", NULL },
		{ "before_add", "POST ", "{\"data\":{\"code\":\"z\"}}" },
		{ "before_patch", "PATCH /", "{\"data\":{\"name\":\"x\"}}" },
		{ "before_del", "DELETE /", NULL },
	};
	const char *id = added("{\"data\":{\"code\":\"a\"}}");

	(void)state;
	for (size_t i = 0; i < COUNT_OF(all); i++) {
		bool one = all[i].what[strlen(all[i].what) - 1] == '/';

		fx->refuse = all[i].decision;
		call(arena_printf(
			 &fx->r.arena, "%s%s", all[i].what, one ? id : "")
			 .ptr,
		    all[i].json);
		is(409,
		    arena_printf(&fx->r.arena,
			"{\"code\":\"err_refused\",\"message\":\"%s\"}",
			all[i].decision)
			.ptr);
	}
	assert_int_equal(rows_of(&gadget_entity), 1);
}

static void
an_error_while_a_row_is_written_is_the_whole_answer(void **state)
{
	const char *id = added("{\"data\":{\"code\":\"a\"}}");

	(void)state;
	fx->refuse = "more";
	call(path("GET", id), NULL);
	is(503, "{\"code\":\"err_db\",\"message\":\"no more\"}");
	call("GET /list", NULL);
	is(503, "{\"code\":\"err_db\",\"message\":\"no more\"}");
}

/* --- lists ---------------------------------------------------------------- */

/* The codes in the last answer, each preceded by a space. */
static const char *
codes(void)
{
	const char *p = fx->r.reply.body.ptr;
	struct buf b = { 0 };
	struct str all;

	while ((p = strstr(p, "\"code\":\"")) != NULL) {
		p += sizeof("\"code\":\"") - 1;
		buf_addc(&b, ' ');
		buf_add(&b, p, strcspn(p, "\""));
	}
	buf_reserve(&b, 1);
	all = arena_str(&fx->r.arena, buf_str(&b));
	buf_free(&b);
	return all.ptr != NULL ? all.ptr : "";
}

static void
list_is(const char *query, const char *want)
{
	call(arena_printf(&fx->r.arena, "GET /list%s", query).ptr, NULL);
	is(200, NULL);
	assert_string_equal(codes(), want);
}

static void
lists_are_filtered_sorted_and_cut(void **state)
{
	(void)state;
	added("{\"data\":{\"code\":\"c\",\"size\":1,\"name\":\"One Lamp\"}}");
	added("{\"data\":{\"code\":\"a\",\"size\":2,\"tags\":[\"t\"]}}");
	added("{\"data\":{\"code\":\"b\",\"size\":2,\"name\":\"lamps\"}}");
	list_is("", " a b c");
	heard("limit:list ");
	list_is("?sort=code:desc", " c b a");
	list_is("?sort=size:desc,code:desc", " b a c");
	list_is("?offset=1", " b c");
	list_is("?offset=1&limit=1", " b");
	list_is("?limit=0", " a b c");
	list_is("?offset=7", "");
	list_is("?code=B", " b");
	list_is("?contains=lamp", " b c");
	list_is("?contains=lamp&code=a", " a");
	list_is("?contains=", " a b c");
	list_is("?size=2", " a b");
	list_is("?tag=t", " a");
	list_is("?codes=c,a,none", " a c");
	list_is("?codes=none", "");
	call("GET /count?contains=lamp", NULL);
	is(200, "{\"data\":{\"count\":2}}");
	call("GET /list?limit=1&format=array", NULL);
	is(200, NULL);
	assert_int_equal(fx->r.reply.body.ptr[0], '[');
}

#define SIX_SORTS "code:asc,code:asc,code:asc,code:asc,code:asc,code:asc"

static void
what_a_list_is_asked_wrongly_is_400(void **state)
{
	static const char *const bad[] = { "?sort=", "?sort=code",
		"?sort=code:up", "?sort=name:asc", "?sort=code:asc,",
		"?offset=-1", "?offset=x", "?limit=1.5",
		"?limit=99999999999999999999", "?format=xml",
		"?format=", "?size=big", "?sort=" SIX_SORTS ",code:asc" };

	(void)state;
	for (size_t i = 0; i < COUNT_OF(bad); i++) {
		call(arena_printf(&fx->r.arena, "GET /list%s", bad[i]).ptr,
		    NULL);
		if (fx->r.reply.status != 400)
			fail_msg("%s: %d", bad[i], fx->r.reply.status);
		is_error(400, "err_param");
	}
	call("GET /count?size=big", NULL);
	is_error(400, "err_param");
}

static void
csv_has_its_own_columns(void **state)
{
	const char *id = added("{\"data\":{\"code\":\"a\",\"tags\":[\"x\"]}}");
	struct str kind;

	(void)state;
	call("GET /list?format=csv", NULL);
	is(200,
	    arena_printf(&fx->r.arena,
		"\xEF\xBB\xBFgadgetId,code,size,place,tags\n"
		"%s,a,,\"{\"\"room\"\":\"\"hall\"\",\"\"floor\"\":1}\","
		"\"[\"\"x\"\"]\"\n",
		id)
		.ptr);
	kind = test_header(&fx->r.reply, "Content-Disposition");
	assert_true(str_eqz(kind, "attachment;filename=gadget.csv"));
	assert_true(
	    str_eqz(test_header(&fx->r.reply, "Content-Type"), "text/csv"));
}

static void
a_long_list_comes_whole_in_pages(void **state)
{
	const char *came;

	(void)state;
	fill(1050, 3);
	call("GET /list", NULL);
	assert_int_equal(fx->shown, 100);
	fx->shown = 0;
	call("GET /list?limit=0", NULL);
	assert_int_equal(fx->shown, 1050);
	assert_true(fx->r.reply.whole);
	assert_true(str_ends(fx->r.reply.body, STR("}]}")));
	came = codes();
	assert_int_equal(strlen(came), 1050 * 8);
	for (int i = 0; i < 1050; i++)
		assert_int_equal(atoi(came + i * 8 + 2), i);
	call("GET /list?limit=250&offset=10", NULL);
	assert_int_equal(strlen(codes()), 250 * 8);
	assert_int_equal(atoi(codes() + 249 * 8 + 2), 259);
	call("GET /list?limit=200&offset=950", NULL);
	assert_int_equal(strlen(codes()), 100 * 8);
	call("GET /list?limit=0&format=array&sort=size:asc", NULL);
	assert_int_equal(strlen(codes()), 1050 * 8);
	call("GET /list?limit=0&format=csv", NULL);
	is(200, NULL);
	assert_true(fx->r.reply.whole);
	assert_non_null(strstr(fx->r.reply.body.ptr, ",g001049,"));
}

static void
a_long_list_does_not_gather_memory(void **state)
{
	size_t short_one;

	(void)state;
	fill(20000, 3);
	call("GET /list?limit=200", NULL);
	short_one = fx->most;
	call("GET /list?limit=0", NULL);
	assert_int_equal(fx->shown, 20200);
	assert_in_range(fx->most, 1, short_one * 2);
	call("GET /list?limit=0&format=csv", NULL);
	assert_in_range(fx->most, 1, short_one * 2);
}

/* Waits until the list goes no further, because nobody reads it. */
static void
list_rests(void)
{
	struct timespec ms = { 0, 20000000 };
	long before;

	do {
		before = fx->shown;
		for (int i = 0; i < 5; i++) {
			nanosleep(&ms, NULL);
			test_server_poke(&fx->r.t);
		}
	} while (fx->shown == 0 || fx->shown != before);
}

static void
rows_deleted_during_a_list_neither_shift_nor_double_others(void **state)
{
	const size_t n = 5000;
	struct test_client c = test_connect(&fx->r.t);
	struct filter f = { 0 };
	const char *p;
	int64_t gone;
	long sent;

	(void)state;
	fill(n, 4000);
	buf_clear(&fx->log);
	test_rest_send(&fx->r, &c, GADGETS, "GET /list?limit=0", NULL);
	list_rests();
	sent = fx->shown;
	assert_in_range(sent, 100, n - 1);
	/* what was sent, the row the next page begins behind, and what comes
	 * next: all gone but the last 20 */
	filter_add(&f, "code", COND_LT,
	    value_text(arena_printf(&fx->r.arena, "g%06zu", n - 20)));
	assert_int_equal(
	    store_del(fx->r.store, &gadget_entity, &f, &gone, NULL), 0);
	assert_int_equal(gone, n - 20);
	fx->r.reply = test_read(&c, &fx->r.arena, false);
	is(200, NULL);
	assert_true(fx->r.reply.whole);
	p = codes();
	assert_int_equal(strlen(p), (sent + 20) * 8);
	for (long i = 0; i < sent; i++)
		assert_int_equal(atoi(p + i * 8 + 2), i);
	for (long i = 0; i < 20; i++)
		assert_int_equal(
		    atoi(p + (sent + i) * 8 + 2), (long)n - 20 + i);
	test_close(&c);
}

/* --- mounting ------------------------------------------------------------- */

static void
remember(void *ctx, const struct http_route *rows)
{
	*(const struct http_route **)ctx = rows;
}

static void
a_mount_leaves_out_what_it_is_told_to(void **state)
{
	const struct http_route *rows;
	struct rest_mounts mounts = { 0 };
	size_t n = 0;

	(void)state;
	rest_mount(&mounts, &gadget_object, "/x", NULL, NULL,
	    REST_NO(REST_ADD) | REST_NO(REST_DEL), remember, &rows);
	for (; rows[n].method != NULL; n++) {
		assert_string_not_equal(rows[n].method, "POST");
		assert_string_not_equal(rows[n].method, "DELETE");
		assert_int_equal(rows[n].access, HTTP_TOKEN);
	}
	assert_int_equal(n, 4);
	assert_string_equal(rows[0].path, "/x/gadget/count");
	assert_string_equal(rows[0].scope, "gadget.get");
	rest_mounts_free(&mounts);
}

#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_row_is_added_shown_changed_and_deleted),
		T(members_without_a_value_get_their_defaults),
		T(a_bad_body_is_400_and_says_what_is_wrong),
		T(a_key_that_is_there_has_its_own_error),
		T(members_beside_and_more_in_data_reach_the_decisions),
		T(what_fails_in_the_transaction_takes_everything_back),
		T(null_clears_what_may_be_cleared_and_is_no_value_elsewhere),
		T(a_patch_stamps_the_row_only_when_it_changes_it),
		T(a_row_deleted_while_it_is_changed_is_404),
		T(what_the_caller_may_not_see_is_not_there),
		T(a_decision_may_answer_by_itself),
		T(an_error_while_a_row_is_written_is_the_whole_answer),
		T(lists_are_filtered_sorted_and_cut),
		T(what_a_list_is_asked_wrongly_is_400),
		T(csv_has_its_own_columns),
		T(a_long_list_comes_whole_in_pages),
		T(a_long_list_does_not_gather_memory),
		T(rows_deleted_during_a_list_neither_shift_nor_double_others),
		T(a_mount_leaves_out_what_it_is_told_to),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
