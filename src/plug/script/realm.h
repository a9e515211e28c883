/*
 * plug/script/realm.h - JavaScript in the helper: worlds that scripts run in.
 *
 * One engine per process, one thread. prelude.js says which two kinds of
 * worlds there are and what is in them.
 */
#ifndef PLUG_SCRIPT_REALM_H
#define PLUG_SCRIPT_REALM_H

#include "base/str.h"
#include "plug/script/wire.h"

#include <stdbool.h>
#include <stdint.h>

/* A request of the script that runs; adds the JSON of the answer to `ret`:
 * {"status", "headers", "body"} or {"error"}. */
typedef void realm_ask(struct wire_ask *ask, struct buf *ret);

/* Makes the engine and runs what it needs to be warm: threads started, code
 * compiled, time zone read. */
void realm_start(bool jit, uint32_t output_max, realm_ask *ask);

struct realm_source;
/* Copies `text`. */
struct realm_source *realm_source_new(struct str text);
void realm_source_free(struct realm_source *s); /* NULL is fine */

struct realm_call {
	struct realm_source *source; /* NULL: a failure */
	uint8_t entry;
	uint8_t flags;
	struct str arg;
	uint32_t n_vars;
	struct wire vars; /* name, JSON, name, JSON, ... */
};

/* The answer, lent until the next call. */
struct realm_answer {
	bool good;
	enum wire_code code;
	uint32_t line;
	struct str text;
	struct str console;
};

void realm_run(const struct realm_call *call, struct realm_answer *ret);

#endif
