/*
 * plug/script/pool.h - what the files of a pool share; private to this folder.
 *
 * pool.c decides who gets a process, pool_helper.c talks with one, pool_watch.c
 * looks at its time and memory, pool_http.c passes on what scripts ask for.
 */
#ifndef PLUG_SCRIPT_POOL_H
#define PLUG_SCRIPT_POOL_H

#include "base/map.h"
#include "plug/script/process.h"
#include "plug/script/script.h"
#include "plug/script/wire.h"

#define SENT_MAX 256 /* calls on their way to one helper */
#define SENT_MIN 8   /* at first, and while they take long */
#define SENT_BYTES (256 << 10)
#define SLOT_BYTES (4 << 20) /* of sources that one helper keeps */
#define TICK_MS 10
#define IDLE_TICK_MS 1000
#define START_MS 10000
#define STARVED_MS 1000 /* at least, for one that gets no processor */
#define ASKS_MORE 100   /* refused requests that a call may make */
#define TURN_MS 200     /* of one group while others wait for a process */

enum state { STARTING, IDLE, BUSY };

struct sent {
	struct script_call *call; /* NULL: taken back */
	uint32_t seq;
	int64_t timeout_ms, memory;
};

struct slot {
	struct str source; /* owned, as the helper has it */
	uint64_t used;
};

struct ask {
	struct script_http http; /* what the host sees */
	struct helper *helper;   /* NULL: it is gone */
	struct str owned[5];
};

struct helper {
	struct script_pool *pool;
	struct group *group;
	struct list link; /* in pool->helpers */
	enum state state;
	struct process process;
	struct loop_io from, to;
	struct buf in, out;
	size_t in_at, out_at; /* what was parsed, written */

	struct sent sent[SENT_MAX]; /* a ring */
	uint32_t first, n;
	uint32_t window; /* how many may be there */
	uint32_t seq;
	uint32_t served; /* answers so far */

	struct slot slots[WIRE_SLOTS];
	uint64_t uses;
	size_t slot_bytes;

	uint32_t watched; /* the call in which it was seen last */
	int64_t since;    /* when that was first seen */
	int64_t cpu;      /* its processor time then */
	int64_t heard;    /* when it last said something, or got to work */
	int64_t began;    /* its group's turn */
	bool full;        /* no new calls: it has grown, or its turn is up */
	struct ask *ask;
	int64_t asks; /* of the call that is first */
};

struct group {
	struct str name; /* owned */
	struct list waiting;
	int64_t n; /* calls that have not ended */
	struct helper *helper;
	struct list link; /* in pool->needy, or alone */
};

struct script_pool {
	struct loop *loop;
	struct script_conf conf;
	struct script_host host;
	struct map groups;
	struct list needy;
	struct list helpers;
	int64_t n_helpers;
	struct list ended; /* calls whose done() is to be called */
	pid_t *dead;       /* killed, not yet reaped */
	size_t n_dead, cap_dead;
	struct loop_timer tick;
	int64_t tick_ms; /* 0: does not run */
	struct loop_defer defer;
	bool ending;
};

/* --- pool.c --- */

/* The call's answer is in it: only done() is left. */
void pool_finish(
    struct script_pool *p, struct script_call *c, enum script_end end);
/* The same without an answer. */
void pool_finish_bare(struct script_pool *p, struct script_call *c,
    enum script_end end, int code, const char *why);
/* Forgets a group that has nothing. */
void pool_drop_group(struct script_pool *p, struct group *g);
/* A group that waits for a helper and has none gets in line. */
void pool_line_up(struct script_pool *p, struct group *g);
/* It could not be started: nothing of its group can run now. */
void pool_refuse_group(
    struct script_pool *p, struct group *g, const struct err *why);

/* --- pool_helper.c --- */

int helper_start(struct script_pool *p, struct group *g, struct err *err);
/* Ends the process and frees the helper, whose calls have been taken away. */
void helper_end(struct helper *h);
/* The helper is over, and so is the call it was in. */
void helper_lose(struct helper *h, enum script_end end, const char *why);
void helper_fail_start(struct helper *h, struct str said);
/* Sends what its group waits for, as far as there is room. */
void helper_send(struct helper *h);
/* Writes what is in h->out, now and when there is room. */
void helper_write(struct helper *h);
/* The call it says it is in, else the first that it has. */
struct sent *helper_current(struct helper *h);

static inline struct sent *
helper_sent(struct helper *h, uint32_t i)
{
	return &h->sent[(h->first + i) % SENT_MAX];
}

/* --- pool_watch.c --- */

/* There is something to be watched. */
void pool_wake(struct script_pool *p);
void pool_on_tick(struct loop_timer *t);

/* --- pool_http.c --- */

/* A request that has arrived. False: nonsense. */
bool helper_take_ask(struct helper *h, struct wire body);

#endif
