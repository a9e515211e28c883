/*
 * edge/agent/agent.h - the agent: does on the device what commands ask for.
 *
 * It hears commands of both generations (ROOT/<device>/cmd/<operation>/<id>,
 * tedge/commands/req/...), carries each to its end, and tells every state of
 * it. It is without a connection of its own: the part (edge/agent/part.c) gives
 * it the local broker, a test a table of functions.
 *
 *  (1) Every command that it has begun ends as `successful` or `failed`, also
 *      when the agent, or the device, was restarted meanwhile.
 *  (2) Of one operation one command runs at a time; others wait their turn.
 *      Different operations run beside each other.
 *  (3) Nothing blocks: what takes time is a child process.
 */
#ifndef EDGE_AGENT_AGENT_H
#define EDGE_AGENT_AGENT_H

#include "base/err.h"
#include "base/loop.h"
#include "base/str.h"
#include "edge/fetch.h"

#include <stdbool.h>
#include <stdint.h>

struct agent;

struct agent_conf {
	struct loop *loop;
	struct str root, device; /* "te", "device/main//" */
	struct str device_type;  /* twin `type` */
	const char *config_dir;  /* of sm-plugins/, plugins/, device/ */
	const char *state_dir;   /* what must outlive a restart */
	const char *tmp_dir, *log_dir;
	const char *proc_dir; /* "/proc" */
	struct strs program;  /* how to run ourselves as another program */
	/* Where the program lies, and the one that runs: as soon as an update
	 * has made two of them, the agent wants to end. NULL: not looked at. */
	const char *exe, *running_exe;
	struct strs log_keep; /* logs.max_per_operation: "*:5" */
	bool sudo;

	struct str software_default; /* STR_NULL: the only one there is */
	struct str software_include, software_exclude;
	int64_t software_max; /* packages told of each type; 0: all */
	int64_t plugin_timeout_ms;

	bool config_snapshot, config_update, log_upload; /* enabled? */
	struct strs config_plugins, log_plugins;         /* folders */

	struct strs reboot; /* the command */
	int64_t reboot_timeout_ms;

	int64_t file_max;     /* bytes of a file that is uploaded */
	struct str files_url; /* "http://127.0.0.1:8000/te/v1/files/main" */
	struct fetch_conf fetch;
};

struct agent_host {
	void *owner;
	/* QoS 1. `done` (may be NULL) is called when the broker has it, or with
	 * false when it will never have it: it is too large. */
	void (*publish)(void *owner, struct str topic, struct str payload,
	    bool retain, void (*done)(void *ctx, bool taken), void *ctx);
	/* Would it start with what its files say now? */
	int (*can_restart)(void *owner, struct err *err);
	/* Nothing runs, or what runs goes on afterwards: the agent is freed and
	 * begins anew, or its program ends (`end`), but not within this call.
	 */
	void (*leave)(void *owner, bool end);
};

struct agent_msg {
	struct str topic, payload; /* lent */
	bool retain;               /* it was there when we subscribed */
};

/* Borrows `conf` with all it points to, and `host`. ERR_PARAM: a setting is
 * wrong, and the sentence names it. */
int agent_new(const struct agent_conf *conf, const struct agent_host *host,
    struct agent **ret, struct err *err);
/* Ends what runs, now; what has not come to its end is told as failed by the
 * next one. NULL is fine. */
void agent_free(struct agent *a);

/* Each filter to subscribe to. */
void agent_filters(const struct agent *a,
    void (*each)(void *ctx, struct str filter), void *ctx);
/* Connected, and subscribed: what the last run left behind is told, then what
 * the device is and can. Again after each connection. */
void agent_up(struct agent *a);
void agent_heard(struct agent *a, const struct agent_msg *m);

#endif
