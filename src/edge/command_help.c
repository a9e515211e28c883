/*
 * edge/command_help.c - what --help says, from the rows.
 */
#include "edge/command_private.h"

#include "base/base.h"

#include <string.h>

/* " --name <ARG>" and so on, as wide as it is. */
static void
option_text(const struct command_option *o, struct buf *out)
{
	if (o->letter != '\0')
		buf_addf(out, "-%c, ", o->letter);
	else
		buf_addz(out, "    ");
	buf_addf(out, "--%s", o->name);
	if (o->arg != NULL)
		buf_addf(out, " <%s>", o->arg);
	if (o->repeats)
		buf_addz(out, "...");
}

/* A text of at most 78 columns, the next lines below its beginning. */
static void
put_text(FILE *to, const char *text, int column)
{
	int at = column;

	while (*text != '\0') {
		int n = (int)strcspn(text, " ");

		if (at > column && at + 1 + n > 78) {
			fprintf(to, "\n%*s", column, "");
			at = column;
		} else if (at > column) {
			fputc(' ', to);
			at++;
		}
		fprintf(to, "%.*s", n, text);
		at += n;
		text += n;
		while (*text == ' ')
			text++;
	}
	fputc('\n', to);
}

static void
put_option(FILE *to, const struct command_option *o, int width)
{
	struct buf name = { 0 }, help = { 0 };

	option_text(o, &name);
	buf_addz(&help, o->help);
	if (o->env != NULL)
		buf_addf(&help, " [env: %s]", o->env);
	if (o->def != NULL)
		buf_addf(&help, " [default: %s]", o->def);
	fprintf(to, "  %-*s  ", width, buf_z(&name));
	put_text(to, buf_z(&help), width + 4);
	buf_free(&name);
	buf_free(&help);
}

static int
option_width(const struct command_option *o, int width)
{
	for (; o != NULL && o->name != NULL; o++) {
		struct buf name = { 0 };

		option_text(o, &name);
		width = MAX_OF(width, (int)name.len);
		buf_free(&name);
	}
	return width;
}

static void
put_options(FILE *to, const struct command_option *own)
{
	int width = option_width(command_globals, option_width(own, 0));

	fputs("\nOptions:\n", to);
	for (const struct command_option *o = own; o != NULL && o->name != NULL;
	     o++)
		put_option(to, o, width);
	for (const struct command_option *o = command_globals; o->name != NULL;
	     o++)
		put_option(to, o, width);
}

void
command_usage(FILE *to, const struct command *row)
{
	const char *args;
	struct command_param p;

	if (row == NULL) {
		fputs("Usage: tedge [OPTIONS] <COMMAND>\n", to);
		return;
	}
	fprintf(to, "Usage: tedge %s [OPTIONS]", row->words);
	for (const struct command_option *o = row->options;
	     o != NULL && o->name != NULL; o++)
		if (o->required)
			fprintf(to, " --%s <%s>", o->name, o->arg);
	for (args = row->args; command_param(&args, &p);)
		fprintf(to,
		    p.optional ? " [" STR_FMT "]%s" : " <" STR_FMT ">%s",
		    STR_ARG(p.name), p.rest ? "..." : "");
	fputc('\n', to);
}

void
command_help(FILE *to, const struct command *row)
{
	put_text(to, row->help, 0);
	fputc('\n', to);
	command_usage(to, row);
	put_options(to, row->options);
}

/* The word of `row` that stands behind `group`. */
static struct str
next_word(const struct command *row, const char *group)
{
	const char *p = row->words + strlen(group);

	while (*p == ' ')
		p++;
	return (struct str){ p, strcspn(p, " ") };
}

/* What is said of a word that has commands below it: `first`, and maybe more.
 */
static const char *
group_help(struct str word, const struct command *first)
{
	static const struct {
		const char *word, *help;
	} groups[] = {
		{ "config", "read and change the settings" },
		{ "cert", "make, show and renew the device's certificate" },
		{ "mqtt", "publish and subscribe on the device's broker" },
		{ "http", "ask the device's HTTP services" },
		{ "diag", "gather what helps to find a fault" },
		{ "part", "start and stop parts of a running marram-edge" },
		{ "flows", "list and try flows" },
		{ "mapper", "list mappers and their settings" },
		{ "bridge", "look at and try the rules of bridges" },
		{ "hsm", "keys in PKCS#11 tokens" },
	};

	for (size_t i = 0; i < COUNT_OF(groups); i++)
		if (str_eqz(word, groups[i].word))
			return groups[i].help;
	return first->help;
}

void
command_group_help(FILE *to, const char *group)
{
	struct command_walk w = { 0 };
	const struct command *row, *first = NULL;
	struct str last = STR_NULL;
	int width = 0;

	while ((row = command_next(&w)) != NULL)
		if (!row->hidden && command_is_in(row->words, group)) {
			width = MAX_OF(width, (int)next_word(row, group).len);
			first = first == NULL ? row : first;
		}
	if (*group == '\0' || first == NULL)
		fputs("marram-edge: the device side of Marram; it answers to "
		      "the name tedge\n\n",
		    to);
	else
		put_text(to, group_help(str_of(group), first), 0);
	fprintf(to, "%sUsage: tedge %s%s[OPTIONS] <COMMAND>\n\nCommands:\n",
	    *group == '\0' ? "" : "\n", group, *group == '\0' ? "" : " ");
	w = (struct command_walk){ 0 };
	while ((row = command_next(&w)) != NULL) {
		struct str word;

		if (row->hidden || !command_is_in(row->words, group))
			continue;
		word = next_word(row, group);
		if (word.len == 0 || str_eq(word, last))
			continue;
		last = word;
		fprintf(to, "  %-*.*s  ", width, (int)word.len, word.ptr);
		put_text(to,
		    word.ptr[word.len] == '\0' ? row->help
					       : group_help(word, row),
		    width + 4);
	}
	put_options(to, NULL);
}
