/*
 * base/conf.h - settings: every one said once, in a row.
 *
 * A module describes its settings by rows over a struct of its own; the rows
 * of all modules together are a `struct conf`. From them come the parsers for
 * the file (codec/conf_json5), command line and environment, the checks, the
 * defaults, `marram config sample` and the reference page.
 *
 * Spellings of one key, say "broker.mqChannels.data.url": in a file the nested
 * members; as a flag --broker.mq-channels.data.url, where dashes and case do
 * not count; as a variable BROKER_MQCHANNELS_DATA_URL, where words may be
 * split by "_" or not. Some rows have one more spelling (`flag`, `alias`).
 *
 * Where one setting has several sources the file wins over the flag, the flag
 * over the variable, the variable over the default (Sylvia-IoT's order). What
 * a file overruled is told as a warning.
 */
#ifndef BASE_CONF_H
#define BASE_CONF_H

#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum conf_type {
	CONF_TYPE_TEXT, /* struct str; null when nothing was given */
	CONF_TYPE_INT,  /* int64_t; FIELD of min..max */
	CONF_TYPE_BOOL, /* bool */
	CONF_TYPE_ENUM, /* int64_t, place in `choices` */
	CONF_TYPE_JSON, /* struct str, an object as JSON text */
	CONF_TYPE_SIZE, /* int64_t bytes; "64KiB", "1MiB" are understood */
	CONF_TYPE_MS,   /* int64_t; "30s", "5m", "1h", "14d" understood */
};

struct conf_field {
	const char *key;  /* within the section: "httpPort", "db.engine" */
	const char *flag; /* one more flag spelling, whole: "server.static" */
	const char *const *alias; /* old or misprinted whole keys, NULL ends:
				   * taken, with a warning */
	const char *also;         /* one more whole key, as good as the first */
	enum conf_type type;
	size_t offset;
	const char *def;            /* as it would be typed; NULL: nothing */
	int64_t min, max;           /* INT, SIZE, MS; both 0: any from 0 on */
	const char *const *choices; /* ENUM, NULL ends */
	bool secret;                /* never printed */
	bool live;                  /* may be changed while the program runs */
	/* TEXT that is not empty: 0, or ERR_PARAM with what is wrong */
	int (*check)(struct str text, struct err *err);
	bool fallback;     /* ENUM: an unknown word means the default, and a
			    * warning, instead of an error */
	const char *inert; /* why it has no effect now: a warning when it is
			    * set; NULL: it has one */
	const char *help;
};

#define CONF_ROW(S, m, ctype, ctypeid, name, ...)                              \
	{                                                                      \
		.key = name, .type = ctypeid,                                  \
		.offset = offsetof(S, m) +                                     \
		    0 *                                                        \
			sizeof(char[__builtin_types_compatible_p(              \
					__typeof__(((S *)0)->m), ctype)        \
				? 1                                            \
				: -1]),                                        \
		__VA_ARGS__                                                    \
	}
#define CONF_TEXT(S, m, name, ...)                                             \
	CONF_ROW(S, m, struct str, CONF_TYPE_TEXT, name, __VA_ARGS__)
#define CONF_INT(S, m, name, ...)                                              \
	CONF_ROW(S, m, int64_t, CONF_TYPE_INT, name, __VA_ARGS__)
#define CONF_BOOL(S, m, name, ...)                                             \
	CONF_ROW(S, m, bool, CONF_TYPE_BOOL, name, __VA_ARGS__)
#define CONF_ENUM(S, m, name, ...)                                             \
	CONF_ROW(S, m, int64_t, CONF_TYPE_ENUM, name, __VA_ARGS__)
#define CONF_JSON(S, m, name, ...)                                             \
	CONF_ROW(S, m, struct str, CONF_TYPE_JSON, name, __VA_ARGS__)
#define CONF_SIZE(S, m, name, ...)                                             \
	CONF_ROW(S, m, int64_t, CONF_TYPE_SIZE, name, __VA_ARGS__)
#define CONF_MS(S, m, name, ...)                                               \
	CONF_ROW(S, m, int64_t, CONF_TYPE_MS, name, __VA_ARGS__)

struct conf_section {
	const char *prefix; /* "server", "mqtt.listener1" */
	const char *help;
	const struct conf_field *fields; /* ends with a row whose key is NULL */
	void *values;                    /* the module's struct, borrowed */
	bool repeats; /* has the rows of the section before it, whose help says
		       * so: people read them only once */
};

enum conf_source {
	CONF_DEFAULT,
	CONF_ENV,
	CONF_FLAG,
	CONF_FILE,
	CONF_LIVE,
};

struct conf;

/* `sections` ends with a prefix NULL; borrowed. Values are set by
 * conf_apply(). */
struct conf *conf_new(const struct conf_section *sections);
void conf_free(struct conf *c); /* texts in the values go with it */

/* Takes one value of a file. Remembers it; conf_apply() decides. `key` is the
 * whole dotted key. An unknown key below a known section is a warning; a key
 * of an unknown section is passed over. `null` means: not set, on purpose. */
int conf_file_value(struct conf *c, struct str key, struct str value, bool null,
    struct err *err);
/* True when some known key begins with `key` and a dot: the reader of a file
 * goes into the object; else an object is the value itself. */
bool conf_is_group(const struct conf *c, struct str key);

/* Takes `--key value` or `--key=value` at argv[*i]: 1 if it was one of ours
 * (`*i` stands on its last word), 0 if not, negative on error. A BOOL may stand
 * without its value. */
int conf_flag(struct conf *c, int argc, char **argv, int *i, struct err *err);
/* The same for a value that was got in another way (a short flag). */
int conf_flag_value(
    struct conf *c, const char *key, struct str value, struct err *err);
/* Takes what it knows of an environment ("NAME=value", NULL ends). */
void conf_environ(struct conf *c, char **env);

/* Checks and stores the winning value of each key. A bad value of a flag or
 * file is an error that names where it came from; of the environment, for
 * numbers and choices, a warning and the default. */
int conf_apply(struct conf *c, struct err *err);

/* What conf_apply() and the rest had to say, one call per line. */
void conf_warnings(
    const struct conf *c, void (*each)(void *ctx, const char *text), void *ctx);
enum conf_source conf_source_of(const struct conf *c, const char *key);
/* True when a file said null: not set, on purpose. */
bool conf_is_null(const struct conf *c, const char *key);

/* --- changed while the program runs: rows that are `live` ---------------- */

/* One of them, its values as they would be typed; lent until it is changed. */
struct conf_state {
	const struct conf_field *field;
	struct str key;   /* whole */
	struct str value; /* STR_NULL: none */
	struct str start; /* without what was set since */
	enum conf_source source;
};

/* Sets it, over what file, flag or variable say; STR_NULL goes back to these.
 * The text is copied; texts in the module's struct are lent until the next
 * change. ERR_NOT_FOUND: there is none of that name that is live; ERR_PARAM:
 * the value. Then nothing has changed. Not for two threads at a time. */
int conf_set_live(
    struct conf *c, struct str key, struct str text, struct err *err);
bool conf_live_state(
    const struct conf *c, struct str key, struct conf_state *ret);
void conf_each_live(const struct conf *c,
    void (*each)(void *ctx, const struct conf_state *s), void *ctx);
/* By enum conf_type and enum conf_source: "text", "file". NULL ends. */
extern const char *const conf_type_names[], *const conf_source_names[];

/* A JSON5 file of all settings with their help, values commented out. */
void conf_sample(const struct conf *c, struct buf *out);
/* The flags with their help, for --help. */
void conf_usage(const struct conf *c, struct buf *out);
/* A reference page in Markdown. */
void conf_reference(const struct conf *c, struct buf *out);

#endif
