/*
 * core/fleet/module_scan.c - see module.h: the modules that an input has.
 *
 *    README.md               says "contains thymis modules"
 *    marram-modules/X.json5  one module each; its function beside it
 */
#include "core/fleet/module.h"

#include "base/base.h"
#include "base/file.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MARK "contains thymis modules"
#define FILES_MAX 500
#define FILE_MAX (1u << 20)

static void
add_fault(struct fleet_input_status *st, struct arena *a, const char *name,
    const char *why)
{
	struct str *more = arena_array(a, st->faults.n + 1, struct str);

	if (st->faults.n > 0)
		memcpy(more, st->faults.at, st->faults.n * sizeof(*more));
	more[st->faults.n] = arena_printf(a, "%s: %s", name, why);
	st->faults.at = more;
	st->faults.n++;
}

static bool
is_module(const struct dirent *e)
{
	return e->d_name[0] != '.' &&
	    str_ends(str_of(e->d_name), STR(".json5"));
}

static int
only_modules(const struct dirent *e)
{
	return is_module(e);
}

static void
read_one(struct fleet_input_status *st, const char *folder, const char *name,
    struct arena *a)
{
	struct fleet_module *m;
	struct buf text = { 0 };
	struct err err;
	const char *path =
	    arena_z(a, arena_printf(a, "%s/marram-modules/%s", folder, name));
	int rc = file_read(path, &text, &err);

	if (rc == 0 && text.len > FILE_MAX)
		rc = err_set(&err, ERR_LIMIT, "is larger than 1 MiB");
	if (rc == 0)
		rc = fleet_module_read(
		    arena_str(a, text.len > 0 ? buf_str(&text) : STR("")), a,
		    &m, &err);
	buf_free(&text);
	if (rc == 0 && m->function.ptr != NULL) {
		path = arena_z(a,
		    arena_printf(a, "%s/marram-modules/" STR_FMT, folder,
			STR_ARG(m->function)));
		rc = file_check(path, &err);
	}
	if (rc != 0) {
		add_fault(st, a, name, err.text);
		return;
	}
	m->input = st->name;
	st->modules[st->n++] = m;
}

void
fleet_scan(const char *folder, struct arena *a, struct fleet_input_status *ret)
{
	const char *modules =
	    arena_z(a, arena_printf(a, "%s/marram-modules", folder));
	struct buf readme = { 0 };
	struct dirent **names;
	int n;

	if (file_read(arena_z(a, arena_printf(a, "%s/README.md", folder)),
		&readme, NULL) != 0) {
		ret->status = "no-readme";
		return;
	}
	n = memmem(readme.ptr, readme.len, MARK, strlen(MARK)) != NULL;
	buf_free(&readme);
	if (n == 0) {
		ret->status = "no-magic-string";
		return;
	}
	n = scandir(modules, &names, only_modules, alphasort);
	if (n < 0) {
		ret->status = "no-modules";
		return;
	}
	ret->modules = arena_array(a, (size_t)n + 1, struct fleet_module *);
	for (int i = 0; i < n; i++) {
		if (i < FILES_MAX)
			read_one(ret, folder, names[i]->d_name, a);
		free(names[i]);
	}
	free(names);
	ret->status = ret->n > 0 ? "loaded" : "no-modules";
}
