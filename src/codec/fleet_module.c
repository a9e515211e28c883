/*
 * codec/fleet_module.c - see fleet_module.h: reading the file of a module, and
 * what a setting may be.
 *
 * What members there are, and where each goes, is said by tables of rows; a
 * member that no row names is an error, so that a slip of the pen is seen by
 * who makes it.
 */
#include "codec/fleet_module_private.h"

#include "base/base.h"
#include "codec/nix.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NESTED_MAX 4 /* lists in lists */
#define SETTINGS_MAX 1000

const char *const fleet_type_names[] = {
	[FLEET_STRING] = "string",
	[FLEET_TEXTAREA] = "textarea",
	[FLEET_INT] = "int",
	[FLEET_BOOL] = "bool",
	[FLEET_PATH] = "path",
	[FLEET_PACKAGE] = "package",
	[FLEET_SELECT] = "select-one",
	[FLEET_LIST] = "list",
	[FLEET_SECRET] = "secret",
	[FLEET_ARTIFACT] = "artifact",
	[FLEET_CODE] = "textarea-code",
	[FLEET_TIMER] = "systemd-timer",
};

/* --- members -------------------------------------------------------------- */

enum row_kind { TEXT, STRING, STRINGS, BOOL, INT, RAW, OWN };

struct row {
	const char *key;
	enum row_kind kind;
	size_t at; /* offset */
};

struct reader {
	struct json j;
	struct arena *a;
	unsigned nested;
};

/* A value, as JSON. */
static struct str
strict(struct reader *r, struct str json5)
{
	struct buf b = { 0 };
	struct str s = STR_NULL;

	if (json_compact(&b, json5, JSON_5))
		s = arena_str(r->a, buf_str(&b));
	buf_free(&b);
	return s;
}

static void
read_text(struct reader *r, struct fleet_text *t)
{
	struct str key;

	if (json_peek(&r->j) == JSON_STRING) {
		json_str(&r->j, &t->en);
		return;
	}
	json_object(&r->j);
	while (json_member(&r->j, &key)) {
		if (str_eqz(key, "en"))
			json_str(&r->j, &t->en);
		else if (str_eqz(key, "de"))
			json_str(&r->j, &t->de);
		else
			json_fail(&r->j,
			    "a text in another language than en "
			    "and de");
	}
	if (json_ok(&r->j) && t->en.ptr == NULL)
		json_fail(&r->j, "a text without English");
}

/* One text, or a list of them. */
static void
read_strings(struct reader *r, struct strs *ret)
{
	struct strs got = { 0 };
	struct json ahead = r->j;
	size_t n = 0;

	if (json_peek(&r->j) == JSON_STRING) {
		got.at = arena_new(r->a, struct str);
		got.n = 1;
		json_str(&r->j, got.at);
		*ret = got;
		return;
	}
	for (json_array(&ahead); json_item(&ahead); json_skip(&ahead))
		n++;
	if (n > 0)
		got.at = arena_array(r->a, n, struct str);
	json_array(&r->j);
	while (json_item(&r->j))
		if (json_str(&r->j, &got.at[got.n]))
			got.n++;
	*ret = got;
}

/* Takes a member that one of the rows names; false: none does, or it is the
 * caller's own to read. */
static bool
take(struct reader *r, const struct row *rows, void *base, struct str key,
    bool *own)
{
	struct str raw;

	*own = false;
	for (; rows->key != NULL; rows++) {
		void *to = (char *)base + rows->at;

		if (!str_eqz(key, rows->key))
			continue;
		switch (rows->kind) {
		case TEXT:
			read_text(r, to);
			break;
		case STRING:
			json_str(&r->j, to);
			break;
		case STRINGS:
			read_strings(r, to);
			break;
		case BOOL:
			json_bool(&r->j, to);
			break;
		case INT:
			json_i64(&r->j, to);
			break;
		case RAW:
			if (json_raw(&r->j, &raw))
				*(struct str *)to = strict(r, raw);
			break;
		case OWN:
			*own = true;
			return false;
		}
		return true;
	}
	return false;
}

static void
unknown(struct reader *r, struct str key)
{
	json_fail(&r->j,
	    arena_z(r->a,
		arena_printf(r->a, "member \"" STR_FMT "\" is not known",
		    (int)MIN_OF(key.len, 60), key.ptr)));
}

/* --- types ---------------------------------------------------------------- */

static size_t
count_items(struct json j)
{
	size_t n = 0;

	for (json_array(&j); json_item(&j); json_skip(&j))
		n++;
	return n;
}

static size_t
count_members(struct json j)
{
	struct str key;
	size_t n = 0;

	for (json_object(&j); json_member(&j, &key); json_skip(&j))
		n++;
	return n;
}

static void
read_choices(struct reader *r, struct fleet_kind *k)
{
	size_t n = count_items(r->j);

	k->choices = arena_array(r->a, n + 1, struct fleet_choice);
	json_array(&r->j);
	while (json_item(&r->j)) {
		struct fleet_choice *c = &k->choices[k->n_choices];

		json_array(&r->j);
		if (json_item(&r->j))
			read_text(r, &c->label);
		if (json_item(&r->j))
			json_str(&r->j, &c->value);
		if (json_item(&r->j))
			json_fail(&r->j, "a choice is [label, value]");
		if (json_ok(&r->j) && c->value.ptr == NULL)
			json_fail(&r->j, "a choice is [label, value]");
		if (k->n_choices < n)
			k->n_choices++;
	}
}

/* {"other key": {"its value": ["allowed", ...]}} */
static void
read_restrictions(struct reader *r, struct fleet_kind *k)
{
	struct json ahead = r->j;
	struct str key, value;
	size_t n = 0;

	for (json_object(&ahead); json_member(&ahead, &key); json_skip(&ahead))
		n += count_members(ahead);
	k->restrictions = arena_array(r->a, n + 1, struct fleet_restriction);
	json_object(&r->j);
	while (json_member(&r->j, &key)) {
		json_object(&r->j);
		while (json_member(&r->j, &value)) {
			struct fleet_restriction *x =
			    &k->restrictions[k->n_restrictions];

			x->key = key;
			x->value = value;
			read_strings(r, &x->allowed);
			if (k->n_restrictions < n)
				k->n_restrictions++;
		}
	}
}

static void
read_extra(struct reader *r, struct fleet_kind *k)
{
	struct str key;
	struct strs on = { 0 };

	json_object(&r->j);
	while (json_member(&r->j, &key)) {
		if (str_eqz(key, "restrict_values_on_other_key")) {
			read_restrictions(r, k);
		} else if (str_eqz(key, "only_editable_on_target_type")) {
			read_strings(r, &on);
			k->config_only =
			    on.n == 1 && str_eqz(on.at[0], "config");
			if (!k->config_only)
				json_fail(&r->j, "only [\"config\"] is known");
		} else {
			unknown(r, key);
		}
	}
}

static void
read_type_name(struct reader *r, struct fleet_kind *k)
{
	struct str name;

	if (!json_str(&r->j, &name))
		return;
	for (size_t i = 0; i < COUNT_OF(fleet_type_names); i++)
		if (str_eqz(name, fleet_type_names[i])) {
			k->type = (enum fleet_type)i;
			return;
		}
	json_fail(&r->j, "type of a setting that is not known");
}

static void read_kinds(
    struct reader *r, struct fleet_kind **ret, size_t *n, bool rows);

#define K(member) offsetof(struct fleet_kind, member)
static const struct row type_rows[] = {
	{ "type", OWN, 0 },
	{ "select-one", OWN, 0 },
	{ "extra_data", OWN, 0 },
	{ "list-of", OWN, 0 },
	{ "timer", RAW, K(timer) },
	{ "element-name", TEXT, K(element) },
	{ "language", STRING, K(language) },
	{ "format", STRING, K(format) },
	{ "min", INT, K(min) },
	{ "max", INT, K(max) },
	{ "allowed-types", STRINGS, K(secret_types) },
	{ "default-processing-type", STRING, K(processing) },
	{ "default-save-to-image", BOOL, K(in_image) },
	{ "on-device-path", STRING, K(path) },
	{ "on-device-owner", STRING, K(owner) },
	{ "on-device-group", STRING, K(group) },
	{ "on-device-mode", STRING, K(mode) },
	{ NULL, OWN, 0 },
};

static void
read_type(struct reader *r, struct fleet_kind *k)
{
	struct str key;
	bool own;

	if (json_peek(&r->j) == JSON_STRING) {
		read_type_name(r, k);
		return;
	}
	json_object(&r->j);
	while (json_member(&r->j, &key)) {
		if (take(r, type_rows, k, key, &own))
			continue;
		if (!own)
			unknown(r, key);
		else if (str_eqz(key, "type"))
			read_type_name(r, k);
		else if (str_eqz(key, "select-one"))
			read_choices(r, k);
		else if (str_eqz(key, "extra_data"))
			read_extra(r, k);
		else
			read_kinds(r, &k->of, &k->n_of, true);
	}
}

/* --- settings ------------------------------------------------------------- */

static const struct row kind_rows[] = {
	{ "type", OWN, 0 },
	{ "name", TEXT, K(name) },
	{ "help", TEXT, K(help) },
	{ "example", TEXT, K(example) },
	{ "default", RAW, K(def) },
	{ "order", INT, K(order) },
	{ "required", BOOL, K(required) },
	{ NULL, OWN, 0 },
};

static const struct row setting_rows[] = {
	{ "merge", OWN, 0 },
	{ "option", STRINGS, K(options) },
	{ "each", STRING, K(each) },
	{ "unless-blank", BOOL, K(unless_blank) },
	{ NULL, OWN, 0 },
};

/* "override", "append", or {by: "name"}. */
static void
read_merge(struct reader *r, struct fleet_kind *k)
{
	struct str s;

	if (json_peek(&r->j) == JSON_OBJECT) {
		json_object(&r->j);
		while (json_member(&r->j, &s)) {
			if (!str_eqz(s, "by"))
				unknown(r, s);
			else if (json_str(&r->j, &k->by))
				k->merge = FLEET_BY;
		}
	} else if (json_str(&r->j, &s)) {
		if (str_eqz(s, "append"))
			k->merge = FLEET_APPEND;
		else if (!str_eqz(s, "override"))
			json_fail(&r->j,
			    "merge is \"override\", \"append\" "
			    "or {by: \"member\"}");
	}
}

static const char *
kind_fault(const struct fleet_kind *k, bool row)
{
	if (k->key.len == 0)
		return "a setting without a key";
	if (k->name.en.ptr == NULL)
		return "a setting without a name";
	if (k->type == FLEET_LIST && k->n_of == 0)
		return "a list without list-of";
	if (k->type == FLEET_SELECT && k->n_choices == 0)
		return "a select-one without choices";
	if (k->merge != FLEET_OVERRIDE && k->type != FLEET_LIST)
		return "only lists are appended or merged by a member";
	if (k->merge == FLEET_BY &&
	    fleet_kind_find(k->of, k->n_of, k->by) == NULL)
		return "`by` names no member of the list";
	if (k->each.ptr != NULL &&
	    fleet_kind_find(k->of, k->n_of, k->each) == NULL)
		return "`each` names no member of the list";
	if (k->def.ptr != NULL && fleet_value_check(k, k->def, NULL) != 0)
		return "its default is no value that it may have";
	for (size_t i = 0; i < k->options.n; i++)
		if (!nix_is_path(k->options.at[i]))
			return "`option` is no path of an option";
	if (!row && k->type == FLEET_SECRET && k->options.n > 0 &&
	    k->path.ptr == NULL)
		return "a secret with an option needs on-device-path";
	return NULL;
}

static void
read_kind(struct reader *r, struct fleet_kind *k, bool row)
{
	struct str key;
	const char *why;
	bool own;

	json_object(&r->j);
	while (json_member(&r->j, &key)) {
		if (take(r, kind_rows, k, key, &own))
			continue;
		if (own) {
			read_type(r, k);
			continue;
		}
		if (!row && take(r, setting_rows, k, key, &own))
			continue;
		if (own)
			read_merge(r, k);
		else
			unknown(r, key);
	}
	if (json_ok(&r->j) && (why = kind_fault(k, row)) != NULL)
		json_fail(&r->j,
		    arena_z(r->a,
			arena_printf(r->a, "setting \"" STR_FMT "\": %s",
			    STR_ARG(k->key), why)));
}

static void
read_kinds(struct reader *r, struct fleet_kind **ret, size_t *n, bool rows)
{
	struct str key;
	size_t room = count_members(r->j), got = 0;
	struct fleet_kind *kinds;

	if (room > SETTINGS_MAX || r->nested >= NESTED_MAX) {
		json_fail(&r->j, "too many settings, or lists too deep");
		return;
	}
	r->nested++;
	kinds = arena_array(r->a, room + 1, struct fleet_kind);
	json_object(&r->j);
	while (json_member(&r->j, &key) && got < room) {
		struct fleet_kind *k = &kinds[got];

		if (fleet_kind_find(kinds, got, key) != NULL) {
			json_fail(&r->j, "a setting that is twice there");
			break;
		}
		k->key = key;
		k->min = INT64_MIN;
		k->max = INT64_MAX;
		k->in_image = true;
		k->order = (int64_t)(got + 1) * 10;
		read_kind(r, k, rows);
		got++;
	}
	r->nested--;
	*ret = kinds;
	*n = got;
}

/* --- modules -------------------------------------------------------------- */

#define M(member) offsetof(struct fleet_module, member)
static const struct row module_rows[] = {
	{ "type", STRING, M(type) },
	{ "name", TEXT, M(name) },
	{ "help", TEXT, M(help) },
	{ "category", TEXT, M(category) },
	{ "icon", STRING, M(icon) },
	{ "icon-dark", STRING, M(icon_dark) },
	{ "each-source", BOOL, M(each_source) },
	{ "linux", RAW, M(yields) },
	{ "targets", OWN, 0 },
	{ "settings", OWN, 0 },
	{ "nixos", OWN, 0 },
	{ NULL, OWN, 0 },
};
static const struct row nixos_rows[] = {
	{ "function", STRING, M(function) },
	{ "code", STRING, M(code) },
	{ NULL, OWN, 0 },
};

static void
read_targets(struct reader *r, struct fleet_module *m)
{
	struct strs names = { 0 };

	read_strings(r, &names);
	for (size_t i = 0; i < names.n; i++)
		if (str_eqz(names.at[i], "nixos"))
			m->for_nixos = true;
		else if (str_eqz(names.at[i], "linux"))
			m->for_linux = true;
		else
			json_fail(&r->j, "a target is \"nixos\" or \"linux\"");
}

static void
read_nixos(struct reader *r, struct fleet_module *m)
{
	struct str key;
	bool own;

	json_object(&r->j);
	while (json_member(&r->j, &key))
		if (!take(r, nixos_rows, m, key, &own))
			unknown(r, key);
}

/* A part of the name of a file: no separators, no dot in front. */
static bool
is_file_name(struct str s)
{
	if (s.len == 0 || s.len > 200 || s.ptr[0] == '.')
		return false;
	for (size_t i = 0; i < s.len; i++)
		if (!((s.ptr[i] >= 'a' && s.ptr[i] <= 'z') ||
			(s.ptr[i] >= 'A' && s.ptr[i] <= 'Z') ||
			(s.ptr[i] >= '0' && s.ptr[i] <= '9') ||
			s.ptr[i] == '.' || s.ptr[i] == '-' || s.ptr[i] == '_'))
			return false;
	return true;
}

static const char *
module_fault(const struct fleet_module *m)
{
	const struct fleet_kind *code;

	if (!is_file_name(m->type))
		return "`type` is missing, or has other than letters, digits, "
		       "'.', '-' and '_'";
	if (m->name.en.ptr == NULL)
		return "`name` is missing";
	if (!m->for_nixos && !m->for_linux)
		return "`targets` is missing";
	if (m->function.ptr != NULL &&
	    (!is_file_name(m->function) || !str_ends(m->function, STR(".nix"))))
		return "`nixos.function` is no name of a .nix file beside it";
	if (m->yields.ptr != NULL && json_type_of(m->yields) != JSON_OBJECT)
		return "`linux` is no object";
	if (m->yields.ptr != NULL && !m->for_linux)
		return "`linux` is there, but not among `targets`";
	if (m->code.ptr == NULL)
		return NULL;
	code = fleet_kind_find(m->settings, m->n_settings, m->code);
	return code == NULL || code->type != FLEET_CODE
	    ? "`nixos.code` names no setting of textarea-code"
	    : NULL;
}

int
fleet_module_read(struct str text, struct arena *a, struct fleet_module **ret,
    struct err *err)
{
	struct fleet_module *m = arena_new(a, struct fleet_module);
	struct reader r = { .a = a };
	struct str key;
	const char *why;
	bool own;
	int rc;

	json_open(&r.j, text, JSON_5, a);
	json_object(&r.j);
	while (json_member(&r.j, &key)) {
		if (take(&r, module_rows, m, key, &own))
			continue;
		if (!own)
			unknown(&r, key);
		else if (str_eqz(key, "targets"))
			read_targets(&r, m);
		else if (str_eqz(key, "nixos"))
			read_nixos(&r, m);
		else
			read_kinds(&r, &m->settings, &m->n_settings, false);
	}
	rc = json_done(&r.j, err);
	if (rc == 0 && (why = module_fault(m)) != NULL)
		rc = err_set(err, ERR_PARAM, "%s", why);
	if (rc == 0)
		*ret = m;
	return rc;
}

const struct fleet_module *
fleet_module_find(const struct fleet_catalog *c, struct str type)
{
	for (size_t i = 0; i < c->n; i++)
		if (str_eq(c->modules[i]->type, type))
			return c->modules[i];
	return NULL;
}

const struct fleet_kind *
fleet_kind_find(const struct fleet_kind *kinds, size_t n, struct str key)
{
	for (size_t i = 0; i < n; i++)
		if (str_eq(kinds[i].key, key))
			return &kinds[i];
	return NULL;
}

/* --- what a setting may be ------------------------------------------------ */

static const char *
format_fault(struct str format, struct str s)
{
	if (format.ptr == NULL || s.len == 0)
		return NULL;
	if (str_eqz(format, "path")) {
		if (s.ptr[0] != '/')
			return "must be an absolute path";
		for (struct str rest = s; rest.ptr != NULL;)
			if (str_eqz(str_cut(&rest, '/'), ".."))
				return "must be a path without \"..\"";
		for (size_t i = 0; i < s.len; i++)
			if ((unsigned char)s.ptr[i] < ' ')
				return "must be a path in one line";
	} else if (str_eqz(format, "mode")) {
		if (s.len < 3 || s.len > 4)
			return "must be octal, as 0644";
		for (size_t i = 0; i < s.len; i++)
			if (s.ptr[i] < '0' || s.ptr[i] > '7')
				return "must be octal, as 0644";
	} else if (str_eqz(format, "name")) {
		for (size_t i = 0; i < s.len; i++)
			if (!((s.ptr[i] >= 'a' && s.ptr[i] <= 'z') ||
				(s.ptr[i] >= 'A' && s.ptr[i] <= 'Z') ||
				(s.ptr[i] >= '0' && s.ptr[i] <= '9') ||
				(i > 0 && strchr("._-@+", s.ptr[i]) != NULL) ||
				s.ptr[i] == '_'))
				return "must have only letters, digits, '.', "
				       "'-', '_', '@' and '+'";
	} else if (str_eqz(format, "line")) {
		for (size_t i = 0; i < s.len; i++)
			if ((unsigned char)s.ptr[i] < ' ' || s.ptr[i] == 0x7f)
				return "must be one line";
	} else {
		return "has a format that is not known";
	}
	return NULL;
}

static const char *
text_fault(const struct fleet_kind *k, struct str s)
{
	if (k->type == FLEET_SELECT && s.len > 0) {
		for (size_t i = 0; i < k->n_choices; i++)
			if (str_eq(k->choices[i].value, s))
				return NULL;
		return "is none of the choices";
	}
	if (s.len > 0 && memchr(s.ptr, '\0', s.len) != NULL)
		return "holds a zero byte";
	if (k->type == FLEET_ARTIFACT &&
	    ((s.len > 0 && memchr(s.ptr, '/', s.len) != NULL) ||
		str_eqz(s, "..") || str_eqz(s, ".")))
		return "must be the name of a file, without a folder";
	return format_fault(k->format, s);
}

/* Members of a timer, which systemd itself reads. */
static void
check_timer(struct json *j)
{
	struct str key, s;
	bool b;

	json_object(j);
	while (json_member(j, &key)) {
		if (json_peek(j) == JSON_NULL)
			json_null(j);
		else if (str_eqz(key, "persistent"))
			json_bool(j, &b);
		else if (str_eqz(key, "on_calendar") &&
		    json_peek(j) == JSON_ARRAY) {
			json_array(j);
			while (json_item(j))
				if (json_peek(j) == JSON_NULL)
					json_null(j);
				else
					json_str(j, &s);
		} else if (json_str(j, &s) && str_eqz(key, "timer_type") &&
		    s.len > 0 && !str_eqz(s, "realtime") &&
		    !str_eqz(s, "monotonic") && !str_eqz(s, "continuous")) {
			json_fail(j,
			    "timer_type is none of realtime, "
			    "monotonic, continuous");
		}
	}
}

static int check(const struct fleet_kind *k, struct str value,
    const char *above, struct arena *a, struct err *err);

static int
check_rows(const struct fleet_kind *k, struct str value, const char *above,
    struct arena *a, struct err *err)
{
	struct json j;
	size_t i = 0;

	json_open(&j, value, 0, a);
	for (json_array(&j); json_item(&j); i++) {
		struct str row, member;
		const char *path = arena_z(a,
		    arena_printf(
			a, "%s" STR_FMT "[%zu].", above, STR_ARG(k->key), i));

		if (!json_raw(&j, &row))
			break;
		if (json_type_of(row) == JSON_NULL)
			continue;
		if (json_type_of(row) != JSON_OBJECT)
			return err_set(err, ERR_PARAM,
			    "%s" STR_FMT "[%zu]: must be an object", above,
			    STR_ARG(k->key), i);
		for (size_t f = 0; f < k->n_of; f++) {
			const struct fleet_kind *of = &k->of[f];

			member = json_find(a, row, of->key);
			if (of->required &&
			    (member.ptr == NULL || str_eqz(member, "null") ||
				str_eqz(member, "\"\"")))
				return err_set(err, ERR_PARAM,
				    "%s" STR_FMT ": is missing", path,
				    STR_ARG(of->key));
			if (member.ptr != NULL) {
				int rc = check(of, member, path, a, err);

				if (rc != 0)
					return rc;
			}
		}
	}
	return json_done(&j, err);
}

static int
check(const struct fleet_kind *k, struct str value, const char *above,
    struct arena *a, struct err *err)
{
	struct json j;
	struct str s;
	const char *why = NULL;
	int64_t n;
	bool b;

	json_open(&j, value, 0, a);
	if (json_peek(&j) == JSON_NULL)
		return 0;
	switch (k->type) {
	case FLEET_INT:
		if (!json_i64(&j, &n))
			why = "must be a whole number";
		else if (n < k->min || n > k->max)
			return err_set(err, ERR_PARAM,
			    "%s" STR_FMT ": must be %" PRId64 " to %" PRId64,
			    above, STR_ARG(k->key), k->min, k->max);
		break;
	case FLEET_BOOL:
		if (!json_bool(&j, &b))
			why = "must be true or false";
		break;
	case FLEET_LIST:
		if (json_peek(&j) == JSON_ARRAY)
			return check_rows(k, value, above, a, err);
		why = "must be a list";
		break;
	case FLEET_TIMER:
		if (json_peek(&j) != JSON_OBJECT) {
			why = "must be an object";
			break;
		}
		check_timer(&j);
		if (!json_ok(&j))
			why = j.why;
		break;
	default:
		if (!json_str(&j, &s))
			why = "must be a text";
		else
			why = text_fault(k, s);
	}
	if (why == NULL && json_done(&j, err) != 0)
		why = "is no JSON";
	return why == NULL ? 0
			   : err_set(err, ERR_PARAM, "%s" STR_FMT ": %s", above,
				 STR_ARG(k->key), why);
}

int
fleet_value_check(const struct fleet_kind *k, struct str value, struct err *err)
{
	struct arena a = { 0 };
	int rc = check(k, value, "", &a, err);

	arena_fini(&a);
	return rc;
}
