/*
 * edge/private.h - what run.c, broker.c, parts.c and control.c share.
 */
#ifndef EDGE_PRIVATE_H
#define EDGE_PRIVATE_H

#include "base/list.h"
#include "base/log.h"
#include "edge/edge.h"
#include "edge/log_levels.h"
#include "edge/notify.h"
#include "edge/local.h"
#include "edge/told.h"
#include "net/mqtt/server.h"

#include <sys/stat.h>

/* The settings as they were when somebody read them; those whose file has not
 * changed since share them. */
struct settings {
	const struct config *config;
	struct config *own; /* NULL: the program's */
	unsigned refs;
	struct stat file;
};

struct part {
	struct edge *edge;
	const struct part_type *type;
	char *name;         /* with its profile */
	struct str profile; /* in `name`; STR_NULL: none */
	void *running;
	struct settings *settings; /* that it was started with; NULL: none */
	enum part_state state;
	char why[240];
	int lock;
	int64_t delay_ms;
	struct loop_timer retry, again;
	struct list link;
};

struct edge {
	struct edge_conf conf;
	struct loop *loop;
	struct loop_timer memory; /* run.log_memory_interval */
	struct loop_io signals;
	struct notify notify;
	bool ending;
	const char *ended; /* why, when a part has ended the process */

	struct mqtt_server *broker; /* NULL: another process's */
	struct tls_server *tls;     /* of the external listener */
	struct local local;         /* how another process's is reached */

	struct levels *levels;       /* NULL: as the command line says */
	struct settings *settings;   /* the newest */
	const struct part *starting; /* NULL: none */
	struct list parts;
	struct list forgets;
	struct control *control;
	struct told *told;
	struct buf device_topic, text, will;
};

/* Our own, or what is needed to reach another one. */
int broker_open(struct edge *e, struct err *err);
void broker_close(struct edge *e);

/* Notes what tedge.toml is like now that the program has read it. */
int parts_begin(struct edge *e, struct err *err);
/* Of the part that is starting, else the program's. */
const struct config *parts_config(const struct edge *e);
/* One that is there is fine. */
int edge_make_dir(struct str path, struct err *err);

bool parts_all_failed(const struct edge *e);
/* Those that run or are tried, and whose names begin so. */
void parts_restart(struct edge *e, const char *prefix);
void parts_free(struct edge *e);

void forget_close(struct edge *e);

#endif
