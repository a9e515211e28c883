/*
 * codec/nix_log.c - see nix_log.h.
 *
 *    {"action":"start","id":1,"level":3,"type":105,"text":"...","fields":[]}
 *    {"action":"result","id":1,"type":101,"fields":["a line of the build"]}
 *    {"action":"stop","id":1}
 *    {"action":"msg","level":0,"msg":"error: ..."}
 */
#include "codec/nix_log.h"

#include "base/mem.h"
#include "codec/json.h"

#include <stdlib.h>
#include <string.h>

#define LEVEL_INFO 3
#define FIELDS_MAX 4

enum { COPY_PATHS = 103, BUILDS = 104, BUILD = 105 };
enum { BUILD_LINE = 101, SET_PHASE = 104, PROGRESS = 105, POST_LINE = 107 };

struct nix_activity {
	int64_t id, type;
	struct nix_progress progress;
	struct str name; /* owned: "hello-2.12" of a build; or null */
};

/* One line, read. */
struct event {
	struct str action, text, msg, name;
	int64_t id, level, type;
	int64_t numbers[FIELDS_MAX];
	struct str texts[FIELDS_MAX];
};

/* Colours and other orders to a terminal are left out; so are bytes that would
 * be some. */
static void
add_plain(struct buf *out, struct str s)
{
	for (size_t i = 0; i < s.len; i++) {
		unsigned char c = (unsigned char)s.ptr[i];

		if (c == 0x1b && i + 1 < s.len && s.ptr[i + 1] == '[') {
			i += 2;
			while (i < s.len && (s.ptr[i] < '@' || s.ptr[i] > '~'))
				i++;
		} else if (c >= ' ' || c == '\t' || c == '\n') {
			buf_addc(out, (char)c);
		}
	}
}

static void
add_line(struct buf *out, struct str s)
{
	size_t was = out->len;

	add_plain(out, s);
	while (out->len > was && out->ptr[out->len - 1] == '\n')
		out->len--;
	if (out->len > was)
		buf_addc(out, '\n');
}

static void
read_fields(struct json *j, struct event *e)
{
	size_t n = 0;

	if (!json_array(j))
		return;
	while (json_item(j)) {
		if (n < FIELDS_MAX && json_peek(j) == JSON_STRING)
			json_str(j, &e->texts[n]);
		else if (n < FIELDS_MAX && json_peek(j) == JSON_NUMBER)
			json_i64(j, &e->numbers[n]);
		else
			json_skip(j);
		n++;
	}
}

static bool
read_event(struct str text, struct arena *a, struct event *e)
{
	struct json j;
	struct str key;

	json_open(&j, text, 0, a);
	if (json_object(&j))
		while (json_member(&j, &key)) {
			bool text_next = json_peek(&j) == JSON_STRING;
			bool number = json_peek(&j) == JSON_NUMBER;

			if (str_eqz(key, "action") && text_next)
				json_str(&j, &e->action);
			else if (str_eqz(key, "text") && text_next)
				json_str(&j, &e->text);
			else if (str_eqz(key, "msg") && text_next)
				json_str(&j, &e->msg);
			else if (str_eqz(key, "id") && number)
				json_i64(&j, &e->id);
			else if (str_eqz(key, "level") && number)
				json_i64(&j, &e->level);
			else if (str_eqz(key, "type") && number)
				json_i64(&j, &e->type);
			else if (str_eqz(key, "fields") &&
			    json_peek(&j) == JSON_ARRAY)
				read_fields(&j, e);
			else
				json_skip(&j);
		}
	return json_done(&j, NULL) == 0;
}

static struct nix_activity *
find(struct nix_log *l, int64_t id)
{
	for (size_t i = l->n; i-- > 0;) /* the newest speak most */
		if (l->at[i].id == id)
			return &l->at[i];
	return NULL;
}

/* "hello-2.12" of "/nix/store/{hash}-hello-2.12.drv". */
static struct str
name_of(struct str path)
{
	const char *slash =
	    path.len > 0 ? memrchr(path.ptr, '/', path.len) : NULL;
	struct str s = path;

	if (slash != NULL)
		s = (struct str){ slash + 1,
			path.len - (size_t)(slash + 1 - path.ptr) };
	if (s.len > 33 && s.ptr[32] == '-')
		s = (struct str){ s.ptr + 33, s.len - 33 };
	if (str_ends(s, STR(".drv")))
		s.len -= 4;
	return s;
}

static void
add_progress(struct nix_progress *to, const struct nix_progress *p)
{
	to->done += p->done;
	to->expected += p->expected;
	to->running += p->running;
	to->failed += p->failed;
}

static bool
counts(const struct nix_activity *a)
{
	return a->type == BUILDS || a->type == COPY_PATHS;
}

static void
start(struct nix_log *l, const struct event *e)
{
	if (l->n >= NIX_LOG_ACTIVITIES)
		return;
	l->at = mem_resize(l->at, l->n + 1, sizeof(*l->at));
	l->at[l->n++] = (struct nix_activity){ .id = e->id,
		.type = e->type,
		.name = e->type == BUILD && e->texts[0].len > 0
		    ? str_copy(name_of(e->texts[0]))
		    : STR_NULL };
}

static void
stop(struct nix_log *l, struct nix_activity *a)
{
	if (counts(a)) {
		a->progress.running = 0;
		add_progress(&l->past, &a->progress);
	}
	str_free(a->name);
	*a = l->at[--l->n];
}

/* A number that nobody can make overflow our sums. */
static int64_t
sane(int64_t n)
{
	return n < 0 ? 0 : n > INT32_MAX ? INT32_MAX : n;
}

static bool
result(struct nix_activity *a, const struct event *e, struct buf *out)
{
	if (e->type == PROGRESS && a != NULL) {
		a->progress = (struct nix_progress){ sane(e->numbers[0]),
			sane(e->numbers[1]), sane(e->numbers[2]),
			sane(e->numbers[3]) };
		return counts(a);
	}
	if (e->type != BUILD_LINE && e->type != POST_LINE &&
	    e->type != SET_PHASE)
		return false;
	if (e->texts[0].len == 0)
		return false;
	if (a != NULL && a->name.len > 0) {
		add_plain(out, a->name);
		buf_addz(out, "> ");
	}
	if (e->type == SET_PHASE)
		buf_addz(out, "phase: ");
	add_line(out, e->texts[0]);
	if (out->ptr[out->len - 1] != '\n')
		buf_addc(out, '\n');
	return false;
}

bool
nix_log_line(struct nix_log *l, struct str line, struct buf *out)
{
	struct arena arena = { 0 };
	struct event e = { 0 };
	struct nix_activity *a;
	bool changed = false;

	if (!str_starts(line, STR("@nix ")) ||
	    !read_event(
		(struct str){ line.ptr + 5, line.len - 5 }, &arena, &e)) {
		add_line(out, line);
		arena_fini(&arena);
		return false;
	}
	a = find(l, e.id);
	if (str_eqz(e.action, "start")) {
		if (e.level <= LEVEL_INFO)
			add_line(out, e.text);
		if (a == NULL)
			start(l, &e);
	} else if (str_eqz(e.action, "stop")) {
		changed = a != NULL && counts(a);
		if (a != NULL)
			stop(l, a);
	} else if (str_eqz(e.action, "result")) {
		changed = result(a, &e, out);
	} else if (str_eqz(e.action, "msg") && e.level <= LEVEL_INFO) {
		add_line(out, e.msg);
		if (e.level == 0) {
			buf_clear(&l->error);
			if (e.msg.len > NIX_LOG_ERROR_MAX)
				e.msg.len = NIX_LOG_ERROR_MAX;
			add_plain(&l->error, e.msg);
		}
	}
	arena_fini(&arena);
	return changed;
}

struct nix_progress
nix_log_progress(const struct nix_log *l)
{
	struct nix_progress p = l->past;

	for (size_t i = 0; i < l->n; i++)
		if (counts(&l->at[i]))
			add_progress(&p, &l->at[i].progress);
	return p;
}

void
nix_log_fini(struct nix_log *l)
{
	for (size_t i = 0; i < l->n; i++)
		str_free(l->at[i].name);
	free(l->at);
	buf_free(&l->error);
	*l = (struct nix_log){ 0 };
}
