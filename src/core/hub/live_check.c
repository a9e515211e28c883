/*
 * core/hub/live_check.c - who a connection of /ws is, and which units it may
 * read. That is in the store, so workers look; the loop hears of it by a post.
 */
#include "core/hub/live.h"

#include "base/mem.h"
#include "codec/json.h"

#include <stdlib.h>
#include <string.h>

struct live_check *
check_new(struct live_conn *c, enum check_kind kind, struct str token)
{
	struct live_check *k = mem_new(struct live_check);

	k->live = c->live;
	k->conn = c;
	k->kind = kind;
	k->token = str_copy(token);
	return k;
}

void
check_free(struct live_check *k)
{
	if (k->token.len > 0)
		explicit_bzero((char *)k->token.ptr, k->token.len);
	str_free(k->token);
	arena_fini(&k->arena);
	free(k);
}

static bool
has_unit(const struct live_check *k, struct str unit)
{
	for (size_t i = 0; i < k->units.n; i++)
		if (str_eq(k->units.at[i], unit))
			return true;
	return false;
}

void
check_units(struct live_check *k, struct live_conn *c)
{
	k->units.at = arena_array(&k->arena, c->n_subs + 1, struct str);
	LIST_EACH (s, &c->subs, struct live_sub, link)
		if (!has_unit(k, s->ask.unit))
			k->units.at[k->units.n++] =
			    arena_str(&k->arena, s->ask.unit);
}

/* {"code":...,"message":...} */
static void
read_refusal(struct live_check *k, struct str body)
{
	struct str key, text;
	struct json j;

	json_open(&j, arena_str(&k->arena, body), 0, &k->arena);
	if (!json_object(&j))
		return;
	while (json_member(&j, &key) && json_str(&j, &text))
		if (str_eqz(key, "code"))
			k->code = text;
		else if (str_eqz(key, "message"))
			k->message = text;
}

/* "" are all units. */
static int
may_read(struct live_check *k, struct http_call *c, struct str unit)
{
	if (unit.len == 0)
		return auth_is(c, HTTP_ROLE_ADMIN | HTTP_ROLE_MANAGER);
	return route_may_unit(k->live->hub->route, c, unit, REST_GET);
}

/* False: the unit has gone. */
static bool
find_roots(struct live_check *k)
{
	struct str code;

	if (route_unit_code(
		k->live->hub->route, k->ask.unit, &k->arena, &code, NULL) != 1)
		return false;
	k->roots = inspect_roots(&k->arena, code);
	return true;
}

static void
look(struct live_check *k, struct http_call *c)
{
	k->may = arena_array(&k->arena, k->units.n + 1, bool);
	for (size_t i = 0; i < k->units.n; i++) {
		int may = may_read(k, c, k->units.at[i]);

		if (may < 0)
			return; /* the store failed, and it is said */
		k->may[i] = may == 1;
	}
	if (k->ask.topics.n > 0 && k->ask.unit.len > 0)
		k->may[0] = k->may[0] && find_roots(k);
	k->user_id = arena_str(&k->arena, auth_who(c)->user_id);
	k->account = arena_str(&k->arena, auth_who(c)->account);
	k->status = 200;
}

static void
on_done(struct loop_post *p)
{
	struct live_check *k = container_of(p, struct live_check, done);

	if (k->conn != NULL)
		conn_checked(k->conn, k);
	check_free(k);
}

/* On a worker. */
static void
run(struct worker_job *job)
{
	struct live_check *k = container_of(job, struct live_check, job);
	struct http_call c = {
		.route = &hub_live_rows[0], .method = "GET", .path = STR("/ws")
	};

	if (route_access(k->live->hub->route, &c, k->token))
		look(k, &c);
	if (k->status != 200) {
		k->status = c.status;
		k->code = STR("err_int_msg");
		k->message = c.status == 401
		    ? STR_NULL
		    : STR("it could not be looked up; try again");
		read_refusal(k, buf_str(&c.out));
	}
	buf_free(&c.out);
	arena_fini(&c.arena);
	loop_post(k->live->loop, &k->done);
}

bool
check_start(struct live_check *k)
{
	k->conn->check = k;
	k->job.run = run;
	k->done.run = on_done;
	if (worker_submit(k->live->checks, &k->job) == 0)
		return true;
	k->conn->check = NULL;
	check_free(k);
	return false;
}
