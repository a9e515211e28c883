/*
 * plug/metric/influx.h - the insides of the engine `influx`; private to
 * influx*.c.
 */
#ifndef PLUG_METRIC_INFLUX_H
#define PLUG_METRIC_INFLUX_H

#include "base/map.h"
#include "plug/metric/commit.h"
#include "plug/metric/ops.h"

#include <curl/curl.h>

/* What is needed to speak of a series to the server. */
struct influx_series {
	uint32_t id;
	enum metric_kind kind;
	int64_t sent_at;           /* monotonic; 0: not since opening */
	struct str line;           /* owned: measurement and tags of a line */
	struct metric_series what; /* in `text` */
	struct arena text;
};

/* A record of the queue. */
struct influx_batch {
	struct influx_batch *next;
	uint64_t segment;  /* of the log */
	uint64_t seq;      /* of the record */
	int64_t sent_at;   /* monotonic; when the server took it */
	size_t n;          /* points */
	struct str points; /* owned; as in the log */
};

struct influx {
	const char *who; /* for people */
	char *url, *auth, *user, *organization, *bucket, *database;
	struct str prefix; /* owned */
	bool v2, victoria; /* neither: version 1 */
	bool texts;        /* there are series of texts that can not be kept */
	long timeout_ms;
	int64_t hold_ms;
	size_t answer_max;
	uint64_t queue_bytes;

	struct commits log;   /* the queue on disk */
	struct commits names; /* a log of the series there are */
	struct influx_opening *opening;

	pthread_mutex_t lock; /* what follows */
	struct influx_series **by_id;
	uint32_t end, cap;
	struct map labels;     /* every label name there was; keys are owned */
	uint64_t seq;          /* of the last record of the queue */
	uint64_t cut, told;    /* the last that is done with; as the log says */
	uint64_t queued, done; /* batches that came in, and went out */
	struct buf record;
	/* The oldest first; up to `unsent` the server has them, and they are
	 * held until it is sure to keep them. */
	struct influx_batch *first, *unsent, **last;
	int64_t born; /* when the server that has them was started; 0: not
		       * known yet */
	bool doubt;   /* it may be another one by now */
	uint64_t bytes, points;
	uint64_t dropped;
	int trouble;
	char why[128];
	bool stop;
	pthread_cond_t wake; /* the sender: there is something to send */
	pthread_cond_t sent; /* those in metric_flush() */

	pthread_t sender;
};

static inline struct influx *
influx_of(struct engine *g)
{
	return (struct influx *)(void *)g;
}

/* --- requests (influx_http.c) -------------------------------------------- */

struct influx_answer {
	long status;
	bool fresh;             /* a connection was made for it */
	int64_t retry_after_ms; /* 0: it did not say */
	size_t max;             /* bytes of the body */
	struct buf body;
};

/* One request: POST, or GET if `type` is NULL; [blocks]. `c` is reused by one
 * thread at a time, NULL: a new one. ERR_CLOSED: the server can not be reached,
 * or did not answer in time; ERR_LIMIT: the answer is too long. Free the body.
 */
int influx_request(struct influx *e, CURL *c, const char *path,
    struct str query, const char *type, struct str body,
    struct influx_answer *ret, struct err *err);
/* ERR_DENIED, ERR_PROTO with the server's words, unless the status is 2xx. */
int influx_check(const struct influx_answer *a, struct err *err);
/* The server's own words for what is wrong, cut. */
void influx_reason(const struct influx_answer *a, char *to, size_t size);

/* --- names and queries (influx_query.c) ---------------------------------- */

#define INFLUX_NAME_TAG "__name__"
#define INFLUX_PLAIN_NAME "field" /* a series of this name has no such tag */

/* "mc_gauge_float_data" */
struct str influx_measurement(
    const struct influx *e, enum metric_kind kind, struct arena *a);

int influx_read(struct engine *g, const struct metric_series *s, int64_t from,
    int64_t to, metric_visit *visit, void *ctx, struct err *err);
int influx_last(struct engine *g, const struct metric_series *s,
    struct arena *a, struct metric_point *ret, struct err *err);
int influx_windows(struct engine *g, const struct metric_series *s,
    const struct metric_query *q, struct arena *a, struct metric_windows *ret,
    struct err *err);
int influx_delete(
    struct influx *e, const struct metric_series *s, struct err *err);

/* Conditions of all tags; for VictoriaMetrics `,name="value"` each. */
void influx_put_tags(struct influx *e, const struct metric_series *s,
    struct buf *out, struct arena *a);

/* --- VictoriaMetrics (influx_victoria.c) --------------------------------- */

#define VICTORIA_LABELS_MAX 29 /* it keeps 30, and `db` is one of them */

/* ERR_PARAM: it can not keep such a series. */
int victoria_check(const struct metric_series *s, struct err *err);
/* When it was started, by its clock. ERR_AGAIN: so lately that another start
 * could be mistaken for this one. */
int victoria_born(struct influx *e, CURL *c, int64_t *ret, struct err *err);
/* A line: measurement and tags, name and value; the time is the caller's. */
void victoria_put_head(
    struct buf *out, struct str measurement, const struct metric_series *s);
void victoria_put_value(
    struct buf *out, const struct metric_series *s, double value);
/* A condition of a selector. */
void victoria_put_tag(struct buf *out, struct str name, struct str value);
int victoria_read(struct influx *e, const struct metric_series *s, int64_t from,
    int64_t to, metric_visit *visit, void *ctx, struct err *err);
int victoria_last(struct influx *e, const struct metric_series *s,
    struct metric_point *ret, struct err *err);
/* `sent_at`: see struct influx_series. */
int victoria_delete(struct influx *e, const struct metric_series *s,
    int64_t sent_at, struct err *err);

#endif
