/*
 * core/data/private.h - what the files of core/data share.
 */
#ifndef CORE_DATA_PRIVATE_H
#define CORE_DATA_PRIVATE_H

#include "base/counter.h"
#include "core/data/data.h"

#include <pthread.h>

struct data_counters {
#define COUNTER(name, unit, help) counter_t name;
#define GAUGE(name, unit, help) counter_t name;
#include "core/data/counters.def"
#undef COUNTER
#undef GAUGE
};

extern const struct entity *const data_kind_entities[DATA_KINDS];
extern const struct counter_row data_counter_rows[];
extern const size_t data_counter_rows_n;

/* A group that gathers, or is being written. */
struct data_result {
	enum data_kind kind;
	struct str data_id;
	int64_t resp, status;
};

struct data_group {
	struct arena arena;
	struct {
		void *rows; /* of the kind's struct */
		size_t n, cap;
	} kinds[DATA_KINDS];
	struct data_result *results;
	size_t n_results, cap_results;
	size_t n; /* records in all */
	struct data_commit *first, **last;
};

struct data {
	struct data_conf conf;
	_Atomic int64_t retention_ms; /* 0: for ever */
	struct auth *auth;
	struct store *store;
	data_may_unit *may;
	void *owner;
	struct rest_mounts mounts;
	struct data_counters counters;
	struct counter_group counter_group;

	struct loop *loop;
	pthread_t thread;
	bool running; /* the thread was started */

	pthread_mutex_t lock; /* guards what follows */
	pthread_cond_t work;
	struct data_group groups[2], *gathers;
	bool ending;

	/* between writer and loop */
	pthread_mutex_t told_lock;
	struct data_commit *told, **told_last;
	struct loop_post tell;
	bool tell_posted;
};

/* writer.c */
void data_writer_init(struct data *d);
void data_writer_fini(struct data *d);

#endif
