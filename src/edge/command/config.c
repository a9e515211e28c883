/*
 * edge/command/config.c - `config get|set|unset|list|add|remove`.
 *
 * What a script asks for goes to standard output alone.
 */
#include "edge/command.h"

#include "base/base.h"
#include "base/mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PROFILE                                                                \
	{                                                                      \
		.name = "profile", .arg = "PROFILE",                           \
		.env = "TEDGE_CLOUD_PROFILE",                                  \
		.help = "the profile of the cloud whose key it is"             \
	}

/* The key with --profile, to be freed: "c8y.url" and "x" are
 * "c8y.profiles.x.url". NULL: it was told what is wrong. */
static char *
whole_key(const struct command_call *c)
{
	const char *key = command_arg(c, "KEY"), *dot = strchr(key, '.');
	const char *profile = command_option(c, "profile");
	struct cloud cloud;
	char *name, *whole;
	bool is_cloud;

	if (profile == NULL || *profile == '\0')
		return mem_printf("%s", key);
	name = mem_printf("%.*s", dot == NULL ? 0 : (int)(dot - key), key);
	is_cloud = config_cloud(NULL, name, STR_NULL, &cloud, NULL) == 0;
	free(name);
	/* the variable is meant for whatever cloud comes */
	if (!is_cloud && getenv("TEDGE_CLOUD_PROFILE") != NULL)
		return mem_printf("%s", key);
	if (!is_cloud) {
		command_say("error",
		    "%s has no profiles: they are of the keys of clouds", key);
		return NULL;
	}
	whole = mem_printf(
	    "%.*s.profiles.%s%s", (int)(dot - key), key, profile, dot);
	if (config_find(str_of(whole)) != NULL ||
	    config_find(str_of(key)) == NULL)
		return whole;
	command_say("error",
	    "\"%s\" can not name a profile: use up to 64 letters and digits",
	    profile);
	free(whole);
	return NULL;
}

static int
unknown_key(const char *key)
{
	fprintf(stderr,
	    "Error: Invalid key `%s'. See `tedge config list --doc` for a list "
	    "of valid keys.\n",
	    key);
	return 1;
}

/* A value as it is printed: lists in brackets, each text in quotes. */
static void
put_value(const struct config *c, const struct config_key *row, const char *key,
    struct str value, struct buf *out)
{
	struct strs list;

	if (row->type != CONFIG_LIST) {
		buf_add_str(out, value);
		return;
	}
	list = config_list(c, key);
	buf_addc(out, '[');
	for (size_t i = 0; i < list.n; i++)
		buf_addf(out, "%s\"" STR_FMT "\"", i > 0 ? ", " : "",
		    STR_ARG(list.at[i]));
	buf_addc(out, ']');
}

static int
get(struct command_call *c)
{
	struct config *config = command_config(c);
	char *key = config == NULL ? NULL : whole_key(c);
	const struct config_key *row;
	struct buf out = { 0 };
	struct str value;
	int rc = 0;

	if (key == NULL)
		return 1;
	row = config_find(str_of(key));
	if (row == NULL) {
		rc = unknown_key(key);
		goto done;
	}
	value = config_text(config, key);
	if (value.ptr == NULL) {
		fprintf(
		    stderr, "The provided config key: '%s' is not set\n", key);
		rc = 1;
		goto done;
	}
	put_value(config, row, key, value, &out);
	puts(buf_z(&out));
done:
	buf_free(&out);
	free(key);
	return rc;
}

/* --- changes ------------------------------------------------------------- */

/* The variable that stands over the file, if there is one. */
static void
warn_of_variable(const char *key)
{
	char name[256];
	size_t n;

	snprintf(name, sizeof(name), "TEDGE_%s", key);
	for (n = 0; name[n] != '\0'; n++)
		name[n] = name[n] == '.' ? '_'
		    : name[n] >= 'a' && name[n] <= 'z'
		    ? (char)(name[n] - 'a' + 'A')
		    : name[n];
	if (getenv(name) != NULL)
		command_say("warning",
		    "the environment variable %s is set and wins over "
		    "tedge.toml",
		    name);
}

typedef int changes(
    struct config *c, struct str key, struct str value, struct err *err);

static int
unset_key(struct config *c, struct str key, struct str value, struct err *err)
{
	(void)value;
	return config_set(c, key, STR_NULL, err);
}

static int
change(
    struct command_call *c, changes *how, const char *value, const char *doing)
{
	struct config *config = command_config(c);
	char *key = config == NULL ? NULL : whole_key(c), *what;
	const struct config_key *row;
	struct err err;
	int rc;

	if (key == NULL)
		return 1;
	row = config_find(str_of(key));
	if (row == NULL) {
		rc = unknown_key(key);
		free(key);
		return rc;
	}
	rc = how(config, str_of(key), str_of(value), &err);
	if (rc != 0) {
		what = value == NULL || row->secret
		    ? mem_printf("%s the configuration key: '%s'", doing, key)
		    : mem_printf("%s the configuration key: '%s' with value: "
				 "'%s'.",
			  doing, key, value);
		rc = command_failed(what, &err);
		free(what);
	} else {
		warn_of_variable(key);
	}
	free(key);
	return rc;
}

static int
set(struct command_call *c)
{
	return change(c, config_set, command_arg(c, "VALUE"), "set");
}

static int
unset(struct command_call *c)
{
	return change(c, unset_key, NULL, "unset");
}

static int
add(struct command_call *c)
{
	return change(c, config_add, command_arg(c, "VALUE"), "add");
}

static int
take(struct command_call *c)
{
	return change(c, config_remove, command_arg(c, "VALUE"), "remove");
}

/* --- list ---------------------------------------------------------------- */

struct listing {
	const struct config *config;
	const char *filter;
	bool all, unset;
	int width;
};

static bool
is_wanted(const struct listing *l, struct str key)
{
	return l->filter == NULL ||
	    memmem(key.ptr, key.len, l->filter, strlen(l->filter)) != NULL;
}

static void
list_one(
    void *ctx, const struct config_key *row, struct str key, struct str value)
{
	const struct listing *l = ctx;
	struct buf out = { 0 };
	char *whole;

	if (!is_wanted(l, key) || (value.ptr == NULL) != l->unset)
		return;
	whole = str_dupz(key);
	if (value.ptr != NULL && row->secret)
		buf_addz(&out, "********");
	else if (value.ptr != NULL)
		put_value(l->config, row, whole, value, &out);
	printf("%s=%s\n", whole, buf_z(&out));
	free(whole);
	buf_free(&out);
}

/* The text behind its label, of lines that begin where it does. */
static void
put_doc(int width, const char *label, const char *text)
{
	int at = width;

	printf("%*s%s", width, "", label);
	at += (int)strlen(label);
	while (*text != '\0') {
		int n = (int)strcspn(text, " ");

		if (at > width + (int)strlen(label) && at + 1 + n > 100) {
			printf("\n%*s", width, "");
			at = width;
		} else if (at > width) {
			putchar(' ');
			at++;
		}
		printf("%.*s", n, text);
		at += n;
		text += n;
		while (*text == ' ')
			text++;
	}
	putchar('\n');
}

static void
doc_one(const struct listing *l, const struct config_key *k)
{
	if (!is_wanted(l, str_of(k->key)))
		return;
	printf("%*s  %s\n", l->width, k->key, k->doc);
	if (k->note != NULL)
		put_doc(l->width + 2, "Note:", k->note);
	if (k->choices != NULL) {
		struct buf b = { 0 };

		for (size_t i = 0; k->choices[i] != NULL; i++)
			buf_addf(&b, "%s%s", i > 0 ? ", " : "", k->choices[i]);
		put_doc(l->width + 2, "Examples:", buf_z(&b));
		buf_free(&b);
	} else if (k->type == CONFIG_BOOL) {
		put_doc(l->width + 2, "Examples:", "true, false");
	} else if (k->example != NULL) {
		put_doc(l->width + 2, "Example:", k->example);
	}
	putchar('\n');
}

static int
list(struct command_call *c)
{
	struct listing l = { .filter = command_arg(c, "FILTER") };

	l.all = command_option(c, "all") != NULL;
	if (command_option(c, "doc") != NULL) {
		for (const struct config_key *k = config_keys; k->key != NULL;
		     k++)
			l.width = MAX_OF(l.width, (int)strlen(k->key));
		for (const struct config_key *k = config_keys; k->key != NULL;
		     k++)
			doc_one(&l, k);
		return 0;
	}
	l.config = command_config(c);
	if (l.config == NULL)
		return 1;
	config_each(l.config, list_one, &l);
	if (l.all) {
		putchar('\n');
		l.unset = true;
		config_each(l.config, list_one, &l);
	}
	return 0;
}

static const struct command_option key_options[] = { PROFILE, { 0 } };

static const struct command_option list_options[] = {
	{ .name = "all", .help = "those that are not set, too" },
	{ .name = "doc", .help = "what each key is for, and an example" },
	{ 0 },
};

const struct command config_commands[] = {
	{ .words = "config get",
	    .args = "KEY",
	    .options = key_options,
	    .help = "print the value of a key",
	    .run = get },
	{ .words = "config set",
	    .args = "KEY VALUE",
	    .options = key_options,
	    .help = "set a key; several values of a list are divided by commas",
	    .run = set },
	{ .words = "config unset",
	    .args = "KEY",
	    .options = key_options,
	    .help = "take a key out of the file, so that its default holds",
	    .run = unset },
	{ .words = "config add",
	    .args = "KEY VALUE",
	    .options = key_options,
	    .help = "add a value to a list",
	    .run = add },
	{ .words = "config remove",
	    .args = "KEY VALUE",
	    .options = key_options,
	    .help = "take a value out of a list",
	    .run = take },
	{ .words = "config list",
	    .args = "[FILTER]",
	    .options = list_options,
	    .help = "print keys and values; with FILTER those whose keys hold "
		    "that text",
	    .run = list },
	{ 0 },
};
