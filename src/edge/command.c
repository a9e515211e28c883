/*
 * edge/command.c - from the words of a call to the row of a command, and what a
 * command may ask. See command.h.
 */
#include "edge/agent/programs.h"
#include "edge/command_private.h"

#include "base/arena.h"
#include "base/base.h"
#include "base/log.h"
#include "base/mem.h"

#include <assert.h>
#include <errno.h>
#include <libgen.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define USAGE 2 /* exit status */

const struct command *const command_arrays[] = {
	init_commands,
	cert_commands,
	hsm_commands,
	config_commands,
	connect_commands,
	http_commands,
	upload_commands,
	mqtt_commands,
	bridge_commands,
	mapper_commands,
	diag_commands,
	fleet_commands,
	run_commands,
	part_commands,
	completions_commands,
	NULL,
};

const struct command_option command_globals[] = {
	{ .name = "config-dir",
	    .arg = "DIR",
	    .env = "TEDGE_CONFIG_DIR",
	    .def = "/etc/tedge",
	    .help = "the folder of the settings" },
	{ .name = "debug", .help = "log at level debug" },
	{ .name = "log-level",
	    .arg = "LEVEL",
	    .help = "error, warn, info, debug or trace; wins over --debug" },
	{ .name = "help", .letter = 'h', .help = "print help" },
	{ .name = "version", .letter = 'V', .help = "print the version" },
	{ 0 },
};

/* A value that was given. */
struct given {
	const struct command_option *option;
	const char *value; /* "" of a switch */
};

struct command_call {
	const struct command *row;
	struct arena arena;
	struct given *given;
	size_t n_given;
	const char **args;
	size_t n_args;
	struct config *config;
};

/* --- tables -------------------------------------------------------------- */

const struct command *
command_next(struct command_walk *w)
{
	while (command_arrays[w->array] != NULL) {
		const struct command *row = &command_arrays[w->array][w->row++];

		if (row->words != NULL)
			return row;
		w->array++;
		w->row = 0;
	}
	return NULL;
}

bool
command_is_in(const char *words, const char *group)
{
	size_t n = strlen(group);

	return n == 0 ||
	    (strncmp(words, group, n) == 0 &&
		(words[n] == '\0' || words[n] == ' '));
}

bool
command_param(const char **args, struct command_param *ret)
{
	struct str s;

	while (**args == ' ')
		(*args)++;
	s = (struct str){ *args, strcspn(*args, " ") };
	*args += s.len;
	ret->rest = str_ends(s, STR("..."));
	if (ret->rest)
		s.len -= 3;
	ret->optional = s.len > 0 && s.ptr[0] == '[';
	if (ret->optional) {
		s.ptr++;
		s.len -= 2;
	}
	ret->name = s;
	return s.len > 0;
}

static const struct command *
find_row(const char *words)
{
	struct command_walk w = { 0 };
	const struct command *row;

	while ((row = command_next(&w)) != NULL)
		if (strcmp(row->words, words) == 0)
			return row;
	return NULL;
}

static bool
is_group(const char *words)
{
	struct command_walk w = { 0 };
	const struct command *row;

	while ((row = command_next(&w)) != NULL)
		if (command_is_in(row->words, words))
			return true;
	return false;
}

static const struct command_option *
find_option(const struct command *row, const char *name, size_t len, char c)
{
	const struct command_option *lists[] = { row ? row->options : NULL,
		command_globals };

	for (size_t i = 0; i < COUNT_OF(lists); i++)
		for (const struct command_option *o = lists[i];
		     o != NULL && o->name != NULL; o++)
			if (name == NULL ? o->letter != '\0' && o->letter == c
					 : strlen(o->name) == len &&
				    memcmp(o->name, name, len) == 0)
				return o;
	return NULL;
}

/* --- telling ------------------------------------------------------------- */

static bool
in_colour(void)
{
	return isatty(STDOUT_FILENO) && isatty(STDERR_FILENO) &&
	    getenv("NO_COLOR") == NULL;
}

void
command_say(const char *kind, const char *fmt, ...)
{
	const char *colour = strcmp(kind, "error") == 0 ? "31"
	    : strcmp(kind, "warning") == 0              ? "33"
							: "32";
	va_list ap;

	if (in_colour())
		fprintf(stderr, "\033[1;%sm%s:\033[0m ", colour, kind);
	else
		fprintf(stderr, "%s: ", kind);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
}

int
command_failed(const char *doing, const struct err *err)
{
	fprintf(stderr, "Error: failed to %s\n\nCaused by:\n    %s\n", doing,
	    err->text);
	return 1;
}

void
command_step(const char *title)
{
	fprintf(stderr, "%s... ", title);
	fflush(stderr);
}

void
command_step_done(bool ok)
{
	if (in_colour())
		fprintf(stderr, "\033[%sm%s\033[0m\n", ok ? "32" : "31",
		    ok ? "\xe2\x9c\x93" : "\xe2\x9c\x97");
	else
		fprintf(stderr, "%s\n", ok ? "\xe2\x9c\x93" : "\xe2\x9c\x97");
}

/* A wrong call, and how it is to be. */
static int __attribute__((format(printf, 2, 3)))
wrong(const struct command *row, const char *fmt, ...)
{
	va_list ap;

	fputs("error: ", stderr);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputs("\n\n", stderr);
	command_usage(stderr, row);
	fputs("\nFor more information, try '--help'.\n", stderr);
	return USAGE;
}

int
command_wrong(const struct command_call *c, const char *option, const char *why)
{
	const struct command_option *o =
	    find_option(c->row, option, strlen(option), '\0');

	return wrong(c->row, "invalid value '%s' for '--%s <%s>': %s",
	    command_option(c, option), o->name, o->arg, why);
}

int
command_wrong_arg(
    const struct command_call *c, const char *arg, const char *why)
{
	return wrong(c->row, "invalid value '%s' for '<%s>': %s",
	    command_arg(c, arg), arg, why);
}

bool
command_number(const struct command_call *c, const char *option, int64_t min,
    int64_t max, int64_t *ret)
{
	const char *text = command_option(c, option);
	char why[80];

	if (text == NULL)
		return true;
	if (str_to_i64(str_of(text), ret) && *ret >= min && *ret <= max)
		return true;
	snprintf(why, sizeof(why), "it must be a number of %lld to %lld",
	    (long long)min, (long long)max);
	command_wrong(c, option, why);
	return false;
}

bool
command_ms(const struct command_call *c, const char *option, int64_t *ret)
{
	const char *text = command_option(c, option);

	if (text == NULL || config_duration(str_of(text), ret))
		return true;
	command_wrong(
	    c, option, "it must be seconds, or a time such as 60s, 10m, 1h");
	return false;
}

/* --- what a command asks ------------------------------------------------- */

const char *
command_arg(const struct command_call *c, const char *name)
{
	const char *args = c->row->args;
	struct command_param p;

	for (size_t i = 0; command_param(&args, &p); i++)
		if (str_eqz(p.name, name))
			return i < c->n_args ? c->args[i] : NULL;
	assert(!"the row has no such argument");
	return NULL;
}

size_t
command_rest(const struct command_call *c, const char *const **ret)
{
	const char *args = c->row->args;
	struct command_param p;
	size_t i = 0;

	while (command_param(&args, &p) && !p.rest)
		i++;
	i = MIN_OF(i, c->n_args);
	*ret = c->args + i;
	return c->n_args - i;
}

size_t
command_options(
    const struct command_call *c, const char *name, const char *const **ret)
{
	const struct command_option *o =
	    find_option(c->row, name, strlen(name), '\0');
	struct command_call *own = (struct command_call *)(uintptr_t)c;
	const char **values, *from;
	size_t n = 0;

	assert(o != NULL);
	values = arena_array(&own->arena, c->n_given + 1, const char *);
	for (size_t i = 0; i < c->n_given; i++)
		if (c->given[i].option == o)
			values[n++] = c->given[i].value;
	if (n == 0 && o->env != NULL && (from = getenv(o->env)) != NULL &&
	    *from != '\0')
		values[n++] = from;
	if (n == 0 && o->def != NULL)
		values[n++] = o->def;
	*ret = values;
	return n;
}

const char *
command_option(const struct command_call *c, const char *name)
{
	const char *const *values;
	size_t n = command_options(c, name, &values);

	return n == 0 ? NULL : values[n - 1];
}

const char *
command_config_dir(const struct command_call *c)
{
	return command_option(c, "config-dir");
}

struct config *
command_config(struct command_call *c)
{
	struct err err;

	if (c->config == NULL &&
	    config_open(command_config_dir(c), &c->config, &err) != 0)
		command_failed("read the settings", &err);
	return c->config;
}

bool
command_cloud(struct command_call *c, const char *name, struct cloud *ret)
{
	struct config *config = command_config(c);
	const char *profile = command_option(c, "profile");
	struct err err;

	if (config == NULL)
		return false;
	if (profile != NULL && *profile == '\0')
		profile = NULL;
	if (config_cloud(config, name, str_of(profile), ret, &err) == 0)
		return true;
	command_failed("find the cloud", &err);
	return false;
}

/* --- reading a call ------------------------------------------------------ */

struct words {
	int argc, at;
	char **argv;
};

static void
give(struct command_call *c, const struct command_option *o, const char *value)
{
	c->given[c->n_given++] = (struct given){ o, value };
}

/* "--name", "--name=value", "--name value" */
static int
long_option(struct command_call *c, struct words *w)
{
	const char *name = w->argv[w->at++] + 2, *value = strchr(name, '=');
	size_t len = value != NULL ? (size_t)(value - name) : strlen(name);
	const struct command_option *o = find_option(c->row, name, len, '\0');

	if (o == NULL)
		return wrong(c->row, "unexpected argument '--%.*s' found",
		    (int)len, name);
	if (o->arg == NULL && value != NULL)
		return wrong(c->row,
		    "unexpected value '%s' for '--%s' found; no more were "
		    "expected",
		    value + 1, o->name);
	if (o->arg == NULL) {
		give(c, o, "");
		return 0;
	}
	if (value == NULL && w->at >= w->argc)
		return wrong(c->row,
		    "a value is required for '--%s <%s>' but none was supplied",
		    o->name, o->arg);
	give(c, o, value != NULL ? value + 1 : w->argv[w->at++]);
	return 0;
}

/* "-r", "-q1", "-q 1", "-rq1" */
static int
short_options(struct command_call *c, struct words *w)
{
	const char *p = w->argv[w->at++] + 1;

	for (; *p != '\0'; p++) {
		const struct command_option *o =
		    find_option(c->row, NULL, 0, *p);

		if (o == NULL)
			return wrong(
			    c->row, "unexpected argument '-%c' found", *p);
		if (o->arg == NULL) {
			give(c, o, "");
			continue;
		}
		p++;
		if (*p == '=')
			p++;
		if (*p == '\0' && w->at >= w->argc)
			return wrong(c->row,
			    "a value is required for '--%s <%s>' but none was "
			    "supplied",
			    o->name, o->arg);
		give(c, o, *p != '\0' ? p : w->argv[w->at++]);
		break;
	}
	return 0;
}

static bool
is_option(const char *word)
{
	return word[0] == '-' && word[1] != '\0';
}

static int
option(struct command_call *c, struct words *w)
{
	return w->argv[w->at][1] == '-' ? long_option(c, w)
					: short_options(c, w);
}

static bool
has(const struct command_call *c, const char *name)
{
	for (size_t i = 0; i < c->n_given; i++)
		if (strcmp(c->given[i].option->name, name) == 0)
			return true;
	return false;
}

/* The words of the command, with options of all commands between them.
 * `words` is what was said so far. */
static int
read_words(struct command_call *c, struct words *w, struct buf *words)
{
	while (w->at < w->argc) {
		const char *word = w->argv[w->at];
		size_t len = words->len;
		int rc;

		if (is_option(word)) {
			if (find_row(buf_z(words)) != NULL)
				return 0;
			rc = option(c, w);
			if (rc != 0)
				return rc;
			continue;
		}
		buf_addf(words, "%s%s", len > 0 ? " " : "", word);
		if (!is_group(buf_z(words))) {
			words->len = len;
			if (find_row(buf_z(words)) != NULL)
				return 0;
			if (strcmp(word, "help") == 0) {
				command_group_help(stdout, buf_z(words));
				return -1;
			}
			fprintf(stderr,
			    "error: unrecognized subcommand '%s'\n\n"
			    "Usage: tedge %s%s[OPTIONS] <COMMAND>\n\n"
			    "For more information, try '--help'.\n",
			    word, buf_z(words), len > 0 ? " " : "");
			return USAGE;
		}
		w->at++;
	}
	return 0;
}

static int
read_rest(struct command_call *c, struct words *w)
{
	bool only_args = false;

	while (w->at < w->argc) {
		char *word = w->argv[w->at];
		int rc;

		if (!only_args && strcmp(word, "--") == 0) {
			only_args = true;
			w->at++;
		} else if (!only_args && is_option(word)) {
			rc = option(c, w);
			if (rc != 0)
				return rc;
		} else {
			c->args[c->n_args++] = word;
			w->at++;
		}
	}
	return 0;
}

static int
check_args(struct command_call *c)
{
	const char *args = c->row->args;
	struct command_param p;
	bool rest = false;
	size_t n = 0;

	for (; command_param(&args, &p); n++) {
		rest = rest || p.rest;
		if (n >= c->n_args && !p.optional)
			return wrong(c->row,
			    "the following required arguments were not "
			    "provided:\n  <" STR_FMT ">",
			    STR_ARG(p.name));
	}
	if (!rest && c->n_args > n)
		return wrong(
		    c->row, "unexpected argument '%s' found", c->args[n]);
	for (const struct command_option *o = c->row->options;
	     o != NULL && o->name != NULL; o++) {
		size_t times = 0;

		for (size_t i = 0; i < c->n_given; i++)
			times += c->given[i].option == o;
		if (o->required && command_option(c, o->name) == NULL)
			return wrong(c->row,
			    "the following required arguments were not "
			    "provided:\n  --%s <%s>",
			    o->name, o->arg);
		if (!o->repeats && times > 1)
			return wrong(c->row,
			    "the argument '--%s' cannot be used multiple "
			    "times",
			    o->name);
	}
	return 0;
}

bool
command_was_given(const struct command_call *c, const char *name)
{
	return has(c, name);
}

static int
set_log_level(const struct command_call *c)
{
	static const struct {
		const char *name;
		enum log_level level;
	} levels[] = { { "error", LOG_ERROR }, { "warn", LOG_WARN },
		{ "info", LOG_INFO }, { "debug", LOG_DEBUG },
		{ "trace", LOG_DEBUG } };
	const char *wanted = NULL;
	enum log_level level = c->row->serves ? LOG_INFO : LOG_WARN;
	bool found = false;

	for (size_t i = 0; i < c->n_given; i++)
		if (strcmp(c->given[i].option->name, "log-level") == 0)
			wanted = c->given[i].value;
	if (has(c, "debug"))
		level = LOG_DEBUG;
	for (size_t i = 0; wanted != NULL && i < COUNT_OF(levels); i++)
		if (strcmp(levels[i].name, wanted) == 0) {
			level = levels[i].level;
			found = true;
		}
	if (wanted != NULL && !found)
		return wrong(c->row,
		    "invalid value '%s' for '--log-level <LEVEL>': error, "
		    "warn, "
		    "info, debug or trace",
		    wanted);
	log_setup(level, LOG_LOG4J);
	return 0;
}

static int
call(struct command_call *c, struct words *w, struct buf *words)
{
	int rc = read_words(c, w, words);

	if (rc != 0)
		return rc < 0 ? 0 : rc;
	c->row = find_row(buf_z(words));
	if (c->row == NULL) {
		if (has(c, "version")) {
			printf("tedge %s\n", MARRAM_VERSION);
			return 0;
		}
		command_group_help(
		    has(c, "help") ? stdout : stderr, buf_z(words));
		return has(c, "help") ? 0 : USAGE;
	}
	rc = read_rest(c, w);
	if (rc != 0)
		return rc;
	if (has(c, "help")) {
		command_help(stdout, c->row);
		return 0;
	}
	if (has(c, "version")) {
		printf("tedge %s\n", MARRAM_VERSION);
		return 0;
	}
	rc = check_args(c);
	if (rc == 0)
		rc = set_log_level(c);
	return rc != 0 ? rc : c->row->run(c);
}

static int
run_command(int argc, char **argv)
{
	struct command_call c = { 0 };
	struct words w = { argc, 1, argv };
	struct buf words = { 0 };
	size_t most = 1;
	int rc;

	for (int i = 1; i < argc; i++)
		most += strlen(argv[i]); /* letters of options at most */
	c.given = arena_array(&c.arena, most, struct given);
	c.args = arena_array(&c.arena, (size_t)argc + 1, const char *);
	rc = call(&c, &w, &words);
	buf_free(&words);
	config_close(c.config);
	arena_fini(&c.arena);
	if ((fflush(stdout) != 0 || ferror(stdout)) && rc == 0) {
		if (errno != EPIPE) /* whoever reads it has had enough */
			perror("error: standard output");
		rc = 1;
	}
	return rc;
}

/* --- the program's other names ------------------------------------------- */

/* Runs one part: `part` is its name, `argv` the options behind. */
static int
run_part(const char *part, int argc, char **argv)
{
	const char **words = mem_array((size_t)argc + 5, sizeof(*words));
	int n = 0, rc;

	words[n++] = "tedge";
	words[n++] = "run";
	words[n++] = "--part";
	words[n++] = part;
	for (int i = 0; i < argc; i++)
		words[n++] = argv[i];
	rc = run_command(n, (char **)(uintptr_t)words);
	free(words);
	return rc;
}

static int
agent_main(int argc, char **argv)
{
	return run_part("tedge-agent", argc - 1, argv + 1);
}

/* tedge-mapper [OPTIONS] NAME [--profile P] */
static int
mapper_main(int argc, char **argv)
{
	static const char usage[] =
	    "Usage: tedge-mapper [OPTIONS] <NAME> [--profile <PROFILE>]\n";
	const char *name = NULL, *profile = getenv("TEDGE_CLOUD_PROFILE");
	char **rest = mem_array((size_t)argc + 1, sizeof(*rest)), *part;
	int n = 0, rc;

	for (int i = 1; i < argc; i++) {
		bool takes = strcmp(argv[i], "--config-dir") == 0 ||
		    strcmp(argv[i], "--log-level") == 0;

		if (strcmp(argv[i], "--profile") == 0 && i + 1 < argc)
			profile = argv[++i];
		else if (strncmp(argv[i], "--profile=", 10) == 0)
			profile = argv[i] + 10;
		else if (argv[i][0] != '-' && name == NULL)
			name = argv[i];
		else
			rest[n++] = argv[i];
		if (takes && i + 1 < argc)
			rest[n++] = argv[++i];
	}
	if (name == NULL && n > 0 &&
	    (strcmp(rest[0], "-h") == 0 || strcmp(rest[0], "--help") == 0)) {
		fputs(usage, stdout);
		free(rest);
		return 0;
	}
	if (name == NULL) {
		fprintf(stderr,
		    "error: the following required arguments were not "
		    "provided:\n  <NAME>\n\n%s\n"
		    "For more information, try '--help'.\n",
		    usage);
		free(rest);
		return USAGE;
	}
	if (strncmp(name, "sm-", 3) == 0) /* now part of the mapper itself */
		name += 3;
	part = profile != NULL && *profile != '\0'
	    ? mem_printf("tedge-mapper-%s@%s", name, profile)
	    : mem_printf("tedge-mapper-%s", name);
	rc = run_part(part, n, rest);
	free(part);
	free(rest);
	return rc;
}

const struct command_program command_programs[] = {
	{ "tedge-agent", "tedge_agent", "the agent alone", USAGE, agent_main },
	{ "tedge-mapper", "tedge_mapper", "one mapper alone", USAGE,
	    mapper_main },
	{ "tedge-apt-plugin", "apt", "software of type apt", 1,
	    apt_plugin_main },
	{ "tedge-watchdog", NULL, "watches the services", USAGE,
	    watchdog_main },
	{ "tedge-p11-server", NULL, "holds the PKCS#11 token for others", USAGE,
	    p11_server_main },
	{ "tedge-write", NULL, "replaces a file by its input", USAGE,
	    write_main },
	{ "tedge-file-config-plugin", NULL, "configuration files", USAGE,
	    file_config_main },
	{ "tedge-file-log-plugin", NULL, "log files", USAGE, file_log_main },
	{ "tedge-collect", NULL, "keeps what a program writes", USAGE,
	    collect_main },
	{ "tedge-flows-plugin", "flow", "software of type flow", USAGE, NULL },
	{ "c8y-firmware-plugin", NULL, "firmware of child devices", USAGE,
	    NULL },
	{ "c8y-remote-access-plugin", NULL, "remote access", USAGE, NULL },
	{ 0 },
};

static const struct command_program *
find_program(const char *name)
{
	for (const struct command_program *p = command_programs;
	     p->name != NULL; p++)
		if (strcmp(p->name, name) == 0 ||
		    (p->alias != NULL && strcmp(p->alias, name) == 0))
			return p;
	return NULL;
}

static int
run_program(const struct command_program *p, int argc, char **argv)
{
	if (p->main != NULL)
		return p->main(argc, argv);
	fprintf(stderr,
	    "error: %s is not part of this version of marram-edge\n", p->name);
	return 1;
}

/* `tedge [OPTIONS] run PROGRAM ...`: where PROGRAM stands, or 0. */
static int
program_at(int argc, char **argv)
{
	for (int i = 1; i + 1 < argc; i++) {
		if (strcmp(argv[i], "run") == 0 &&
		    find_program(argv[i + 1]) != NULL)
			return i + 1;
		if (strcmp(argv[i], "--config-dir") == 0 ||
		    strcmp(argv[i], "--log-level") == 0)
			i++; /* its value */
		else if (argv[i][0] != '-')
			return 0;
	}
	return 0;
}

/* The options before `run` hold for the program, too: our parts read all of
 * them, the small programs know the folder of the settings. */
static int
run_program_at(int at, int argc, char **argv)
{
	const struct command_program *p = find_program(argv[at]);
	bool part = p->main == agent_main || p->main == mapper_main;
	char **all = mem_array((size_t)argc + 1, sizeof(*all));
	int n = 0, rc;

	all[n++] = argv[at];
	for (int i = 1; i < at - 1; i++) {
		if (part)
			all[n++] = argv[i];
		else if (strncmp(argv[i], "--config-dir=", 13) == 0)
			(void)setenv("TEDGE_CONFIG_DIR", argv[i] + 13, 1);
		else if (strcmp(argv[i], "--config-dir") == 0)
			(void)setenv("TEDGE_CONFIG_DIR", argv[i + 1], 1);
	}
	for (int i = at + 1; i < argc; i++)
		all[n++] = argv[i];
	rc = run_program(p, n, all);
	free(all);
	return rc;
}

int
command_main(int argc, char **argv)
{
	const struct command_program *p = find_program(basename(argv[0]));
	int at;

	if (p != NULL)
		return run_program(p, argc, argv);
	at = program_at(argc, argv);
	return at > 0 ? run_program_at(at, argc, argv)
		      : run_command(argc, argv);
}
