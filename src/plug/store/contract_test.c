/*
 * plug/store/contract_test.c - asks every promise of store.h of every engine.
 */
#include "plug/store/store.h"
#include "plug/store/test_entities.h"

#include "base/base.h"
#include "base/mem.h"
#include "codec/entity_json.h"

#include <ftw.h>
#include <inttypes.h>
#include <math.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static const char *engine; /* the one under test */
static bool dumps, yaml;   /* `memory` writes itself down meanwhile */

struct fixture {
	struct store *s;
	struct err err;
	struct arena arena;
	char dir[32];
	char path[64], dump[64];
};

static int
set_up(void **state)
{
	struct fixture *f = mem_new(struct fixture);
	struct store_conf conf = { .engine = engine,
		.entities = test_entities };

	strcpy(f->dir, "/tmp/store-XXXXXX");
	if (mkdtemp(f->dir) == NULL)
		return -1;
	snprintf(f->path, sizeof(f->path), "%s/db", f->dir);
	conf.path = f->path;
	snprintf(f->dump, sizeof(f->dump), "%s/dump", f->dir);
	if (dumps)
		conf.dump_dir = f->dump;
	conf.dump_ms = 2;
	conf.dump_yaml = yaml;
	*state = f;
	if (store_open(&conf, &f->s, &f->err) != 0) {
		print_error("%s\n", f->err.text);
		return -1;
	}
	return 0;
}

static int
remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

/* Every row as JSON, to `ctx`. */
struct all_rows {
	const struct entity *e;
	struct buf text;
};

static int
note_row(void *ctx, const void *row, struct err *err)
{
	struct all_rows *all = ctx;

	(void)err;
	record_encode(&all->text, &all->e->record, row);
	buf_addc(&all->text, '\n');
	return 0;
}

static void
everything(struct store *s, struct buf *ret)
{
	static const struct store_query q = { 0 };

	for (size_t i = 0; test_entities[i] != NULL; i++) {
		struct all_rows all = { .e = test_entities[i], .text = *ret };
		struct err err;

		if (store_list(s, all.e, &q, note_row, &all, &err) != 0)
			fail_msg("%s", err.text);
		*ret = all.text;
	}
}

/* Closed and opened again the store is as it was. */
static void
check_dump(struct fixture *f)
{
	struct store_conf conf = { .engine = engine,
		.entities = test_entities,
		.dump_dir = f->dump,
		.dump_yaml = !yaml };
	struct buf before = { 0 }, after = { 0 };

	everything(f->s, &before);
	store_close(f->s);
	if (store_open(&conf, &f->s, &f->err) != 0)
		fail_msg("%s", f->err.text);
	everything(f->s, &after);
	assert_true(str_eq(buf_str(&before), buf_str(&after)));
	buf_free(&before);
	buf_free(&after);
}

static int
tear_down(void **state)
{
	struct fixture *f = *state;

	if (dumps)
		check_dump(f);
	store_close(f->s);
	unlink(f->path);
	(void)nftw(f->dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	arena_fini(&f->arena);
	free(f);
	return 0;
}

/* --- rows ---------------------------------------------------------------- */

static struct str
text(struct fixture *f, const char *fmt, ...)
{
	struct str s;
	va_list ap;

	va_start(ap, fmt);
	s = arena_vprintf(&f->arena, fmt, ap);
	va_end(ap);
	return s;
}

static struct strs
words(struct fixture *f, const char *list)
{
	struct str rest = arena_str(&f->arena, str_of(list));
	struct strs ret = { arena_array(&f->arena, 16, struct str), 0 };

	while (rest.ptr != NULL && rest.len > 0)
		ret.at[ret.n++] = str_cut(&rest, ' ');
	return ret;
}

static struct t_device
device(struct fixture *f, int i)
{
	struct t_device d = { 0 };

	record_init(&device_entity.record, &d);
	d.device_id = text(f, "d%d", i);
	d.unit_id = STR("u1");
	d.unit_code = STR("one");
	d.network_id = STR("n1");
	d.network_code = STR("net");
	d.network_addr = text(f, "%04d", i);
	d.created_at = 1000 + i;
	return d;
}

static void
add(struct fixture *f, const struct entity *e, const void *row)
{
	if (store_add(f->s, e, row, &f->err) != 0)
		fail_msg("%s", f->err.text);
}

static void
add_devices(struct fixture *f, int n)
{
	for (int i = 0; i < n; i++) {
		struct t_device d = device(f, i);

		add(f, &device_entity, &d);
	}
}

static void
add_tie(
    struct fixture *f, const struct entity *e, const char *id, const char *to)
{
	struct t_tie t = { str_of(id), str_of(to) };

	add(f, e, &t);
}

static int64_t
count_in(struct store *s, const struct entity *e, const struct filter *filter)
{
	struct err err;
	int64_t n = -1;

	if (store_count(s, e, filter, &n, &err) != 0)
		fail_msg("%s", err.text);
	return n;
}

static int64_t
count(struct fixture *f, const struct entity *e)
{
	return count_in(f->s, e, NULL);
}

/* The first fields of the rows of a list, with spaces between them. */
static int
write_id(void *ctx, const void *row, struct err *err)
{
	struct buf *b = ctx;
	const struct str *id = row; /* the first member of every test struct */

	(void)err;
	if (b->len > 0)
		buf_addc(b, ' ');
	buf_add_str(b, *id);
	return 0;
}

static const char *
list_of(struct fixture *f, const struct entity *e, const struct store_query *q)
{
	struct buf b = { 0 };
	const char *z;

	if (store_list(f->s, e, q, write_id, &b, &f->err) != 0)
		fail_msg("%s", f->err.text);
	z = arena_z(&f->arena, b.len > 0 ? buf_str(&b) : STR(""));
	buf_free(&b);
	return z;
}

static const char *
where(struct fixture *f, const struct entity *e, const char *field,
    enum cond_op op, struct value v)
{
	struct filter filter = { 0 };
	struct store_query q = { .filter = &filter };

	filter_add(&filter, field, op, v);
	return list_of(f, e, &q);
}

#define DEV(field, op, v) where(f, &device_entity, field, op, v)
#define TASK(field, op, v) where(f, &task_entity, field, op, v)
#define NONE value_text(STR_NULL)
#define T(z) value_text(STR(z))

static bool
get_device(struct fixture *f, const char *id, struct t_device *d)
{
	struct filter filter = { 0 };
	bool found = false;

	filter_text(&filter, "deviceId", str_of(id));
	if (store_get(f->s, &device_entity, &filter, &f->arena, d, &found,
		&f->err) != 0)
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

#define assert_exists(f, rc, name)                                             \
	do {                                                                   \
		assert_int_equal(rc, ERR_EXISTS);                              \
		assert_true(                                                   \
		    str_starts(str_of((f)->err.text), STR(name ": ")));        \
	} while (0)

/* --- (1) absent ---------------------------------------------------------- */

static void
an_absent_row_is_no_error(void **state)
{
	struct fixture *f = *state;
	struct store_query all = { 0 };
	struct filter none = { 0 };
	struct change c = { "name", T("x") };
	struct t_device d;
	struct rows rows;
	int64_t n = -1;

	filter_text(&none, "deviceId", STR("nobody"));
	assert_false(get_device(f, "nobody", &d));
	assert_int_equal(count(f, &device_entity), 0);
	assert_string_equal(list_of(f, &device_entity, &all), "");
	assert_int_equal(
	    store_all(f->s, &device_entity, &all, &f->arena, &rows, &f->err),
	    0);
	assert_int_equal(rows.n, 0);
	assert_int_equal(
	    store_update(f->s, &device_entity, &none, &c, 1, &n, &f->err), 0);
	assert_int_equal(n, 0);
	n = -1;
	assert_int_equal(
	    store_del(f->s, &device_entity, &none, &n, &f->err), 0);
	assert_int_equal(n, 0);
}

/* --- rows there and back ------------------------------------------------- */

static void
a_row_comes_back_as_it_went(void **state)
{
	struct fixture *f = *state;
	struct t_device d = device(f, 1), back;

	d.profile = STR("lora");
	d.name = STR("");
	d.info = STR("{\"a\":[1,2.5,\"\\u0001\"],\"b\":null}");
	d.rank = INT64_MAX;
	d.level = -0.1;
	d.enabled = true;
	d.tags = words(f, "a b c");
	add(f, &device_entity, &d);
	assert_true(get_device(f, "d1", &back));
	assert_str(back.unit_id, "u1");
	assert_str(back.unit_code, "one");
	assert_str(back.profile, "lora");
	assert_str(back.name, "");
	assert_str(back.info, "{\"a\":[1,2.5,\"\\u0001\"],\"b\":null}");
	assert_int_equal(back.created_at, 1001);
	assert_true(back.rank == INT64_MAX);
	assert_true(back.level == -0.1);
	assert_true(back.enabled);
	assert_int_equal(back.tags.n, 3);
	assert_str(back.tags.at[2], "c");
}

static void
null_comes_back_as_null(void **state)
{
	struct fixture *f = *state;
	struct t_device d = device(f, 1), back;

	d.unit_code = STR_NULL;
	d.profile = STR(""); /* means null in this column */
	add(f, &device_entity, &d);
	assert_true(get_device(f, "d1", &back));
	assert_null(back.unit_code.ptr);
	assert_null(back.profile.ptr);
	assert_null(back.name.ptr);
	assert_null(back.info.ptr);
	assert_true(back.rank == FIELD_INT_NULL);
	assert_true(isnan(back.level));
	assert_false(back.enabled);
	assert_int_equal(back.tags.n, 0);
}

static void
words_and_bytes_come_back(void **state)
{
	struct fixture *f = *state;
	struct t_unit u = { STR("u1"), STR("one"), words(f, "m1 m2") };
	struct t_process p = { STR("t1"), 3, STR_NULL, { "\0\xff\n'", 4 },
		STR("") };
	struct store_query all = { 0 };
	struct rows rows;

	add(f, &unit_entity, &u);
	add(f, &process_entity, &p);
	store_all(f->s, &unit_entity, &all, &f->arena, &rows, &f->err);
	assert_int_equal(rows.n, 1);
	assert_int_equal(((struct t_unit *)rows.at)->member_ids.n, 2);
	assert_str(((struct t_unit *)rows.at)->member_ids.at[1], "m2");
	store_all(f->s, &process_entity, &all, &f->arena, &rows, &f->err);
	p = *(struct t_process *)rows.at;
	assert_int_equal(p.process_index, 3);
	assert_null(p.process_program.ptr);
	assert_int_equal(p.process_stdout.len, 4);
	assert_memory_equal(p.process_stdout.ptr, "\0\xff\n'", 4);
	assert_non_null(p.process_stderr.ptr);
	assert_int_equal(p.process_stderr.len, 0);
}

static void
a_word_with_a_space_is_refused(void **state)
{
	struct fixture *f = *state;
	struct str bad[] = { STR("a b") };
	struct t_unit u = { STR("u1"), STR("one"), { bad, 1 } };

	assert_int_equal(store_add(f->s, &unit_entity, &u, &f->err), ERR_PARAM);
	bad[0] = STR("");
	assert_int_equal(store_add(f->s, &unit_entity, &u, &f->err), ERR_PARAM);
	assert_int_equal(count(f, &unit_entity), 0);
}

static void
null_is_refused_where_there_is_none(void **state)
{
	struct fixture *f = *state;
	struct t_device d = device(f, 1);
	struct change c = { "createdAt", { .null = true } };

	d.network_addr = STR_NULL;
	assert_int_equal(
	    store_add(f->s, &device_entity, &d, &f->err), ERR_PARAM);
	assert_string_equal(f->err.text, "networkAddr: must not be null");
	assert_int_equal(
	    store_update(f->s, &device_entity, NULL, &c, 1, NULL, &f->err),
	    ERR_PARAM);
}

/* --- (3) unique keys ----------------------------------------------------- */

static void
a_second_row_with_a_key_is_refused_by_the_keys_name(void **state)
{
	struct fixture *f = *state;
	struct t_device d = device(f, 1);

	add(f, &device_entity, &d);
	d.network_addr = STR("other");
	assert_exists(
	    f, store_add(f->s, &device_entity, &d, &f->err), "deviceId");
	d = device(f, 1);
	d.device_id = STR("d2");
	assert_exists(
	    f, store_add(f->s, &device_entity, &d, &f->err), "address");
	assert_int_equal(count(f, &device_entity), 1);
}

static void
null_counts_as_a_value_in_a_key(void **state)
{
	struct fixture *f = *state;
	struct t_device d = device(f, 1);
	struct t_network n = { STR("n1"), STR_NULL, STR("net") };

	d.unit_code = STR_NULL;
	add(f, &device_entity, &d);
	d.device_id = STR("d2");
	assert_exists(
	    f, store_add(f->s, &device_entity, &d, &f->err), "address");
	d.unit_code = STR(""); /* an empty text is another value */
	add(f, &device_entity, &d);

	add(f, &network_entity, &n);
	n.network_id = STR("n2");
	assert_exists(f, store_add(f->s, &network_entity, &n, &f->err), "code");
}

static void
an_update_can_not_break_a_key(void **state)
{
	struct fixture *f = *state;
	struct change c[] = { { "networkAddr", T("0000") },
		{ "name", T("changed") } };
	struct filter filter = { 0 };

	add_devices(f, 3);
	filter_text(&filter, "deviceId", STR("d1"));
	assert_exists(f,
	    store_update(f->s, &device_entity, &filter, c, 2, NULL, &f->err),
	    "address");
	/* all to one address: the first may go there, the second may not */
	c[0].value = T("zzzz");
	assert_exists(f,
	    store_update(f->s, &device_entity, NULL, c, 2, NULL, &f->err),
	    "address");
	assert_string_equal(DEV("name", COND_EQ, T("changed")), "");
	assert_string_equal(DEV("networkAddr", COND_EQ, T("zzzz")), "");
}

static void
a_row_may_keep_its_own_key(void **state)
{
	struct fixture *f = *state;
	struct change c[] = { { "networkAddr", T("0001") },
		{ "name", T("changed") } };
	struct filter filter = { 0 };
	int64_t n;

	add_devices(f, 3);
	filter_text(&filter, "deviceId", STR("d1"));
	assert_int_equal(
	    store_update(f->s, &device_entity, &filter, c, 2, &n, &f->err), 0);
	assert_int_equal(n, 1);
}

static void
a_row_is_found_by_a_key_with_null_in_it(void **state)
{
	struct fixture *f = *state;
	struct value list[] = { T("two"), NONE };
	struct filter filter = { 0 };
	struct store_query q = { .filter = &filter };
	struct t_device d = device(f, 1);

	add(f, &device_entity, &d);
	d.device_id = STR("d2");
	d.unit_code = STR_NULL;
	add(f, &device_entity, &d);
	filter_add(&filter, "unitCode", COND_EQ, NONE);
	filter_text(&filter, "networkCode", d.network_code);
	filter_text(&filter, "networkAddr", d.network_addr);
	assert_string_equal(list_of(f, &device_entity, &q), "d2");
	filter.at[0].value = T("one");
	assert_string_equal(list_of(f, &device_entity, &q), "d1");
	filter.at[0].value = T("");
	assert_string_equal(list_of(f, &device_entity, &q), "");

	filter = (struct filter){ 0 };
	filter_in(&filter, "unitCode", list, 2);
	assert_string_equal(list_of(f, &device_entity, &q), "d2");
	assert_string_equal(DEV("unitCode", COND_NE, NONE), "d1");
}

/* --- adding many, upsert ------------------------------------------------- */

static void
adding_many_adds_all_or_none(void **state)
{
	struct fixture *f = *state;
	struct t_device d[] = { device(f, 1), device(f, 2), device(f, 1) };
	int64_t added = -1;

	d[2].network_addr = STR("elsewhere");
	assert_exists(f,
	    store_add_many(f->s, &device_entity, d, 3, false, &added, &f->err),
	    "deviceId");
	assert_int_equal(count(f, &device_entity), 0);
	assert_int_equal(added, -1);
	d[2] = device(f, 3);
	assert_int_equal(
	    store_add_many(f->s, &device_entity, d, 3, false, &added, &f->err),
	    0);
	assert_int_equal(added, 3);
	assert_int_equal(store_add_many(f->s, &device_entity, NULL, 0, false,
			     &added, &f->err),
	    0);
	assert_int_equal(added, 0);
}

static void
adding_many_may_skip_those_that_are_there(void **state)
{
	struct fixture *f = *state;
	struct t_device d[] = { device(f, 1), device(f, 0), device(f, 2),
		device(f, 2) };
	int64_t added;

	add_devices(f, 1);
	assert_int_equal(
	    store_add_many(f->s, &device_entity, d, 4, true, &added, &f->err),
	    0);
	assert_int_equal(added, 2);
	assert_int_equal(count(f, &device_entity), 3);
	d[1].network_addr = STR_NULL; /* is not passed over */
	assert_int_equal(
	    store_add_many(f->s, &device_entity, d, 4, true, &added, &f->err),
	    ERR_PARAM);
}

static void
upsert_adds_or_replaces(void **state)
{
	struct fixture *f = *state;
	struct t_device d = device(f, 1), back;
	struct t_process p = { STR("t1"), 1, STR("ls"), STR_NULL, STR_NULL };

	assert_int_equal(store_upsert(f->s, &device_entity, &d, &f->err), 0);
	d.name = STR("new");
	d.network_addr = STR("moved");
	assert_int_equal(store_upsert(f->s, &device_entity, &d, &f->err), 0);
	assert_int_equal(count(f, &device_entity), 1);
	assert_true(get_device(f, "d1", &back));
	assert_str(back.name, "new");
	assert_str(back.network_addr, "moved");

	d = device(f, 2);
	d.network_addr = STR("moved");
	assert_exists(
	    f, store_upsert(f->s, &device_entity, &d, &f->err), "address");
	assert_false(get_device(f, "d2", &back));

	assert_int_equal(store_upsert(f->s, &process_entity, &p, &f->err), 0);
	assert_int_equal(store_upsert(f->s, &process_entity, &p, &f->err), 0);
	p.process_index = 2;
	assert_int_equal(store_upsert(f->s, &process_entity, &p, &f->err), 0);
	assert_int_equal(count(f, &process_entity), 2);
}

/* --- conditions ---------------------------------------------------------- */

/* d0 all null; d1 and d2 with values; d3 only with a name. */
static void
add_varied(struct fixture *f)
{
	struct t_device d[] = { device(f, 0), device(f, 1), device(f, 2),
		device(f, 3) };

	d[1].name = STR("Alpha 50%");
	d[1].rank = 5;
	d[1].level = 1.5;
	d[1].enabled = true;
	d[1].profile = STR("lora");
	d[1].tags = words(f, "x y");
	d[2].name = STR("beta_2");
	d[2].rank = -7;
	d[2].level = 2.5;
	d[2].profile = STR("zigbee");
	d[2].tags = words(f, "y");
	d[3].name = STR("");
	for (size_t i = 0; i < COUNT_OF(d); i++)
		add(f, &device_entity, &d[i]);
}

static void
equality_holds_null_for_equal_to_null(void **state)
{
	struct fixture *f = *state;

	add_varied(f);
	assert_string_equal(DEV("name", COND_EQ, T("beta_2")), "d2");
	assert_string_equal(DEV("name", COND_EQ, NONE), "d0");
	assert_string_equal(DEV("name", COND_EQ, T("")), "d3");
	assert_string_equal(DEV("name", COND_NE, T("beta_2")), "d0 d1 d3");
	assert_string_equal(DEV("name", COND_NE, NONE), "d1 d2 d3");
	assert_string_equal(DEV("profile", COND_EQ, NONE), "d0 d3");
	assert_string_equal(DEV("profile", COND_EQ, T("")), "d0 d3");
	assert_string_equal(DEV("profile", COND_NE, NONE), "d1 d2");
	assert_string_equal(DEV("profile", COND_NE, T("lora")), "d0 d2 d3");
	assert_string_equal(DEV("rank", COND_EQ, value_int(5)), "d1");
	assert_string_equal(DEV("rank", COND_EQ, NONE), "d0 d3");
	assert_string_equal(DEV("level", COND_EQ, value_real(2.5)), "d2");
	assert_string_equal(DEV("level", COND_EQ, NONE), "d0 d3");
	assert_string_equal(DEV("enabled", COND_EQ, value_bool(true)), "d1");
	assert_string_equal(
	    DEV("enabled", COND_NE, value_bool(true)), "d0 d2 d3");
	assert_string_equal(
	    DEV("tags", COND_EQ, value_texts(words(f, "x y"))), "d1");
	assert_string_equal(DEV("createdAt", COND_EQ, value_time(1002)), "d2");
	assert_string_equal(DEV("unitCode", COND_EQ, NONE), "");
	assert_string_equal(DEV("deviceId", COND_EQ, NONE), "");
}

static void
orders_are_false_for_null(void **state)
{
	struct fixture *f = *state;

	add_varied(f);
	assert_string_equal(DEV("rank", COND_LT, value_int(5)), "d2");
	assert_string_equal(DEV("rank", COND_LE, value_int(5)), "d1 d2");
	assert_string_equal(DEV("rank", COND_GT, value_int(-7)), "d1");
	assert_string_equal(DEV("rank", COND_GE, value_int(-7)), "d1 d2");
	assert_string_equal(DEV("rank", COND_GE, NONE), "");
	assert_string_equal(DEV("rank", COND_LE, NONE), "");
	assert_string_equal(DEV("level", COND_LT, value_real(2)), "d1");
	assert_string_equal(DEV("level", COND_GT, value_int(2)), "d2");
	assert_string_equal(DEV("name", COND_LT, T("b")), "d1 d3");
	assert_string_equal(DEV("name", COND_GE, T("Alpha 50%")), "d1 d2");
	assert_string_equal(DEV("profile", COND_LT, T("m")), "d1");
	assert_string_equal(DEV("profile", COND_LE, T("zigbee")), "d1 d2");
	assert_string_equal(DEV("profile", COND_GT, T("a")), "d1 d2");
	assert_string_equal(
	    DEV("createdAt", COND_GE, value_time(1002)), "d2 d3");
}

static const char *
in_list(
    struct fixture *f, const char *field, const struct value *list, size_t n)
{
	struct filter filter = { 0 };
	struct store_query q = { .filter = &filter };

	filter_in(&filter, field, list, n);
	return list_of(f, &device_entity, &q);
}

static void
in_looks_for_each_value_of_its_list(void **state)
{
	struct fixture *f = *state;
	struct value names[] = { T("beta_2"), T("x"), T("") };
	struct value nulls[] = { NONE, T("lora") };
	struct value ranks[] = { value_int(5), value_int(6), value_int(-7) };

	add_varied(f);
	assert_string_equal(in_list(f, "name", names, 3), "d2 d3");
	assert_string_equal(in_list(f, "name", names, 1), "d2");
	assert_string_equal(in_list(f, "name", nulls, 2), "d0");
	assert_string_equal(in_list(f, "profile", nulls, 2), "d0 d1 d3");
	assert_string_equal(in_list(f, "rank", ranks, 3), "d1 d2");
	assert_string_equal(in_list(f, "unitCode", nulls, 2), "");
	names[0] = T("one");
	assert_string_equal(in_list(f, "unitCode", names, 3), "d0 d1 d2 d3");
}

static void
in_an_empty_list_is_nothing(void **state)
{
	struct fixture *f = *state;

	add_varied(f);
	assert_string_equal(in_list(f, "name", NULL, 0), "");
}

static void
in_takes_thousands_and_refuses_more(void **state)
{
	struct fixture *f = *state;
	struct value *list = mem_array(10001, sizeof(*list));
	struct filter filter = { 0 };
	int64_t n;

	add_devices(f, 3);
	for (int i = 0; i < 10001; i++)
		list[i] = value_text(text(f, "d%d", i + 1));
	assert_string_equal(in_list(f, "deviceId", list, 10000), "d1 d2");
	filter_in(&filter, "deviceId", list, 10001);
	assert_int_equal(
	    store_count(f->s, &device_entity, &filter, &n, &f->err), ERR_LIMIT);
	free(list);
}

static void
contains_ignores_case_and_knows_no_wildcards(void **state)
{
	struct fixture *f = *state;

	add_varied(f);
	assert_string_equal(DEV("name", COND_CONTAINS, T("ALPHA")), "d1");
	assert_string_equal(DEV("name", COND_CONTAINS, T("a")), "d1 d2");
	assert_string_equal(DEV("name", COND_CONTAINS, T("0%")), "d1");
	assert_string_equal(DEV("name", COND_CONTAINS, T("%")), "d1");
	assert_string_equal(DEV("name", COND_CONTAINS, T("_")), "d2");
	assert_string_equal(DEV("name", COND_CONTAINS, T("\\")), "");
	assert_string_equal(DEV("name", COND_CONTAINS, T("")), "d1 d2 d3");
	assert_string_equal(DEV("name", COND_CONTAINS, NONE), "");
	assert_string_equal(DEV("profile", COND_CONTAINS, T("")), "d1 d2");
}

static void
has_finds_whole_items(void **state)
{
	struct fixture *f = *state;
	struct t_unit u[] = {
		{ STR("u1"), STR("a"), words(f, "ann bob") },
		{ STR("u2"), STR("b"), words(f, "bo") },
		{ STR("u3"), STR("c"), { 0 } },
	};

	add_varied(f);
	assert_string_equal(DEV("tags", COND_HAS, T("y")), "d1 d2");
	assert_string_equal(DEV("tags", COND_HAS, T("x")), "d1");
	assert_string_equal(DEV("tags", COND_HAS, T("")), "");
	assert_string_equal(DEV("tags", COND_HAS, NONE), "");

	for (size_t i = 0; i < COUNT_OF(u); i++)
		add(f, &unit_entity, &u[i]);
#define UNIT(v) where(f, &unit_entity, "memberIds", COND_HAS, v)
	assert_string_equal(UNIT(T("bo")), "u2");
	assert_string_equal(UNIT(T("bob")), "u1");
	assert_string_equal(UNIT(T("ann bob")), "");
	assert_string_equal(UNIT(T("")), "");
	assert_string_equal(UNIT(NONE), "");
}

static void
all_conditions_must_hold(void **state)
{
	struct fixture *f = *state;
	struct filter filter = { 0 };
	struct store_query q = { .filter = &filter };

	add_varied(f);
	filter_add(&filter, "tags", COND_HAS, T("y"));
	filter_add(&filter, "rank", COND_LT, value_int(0));
	filter_text(&filter, "unitCode", STR("one"));
	assert_string_equal(list_of(f, &device_entity, &q), "d2");
	assert_int_equal(count_in(f->s, &device_entity, &filter), 1);
}

static void
expect_refused(struct fixture *f, const struct entity *e, const char *field,
    enum cond_op op, struct value v)
{
	struct filter filter = { 0 };
	int64_t n;

	filter_add(&filter, field, op, v);
	assert_int_equal(store_count(f->s, e, &filter, &n, &f->err), ERR_PARAM);
}

static void
what_makes_no_sense_is_refused(void **state)
{
	struct fixture *f = *state;
	struct store_query q = { .sort = { { "tags", false } }, .n_sort = 1 };
	struct change c = { "nothing", T("x") };
	struct buf b = { 0 };

	expect_refused(f, &device_entity, "nothing", COND_EQ, T("x"));
	expect_refused(f, &device_entity, "name.more", COND_EQ, T("x"));
	expect_refused(f, &device_entity, "", COND_EQ, T("x"));
	expect_refused(f, &device_entity, "rank", COND_EQ, T("5"));
	expect_refused(f, &device_entity, "rank", COND_CONTAINS, T("5"));
	expect_refused(f, &device_entity, "name", COND_EQ, value_int(5));
	expect_refused(f, &device_entity, "name", COND_HAS, T("x"));
	expect_refused(f, &task_entity, "dampening", COND_EQ, T("x"));
	expect_refused(f, &task_entity, "labels.a\"b", COND_EQ, T("x"));
	expect_refused(f, &task_entity, "labels.", COND_EQ, T("x"));
	expect_refused(f, &task_entity,
	    "evaluationConfig.rule.conditions.variable", COND_EQ, T("x"));
	assert_int_equal(
	    store_list(f->s, &device_entity, &q, write_id, &b, &f->err),
	    ERR_PARAM);
	assert_int_equal(
	    store_update(f->s, &device_entity, NULL, &c, 1, NULL, &f->err),
	    ERR_PARAM);
	c = (struct change){ "rank", T("5") };
	assert_int_equal(
	    store_update(f->s, &device_entity, NULL, &c, 1, NULL, &f->err),
	    ERR_PARAM);
}

/* --- nested records and free JSON ---------------------------------------- */

static struct t_task
task(const char *id, const char *labels, int64_t occurrences)
{
	struct t_task t = { 0 };

	record_init(&task_entity.record, &t);
	t.id = str_of(id);
	t.labels = str_of(labels);
	t.dampening.occurrences = occurrences;
	return t;
}

static void
add_tasks(struct fixture *f)
{
	struct t_task t[] = {
		task("t1", "{\"room\":\"kitchen\",\"n\":5}", 3),
		task("t2",
		    "{\"room\":\"hall\",\"n\":\"5\",\"deep\":"
		    "{\"er\":[\"a\",\"b\",1]}}",
		    1),
		task("t3", "{\"n\":5.5,\"on\":true}", FIELD_INT_NULL),
		task("t4", "{\"room\":null,\"n\":-1,\"on\":false}", 2),
	};

	t[0].enabled = true;
	t[0].event_filter.event_types = words(f, "created updated");
	t[0].state.last_success = 77;
	t[0].state.load = 0.5;
	t[1].event_filter.event_types = words(f, "deleted");
	t[1].event_filter.filters = STR("{\"type\":\"field\"}");
	t[1].evaluation_config.rule.match_all = true;
	for (size_t i = 0; i < COUNT_OF(t); i++)
		add(f, &task_entity, &t[i]);
}

static void
a_nested_record_comes_back_whole(void **state)
{
	struct fixture *f = *state;
	struct t_condition conditions[] = {
		{ STR("temp"), STR("gt"), STR("21.5") },
		{ STR("mode"), STR("eq"), STR("\"auto\"") },
	};
	struct t_execution runs[] = { { true, 123456 }, { false, 123457 } };
	struct t_task t = task("t1", "{}", 4);
	struct store_query all = { 0 };
	struct rows rows;

	t.variables = STR("[1,{\"x\":null}]");
	t.dampening.type = STR("average");
	t.evaluation_config.rule.match_all = true;
	t.evaluation_config.rule.conditions = (struct rows){ conditions, 2 };
	t.handlers = words(f, "h1 h2");
	t.state.executions = (struct rows){ runs, 2 };
	t.state.load = 0.25;
	add(f, &task_entity, &t);

	store_all(f->s, &task_entity, &all, &f->arena, &rows, &f->err);
	assert_int_equal(rows.n, 1);
	t = *(struct t_task *)rows.at;
	assert_str(t.variables, "[1,{\"x\":null}]");
	assert_null(t.handler_parameters.ptr);
	assert_str(t.dampening.type, "average");
	assert_null(t.dampening.active_duration.ptr);
	assert_int_equal(t.dampening.occurrences, 4);
	assert_true(t.evaluation_config.rule.match_all);
	assert_int_equal(t.evaluation_config.rule.conditions.n, 2);
	conditions[1] =
	    ((struct t_condition *)t.evaluation_config.rule.conditions.at)[1];
	assert_str(conditions[1].variable, "mode");
	assert_str(conditions[1].value, "\"auto\"");
	assert_int_equal(t.state.executions.n, 2);
	assert_int_equal(
	    ((struct t_execution *)t.state.executions.at)[1].timestamp, 123457);
	assert_true(t.state.last_success == TIME_NULL);
	assert_true(t.state.load == 0.25);
}

static void
filters_reach_into_records_and_free_json(void **state)
{
	struct fixture *f = *state;

	add_tasks(f);
	assert_string_equal(TASK("labels.room", COND_EQ, T("kitchen")), "t1");
	assert_string_equal(TASK("labels.room", COND_EQ, NONE), "t3 t4");
	assert_string_equal(
	    TASK("labels.room", COND_NE, T("hall")), "t1 t3 t4");
	assert_string_equal(
	    TASK("labels.room", COND_CONTAINS, T("ITCH")), "t1");
	assert_string_equal(TASK("labels.n", COND_EQ, value_int(5)), "t1");
	assert_string_equal(TASK("labels.n", COND_EQ, T("5")), "t2");
	assert_string_equal(TASK("labels.n", COND_EQ, value_real(5.5)), "t3");
	assert_string_equal(TASK("labels.n", COND_LE, value_int(5)), "t1 t4");
	assert_string_equal(TASK("labels.n", COND_CONTAINS, T("5")), "t2");
	assert_string_equal(TASK("labels.on", COND_EQ, value_bool(true)), "t3");
	assert_string_equal(TASK("labels.deep.er", COND_HAS, T("b")), "t2");
	assert_string_equal(TASK("labels.deep.er", COND_HAS, T("1")), "");
	assert_string_equal(TASK("labels.room", COND_HAS, T("hall")), "");
	assert_string_equal(TASK("labels.deep", COND_HAS, T("a")), "");
	assert_string_equal(TASK("labels.room.more", COND_EQ, T("hall")), "");
	assert_string_equal(TASK("variables.x", COND_EQ, T("hall")), "");

	assert_string_equal(
	    TASK("dampening.occurrences", COND_GE, value_int(2)), "t1 t4");
	assert_string_equal(TASK("dampening.occurrences", COND_EQ, NONE), "t3");
	assert_string_equal(
	    TASK("evaluationConfig.rule.matchAll", COND_EQ, value_bool(true)),
	    "t2");
	assert_string_equal(
	    TASK("eventFilter.eventTypes", COND_HAS, T("updated")), "t1");
	assert_string_equal(
	    TASK("eventFilter.filters.type", COND_EQ, T("field")), "t2");
	assert_string_equal(
	    TASK("state.lastSuccess", COND_GT, value_time(5)), "t1");
	assert_string_equal(TASK("state.load", COND_LT, value_real(1)), "t1");
}

static const char *
tasks_by(struct fixture *f, const char *field, bool desc)
{
	struct store_query q = { .sort = { { field, desc } }, .n_sort = 1 };

	return list_of(f, &task_entity, &q);
}

static void
lists_are_sorted_by_nested_values(void **state)
{
	struct fixture *f = *state;

	add_tasks(f);
	assert_string_equal(
	    tasks_by(f, "dampening.occurrences", false), "t3 t2 t4 t1");
	assert_string_equal(
	    tasks_by(f, "dampening.occurrences", true), "t1 t4 t2 t3");
	assert_string_equal(tasks_by(f, "labels.room", false), "t3 t4 t2 t1");
	/* numbers before texts, false before true */
	assert_string_equal(tasks_by(f, "labels.n", false), "t4 t1 t3 t2");
	assert_string_equal(tasks_by(f, "labels.on", true), "t3 t4 t1 t2");
}

static void
records_are_changed_whole(void **state)
{
	struct fixture *f = *state;
	struct change c[] = {
		{ "dampening",
		    value_json(STR("{\"type\":\"x\",\"occurrences\":9}")) },
		{ "labels", value_json(STR("{\"room\":\"attic\"}")) },
		{ "handlers", value_texts(words(f, "h")) },
	};
	struct change bad = { "dampening",
		value_json(STR("{\"occurrences\":\"many\"}")) };
	struct filter filter = { 0 };
	int64_t n;

	add_tasks(f);
	filter_text(&filter, "id", STR("t1"));
	assert_int_equal(
	    store_update(f->s, &task_entity, &filter, c, 3, &n, &f->err), 0);
	assert_int_equal(n, 1);
	assert_string_equal(
	    TASK("dampening.occurrences", COND_EQ, value_int(9)), "t1");
	assert_string_equal(TASK("labels.room", COND_EQ, T("attic")), "t1");
	assert_string_equal(TASK("handlers", COND_HAS, T("h")), "t1");
	assert_int_equal(
	    store_update(f->s, &task_entity, &filter, &bad, 1, &n, &f->err),
	    ERR_PARAM);
}

/* --- order and pages ----------------------------------------------------- */

static void
null_sorts_first_and_text_by_bytes(void **state)
{
	struct fixture *f = *state;
	struct store_query q = { .sort = { { "name", false } }, .n_sort = 1 };

	add_varied(f);
	assert_string_equal(list_of(f, &device_entity, &q), "d0 d3 d1 d2");
	q.sort[0].desc = true;
	assert_string_equal(list_of(f, &device_entity, &q), "d2 d1 d3 d0");
	q.sort[0] = (struct store_sort){ "profile", false };
	q.sort[1] = (struct store_sort){ "deviceId", true };
	q.n_sort = 2;
	assert_string_equal(list_of(f, &device_entity, &q), "d3 d0 d1 d2");
	q.sort[0] = (struct store_sort){ "level", true };
	assert_string_equal(list_of(f, &device_entity, &q), "d2 d1 d3 d0");
}

static void
offset_and_limit_cut_a_page(void **state)
{
	struct fixture *f = *state;
	struct store_query q = { .offset = 2, .limit = 2 };

	add_devices(f, 5);
	assert_string_equal(list_of(f, &device_entity, &q), "d2 d3");
	q.limit = 0;
	assert_string_equal(list_of(f, &device_entity, &q), "d2 d3 d4");
	q.offset = 9;
	assert_string_equal(list_of(f, &device_entity, &q), "");
	q = (struct store_query){ .limit = UINT64_MAX };
	assert_string_equal(list_of(f, &device_entity, &q), "d0 d1 d2 d3 d4");
	q.offset = UINT64_MAX;
	assert_string_equal(list_of(f, &device_entity, &q), "");
}

/* Reads all rows one by one, each behind the one before. */
static const char *
page_by_one(struct fixture *f, const struct entity *e, struct store_query q)
{
	struct buf b = { 0 };
	const char *z;

	q.limit = 1;
	for (;;) {
		struct rows rows;

		if (store_all(f->s, e, &q, &f->arena, &rows, &f->err) != 0)
			fail_msg("%s", f->err.text);
		if (rows.n == 0)
			break;
		write_id(&b, rows.at, NULL);
		q.after = rows.at;
	}
	z = arena_z(&f->arena, b.len > 0 ? buf_str(&b) : STR(""));
	buf_free(&b);
	return z;
}

static void
pages_behind_a_row_make_up_the_list(void **state)
{
	static const char *const fields[] = { "name", "profile", "rank",
		"level", "enabled", "unitCode", "createdAt", "deviceId",
		"info.n" };
	struct fixture *f = *state;

	for (int i = 0; i < 12; i++) {
		struct t_device d = device(f, i);

		if (i % 3 != 0)
			d.name = text(f, "name%d", i % 4);
		if (i % 4 != 0)
			d.profile = text(f, "p%d", i % 2);
		if (i % 5 != 0)
			d.rank = i % 3;
		if (i % 2 != 0)
			d.level = i / 4 * 0.5;
		if (i % 3 == 1)
			d.unit_code = STR_NULL;
		if (i % 4 != 1)
			d.info = text(
			    f, i % 2 ? "{\"n\":%d}" : "{\"n\":\"%d\"}", i % 3);
		d.enabled = i % 2;
		add(f, &device_entity, &d);
	}
	for (size_t a = 0; a < COUNT_OF(fields); a++)
		for (size_t b = 0; b < COUNT_OF(fields); b++)
			for (int dirs = 0; dirs < 4; dirs++) {
				struct store_query q = { .n_sort = 2,
					.sort = { { fields[a], dirs & 1 },
					    { fields[b], dirs & 2 } } };

				assert_string_equal(
				    page_by_one(f, &device_entity, q),
				    list_of(f, &device_entity, &q));
			}
}

static void
pages_go_over_a_key_of_two_fields(void **state)
{
	struct fixture *f = *state;
	struct store_query q = { 0 };

	for (int i = 0; i < 9; i++) {
		struct t_process p = { text(f, "t%d", i / 3), i % 3, STR_NULL,
			STR_NULL, STR_NULL };

		add(f, &process_entity, &p);
	}
	assert_string_equal(
	    page_by_one(f, &process_entity, q), "t0 t0 t0 t1 t1 t1 t2 t2 t2");
}

static void
pages_behind_a_row_do_not_shift(void **state)
{
	struct fixture *f = *state;
	struct store_query q = {
		.limit = 3, .sort = { { "createdAt", true } }, .n_sort = 1
	};
	struct t_device d;
	struct rows rows;
	struct filter gone = { 0 };

	add_devices(f, 6);
	assert_string_equal(list_of(f, &device_entity, &q), "d5 d4 d3");
	store_all(f->s, &device_entity, &q, &f->arena, &rows, &f->err);
	q.after = (struct t_device *)rows.at + 2;

	d = device(f, 7); /* before the page */
	add(f, &device_entity, &d);
	filter_text(&gone, "deviceId", STR("d3")); /* the row itself */
	assert_int_equal(
	    store_del(f->s, &device_entity, &gone, NULL, &f->err), 0);
	assert_string_equal(list_of(f, &device_entity, &q), "d2 d1 d0");
}

/* --- changes ------------------------------------------------------------- */

static void
an_update_is_a_compare_and_change(void **state)
{
	struct fixture *f = *state;
	struct change c[] = { { "rank", value_int(1) }, { "name", T("mine") } };
	struct filter filter = { 0 };
	struct t_device back;
	int64_t n;

	add_devices(f, 2);
	filter_text(&filter, "deviceId", STR("d1"));
	filter_add(&filter, "rank", COND_EQ, value_int(FIELD_INT_NULL));
	assert_int_equal(
	    store_update(f->s, &device_entity, &filter, c, 2, &n, &f->err), 0);
	assert_int_equal(n, 1);
	assert_int_equal(
	    store_update(f->s, &device_entity, &filter, c, 2, &n, &f->err), 0);
	assert_int_equal(n, 0);
	assert_true(get_device(f, "d1", &back));
	assert_int_equal(back.rank, 1);
	assert_str(back.name, "mine");

	c[0].value = (struct value){ .null = true };
	c[1].value = NONE;
	assert_int_equal(
	    store_update(f->s, &device_entity, NULL, c, 2, &n, &f->err), 0);
	assert_int_equal(n, 2);
	assert_true(get_device(f, "d1", &back));
	assert_true(back.rank == FIELD_INT_NULL);
	assert_null(back.name.ptr);
	assert_int_equal(
	    store_update(f->s, &device_entity, NULL, NULL, 0, &n, &f->err), 0);
	assert_int_equal(n, 2);
}

struct taker {
	pthread_t thread;
	struct store *s;
	int taken, failed;
};

#define TOKENS 200

static void *
take_tokens(void *arg)
{
	struct taker *t = arg;

	for (int i = 0; i < TOKENS; i++) {
		struct filter filter = { 0 };
		char id[16];
		struct err err;
		int64_t n = 0;

		snprintf(id, sizeof(id), "k%d", i);
		filter_text(&filter, "accessToken", str_of(id));
		if (store_del(t->s, &token_entity, &filter, &n, &err) != 0)
			t->failed++;
		t->taken += (int)n;
	}
	return NULL;
}

static void
of_many_threads_exactly_one_takes_a_token(void **state)
{
	struct fixture *f = *state;
	struct taker takers[4] = { 0 };
	int taken = 0;

	for (int i = 0; i < TOKENS; i++) {
		struct t_token t = { text(f, "k%d", i), STR("u"), i };

		add(f, &token_entity, &t);
	}
	for (size_t i = 0; i < COUNT_OF(takers); i++) {
		takers[i].s = f->s;
		pthread_create(
		    &takers[i].thread, NULL, take_tokens, &takers[i]);
	}
	for (size_t i = 0; i < COUNT_OF(takers); i++) {
		pthread_join(takers[i].thread, NULL);
		assert_int_equal(takers[i].failed, 0);
		taken += takers[i].taken;
	}
	assert_int_equal(taken, TOKENS);
	assert_int_equal(count(f, &token_entity), 0);
}

/* --- (4) references ------------------------------------------------------ */

static void
add_tree(struct fixture *f)
{
	struct t_unit u[] = { { STR("u1"), STR("one"), { 0 } },
		{ STR("u2"), STR("two"), { 0 } } };
	struct t_network n[] = { { STR("n1"), STR("u1"), STR("net") },
		{ STR("n2"), STR("u2"), STR("net") },
		{ STR("n3"), STR_NULL, STR("net") } };
	struct t_device d = device(f, 9);

	for (size_t i = 0; i < COUNT_OF(u); i++)
		add(f, &unit_entity, &u[i]);
	for (size_t i = 0; i < COUNT_OF(n); i++)
		add(f, &network_entity, &n[i]);
	add_devices(f, 3);
	d.unit_id = STR("u2");
	d.network_id = STR("n2");
	add(f, &device_entity, &d);
	add_tie(f, &route_entity, "r0", "d0");
	add_tie(f, &route_entity, "r1", "d1");
	add_tie(f, &route_entity, "r9", "d9");
	add_tie(f, &stat_entity, "s0", "r0");
	add_tie(f, &stat_entity, "s9", "r9");
	add_tie(f, &note_entity, "o0", "d0");
	add_tie(f, &note_entity, "o9", "d9");
}

static int
del_by(struct fixture *f, const struct entity *e, const char *field,
    const char *value, int64_t *n)
{
	struct filter filter = { 0 };

	filter_text(&filter, field, str_of(value));
	return store_del(f->s, e, &filter, n, &f->err);
}

static void
deleting_follows_references_to_any_depth(void **state)
{
	struct fixture *f = *state;
	struct store_query all = { 0 };
	int64_t n;

	add_tree(f);
	assert_int_equal(del_by(f, &unit_entity, "code", "one", &n), 0);
	assert_int_equal(n, 1);
	assert_string_equal(list_of(f, &unit_entity, &all), "u2");
	assert_string_equal(list_of(f, &network_entity, &all), "n2 n3");
	assert_string_equal(list_of(f, &device_entity, &all), "d9");
	assert_string_equal(list_of(f, &route_entity, &all), "r9");
	assert_string_equal(list_of(f, &stat_entity, &all), "s9");
}

static void
a_cleared_reference_becomes_null(void **state)
{
	struct fixture *f = *state;
	struct store_query all = { 0 };

	add_tree(f);
	assert_int_equal(
	    del_by(f, &network_entity, "networkId", "n1", NULL), 0);
	assert_string_equal(list_of(f, &note_entity, &all), "o0 o9");
	assert_string_equal(where(f, &note_entity, "to", COND_EQ, NONE), "o0");
	assert_string_equal(
	    where(f, &note_entity, "to", COND_EQ, T("d9")), "o9");
}

static void
a_reference_may_refuse_and_then_nothing_went(void **state)
{
	struct fixture *f = *state;
	int64_t n = -1;

	add_tree(f);
	add_tie(f, &pledge_entity, "p", "d2");
	assert_int_equal(
	    del_by(f, &unit_entity, "unitId", "u1", &n), ERR_EXISTS);
	assert_int_equal(n, -1);
	assert_int_equal(count(f, &unit_entity), 2);
	assert_int_equal(count(f, &network_entity), 3);
	assert_int_equal(count(f, &device_entity), 4);
	assert_int_equal(count(f, &stat_entity), 2);
	assert_string_equal(
	    where(f, &note_entity, "to", COND_EQ, T("d0")), "o0");

	assert_int_equal(del_by(f, &pledge_entity, "id", "p", &n), 0);
	assert_int_equal(del_by(f, &unit_entity, "unitId", "u1", &n), 0);
}

static void
a_chain_or_circle_of_references_ends(void **state)
{
	struct fixture *f = *state;
	int64_t n;

	add_tie(f, &folder_entity, "f0", "f999"); /* a circle */
	for (int i = 1; i < 1000; i++)
		add_tie(f, &folder_entity, text(f, "f%d", i).ptr,
		    text(f, "f%d", i - 1).ptr);
	add_tie(f, &folder_entity, "other", NULL);
	assert_int_equal(del_by(f, &folder_entity, "id", "f5", &n), 0);
	assert_int_equal(n, 1);
	assert_int_equal(count(f, &folder_entity), 1);
}

static void
a_key_of_two_fields_can_be_a_child(void **state)
{
	struct fixture *f = *state;

	add_tasks(f);
	for (int i = 0; i < 1200; i++) {
		struct t_process p = { i % 2 ? STR("t1") : STR("t2"), i,
			STR_NULL, STR_NULL, STR_NULL };

		add(f, &process_entity, &p);
	}
	assert_int_equal(del_by(f, &task_entity, "id", "t1", NULL), 0);
	assert_int_equal(count(f, &process_entity), 600);
	assert_int_equal(store_del(f->s, &task_entity, NULL, NULL, &f->err), 0);
	assert_int_equal(count(f, &process_entity), 0);
}

/* --- (2) transactions ---------------------------------------------------- */

struct steps {
	struct fixture *f;
	int fail; /* what the function returns */
	bool failed_inside;
};

static int
add_two(struct store *tx, void *ctx, struct err *err)
{
	struct steps *s = ctx;
	struct t_device d = device(s->f, 1);
	int rc;

	rc = store_add(tx, &device_entity, &d, err);
	d = device(s->f, 2);
	if (rc == 0)
		rc = store_add(tx, &device_entity, &d, err);
	if (rc == 0 && count_in(tx, &device_entity, NULL) != 2)
		rc = err_set(err, ERR_INTERNAL, "does not see its own rows");
	if (rc == 0 && s->fail != 0)
		rc = err_set(err, s->fail, "changed its mind");
	return rc;
}

static void
two_changes_in_a_tx_happen_or_neither(void **state)
{
	struct fixture *f = *state;
	struct steps s = { .f = f, .fail = ERR_DENIED };

	assert_int_equal(store_tx(f->s, add_two, &s, &f->err), ERR_DENIED);
	assert_string_equal(f->err.text, "changed its mind");
	assert_int_equal(count(f, &device_entity), 0);
	s.fail = 42; /* any number but 0 */
	assert_int_equal(store_tx(f->s, add_two, &s, &f->err), 42);
	assert_int_equal(count(f, &device_entity), 0);
	s.fail = 0;
	assert_int_equal(store_tx(f->s, add_two, &s, &f->err), 0);
	assert_int_equal(count(f, &device_entity), 2);
}

/* Every kind of call that fails, one after the other, in one tx. */
static int
fail_and_go_on(struct store *tx, void *ctx, struct err *err)
{
	struct steps *s = ctx;
	struct t_device d[] = { device(s->f, 8), device(s->f, 0) };
	struct change c = { "networkAddr", T("same") };
	struct steps inner = { .f = s->f, .fail = ERR_DENIED };
	struct filter u1 = { 0 };

	filter_text(&u1, "unitId", STR("u1"));
	if (store_add(tx, &device_entity, &d[1], err) != ERR_EXISTS ||
	    store_add_many(tx, &device_entity, d, 2, false, NULL, err) !=
		ERR_EXISTS ||
	    store_update(tx, &device_entity, NULL, &c, 1, NULL, err) !=
		ERR_EXISTS ||
	    store_del(tx, &unit_entity, &u1, NULL, err) != ERR_EXISTS ||
	    store_tx(tx, add_two, &inner, err) == 0)
		return err_set(err, ERR_INTERNAL, "nothing failed");
	if (count_in(tx, &device_entity, NULL) != 4 ||
	    count_in(tx, &unit_entity, NULL) != 2)
		return err_set(err, ERR_INTERNAL, "a failure left something");
	return store_add(tx, &device_entity, &d[0], err);
}

static void
a_tx_goes_on_after_a_call_that_failed(void **state)
{
	struct fixture *f = *state;
	struct steps s = { .f = f };

	add_tree(f);
	add_tie(f, &pledge_entity, "p", "d2");
	if (store_tx(f->s, fail_and_go_on, &s, &f->err) != 0)
		fail_msg("%s", f->err.text);
	assert_int_equal(count(f, &device_entity), 5);
}

static int
nest(struct store *tx, void *ctx, struct err *err)
{
	struct steps *s = ctx, inner = { .f = s->f };
	struct t_device d = device(s->f, 0);
	int rc;

	rc = store_tx(tx, add_two, &inner, err);
	inner.fail = ERR_DENIED;
	d.device_id = STR("gone");
	if (rc == 0)
		rc = store_del(tx, &device_entity, NULL, NULL, err);
	if (rc == 0)
		rc = store_tx(tx, add_two, &inner, err) == ERR_DENIED
		    ? 0
		    : ERR_INTERNAL;
	if (rc == 0)
		rc = store_add(tx, &device_entity, &d, err);
	return rc == 0 ? s->fail : rc;
}

static void
a_tx_in_a_tx_is_part_of_the_outer_one(void **state)
{
	struct fixture *f = *state;
	struct steps s = { .f = f, .fail = ERR_DENIED };
	struct store_query all = { 0 };

	assert_int_equal(store_tx(f->s, nest, &s, &f->err), ERR_DENIED);
	assert_int_equal(count(f, &device_entity), 0);
	s.fail = 0;
	assert_int_equal(store_tx(f->s, nest, &s, &f->err), 0);
	assert_string_equal(list_of(f, &device_entity, &all), "gone");
}

static int
use_the_store_itself(struct store *tx, void *ctx, struct err *err)
{
	struct steps *s = ctx;
	struct t_device d = device(s->f, 1);

	(void)tx;
	return store_add(s->f->s, &device_entity, &d, err);
}

static void
the_store_beside_its_own_tx_is_an_error_and_no_deadlock(void **state)
{
	struct fixture *f = *state;
	struct steps s = { .f = f };

	assert_int_equal(
	    store_tx(f->s, use_the_store_itself, &s, &f->err), ERR_INTERNAL);
	assert_int_equal(count(f, &device_entity), 0);
	add_devices(f, 1);
}

/* --- (6) lists and others ------------------------------------------------ */

struct meddler {
	struct fixture *f;
	struct store *s;
	int seen;
};

/* Deletes everything, adds others, and lists within the list. */
static int
meddle(void *ctx, const void *row, struct err *err)
{
	struct meddler *m = ctx;
	const struct t_device *seen = row;
	struct t_device d = device(m->f, 100 + m->seen);
	struct buf b = { 0 };
	struct store_query q = { 0 };
	int rc;

	if (!str_eq(seen->device_id, text(m->f, "d%d", m->seen)))
		return err_set(err, ERR_INTERNAL, "not the row of then");
	rc = store_del(m->s, &device_entity, NULL, NULL, err);
	if (rc == 0)
		rc = store_add(m->s, &device_entity, &d, err);
	if (rc == 0)
		rc = store_list(m->s, &device_entity, &q, write_id, &b, err);
	if (rc == 0 && !str_eq(buf_str(&b), d.device_id))
		rc = err_set(err, ERR_INTERNAL, "sees %s", buf_z(&b));
	buf_free(&b);
	m->seen++;
	return rc;
}

static int
meddle_in_tx(struct store *tx, void *ctx, struct err *err)
{
	struct meddler *m = ctx;
	struct store_query q = { 0 };

	m->s = tx;
	return store_list(tx, &device_entity, &q, meddle, m, err);
}

static void
a_visitor_may_use_the_store_and_the_list_does_not_notice(void **state)
{
	struct fixture *f = *state;
	struct meddler m = { .f = f, .s = f->s };
	struct store_query q = { 0 };

	add_devices(f, 9);
	if (store_list(f->s, &device_entity, &q, meddle, &m, &f->err) != 0)
		fail_msg("%s", f->err.text);
	assert_int_equal(m.seen, 9);
	assert_int_equal(count(f, &device_entity), 1);

	store_del(f->s, &device_entity, NULL, NULL, &f->err);
	add_devices(f, 9);
	m.seen = 0;
	if (store_tx(f->s, meddle_in_tx, &m, &f->err) != 0)
		fail_msg("%s", f->err.text);
	assert_int_equal(m.seen, 9);
	assert_int_equal(count(f, &device_entity), 1);
}

static int
dive(void *ctx, const void *row, struct err *err)
{
	struct meddler *m = ctx;
	struct store_query q = { .limit = 1 };

	(void)row;
	if (++m->seen == 30)
		return 7;
	return store_list(m->s, &device_entity, &q, dive, m, err);
}

static void
lists_within_lists_never_run_out(void **state)
{
	struct fixture *f = *state;
	struct meddler m = { .f = f, .s = f->s };
	struct store_query q = { 0 };

	add_devices(f, 2);
	/* and what the visitor returns ends the list and comes back */
	assert_int_equal(
	    store_list(f->s, &device_entity, &q, dive, &m, &f->err), 7);
	assert_int_equal(m.seen, 30);
}

/* Moves one from rank to rank: the sum stays. */
struct writer {
	pthread_t thread;
	struct fixture *f;
	const char *from, *to;
	int rounds, failed;
};

struct sum {
	int64_t total;
	int rows;
};

static int
move_one(struct store *tx, void *ctx, struct err *err)
{
	struct writer *w = ctx;
	const char *ids[] = { w->from, w->to };

	for (int i = 0; i < 2; i++) {
		struct filter filter = { 0 };
		struct arena a = { 0 };
		struct t_device d;
		struct change c;
		bool found;
		int rc;

		filter_text(&filter, "deviceId", str_of(ids[i]));
		rc =
		    store_get(tx, &device_entity, &filter, &a, &d, &found, err);
		arena_fini(&a);
		if (rc != 0)
			return rc;
		c = (struct change){ "rank",
			value_int(d.rank + (i == 0 ? -1 : 1)) };
		rc =
		    store_update(tx, &device_entity, &filter, &c, 1, NULL, err);
		if (rc != 0)
			return rc;
	}
	return 0;
}

static void *
move_many(void *arg)
{
	struct writer *w = arg;
	struct err err;

	for (int i = 0; i < w->rounds; i++)
		if (store_tx(w->f->s, move_one, w, &err) != 0)
			w->failed++;
	return NULL;
}

static int
add_up(void *ctx, const void *row, struct err *err)
{
	struct sum *sum = ctx;

	(void)err;
	sum->total += ((const struct t_device *)row)->rank;
	sum->rows++;
	return 0;
}

static void
a_list_sees_one_moment_while_others_write(void **state)
{
	struct fixture *f = *state;
	struct writer w[] = { { .f = f, .from = "d0", .to = "d9" },
		{ .f = f, .from = "d5", .to = "d1" } };
	struct store_query q = { 0 };
	struct change zero = { "rank", value_int(100) };

	add_devices(f, 10);
	store_update(f->s, &device_entity, NULL, &zero, 1, NULL, &f->err);
	for (size_t i = 0; i < COUNT_OF(w); i++) {
		w[i].rounds = 150;
		pthread_create(&w[i].thread, NULL, move_many, &w[i]);
	}
	for (int i = 0; i < 150; i++) {
		struct sum sum = { 0 };

		assert_int_equal(
		    store_list(f->s, &device_entity, &q, add_up, &sum, &f->err),
		    0);
		assert_int_equal(sum.rows, 10);
		assert_int_equal(sum.total, 1000);
	}
	for (size_t i = 0; i < COUNT_OF(w); i++) {
		pthread_join(w[i].thread, NULL);
		assert_int_equal(w[i].failed, 0);
	}
	/* and no move was lost */
	assert_string_equal(DEV("rank", COND_EQ, value_int(-50)), "d0 d5");
	assert_string_equal(DEV("rank", COND_EQ, value_int(250)), "d1 d9");
}

struct adder {
	pthread_t thread;
	struct store *s;
	int base, failed;
};

static void *
add_tokens(void *arg)
{
	struct adder *a = arg;

	for (int i = 0; i < 100; i++) {
		char id[16];
		struct t_token t = { .user_id = STR("u"), .expires_at = 1 };
		struct err err;

		snprintf(id, sizeof(id), "k%d", a->base + i);
		t.access_token = str_of(id);
		if (store_add(a->s, &token_entity, &t, &err) != 0)
			a->failed++;
	}
	return NULL;
}

static void
many_threads_write_and_pages_miss_nothing_old(void **state)
{
	struct fixture *f = *state;
	struct adder adders[4] = { 0 };
	struct store_query q = { .limit = 7 };
	int old = 0;

	for (int i = 0; i < 100; i++) {
		struct t_token t = { text(f, "a%03d", i), STR("u"), 1 };

		add(f, &token_entity, &t);
	}
	for (size_t i = 0; i < COUNT_OF(adders); i++) {
		adders[i] = (struct adder){ .s = f->s, .base = (int)i * 100 };
		pthread_create(&adders[i].thread, NULL, add_tokens, &adders[i]);
	}
	for (;;) {
		struct rows rows;
		const struct t_token *t;

		assert_int_equal(store_all(f->s, &token_entity, &q, &f->arena,
				     &rows, &f->err),
		    0);
		if (rows.n == 0)
			break;
		t = rows.at;
		for (size_t i = 0; i < rows.n; i++)
			old += t[i].access_token.ptr[0] == 'a';
		q.after = &t[rows.n - 1];
	}
	assert_int_equal(old, 100);
	for (size_t i = 0; i < COUNT_OF(adders); i++) {
		pthread_join(adders[i].thread, NULL);
		assert_int_equal(adders[i].failed, 0);
	}
	assert_int_equal(count(f, &token_entity), 500);
}

/* --- opening ------------------------------------------------------------- */

static void
an_unknown_engine_or_entity_is_refused(void **state)
{
	static const struct entity *const few[] = { &token_entity, NULL };
	struct fixture *f = *state;
	struct store_conf conf = { .engine = "papyrus", .entities = few };
	struct store *s = NULL;
	int64_t n;

	assert_int_equal(store_open(&conf, &s, &f->err), ERR_PARAM);
	assert_null(s);
	conf.engine = "memory";
	assert_int_equal(store_open(&conf, &s, &f->err), 0);
	assert_int_equal(
	    store_count(s, &device_entity, NULL, &n, &f->err), ERR_INTERNAL);
	store_close(s);
	store_close(NULL);
}

/* --- (7) who is told ------------------------------------------------------ */

struct telling {
	struct fixture *f;
	struct buf said;
	int fail;
};

static bool
all_but_units(void *ctx, const struct entity *e)
{
	(void)ctx;
	return e != &unit_entity;
}

static int
say_row(void *ctx, struct store *tx, const struct entity *e, const void *old,
    const void *row, struct err *err)
{
	struct telling *t = ctx;
	const struct field *id = e->record.fields;
	const char *at = row != NULL ? row : old;
	struct str s = field_get(id, at + id->offset).text;
	int64_t n;

	/* the tx may be used, and has the change */
	assert_int_equal(store_count(tx, e, &(struct filter){ 0 }, &n, err), 0);
	buf_addf(&t->said, "%c" STR_FMT " ",
	    old == NULL       ? '+'
		: row == NULL ? '-'
			      : '~',
	    STR_ARG(s));
	if (e == &device_entity && old != NULL && row != NULL) {
		assert_str(((const struct t_device *)old)->name, "before");
		assert_str(((const struct t_device *)row)->name, "after");
	}
	return t->fail != 0 ? err_set(err, t->fail, "not told") : 0;
}

static int
change_much(struct store *tx, void *ctx, struct err *err)
{
	struct telling *t = ctx;
	struct change name = { "name", value_text(STR("after")) };
	struct t_device d[3] = { device(t->f, 11), device(t->f, 12),
		device(t->f, 11) };
	struct filter f = { 0 }, units = { 0 };
	int64_t n;
	int rc;

	for (int i = 0; i < 3; i++)
		d[i].name = STR("before");
	rc = store_add_many(tx, &device_entity, d, 3, true, &n, err);
	if (rc != 0)
		return rc;
	assert_int_equal(n, 2);
	filter_text(&f, "deviceId", d[1].device_id);
	rc = store_update(tx, &device_entity, &f, &name, 1, &n, err);
	d[0].name = STR("after");
	if (rc == 0)
		rc = store_upsert(tx, &device_entity, &d[0], err);
	if (rc == 0)
		rc = store_del(tx, &device_entity, &f, NULL, err);
	filter_text(&units, "code", STR("one"));
	return rc != 0 ? rc : store_del(tx, &unit_entity, &units, &n, err);
}

static void
a_watched_tx_tells_what_it_does(void **state)
{
	struct fixture *f = *state;
	struct telling t = { .f = f };
	const struct store_watch w = { all_but_units, say_row, &t };
	static const char *const gone[] = { "-n1 ", "-d1 ", "-r1 ", "-s0 " };

	add_tree(f);
	assert_int_equal(
	    store_tx_watched(f->s, &w, change_much, &t, &f->err), 0);
	assert_non_null(strstr(buf_z(&t.said), "+d11 +d12 ~d12 ~d11 -d12 "));
	for (size_t i = 0; i < COUNT_OF(gone); i++)
		assert_non_null(strstr(buf_z(&t.said), gone[i]));
	assert_null(strstr(buf_z(&t.said), "u1"));
	assert_null(strstr(buf_z(&t.said), "d9"));
	buf_free(&t.said);
}

static void
what_can_not_be_told_does_not_happen(void **state)
{
	struct fixture *f = *state;
	struct telling t = { .f = f, .fail = ERR_DENIED };
	const struct store_watch w = { all_but_units, say_row, &t };
	int64_t before;

	add_tree(f);
	before = count(f, &device_entity);
	assert_int_equal(
	    store_tx_watched(f->s, &w, change_much, &t, &f->err), ERR_DENIED);
	assert_string_equal(f->err.text, "not told");
	assert_int_equal(count(f, &device_entity), before);
	buf_free(&t.said);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(an_absent_row_is_no_error),
		TEST(a_row_comes_back_as_it_went),
		TEST(null_comes_back_as_null),
		TEST(words_and_bytes_come_back),
		TEST(a_word_with_a_space_is_refused),
		TEST(null_is_refused_where_there_is_none),
		TEST(a_second_row_with_a_key_is_refused_by_the_keys_name),
		TEST(null_counts_as_a_value_in_a_key),
		TEST(a_row_is_found_by_a_key_with_null_in_it),
		TEST(an_update_can_not_break_a_key),
		TEST(a_row_may_keep_its_own_key),
		TEST(adding_many_adds_all_or_none),
		TEST(adding_many_may_skip_those_that_are_there),
		TEST(upsert_adds_or_replaces),
		TEST(equality_holds_null_for_equal_to_null),
		TEST(orders_are_false_for_null),
		TEST(in_looks_for_each_value_of_its_list),
		TEST(in_an_empty_list_is_nothing),
		TEST(in_takes_thousands_and_refuses_more),
		TEST(contains_ignores_case_and_knows_no_wildcards),
		TEST(has_finds_whole_items),
		TEST(all_conditions_must_hold),
		TEST(what_makes_no_sense_is_refused),
		TEST(a_nested_record_comes_back_whole),
		TEST(filters_reach_into_records_and_free_json),
		TEST(lists_are_sorted_by_nested_values),
		TEST(records_are_changed_whole),
		TEST(null_sorts_first_and_text_by_bytes),
		TEST(offset_and_limit_cut_a_page),
		TEST(pages_behind_a_row_make_up_the_list),
		TEST(pages_go_over_a_key_of_two_fields),
		TEST(pages_behind_a_row_do_not_shift),
		TEST(an_update_is_a_compare_and_change),
		TEST(of_many_threads_exactly_one_takes_a_token),
		TEST(deleting_follows_references_to_any_depth),
		TEST(a_cleared_reference_becomes_null),
		TEST(a_reference_may_refuse_and_then_nothing_went),
		TEST(a_chain_or_circle_of_references_ends),
		TEST(a_key_of_two_fields_can_be_a_child),
		TEST(two_changes_in_a_tx_happen_or_neither),
		TEST(a_tx_goes_on_after_a_call_that_failed),
		TEST(a_tx_in_a_tx_is_part_of_the_outer_one),
		TEST(the_store_beside_its_own_tx_is_an_error_and_no_deadlock),
		TEST(a_visitor_may_use_the_store_and_the_list_does_not_notice),
		TEST(lists_within_lists_never_run_out),
		TEST(a_list_sees_one_moment_while_others_write),
		TEST(many_threads_write_and_pages_miss_nothing_old),
		TEST(a_watched_tx_tells_what_it_does),
		TEST(what_can_not_be_told_does_not_happen),
		TEST(an_unknown_engine_or_entity_is_refused),
	};
	int failed = 0;

	for (const char *const *e = store_engines(); *e != NULL; e++) {
		engine = *e;
		failed +=
		    cmocka_run_group_tests_name(engine, tests, NULL, NULL);
	}
	engine = "memory";
	dumps = true;
	failed +=
	    cmocka_run_group_tests_name("memory with dumps", tests, NULL, NULL);
	yaml = true;
	failed += cmocka_run_group_tests_name(
	    "memory with dumps in YAML", tests, NULL, NULL);
	return failed;
}
