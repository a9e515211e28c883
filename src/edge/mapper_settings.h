/*
 * edge/mapper_settings.h - what a mapper is set to: of c8y, az, aws and marram
 * their keys of tedge.toml; of a mapper that a user has made, its folder
 * mappers/NAME with the file mapper.toml, and what stands in for what that does
 * not say.
 *
 * The same values are what the mapper runs with, what ${mapper.KEY} stands for
 * in the rules of its bridge, and what `tedge mapper` shows.
 */
#ifndef EDGE_MAPPER_SETTINGS_H
#define EDGE_MAPPER_SETTINGS_H

#include "base/arena.h"
#include "edge/config.h"

/* One value, and where it is from: "from mapper.toml". NULL: not set. */
struct mapper_value {
	const char *text, *from;
	const char *tag; /* the same in short: "mapper.toml" */
};

struct mapper_settings {
	const struct config *config; /* borrowed */
	const char *name;            /* "c8y", "thingsboard" */
	const char *folder;          /* ".../mappers/c8y.second" */
	struct cloud cloud;          /* of a built-in one; else without name */
	bool by_account;             /* without a certificate */
	const char *device_id;       /* of a built-in one, as its bridge has it;
				      * NULL: as it is set */

	/* Of one that a user has made. */
	const struct toml *own; /* mapper.toml; NULL: there is none */
	struct mapper_value url, id, cert, key, roots, credentials, auth,
	    tls_said;
	const char *host; /* of the url; NULL: no url */
	uint16_t port;
	bool tls; /* as is said, else as the port is */
	bool clean_session;
	int64_t keepalive_ms;
	uint32_t max_payload;
	const char *cloud_type; /* "" if it says none */
};

/* Its folder: "DIR/mappers/NAME", of a profile "DIR/mappers/NAME.PROFILE". */
const char *mapper_folder(const struct config *c, const char *name,
    struct str profile, struct arena *a);

/* May a user's mapper be called so? */
bool mapper_name_ok(struct str name);
/* Is it one of a user: a good name, no built-in one, and its folder is there?
 */
bool mapper_is_custom(const struct config *c, struct str name);

/* Calls `each` for each folder of mappers/, in the order of the alphabet. */
void mapper_each_folder(const struct config *c,
    void (*each)(void *ctx, const char *name), void *ctx);

/* Of a built-in one. Borrows the config. */
void mapper_settings_cloud(const struct cloud *cloud, bool by_account,
    struct arena *a, struct mapper_settings *ret);
/* Of one that a user has made, with texts in `a`; borrows `c`. A missing
 * mapper.toml is fine. ERR_NOT_FOUND: there is no such folder, ERR_PARAM: what
 * stands in it is wrong; the sentence names file and line. */
int mapper_settings_read(const struct config *c, const char *name,
    struct arena *a, struct mapper_settings *ret, struct err *err);

struct mapper_found {
	bool is_list;
	struct str text;   /* as typed; a list's with commas */
	struct strs list;  /* is_list */
	const char *from;  /* where it is from */
	const char *shown; /* how the user knows the key: "c8y.url", "url" */
};

/* By a dotted key. ERR_NOT_FOUND: it is known, and not set; ERR_PARAM: there is
 * none like it, or it is a table. The sentence names it. Texts in `a`. */
int mapper_setting(const struct mapper_settings *m, struct str key,
    struct arena *a, struct mapper_found *ret, struct err *err);

#endif
