/*
 * codec/fleet_resources.c - linux.json, said once: the tables below are its
 * members, and reading, writing, checking and comparing walk them.
 *
 * What is checked here is what a device may rely on: a name that is one for the
 * program it goes to, a path that stays where it points, no NUL anywhere. Text
 * that is only text (a file's, a comment's) may hold whatever it likes.
 */
#include "codec/fleet_resources.h"

#include "base/base.h"
#include "codec/fleet_resources_check.h"
#include "base/mem.h"
#include "codec/json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ITEMS_MAX 10000 /* of a list */

enum what { TEXT, TEXTS, PAIRS, WHOLE, FLAG, WORD };

struct member {
	const char *name;
	enum what what;
	size_t at;     /* in the struct */
	size_t beside; /* PAIRS: the count; TEXTS: a bool "is there", or 0 */
	bool required;
	const char *(*must)(struct str s); /* NULL: fine; else what it must */
	int64_t min, max, def;             /* WHOLE; FLAG: def */
	const char *word[2];               /* WORD: false, true */
};

struct list {
	const char *name;
	size_t at, count, size;
	const struct member *members; /* the first is its name */
	/* What one member alone can not say. */
	const char *(*must)(const void *item);
};

#define AT(type, field) .at = offsetof(struct type, field)
#define ID_MAX 4294967294 /* of users and groups; one more is "none" */

static const struct member repository_members[] = {
	{ "name", TEXT, AT(fleet_apt_repository, name), .required = true,
	    .must = must_file_word },
	{ "line", TEXT, AT(fleet_apt_repository, line), .required = true,
	    .must = must_apt_line },
	{ "key", TEXT, AT(fleet_apt_repository, key), .must = must_pgp_key },
	{ 0 },
};
static const struct member package_members[] = {
	{ "name", TEXT, AT(fleet_package, name), .required = true,
	    .must = must_argument },
	{ "version", TEXT, AT(fleet_package, version), .must = must_argument },
	{ "manager", TEXT, AT(fleet_package, manager), .must = must_file_word },
	{ "state", WORD, AT(fleet_package, absent),
	    .word = { "installed", "absent" } },
	{ 0 },
};
static const struct member group_members[] = {
	{ "name", TEXT, AT(fleet_group, name), .required = true,
	    .must = must_user },
	{ "gid", WHOLE, AT(fleet_group, gid), .max = ID_MAX, .def = -1 },
	{ 0 },
};
static const struct member user_members[] = {
	{ "name", TEXT, AT(fleet_user, name), .required = true,
	    .must = must_user },
	{ "uid", WHOLE, AT(fleet_user, uid), .max = ID_MAX, .def = -1 },
	{ "groups", TEXTS, AT(fleet_user, groups), .must = must_user },
	{ "shell", TEXT, AT(fleet_user, shell), .must = must_passwd_path },
	{ "home", TEXT, AT(fleet_user, home), .must = must_passwd_path },
	{ "comment", TEXT, AT(fleet_user, comment), .must = must_passwd_text },
	{ "passwordSecret", TEXT, AT(fleet_user, password_secret),
	    .must = must_id },
	{ "authorizedKeys", TEXTS, AT(fleet_user, authorized_keys),
	    .beside = offsetof(struct fleet_user, has_keys),
	    .must = must_line },
	{ "state", WORD, AT(fleet_user, absent),
	    .word = { "present", "absent" } },
	{ 0 },
};
static const struct member file_members[] = {
	{ "path", TEXT, AT(fleet_file, path), .required = true,
	    .must = must_path },
	{ "text", TEXT, AT(fleet_file, text) },
	{ "artifact", TEXT, AT(fleet_file, artifact), .must = must_file_name },
	{ "secret", TEXT, AT(fleet_file, secret), .must = must_id },
	{ "owner", TEXT, AT(fleet_file, owner), .must = must_owner },
	{ "group", TEXT, AT(fleet_file, group), .must = must_owner },
	{ "mode", TEXT, AT(fleet_file, mode), .must = must_mode },
	{ 0 },
};
static const struct member service_members[] = {
	{ "name", TEXT, AT(fleet_service, name), .required = true,
	    .must = must_unit },
	{ "enabled", FLAG, AT(fleet_service, enabled), .def = true },
	{ "running", FLAG, AT(fleet_service, running), .def = true },
	{ "restartOn", TEXTS, AT(fleet_service, restart_on),
	    .must = must_path },
	{ 0 },
};
static const struct member container_members[] = {
	{ "name", TEXT, AT(fleet_container, name), .required = true,
	    .must = must_file_word },
	{ "image", TEXT, AT(fleet_container, image), .required = true,
	    .must = must_image },
	{ "ports", TEXTS, AT(fleet_container, ports), .must = must_port },
	{ "volumes", TEXTS, AT(fleet_container, volumes), .must = must_volume },
	{ "environment", PAIRS, AT(fleet_container, environment),
	    .beside = offsetof(struct fleet_container, n_environment),
	    .must = must_key },
	{ "labels", PAIRS, AT(fleet_container, labels),
	    .beside = offsetof(struct fleet_container, n_labels),
	    .must = must_key },
	{ "command", TEXTS, AT(fleet_container, command) },
	{ 0 },
};
static const struct member check_members[] = {
	{ "argv", TEXTS, AT(fleet_check, argv), .required = true },
	{ "timeout", WHOLE, AT(fleet_check, timeout_s), .min = 1, .max = 3600,
	    .def = 30 },
	{ 0 },
};

static const char *
package_must(const void *item)
{
	const struct fleet_package *p = item;

	/* Any other manager has its own idea of a name. */
	if (p->manager.ptr != NULL && !str_eqz(p->manager, "apt"))
		return NULL;
	if (must_deb(p->name) != NULL)
		return must_deb(p->name);
	return p->version.ptr == NULL ? NULL : must_deb_version(p->version);
}

static const char *
user_must(const void *item)
{
	const struct fleet_user *u = item;

	return u->absent && str_eqz(u->name, "root") ? "root can not be absent"
						     : NULL;
}

static const char *
file_must(const void *item)
{
	const struct fleet_file *f = item;

	return (f->text.ptr != NULL) + (f->artifact.ptr != NULL) +
		    (f->secret.ptr != NULL) ==
		1
	    ? NULL
	    : "must have one of \"text\", \"artifact\" and \"secret\"";
}

static const char *
check_must(const void *item)
{
	const struct fleet_check *c = item;

	return c->argv.n > 0 && c->argv.at[0].len > 0
	    ? NULL
	    : "argv must begin with a program";
}

#define LIST(name_, field, type, ...)                                          \
	{                                                                      \
		.name = name_, .at = offsetof(struct fleet_resources, field),  \
		.count = offsetof(struct fleet_resources, n_##field),          \
		.size = sizeof(struct type), __VA_ARGS__                       \
	}

static const struct list lists[] = {
	LIST("repositories", repositories, fleet_apt_repository,
	    .members = repository_members),
	LIST("packages", packages, fleet_package, .members = package_members,
	    .must = package_must),
	LIST("groups", groups, fleet_group, .members = group_members),
	LIST("users", users, fleet_user, .members = user_members,
	    .must = user_must),
	LIST("files", files, fleet_file, .members = file_members,
	    .must = file_must),
	LIST("services", services, fleet_service, .members = service_members),
	LIST("containers", containers, fleet_container,
	    .members = container_members),
	LIST("checks", checks, fleet_check, .members = check_members,
	    .must = check_must),
};
#define N_LISTS (sizeof(lists) / sizeof(*lists))

static const struct member top_members[] = {
	{ "hostName", TEXT, AT(fleet_resources, host_name), .must = must_host },
	{ "timeZone", TEXT, AT(fleet_resources, time_zone), .must = must_zone },
	{ 0 },
};

static void *
member_of(const void *item, size_t at)
{
	return (char *)(uintptr_t)item + at;
}

/* --- checking ------------------------------------------------------------- */

static const char *
text_must(const struct member *m, struct str s)
{
	if (s.len > 0 && memchr(s.ptr, '\0', s.len) != NULL)
		return "must not have a NUL";
	return m->must == NULL ? NULL : m->must(s);
}

static const char *
member_must(const struct member *m, const void *item)
{
	const void *at = member_of(item, m->at);
	const char *why = NULL;

	switch (m->what) {
	case TEXT: {
		const struct str *s = at;

		if (s->ptr == NULL)
			return m->required ? "is missing" : NULL;
		return text_must(m, *s);
	}
	case TEXTS: {
		const struct strs *list = at;

		if (m->required && list->n == 0)
			return "is missing";
		for (size_t i = 0; i < list->n && why == NULL; i++)
			why = text_must(m, list->at[i]);
		return why;
	}
	case PAIRS: {
		const struct fleet_pair *p = *(struct fleet_pair *const *)at;
		size_t n = *(size_t *)member_of(item, m->beside);

		for (size_t i = 0; i < n && why == NULL; i++) {
			why = text_must(m, p[i].key);
			if (why == NULL && p[i].value.len > 0 &&
			    memchr(p[i].value.ptr, 0, p[i].value.len) != NULL)
				why = "must not have a NUL";
			for (size_t k = 0; k < i && why == NULL; k++)
				if (str_eq(p[i].key, p[k].key))
					why = "must not have a key twice";
		}
		return why;
	}
	case WHOLE: {
		int64_t n = *(const int64_t *)at;

		return n == m->def || (n >= m->min && n <= m->max)
		    ? NULL
		    : "is out of range";
	}
	case FLAG:
	case WORD:
		return NULL;
	}
	return NULL;
}

static int
by_text(const void *a, const void *b)
{
	return str_cmp(**(struct str *const *)a, **(struct str *const *)b);
}

/* Items in the order of their names: pointers, in memory to be freed. Checks
 * have none, and stay. */
static const void **
sorted(const struct list *l, const void *base, size_t n)
{
	const void **at = mem_array(n + 1, sizeof(*at));

	for (size_t i = 0; i < n; i++)
		at[i] = (const char *)base + i * l->size;
	/* The name is a text, at the start of each struct. */
	if (l->members[0].what == TEXT)
		qsort(at, n, sizeof(*at), by_text);
	return at;
}

static int
list_check(const struct list *l, const void *base, size_t n, struct err *err)
{
	const void **at;
	int rc = 0;

	for (size_t i = 0; i < n; i++) {
		const void *item = (const char *)base + i * l->size;
		const char *why;

		for (const struct member *m = l->members; m->name != NULL; m++)
			if ((why = member_must(m, item)) != NULL)
				return err_set(err, ERR_PARAM, "%s[%zu].%s: %s",
				    l->name, i, m->name, why);
		if (l->must != NULL && (why = l->must(item)) != NULL)
			return err_set(
			    err, ERR_PARAM, "%s[%zu]: %s", l->name, i, why);
	}
	if (l->members[0].what != TEXT)
		return 0;
	at = sorted(l, base, n);
	for (size_t i = 1; i < n && rc == 0; i++)
		if (by_text(&at[i - 1], &at[i]) == 0)
			rc = err_set(err, ERR_PARAM,
			    "%s: \"" STR_FMT "\" is there twice", l->name,
			    STR_ARG(*(const struct str *)at[i]));
	free(at);
	return rc;
}

int
fleet_resources_check(const struct fleet_resources *r, struct err *err)
{
	for (const struct member *m = top_members; m->name != NULL; m++) {
		const char *why = member_must(m, r);

		if (why != NULL)
			return err_set(err, ERR_PARAM, "%s: %s", m->name, why);
	}
	for (size_t i = 0; i < N_LISTS; i++) {
		size_t n = *(size_t *)member_of(r, lists[i].count);
		const void *base = *(void **)member_of(r, lists[i].at);

		if (list_check(&lists[i], base, n, err) != 0)
			return ERR_PARAM;
	}
	return 0;
}

/* --- reading -------------------------------------------------------------- */

struct reader {
	struct json j;
	struct arena *arena;
	char where[96];
};

/* Room for one more behind `n` items of `size`; `*base` grows by doubling. */
static void *
more(struct reader *r, void *base, size_t n, size_t size)
{
	void *to = base;

	if (n == 0 || (n & (n - 1)) == 0) {
		to = arena_alloc(r->arena, (n == 0 ? 1 : n * 2) * size);
		if (n > 0)
			memcpy(to, base, n * size);
	}
	return to;
}

static bool
room(struct reader *r, size_t n)
{
	if (n < ITEMS_MAX)
		return true;
	json_fail(&r->j, "has too many items");
	return false;
}

static void
read_texts(struct reader *r, struct strs *list)
{
	if (!json_array(&r->j))
		return;
	while (json_item(&r->j) && room(r, list->n)) {
		list->at = more(r, list->at, list->n, sizeof(*list->at));
		if (!json_str(&r->j, &list->at[list->n]))
			return;
		list->n++;
	}
}

static void
read_pairs(struct reader *r, struct fleet_pair **pairs, size_t *n)
{
	struct str key;

	if (!json_object(&r->j))
		return;
	while (json_member(&r->j, &key) && room(r, *n)) {
		*pairs = more(r, *pairs, *n, sizeof(**pairs));
		(*pairs)[*n].key = key;
		if (!json_str(&r->j, &(*pairs)[*n].value))
			return;
		(*n)++;
	}
}

static void
read_word(struct reader *r, const struct member *m, bool *ret)
{
	struct str s;

	if (!json_str(&r->j, &s))
		return;
	*ret = str_eqz(s, m->word[1]);
	if (!*ret && !str_eqz(s, m->word[0]))
		json_fail(&r->j, "is none of the words there are");
}

static void
read_value(struct reader *r, const struct member *m, void *item)
{
	void *at = member_of(item, m->at);

	if (json_peek(&r->j) == JSON_NULL) {
		json_null(&r->j); /* as if it were not there */
		return;
	}
	switch (m->what) {
	case TEXT:
		json_str(&r->j, at);
		break;
	case TEXTS:
		read_texts(r, at);
		if (m->beside != 0)
			*(bool *)member_of(item, m->beside) = true;
		break;
	case PAIRS:
		read_pairs(r, at, member_of(item, m->beside));
		break;
	case WHOLE:
		json_i64(&r->j, at);
		break;
	case FLAG:
		json_bool(&r->j, at);
		break;
	case WORD:
		read_word(r, m, at);
		break;
	}
}

static void
set_defaults(const struct member *members, void *item)
{
	for (const struct member *m = members; m->name != NULL; m++) {
		if (m->what == WHOLE)
			*(int64_t *)member_of(item, m->at) = m->def;
		if (m->what == FLAG)
			*(bool *)member_of(item, m->at) = m->def != 0;
	}
}

static const struct member *
find(const struct member *members, struct str key)
{
	for (; members->name != NULL; members++)
		if (str_eqz(key, members->name))
			return members;
	return NULL;
}

static void
read_item(struct reader *r, const struct list *l, void *item)
{
	unsigned seen = 0;
	struct str key;

	set_defaults(l->members, item);
	if (!json_object(&r->j))
		return;
	while (json_member(&r->j, &key)) {
		const struct member *m = find(l->members, key);
		unsigned bit = m == NULL ? 0 : 1u << (m - l->members);

		if (m == NULL)
			json_fail(&r->j, "is a member that does not exist");
		else if (seen & bit)
			json_fail(&r->j, "has a member twice");
		else
			read_value(r, m, item);
		seen |= bit;
	}
}

static void
read_list(struct reader *r, const struct list *l, struct fleet_resources *ret)
{
	void **base = member_of(ret, l->at);
	size_t *n = member_of(ret, l->count);

	if (*n > 0)
		json_fail(&r->j, "is there twice");
	if (!json_array(&r->j))
		return;
	while (json_item(&r->j) && room(r, *n)) {
		*base = more(r, *base, *n, l->size);
		snprintf(r->where, sizeof(r->where), "%s[%zu]: ", l->name, *n);
		read_item(r, l, (char *)*base + *n * l->size);
		if (!json_ok(&r->j))
			return;
		(*n)++;
	}
	r->where[0] = '\0';
}

int
fleet_resources_read(struct str json, struct arena *a,
    struct fleet_resources *ret, struct err *err)
{
	struct reader r = { .arena = a };
	struct fleet_resources got = { 0 };
	struct str key;

	json_open(&r.j, json, 0, a);
	if (json_object(&r.j))
		while (json_member(&r.j, &key)) {
			const struct member *m = find(top_members, key);
			size_t i = 0;

			while (i < N_LISTS && !str_eqz(key, lists[i].name))
				i++;
			if (m != NULL)
				read_value(&r, m, &got);
			else if (i < N_LISTS)
				read_list(&r, &lists[i], &got);
			else
				json_fail(
				    &r.j, "is a member that does not exist");
		}
	if (json_done(&r.j, err) != 0)
		return r.where[0] == '\0' ? ERR_PARAM
					  : err_wrap(err, "%s", r.where);
	if (fleet_resources_check(&got, err) != 0)
		return ERR_PARAM;
	*ret = got;
	return 0;
}

/* --- writing -------------------------------------------------------------- */

static int
pair_order(const void *a, const void *b)
{
	return str_cmp(((const struct fleet_pair *)a)->key,
	    ((const struct fleet_pair *)b)->key);
}

static void
write_pairs(struct json_out *o, const struct fleet_pair *pairs, size_t n)
{
	struct fleet_pair *p = mem_array(n + 1, sizeof(*p));

	if (n > 0)
		memcpy(p, pairs, n * sizeof(*p));
	qsort(p, n, sizeof(*p), pair_order);
	json_out_object(o);
	for (size_t i = 0; i < n; i++) {
		json_out_key_str(o, p[i].key);
		json_out_str(o, p[i].value);
	}
	json_out_end_object(o);
	free(p);
}

static void
write_texts(struct json_out *o, const struct strs *list)
{
	json_out_array(o);
	for (size_t i = 0; i < list->n; i++)
		json_out_str(o, list->at[i]);
	json_out_end_array(o);
}

/* What is as if it were not said is not written. */
static bool
is_plain(const struct member *m, const void *item)
{
	const void *at = member_of(item, m->at);

	switch (m->what) {
	case TEXT:
		return ((const struct str *)at)->ptr == NULL;
	case TEXTS:
		return ((const struct strs *)at)->n == 0 &&
		    !(m->beside != 0 && *(bool *)member_of(item, m->beside));
	case PAIRS:
		return *(size_t *)member_of(item, m->beside) == 0;
	case WHOLE:
		return *(const int64_t *)at == m->def;
	case WORD:
		return !*(const bool *)at;
	case FLAG:
		return false;
	}
	return false;
}

static void
write_members(
    struct json_out *o, const struct member *members, const void *item)
{
	for (const struct member *m = members; m->name != NULL; m++) {
		const void *at = member_of(item, m->at);

		if (is_plain(m, item))
			continue;
		json_out_key(o, m->name);
		switch (m->what) {
		case TEXT:
			json_out_str(o, *(const struct str *)at);
			break;
		case TEXTS:
			write_texts(o, at);
			break;
		case PAIRS:
			write_pairs(o, *(struct fleet_pair *const *)at,
			    *(size_t *)member_of(item, m->beside));
			break;
		case WHOLE:
			json_out_int(o, *(const int64_t *)at);
			break;
		case FLAG:
			json_out_bool(o, *(const bool *)at);
			break;
		case WORD:
			json_out_str(o, str_of(m->word[1]));
			break;
		}
	}
}

static void
write_item(struct json_out *o, const struct list *l, const void *item)
{
	json_out_object(o);
	write_members(o, l->members, item);
	json_out_end_object(o);
}

void
fleet_resources_write(const struct fleet_resources *r, struct buf *out)
{
	struct json_out o;

	json_out_init(&o, out, true);
	json_out_object(&o);
	write_members(&o, top_members, r);
	for (size_t i = 0; i < N_LISTS; i++) {
		size_t n = *(size_t *)member_of(r, lists[i].count);
		const void **at;

		if (n == 0)
			continue;
		at = sorted(&lists[i], *(void **)member_of(r, lists[i].at), n);
		json_out_key(&o, lists[i].name);
		json_out_array(&o);
		for (size_t k = 0; k < n; k++)
			write_item(&o, &lists[i], at[k]);
		json_out_end_array(&o);
		free(at);
	}
	json_out_end_object(&o);
	buf_addc(out, '\n');
}

void
fleet_container_write(const struct fleet_container *c, struct buf *out)
{
	struct json_out o;

	json_out_init(&o, out, false);
	json_out_object(&o);
	write_members(&o, container_members, c);
	json_out_end_object(&o);
}
