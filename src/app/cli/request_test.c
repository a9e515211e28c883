/*
 * app/cli/request_test.c - from words to requests, against the platform's own
 * routes and against an object that nobody has heard of.
 */
#include "app/cli/request.h"

#include "base/base.h"
#include "core/auth/auth.h"
#include "core/backup/backup.h"
#include "core/fleet/fleet.h"
#include "core/hub/hub.h"
#include "core/coremgr/coremgr.h"
#include "core/data/data.h"
#include "core/rest/rest.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* --- a synthetic object -------------------------------------------------- */

struct lamp {
	struct str lamp_id, color, owner_id;
	struct strs tags;
	struct str note, limits;
	int64_t watts, since;
	double weight;
	bool on;
};

static const struct field lamp_fields[] = {
	F_TEXT(struct lamp, lamp_id, "lampId"),
	F_TEXT(struct lamp, color, "color", .help = "What it shines like."),
	F_TEXT(struct lamp, owner_id, "ownerId", .flags = FIELD_NULL),
	F_TEXTS(struct lamp, tags, "tags"),
	F_JSON(struct lamp, note, "note"),
	F_JSON(struct lamp, limits, "limits", .flags = FIELD_OBJECT),
	F_INT(struct lamp, watts, "watts"),
	F_TIME(struct lamp, since, "since"),
	F_REAL(struct lamp, weight, "weight"),
	F_BOOL(struct lamp, on, "isOn"),
	{ 0 },
};
static const struct entity lamp_entity = {
	.record = { "lamp", sizeof(struct lamp), lamp_fields },
	.table = "lamp",
	.version = 1,
	.keys =
	    (const struct entity_key[]){ { "lampId", { "lampId" } }, { 0 } },
};

struct lamp_query {
	struct str color;
};
static const struct field lamp_query_fields[] = {
	F_TEXT(struct lamp_query, color, "color"),
	{ 0 },
};
static const struct record lamp_query_record = { "lampQuery",
	sizeof(struct lamp_query), lamp_query_fields };

static const struct rest_object lamp_object = {
	.name = "lamp",
	.entity = &lamp_entity,
	.id = "lampId",
	.query = &lamp_query_record,
	.add = "color! ownerId tags note limits watts since weight isOn",
	.patch = "color ownerId",
	.help = "lamps.",
};

static const struct http_route lamp_rows[] = {
	{ "POST", "/hub/api/v1/lamp/{id}/blink", HTTP_TOKEN,
	    .help = "Blinks." },
	{ "DELETE", "/hub/api/v1/lamp/{id}/alarm/{alarmId}", HTTP_TOKEN },
	{ "GET", "/hub/api/v1/secret", HTTP_TOKEN, .flags = HTTP_HIDDEN },
	{ "GET", "/elsewhere/api/v1/thing/list", HTTP_TOKEN },
	{ 0 },
};

static struct rest_mounts mounts;

static void
each_lamp(void (*add)(void *ctx, const struct http_route *rows), void *ctx)
{
	rest_mount(
	    &mounts, &lamp_object, "/hub/api/v1", NULL, NULL, 0, add, ctx);
	rest_mount(
	    &mounts, &lamp_object, "/data/api/v1", NULL, NULL, 0, add, ctx);
	add(ctx, lamp_rows);
}

static void
each_real(void (*add)(void *ctx, const struct http_route *rows), void *ctx)
{
	auth_oauth2_routes(NULL, add, ctx);
	auth_routes(NULL, "/auth/api/v1", 0, add, ctx);
	coremgr_routes(NULL, NULL, NULL, add, ctx);
	data_routes(NULL, add, ctx);
	backup_routes(NULL, add, ctx);
	hub_routes(NULL, add, ctx);
	fleet_routes(NULL, add, ctx);
}

/* --- what was typed, and what becomes of it ------------------------------ */

struct fixture {
	struct cli_commands all;
	struct arena arena;
	const char *file, *url;
	struct cli_common common[3];
	struct cli_request request;
	struct err err;
};

static int
begin(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	f->common[0] = (struct cli_common){ "file", 'f', &f->file };
	f->common[1] = (struct cli_common){ "url", 0, &f->url };
	*state = f;
	return 0;
}

static int
end(void **state)
{
	struct fixture *f = *state;

	arena_fini(&f->arena);
	free(f);
	return 0;
}

/* The platform's routes live as long as the process, and so do these. */
static struct cli_commands real;

static int
begin_real(void **state)
{
	begin(state);
	if (real.n == 0)
		cli_commands_init(&real, each_real, NULL);
	((struct fixture *)*state)->all = real;
	return 0;
}

static int
begin_lamp(void **state)
{
	begin(state);
	cli_commands_init(&((struct fixture *)*state)->all, each_lamp, NULL);
	return 0;
}

static int
end_lamp(void **state)
{
	cli_commands_fini(&((struct fixture *)*state)->all);
	rest_mounts_free(&mounts);
	return end(state);
}

#define WORDS_MAX 32

/* Cuts a line at its blanks; '' stands for an empty word, %20 for a blank. */
static int
cut(struct fixture *f, const char *line, char **argv)
{
	struct str rest = str_of(line);
	int n = 0;

	while (rest.ptr != NULL) {
		struct str word = str_cut(&rest, ' ');
		char *z = arena_z(&f->arena, word), *blank;

		if (str_eqz(word, "''"))
			z[0] = '\0';
		while ((blank = strstr(z, "%20")) != NULL) {
			*blank = ' ';
			memmove(blank + 1, blank + 3, strlen(blank + 3) + 1);
		}
		assert_true(n < WORDS_MAX);
		argv[n++] = z;
	}
	return n;
}

static int
understand(struct fixture *f, const char *line)
{
	char *argv[WORDS_MAX];
	int argc = cut(f, line, argv), rc;
	const struct cli_command *c =
	    cli_command_find(&f->all, str_of(argv[0]), str_of(argv[1]));
	struct cli_value *values;

	f->request = (struct cli_request){ 0 };
	memset(&f->err, 0, sizeof(f->err));
	assert_non_null(c);
	rc = cli_words_read(
	    c, f->common, argc - 2, argv + 2, &f->arena, &values, &f->err);
	if (rc == 0)
		rc = cli_request_build(
		    c, values, &f->arena, &f->request, &f->err);
	return rc;
}

/* `want`: "METHOD path body" */
static void
becomes(struct fixture *f, const char *line, const char *want)
{
	struct buf b = { 0 };

	if (understand(f, line) != 0)
		fail_msg("%s: %s", line, f->err.text);
	buf_addf(
	    &b, "%s " STR_FMT, f->request.method, STR_ARG(f->request.path));
	if (f->request.body.ptr != NULL)
		buf_addf(&b, " " STR_FMT, STR_ARG(f->request.body));
	assert_string_equal(buf_z(&b), want);
	buf_free(&b);
}

static void
is_wrong(struct fixture *f, const char *line, const char *why)
{
	assert_int_equal(understand(f, line), ERR_PARAM);
	if (strstr(f->err.text, why) == NULL)
		fail_msg("%s: says `%s`, not `%s`", line, f->err.text, why);
}

/* --- Sylvia-IoT's commands ----------------------------------------------- */

#define CM "/coremgr/api/v1"

static void
print_path(const char *path)
{
	print_error("no route for %s\n", path);
}

static void
every_row_of_the_table_finds_its_route(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(cli_rows_unmatched(&f->all, print_path), 0);
}

static void
letters_and_names_are_unique_in_each_command(void **state)
{
	struct fixture *f = *state;

	for (size_t i = 0; i < f->all.n; i++) {
		const struct cli_command *c = &f->all.at[i];

		for (size_t a = 0; a < c->n_options; a++)
			for (size_t b = 0; b < a; b++) {
				const struct cli_option *x = &c->options[a];
				const struct cli_option *y = &c->options[b];

				if (strcmp(x->name, y->name) == 0 ||
				    (x->letter != 0 && x->letter == y->letter))
					fail_msg("%s %s: --%s and --%s",
					    c->group, c->verb, x->name,
					    y->name);
			}
	}
}

static void
each_command_of_the_quick_start_is_the_request_it_was(void **state)
{
	struct fixture *f = *state;

	becomes(f, "unit add -c demo -o admin -n Demo%20Unit",
	    "POST " CM "/unit {\"data\":{\"code\":\"demo\",\"ownerId\":"
	    "\"admin\",\"name\":\"Demo Unit\"}}");
	becomes(f, "application add -c a -u U --host mqtt://localhost -n N",
	    "POST " CM "/application {\"data\":{\"code\":\"a\",\"unitId\":"
	    "\"U\",\"hostUri\":\"mqtt://localhost\",\"name\":\"N\"}}");
	becomes(f, "network add -c n -u U --host mqtt://localhost",
	    "POST " CM "/network {\"data\":{\"code\":\"n\",\"unitId\":\"U\","
	    "\"hostUri\":\"mqtt://localhost\"}}");
	becomes(f, "application update -i A -p password",
	    "PATCH " CM "/application/A {\"data\":{\"password\":"
	    "\"password\"}}");
	becomes(f, "device add -u U --netid N -a 01000461 -n 01000461",
	    "POST " CM "/device {\"data\":{\"unitId\":\"U\",\"networkId\":"
	    "\"N\",\"networkAddr\":\"01000461\",\"name\":\"01000461\"}}");
	becomes(f, "device-route add -d D -a A",
	    "POST " CM "/device-route {\"data\":{\"applicationId\":\"A\","
	    "\"deviceId\":\"D\"}}");
}

static void
the_other_commands_are_as_they_were(void **state)
{
	static const char *const lines[][2] = {
		{ "auth tokeninfo", "GET " CM "/auth/tokeninfo" },
		{ "auth logout", "POST " CM "/auth/logout" },
		{ "user add -a ann -p pw -x 2030-01-01T01:00:00+01:00",
		    "POST " CM "/user {\"data\":{\"account\":\"ann\","
		    "\"password\":\"pw\"},\"expiredAt\":"
		    "\"2030-01-01T00:00:00.000Z\"}" },
		{ "user list -o 1 -l 2 -s account:asc name:desc --fields "
		  "expired disabled",
		    "GET " CM "/user/list?fields=expired%2Cdisabled&offset=1&"
		    "limit=2&sort=account%3Aasc%2Cname%3Adesc" },
		{ "user get", "GET " CM "/user" },
		{ "user get -i ann", "GET " CM "/user/ann" },
		{ "user update -p new",
		    "PATCH " CM "/user {\"data\":{\"password\":\"new\"}}" },
		{ "user update -i ann -r admin dev",
		    "PATCH " CM "/user/ann {\"data\":{\"roles\":{\"admin\":"
		    "true,\"dev\":true}}}" },
		{ "user update -i ann --disable",
		    "PATCH " CM "/user/ann {\"disable\":true}" },
		{ "user update -i ann --disable false",
		    "PATCH " CM "/user/ann {\"disable\":false}" },
		{ "client add -r http://a http://b -s x y -n N -c",
		    "POST " CM "/client {\"data\":{\"redirectUris\":["
		    "\"http://a\",\"http://b\"],\"scopes\":[\"x\",\"y\"],"
		    "\"name\":\"N\"},\"credentials\":true}" },
		{ "client add -r http://a -s -n N",
		    "POST " CM "/client {\"data\":{\"redirectUris\":["
		    "\"http://a\"],\"scopes\":[],\"name\":\"N\"}}" },
		{ "client update -i C --image ''",
		    "PATCH " CM "/client/C {\"data\":{\"image\":null}}" },
		{ "client update -i C --regen",
		    "PATCH " CM "/client/C {\"regenSecret\":true}" },
		{ "client delete-user -i ann",
		    "DELETE " CM "/client/user/ann" },
		{ "client count --userid ann",
		    "GET " CM "/client/count?user=ann" },
		{ "unit update -i U -m ann bob -o ann",
		    "PATCH " CM "/unit/U {\"data\":{\"ownerId\":\"ann\","
		    "\"memberIds\":[\"ann\",\"bob\"]}}" },
		{ "unit add -c u -i {%20\"a\":%20[1]}",
		    "POST " CM "/unit {\"data\":{\"code\":\"u\",\"info\":"
		    "{\"a\":[1]}}}" },
		{ "unit list --ownerid a --memberid b --contains c",
		    "GET " CM "/unit/list?owner=a&member=b&contains=c" },
		{ "application dldata -i A -d D -p text",
		    "POST " CM "/application/A/dldata {\"data\":{\"deviceId\":"
		    "\"D\",\"payload\":\"74657874\"}}" },
		{ "network uldata -i N -d D -p 01FF -t hex",
		    "POST " CM "/network/N/uldata {\"data\":{\"deviceId\":"
		    "\"D\",\"payload\":\"01FF\"}}" },
		{ "network uldata -i N -d D -p ''",
		    "POST " CM "/network/N/uldata {\"data\":{\"deviceId\":"
		    "\"D\",\"payload\":\"\"}}" },
		{ "network add -u -c n --host mqtt://localhost --ttl 5",
		    "POST " CM "/network {\"data\":{\"code\":\"n\",\"unitId\":"
		    "null,\"hostUri\":\"mqtt://localhost\",\"ttl\":5}}" },
		{ "network list --unitid --code c",
		    "GET " CM "/network/list?unit=&code=c" },
		{ "device add-bulk -u U --netid N -a 01 02 -p tracker",
		    "POST " CM "/device/bulk {\"data\":{\"unitId\":\"U\","
		    "\"networkId\":\"N\",\"networkAddrs\":[\"01\",\"02\"],"
		    "\"profile\":\"tracker\"}}" },
		{ "device delete-range -u U --netid N -s 01 -e 02",
		    "POST " CM "/device/range-delete {\"data\":{\"unitId\":"
		    "\"U\",\"networkId\":\"N\",\"startAddr\":\"01\","
		    "\"endAddr\":\"02\"}}" },
		{ "device list --unitid U --netid n --address 1 -p x",
		    "GET " CM "/device/list?unit=U&network=n&addr=1&"
		    "profile=x" },
		{ "device update -i D --netid N -a 02",
		    "PATCH " CM "/device/D {\"data\":{\"networkId\":\"N\","
		    "\"networkAddr\":\"02\"}}" },
		{ "device-route delete-bulk --appid A --netid N -a 01",
		    "POST " CM "/device-route/bulk-delete {\"data\":{"
		    "\"applicationId\":\"A\",\"networkId\":\"N\","
		    "\"networkAddrs\":[\"01\"]}}" },
		{ "network-route add -n N -a A",
		    "POST " CM "/network-route {\"data\":{\"applicationId\":"
		    "\"A\",\"networkId\":\"N\"}}" },
		{ "dldata-buffer list --appid A --devid D",
		    "GET " CM "/dldata-buffer/list?application=A&device=D" },
		{ "dldata-buffer delete -i B",
		    "DELETE " CM "/dldata-buffer/B" },
		{ "data.app-uldata list --unit U --tfield proc --tstart "
		  "1970-01-01T00:00:01Z --format csv",
		    "GET /data/api/v1/application-uldata/list?unit=U&"
		    "tfield=proc&tstart=1000&format=csv" },
		{ "trace list --unit U --rule task:hot",
		    "GET /hub/api/v1/trace/list?unit=U&rule=task%3Ahot" },
		{ "gateway count --contains at",
		    "GET /hub/api/v1/gateway/count?contains=at" },
		{ "metric query --unitid U --queries [1]",
		    "POST /hub/api/v1/metric {\"data\":{\"unitId\":\"U\","
		    "\"queries\":[1]}}" },
		{ "data.coremgr-opdata count --user ann",
		    "GET /data/api/v1/coremgr-opdata/count?user=ann" },
	};
	struct fixture *f = *state;

	for (size_t i = 0; i < COUNT_OF(lines); i++)
		becomes(f, lines[i][0], lines[i][1]);
}

static void
an_id_is_one_word_of_the_path_whatever_it_holds(void **state)
{
	struct fixture *f = *state;

	becomes(f, "unit get -i ../user%20?x#y",
	    "GET " CM "/unit/..%2Fuser%20%3Fx%23y");
	is_wrong(f, "unit get -i ''", "must not be empty");
}

static void
a_value_stands_behind_its_option_or_is_joined_to_it(void **state)
{
	static const char *const lines[] = { "unit add --code x",
		"unit add --code=x", "unit add -cx", "unit add -c=x" };
	struct fixture *f = *state;

	for (size_t i = 0; i < COUNT_OF(lines); i++)
		becomes(f, lines[i],
		    "POST " CM "/unit {\"data\":{\"code\":\"x\"}}");
	becomes(f, "user update -p=-n",
	    "PATCH " CM "/user {\"data\":{\"password\":\"-n\"}}");
	becomes(f, "user update --password -secret",
	    "PATCH " CM "/user {\"data\":{\"password\":\"-secret\"}}");
}

static void
a_wrong_call_is_told_in_a_sentence(void **state)
{
	struct fixture *f = *state;

	is_wrong(f, "unit add", "--code (-c) is required");
	is_wrong(f, "network add -c n --host h", "--unitid (-u) is required");
	is_wrong(f, "unit add -c", "a value must follow");
	is_wrong(f, "unit add -c -n x", "a value must follow");
	is_wrong(f, "unit add -c a -c b", "given twice");
	is_wrong(f, "unit add -c a stray", "stray: what is it");
	is_wrong(f, "unit add -c a --nonsense", "there is no such option");
	is_wrong(f, "unit add -c a -i [1]", "is not a JSON object");
	is_wrong(f, "unit add -c a -i {", "is not a JSON object");
	is_wrong(f, "unit list -l ten", "is not a whole number");
	is_wrong(f, "user update -i a -v yesterday", "is not a time");
	is_wrong(f, "user update --verified 2020-01-01T00:00:00Z",
	    "--verified is for others");
	is_wrong(f, "user update -i a --disable=maybe", "true or false");
	is_wrong(f, "network uldata -i N -d D -p xy -t hex", "is not hex");
	is_wrong(f, "network uldata -i N -d D -p xy -t oct",
	    "neither `string` nor `hex`");
	is_wrong(f, "data.app-uldata list --tstart 5", "is not a time");
}

static void
help_and_common_options_work_behind_every_command(void **state)
{
	struct fixture *f = *state;
	struct buf b = { 0 };

	for (size_t i = 0; i < f->all.n; i++) {
		const struct cli_command *c = &f->all.at[i];
		char *argv[] = { (char *)"--help" };
		struct cli_value *values;

		assert_int_equal(cli_words_read(c, f->common, 1, argv,
				     &f->arena, &values, &f->err),
		    1);
		buf_clear(&b);
		cli_help_command(&b, "marram", c);
		assert_non_null(strstr(buf_z(&b), c->verb));
		for (size_t k = 0; k < c->n_options; k++)
			assert_non_null(strstr(buf_z(&b), c->options[k].name));
	}
	buf_free(&b);
	becomes(f, "unit list --url http://x -f file.json5",
	    "GET " CM "/unit/list");
	assert_string_equal(f->url, "http://x");
	assert_string_equal(f->file, "file.json5");
}

/* --- commands that nobody wrote ------------------------------------------ */

static void
an_unknown_object_has_its_six_commands(void **state)
{
	struct fixture *f = *state;

	becomes(f,
	    "lamp add --color red --ownerid '' --tags a b --note [1] --limits "
	    "{} --watts 7 --since 2020-01-01T00:00:00Z --weight 1.5 --ison",
	    "POST /hub/api/v1/lamp {\"data\":{\"color\":\"red\",\"ownerId\":"
	    "null,\"tags\":[\"a\",\"b\"],\"note\":[1],\"limits\":{},"
	    "\"watts\":7,\"since\":\"2020-01-01T00:00:00.000Z\",\"weight\":1.5,"
	    "\"isOn\":true}}");
	becomes(f, "lamp count --color red",
	    "GET /hub/api/v1/lamp/count?color=red");
	becomes(f, "lamp list -l 5 -s color:asc",
	    "GET /hub/api/v1/lamp/list?limit=5&sort=color%3Aasc");
	becomes(f, "lamp get -i 1", "GET /hub/api/v1/lamp/1");
	becomes(f, "lamp update -i 1 --color blue",
	    "PATCH /hub/api/v1/lamp/1 {\"data\":{\"color\":\"blue\"}}");
	becomes(f, "lamp delete -i 1", "DELETE /hub/api/v1/lamp/1");
	is_wrong(f, "lamp add", "--color is required");
	is_wrong(f, "lamp add --color x --weight heavy", "is not a number");
	is_wrong(f, "lamp add --color x --note {", "is not the JSON");
}

static void
its_other_routes_are_named_by_their_words(void **state)
{
	struct fixture *f = *state;

	becomes(f, "lamp blink -i 1", "POST /hub/api/v1/lamp/1/blink");
	becomes(f, "lamp delete-alarm -i 1 --alarmid 2",
	    "DELETE /hub/api/v1/lamp/1/alarm/2");
}

static void
an_object_of_the_history_is_called_data(void **state)
{
	struct fixture *f = *state;

	becomes(f, "data.lamp list", "GET /data/api/v1/lamp/list");
}

static void
hidden_and_foreign_routes_are_no_commands(void **state)
{
	struct fixture *f = *state;

	assert_false(cli_group_exists(&f->all, STR("secret")));
	assert_false(cli_group_exists(&f->all, STR("thing")));
}

#define REAL(t) cmocka_unit_test_setup_teardown(t, begin_real, end)
#define LAMP(t) cmocka_unit_test_setup_teardown(t, begin_lamp, end_lamp)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		REAL(every_row_of_the_table_finds_its_route),
		REAL(letters_and_names_are_unique_in_each_command),
		REAL(each_command_of_the_quick_start_is_the_request_it_was),
		REAL(the_other_commands_are_as_they_were),
		REAL(an_id_is_one_word_of_the_path_whatever_it_holds),
		REAL(a_value_stands_behind_its_option_or_is_joined_to_it),
		REAL(a_wrong_call_is_told_in_a_sentence),
		REAL(help_and_common_options_work_behind_every_command),
		LAMP(an_unknown_object_has_its_six_commands),
		LAMP(its_other_routes_are_named_by_their_words),
		LAMP(an_object_of_the_history_is_called_data),
		LAMP(hidden_and_foreign_routes_are_no_commands),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
