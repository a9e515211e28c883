/*
 * edge/rule_file.h - which topics a bridge carries, as files that people may
 * change: mappers/NAME/bridge/X.toml.
 *
 *	local_prefix = "${mapper.bridge.topic_prefix}/"
 *	remote_prefix = ""
 *	if = "${mapper.mqtt_service.enabled}"
 *
 *	[[rule]]
 *	topic = "s/us/#"
 *	direction = "outbound"               or inbound, bidirectional
 *	qos = 0                              our own; 1 if it says none
 *
 *	[[template_rule]]
 *	for = "${mapper.smartrest.templates}"    or a list: ["s", "t"]
 *	topic = "s/uc/${item}"
 *	direction = "outbound"
 *
 * A rule's own prefixes win over those of its file; each needs both. Three
 *kinds of variables may stand in prefixes and topics: ${tedge.KEY} of
 *tedge.toml,
 * ${mapper.KEY} of the mapper (edge/mapper_settings.h), and
 * ${connection.auth_method}, which is certificate or password. Secrets may not.
 * A condition is a boolean variable, one with "!" before it, or
 * "${connection.auth_method} == 'password'".
 *
 * The files of c8y, az, aws and marram come with the program and are put there
 * at the start of the mapper, as X.toml and X.toml.template. X.toml is left
 * alone when it is no longer the same as the template: then it is the user's.
 * It is not made again when only the template is there, and passed over while
 * there is an X.toml.disabled.
 */
#ifndef EDGE_RULE_FILE_H
#define EDGE_RULE_FILE_H

#include "edge/mapper_settings.h"
#include "net/mqtt/bridge.h"

#define RULES_MAX 10000            /* of one bridge */
#define RULES_BYTES_MAX (16 << 20) /* with all that is read for them */

struct rule_skipped {
	const char *file;
	uint32_t line;    /* of the rule; 1 of a whole file */
	const char *what; /* "rule", "template_rule", "file" */
	const char *why;
	struct rule_skipped *next;
};

/* A file that X.toml.disabled switches off. */
struct rule_disabled {
	const char *file;
	struct rule_disabled *next;
};

/* Zero-initialise; all of it is in the arena. */
struct rule_set {
	struct arena *arena; /* borrowed */
	struct mqtt_bridge_rule *rules;
	size_t n, cap;
	unsigned files; /* that were read */
	struct rule_skipped *skipped, *last_skipped;
	struct rule_disabled *disabled, *last_disabled;
};

/* Adds the rules of one text, in its order; one that is there already is not
 * added again. ERR_PARAM: "NAME: line 3: ...", and the set is not to be used.
 */
int rule_file_read(struct rule_set *set, const struct mapper_settings *m,
    const char *name, struct str text, struct err *err);
/* The same of every X.toml of the folder, in the order of the alphabet.
 * ERR_NOT_FOUND: there is no folder. */
int rule_folder_read(struct rule_set *set, const struct mapper_settings *m,
    const char *folder, struct err *err);

/* --- those that come with the program ------------------------------------ */

struct rule_text {
	const char *mapper;       /* "c8y" */
	const char *file;         /* "mqtt-core.toml" */
	const char *head, *rules; /* one text */
};
void rule_text_add(const struct rule_text *t, struct buf *out);
/* NULL: there is none of this mapper. */
const struct rule_text *rule_text_of(const char *mapper);

/* Puts it into the folder as said above; makes the folder. Files of the user
 * stay. ERR_IO: it could not be written. */
int rule_text_put(
    const struct rule_text *t, const char *folder, struct err *err);

#endif
