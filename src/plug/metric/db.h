/*
 * plug/metric/db.h - blocks, series and a few numbers in an SQLite file.
 *
 * A block's key says its series, tier, and the second in which it begins, in
 * this order, so that a range of time is a range of keys. Blocks of one series
 * and tier do not overlap, and no two have points in the same second.
 *
 * One connection writes; its user has a lock of his own. Readers are taken from
 * a pool, from any thread, and see one moment of the file from begin to end.
 */
#ifndef PLUG_METRIC_DB_H
#define PLUG_METRIC_DB_H

#include "plug/metric/metric.h"

struct db;
struct db_conn;

/* `dir` exists; the file in it is made if need be. */
int db_open(const char *dir, bool sync, struct db **ret, struct err *err);
void db_close(struct db *d); /* NULL is fine */

struct db_conn *db_writer(struct db *d);
int db_take(struct db *d, struct db_conn **ret, struct err *err);
void db_give(struct db *d, struct db_conn *c);

/* A transaction: of the writer to write, of a reader to see one moment. */
int db_begin(struct db_conn *c, struct err *err);
int db_end(struct db_conn *c, bool keep, struct err *err);
/* Moves what was written into the file itself, and the log beside it away. */
void db_settle(struct db *d);
uint64_t db_bytes(struct db *d);

struct db_block {
	int64_t key;
	int64_t last; /* the largest time in it */
	int64_t n;
	struct str data; /* lent until the visitor returns */
};

/* More comes when it gives 1; 0 and errors end. */
typedef int db_visit(void *ctx, const struct db_block *b, struct err *err);

/* The blocks that may have something in [from, to), by time. */
int db_blocks(struct db_conn *c, uint32_t series, enum metric_tier tier,
    int64_t from, int64_t to, db_visit *visit, void *ctx, struct err *err);
/* The blocks that begin not after the second of `at`, the newest first. */
int db_blocks_down(struct db_conn *c, uint32_t series, enum metric_tier tier,
    int64_t at, db_visit *visit, void *ctx, struct err *err);

/* Writer. */
int db_put_block(struct db_conn *c, uint32_t series, enum metric_tier tier,
    int64_t first, int64_t last, size_t n, struct str data, struct err *err);
int db_del_block(struct db_conn *c, int64_t key, struct err *err);
/* Keeps a damaged block elsewhere, for whoever may want to look at it. */
int db_set_aside(struct db_conn *c, const struct db_block *b, struct err *err);
int db_count_aside(struct db_conn *c, int64_t *ret, struct err *err);
/* Deletes a tier's blocks that end before `end`. */
int db_del_before(struct db_conn *c, uint32_t series, enum metric_tier tier,
    int64_t end, struct err *err);
int db_put_series(
    struct db_conn *c, const struct metric_series *s, struct err *err);
/* With all its blocks. */
int db_del_series(struct db_conn *c, uint32_t series, struct err *err);

/* Visits all series; they are lent. Not 0 from the visitor ends. */
int db_each_series(struct db_conn *c,
    int (*each)(void *ctx, const struct metric_series *s, struct err *err),
    void *ctx, struct err *err);

/* Numbers by name; 0 if it was never set. */
int db_get_number(
    struct db_conn *c, const char *name, int64_t *ret, struct err *err);
int db_set_number(
    struct db_conn *c, const char *name, int64_t value, struct err *err);

#endif
