/*
 * edge/agent/tedge.c - commands of the first years:
 * tedge/commands/req/software/list, .../software/update, .../control/restart.
 *
 * A request is {"id":...} and, of an update, "updateList"; other members are
 * refused, with a sentence on tedge/errors and no answer. Answers go to
 * tedge/commands/res/...; nothing is retained.
 */
#include "edge/agent/job.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LOG_MODULE "agent"
#define REQUEST "tedge/commands/req/"
#define ANSWER "tedge/commands/res/"
#define ID_MAX 1024

static const struct row {
	const char *name, *op;
	bool update;
} rows[] = {
	{ "software/list", "software_list", false },
	{ "software/update", "software_update", true },
	{ "control/restart", "restart", false },
};

/* --- a state, told -------------------------------------------------------- */

static const struct row *
row_of(const struct job *j)
{
	for (size_t i = 0; i < COUNT_OF(rows); i++)
		if (strcmp(j->type->op, rows[i].op) == 0)
			return &rows[i];
	return NULL;
}

/* failures: as today, but what failed for a whole type stands with each of its
 * packages. */
static void
add_failures(struct json_out *o, struct json *in)
{
	struct str key;

	json_out_array(o);
	if (json_array(in))
		while (json_item(in)) {
			json_out_object(o);
			if (json_object(in))
				while (json_member(in, &key)) {
					if (str_eqz(key, "errors")) {
						json_skip(in);
						continue;
					}
					json_out_key_str(o, key);
					json_copy(in, o);
				}
			json_out_end_object(o);
		}
	json_out_end_array(o);
}

static void
tedge_state(
    struct job *j, const char *status, struct buf *topic, struct buf *payload)
{
	struct arena a = { 0 };
	struct json_out o;
	struct json in;
	struct str key;

	buf_addf(topic, ANSWER "%s", row_of(j)->name);
	json_out_init(&o, payload, false);
	json_out_object(&o);
	json_out_key(&o, "id");
	json_out_str(&o, str_of(j->id));
	json_out_key(&o, "status");
	json_out_str(&o, str_of(status));
	if (strcmp(status, "failed") == 0) {
		json_out_key(&o, "reason");
		json_out_str(&o, buf_str(&j->reason));
	}
	json_open(&in, buf_str(&j->result), 0, &a);
	if (j->result.len > 0 && json_object(&in))
		while (json_member(&in, &key)) {
			json_out_key_str(&o, key);
			if (str_eqz(key, "failures"))
				add_failures(&o, &in);
			else
				json_copy(&in, &o);
		}
	json_out_end_object(&o);
	arena_fini(&a);
}

static void
tedge_log_name(const struct job *j, struct buf *prefix, struct buf *name)
{
	char time[TIME_TEXT_LEN + 1];
	const char *op = j->type->op;
	size_t at = prefix->len;

	for (; *op != '\0'; op++) /* software-list */
		buf_addc(prefix, *op == '_' ? '-' : *op);
	buf_addc(prefix, '-');
	time_format(clock_now(), time);
	buf_add(name, prefix->ptr + at, prefix->len - at);
	buf_addz(name, time);
}

const struct job_front front_tedge = {
	.name = "tedge",
	.state = tedge_state,
	.log_name = tedge_log_name,
};

/* --- a message ------------------------------------------------------------ */

static int
read_request(struct str payload, const struct row *row, struct arena *a,
    struct str *id, struct err *err)
{
	struct json in;
	struct str key;
	bool list = false;
	int rc;

	*id = STR_NULL;
	json_open(&in, payload, 0, a);
	if (json_object(&in))
		while (json_member(&in, &key)) {
			if (str_eqz(key, "id")) {
				json_str(&in, id);
			} else if (row->update && str_eqz(key, "updateList")) {
				list = true;
				json_skip(&in);
			} else {
				return err_set(err, ERR_PARAM,
				    "unknown member \"" STR_FMT "\"",
				    STR_ARG(key));
			}
		}
	rc = json_done(&in, err);
	if (rc != 0)
		return rc;
	if (id->ptr == NULL)
		return err_set(err, ERR_PARAM, "the member \"id\" is missing");
	if (id->len == 0 || id->len > ID_MAX ||
	    memchr(id->ptr, '\0', id->len) != NULL)
		return err_set(err, ERR_PARAM,
		    "the member \"id\" must be a text of 1 to %d bytes",
		    ID_MAX);
	if (row->update && !list)
		return err_set(
		    err, ERR_PARAM, "the member \"updateList\" is missing");
	return row->update ? software_check(payload, err) : 0;
}

bool
tedge_heard(struct agent *a, const struct agent_msg *m)
{
	struct arena arena = { 0 };
	struct str name = m->topic, id;
	const struct row *row = NULL;
	struct err err;

	if (!str_starts(name, STR(REQUEST)))
		return false;
	name.ptr += sizeof(REQUEST) - 1;
	name.len -= sizeof(REQUEST) - 1;
	for (size_t i = 0; i < COUNT_OF(rows); i++)
		if (str_eqz(name, rows[i].name))
			row = &rows[i];
	if (row == NULL)
		return true;
	if (read_request(m->payload, row, &arena, &id, &err) != 0)
		agent_error(a, "tedge/errors",
		    "Invalid request on " STR_FMT ": %s", STR_ARG(m->topic),
		    err.text);
	else if (agent_find(a, m->topic, id) != NULL)
		log_warn("a second request of id \"" STR_FMT "\" on " STR_FMT
			 " is passed over",
		    STR_ARG(id), STR_ARG(m->topic));
	else
		agent_take(a, agent_queue_of(a, str_of(row->op)), &front_tedge,
		    m->topic, id, m->payload);
	arena_fini(&arena);
	return true;
}

/* --- what was left behind --------------------------------------------------
 */

/* A line of the state file: name = "value". */
static bool
read_line(struct str line, const char *name, struct arena *a, struct str *ret)
{
	struct str rest = line, key = str_trim(str_cut(&rest, '='));
	struct json in;

	if (!str_eqz(key, name) || rest.ptr == NULL)
		return false;
	json_open(&in, str_trim(rest), 0, a); /* its simple strings are JSON */
	return json_str(&in, ret);
}

/* An operation that an agent of those years, or we, had under way; those of
 * ours are known from commands.json. */
void
tedge_recover(struct agent *a)
{
	char *path = mem_printf("%s/current-operation", a->conf->state_dir);
	struct str rest, id = STR_NULL, op = STR_NULL;
	struct buf text = { 0 };
	struct arena arena = { 0 };

	(void)file_read(path, &text, NULL);
	for (rest = buf_str(&text); rest.len > 0;) {
		struct str line = str_cut(&rest, '\n');

		(void)(read_line(line, "operation_id", &arena, &id) ||
		    read_line(line, "operation", &arena, &op));
	}
	a->first_generation = text.len > 0;
	for (size_t i = 0; id.len > 0 && i < COUNT_OF(rows); i++) {
		struct str topic;

		if (!str_starts(str_of(rows[i].op), STR("software_")) ||
		    !str_eqz(op, rows[i].op + sizeof("software_") - 1))
			continue;
		topic = arena_printf(&arena, REQUEST "%s", rows[i].name);
		if (agent_find(a, topic, id) == NULL)
			agent_take_lost(a,
			    agent_queue_of(a, str_of(rows[i].op)), &front_tedge,
			    topic, id, STR("{}"), STR_NULL);
	}
	free(path);
	buf_free(&text);
	arena_fini(&arena);
}

/* Told to who listens when the agent starts. */
void
tedge_up(struct agent *a)
{
	agent_publish(
	    a, STR("tedge/capabilities/software/list"), STR(""), true);
	agent_publish(
	    a, STR("tedge/capabilities/software/update"), STR(""), true);
}
