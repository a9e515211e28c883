/*
 * core/fleet/state_edit.h - one call about the state of a unit, from reading it
 * to the answer.
 *
 *    state_api.c      the state as a whole, and its order
 *    state_config.c   configurations
 *    state_tag.c      tags
 *    state_use.c      modules of either
 *
 * Each part has a mark of its own (ETag): who changes one configuration is not
 * disturbed by who changes another. The repository is taken from edit_begin()
 * until one of the functions that answer; they give it back.
 */
#ifndef CORE_FLEET_STATE_EDIT_H
#define CORE_FLEET_STATE_EDIT_H

#include "core/fleet/state.h"

struct edit {
	struct http_call *c;
	struct fleet_repo *r; /* NULL: given back */
	struct fleet_state s;
	/* what the path names, or what was made; NULL both: the whole */
	struct fleet_config *config;
	struct fleet_tag *tag;
	struct err err;
};

/* Takes the repository and reads its state. The others find what the path names
 * as well, and unless `verb` only reads, the caller must have seen what it
 * changes (If-Match). False: answered. */
bool edit_begin(struct edit *e, struct http_call *c, enum rest_verb verb);
bool edit_begin_config(
    struct edit *e, struct http_call *c, enum rest_verb verb);
bool edit_begin_tag(struct edit *e, struct http_call *c, enum rest_verb verb);
/* The object that the body has in "data". False: answered. */
bool edit_data(struct edit *e, struct str *ret);
/* Has the caller seen what it changes? False: answered. */
bool edit_seen(struct edit *e);

/* Gives the repository back, without an answer. */
void edit_leave(struct edit *e);
/* Answers with e->err. */
void edit_fail(struct edit *e);
/* Stores what was changed, and answers with what could not be generated.
 * `identifier` null: not said. */
void edit_finish(struct edit *e, struct str identifier);
/* Answers with the configuration, the tag, or the whole, and its mark. */
void edit_show(struct edit *e);
/* The same with another value: it is put between the two. */
struct json_out *edit_show_begin(struct edit *e);
void edit_show_end(struct edit *e);
/* Answers with what the query wants of `n` items, or with how many they are. */
void edit_list(struct edit *e, size_t n,
    void (*put)(struct json_out *o, const struct fleet_state *s, size_t i));
void edit_count(struct edit *e, size_t n);

/* A copy of `n` items with room for one more, which is zero, at its end. In the
 * call's arena. */
void *edit_one_more(struct edit *e, const void *list, size_t n, size_t size);
/* Is an identifier what it was? It is the name of a folder, and devices have
 * it. False: e->err says so. */
bool edit_same_identifier(struct edit *e, struct str was, struct str is);
/* An identifier made of the name, which nothing that `find` knows has. */
struct str edit_identifier(struct edit *e, struct str name,
    bool (*is_there)(const struct fleet_state *s, struct str identifier));

extern const struct record fleet_use_record, fleet_config_record,
    fleet_tag_record, fleet_changed_record;

/* How rows begin, and what they have alike. */
#define EDIT_ROW(verb, path, what)                                             \
	verb, path, HTTP_TOKEN, .scope = "fleet.state." what,                  \
				.query = &fleet_unit_query,                    \
				.query_members = "unit!"
#define EDIT_BIG .body_max = STATE_MAX
#define EDIT_CHANGED                                                           \
	.reply = { .record = &fleet_changed_record, .sometimes = "identifier" }

#endif
