/*
 * plug/script/script.h - users' JavaScript, run where it can do no harm.
 *
 * A pool runs scripts in helper processes (`marram-script`) that may neither
 * open, connect nor start anything, and that are killed when a call takes too
 * long or too much memory. A helper serves one group (a unit) and never
 * another; it starts with the group's first call and ends after idle time.
 * Calls of one group run one after another, in the order they came. Codecs and
 * tasks have pools of their own, so that long ones do not hold short ones.
 *
 * Nothing stays from one call to the next: each sees its script as freshly
 * loaded, with fresh globals. The call that a helper was killed for, or died
 * in, fails; the group's other calls go on in a new helper. A call may be begun
 * twice when the helper dies before its answer has arrived, unless it has
 * asked for HTTP.
 *
 * A pool belongs to one loop and is used on that loop's thread only, except
 * script_run_wait(). The program must ignore SIGPIPE, and wait() for no
 * children but its own by number.
 */
#ifndef PLUG_SCRIPT_SCRIPT_H
#define PLUG_SCRIPT_SCRIPT_H

#include "base/conf.h"
#include "base/counter.h"
#include "base/err.h"
#include "base/list.h"
#include "base/loop.h"
#include "base/str.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct script_pool;
struct script_http;

/* What is taken of the caller; more is ERR_LIMIT or ERR_PARAM. */
#define SCRIPT_SOURCE_MAX (1 << 20)
#define SCRIPT_INPUT_MAX (8 << 20) /* argument and variables */
#define SCRIPT_VARS_MAX 256

/* Settings, with script_fields as their rows. */
struct script_conf {
	int64_t processes;
	int64_t timeout_ms;
	int64_t memory;
	int64_t queue;
	int64_t output_max;
	int64_t idle_ms;
	bool jit;
	struct str helper; /* path; null: beside the program, see find.c */
	int64_t http_max;
	int64_t http_size;
	int64_t http_timeout_ms;
	struct str allow_hosts; /* for the host's http(); null: none */
};

extern const struct conf_field script_fields[];
/* Everything at its default. */
void script_conf_init(struct script_conf *conf);

/* What a script may ask for outside of its process. All NULL: nothing. */
struct script_host {
	/* A request through mcUtils.httpClient. 0: script_http_answer() or
	 * script_http_refuse() follows, now or later, on the loop's thread,
	 * exactly once, even when the script has been killed meanwhile.
	 * Negative: refused, with the sentence that the script sees. `h` is the
	 * callee's until it answers; its members are lent as long. */
	int (*http)(void *owner, struct script_http *h, struct err *err);
	void *owner; /* borrowed */
};

struct script_http {
	struct str group;
	struct str method;  /* upper case letters */
	struct str url;     /* http:// or https://, with the query */
	struct str headers; /* JSON object of texts */
	struct str body;
	bool insecure;      /* the script asks not to check certificates */
	int64_t timeout_ms; /* at most http_timeout_ms */
	int64_t size_max;   /* a longer body is not passed on */
	bool gone;          /* nobody waits any more: hurry is useless */
};

/* `headers` is a JSON object of texts, or null. Both free `h`. */
void script_http_answer(
    struct script_http *h, int status, struct str headers, struct str body);
void script_http_refuse(struct script_http *h, const char *why);

/* What is called in a script. Functions take `arg`, and give what conventions
 * for LoRaWAN codecs say: {data, warnings}, or {bytes, fPort, warnings}; what
 * they report in `errors` fails the call. */
enum script_entry {
	SCRIPT_VALUE, /* no function: the value of the last expression */
	SCRIPT_DECODE_UPLINK,    /* or Decode, or Decoder */
	SCRIPT_NORMALIZE_UPLINK, /* ERR_NOT_FOUND when there is none */
	SCRIPT_ENCODE_DOWNLINK,  /* or Encode, or Encoder */
	SCRIPT_DECODE_DOWNLINK,
	SCRIPT_ENTRIES,
};

/* How a call ended, and the code in its `err`. */
enum script_end {
	SCRIPT_DONE,    /* 0: it gave a value, see `result` */
	SCRIPT_FAILED,  /* ERR_PARAM: it threw or reported errors, see `line`;
			 * ERR_NOT_FOUND: it has no such function;
			 * ERR_LIMIT: its result is too long */
	SCRIPT_REFUSED, /* ERR_IO, ERR_NOT_FOUND: no helper could be started;
			 * ERR_CLOSED: the pool ended */
	SCRIPT_TIMEOUT, /* ERR_LIMIT: killed, over its time */
	SCRIPT_MEMORY,  /* ERR_LIMIT: killed, over its memory */
	SCRIPT_CRASHED, /* ERR_LIMIT: its helper died, or spoke nonsense */
};

struct script_var {
	struct str name; /* a JavaScript identifier */
	struct str json;
};

/* One call, embedded in its owner's struct. Zero-initialise. */
struct script_call {
	/* The owner's, borrowed until done(). */
	struct str group;
	struct str source;
	enum script_entry entry;
	struct str arg;                /* JSON, for functions; null: {} */
	const struct script_var *vars; /* globals of that name */
	size_t n_vars;
	bool both_spellings; /* objects in `vars` answer to taskEvent.Entity
			      * .NodeID as to taskEvent.entity.nodeId */
	int64_t timeout_ms;  /* 0: the pool's; of the run, not of waiting */
	int64_t memory;      /* 0: the pool's */

	/* Called once, never within script_run(). May free the call, and call
	 * any function of the pool but script_pool_free(). */
	void (*done)(struct script_call *c);

	/* The answer; texts are lent until done() returns. */
	enum script_end end;
	struct err err;     /* code 0 when end is SCRIPT_DONE */
	unsigned line;      /* of the source, 0: not known */
	struct str result;  /* JSON; "null" for undefined */
	struct str console; /* what it logged, lines; cut at output_max */

	/* the pool's own */
	struct list link;
	void *helper;
	bool queued, asked;
	unsigned tries;
};

struct script_counters {
#define COUNTER(name, unit, help) counter_t name;
#define GAUGE(name, unit, help) counter_t name;
#include "plug/script/counters.def"
#undef COUNTER
#undef GAUGE
};

/* Of all pools together; as rows for counter_register(). */
extern struct script_counters script_counters;
extern struct counter_group script_counter_group;

/* Copies `conf`; `host` may be NULL, else what it names must outlive the pool.
 * Starts nothing. */
struct script_pool *script_pool_new(struct loop *loop,
    const struct script_conf *conf, const struct script_host *host);
/* Kills the helpers. Calls that wait or run end as SCRIPT_REFUSED, from within.
 * NULL is fine. */
void script_pool_free(struct script_pool *p);

/* Runs `c`; calls that are made in one turn of the loop go to their helper
 * together. ERR_LIMIT: too many of this group wait, or an input is too large;
 * ERR_PARAM: an input is not what it should be. Nothing was done then, and
 * done() is not called. */
int script_run(struct script_pool *p, struct script_call *c, struct err *err);
/* Takes back a call, which may be freed then: done() is not called. Its script
 * may run on unheard. One that has ended: nothing. */
void script_cancel(struct script_pool *p, struct script_call *c);

/* [any thread but the loop's] Runs `c` and waits for the end; done() is not
 * used. The texts of the answer are in `a`. Returns what script_run() does, or
 * the code in c->err. */
int script_run_wait(struct script_pool *p, struct script_call *c,
    struct arena *a, struct err *err);

#endif
