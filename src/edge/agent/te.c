/*
 * edge/agent/te.c - commands of today: ROOT/<device>/cmd/<operation>/<id>.
 *
 * Each state is told retained on the command's own topic, with all members that
 * were received, known or not. An empty message clears: that is for who asked.
 */
#include "edge/agent/job.h"

#include "base/log.h"
#include "edge/topic.h"

#include <string.h>

#define LOG_MODULE "agent"

/* --- a state, told -------------------------------------------------------- */

static bool
has_member(struct str object, struct str name)
{
	struct arena a = { 0 };
	struct json in;
	struct str key;
	bool ret = false;

	json_open(&in, object, 0, &a);
	if (json_object(&in))
		while (json_member(&in, &key)) {
			ret = ret || str_eq(key, name);
			json_skip(&in);
		}
	arena_fini(&a);
	return ret;
}

/* The members of `object`, but for those that `over` has. */
static void
add_members(struct json_out *o, struct str object, struct str over)
{
	struct arena a = { 0 };
	struct json in;
	struct str key;

	json_open(&in, object, 0, &a);
	if (json_object(&in))
		while (json_member(&in, &key)) {
			if (str_eqz(key, "status") || str_eqz(key, "logPath") ||
			    str_eqz(key, "reason") || has_member(over, key)) {
				json_skip(&in);
				continue;
			}
			json_out_key_str(o, key);
			json_copy(&in, o);
		}
	arena_fini(&a);
}

static void
te_state(
    struct job *j, const char *status, struct buf *topic, struct buf *payload)
{
	struct str result = j->result.len > 0 ? buf_str(&j->result) : STR("{}");
	struct json_out o;

	buf_addz(topic, j->topic);
	json_out_init(&o, payload, false);
	json_out_object(&o);
	json_out_key(&o, "status");
	json_out_str(&o, str_of(status));
	add_members(&o, buf_str(&j->payload), result);
	add_members(&o, result, STR("{}"));
	if (j->log.path != NULL) {
		json_out_key(&o, "logPath");
		json_out_str(&o, str_of(j->log.path));
	}
	if (strcmp(status, "failed") == 0) {
		json_out_key(&o, "reason");
		json_out_str(&o, buf_str(&j->reason));
	}
	json_out_end_object(&o);
}

static void
te_log_name(const struct job *j, struct buf *prefix, struct buf *name)
{
	buf_addf(prefix, "workflow-%s-", j->type->op);
	buf_addf(name, "workflow-%s-%s", j->type->op, j->id);
}

const struct job_front front_te = {
	.name = "te",
	.retain = true,
	.state = te_state,
	.log_name = te_log_name,
};

/* --- a message ------------------------------------------------------------ */

/* False: no object, or its status is no text. STR_NULL: it has none. */
static bool
read_status(struct str payload, struct str *status, struct arena *a)
{
	struct json in;
	struct str key;

	*status = STR_NULL;
	json_open(&in, payload, 0, a);
	if (json_object(&in))
		while (json_member(&in, &key)) {
			if (str_eqz(key, "status"))
				json_str(&in, status);
			else
				json_skip(&in);
		}
	return json_done(&in, NULL) == 0;
}

/* The agent had not told the broker that it was heard before it ended. */
static bool
is_once_more(const struct job *j, const struct agent_msg *m)
{
	return j->recovered && str_eq(buf_str(&j->payload), m->payload);
}

static void
on_command(struct agent *a, const struct te_topic *t, const struct agent_msg *m)
{
	struct agent_queue *q = agent_queue_of(a, t->type);
	struct arena arena = { 0 };
	struct str status;
	struct job *known;

	if (q == NULL) /* another's, or a workflow's */
		return;
	if (m->payload.len == 0) {
		agent_clear(a, m->topic);
		return;
	}
	if (!read_status(m->payload, &status, &arena)) {
		agent_error(a, "errors",
		    "Invalid command on " STR_FMT
		    ": the payload must be a JSON object whose status is a "
		    "text",
		    STR_ARG(m->topic));
		goto done;
	}
	known = agent_find(a, m->topic, t->id);
	if (status.ptr == NULL || str_eqz(status, "init") ||
	    str_eqz(status, "scheduled")) {
		/* What the broker kept from before is older than what we know:
		 * its disk may not have seen the later states. */
		if (known != NULL &&
		    (!known->over || m->retain || is_once_more(known, m)))
			goto done;
		if (known != NULL)
			agent_clear(a, m->topic);
		agent_take(a, q, &front_te, m->topic, t->id, m->payload);
	} else if (str_eqz(status, "executing") && known == NULL) {
		agent_take_lost(
		    a, q, &front_te, m->topic, t->id, m->payload, STR_NULL);
	}

done:
	arena_fini(&arena);
}

static void
on_signal(struct agent *a, struct str type)
{
	struct str rest = type;

	if (str_eqz(str_cut(&rest, '_'), "sync")) {
		char op[64];

		if (rest.ptr == NULL || str_eqz(rest, "config")) {
			agent_tell_capability(
			    a, rest.ptr == NULL ? NULL : "config");
		} else if (rest.len < sizeof(op)) {
			memcpy(op, rest.ptr, rest.len);
			op[rest.len] = '\0';
			agent_tell_capability(a, op);
		}
	}
}

void
te_heard(struct agent *a, const struct agent_msg *m)
{
	struct te_topic t;

	if (te_topic_read(a->conf->root, m->topic, &t, NULL) != 0 ||
	    !str_eq(t.entity, a->conf->device))
		return;
	if (t.channel == TE_CMD)
		on_command(a, &t, m);
	else if (t.channel == TE_SIGNAL)
		on_signal(a, t.type);
}
