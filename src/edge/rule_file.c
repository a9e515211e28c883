/*
 * edge/rule_file.c - see rule_file.h: from a text to the rules of a bridge.
 */
#include "edge/rule_file.h"

#include "base/base.h"
#include "codec/mqtt.h"
#include "codec/toml.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TABLES_MAX 4096 /* [[rule]] and [[template_rule]] of a file */

/* What is being read. */
struct reading {
	struct rule_set *set;
	const struct mapper_settings *m;
	const char *name;
	struct err *err;
};

/* --- variables ----------------------------------------------------------- */

static int complain(const struct reading *r, uint32_t line, const char *fmt,
    ...) __attribute__((format(printf, 3, 4)));

static int
complain(const struct reading *r, uint32_t line, const char *fmt, ...)
{
	char text[200];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	return err_set(
	    r->err, ERR_PARAM, "%s: line %u: %s", r->name, line, text);
}

/* ${tedge.KEY}: of the profile, where the key is of the mapper's own cloud. */
static int
of_tedge(const struct reading *r, uint32_t line, struct str key,
    struct mapper_found *ret)
{
	const struct config_key *row = config_find(key);
	const char *cloud = r->m->cloud.name;
	size_t len = cloud != NULL ? strlen(cloud) : 0;

	if (row == NULL)
		return complain(
		    r, line, "Unknown key: '" STR_FMT "'", STR_ARG(key));
	if (row->secret)
		return complain(r, line,
		    "'" STR_FMT "' is a secret, and can be no part of a topic",
		    STR_ARG(key));
	*ret = (struct mapper_found){ .shown = row->key,
		.is_list = row->type == CONFIG_LIST };
	if (len > 0 && r->m->cloud.profile.len > 0 &&
	    strncmp(row->key, cloud, len) == 0 && row->key[len] == '.' &&
	    !str_starts(str_of(row->key + len), STR(".profiles."))) {
		ret->text = cloud_text(&r->m->cloud, row->key + len + 1);
		if (ret->is_list)
			ret->list =
			    cloud_list(&r->m->cloud, row->key + len + 1);
	} else {
		const char *z = arena_z(r->set->arena, key);

		ret->text = config_text(r->m->config, z);
		if (ret->is_list)
			ret->list = config_list(r->m->config, z);
	}
	if (ret->text.ptr == NULL || (ret->text.len == 0 && !ret->is_list))
		return complain(r, line,
		    "A value for '%s' is not set. A value can be set with "
		    "`tedge config set %s <value>`",
		    row->key, row->key);
	return 0;
}

/* What stands between "${" and "}". `item`: STR_NULL outside of a template. */
static int
look_up(const struct reading *r, uint32_t line, struct str name,
    struct str item, struct mapper_found *ret)
{
	struct str key = name, space = str_cut(&key, '.');
	struct err why;

	if (str_eqz(name, "item") && item.ptr != NULL) {
		*ret = (struct mapper_found){ .text = item, .shown = "item" };
		return 0;
	}
	if (str_eqz(name, "item"))
		return complain(
		    r, line, "${item} is of a template_rule's topic only");
	if (str_eqz(name, "connection.auth_method")) {
		*ret = (struct mapper_found){ .text = r->m->by_account
			    ? STR("password")
			    : STR("certificate"),
			.shown = "connection.auth_method" };
		return 0;
	}
	if (key.len == 0 ||
	    (!str_eqz(space, "mapper") && !str_eqz(space, "tedge")))
		return complain(r, line,
		    "${" STR_FMT "} is no variable: there are ${tedge.KEY}, "
		    "${mapper.KEY} and ${connection.auth_method}",
		    STR_ARG(name));
	if (str_eqz(space, "tedge"))
		return of_tedge(r, line, key, ret);
	if (mapper_setting(r->m, key, r->set->arena, ret, &why) != 0)
		return complain(r, line, "%s", why.text);
	return 0;
}

/* `v` with its variables replaced. */
static int
filled(const struct reading *r, const struct toml *v, struct str item,
    const char **ret)
{
	struct str rest = v->text;
	struct mapper_found found;
	struct buf b = { 0 };
	int rc = 0;

	while (rc == 0 && rest.len > 0) {
		const char *end;

		if (!str_starts(rest, STR("${"))) {
			buf_addc(&b, *rest.ptr++);
			rest.len--;
			continue;
		}
		end = memchr(rest.ptr, '}', rest.len);
		if (end == NULL) {
			rc = complain(
			    r, v->line, "a \"${\" has no \"}\" behind it");
			break;
		}
		rc = look_up(r, v->line,
		    str_trim((struct str){
			rest.ptr + 2, (size_t)(end - rest.ptr) - 2 }),
		    item, &found);
		if (rc == 0 && found.is_list)
			rc = complain(r, v->line,
			    "%s is a list: it is for `for` only", found.shown);
		if (rc == 0)
			buf_add_str(&b, found.text);
		rest.len -= (size_t)(end - rest.ptr) + 1;
		rest.ptr = end + 1;
	}
	if (rc == 0)
		*ret = arena_z(r->set->arena, buf_str(&b));
	buf_free(&b);
	return rc;
}

/* --- conditions ---------------------------------------------------------- */

static void
skip(const struct reading *r, uint32_t line, const char *what, const char *why)
{
	struct rule_skipped *s = arena_new(r->set->arena, struct rule_skipped);

	*s = (struct rule_skipped){ r->name, line, what, why, NULL };
	if (r->set->last_skipped != NULL)
		r->set->last_skipped->next = s;
	else
		r->set->skipped = s;
	r->set->last_skipped = s;
}

static int
no_condition(const struct reading *r, const struct toml *v)
{
	return complain(r, v->line,
	    "if: must be a boolean variable, as \"${mapper.KEY}\" or "
	    "\"!${mapper.KEY}\", or \"${connection.auth_method} == "
	    "'certificate'\" or 'password'");
}

/* "== 'password'" */
static int
compared(const struct reading *r, const struct toml *v, struct str rest,
    struct str value, const char **why, bool *ret)
{
	struct str word;

	if (!str_starts(rest, STR("==")))
		return no_condition(r, v);
	rest.ptr += 2;
	rest.len -= 2;
	word = str_trim(rest);
	if (word.len < 2 || word.ptr[0] != '\'' ||
	    word.ptr[word.len - 1] != '\'')
		return no_condition(r, v);
	word.ptr++;
	word.len -= 2;
	if (!str_eqz(word, "certificate") && !str_eqz(word, "password"))
		return complain(r, v->line,
		    "if: expected 'certificate' or 'password', got '" STR_FMT
		    "'",
		    STR_ARG(word));
	*ret = str_eq(word, value);
	*why = arena_printf(r->set->arena,
	    "auth method is " STR_FMT ", not " STR_FMT, STR_ARG(value),
	    STR_ARG(word))
		   .ptr;
	return 0;
}

/* Does the rule, or the file, hold? `*why`: why it does not. */
static int
holds(
    const struct reading *r, const struct toml *v, const char **why, bool *ret)
{
	struct mapper_found found;
	struct str rest, name;
	bool negated;
	const char *end;
	int rc;

	if (v->type != TOML_TEXT)
		return no_condition(r, v);
	rest = str_trim(v->text);
	negated = rest.len > 0 && rest.ptr[0] == '!';
	if (negated) {
		rest.ptr++;
		rest.len--;
		rest = str_trim(rest);
	}
	end = rest.len > 0 ? memchr(rest.ptr, '}', rest.len) : NULL;
	if (!str_starts(rest, STR("${")) || end == NULL)
		return no_condition(r, v);
	name = str_trim(
	    (struct str){ rest.ptr + 2, (size_t)(end - rest.ptr) - 2 });
	rest.len -= (size_t)(end - rest.ptr) + 1;
	rest.ptr = end + 1;
	rest = str_trim(rest);
	rc = look_up(r, v->line, name, STR_NULL, &found);
	if (rc != 0)
		return rc;
	if (str_eqz(name, "connection.auth_method"))
		return negated ? no_condition(r, v)
			       : compared(r, v, rest, found.text, why, ret);
	if (rest.len > 0)
		return no_condition(r, v);
	if (found.is_list ||
	    (!str_eqz(found.text, "true") && !str_eqz(found.text, "false")))
		return complain(r, v->line,
		    "if: '%s' is not a boolean: it must be true or false",
		    found.shown);
	*ret = str_eqz(found.text, "true") != negated;
	*why = arena_printf(
	    r->set->arena, "%s is " STR_FMT, found.shown, STR_ARG(found.text))
		   .ptr;
	return 0;
}

/* --- rules --------------------------------------------------------------- */

/* A table's members must all be among these. */
static int
check_members(const struct reading *r, const struct toml *table,
    const char *const *names, const char *what)
{
	for (const struct toml *v = table->first; v != NULL; v = v->next) {
		size_t i = 0;

		while (names[i] != NULL && !str_eqz(v->key, names[i]))
			i++;
		if (names[i] == NULL)
			return complain(r, v->line,
			    "\"" STR_FMT "\" is no member of a %s",
			    STR_ARG(v->key), what);
		if (v->type != TOML_TEXT && !str_eqz(v->key, "qos") &&
		    !str_eqz(v->key, "for") && !str_eqz(v->key, "rule") &&
		    !str_eqz(v->key, "template_rule"))
			return complain(r, v->line, STR_FMT ": must be a text",
			    STR_ARG(v->key));
	}
	return 0;
}

static int
direction_of(const struct reading *r, const struct toml *table,
    const char *what, enum mqtt_bridge_direction *ret)
{
	const struct toml *v = toml_get(table, STR("direction"));

	if (v == NULL)
		return complain(
		    r, table->line, "the %s has no direction", what);
	if (str_eqz(v->text, "outbound"))
		*ret = MQTT_BRIDGE_OUT;
	else if (str_eqz(v->text, "inbound"))
		*ret = MQTT_BRIDGE_IN;
	else if (str_eqz(v->text, "bidirectional"))
		*ret = MQTT_BRIDGE_BOTH;
	else
		return complain(r, v->line,
		    "direction: must be inbound, outbound or bidirectional, "
		    "not \"" STR_FMT "\"",
		    STR_ARG(v->text));
	return 0;
}

static int
qos_of(const struct reading *r, const struct toml *table, uint8_t *ret)
{
	const struct toml *v = toml_get(table, STR("qos"));

	*ret = 1;
	if (v == NULL)
		return 0;
	if (v->type != TOML_INT || v->number < 0 || v->number > 2)
		return complain(r, v->line, "qos: must be 0, 1 or 2");
	*ret = (uint8_t)v->number;
	return 0;
}

static int
prefix_of(const struct reading *r, const struct toml *root,
    const struct toml *table, const char *key, const char *what,
    const char **ret)
{
	const struct toml *v = toml_get(table, str_of(key));

	if (v == NULL)
		v = toml_get(root, str_of(key));
	if (v == NULL)
		return complain(r, table->line,
		    "Missing '%s' for %s: add it to this %s, or define it "
		    "globally at the top of the file",
		    key, what, what);
	return filled(r, v, STR_NULL, ret);
}

static bool
is_prefix_ok(const char *prefix)
{
	return prefix[0] == '\0' || mqtt_topic_ok(str_of(prefix));
}

static bool
is_joined(const char *prefix)
{
	size_t len = strlen(prefix);

	return len == 0 || prefix[len - 1] == '/';
}

static int
check_rule(
    const struct reading *r, uint32_t line, const struct mqtt_bridge_rule *rule)
{
	const char *prefixes[] = { rule->local_prefix, rule->remote_prefix };

	for (size_t i = 0; i < COUNT_OF(prefixes); i++) {
		if (!is_prefix_ok(prefixes[i]))
			return complain(r, line,
			    "the prefix \"%s\" can be no part of a topic",
			    prefixes[i]);
		if (rule->pattern[0] != '\0' && !is_joined(prefixes[i]))
			return complain(r, line,
			    "the prefix \"%s\" must end with a \"/\"",
			    prefixes[i]);
		if (rule->pattern[0] == '\0' && prefixes[i][0] == '\0')
			return complain(r, line,
			    "a rule without topic needs both prefixes");
	}
	if (rule->pattern[0] != '\0' && !mqtt_filter_ok(str_of(rule->pattern)))
		return complain(
		    r, line, "\"%s\" can be no topic", rule->pattern);
	return 0;
}

static bool
is_same(const struct mqtt_bridge_rule *a, const struct mqtt_bridge_rule *b)
{
	return a->direction == b->direction && a->qos == b->qos &&
	    strcmp(a->pattern, b->pattern) == 0 &&
	    strcmp(a->local_prefix, b->local_prefix) == 0 &&
	    strcmp(a->remote_prefix, b->remote_prefix) == 0;
}

static int
add(const struct reading *r, uint32_t line, const struct mqtt_bridge_rule *rule)
{
	struct rule_set *s = r->set;
	struct mqtt_bridge_rule *more;

	for (size_t i = 0; i < s->n; i++)
		if (is_same(&s->rules[i], rule))
			return 0;
	if (s->n >= RULES_MAX)
		return complain(
		    r, line, "there are more than %d rules", RULES_MAX);
	if (s->arena->used > RULES_BYTES_MAX)
		return complain(r, line,
		    "the rules take more than %d MiB of memory",
		    RULES_BYTES_MAX >> 20);
	if (s->n == s->cap) {
		s->cap = s->cap == 0 ? 16 : s->cap * 2;
		more = arena_array(s->arena, s->cap, struct mqtt_bridge_rule);
		if (s->n > 0)
			memcpy(more, s->rules, s->n * sizeof(*more));
		s->rules = more;
	}
	s->rules[s->n++] = *rule;
	return 0;
}

/* What `for` goes through. `*shown`: the key it is from; NULL: none. */
static int
items_of(const struct reading *r, const struct toml *table, struct strs *ret,
    const char **shown)
{
	const struct toml *v = toml_get(table, STR("for"));
	struct mapper_found found;
	struct str name;
	int rc;

	*shown = NULL;
	if (v == NULL)
		return complain(
		    r, table->line, "the template_rule has no `for`");
	if (v->type == TOML_ARRAY) {
		ret->at = arena_array(r->set->arena, v->n + 1, struct str);
		ret->n = 0;
		for (const struct toml *i = v->first; i != NULL; i = i->next) {
			if (i->type != TOML_TEXT)
				return complain(
				    r, i->line, "for: must be a list of texts");
			ret->at[ret->n++] = i->text;
		}
		return 0;
	}
	name = v->type == TOML_TEXT ? str_trim(v->text) : STR("");
	if (!str_starts(name, STR("${")) || name.ptr[name.len - 1] != '}')
		return complain(r, v->line,
		    "for: must be a list of texts, or a variable that is one: "
		    "${mapper.KEY} or ${tedge.KEY}");
	name.ptr += 2;
	name.len -= 3;
	rc = look_up(r, v->line, str_trim(name), STR_NULL, &found);
	if (rc == 0 && !found.is_list)
		rc = complain(r, v->line, "for: '%s' is no list", found.shown);
	if (rc == 0) {
		*ret = found.list;
		*shown = found.shown;
	}
	return rc;
}

static int
add_item(const struct reading *r, const struct toml *table,
    struct mqtt_bridge_rule *rule, const struct toml *topic, struct str item,
    const char *shown)
{
	int rc = filled(r, topic, item, &rule->pattern);

	if (rc != 0)
		return rc;
	/* Blanks would end the word in Mosquitto's file. */
	if (shown != NULL && rule->pattern[0] != '\0' &&
	    (!mqtt_filter_ok(str_of(rule->pattern)) ||
		strpbrk(rule->pattern, " \t\r\n\"") != NULL))
		return err_set(r->err, ERR_PARAM,
		    "%s: \"" STR_FMT "\" can be no part of a topic", shown,
		    STR_ARG(item));
	rc = check_rule(r, table->line, rule);
	return rc == 0 ? add(r, table->line, rule) : rc;
}

/* `holds_file`: the file's own condition. A rule that does not hold is checked
 * all the same. */
static int
read_rule(const struct reading *r, const struct toml *root,
    const struct toml *table, bool is_template, bool holds_file)
{
	static const char *const members[] = { "topic", "direction", "qos",
		"local_prefix", "remote_prefix", "if", NULL };
	static const char *const template_members[] = { "for", "topic",
		"direction", "qos", "local_prefix", "remote_prefix", "if",
		NULL };
	const char *what = is_template ? "template_rule" : "rule";
	const struct toml *topic = toml_get(table, STR("topic"));
	const struct toml *cond = toml_get(table, STR("if"));
	struct mqtt_bridge_rule rule = { 0 };
	struct strs items = { &(struct str){ 0 }, 1 };
	const char *why = NULL, *shown = NULL;
	bool yes = true;
	int rc;

	if (table->type != TOML_TABLE)
		return complain(r, table->line, "%s: must be a table", what);
	rc = check_members(
	    r, table, is_template ? template_members : members, what);
	if (rc == 0 && topic == NULL)
		rc = complain(r, table->line, "the %s has no topic", what);
	if (rc == 0)
		rc = direction_of(r, table, what, &rule.direction);
	if (rc == 0)
		rc = qos_of(r, table, &rule.qos);
	if (rc == 0 && cond != NULL)
		rc = holds(r, cond, &why, &yes);
	if (rc == 0)
		rc = prefix_of(
		    r, root, table, "local_prefix", what, &rule.local_prefix);
	if (rc == 0)
		rc = prefix_of(
		    r, root, table, "remote_prefix", what, &rule.remote_prefix);
	if (rc == 0 && is_template)
		rc = items_of(r, table, &items, &shown);
	if (rc != 0)
		return rc;
	if (!yes)
		skip(r, table->line, what, why);
	if (items.n == 0)
		skip(r, table->line, what, "iterator is empty");
	if (!yes || !holds_file)
		return 0;
	for (size_t i = 0; rc == 0 && i < items.n; i++)
		rc = add_item(r, table, &rule, topic, items.at[i], shown);
	return rc;
}

/* Both kinds in the order they stand in. */
struct entry {
	const struct toml *table;
	bool is_template;
};

static int
by_line(const void *a, const void *b)
{
	const struct entry *one = a, *other = b;

	return one->table->line < other->table->line
	    ? -1
	    : one->table->line > other->table->line;
}

static int
read_rules(const struct reading *r, const struct toml *root, bool holds_file)
{
	const struct toml *lists[] = { toml_get(root, STR("rule")),
		toml_get(root, STR("template_rule")) };
	struct entry *all;
	size_t n = 0;
	int rc = 0;

	for (size_t i = 0; i < COUNT_OF(lists); i++) {
		if (lists[i] != NULL && lists[i]->type != TOML_ARRAY)
			return complain(r, lists[i]->line,
			    STR_FMT ": write it in two brackets: [[" STR_FMT
				    "]]",
			    STR_ARG(lists[i]->key), STR_ARG(lists[i]->key));
		n += lists[i] != NULL ? lists[i]->n : 0;
	}
	if (n > TABLES_MAX)
		return complain(
		    r, 1, "there are more than %d rules", TABLES_MAX);
	all = arena_array(r->set->arena, n + 1, struct entry);
	n = 0;
	for (size_t i = 0; i < COUNT_OF(lists); i++) {
		const struct toml *t =
		    lists[i] != NULL ? lists[i]->first : NULL;

		for (; t != NULL; t = t->next)
			all[n++] = (struct entry){ t, i == 1 };
	}
	qsort(all, n, sizeof(*all), by_line);
	for (size_t i = 0; rc == 0 && i < n; i++)
		rc = read_rule(
		    r, root, all[i].table, all[i].is_template, holds_file);
	return rc;
}

int
rule_file_read(struct rule_set *set, const struct mapper_settings *m,
    const char *name, struct str text, struct err *err)
{
	static const char *const members[] = { "local_prefix", "remote_prefix",
		"if", "rule", "template_rule", NULL };
	const struct reading r = { set, m, name, err };
	const struct toml *cond;
	const char *why = NULL;
	struct toml *root;
	bool yes = true;
	int rc = toml_read(set->arena, text, &root, err);

	if (rc != 0)
		return err_wrap(err, "%s", name);
	rc = check_members(&r, root, members, "rule file");
	cond = toml_get(root, STR("if"));
	if (rc == 0 && cond != NULL)
		rc = holds(&r, cond, &why, &yes);
	if (rc == 0 && !yes)
		skip(&r, cond->line, "file", why);
	if (rc == 0)
		rc = read_rules(&r, root, yes);
	set->files++;
	return rc;
}
