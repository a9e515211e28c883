/*
 * codec/go_template_private.h - values of templates, and the functions on them.
 * Private to codec/go_template*.c.
 *
 * An array or object stays JSON text: it is read again where it is looked into,
 * and each time is paid for in steps.
 */
#ifndef CODEC_GO_TEMPLATE_PRIVATE_H
#define CODEC_GO_TEMPLATE_PRIVATE_H

#include "codec/go_template.h"
#include "codec/json.h"

enum val_kind {
	VAL_NONE, /* null, or not there */
	VAL_BOOL,
	VAL_INT,
	VAL_REAL,
	VAL_TEXT,
	VAL_ARRAY,
	VAL_OBJECT,
	VAL_TIME,     /* ns since 1970 */
	VAL_DURATION, /* ns */
};

struct val {
	enum val_kind kind;
	bool utc; /* TIME: shown in UTC, whatever the zone */
	union {
		bool truth;
		int64_t num;
		double real;
		struct str text; /* TEXT; ARRAY, OBJECT: JSON */
	};
};

/* One run of a template. Functions return 0 or have set x->err. */
struct exec {
	struct arena *arena;
	const struct go_template_host *host;
	uint64_t max_output, max_steps, max_depth, max_memory;
	uint64_t steps;
	size_t arena_start;
	unsigned depth;
	struct err *err;
};

typedef int go_func(
    struct exec *x, const struct val *args, size_t n, struct val *ret);

struct go_func_row {
	const char *name;
	size_t min, max; /* arguments */
	go_func *run;    /* NULL: `and`, `or`, which the caller does */
};

#define GO_ARGS_MAX 64

const struct go_func_row *go_func_find(struct str name);
/* A method of a time or duration; NULL: it has none of that name. */
const struct go_func_row *go_method_find(
    const struct val *receiver, struct str name);
/* Its first argument is the receiver. A text that is a time becomes one. */
bool go_val_as_time(struct val *v);

int go_charge(struct exec *x, size_t steps);
/* Text made by a function: no longer than max_output. */
int go_text(struct exec *x, struct buf *b, struct val *ret); /* frees `b` */
struct val go_val_text(struct str s);
bool go_val_truth(const struct val *v);
/* The value that stands next. */
struct val go_val_read(struct exec *x, struct json *j);
/* The member of an object, or VAL_NONE. */
int go_val_member(struct exec *x, const struct val *object, struct str name,
    bool any_case, struct val *ret);
/* The item of an array: false when there is none. */
bool go_val_item(
    struct exec *x, const struct val *array, int64_t i, struct val *ret);
int64_t go_val_len(struct exec *x, const struct val *v);
/* As `{{ . }}` shows it. */
int go_val_print(struct exec *x, struct buf *out, const struct val *v);
int go_val_to_json(struct exec *x, struct buf *out, const struct val *v);
const char *go_val_type(const struct val *v); /* "string", for errors */
void go_real_text(struct buf *out, double d, int precision, char verb);

int go_printf(
    struct exec *x, const struct val *args, size_t n, struct val *ret);

/* codec/go_time.c: what Format() makes of a layout. */
void go_time_format(
    struct buf *out, int64_t ns, const struct zone *zone, struct str layout);

#endif
