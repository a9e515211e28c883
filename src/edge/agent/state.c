/*
 * edge/agent/state.c - what runs, in a file: STATE/commands.json.
 *
 * One array; each command is {"front","op","topic","id","payload"}, and when it
 * has ended, but the broker may not know, {"told_to","told"}; one
 * that goes on after a restart of the agent has a "memo". Those of the first
 * generation are besides in STATE/current-operation, as programs of that time
 * read and write it.
 */
#include "edge/agent/job.h"

#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"

#include <stdlib.h>
#include <unistd.h>

#define LOG_MODULE "agent"
#define FILE_MAX (8u << 20)

static const struct job_front *const fronts[] = { &front_te, &front_tedge };

static char *
state_path(const struct agent *a, const char *name)
{
	return mem_printf("%s/%s", a->conf->state_dir, name);
}

static void
add_job(struct json_out *o, const struct job *j)
{
	json_out_object(o);
	json_out_key(o, "front");
	json_out_str(o, str_of(j->front->name));
	json_out_key(o, "op");
	json_out_str(o, str_of(j->type->op));
	json_out_key(o, "topic");
	json_out_str(o, str_of(j->topic));
	json_out_key(o, "id");
	json_out_str(o, str_of(j->id));
	json_out_key(o, "payload");
	json_out_str(o, buf_str(&j->payload));
	if (j->memo.len > 0) {
		json_out_key(o, "memo");
		json_out_str(o, buf_str(&j->memo));
	}
	if (j->over) {
		json_out_key(o, "told_to");
		json_out_str(o, buf_str(&j->told_to));
		json_out_key(o, "told");
		json_out_str(o, buf_str(&j->told));
	}
	json_out_end_object(o);
}

static void
write_file(struct agent *a, const char *name, struct str text)
{
	char *path = state_path(a, name);
	struct err err;

	if (file_write(path, text, &err) != 0)
		log_error("the state of commands is not kept: %s", err.text);
	free(path);
}

/* operation_id and operation: "list" or "update". */
static void
save_first_generation(struct agent *a)
{
	struct buf text = { 0 };

	for (size_t i = 0; job_types[i] != NULL; i++) {
		struct job *j =
		    list_first(&a->queues[i].jobs, struct job, link);
		struct str op = str_of(job_types[i]->op);

		if (j == NULL || !j->running || j->front != &front_tedge ||
		    !str_starts(op, STR("software_")))
			continue;
		buf_clear(&text);
		buf_addz(&text, "operation_id = ");
		json_quote(&text, str_of(j->id));
		buf_addf(&text, "\noperation = \"%s\"\n",
		    job_types[i]->op + sizeof("software_") - 1);
	}
	if (text.len > 0 || a->first_generation)
		write_file(a, "current-operation",
		    text.len > 0 ? buf_str(&text) : STR(""));
	a->first_generation = text.len > 0;
	buf_free(&text);
}

void
state_save(struct agent *a)
{
	struct buf text = { 0 };
	struct json_out o;

	json_out_init(&o, &text, false);
	json_out_array(&o);
	for (size_t i = 0; job_types[i] != NULL; i++) {
		struct job *j =
		    list_first(&a->queues[i].jobs, struct job, link);

		if (j != NULL && j->running)
			add_job(&o, j);
	}
	LIST_EACH (j, &a->ended, struct job, link) {
		if (j->told.len > 0)
			add_job(&o, j);
	}
	json_out_end_array(&o);
	save_first_generation(a);
	write_file(a, "commands.json", buf_str(&text));
	buf_free(&text);
}

/* --- after a restart ------------------------------------------------------ */

struct record {
	struct str front, op, topic, id, payload, memo, told_to, told;
};

static void
recover(struct agent *a, const struct record *r)
{
	struct agent_queue *q = agent_queue_of(a, r->op);

	for (size_t i = 0; q != NULL && i < COUNT_OF(fronts); i++) {
		if (!str_eqz(r->front, fronts[i]->name))
			continue;
		if (r->told.ptr != NULL)
			agent_take_ended(a, q, fronts[i], r->topic, r->id,
			    r->payload, r->told_to, r->told);
		else
			agent_take_lost(a, q, fronts[i], r->topic, r->id,
			    r->payload, r->memo);
	}
}

static void
read_records(struct agent *a, struct str text, struct err *err)
{
	struct arena arena = { 0 };
	struct record *all = NULL;
	size_t n = 0;
	struct json in;
	struct str key;

	json_open(&in, text, 0, &arena);
	if (json_array(&in))
		while (json_item(&in)) {
			struct record r = { 0 };
			struct {
				const char *name;
				struct str *to;
			} rows[] = { { "front", &r.front }, { "op", &r.op },
				{ "topic", &r.topic }, { "id", &r.id },
				{ "payload", &r.payload }, { "memo", &r.memo },
				{ "told_to", &r.told_to },
				{ "told", &r.told } };

			if (!json_object(&in))
				break;
			while (json_member(&in, &key)) {
				bool known = false;

				for (size_t i = 0; i < COUNT_OF(rows); i++)
					if (str_eqz(key, rows[i].name))
						known =
						    json_str(&in, rows[i].to);
				if (!known)
					json_skip(&in);
			}
			all = mem_resize(all, n + 1, sizeof(*all));
			all[n++] = r;
		}
	if (json_done(&in, err) == 0)
		for (size_t i = 0; i < n; i++)
			recover(a, &all[i]);
	free(all);
	arena_fini(&arena);
}

void
state_recover(struct agent *a)
{
	char *path = state_path(a, "commands.json");
	struct buf text = { 0 };
	struct err err = { 0 };

	if (access(path, F_OK) == 0 && file_read(path, &text, &err) == 0 &&
	    text.len <= FILE_MAX)
		read_records(a, buf_str(&text), &err);
	if (err.code != 0)
		log_error(
		    "what ran before is not known: %s: %s", path, err.text);
	free(path);
	buf_free(&text);
	tedge_recover(a);
	state_save(a);
}
