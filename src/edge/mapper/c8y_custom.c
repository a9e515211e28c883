/*
 * edge/mapper/c8y_custom.c - operations that a file describes:
 * <config>/operations/c8y/<name>, for children in a folder of their external
 * id. The file's name is an operation that the device supports; its content may
 * say what is to be done.
 *
 *	[exec]
 *	on_fragment = "c8y_RelayArray"
 *	command = "/usr/bin/relay ${.payload.c8y_RelayArray[0]}"
 *
 * A <name>.template makes a command of the device's bus instead, and counts for
 * a device as soon as that has the command among its capabilities. No shell is
 * in between: the command is split into words first, and then filled in.
 */
#include "edge/mapper/c8y_private.h"

#include "base/base.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "codec/smartrest.h"
#include "codec/toml.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FILES_MAX 500 /* of one folder */
#define RUNS_MAX 16   /* programs at a time */
#define TIMEOUT_S 3600
#define WORDS_MAX 64 /* of a command */

struct custom {
	struct list link;
	struct arena arena; /* all of it */
	struct str entity;  /* its topic id */
	struct str name, topic, on_message, on_fragment, command;
	struct str operation;              /* of a workflow */
	const struct toml *input, *output; /* of it; NULL: none */
	int64_t timeout_ms;
	bool csv, skip, is_template;
};

struct run {
	struct list link;
	uint64_t tag;
	struct str entity, id, name;
	bool csv, skip;
};

/* --- files --------------------------------------------------------------- */

static bool
is_name(struct str s)
{
	for (size_t i = 0; i < s.len; i++) {
		char ch = s.ptr[i];

		if (!((ch >= 'a' && ch <= 'z') || (ch >= 'A' && ch <= 'Z') ||
			(ch >= '0' && ch <= '9') || ch == '_'))
			return false;
	}
	return s.len > 0;
}

static struct str
text_at(const struct toml *root, const char *path)
{
	const struct toml *t = toml_at(root, path);

	return t != NULL && t->type == TOML_TEXT ? t->text : STR_NULL;
}

static bool
yes_at(const struct toml *root, const char *path)
{
	const struct toml *t = toml_at(root, path);

	return t != NULL && t->type == TOML_BOOL && t->yes;
}

/* "${.bridge.topic_prefix}/custom" */
static struct str
topic_text(struct c8y *c, struct str t, struct arena *a)
{
	struct str name = STR("${.bridge.topic_prefix}");

	if (!str_starts(t, name))
		return arena_str(a, t);
	return arena_printf(a, STR_FMT STR_FMT, STR_ARG(c->prefix),
	    (int)(t.len - name.len), t.ptr + name.len);
}

static int
read_exec(
    struct c8y *c, struct custom *k, const struct toml *root, struct err *err)
{
	const struct toml *timeout = toml_at(root, "exec.timeout");
	struct str topic = text_at(root, "exec.topic");
	struct str format = text_at(root, "exec.result_format");

	k->on_message = text_at(root, "exec.on_message");
	k->on_fragment = text_at(root, "exec.on_fragment");
	k->command = text_at(root, "exec.command");
	k->operation = text_at(root, "exec.workflow.operation");
	k->input = toml_at(root, "exec.workflow.input");
	k->output = toml_at(root, "exec.workflow.output");
	k->skip = yes_at(root, "exec.skip_status_update");
	k->csv = str_eqz(format, "csv");
	k->timeout_ms = TIMEOUT_S * INT64_C(1000);
	if (timeout != NULL && timeout->type == TOML_INT &&
	    timeout->number > 0 && timeout->number <= 30 * 86400)
		k->timeout_ms = timeout->number * 1000;
	if (k->on_message.ptr != NULL && k->on_fragment.ptr != NULL)
		return err_set(err, ERR_PARAM,
		    "on_message and on_fragment exclude each other");
	if (format.ptr != NULL && !k->csv && !str_eqz(format, "text"))
		return err_set(err, ERR_PARAM, "result_format is text or csv");
	if (topic.ptr != NULL)
		k->topic = topic_text(c, topic, &k->arena);
	else
		k->topic = arena_printf(&k->arena, STR_FMT "%s",
		    STR_ARG(c->prefix),
		    k->on_message.ptr != NULL ? "/s/ds"
					      : "/devicecontrol/notifications");
	return 0;
}

static void
custom_free(struct custom *k)
{
	list_del(&k->link);
	arena_fini(&k->arena);
	free(k);
}

static void
read_file(struct c8y *c, struct c8y_entity *e, const char *path,
    struct str name, bool is_template)
{
	struct custom *k = mem_new(struct custom);
	struct buf text = { 0 };
	struct toml *root;
	struct err err = { 0 };
	int rc = file_read(path, &text, &err);

	list_init(&k->link);
	if (rc == 0)
		rc = toml_read(&k->arena,
		    arena_str(
			&k->arena, text.ptr == NULL ? STR("") : buf_str(&text)),
		    &root, &err);
	if (rc == 0)
		rc = read_exec(c, k, root, &err);
	buf_free(&text);
	if (rc != 0) {
		log_warn("%s is passed over: %s", path, err.text);
		custom_free(k);
		return;
	}
	k->is_template = is_template;
	k->name = arena_str(&k->arena, name);
	k->entity = arena_str(&k->arena, e->topic);
	list_add(&c->custom, &k->link);
	if (!is_template)
		(void)c8y_words_add(&e->files, name);
}

static struct str
folder_of(struct c8y *c, const struct c8y_entity *e, struct arena *a)
{
	const char *dir = config_dir(c->cloud.config);

	if (e == c->main)
		return arena_printf(a, "%s/operations/c8y", dir);
	return arena_printf(
	    a, "%s/operations/c8y/" STR_FMT, dir, STR_ARG(e->xid));
}

/* Templates count for a device that has their command. */
static void
count_templates(struct c8y *c, struct c8y_entity *e)
{
	c8y_words_clear(&e->templates);
	LIST_EACH (k, &c->custom, struct custom, link) {
		bool can = false;

		for (size_t i = 0; i < e->commands.n; i++)
			can |= str_eq(e->commands.at[i], k->operation);
		if (k->is_template && can &&
		    (str_eq(k->entity, e->topic) ||
			str_eq(k->entity, c->main->topic)))
			(void)c8y_words_add(&e->templates, k->name);
	}
}

static bool
same(const struct c8y_words *a, const struct c8y_words *b)
{
	if (a->n != b->n)
		return false;
	for (size_t i = 0; i < a->n; i++)
		if (!str_eq(a->at[i], b->at[i]))
			return false;
	return true;
}

static void
read_folder(struct c8y *c, struct c8y_entity *e)
{
	struct c8y_words before = e->files, templates = { 0 };
	struct arena a = { 0 };
	struct str folder = folder_of(c, e, &a);
	struct dirent *d;
	size_t n = 0;
	DIR *dir;

	if (e->xid.ptr[0] == '.' && e != c->main)
		return; /* no folder is named so */
	for (size_t i = 0; i < e->templates.n; i++)
		(void)c8y_words_add(&templates, e->templates.at[i]);
	e->files = (struct c8y_words){ 0 };
	LIST_EACH (k, &c->custom, struct custom, link)
		if (str_eq(k->entity, e->topic))
			custom_free(k);
	dir = opendir(folder.ptr);
	while (dir != NULL && (d = readdir(dir)) != NULL && n < FILES_MAX) {
		struct str name = str_of(d->d_name), tail = STR(".template");
		bool is_template = str_ends(name, tail);

		if (is_template)
			name.len -= tail.len;
		if (!is_name(name) || d->d_type == DT_DIR)
			continue;
		n++;
		read_file(c, e,
		    arena_printf(&a, STR_FMT "/%s", STR_ARG(folder), d->d_name)
			.ptr,
		    name, is_template);
	}
	if (dir != NULL)
		closedir(dir);
	count_templates(c, e);
	if (!same(&before, &e->files) || !same(&templates, &e->templates))
		e->ops_changed = true;
	c8y_words_clear(&before);
	c8y_words_clear(&templates);
	arena_fini(&a);
}

/* The main device's folder is seen to come by the host, those of children by
 * their being in it. */
static void
watch(struct c8y *c, const struct c8y_entity *e)
{
	struct arena a = { 0 };
	struct str folder = folder_of(c, e, &a);

	if (c->host.watch != NULL &&
	    (e == c->main || access(folder.ptr, F_OK) == 0))
		c->host.watch(c->host.owner, folder.ptr);
	arena_fini(&a);
}

void
c8y_custom_open(struct c8y *c)
{
	watch(c, c->main);
	read_folder(c, c->main);
}

void
c8y_custom_entity(struct c8y *c, struct c8y_entity *e)
{
	watch(c, e);
	read_folder(c, e);
	if (e->files.n > 0 && c->settle_ms < 0)
		c8y_tell_operations(c, e);
}

void
c8y_custom_changed(struct c8y *c)
{
	LIST_EACH (e, &c->entities, struct c8y_entity, link)
		if (e->told && e->kind != C8Y_SERVICE) {
			watch(c, e); /* it may have come just now */
			read_folder(c, e);
		}
}

void
c8y_custom_capability(
    struct c8y *c, struct c8y_entity *e, struct str command, bool can)
{
	struct c8y_words before = e->templates;

	if (can ? !c8y_words_add(&e->commands, command)
		: !c8y_words_del(&e->commands, command))
		return;
	e->templates = (struct c8y_words){ 0 };
	count_templates(c, e);
	if (!same(&before, &e->templates)) {
		e->ops_changed = true;
		if (c->settle_ms < 0)
			c8y_tell_operations(c, e);
	}
	c8y_words_clear(&before);
}

static void
run_free(struct run *r)
{
	list_del(&r->link);
	str_free(r->entity);
	str_free(r->id);
	str_free(r->name);
	free(r);
}

void
c8y_custom_close(struct c8y *c)
{
	LIST_EACH (k, &c->custom, struct custom, link)
		custom_free(k);
	LIST_EACH (r, &c->runs, struct run, link)
		run_free(r);
}

void
c8y_custom_filters(
    struct c8y *c, void (*each)(void *ctx, struct str filter), void *ctx)
{
	struct buf ds = { 0 }, json = { 0 };

	buf_addf(&ds, STR_FMT "/s/ds", STR_ARG(c->prefix));
	buf_addf(
	    &json, STR_FMT "/devicecontrol/notifications", STR_ARG(c->prefix));
	LIST_EACH (k, &c->custom, struct custom, link)
		if (!str_eq(k->topic, buf_str(&ds)) &&
		    !str_eq(k->topic, buf_str(&json)))
			each(ctx, k->topic);
	buf_free(&ds);
	buf_free(&json);
}

bool
c8y_custom_topic(const struct c8y *c, struct str topic)
{
	LIST_EACH (k, &c->custom, struct custom, link)
		if (str_eq(k->topic, topic))
			return true;
	return false;
}

/* --- filling in ---------------------------------------------------------- */

/* The value at ".a.b[1]" or ".a[-1]" of a JSON text, as it stands; STR_NULL. */
static struct str
json_at(struct str json, struct str path, struct arena *a)
{
	while (path.len > 0 && json.ptr != NULL) {
		struct str key, found = STR_NULL, raw;
		struct json j;
		size_t n = 1;

		json_open(&j, json, 0, a);
		if (path.ptr[0] == '[') {
			struct str digits;
			int64_t index, count = 0;

			while (n < path.len && path.ptr[n] != ']')
				n++;
			digits = (struct str){ path.ptr + 1, n - 1 };
			if (!str_to_i64(digits, &index) || !json_array(&j))
				return STR_NULL;
			if (index < 0) {
				struct json again = j;

				while (json_item(&again) && json_skip(&again))
					count++;
				index += count;
			}
			for (int64_t i = 0; json_item(&j); i++)
				if (!json_raw(&j, &raw))
					return STR_NULL;
				else if (i == index)
					found = raw;
			n = MIN_OF(n + 1, path.len);
		} else {
			size_t from = path.ptr[0] == '.';

			n = from;
			while (n < path.len && path.ptr[n] != '.' &&
			    path.ptr[n] != '[')
				n++;
			if (n == from || json_peek(&j) != JSON_OBJECT ||
			    !json_object(&j))
				return STR_NULL;
			while (json_member(&j, &key))
				if (!json_raw(&j, &raw))
					return STR_NULL;
				else if (str_eq(key,
					     (struct str){
						 path.ptr + from, n - from }))
					found = raw;
		}
		json = found;
		path = (struct str){ path.ptr + n, path.len - n };
	}
	return json;
}

/* Without the quotes of a text. */
static struct str
plain(struct str raw, struct arena *a)
{
	struct json j;
	struct str s;

	json_open(&j, raw, 0, a);
	return json_peek(&j) == JSON_STRING && json_str(&j, &s) ? s : raw;
}

/* Where "${.payload...}" ends, and what path it has; 0: it is none. */
static size_t
placeholder(struct str s, struct str *path)
{
	struct str head = STR("${.payload");
	const char *end;

	if (!str_starts(s, head))
		return 0;
	end = memchr(s.ptr, '}', s.len);
	if (end == NULL)
		return 0;
	*path =
	    (struct str){ s.ptr + head.len, (size_t)(end - s.ptr) - head.len };
	if (path->len > 0 && path->ptr[0] != '.' && path->ptr[0] != '[')
		return 0;
	return (size_t)(end - s.ptr) + 1;
}

static struct str
fill(struct str text, struct str payload, struct arena *a)
{
	struct buf b = { 0 };
	struct str path, ret;

	for (size_t i = 0; i < text.len;) {
		size_t n = placeholder(
		    (struct str){ text.ptr + i, text.len - i }, &path);

		if (n == 0) {
			buf_addc(&b, text.ptr[i++]);
		} else {
			struct str v = json_at(payload, path, a);

			if (v.ptr != NULL)
				buf_add_str(&b, plain(v, a));
			i += n;
		}
	}
	ret = arena_str(a, b.ptr == NULL ? STR("") : buf_str(&b));
	buf_free(&b);
	return ret;
}

/* A text that is one placeholder and nothing else has the value's type. */
static void
add_filled(
    struct json_out *o, struct str text, struct str payload, struct arena *a)
{
	struct str path, v;

	if (text.len > 0 && placeholder(text, &path) == text.len) {
		v = json_at(payload, path, a);
		json_out_raw(o, v.ptr == NULL ? STR("\"\"") : v);
		return;
	}
	json_out_str(o, fill(text, payload, a));
}

/* STR_NULL for `payload`: texts stay as they are. */
static void
add_toml(struct json_out *o, const struct toml *t, struct str payload,
    struct arena *a)
{
	switch (t->type) {
	case TOML_TEXT:
		if (payload.ptr == NULL)
			json_out_str(o, t->text);
		else
			add_filled(o, t->text, payload, a);
		break;
	case TOML_INT:
		json_out_int(o, t->number);
		break;
	case TOML_REAL:
		json_out_real(o, t->real);
		break;
	case TOML_BOOL:
		json_out_bool(o, t->yes);
		break;
	case TOML_TIME:
		json_out_str(o, t->text);
		break;
	case TOML_ARRAY:
		json_out_array(o);
		for (const struct toml *i = t->first; i != NULL; i = i->next)
			add_toml(o, i, payload, a);
		json_out_end_array(o);
		break;
	case TOML_TABLE:
		json_out_object(o);
		for (const struct toml *i = t->first; i != NULL; i = i->next) {
			json_out_key_str(o, i->key);
			add_toml(o, i, payload, a);
		}
		json_out_end_object(o);
		break;
	}
}

/* --- programs ------------------------------------------------------------ */

/* Splits as a shell does: blanks, quotes, a backslash. */
static size_t
split(struct str s, const char **argv, struct str payload, struct arena *a)
{
	struct buf w = { 0 };
	bool in_word = false;
	size_t n = 0;
	char quote = 0;

	for (size_t i = 0; i <= s.len && n < WORDS_MAX; i++) {
		char ch = i < s.len ? s.ptr[i] : ' ';

		if (i < s.len && quote != 0) {
			if (ch == quote)
				quote = 0;
			else
				buf_addc(&w, ch);
		} else if (ch == '"' || ch == '\'') {
			quote = ch;
			in_word = true;
		} else if (ch == '\\' && i + 1 < s.len) {
			buf_addc(&w, s.ptr[++i]);
			in_word = true;
		} else if (ch == ' ' || ch == '\t' || ch == '\n') {
			if (in_word)
				argv[n++] = arena_z(a,
				    payload.ptr == NULL
					? arena_str(a, str_of(buf_z(&w)))
					: fill(str_of(buf_z(&w)), payload, a));
			buf_clear(&w);
			in_word = false;
		} else {
			buf_addc(&w, ch);
			in_word = true;
		}
	}
	buf_free(&w);
	return n;
}

static void
begin_run(struct c8y *c, const struct custom *k, struct c8y_entity *e,
    struct str id, struct str payload, struct str line, struct arena *a)
{
	const char *argv[WORDS_MAX + 2], *env[2] = { NULL, NULL };
	struct mapper_run run = { argv, env, k->timeout_ms };
	size_t n = split(k->command, argv, payload, a), active = 0;
	const char *name = arena_z(a, k->name), *why = NULL;
	struct run *r;

	LIST_EACH (i, &c->runs, struct run, link)
		active++;
	if (c->host.run == NULL)
		why = "programs can not be run here";
	else if (n == 0)
		why = "the operation's file has no command";
	else if (active >= RUNS_MAX)
		why = "too many operations are running";
	if (!k->skip)
		c8y_executing(c, e, id, name);
	if (why != NULL) {
		if (!k->skip)
			c8y_failed(c, e, id, name, str_of(why));
		return;
	}
	if (line.ptr != NULL)
		argv[n++] = arena_z(a, line);
	argv[n] = NULL;
	if (c->cloud.profile.len > 0)
		env[0] = arena_printf(a, "TEDGE_CLOUD_PROFILE=" STR_FMT,
		    STR_ARG(c->cloud.profile))
			     .ptr;
	r = mem_new(struct run);
	r->tag = ++c->next_tag;
	r->entity = str_copy(e->topic);
	r->id = id.ptr == NULL ? STR_NULL : str_copy(id);
	r->name = str_copy(k->name);
	r->csv = k->csv;
	r->skip = k->skip;
	list_add(&c->runs, &r->link);
	c->host.run(c->host.owner, r->tag, &run);
}

static struct str
last_line(struct str s)
{
	s = str_trim(s);
	for (size_t i = s.len; i-- > 0;)
		if (s.ptr[i] == '\n')
			return str_trim(
			    (struct str){ s.ptr + i + 1, s.len - i - 1 });
	return s;
}

void
c8y_custom_ran(struct c8y *c, uint64_t tag, const struct child_end *end)
{
	struct run *r = NULL;
	struct c8y_entity *e;
	struct buf why = { 0 };
	struct arena a = { 0 };

	LIST_EACH (i, &c->runs, struct run, link)
		if (i->tag == tag)
			r = i;
	if (r == NULL)
		return;
	e = c8y_by_topic(c, r->entity);
	if (e != NULL && !r->skip) {
		const char *name = arena_z(&a, r->name);

		if (end->status == 0) {
			c8y_successful(c, e, r->id, name,
			    str_trim(end->out).len > 0 ? str_trim(end->out)
						       : STR_NULL,
			    r->csv);
		} else {
			buf_add_str(&why, last_line(end->err));
			if (why.len == 0) {
				buf_add_str(&why, r->name);
				buf_addc(&why, ' ');
				child_end_text(end, &why);
			}
			c8y_failed(c, e, r->id, name, buf_str(&why));
		}
	}
	if (r->id.ptr != NULL)
		(void)c8y_op_remember(c, r->id, true);
	run_free(r);
	buf_free(&why);
	arena_fini(&a);
}

/* --- workflows ----------------------------------------------------------- */

static void
begin_workflow(struct c8y *c, const struct custom *k, struct c8y_entity *e,
    struct str id, struct str payload, struct arena *a)
{
	struct str key, value, input = STR("{}");
	struct buf b = { 0 };
	struct json_out o;
	struct json j;

	if (k->input != NULL) {
		json_out_init(&o, &b, false);
		add_toml(&o, k->input, payload, a);
		input = arena_str(a, buf_str(&b));
		buf_free(&b);
	}
	json_open(&j, input, 0, a);
	if (json_peek(&j) != JSON_OBJECT) {
		c8y_executing(c, e, id, arena_z(a, k->name));
		c8y_failed(c, e, id, arena_z(a, k->name),
		    STR("the workflow's input is no JSON object"));
		return;
	}
	buf_clear(&c->out);
	json_out_init(&o, &c->out, false);
	json_out_object(&o);
	json_out_key(&o, "status");
	json_out_str(&o, STR("init"));
	(void)json_object(&j);
	while (json_member(&j, &key) && json_raw(&j, &value))
		if (!str_eqz(key, "status")) {
			json_out_key_str(&o, key);
			json_out_raw(&o, value);
		}
	json_out_key(&o, "c8y-mapper");
	json_out_object(&o);
	json_out_key(&o, "on_fragment");
	json_out_str(&o, k->on_fragment);
	json_out_key(&o, "name");
	json_out_str(&o, k->name);
	if (k->output != NULL) {
		json_out_key(&o, "output");
		add_toml(&o, k->output, STR_NULL, a);
	}
	json_out_end_object(&o);
	json_out_end_object(&o);
	c8y_command(c, e, arena_z(a, k->operation), id);
}

/* "${.payload.x}", or a list of such, from the command at its end. */
static void
add_output(struct c8y *c, struct str output, struct str payload,
    struct buf *csv, struct arena *a)
{
	struct json j;
	struct str s;

	(void)c;
	json_open(&j, output, 0, a);
	if (json_peek(&j) == JSON_STRING) {
		if (json_str(&j, &s))
			smartrest_add(csv, fill(s, payload, a));
	} else if (json_peek(&j) == JSON_ARRAY && json_array(&j)) {
		while (json_item(&j))
			if (json_peek(&j) != JSON_STRING)
				json_skip(&j);
			else if (json_str(&j, &s))
				smartrest_add(csv, fill(s, payload, a));
	}
}

void
c8y_custom_state(struct c8y *c, struct c8y_entity *e,
    const struct mapper_msg *msg, struct str id, struct str ours,
    struct str status, struct str reason, struct arena *a)
{
	struct str fragment = json_at(ours, STR(".on_fragment"), a);
	struct str name = json_at(ours, STR(".name"), a);
	struct str output = json_at(ours, STR(".output"), a);
	struct buf csv = { 0 };
	const char *z;

	if (name.ptr == NULL)
		name = fragment;
	if (name.ptr == NULL)
		return;
	z = arena_z(a, plain(name, a));
	if (str_eqz(status, "executing")) {
		c8y_executing(c, e, id, z);
		return;
	}
	if (str_eqz(status, "successful")) {
		if (output.ptr != NULL)
			add_output(c, output, msg->payload, &csv, a);
		c8y_successful(c, e, id, z,
		    csv.len > 0 ? (struct str){ csv.ptr + 1, csv.len - 1 }
				: STR_NULL,
		    true);
	} else if (str_eqz(status, "failed")) {
		c8y_failed(c, e, id, z, reason.ptr == NULL ? STR("") : reason);
	} else {
		return;
	}
	buf_free(&csv);
	if (id.ptr != NULL)
		(void)c8y_op_remember(c, id, true);
	c8y_clear_command(c, msg->topic);
}

/* --- what comes ---------------------------------------------------------- */

/* A file of the main device counts for its children where it is a template that
 * they can do. */
static bool
counts_for(
    const struct c8y *c, const struct custom *k, const struct c8y_entity *e)
{
	if (k->is_template) {
		for (size_t i = 0; i < e->templates.n; i++)
			if (str_eq(e->templates.at[i], k->name))
				return true;
		return false;
	}
	(void)c;
	return str_eq(k->entity, e->topic);
}

bool
c8y_custom_json(struct c8y *c, struct c8y_entity *e, struct str id,
    struct str operation, struct arena *a)
{
	LIST_EACH (k, &c->custom, struct custom, link) {
		struct buf path = { 0 };
		bool mine;

		if (k->on_fragment.ptr == NULL ||
		    !str_eq(k->topic, c->now_on) || !counts_for(c, k, e))
			continue;
		buf_addc(&path, '.');
		buf_add_str(&path, k->on_fragment);
		mine = json_at(operation, buf_str(&path), a).ptr != NULL;
		buf_free(&path);
		if (!mine)
			continue;
		if (k->operation.ptr != NULL)
			begin_workflow(c, k, e, id, operation, a);
		else
			begin_run(c, k, e, id, operation, STR_NULL, a);
		return true;
	}
	return false;
}

bool
c8y_custom_line(
    struct c8y *c, const struct strs *line, struct str text, struct arena *a)
{
	struct c8y_entity *e =
	    line->n > 1 ? c8y_by_xid(c, line->at[1]) : c->main;

	if (e == NULL)
		e = c->main;
	LIST_EACH (k, &c->custom, struct custom, link)
		if (k->on_message.ptr != NULL &&
		    str_eq(k->on_message, line->at[0]) &&
		    str_eq(k->topic, c->now_on) && counts_for(c, k, e)) {
			begin_run(c, k, e, STR_NULL, STR_NULL, text, a);
			return true;
		}
	return false;
}
