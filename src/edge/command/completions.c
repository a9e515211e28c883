/*
 * edge/command/completions.c - `completions bash|zsh|fish`, and the reference
 * pages: both made from the rows.
 *
 * For bash and zsh the script is a table from the words so far to what may
 * follow; fish has a line for each word and option.
 */
#include "edge/command_private.h"

#include "base/base.h"

#include <string.h>

static const char keys[] = "config list --all 2>/dev/null";
static const char clouds[] = "c8y az aws marram";
static const char mappers[] = "mapper list 2>/dev/null";
static const char with_dot[] = " | sed 's/.*/&./'"; /* a key follows */

/* The word behind `group` of each row below it, once. */
static void
put_words(const char *group)
{
	struct command_walk w = { 0 };
	const struct command *row;
	struct str last = STR_NULL;

	while ((row = command_next(&w)) != NULL) {
		const char *p = row->words + strlen(group);
		struct str word;

		if (row->hidden || !command_is_in(row->words, group))
			continue;
		p += strspn(p, " ");
		word = (struct str){ p, strcspn(p, " ") };
		if (word.len == 0 || str_eq(word, last))
			continue;
		last = word;
		printf(" " STR_FMT, STR_ARG(word));
	}
}

static void
put_options(const struct command_option *o)
{
	for (; o != NULL && o->name != NULL; o++) {
		printf(" --%s", o->name);
		if (o->letter != '\0')
			printf(" -%c", o->letter);
	}
}

static bool
takes(const struct command *row, const char *arg)
{
	const char *args = row->args;
	struct command_param p;

	while (command_param(&args, &p))
		if (str_eqz(p.name, arg))
			return true;
	return false;
}

/* Is there a row before this one, which is shown, in the group? */
static bool
is_known(const struct command *row, const char *group)
{
	struct command_walk w = { 0 };
	const struct command *r;

	while ((r = command_next(&w)) != row)
		if (!r->hidden && command_is_in(r->words, group))
			return true;
	return false;
}

/* Each group of commands, once: "cert", "cert upload". */
static void
each_group(void (*put)(const char *group))
{
	struct command_walk w = { 0 };
	const struct command *row;

	while ((row = command_next(&w)) != NULL) {
		const char *p = row->words;
		char group[64];

		while (!row->hidden && (p = strchr(p, ' ')) != NULL) {
			snprintf(group, sizeof(group), "%.*s",
			    (int)(p - row->words), row->words);
			if (!is_known(row, group))
				put(group);
			p++;
		}
	}
}

static void
put_group_case(const char *group)
{
	printf("    '%s') may='", group);
	put_words(group);
	put_options(command_globals);
	fputs("' ;;\n", stdout);
}

static void
put_group_word(const char *group)
{
	printf("'%s'|", group);
}

/* Cases of a shell's `case`: the words so far, and what may follow. */
static void
put_cases(void)
{
	struct command_walk w = { 0 };
	const struct command *row;

	fputs("    '') may='", stdout);
	put_words("");
	put_options(command_globals);
	fputs("' ;;\n", stdout);
	each_group(put_group_case);
	while ((row = command_next(&w)) != NULL) {
		if (row->hidden)
			continue;
		printf("    '%s') may='", row->words);
		if (takes(row, "CLOUD") || takes(row, "MAPPER"))
			printf(" %s", clouds);
		put_options(row->options);
		put_options(command_globals);
		fputs("'", stdout);
		if (takes(row, "KEY"))
			printf("\n        may=\"$may $(tedge %s | "
			       "sed 's/=.*//')\"",
			    keys);
		if (takes(row, "MAPPER") || takes(row, "MAPPER_KEY"))
			printf("\n        may=\"$may $(tedge %s | cut -f1%s)\"",
			    mappers, takes(row, "MAPPER") ? "" : with_dot);
		fputs(" ;;\n", stdout);
	}
}

/* The loop both shells share: `said` becomes the words of the command. */
static void
put_path(const char *from, const char *to)
{
	struct command_walk w = { 0 };
	const struct command *row;

	printf("  local said= may= w\n"
	       "  for w in %s; do\n"
	       "    case \"${said:+$said }$w\" in\n      ",
	    from);
	each_group(put_group_word);
	fputs("\\\n      ", stdout);
	for (bool first = true; (row = command_next(&w)) != NULL;)
		if (!row->hidden) {
			printf("%s'%s'", first ? "" : "|", row->words);
			first = false;
		}
	printf(") said=\"${said:+$said }$w\" ;;\n"
	       "    esac\n"
	       "  done\n"
	       "  case \"$said\" in\n");
	put_cases();
	printf("  esac\n%s", to);
}

static int
bash(void)
{
	fputs("_tedge() {\n", stdout);
	put_path("\"${COMP_WORDS[@]:1:COMP_CWORD-1}\"",
	    "  COMPREPLY=($(compgen -W \"$may\" -- "
	    "\"${COMP_WORDS[COMP_CWORD]}\"))\n}\n"
	    "complete -o default -F _tedge tedge marram-edge\n");
	return 0;
}

static int
zsh(void)
{
	fputs("#compdef tedge marram-edge\n\n_tedge() {\n"
	      "  local -a before\n"
	      "  before=(\"${(@)words[2,CURRENT-1]}\")\n",
	    stdout);
	put_path("\"${(@)before}\"",
	    "  compadd -- ${=may}\n}\n"
	    "(( $+functions[compdef] )) && compdef _tedge tedge marram-edge\n");
	return 0;
}

static void
put_quoted(const char *text)
{
	putchar('\'');
	for (; *text != '\0'; text++) {
		if (*text == '\'' || *text == '\\')
			putchar('\\');
		putchar(*text);
	}
	putchar('\'');
}

static void
fish_options(const char *condition, const struct command_option *o)
{
	for (; o != NULL && o->name != NULL; o++) {
		printf("complete -c tedge%s -l %s", condition, o->name);
		if (o->letter != '\0')
			printf(" -s %c", o->letter);
		if (o->arg != NULL)
			fputs(" -r", stdout);
		fputs(" -d ", stdout);
		put_quoted(o->help);
		putchar('\n');
	}
}

/* " -n '...'" where these words were said, and maybe more. */
static void
fish_condition(struct str words, struct buf *out)
{
	buf_clear(out);
	if (words.len == 0) {
		buf_addz(out, " -n __fish_use_subcommand");
		return;
	}
	buf_addz(out, " -n '");
	while (words.ptr != NULL) {
		struct str word = str_cut(&words, ' ');

		buf_addf(out, "__fish_seen_subcommand_from " STR_FMT "%s",
		    STR_ARG(word), words.ptr != NULL ? "; and " : "'");
	}
}

/* The last of `words`, where those before it were said. */
static void
fish_word(const char *words, const char *help)
{
	const char *blank = strrchr(words, ' ');
	struct str before = { words,
		blank == NULL ? 0 : (size_t)(blank - words) };
	struct buf condition = { 0 };

	fish_condition(before, &condition);
	printf("complete -c tedge%s -a %s", buf_z(&condition),
	    blank == NULL ? words : blank + 1);
	if (help != NULL) {
		fputs(" -d ", stdout);
		put_quoted(help);
	}
	putchar('\n');
	buf_free(&condition);
}

static void
fish_group(const char *group)
{
	fish_word(group, NULL);
}

static int
fish(void)
{
	struct command_walk w = { 0 };
	struct buf condition = { 0 };
	const struct command *row;

	fputs(
	    "complete -c tedge -f\ncomplete -c marram-edge -w tedge\n", stdout);
	fish_options("", command_globals);
	each_group(fish_group);
	while ((row = command_next(&w)) != NULL) {
		if (row->hidden)
			continue;
		fish_word(row->words, row->help);
		fish_condition(str_of(row->words), &condition);
		fish_options(buf_z(&condition), row->options);
		if (takes(row, "CLOUD") || takes(row, "MAPPER"))
			printf("complete -c tedge%s -a '%s'\n",
			    buf_z(&condition), clouds);
		if (takes(row, "MAPPER") || takes(row, "MAPPER_KEY"))
			printf("complete -c tedge%s -a \"(tedge %s | cut "
			       "-f1%s)\"\n",
			    buf_z(&condition), mappers,
			    takes(row, "MAPPER") ? "" : with_dot);
		if (takes(row, "KEY"))
			printf("complete -c tedge%s -a \"(tedge %s | string "
			       "replace -r '=.*' '')\"\n",
			    buf_z(&condition), keys);
	}
	buf_free(&condition);
	return 0;
}

static int
completions(struct command_call *c)
{
	static const struct {
		const char *name;
		int (*put)(void);
	} shells[] = { { "bash", bash }, { "zsh", zsh }, { "fish", fish } };
	const char *shell = command_arg(c, "SHELL");

	for (size_t i = 0; i < COUNT_OF(shells); i++)
		if (strcmp(shells[i].name, shell) == 0)
			return shells[i].put();
	return command_wrong_arg(c, "SHELL", "it must be bash, zsh or fish");
}

/* --- the reference pages ------------------------------------------------- */

/* In a table a bar would end the cell. */
static void
put_cell(const char *text)
{
	for (; *text != '\0'; text++) {
		if (*text == '|')
			putchar('\\');
		putchar(*text);
	}
}

static void
put_variable(const char *key)
{
	fputs("TEDGE_", stdout);
	for (; *key != '\0'; key++)
		putchar(*key == '.'                  ? '_'
			: *key >= 'a' && *key <= 'z' ? *key - 'a' + 'A'
						     : *key);
}

static void
put_key(const struct config_key *k)
{
	struct str from = str_of(k->from);

	printf("| `%s` | ", k->key);
	for (const char *sep = "as "; from.ptr != NULL; sep = ", else ") {
		struct str key = str_cut(&from, ',');

		printf("%s`" STR_FMT "`", sep, STR_ARG(key));
	}
	if (k->def != NULL && *k->def != '\0')
		printf("%s`%s`", k->from != NULL ? ", else " : "", k->def);
	else if (k->from == NULL)
		fputs("–", stdout);
	fputs(" | ", stdout);
	put_cell(k->doc);
	if (k->choices != NULL) {
		fputs(" One of: ", stdout);
		for (size_t i = 0; k->choices[i] != NULL; i++)
			printf("%s%s", i > 0 ? ", " : "", k->choices[i]);
		putchar('.');
	}
	if (k->note != NULL) {
		putchar(' ');
		put_cell(k->note);
	}
	for (size_t i = 0; k->aliases != NULL && k->aliases[i] != NULL; i++)
		printf("%s`%s`%s", i == 0 ? " Also: " : ", ", k->aliases[i],
		    k->aliases[i + 1] == NULL ? "." : "");
	if (k->exposed)
		fputs(" *Exposed.*", stdout);
	fputs(" | `", stdout);
	put_variable(k->key);
	fputs("` |\n", stdout);
}

static int
settings_page(struct command_call *c)
{
	struct str last = STR_NULL;

	(void)c;
	fputs(
	    "# Settings of a device\n\nMade by `marram-edge config "
	    "reference`.\n\n"
	    "`tedge config set KEY VALUE` writes them to `tedge.toml` in "
	    "`/etc/tedge`; the\nenvironment wins over the file, the file over "
	    "the default. Every key of a cloud\nexists in each of its "
	    "profiles, "
	    "too: `c8y.profiles.NAME.url`. What is *exposed* is\npublished, "
	    "retained, on the `config` channel of the service whose it is.\n",
	    stdout);
	for (const struct config_key *k = config_keys; k->key != NULL; k++) {
		struct str group = { k->key, strcspn(k->key, ".") };

		if (!str_eq(group, last))
			printf("\n## " STR_FMT
			       "\n\n| Key | Default | What it does | "
			       "Environment |\n|---|---|---|---|\n",
			    STR_ARG(group));
		last = group;
		put_key(k);
	}
	return 0;
}

static void
put_option_row(const struct command_option *o)
{
	fputs("| `", stdout);
	if (o->letter != '\0')
		printf("-%c`, `", o->letter);
	printf("--%s%s%s`%s | ", o->name, o->arg != NULL ? " " : "",
	    o->arg != NULL ? o->arg : "", o->repeats ? " …" : "");
	put_cell(o->help);
	putchar('.');
	if (o->env != NULL)
		printf(" Variable: `%s`.", o->env);
	if (o->def != NULL)
		printf(" Default: `%s`.", o->def);
	if (o->required)
		fputs(" Required.", stdout);
	fputs(" |\n", stdout);
}

static int
commands_page(struct command_call *c)
{
	struct command_walk w = { 0 };
	const struct command *row;

	(void)c;
	fputs(
	    "# Commands of a device\n\nMade by `marram-edge commands "
	    "reference`. The program is `marram-edge`; it answers to\n`tedge`, "
	    "too. It ends with 0 when all went well, with 1 when not, and "
	    "with 2 after a\nwrong call, unless something else is said.\n\n"
	    "Every command has these options:\n\n| Option | What it does "
	    "|\n|---|---|\n",
	    stdout);
	for (const struct command_option *o = command_globals; o->name != NULL;
	     o++)
		put_option_row(o);
	while ((row = command_next(&w)) != NULL) {
		if (row->hidden)
			continue;
		printf("\n## `tedge %s%s%s`\n\n", row->words,
		    row->args[0] != '\0' ? " " : "", row->args);
		printf("%c%s.\n",
		    row->help[0] >= 'a' && row->help[0] <= 'z'
			? row->help[0] - 'a' + 'A'
			: row->help[0],
		    row->help + 1);
		if (row->options == NULL)
			continue;
		fputs("\n| Option | What it does |\n|---|---|\n", stdout);
		for (const struct command_option *o = row->options;
		     o->name != NULL; o++)
			put_option_row(o);
	}
	fputs("\n## Other names\n\nStarted by one of these names, or as `tedge "
	      "run NAME`, the program is another:\n\n| Name | What it is "
	      "|\n|---|---|\n",
	    stdout);
	for (const struct command_program *p = command_programs;
	     p->name != NULL; p++)
		if (p->main != NULL)
			printf("| `%s`%s%s%s | %s |\n", p->name,
			    p->alias != NULL ? ", `" : "",
			    p->alias != NULL ? p->alias : "",
			    p->alias != NULL ? "`" : "", p->help);
	return 0;
}

const struct command completions_commands[] = {
	{ .words = "completions",
	    .args = "SHELL",
	    .help = "print a script that completes commands in bash, zsh or "
		    "fish",
	    .run = completions },
	{ .words = "config reference",
	    .args = "",
	    .hidden = true,
	    .help = "print the reference page of the settings",
	    .run = settings_page },
	{ .words = "commands reference",
	    .args = "",
	    .hidden = true,
	    .help = "print the reference page of the commands",
	    .run = commands_page },
	{ 0 },
};
