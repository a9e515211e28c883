/*
 * edge/agent/job.h - a command on its way through the agent.
 *
 *             its turn                         its last step
 *    WAITING ----------> RUNNING (executing) ----------------> successful
 *                                            '---------------> failed
 *
 * What an operation does is a row of steps, each a function: it says which step
 * is next (job->step) and whether that goes on at once or waits for what was
 * started, a child process or a transfer. The outcome is then in `ok`, `out`
 * and `why`.
 */
#ifndef EDGE_AGENT_JOB_H
#define EDGE_AGENT_JOB_H

#include "base/arena.h"
#include "base/child.h"
#include "base/list.h"
#include "base/map.h"
#include "codec/json.h"
#include "edge/agent/agent.h"
#include "edge/agent/oplog.h"

#include <sys/stat.h>

#define JOBS_WAITING_MAX 100 /* of one operation; more are refused */

struct job;
struct plugins;

enum job_move { JOB_NEXT, JOB_WAIT, JOB_END };
typedef enum job_move job_step(struct job *j);

struct job_type {
	const char *op;    /* "software_list" */
	const char *title; /* "Software List": in sentences */
	/* Reads the members of its payload that it knows into job->data.
	 * ERR_PARAM: the command fails with that sentence. */
	int (*read)(struct job *j, struct err *err);
	job_step *first;
	/* Found as having run when the agent ended: becomes a job again, whose
	 * first step is this. NULL: it has failed. */
	job_step *resumed;
	void (*free)(struct job *j); /* NULL: nothing beside the arena */
	/* May it be asked for at all? NULL: always. */
	bool (*enabled)(const struct agent_conf *conf);
	/* The payload of its capability; NULL: "{}". */
	void (*capability)(struct agent *a, struct buf *out);
	/* Finds out anew what it can, and then tells it by
	 * agent_publish_capability(); NULL: it is known. */
	void (*reload)(struct agent *a, const struct job_type *t);
	const char *family; /* of signals: "config"; NULL: its own name */
};

/* How a generation speaks of a command. */
struct job_front {
	const char *name; /* "te", "tedge": in the state file */
	bool retain;
	/* Where and how a state of it is told. */
	void (*state)(struct job *j, const char *status, struct buf *topic,
	    struct buf *payload);
	/* The beginning of its log's name: those of an operation are alike. */
	void (*log_name)(
	    const struct job *j, struct buf *prefix, struct buf *name);
};

struct job {
	struct agent *agent;
	const struct job_type *type;
	const struct job_front *front;
	struct agent_queue *queue;
	struct list link; /* of its queue, or of those that have ended */
	char *topic;      /* where it was asked for */
	char *id;
	struct buf payload; /* as asked */
	bool running, over;
	bool recovered;     /* of the last run: it may be asked for once more,
			     * by who does not know that it was heard */
	bool cleared;       /* who asked wants to hear no more of it */
	struct buf told;    /* its last state, and where; until the broker */
	struct buf told_to; /* has it, it stays in the state file */

	job_step *step;
	struct child *child;
	struct fetch *fetch;
	struct loop_timer timer;
	/* How the last thing that was waited for ended. */
	bool ok;
	struct child_end end; /* of a child, without its texts */
	struct buf out;       /* what it wrote on standard output */
	struct buf why;       /* not ok: in words */

	struct buf result; /* a JSON object: members of its last state */
	struct buf reason; /* not empty: it has failed */
	struct oplog log;
	/* A JSON object that a resumed job is given: not empty, it goes on
	 * after a restart of the agent, and its folder stays. */
	struct buf memo;
	char *temp;         /* its folder; NULL: none yet */
	struct arena arena; /* lives as long as the job */
	void *data;         /* the operation's own, in the arena */
};

extern const struct job_type job_software_list, job_software_update,
    job_restart, job_config_snapshot, job_config_update, job_log_upload;
extern const struct job_type *const job_types[]; /* NULL ends */

/* --- within a step -------------------------------------------------------- */

struct job_program {
	const char *const *argv; /* NULL ends */
	bool sudo;               /* with sudo, if that is set */
	struct str input;
	size_t output_max; /* 0: 1 MiB */
	int64_t timeout_ms;
	bool quiet; /* its output is not for the log */
};

/* Each starts something and makes `next` the step behind it. */
/* 1: programs are run without sudo; 0: with. */
int agent_without_sudo(const struct agent_conf *conf);
enum job_move job_run(
    struct job *j, const struct job_program *p, job_step *next);
enum job_move job_fetch(
    struct job *j, const struct fetch_request *r, job_step *next);
enum job_move job_sleep(struct job *j, int64_t ms, job_step *next);
/* Tells its state once more and goes on when the broker has it. */
enum job_move job_tell(struct job *j, const char *status, job_step *next);
enum job_move job_go_to(struct job *j, job_step *next);
enum job_move job_fail(struct job *j, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
/* It has failed with what the last thing waited for said. */
enum job_move job_fail_why(struct job *j);
/* The agent has ended meanwhile. */
enum job_move job_fail_lost(struct job *j);
enum job_move job_succeed(struct job *j);

/* A text member of the payload; STR_NULL: it is not there, or is none. Lives as
 * long as the job. */
struct str job_member(struct job *j, const char *name);
int64_t job_member_int(struct job *j, const char *name, int64_t none);
/* Is this member `true`? Of any JSON object. */
bool job_is_true(struct str object, const char *name);
/* Keeps `memo` and has the agent begin anew; it goes on as a resumed job. When
 * that does not happen in time, with `late`. */
enum job_move job_restart_agent(
    struct job *j, struct str memo, int64_t ms, job_step *late);
/* A path in a folder of its own, which is deleted with the job; "": the folder.
 * NULL: it can not be made, and the job's `why` says so. */
const char *job_temp(struct job *j, struct str name);

/* --- the agent, for its own files ----------------------------------------- */

struct agent_queue {
	const struct job_type *type;
	struct list jobs; /* the first may be running */
	size_t n;
};

struct agent {
	struct loop *loop;
	const struct agent_conf *conf;
	const struct agent_host *host;
	struct agent_queue *queues; /* as job_types */
	struct list ended; /* not yet with the broker, or (te) not cleared */
	size_t n_ended;
	bool first_generation; /* something stands in current-operation */
	bool recovered;        /* what the last run left behind has been told */
	/* What it does as soon as nothing runs. */
	enum { AGENT_STAYS, AGENT_RESTARTS, AGENT_ENDS } then;
	struct stat running;       /* the program; st_ino 0: not known */
	struct software *software; /* its plugins */
	struct types *config_types, *log_types;
	struct folder_watch *watch;
	char *config_env;
	const char *env[2]; /* of the programs it runs */
	struct buf text;
};

void agent_publish(
    struct agent *a, struct str topic, struct str payload, bool retain);
/* "te/device/main//" and what follows; lent until the next call. */
struct str agent_topic(struct agent *a, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
/* A sentence on the errors topic. */
void agent_error(struct agent *a, const char *topic, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* Tells what the agent can do, looked up anew; `op` is an operation, or several
 * ("config"); NULL: all. */
void agent_tell_capability(struct agent *a, const char *op);
void agent_publish_capability(struct agent *a, const struct job_type *t);

/* NULL: there is no such operation. */
struct agent_queue *agent_queue_of(struct agent *a, struct str op);
/* Takes a new command; it begins at once if nothing of its kind runs. */
void agent_take(struct agent *a, struct agent_queue *q,
    const struct job_front *front, struct str topic, struct str id,
    struct str payload);
/* One that ran when the agent ended; `memo` is empty where it kept none. */
void agent_take_lost(struct agent *a, struct agent_queue *q,
    const struct job_front *front, struct str topic, struct str id,
    struct str payload, struct str memo);
/* One that had ended, and perhaps was not told. */
void agent_take_ended(struct agent *a, struct agent_queue *q,
    const struct job_front *front, struct str topic, struct str id,
    struct str payload, struct str told_to, struct str told);
/* One that waits, runs, or has ended and is not cleared. NULL: none. */
struct job *agent_find(struct agent *a, struct str topic, struct str id);
/* Begins anew as soon as nothing runs. */
void agent_restart_when_idle(struct agent *a);
/* Who asked has cleared it: one that waits is dropped, one that runs is told no
 * more, one that has ended is forgotten. */
void agent_clear(struct agent *a, struct str topic);

void jobs_free(struct agent *a);

/* What runs, on the disk; and after a restart. */
void state_save(struct agent *a);
void state_recover(struct agent *a);

extern const struct job_front front_te, front_tedge;
void te_heard(struct agent *a, const struct agent_msg *m);
/* False: it is no topic of the first generation. */
bool tedge_heard(struct agent *a, const struct agent_msg *m);
void tedge_up(struct agent *a);
void tedge_recover(struct agent *a);

/* Looks at the folders of plugins and lists; what changes there is told. */
void watch_open(struct agent *a);
void watch_close(struct agent *a);

/* --- software ------------------------------------------------------------- */

/* Looks for plugins and asks those that are new whether they are any. */
int software_open(struct agent *a, struct err *err);
void software_close(struct agent *a);
void software_scan(struct agent *a);
void software_reload(struct agent *a, const struct job_type *t);
/* Is the payload's updateList one? Without members that are unknown. */
int software_check(struct str payload, struct err *err);

#endif
