/*
 * edge/system.c - see system.h.
 */
#include "edge/system.h"

#include "base/base.h"
#include "base/file.h"
#include "base/mem.h"
#include "edge/edge.h"
#include "edge/program.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#define REBOOT_S 120

#define ARGV(...) ((const char *const[]){ __VA_ARGS__, NULL })
#define SYSTEMCTL "/bin/systemctl"

static const char *const reboot[] = { "init", "6", NULL };

static const char *const words[SYSTEM_N_DO] = { "is_available", "restart",
	"stop", "start", "enable", "disable", "is_active" };

static const char *const *const systemd[SYSTEM_N_DO] = {
	ARGV("test", "-d", "/run/systemd/system"), /* systemctl may be there in
						    * containers, too */
	ARGV(SYSTEMCTL, "restart", "{}"),
	ARGV(SYSTEMCTL, "stop", "{}"),
	ARGV(SYSTEMCTL, "start", "{}"),
	ARGV(SYSTEMCTL, "enable", "{}"),
	ARGV(SYSTEMCTL, "disable", "{}"),
	ARGV(SYSTEMCTL, "is-active", "--quiet", "{}"),
};

/* --- system.toml --------------------------------------------------------- */

static void
set_defaults(struct system *s)
{
	memcpy(s->commands, systemd, sizeof(s->commands));
	s->manager = "systemd";
	s->user = s->group = "tedge";
	s->reboot = reboot;
	s->reboot_timeout_ms = REBOOT_S * 1000;
}

static int
wrong(const struct system *s, const struct toml *at, const char *why,
    struct err *err)
{
	return err_set(
	    err, ERR_PARAM, "load %s: line %u: %s", s->file, at->line, why);
}

static int
read_text(const struct system *s, struct arena *a, const struct toml *t,
    const char **ret, struct err *err)
{
	if (t->type != TOML_TEXT || t->text.len == 0)
		return wrong(s, t, "a text is expected", err);
	*ret = arena_z(a, t->text);
	return 0;
}

static int
read_argv(const struct system *s, struct arena *a, const struct toml *t,
    const char *const **ret, struct err *err)
{
	const char **argv;
	size_t n = 0;

	if (t->type != TOML_ARRAY || t->first == NULL)
		return wrong(s, t,
		    "a program and its arguments are expected, as a list of "
		    "texts",
		    err);
	argv = arena_array(a, t->n + 1, const char *);
	for (const struct toml *i = t->first; i != NULL; i = i->next) {
		if (i->type != TOML_TEXT)
			return wrong(s, i, "a text is expected", err);
		argv[n++] = arena_z(a, i->text);
	}
	*ret = argv;
	return 0;
}

static int
read_init_member(
    struct system *s, struct arena *a, const struct toml *t, struct err *err)
{
	if (str_eqz(t->key, "name"))
		return read_text(s, a, t, &s->manager, err);
	for (size_t i = 0; i < SYSTEM_N_DO; i++)
		if (str_eqz(t->key, words[i]))
			return read_argv(s, a, t, &s->commands[i], err);
	return wrong(s, t,
	    "[init] has name, is_available, restart, stop, start, enable, "
	    "disable and is_active only",
	    err);
}

static int
read_init(struct system *s, struct arena *a, const struct toml *table,
    struct err *err)
{
	int rc = 0;

	memset(s->commands, 0, sizeof(s->commands));
	s->manager = "";
	for (const struct toml *t = table->first; t != NULL && rc == 0;
	     t = t->next)
		rc = read_init_member(s, a, t, err);
	if (rc != 0)
		return rc;
	if (s->commands[SYSTEM_START] == NULL)
		s->commands[SYSTEM_START] = s->commands[SYSTEM_RESTART];
	for (size_t i = 0; i < SYSTEM_N_DO; i++)
		if (s->commands[i] == NULL)
			return err_set(err, ERR_PARAM,
			    "load %s: [init] has no %s", s->file, words[i]);
	return 0;
}

static int
read_reboot(struct system *s, struct arena *a, const struct toml *table,
    struct err *err)
{
	const struct toml *argv = toml_get(table, STR("reboot"));
	const struct toml *wait =
	    toml_get(table, STR("reboot_timeout_seconds"));

	if (wait != NULL && (wait->type != TOML_INT || wait->number < 1))
		return wrong(s, wait, "a number of seconds is expected", err);
	if (wait != NULL)
		s->reboot_timeout_ms = MIN_OF(wait->number, 86400) * 1000;
	return argv != NULL ? read_argv(s, a, argv, &s->reboot, err) : 0;
}

/* False: there is no such level. */
static bool
level_by_name(struct str name, enum log_level *ret)
{
	static const struct {
		const char *name;
		enum log_level level;
	} levels[] = { { "error", LOG_ERROR }, { "warn", LOG_WARN },
		{ "info", LOG_INFO }, { "debug", LOG_DEBUG } };

	for (size_t i = 0; i < COUNT_OF(levels); i++)
		if (name.len == strlen(levels[i].name) &&
		    strncasecmp(name.ptr, levels[i].name, name.len) == 0) {
			*ret = levels[i].level;
			return true;
		}
	return false;
}

static int
read_log(struct system *s, const struct toml *table, struct err *err)
{
	enum log_level ignored;

	if (table->type != TOML_TABLE)
		return wrong(s, table, "[log] is a table", err);
	for (const struct toml *t = table->first; t != NULL; t = t->next) {
		if (t->type != TOML_TEXT)
			return wrong(s, t, "a level is expected, as text", err);
		if (!level_by_name(t->text, &ignored))
			return err_set(err, ERR_PARAM,
			    "load %s: line %u: Invalid log level: \"" STR_FMT
			    "\", supported levels are info, warn, error and "
			    "debug",
			    s->file, t->line, STR_ARG(t->text));
	}
	s->log = table;
	return 0;
}

enum log_level
system_log_level(
    const struct system *s, struct str program, enum log_level none)
{
	const struct toml *t =
	    s->log != NULL ? toml_get(s->log, program) : NULL;

	if (t != NULL)
		(void)level_by_name(t->text, &none);
	return none;
}

static int
read_all(
    struct system *s, struct arena *a, const struct toml *all, struct err *err)
{
	const struct toml *t;
	int rc = 0;

	if ((t = toml_get(all, STR("user"))) != NULL)
		rc = read_text(s, a, t, &s->user, err);
	if (rc == 0 && (t = toml_get(all, STR("group"))) != NULL)
		rc = read_text(s, a, t, &s->group, err);
	if (rc == 0 && (t = toml_get(all, STR("init"))) != NULL)
		rc = read_init(s, a, t, err);
	if (rc == 0 && (t = toml_get(all, STR("system"))) != NULL)
		rc = read_reboot(s, a, t, err);
	if (rc == 0 && (t = toml_get(all, STR("log"))) != NULL)
		rc = read_log(s, t, err);
	return rc;
}

int
system_read(const struct config *c, struct arena *a, struct system *ret,
    struct err *err)
{
	struct system s = { .config = c };
	struct buf text = { 0 };
	struct toml *all;
	int rc;

	set_defaults(&s);
	s.file = arena_printf(a, "%s/system.toml", config_dir(c)).ptr;
	if (access(s.file, F_OK) == 0) {
		rc = file_read(s.file, &text, err);
		if (rc == 0 &&
		    toml_read(a, arena_str(a, buf_str(&text)), &all, err) != 0)
			rc = err_wrap(err, "load %s", s.file);
		buf_free(&text);
		if (rc == 0)
			rc = read_all(&s, a, all, err);
		if (rc != 0)
			return rc;
	}
	*ret = s;
	return 0;
}

/* --- services ------------------------------------------------------------ */

const char *const *
system_argv(const struct system *s, enum system_do what, const char *service,
    struct arena *a)
{
	const char *const *argv = s->commands[what];
	const char **own;
	size_t n = 0;

	while (argv[n] != NULL)
		n++;
	own = arena_array(a, n + 1, const char *);
	for (size_t i = 0; i < n; i++) {
		const char *hole = strstr(argv[i], "{}");

		own[i] = hole == NULL
		    ? argv[i]
		    : arena_printf(a, "%.*s%s%s", (int)(hole - argv[i]),
			  argv[i], service, hole + 2)
			  .ptr;
	}
	return own;
}

static int
run_command(const struct system *s, enum system_do what, const char *service,
    struct err *err)
{
	struct buf out = { 0 };
	struct arena a = { 0 };
	int rc = program_run(system_argv(s, what, service, &a), &out, err);

	buf_free(&out);
	arena_fini(&a);
	return rc;
}

bool
system_is_available(const struct system *s)
{
	struct err ignored;

	return run_command(s, SYSTEM_IS_AVAILABLE, "", &ignored) == 0;
}

/* Is it, or was it, one of marram-edge's own? */
static bool
is_part(const struct system *s, const char *service)
{
	struct str profile;

	return part_find(s->config, str_of(service), &profile) != NULL;
}

static int
tell_part(const struct system *s, enum system_do what, const char *part,
    struct err *err)
{
	struct buf out = { 0 };
	char *line;
	int rc;

	if (what == SYSTEM_ENABLE || what == SYSTEM_DISABLE)
		return parts_enable(
		    s->config, str_of(part), what == SYSTEM_ENABLE, err);
	line = mem_printf("%s %s", words[what], part);
	rc = control_ask(s->config, line, &out, err);
	free(line);
	buf_free(&out);
	return rc;
}

int
system_service(const struct system *s, enum system_do what, const char *service,
    struct err *err)
{
	if (system_is_available(s))
		return run_command(s, what, service, err);
	if (is_part(s, service))
		return tell_part(s, what, service, err);
	return err_set(err, ERR_CLOSED,
	    "there is no service manager to %s %s: %s is not running, and %s "
	    "names no other",
	    words[what], service,
	    s->manager[0] != '\0' ? s->manager : "the one of [init]", s->file);
}

static bool
is_part_up(const struct system *s, const char *part)
{
	struct buf out = { 0 };
	struct err ignored;
	struct str rest;
	bool up = false;

	if (control_ask(s->config, "status", &out, &ignored) == 0)
		for (rest = buf_str(&out); rest.len > 0 && !up;) {
			struct str line = str_cut(&rest, '\n');
			struct str name = str_cut(&line, '\t');

			up = str_eqz(name, part) && str_starts(line, STR("up"));
		}
	buf_free(&out);
	return up;
}

bool
system_is_active(const struct system *s, const char *service)
{
	struct err ignored;

	if (system_is_available(s))
		return run_command(s, SYSTEM_IS_ACTIVE, service, &ignored) == 0;
	return is_part(s, service) && is_part_up(s, service);
}
