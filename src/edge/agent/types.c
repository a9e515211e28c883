/*
 * edge/agent/types.c - see types.h.
 */
#include "edge/agent/types.h"

#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "codec/toml.h"

#include <dirent.h>
#include <regex.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define LOG_MODULE "agent"
#define LIST_MS 10000
#define WORDS_MAX 8

struct ask {
	struct types *types;
	char *name, *path; /* path NULL: our own */
	struct child *child;
	struct buf out;
};

struct types {
	struct agent *agent;
	const struct types_kind *kind;
	struct strs folders;
	struct ask **at;
	size_t n, pending;
	bool again; /* asked to reload while it reloads */
	bool known;
	struct buf told; /* the capability */
};

/* --- calling -------------------------------------------------------------- */

static size_t
own_argv(struct types *t, const char **argv, struct arena *a)
{
	const struct strs *words = &t->agent->conf->program;
	size_t n = 0;

	for (; n < words->n && n < WORDS_MAX; n++)
		argv[n] = arena_z(a, words->at[n]);
	argv[n++] = t->kind->own;
	return n;
}

bool
types_is_own(struct str type)
{
	return memmem(type.ptr, type.len, "::", 2) == NULL;
}

/* "a::b::journald": the last part is the plugin. */
static struct str
split(struct str type, struct str *name)
{
	for (size_t i = type.len; i >= 2; i--)
		if (type.ptr[i - 1] == ':' && type.ptr[i - 2] == ':') {
			*name = (struct str){ type.ptr, i - 2 };
			return (struct str){ type.ptr + i, type.len - i };
		}
	*name = type;
	return STR("file");
}

static char *
find_plugin(struct types *t, struct str name, struct arena *a)
{
	if (name.len == 0 || name.ptr[0] == '.' ||
	    memchr(name.ptr, '/', name.len) != NULL)
		return NULL;
	for (size_t i = 0; i < t->folders.n; i++) {
		char *path = arena_z(a,
		    arena_printf(a, STR_FMT "/" STR_FMT,
			STR_ARG(t->folders.at[i]), STR_ARG(name)));
		struct stat st;

		if (stat(path, &st) == 0 && S_ISREG(st.st_mode) &&
		    access(path, X_OK) == 0)
			return path;
	}
	return NULL;
}

size_t
types_argv(struct types *t, struct job *j, struct str type, const char **argv,
    size_t max, struct str *name)
{
	struct str plugin = split(type, name);
	size_t n = 0;
	char *path;

	if (max < WORDS_MAX + 2)
		return 0;
	if (str_eqz(plugin, "file"))
		return own_argv(t, argv, &j->arena);
	path = find_plugin(t, plugin, &j->arena);
	if (path == NULL)
		return 0;
	if (!agent_without_sudo(t->agent->conf))
		argv[n++] = "sudo";
	argv[n++] = path;
	return n;
}

/* --- what they answer ------------------------------------------------------
 */

static bool
fits(const struct toml *filter, const char *key, const char *type, bool want)
{
	const struct toml *t = toml_get(filter, str_of(key));
	regex_t re;
	char *z;
	bool hit;

	if (t == NULL || t->type != TOML_TEXT)
		return true;
	z = str_dupz(t->text);
	if (regcomp(&re, z, REG_EXTENDED | REG_NOSUB) != 0) {
		log_warn("a filter of %s is not a pattern: %s", type, z);
		free(z);
		return true;
	}
	free(z);
	hit = regexec(&re, type, 0, NULL, 0) == 0;
	regfree(&re);
	return hit == want;
}

/* Without filters all is told; else what one of them lets through. */
static bool
is_told(const struct toml *filters, const char *type)
{
	if (filters == NULL || filters->type != TOML_ARRAY)
		return true;
	for (const struct toml *f = filters->first; f != NULL; f = f->next)
		if (fits(f, "include", type, true) &&
		    fits(f, "exclude", type, false))
			return true;
	return false;
}

static const struct toml *
filters_of(const struct toml *root, const char *plugin)
{
	const struct toml *t =
	    root != NULL ? toml_get(root, STR("plugins")) : NULL;

	t = t != NULL ? toml_get(t, str_of(plugin)) : NULL;
	return t != NULL ? toml_get(t, STR("filters")) : NULL;
}

static const struct toml *
read_list(struct types *t, struct arena *a)
{
	char *path = mem_printf(
	    "%s/plugins/%s", t->agent->conf->config_dir, t->kind->list);
	struct buf text = { 0 };
	struct toml *root = NULL;
	struct err err;

	if (access(path, F_OK) == 0 &&
	    (file_read(path, &text, &err) != 0 ||
		toml_read(a, arena_str(a, buf_str(&text)), &root, &err) != 0))
		log_warn("%s: %s", path, err.text);
	free(path);
	buf_free(&text);
	return root;
}

static int
by_text(const void *a, const void *b)
{
	return str_cmp(*(const struct str *)a, *(const struct str *)b);
}

static void
gather(struct types *t)
{
	struct arena a = { 0 };
	const struct toml *root = t->kind->filters ? read_list(t, &a) : NULL;
	struct str *all = NULL;
	struct json_out o;
	size_t n = 0;

	for (size_t i = 0; i < t->n; i++) {
		const struct ask *ask = t->at[i];
		struct str rest = buf_str(&ask->out);

		if (!str_is_utf8(rest))
			continue;
		while (rest.len > 0) {
			struct str line = str_trim(str_cut(&rest, '\n'));
			const char *type = arena_z(&a, line);

			if (line.len == 0 ||
			    !is_told(filters_of(root, ask->name), type))
				continue;
			all = mem_resize(all, n + 1, sizeof(*all));
			all[n++] = ask->path == NULL
			    ? str_of(type)
			    : arena_printf(&a, "%s::%s", type, ask->name);
		}
	}
	if (n > 0)
		qsort(all, n, sizeof(*all), by_text);
	buf_clear(&t->told);
	json_out_init(&o, &t->told, false);
	json_out_object(&o);
	json_out_key(&o, "types");
	json_out_array(&o);
	for (size_t i = 0; i < n; i++)
		if (i == 0 || !str_eq(all[i], all[i - 1]))
			json_out_str(&o, all[i]);
	json_out_end_array(&o);
	json_out_end_object(&o);
	free(all);
	arena_fini(&a);
}

void
types_capability(const struct types *t, struct buf *out)
{
	buf_add_str(out, buf_str(&t->told));
}

/* --- asking --------------------------------------------------------------- */

static void
forget(struct types *t)
{
	for (size_t i = 0; i < t->n; i++) {
		child_free(t->at[i]->child);
		buf_free(&t->at[i]->out);
		free(t->at[i]->name);
		free(t->at[i]->path);
		free(t->at[i]);
	}
	free(t->at);
	t->at = NULL;
	t->n = t->pending = 0;
}

static void
all_answered(struct types *t)
{
	gather(t);
	t->known = true;
	forget(t);
	for (size_t i = 0; t->kind->ops[i] != NULL; i++)
		agent_publish_capability(t->agent, t->kind->ops[i]);
	if (t->again) {
		t->again = false;
		types_reload(t);
	}
}

static void
on_answer(void *ctx, const struct child_end *end)
{
	struct ask *ask = ctx;
	struct types *t = ask->types;

	ask->child = NULL;
	if (end->status == 0 && !end->timed_out) {
		buf_add_str(&ask->out, end->out);
	} else {
		struct buf how = { 0 };

		child_end_text(end, &how);
		log_warn("the types of the plugin %s are not known: its `list` "
			 "%s: " STR_FMT,
		    ask->name, buf_z(&how), STR_ARG(str_trim(end->err)));
		buf_free(&how);
	}
	if (--t->pending == 0)
		all_answered(t);
}

static void
add(struct types *t, const char *name, char *path)
{
	struct ask *ask = mem_new(struct ask);

	ask->types = t;
	ask->name = str_dupz(str_of(name));
	ask->path = path;
	t->at = mem_resize(t->at, t->n + 1, sizeof(*t->at));
	t->at[t->n++] = ask;
}

static void
start(struct ask *ask)
{
	struct types *t = ask->types;
	const struct agent_conf *conf = t->agent->conf;
	const char *argv[WORDS_MAX + 3] = { 0 };
	struct arena a = { 0 };
	struct err err;
	size_t n = 0;

	if (ask->path == NULL) {
		n = own_argv(t, argv, &a);
	} else {
		if (!agent_without_sudo(conf))
			argv[n++] = "sudo";
		argv[n++] = ask->path;
	}
	argv[n] = "list";
	if (child_start(t->agent->loop,
		&(struct child_conf){ .argv = argv,
		    .env = t->agent->env,
		    .cwd = conf->tmp_dir,
		    .timeout_ms = LIST_MS },
		on_answer, ask, &ask->child, &err) == 0)
		t->pending++;
	else
		log_warn("the plugin %s: %s", ask->name, err.text);
	arena_fini(&a);
}

void
types_reload(struct types *t)
{
	struct arena a = { 0 };

	if (t->pending > 0) {
		t->again = true;
		return;
	}
	add(t, "file", NULL);
	for (size_t i = 0; i < t->folders.n; i++) {
		char *dir = arena_z(&a, t->folders.at[i]);
		struct dirent **names = NULL;
		int n = scandir(dir, &names, NULL, alphasort);

		for (int k = 0; k < n; k++) {
			struct str name = str_of(names[k]->d_name);
			char *path = find_plugin(t, name, &a);

			/* Of two of a name the first folder's is it. */
			if (path != NULL && !str_eqz(name, "file") &&
			    strncmp(path, dir, strlen(dir)) == 0)
				add(t, names[k]->d_name,
				    str_dupz(str_of(path)));
			free(names[k]);
		}
		free(names);
	}
	t->pending = 1; /* none may be the last before all have begun */
	for (size_t i = 0; i < t->n; i++)
		start(t->at[i]);
	arena_fini(&a);
	if (--t->pending == 0)
		all_answered(t);
}

struct types *
types_new(struct agent *a, const struct types_kind *kind, struct strs folders)
{
	struct types *t = mem_new(struct types);

	t->agent = a;
	t->kind = kind;
	t->folders = folders;
	buf_addz(&t->told, "{\"types\":[]}");
	return t;
}

void
types_free(struct types *t)
{
	if (t == NULL)
		return;
	forget(t);
	buf_free(&t->told);
	free(t);
}
