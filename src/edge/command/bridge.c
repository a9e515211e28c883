/*
 * edge/command/bridge.c - `bridge inspect|test`: what the rule files of a
 * mapper's bridge come to. See edge/rule_file.h.
 */
#include "edge/command.h"

#include "base/base.h"
#include "base/mem.h"
#include "codec/mqtt.h"
#include "edge/bridge_plan.h"
#include "edge/mosquitto.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define NO_MATCH 2 /* exit status of `test` */

enum outcome { FAILED, TOLD, READ };

struct look {
	struct command_call *call;
	struct cloud cloud; /* its name is the mapper's */
	const char *title;  /* of a cloud; NULL: a user's mapper */
	struct arena arena;
	struct mapper_settings settings;
	struct rule_set rules;
};

/* --- reading ------------------------------------------------------------- */

static bool
shows_all(const struct command_call *c)
{
	return command_option(c, "show-all") != NULL ||
	    command_option(c, "debug") != NULL;
}

static void
say_not_connected(const struct look *l)
{
	struct str profile = l->cloud.profile;

	printf("Not connected to %s%s" STR_FMT "\n", l->title,
	    profile.len > 0 ? " with profile " : "", STR_ARG(profile));
}

/* Is there a bridge of this process to the cloud? Else it is said why not. */
static bool
has_bridge(struct look *l)
{
	if (mosquitto_bridges(l->cloud.config)) {
		printf("Built-in bridge is disabled\n");
		if (mosquitto_is_connected(&l->cloud))
			printf("The mosquitto bridge config is stored in "
			       "%s\n",
			    mosquitto_bridge_file(&l->cloud, &l->arena).ptr);
		else
			say_not_connected(l);
		return false;
	}
	if (!mosquitto_is_connected(&l->cloud)) {
		say_not_connected(l);
		return false;
	}
	return true;
}

static bool
is_folder(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

static void
say_head(struct look *l, const char *folder)
{
	if (l->title != NULL)
		printf("Bridge configuration for %s\n", l->title);
	else
		printf("Bridge configuration for custom mapper '%s'\n",
		    l->cloud.name);
	if (l->cloud.profile.len > 0)
		printf("Profile: " STR_FMT "\n", STR_ARG(l->cloud.profile));
	printf("Reading from: %s\n\n", folder);
}

static void
say_no_folder(struct look *l, const char *folder)
{
	if (l->title != NULL) {
		say_head(l, folder);
		printf("No bridge configuration directory found.\n"
		       "The bridge configuration will be created when the "
		       "mapper starts.\n");
		return;
	}
	printf("No bridge configuration directory found for custom mapper "
	       "'%s'\nExpected bridge rules at: %s\n",
	    l->cloud.name, folder);
}

static void
say_skipped(const struct look *l)
{
	if (l->rules.skipped == NULL)
		return;
	printf("Skipped rules:\n\n");
	for (const struct rule_skipped *s = l->rules.skipped; s != NULL;
	     s = s->next)
		printf("  %s:%u: %s: %s\n", s->file, s->line, s->what, s->why);
	printf("\n");
}

static enum outcome
read_rules(struct look *l, struct err *err)
{
	const char *folder = bridge_rule_folder(&l->settings, &l->arena);

	if (!is_folder(folder)) {
		say_no_folder(l, folder);
		return TOLD;
	}
	say_head(l, folder);
	l->rules.arena = &l->arena;
	if (rule_folder_read(&l->rules, &l->settings, folder, err) != 0)
		return FAILED;
	for (const struct rule_disabled *d = l->rules.disabled; d != NULL;
	     d = d->next)
		printf("Skipping: %s (disabled)\n", d->file);
	if (l->rules.files == 0) {
		printf("No bridge configuration files found.\n");
		return TOLD;
	}
	if (l->rules.n == 0) {
		printf("Bridge config files exist, but no rules were "
		       "generated\n");
		if (!shows_all(l->call))
			printf("Help: Try running with the `--show-all` flag "
			       "to see more information on disabled rules\n");
	}
	if (shows_all(l->call))
		say_skipped(l);
	return l->rules.n > 0 ? READ : TOLD;
}

/* The mapper that was named, and its rules. */
static enum outcome
look(struct look *l, struct err *err)
{
	const char *name = command_arg(l->call, "MAPPER");
	const char *profile = command_option(l->call, "profile");
	struct config *config = command_config(l->call);
	int rc;

	*err = (struct err){ 0 }; /* told already */
	if (config == NULL)
		return FAILED;
	l->cloud = (struct cloud){ config, name, STR_NULL };
	l->title = bridge_title(name);
	if (l->title != NULL && !command_cloud(l->call, name, &l->cloud))
		return FAILED;
	if (l->title == NULL && profile != NULL && *profile != '\0' &&
	    command_was_given(l->call, "profile")) {
		err_set(err, ERR_PARAM,
		    "%s is no cloud: only clouds have profiles", name);
		return FAILED;
	}
	if (l->title == NULL && !mapper_is_custom(config, str_of(name))) {
		err_set(err, ERR_NOT_FOUND,
		    "Custom mapper '%s' not found at %s", name,
		    mapper_folder(config, name, STR_NULL, &l->arena));
		return FAILED;
	}
	if (l->title != NULL && !has_bridge(l))
		return TOLD;
	rc = bridge_settings(&l->cloud, &l->arena, &l->settings, err);
	return rc == 0 ? read_rules(l, err) : FAILED;
}

static int
failed(const char *what, const struct look *l, const struct err *err)
{
	char *doing;
	int rc = 1;

	if (err->text[0] == '\0') /* told already */
		return rc;
	doing = mem_printf("%s %s", what, command_arg(l->call, "MAPPER"));
	rc = command_failed(doing, err);
	free(doing);
	return rc;
}

/* --- inspect ------------------------------------------------------------- */

struct way {
	enum mqtt_bridge_direction direction;
	const char *title, *arrow;
	bool from_remote; /* the remote side stands first */
};

static const struct way ways[] = {
	{ MQTT_BRIDGE_OUT, "Local -> Remote", "->", false },
	{ MQTT_BRIDGE_IN, "Remote -> Local", "->", true },
	{ MQTT_BRIDGE_BOTH, "Bidirectional", "<->", false },
};

static void
put_way(const struct rule_set *set, const struct way *w)
{
	size_t widest = 0, n = 0;

	printf("%s\n", w->title);
	for (size_t i = 0; i < set->n; i++) {
		const struct mqtt_bridge_rule *r = &set->rules[i];
		const char *left =
		    w->from_remote ? r->remote_prefix : r->local_prefix;

		if (r->direction == w->direction)
			widest =
			    MAX_OF(widest, strlen(left) + strlen(r->pattern));
	}
	for (size_t i = 0; i < set->n; i++) {
		const struct mqtt_bridge_rule *r = &set->rules[i];
		const char *left =
		    w->from_remote ? r->remote_prefix : r->local_prefix;
		const char *right =
		    w->from_remote ? r->local_prefix : r->remote_prefix;

		if (r->direction != w->direction)
			continue;
		printf("  %s%-*s  %s  %s%s\n", left,
		    (int)(widest - strlen(left)), r->pattern, w->arrow, right,
		    r->pattern);
		n++;
	}
	if (n == 0)
		printf("  -- No matching rules --\n");
}

static int
inspect(struct command_call *c)
{
	struct look l = { .call = c };
	struct err err;
	enum outcome o = look(&l, &err);
	int status = 0;

	if (o == FAILED)
		status =
		    failed("inspect the bridge configuration for", &l, &err);
	for (size_t i = 0; o == READ && i < COUNT_OF(ways); i++) {
		if (i > 0)
			printf("\n");
		put_way(&l.rules, &ways[i]);
	}
	arena_fini(&l.arena);
	return status;
}

/* --- test ---------------------------------------------------------------- */

/* Where `topic` comes out that goes in under `from`; NULL: it does not. */
static const char *
carried(struct look *l, const struct mqtt_bridge_rule *r, const char *from,
    const char *to, const char *topic)
{
	struct str filter = arena_printf(&l->arena, "%s%s", from, r->pattern);

	return mqtt_filter_matches(filter, str_of(topic))
	    ? arena_printf(&l->arena, "%s%s", to, topic + strlen(from)).ptr
	    : NULL;
}

static bool
test_way(struct look *l, const struct mqtt_bridge_rule *r, bool from_remote,
    const char *topic)
{
	static const char *const sides[] = { "[local]", "[remote]" };
	static const char *const words[] = {
		[MQTT_BRIDGE_IN] = "inbound",
		[MQTT_BRIDGE_OUT] = "outbound",
		[MQTT_BRIDGE_BOTH] = "bidirectional",
	};
	const char *from = from_remote ? r->remote_prefix : r->local_prefix;
	const char *to = from_remote ? r->local_prefix : r->remote_prefix;
	const char *out;

	if ((r->direction & (from_remote ? MQTT_BRIDGE_IN : MQTT_BRIDGE_OUT)) ==
		0 ||
	    (out = carried(l, r, from, to, topic)) == NULL)
		return false;
	printf("%s %s  ->  %s %s (%s)\n", sides[from_remote], topic,
	    sides[!from_remote], out, words[r->direction]);
	if (strcmp(topic + strlen(from), r->pattern) != 0)
		printf("  matched by rule: %s%s -> %s%s\n", from, r->pattern,
		    to, r->pattern);
	return true;
}

static int
test(struct command_call *c)
{
	const char *topic = command_arg(c, "TOPIC");
	struct look l = { .call = c };
	enum outcome o;
	struct err err;
	bool any = false;
	int status;

	if (strpbrk(topic, "#+") != NULL) {
		fprintf(stderr,
		    "Error: Wildcard characters (#, +) are not supported. "
		    "Provide a concrete topic to test against.\n");
		return 1;
	}
	o = look(&l, &err);
	status =
	    o == FAILED ? failed("test the bridge of", &l, &err) : NO_MATCH;
	for (size_t i = 0; o == READ && i < l.rules.n; i++) {
		any = test_way(&l, &l.rules.rules[i], false, topic) || any;
		any = test_way(&l, &l.rules.rules[i], true, topic) || any;
	}
	if (any)
		status = 0;
	else if (o == READ)
		printf("No matching bridge rule found for \"%s\"\n", topic);
	arena_fini(&l.arena);
	return status;
}

/* --- rows ---------------------------------------------------------------- */

static const struct command_option options[] = {
	{ .name = "profile",
	    .arg = "NAME",
	    .env = "TEDGE_CLOUD_PROFILE",
	    .help = "the profile of the cloud" },
	{ .name = "show-all",
	    .help = "show the rules that do not hold, too, and why; --debug "
		    "does so as well" },
	{ 0 },
};

const struct command bridge_commands[] = {
	{ .words = "bridge inspect",
	    .args = "MAPPER",
	    .options = options,
	    .help = "Show the rules of the bridge of a mapper: c8y, az, aws, "
		    "marram, or one of your own",
	    .run = inspect },
	{ .words = "bridge test",
	    .args = "MAPPER TOPIC",
	    .options = options,
	    .help = "Show where the bridge carries a local or a remote topic; "
		    "exits with 2 if nowhere",
	    .run = test },
	{ 0 },
};
