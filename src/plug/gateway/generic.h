/*
 * plug/gateway/generic.h - what the generic providers share: messages as JSON,
 * and scripts that make them.
 *
 * A message is {"nodeId", "sourceId", "type", "payloads": [{"key", "value",
 * "metricType", "unit", "labels", "others"}], "labels", "timestamp"}; `type` is
 * set unless it is said. What a script gives is {"dataOut": a list of them, or
 * one}, or that list itself. Private to this folder.
 */
#ifndef PLUG_GATEWAY_GENERIC_H
#define PLUG_GATEWAY_GENERIC_H

#include "base/list.h"
#include "codec/json.h"
#include "plug/gateway/ops.h"

/* --- messages ------------------------------------------------------------- */

/* Adds all messages of a JSON list. ERR_PARAM says which is wrong. */
int generic_read_list(
    struct gateway_messages *m, struct str list, struct err *err);
/* Writes one as an object. */
void generic_put_message(struct buf *out, const struct gateway_message *m);
/* Hands up what `result` says (see above), a frame for each node: `data`, and
 * {WHERE: where, "messages": its own}. `l` may be NULL. */
int generic_hand_up(struct gateway *g, struct gateway_later *l,
    const char *where_name, struct str where, struct str data,
    struct str result, struct err *err);
/* ops->read: what generic_hand_up() has put beside the data, or the data. */
void generic_read(void *own, struct gateway_read *r);
/* `{"slot":"source/key"}` with more members, for frames that set a field. */
void generic_put_slot(struct json_out *o, const struct gateway_message *m);
/* A member of an object as JSON; STR_NULL: it has none. */
struct str generic_member(struct arena *a, struct str object, const char *name);
/* Text as it is, anything else as JSON; STR_NULL stays. */
struct str generic_plain(struct arena *a, struct str json);

/* --- scripts -------------------------------------------------------------- */

struct generic_scripts {
	struct gateway *g;
	struct list running;
	int64_t n;
};

/* One that runs. Embedded by who waits for it. */
struct generic_script {
	void (*done)(struct generic_script *s, struct str result,
	    const struct err *err); /* err->code 0: it went well */
};

void generic_scripts_init(struct generic_scripts *all, struct gateway *g);
/* Each that runs ends with ERR_CLOSED. */
void generic_scripts_close(struct generic_scripts *all);
/* `vars` is a JSON object. Negative: done() does not come. */
int generic_script_start(struct generic_scripts *all, struct generic_script *s,
    struct str source, struct str vars, struct err *err);

/* done() will not be called. Not running: nothing. */
void generic_script_cancel(
    struct generic_scripts *all, struct generic_script *s);

/* `provider.script` */
struct generic_script_spec {
	struct str on_receive;
};
int generic_read_script(struct arena *a, struct str json,
    struct generic_script_spec *ret, struct err *err);

/* The entry for a node in an object of them: its own, or `default`'s. STR_NULL:
 * there is none. */
struct str generic_node(struct arena *a, struct str nodes, struct str node);

#endif
