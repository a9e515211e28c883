/*
 * core/hub/write.c - points that others send, as to InfluxDB: /api/v2/write and
 * /write, and what clients ask before they do (/ping, CREATE DATABASE).
 *
 * `org` (v2) or `db` (v1) is the code of a unit that the token may change. Of
 * each line the fields become series, `measurement_field`, with the tags and
 * `unit` as labels; names get "_" for what Prometheus does not know in them. A
 * name that ends in "_total" is a counter. Good lines are stored, bad ones are
 * told by number; the answer comes when the metric store has committed.
 *
 * The token comes as `Token x` or `Bearer x`; for v1 also as the password of
 * Basic, or in `p`.
 */
#include "core/hub/private.h"

#include "base/clock.h"
#include "base/mem.h"
#include "codec/lineproto.h"
#include "codec/url.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <zlib.h>

#define BODY_MAX (32u << 20)     /* as it comes */
#define UNPACKED_MAX (64u << 20) /* of a gzip body */
#define POINTS_AT_ONCE 700       /* and a line more: the smallest buffer */
#define TELL_MAX 20              /* bad lines whose reason is told */
#define WAIT_MS 5000             /* for a store that has enough to do */

/* --- answers ------------------------------------------------------------- */

static bool
is_v2(const struct http_call *c)
{
	return str_starts(c->path, STR("/api/v2/"));
}

/* As each version has it; `code` is v2's. */
static void
refuse(struct http_call *c, int status, const char *code, struct str text)
{
	struct json_out *o = http_json(c, status);

	json_out_object(o);
	if (is_v2(c)) {
		json_out_key(o, "code");
		json_out_str(o, str_of(code));
		json_out_key(o, "message");
	} else {
		json_out_key(o, "error");
	}
	json_out_str(o, text);
	json_out_end_object(o);
}

/* --- who it is ----------------------------------------------------------- */

static bool
find_token(struct http_call *c, struct str *ret)
{
	struct str rest = c->authorization, word = str_cut(&rest, ' ');
	struct buf b = { 0 };
	bool ok = false;

	rest = str_trim(rest);
	if (c->many_authorizations)
		return false;
	if (str_eq_nocase(word, STR("Bearer"))) {
		*ret = rest;
		return rest.len > 0;
	}
	if (str_eq_nocase(word, STR("Token"))) {
		/* a client of 1.8 says "user:password" */
		struct str user = str_cut(&rest, ':');

		*ret = rest.ptr != NULL ? rest : user;
		return ret->len > 0;
	}
	if (is_v2(c))
		return false;
	if (str_eq_nocase(word, STR("Basic")) && base64_decode(&b, rest)) {
		struct str pair = arena_str(&c->arena, buf_str(&b));

		(void)str_cut(&pair, ':');
		*ret = pair;
		ok = pair.len > 0;
	}
	buf_free(&b);
	if (ok)
		return true;
	*ret = http_query(c, "p");
	return ret->len > 0;
}

/* The unit to write to; false: the call is answered. */
static bool
let_in(struct hub *h, struct http_call *c, struct str *unit_code)
{
	struct str name = http_query(c, is_v2(c) ? "org" : "db"), unit_id;
	struct str token;
	int may;

	if (!find_token(c, &token)) {
		refuse(c, 401, "unauthorized", STR("unauthorized access"));
		http_header(c, "WWW-Authenticate", STR("Token"));
		return false;
	}
	if (!route_access(h->route, c, token)) {
		if (c->status == 401)
			refuse(
			    c, 401, "unauthorized", STR("unauthorized access"));
		else if (c->status == 403)
			refuse(c, 403, "forbidden",
			    STR("the token may not be used for this"));
		return false;
	}
	if (name.len == 0) {
		refuse(c, 400, "invalid",
		    is_v2(c) ? STR("missing `org`: the code of a unit")
			     : STR("missing `db`: the code of a unit"));
		return false;
	}
	may = route_unit_by_code(
	    h->route, c, name, REST_PATCH, &unit_id, unit_code);
	if (may == 0)
		refuse(c, 404, "not found",
		    arena_printf(&c->arena,
			"no unit \"" STR_FMT "\" that the token may change",
			STR_ARG(name)));
	return may == 1;
}

/* --- what is written ----------------------------------------------------- */

/* All commits of one call. */
struct waiting {
	pthread_mutex_t lock;
	pthread_cond_t cond;
	size_t n;
	int rc; /* the first failure */
	struct err err;
};

struct commit {
	struct metric_commit commit;
	struct waiting *waiting;
};

struct writing {
	struct hub *hub;
	struct arena arena; /* texts of points that wait for their write */
	struct str unit_code;
	int64_t now;

	struct metric_point points[POINTS_AT_ONCE + LINEPROTO_FIELDS_MAX];
	size_t n;
	uint64_t n_good, n_bad, n_points;
	struct buf bad; /* "line 3: why; line 5: why" */
	struct waiting waiting;
	struct err err; /* the store's; nothing more is taken */
	int rc;
};

static void
on_commit(struct metric_commit *commit, int rc, const struct err *why)
{
	struct commit *c = container_of(commit, struct commit, commit);
	struct waiting *w = c->waiting;

	free(c);
	pthread_mutex_lock(&w->lock);
	if (rc != 0 && w->rc == 0) {
		w->rc = rc;
		w->err = *why;
	}
	w->n--;
	pthread_cond_signal(&w->cond);
	pthread_mutex_unlock(&w->lock);
}

static void
wait_for_commits(struct waiting *w)
{
	pthread_mutex_lock(&w->lock);
	while (w->n > 0)
		pthread_cond_wait(&w->cond, &w->lock);
	pthread_mutex_unlock(&w->lock);
}

/* What has gathered goes to the store; when that has enough to do, we wait. */
static void
flush(struct writing *w)
{
	const struct timespec pause = { .tv_nsec = 20000000 };
	int64_t until = clock_mono() + WAIT_MS;

	while (w->n > 0 && w->rc == 0) {
		struct commit *c = mem_new(struct commit);

		c->waiting = &w->waiting;
		c->commit.done = on_commit;
		pthread_mutex_lock(&w->waiting.lock);
		w->waiting.n++;
		pthread_mutex_unlock(&w->waiting.lock);
		w->rc = metric_write(
		    w->hub->metric, w->points, w->n, &c->commit, &w->err);
		if (w->rc == 0) {
			w->n_points += w->n;
			break;
		}
		free(c);
		pthread_mutex_lock(&w->waiting.lock);
		w->waiting.n--;
		pthread_mutex_unlock(&w->waiting.lock);
		if (w->rc != ERR_AGAIN || clock_mono() > until)
			return;
		w->rc = 0;
		wait_for_commits(&w->waiting);
		nanosleep(&pause, NULL);
	}
	w->n = 0;
	arena_clear(&w->arena);
}

static void
on_bad(void *owner, uint64_t number, const char *why)
{
	struct writing *w = owner;

	w->n_bad++;
	counter_add(&w->hub->counters.written_bad, 1);
	if (w->n_bad <= TELL_MAX)
		buf_addf(&w->bad, "%sline %llu: %s", w->n_bad > 1 ? "; " : "",
		    (unsigned long long)number, why);
	else if (w->n_bad == TELL_MAX + 1)
		buf_addz(&w->bad, "; ...");
}

/* [a-zA-Z_][a-zA-Z0-9_]*, of names ":" too. */
static void
add_name(struct buf *b, struct str s, bool colon)
{
	if (s.len > 0 && s.ptr[0] >= '0' && s.ptr[0] <= '9' && b->len == 0)
		buf_addc(b, '_');
	for (size_t i = 0; i < s.len; i++) {
		char c = s.ptr[i];
		bool ok = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
		    (c >= '0' && c <= '9') || (colon && c == ':');

		buf_addc(b, ok ? c : '_');
	}
}

/* A tag that is named as one of ours gets another name. */
static struct str
label_name(struct arena *a, struct str tag)
{
	struct buf b = { 0 };
	struct str s;

	add_name(&b, tag, false);
	if (str_eqz(buf_str(&b), "unit") ||
	    str_starts(buf_str(&b), STR("__"))) {
		buf_clear(&b);
		buf_addz(&b, "exported_");
		add_name(&b, tag, false);
	}
	s = arena_str(a, buf_str(&b));
	buf_free(&b);
	return s;
}

static enum metric_kind
kind_for(const struct lineproto_field *f, struct str name)
{
	if (f->type == LINEPROTO_TEXT)
		return METRIC_TEXT;
	if (f->type == LINEPROTO_BOOL)
		return METRIC_BINARY;
	return str_ends(name, STR("_total")) ? METRIC_COUNTER : METRIC_GAUGE;
}

/* Adds the field's point; false: `why`, or the store has failed. */
static bool
add_field(struct writing *w, const struct lineproto_line *l,
    const struct lineproto_field *f, const struct metric_label *labels,
    size_t n_labels, struct err *why)
{
	struct metric_point *p = &w->points[w->n];
	struct buf name = { 0 };
	int rc;

	add_name(&name, l->measurement, true);
	buf_addc(&name, '_');
	add_name(&name, f->name, true);
	*p = (struct metric_point){ .at = l->has_time ? l->at_ms : w->now,
		.value = f->number };
	rc = metric_series(w->hub->metric, kind_for(f, buf_str(&name)),
	    buf_str(&name), labels, n_labels, &p->series, why);
	buf_free(&name);
	if (rc == ERR_AGAIN || rc == ERR_IO) {
		w->rc = rc;
		w->err = *why;
	}
	if (rc != 0)
		return false;
	if (f->type == LINEPROTO_TEXT) {
		if (f->text.len > METRIC_TEXT_MAX) {
			(void)err_set(why, ERR_PARAM, "a text over %d bytes",
			    METRIC_TEXT_MAX);
			return false;
		}
		p->text = arena_str(&w->arena, f->text);
	}
	w->n++;
	return true;
}

static void
on_line(void *owner, const struct lineproto_line *l)
{
	struct writing *w = owner;
	struct metric_label labels[METRIC_LABELS_MAX];
	struct err why = { 0 };
	struct arena a = { 0 };
	size_t n = 0, before = w->n;

	if (w->rc != 0)
		return;
	if (l->has_time && (l->at_ms < 0 || l->at_ms >= METRIC_TIME_MAX)) {
		on_bad(w, l->number, "the time is not of 1970 to 2199");
		return;
	}
	if (l->n_tags >= METRIC_LABELS_MAX) {
		on_bad(w, l->number, "too many tags");
		return;
	}
	for (size_t i = 0; i < l->n_tags; i++)
		labels[n++] =
		    (struct metric_label){ label_name(&a, l->tags[i].name),
			    l->tags[i].value };
	labels[n++] = (struct metric_label){ STR("unit"), w->unit_code };
	for (size_t i = 0; i < l->n_fields; i++)
		if (!add_field(w, l, &l->fields[i], labels, n, &why)) {
			/* all of a line or nothing */
			w->n = before;
			if (w->rc == 0)
				on_bad(w, l->number, why.text);
			goto done;
		}
	w->n_good++;
	if (w->n >= POINTS_AT_ONCE)
		flush(w);
done:
	arena_fini(&a);
}

/* --- bodies -------------------------------------------------------------- */

static bool
is_gzip(struct str s)
{
	return s.len > 2 && s.ptr[0] == '\x1F' && s.ptr[1] == '\x8B';
}

/* 0, ERR_PARAM: it is no gzip; ERR_LIMIT: too much comes out of it. */
static int
feed_gzip(struct lineproto_reader *r, struct str body)
{
	z_stream z = { 0 };
	unsigned char *out;
	uint64_t all = 0;
	int rc, ret = 0;

	if (inflateInit2(&z, 15 + 16) != Z_OK)
		return ERR_PARAM;
	out = mem_alloc(65536);
	z.next_in = (unsigned char *)(uintptr_t)body.ptr;
	z.avail_in = (unsigned)body.len;
	for (;;) {
		size_t n;

		z.next_out = out;
		z.avail_out = 65536;
		rc = inflate(&z, Z_NO_FLUSH);
		n = 65536 - z.avail_out;
		all += n;
		if (all > UNPACKED_MAX) {
			ret = ERR_LIMIT;
			break;
		}
		if (n > 0)
			lineproto_feed(r, (const char *)out, n);
		if (rc == Z_STREAM_END) {
			if (z.avail_in == 0)
				break;
			/* one behind the other */
			rc = inflateReset(&z);
		}
		if (rc != Z_OK) {
			ret = ERR_PARAM;
			break;
		}
	}
	inflateEnd(&z);
	free(out);
	return ret;
}

static void
answer(struct http_call *c, const struct writing *w, int body)
{
	if (w->rc == ERR_AGAIN) {
		refuse(c, 503, "unavailable", str_of(w->err.text));
		http_header(c, "Retry-After", STR("5"));
	} else if (w->rc != 0) {
		refuse(c, 503, "internal error", str_of(w->err.text));
	} else if (body == ERR_LIMIT) {
		refuse(c, 413, "request too large",
		    STR("the body is too large once it is unpacked"));
	} else if (body != 0) {
		refuse(c, 400, "invalid", STR("the body is no gzip"));
	} else if (w->n_bad > 0) {
		refuse(c, 400, "invalid",
		    arena_printf(&c->arena,
			"partial write: %llu of %llu lines were not written: "
			"%.*s",
			(unsigned long long)w->n_bad,
			(unsigned long long)(w->n_bad + w->n_good),
			(int)w->bad.len, w->bad.ptr));
	} else {
		http_empty(c, 204);
	}
}

static void
handle_write(struct http_call *c)
{
	static const struct lineproto_events events = { on_line, on_bad };
	struct hub *h = (struct hub *)c->route->ctx;
	struct lineproto_reader *r;
	enum lineproto_precision precision;
	struct str given = http_query(c, "precision");
	struct writing *w;
	struct str code;
	int body = 0;

	if (!let_in(h, c, &code))
		return;
	if (!lineproto_precision(
		given.ptr == NULL ? STR("") : given, &precision)) {
		refuse(c, 400, "invalid", STR("invalid `precision`"));
		return;
	}
	w = mem_new(struct writing);
	r = mem_new(struct lineproto_reader);
	w->hub = h;
	w->unit_code = code;
	w->now = clock_now();
	pthread_mutex_init(&w->waiting.lock, NULL);
	pthread_cond_init(&w->waiting.cond, NULL);
	r->precision = precision;
	r->events = &events;
	r->owner = w;
	if (is_gzip(c->body))
		body = feed_gzip(r, c->body);
	else if (c->body.len > 0)
		lineproto_feed(r, c->body.ptr, c->body.len);
	if (body == 0)
		lineproto_end(r);
	flush(w);
	wait_for_commits(&w->waiting);
	if (w->rc == 0 && w->waiting.rc != 0) {
		w->rc = w->waiting.rc;
		w->err = w->waiting.err;
	}
	counter_add(&h->counters.written, w->n_points);
	answer(c, w, body);
	lineproto_fini(r);
	free(r);
	pthread_cond_destroy(&w->waiting.cond);
	pthread_mutex_destroy(&w->waiting.lock);
	arena_fini(&w->arena);
	buf_free(&w->bad);
	free(w);
}

/* --- what clients ask first ---------------------------------------------- */

static void
add_version(struct http_call *c)
{
	http_header(c, "X-Influxdb-Build", STR("OSS"));
	http_header(c, "X-Influxdb-Version", STR("1.8.10"));
}

static void
handle_ping(struct http_call *c)
{
	http_empty(c, 204);
	add_version(c);
}

/* CREATE DATABASE has nothing to do: units are made elsewhere. */
static void
handle_query(struct http_call *c)
{
	struct url_form form = url_form_parse(&c->arena, c->body);
	struct str q = url_form_get(&form, "q");
	struct json_out *o;

	q = str_trim(q.ptr != NULL ? q : http_query(c, "q"));
	o = http_json(c, 200);
	add_version(c);
	json_out_object(o);
	json_out_key(o, "results");
	json_out_array(o);
	json_out_object(o);
	json_out_key(o, "statement_id");
	json_out_int(o, 0);
	if (q.len < 15 ||
	    !str_eq_nocase((struct str){ q.ptr, 15 }, STR("CREATE DATABASE"))) {
		json_out_key(o, "error");
		json_out_str(o,
		    STR("only CREATE DATABASE is known here; ask in PromQL"));
	}
	json_out_end_object(o);
	json_out_end_array(o);
	json_out_end_object(o);
}

/* --- the rows ------------------------------------------------------------ */

/* Open, as the token may come in other ways; let_in() looks at it. */
const struct http_route hub_write_rows[] = {
	{ "POST", "/api/v2/write", HTTP_OPEN, .scope = "metric.post",
	    .handle = handle_write, .flags = HTTP_HIDDEN, .body_max = BODY_MAX,
	    .help = "Points in line protocol, as InfluxDB 2 takes them." },
	{ "POST", "/write", HTTP_OPEN, .scope = "metric.post",
	    .handle = handle_write, .flags = HTTP_HIDDEN, .body_max = BODY_MAX,
	    .help = "Points in line protocol, as InfluxDB 1 takes them." },
	{ "GET", "/ping", HTTP_OPEN, .handle = handle_ping,
	    .flags = HTTP_HIDDEN, .help = "Is this an InfluxDB?" },
	{ "POST", "/query", HTTP_OPEN, .handle = handle_query,
	    .flags = HTTP_HIDDEN | HTTP_FORM, .body_max = 65536,
	    .help = "CREATE DATABASE, which has nothing to do." },
	{ 0 },
};
