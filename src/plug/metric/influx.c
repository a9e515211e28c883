/*
 * plug/metric/influx.c - points go to an InfluxDB, over a queue on disk.
 *
 *     metric_write() ──► queue in memory and in a log ──► committed
 *                              │
 *                              ▼
 *                        sender: a few thousand points a request, the oldest
 *                        first, again and again until the server has taken
 *                        them; then the log is cut off before them
 *
 * Nothing that was committed is lost, but: what the server refuses for good
 * (400, 422: a field of another type, a time its retention does not take) is
 * dropped and counted. When more than `influx.queue` bytes wait, new points are
 * refused (ERR_AGAIN). After a crash some points are sent again; since a series
 * has one value per time, that changes nothing. When it is closed it notes down
 * how far it has come.
 *
 * Measurements and tags are MyController's: `mc_gauge_float_data`, the labels
 * as tags, the field `value`. The name of a series is one more tag, __name__,
 * unless it is "field".
 *
 * With VictoriaMetrics (influx_victoria.c) a batch that was taken is held:
 *
 *     first ──► held ──► unsent ──► waiting ──► last
 *
 * Whenever the oldest has been held for long enough, or the connection was
 * lost, the sender asks when the server was started. The same as before: what
 * was held for `influx.hold` is on its disk, and is cut off. Another time: all
 * that is held is sent again.
 */
#include "plug/metric/influx.h"

#include "base/base.h"
#include "base/clock.h"
#include "base/mem.h"
#include "codec/json.h"
#include "codec/lineproto.h"
#include "codec/url.h"
#include "plug/metric/log.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#define SEGMENT_BYTES (8u << 20)
#define PENDING_BYTES (64u << 20)
#define POINTS_MAX 10000 /* in a request */
#define BODY_MAX (2u << 20)
#define ANSWER_MAX (64u << 20)
#define VICTORIA_ANSWER_MAX (1u << 20) /* it is asked in parts then */
#define RETRY_MIN_MS 250
#define RETRY_MAX_MS 30000

struct influx_opening {
	struct influx *e;
	const struct metric_host *host;
};

/* --- series -------------------------------------------------------------- */

static struct influx_series *
series_at(struct influx *e, uint32_t id)
{
	return id < e->cap ? e->by_id[id] : NULL;
}

static void
series_free(struct influx_series *s)
{
	if (s == NULL)
		return;
	str_free(s->line);
	arena_fini(&s->text);
	free(s);
}

static void
know_label(struct influx *e, struct str name)
{
	struct str *key;

	if (map_get(&e->labels, name) != NULL)
		return;
	key = mem_new(struct str);
	*key = str_copy(name);
	(void)map_put(&e->labels, *key, key);
}

static void
put_head(struct buf *out, struct str measurement, const struct metric_series *s)
{
	lineproto_put_measurement(out, measurement);
	if (!str_eqz(s->name, INFLUX_PLAIN_NAME))
		lineproto_put_tag(out, STR(INFLUX_NAME_TAG), s->name);
	for (size_t i = 0; i < s->n_labels; i++)
		lineproto_put_tag(out, s->labels[i].name, s->labels[i].value);
}

static void
know_series(struct influx *e, const struct metric_series *s)
{
	struct influx_series *mine = mem_new(struct influx_series);
	struct arena a = { 0 };
	struct buf line = { 0 };

	mine->id = s->id;
	mine->kind = s->kind;
	mine->what = metric_series_copy(&mine->text, s);
	if (e->victoria)
		victoria_put_head(&line, influx_measurement(e, s->kind, &a), s);
	else
		put_head(&line, influx_measurement(e, s->kind, &a), s);
	for (size_t i = 0; i < s->n_labels; i++)
		know_label(e, s->labels[i].name);
	know_label(e, e->victoria ? STR("db") : STR(INFLUX_NAME_TAG));
	mine->line = str_copy(buf_str(&line));
	buf_free(&line);
	arena_fini(&a);

	if (s->id >= e->cap) {
		uint32_t cap = MAX_OF(e->cap, 64u);

		while (cap <= s->id)
			cap *= 2;
		e->by_id =
		    mem_resize(e->by_id, cap, sizeof(struct influx_series *));
		memset(e->by_id + e->cap, 0,
		    (cap - e->cap) * sizeof(struct influx_series *));
		e->cap = cap;
	}
	e->by_id[s->id] = mine;
	e->end = MAX_OF(e->end, s->id + 1);
}

/* --- the queue ----------------------------------------------------------- */

/* Under the lock. */
static void
queue_add(struct influx *e, struct str points, size_t n, uint64_t segment,
    uint64_t seq)
{
	struct influx_batch *b = mem_new(struct influx_batch);

	b->points = str_copy(points);
	b->n = n;
	b->segment = segment;
	b->seq = seq;
	*e->last = b;
	e->last = &b->next;
	if (e->unsent == NULL)
		e->unsent = b;
	e->bytes += points.len;
	e->points += n;
	e->queued++;
}

/* Under the lock: the oldest, which was sent, is done with. */
static void
queue_cut(struct influx *e)
{
	struct influx_batch *b = e->first;

	e->first = b->next;
	if (e->first == NULL)
		e->last = &e->first;
	e->bytes -= b->points.len;
	e->cut = b->seq;
	str_free(b->points);
	free(b);
}

/* Under the lock: texts that another server has taken before. */
static void
count_texts(struct influx *e, const struct metric_point *p, size_t n)
{
	for (size_t i = 0; e->texts && i < n; i++) {
		struct influx_series *s = series_at(e, p[i].series);

		e->dropped += s != NULL && s->kind == METRIC_TEXT;
	}
}

static int
influx_write(struct engine *g, const struct metric_point *p, size_t n,
    struct metric_commit *commit, struct err *err)
{
	struct influx *e = influx_of(g);
	uint64_t segment, seq;
	enum log_type type;
	struct str points;
	int rc = 0;

	pthread_mutex_lock(&e->lock);
	if (e->bytes > e->queue_bytes)
		rc = err_set(err, ERR_AGAIN, "the queue to %s is full: %.100s",
		    e->who, e->why);
	if (rc == 0) {
		buf_clear(&e->record);
		log_put_points(&e->record, e->seq + 1, p, n);
		rc = commits_append(
		    &e->log, buf_str(&e->record), commit, &segment, err);
	}
	if (rc == 0) {
		e->seq++;
		count_texts(e, p, n);
		points = buf_str(&e->record);
		(void)log_get_head(&points, &type, &seq);
		if (n > 0)
			queue_add(e, points, n, segment, seq);
		pthread_cond_signal(&e->wake);
	}
	pthread_mutex_unlock(&e->lock);
	return rc;
}

static int
add_name(struct influx *e, struct err *err)
{
	int rc =
	    commits_append(&e->names, buf_str(&e->record), NULL, NULL, err);

	return rc;
}

/* Whether the server can keep such a series. */
static int
check_series(
    const struct influx *e, const struct metric_series *s, struct err *err)
{
	if (e->victoria)
		return victoria_check(s, err);
	for (size_t i = 0; i < s->n_labels; i++)
		if (str_eqz(s->labels[i].name, "time"))
			return err_set(
			    err, ERR_PARAM, "InfluxDB takes no label \"time\"");
	return 0;
}

static int
influx_add(struct engine *g, const struct metric_series *s, struct err *err)
{
	struct influx *e = influx_of(g);
	int rc = check_series(e, s, err);

	if (rc != 0)
		return rc;
	pthread_mutex_lock(&e->lock);
	buf_clear(&e->record);
	log_put_series(&e->record, s->id, s);
	rc = add_name(e, err);
	/* Points behind it must find it again, even if the other log ends
	 * before it. */
	if (rc == 0)
		rc = commits_append(
		    &e->log, buf_str(&e->record), NULL, NULL, err);
	if (rc == 0)
		know_series(e, s);
	pthread_mutex_unlock(&e->lock);
	return rc;
}

static int
influx_flush(struct engine *g, struct err *err)
{
	struct influx *e = influx_of(g);
	struct timespec until;
	uint64_t goal;
	int rc;

	rc = commits_wait(&e->log, e->timeout_ms, err);
	if (rc != 0)
		return rc;
	until = time_from_now(e->timeout_ms);
	pthread_mutex_lock(&e->lock);
	goal = e->queued;
	while (rc == 0 && e->done < goal)
		if (pthread_cond_timedwait(&e->sent, &e->lock, &until) ==
		    ETIMEDOUT)
			rc = err_set(err, ERR_AGAIN,
			    "%s has not taken everything: %.100s", e->who,
			    e->why);
	pthread_mutex_unlock(&e->lock);
	return rc;
}

/* --- sending ------------------------------------------------------------- */

static size_t
put_lines(struct influx *e, struct buf *body, struct str points)
{
	struct metric_point p = { 0 };
	int64_t now = clock_mono();
	size_t n = 0;

	while (log_get_point(&points, &p) == 1) {
		struct influx_series *s = series_at(e, p.series);

		if (s == NULL || (e->victoria && s->kind == METRIC_TEXT))
			continue; /* deleted meanwhile, or see count_texts() */
		s->sent_at = now;
		buf_add_str(body, s->line);
		if (e->victoria)
			victoria_put_value(body, &s->what, p.value);
		else if (s->kind == METRIC_TEXT)
			lineproto_put_text(body, true, STR("value"), p.text);
		else if (s->kind == METRIC_BINARY)
			lineproto_put_int(
			    body, true, STR("value"), p.value != 0);
		else
			lineproto_put_float(body, true, STR("value"), p.value);
		lineproto_put_time(body, p.at, "");
		n++;
	}
	return n;
}

/* Under the lock: makes a request of the oldest batches; how many they are. */
static size_t
fill_body(struct influx *e, struct buf *body, size_t most, size_t *points)
{
	size_t batches = 0;

	buf_clear(body);
	*points = 0;
	for (struct influx_batch *b = e->unsent; b != NULL && batches < most &&
	     *points < POINTS_MAX && body->len < BODY_MAX;
	     b = b->next, batches++)
		*points += put_lines(e, body, b->points);
	return batches;
}

static struct str
write_query(struct influx *e, struct buf *b)
{
	if (e->v2) {
		url_form_add(b, "org", str_of(e->organization));
		url_form_add(b, "bucket", str_of(e->bucket));
	} else {
		url_form_add(b, "db", str_of(e->database));
	}
	url_form_add(b, "precision", STR("ms"));
	return buf_str(b);
}

static void
make_database(struct influx *e, CURL *c)
{
	struct influx_answer answer;
	struct buf q = { 0 }, statement = { 0 };

	buf_addz(&statement, "CREATE DATABASE \"");
	for (const char *s = e->database; *s != '\0'; s++) {
		if (*s == '"' || *s == '\\')
			buf_addc(&statement, '\\');
		buf_addc(&statement, *s);
	}
	buf_addc(&statement, '"');
	url_form_add(&q, "q", buf_str(&statement));
	/* if it fails the next write says so */
	(void)influx_request(e, c, "/query", STR(""),
	    "application/x-www-form-urlencoded", buf_str(&q), &answer, NULL);
	buf_free(&answer.body);
	buf_free(&q);
	buf_free(&statement);
}

/* {"orgs": [{"id": "...", ...}]} */
static struct str
organization_id(struct str answer, struct arena *a)
{
	struct str key, id = STR_NULL;
	struct json j;

	json_open(&j, answer, 0, a);
	if (!json_object(&j))
		return id;
	while (json_member(&j, &key)) {
		if (!str_eqz(key, "orgs") || !json_array(&j)) {
			json_skip(&j);
			continue;
		}
		while (json_item(&j)) {
			if (!json_object(&j))
				break;
			while (json_member(&j, &key)) {
				if (str_eqz(key, "id") && id.ptr == NULL)
					json_str(&j, &id);
				else
					json_skip(&j);
			}
		}
	}
	return json_done(&j, NULL) == 0 ? arena_str(a, id) : STR_NULL;
}

static void
make_bucket(struct influx *e, CURL *c)
{
	struct influx_answer answer;
	struct buf query = { 0 }, body = { 0 };
	struct arena a = { 0 };
	struct json_out o;
	struct str id = STR_NULL;

	url_form_add(&query, "org", str_of(e->organization));
	if (influx_request(e, c, "/api/v2/orgs", buf_str(&query), NULL, STR(""),
		&answer, NULL) == 0 &&
	    answer.status == 200)
		id = organization_id(buf_str(&answer.body), &a);
	buf_free(&answer.body);
	if (id.ptr != NULL) {
		json_out_init(&o, &body, false);
		json_out_object(&o);
		json_out_key(&o, "orgID");
		json_out_str(&o, id);
		json_out_key(&o, "name");
		json_out_str(&o, str_of(e->bucket));
		json_out_key(&o, "retentionRules");
		json_out_array(&o);
		json_out_end_array(&o);
		json_out_end_object(&o);
		(void)influx_request(e, c, "/api/v2/buckets", STR(""),
		    "application/json", buf_str(&body), &answer, NULL);
		buf_free(&answer.body);
	}
	buf_free(&query);
	buf_free(&body);
	arena_fini(&a);
}

/* "... dropped=3": how many of a request the server did not take. */
static uint64_t
dropped_of(const struct influx_answer *a, size_t points)
{
	char text[512], *at;

	influx_reason(a, text, sizeof(text));
	at = strstr(text, "dropped=");
	if (at != NULL)
		return MIN_OF(strtoull(at + 8, NULL, 10), (uint64_t)points);
	return points;
}

enum outcome { TAKEN, REFUSED, TOO_LARGE, TO_RETRY };

static enum outcome
judge(struct influx *e, CURL *c, int rc, const struct influx_answer *a,
    size_t points, const struct err *err)
{
	char why[128];

	influx_reason(a, why, sizeof(why));
	if (rc == 0 && a->status >= 200 && a->status < 300)
		return TAKEN;
	if (rc == 0 && a->status == 404 && !e->victoria)
		(e->v2 ? make_bucket : make_database)(e, c);
	pthread_mutex_lock(&e->lock);
	snprintf(e->why, sizeof(e->why), "%.100s", rc != 0 ? err->text : why);
	if (rc == 0 && (a->status == 400 || a->status == 422)) {
		e->dropped += dropped_of(a, points);
		pthread_mutex_unlock(&e->lock);
		return REFUSED;
	}
	e->trouble = rc != 0                       ? rc
	    : a->status == 401 || a->status == 403 ? ERR_DENIED
	    : a->status == 404                     ? ERR_NOT_FOUND
						   : ERR_AGAIN;
	pthread_mutex_unlock(&e->lock);
	return rc == 0 && a->status == 413 ? TOO_LARGE : TO_RETRY;
}

/* Under the lock. */
static void
rest(struct influx *e, int64_t ms)
{
	struct timespec until = time_from_now(ms);

	while (!e->stop &&
	    pthread_cond_timedwait(&e->wake, &e->lock, &until) != ETIMEDOUT)
		;
}

/* Under the lock: cuts off what was sent and is held since then or longer. */
static void
cut_sent(struct influx *e, int64_t since)
{
	while (e->first != e->unsent && e->first->sent_at <= since)
		queue_cut(e);
	if (e->first != NULL)
		journal_drop_before(e->log.journal, e->first->segment);
	else
		journal_drop_before(
		    e->log.journal, journal_newest(e->log.journal));
}

/* Under the lock: notes down what is not to be sent again. */
static void
tell_cut(struct influx *e)
{
	if (e->cut == e->told)
		return;
	buf_clear(&e->record);
	log_put_sent(&e->record, e->cut);
	/* if it fails they are sent again after a restart */
	if (commits_append(&e->log, buf_str(&e->record), NULL, NULL, NULL) == 0)
		e->told = e->cut;
}

/* Under the lock: the server has so many more batches. */
static void
batches_sent(struct influx *e, size_t batches)
{
	while (batches-- > 0) {
		struct influx_batch *b = e->unsent;

		b->sent_at = clock_mono();
		e->unsent = b->next;
		e->points -= b->n;
		e->done++;
	}
	e->trouble = 0;
	pthread_cond_broadcast(&e->sent);
	if (!e->victoria)
		cut_sent(e, INT64_MAX);
}

/* Under the lock: the server may have lost all that is held. */
static void
send_again(struct influx *e)
{
	for (struct influx_batch *b = e->first; b != e->unsent; b = b->next) {
		e->points += b->n;
		e->done--;
	}
	e->unsent = e->first;
}

/* When the server is to be asked about what is held; the last moment of all:
 * never. */
static int64_t
ask_at(const struct influx *e)
{
	if (!e->victoria || e->first == NULL)
		return INT64_MAX;
	if (e->doubt)
		return 0;
	if (e->first == e->unsent)
		return INT64_MAX;
	/* a few at once */
	return e->first->sent_at + e->hold_ms + e->hold_ms / 4;
}

/* Under the lock, which is given up meanwhile. False: no answer. */
static bool
ask_whether_it_lives(struct influx *e, CURL *c)
{
	int64_t began = clock_mono(), born;
	struct err err;
	int rc;

	pthread_mutex_unlock(&e->lock);
	rc = victoria_born(e, c, &born, &err);
	pthread_mutex_lock(&e->lock);
	if (rc != 0) {
		e->trouble = rc;
		snprintf(e->why, sizeof(e->why), "%.127s", err.text);
		return false;
	}
	if (e->born != born)
		send_again(e);
	e->born = born;
	e->doubt = false;
	e->trouble = 0;
	cut_sent(e, began - e->hold_ms);
	tell_cut(e);
	return true;
}

/* Under the lock. */
static void
await_work(struct influx *e)
{
	int64_t ms = ask_at(e);
	struct timespec until;

	if (ms == INT64_MAX) {
		pthread_cond_wait(&e->wake, &e->lock);
		return;
	}
	until = time_from_now(MAX_OF(ms - clock_mono(), 0));
	(void)pthread_cond_timedwait(&e->wake, &e->lock, &until);
}

static void *
sender(void *arg)
{
	struct influx *e = arg;
	CURL *c = curl_easy_init();
	struct buf body = { 0 }, query = { 0 };
	size_t most = SIZE_MAX, batches, points;
	int64_t delay = RETRY_MIN_MS;
	struct influx_answer answer;
	enum outcome what;
	struct err err;
	int rc;

	(void)write_query(e, &query);
	pthread_mutex_lock(&e->lock);
	while (!e->stop || e->unsent != NULL) {
		if (ask_at(e) <= clock_mono() && !ask_whether_it_lives(e, c)) {
			if (e->stop)
				break;
			rest(e, delay);
			delay = MIN_OF(delay * 2, RETRY_MAX_MS);
			continue;
		}
		if (e->unsent == NULL) {
			await_work(e);
			continue;
		}
		batches = fill_body(e, &body, most, &points);
		pthread_mutex_unlock(&e->lock);
		rc = 0;
		answer = (struct influx_answer){ .status = 204 };
		if (points > 0)
			rc = influx_request(e, c,
			    e->v2 ? "/api/v2/write" : "/write", buf_str(&query),
			    "text/plain; charset=utf-8", buf_str(&body),
			    &answer, &err);
		what = judge(e, c, rc, &answer, points, &err);
		buf_free(&answer.body);
		pthread_mutex_lock(&e->lock);
		e->doubt = e->doubt || answer.fresh || what == TO_RETRY;
		if (what == TOO_LARGE && batches > 1) {
			most = batches / 2;
			continue;
		}
		if (what == TOO_LARGE) {
			e->dropped += points;
			what = REFUSED;
		}
		if (what == TO_RETRY) {
			if (e->stop) /* it stays in the log */
				break;
			rest(e, MAX_OF(delay, answer.retry_after_ms));
			delay = MIN_OF(delay * 2, RETRY_MAX_MS);
			continue;
		}
		batches_sent(e, batches);
		delay = RETRY_MIN_MS;
		most = SIZE_MAX;
	}
	pthread_mutex_unlock(&e->lock);
	curl_easy_cleanup(c);
	buf_free(&body);
	buf_free(&query);
	return NULL;
}

/* --- the rest ------------------------------------------------------------ */

static int
influx_remove(struct engine *g, const struct metric_series *s, struct err *err)
{
	struct influx *e = influx_of(g);
	int64_t sent_at;
	int rc;

	/* what still waits would make it anew */
	(void)influx_flush(g, NULL);
	pthread_mutex_lock(&e->lock);
	sent_at = series_at(e, s->id)->sent_at;
	pthread_mutex_unlock(&e->lock);
	rc = e->victoria ? victoria_delete(e, s, sent_at, err)
			 : influx_delete(e, s, err);
	if (rc != 0)
		return rc;
	pthread_mutex_lock(&e->lock);
	buf_clear(&e->record);
	log_put_delete(&e->record, s->id, s->id);
	rc = add_name(e, err);
	if (rc == 0) {
		series_free(e->by_id[s->id]);
		e->by_id[s->id] = NULL;
	}
	pthread_mutex_unlock(&e->lock);
	return rc == 0 ? commits_wait(&e->names, e->timeout_ms, err) : rc;
}

static void
influx_stats(struct engine *g, struct metric_stats *ret)
{
	struct influx *e = influx_of(g);
	struct journal_progress p;

	journal_progress(e->log.journal, &p);
	pthread_mutex_lock(&e->lock);
	ret->dropped = e->dropped;
	ret->waiting = e->points;
	ret->log_bytes = journal_bytes(e->log.journal);
	ret->bytes = journal_bytes(e->names.journal);
	ret->trouble = p.error != 0 ? p.error : e->trouble;
	snprintf(ret->why, sizeof(ret->why), "%.127s",
	    p.error != 0 ? p.text : e->why);
	pthread_mutex_unlock(&e->lock);
}

/* --- opening ------------------------------------------------------------- */

static void
on_log(void *owner)
{
	commits_tell(&((struct influx_opening *)owner)->e->log);
}

static void
on_names(void *owner)
{
	commits_tell(&((struct influx_opening *)owner)->e->names);
}

static int
replay_name(void *owner, uint64_t segment, struct str record, struct err *err)
{
	struct influx_opening *o = owner;
	struct arena a = { 0 };
	struct metric_series s;
	enum log_type type;
	uint64_t seq;
	uint32_t id;
	int rc;

	(void)segment;
	rc = err_set(err, ERR_PROTO, "a broken record of a series");
	if (!log_get_head(&record, &type, &seq))
		return rc;
	if (type == LOG_SERIES && log_get_series(record, &a, &s)) {
		rc = o->host->known(o->host->owner, &s, err);
		if (rc == 0)
			know_series(o->e, &s);
	} else if (type == LOG_DELETE && log_get_delete(record, &id)) {
		rc = 0;
		if (series_at(o->e, id) != NULL) {
			o->host->gone(o->host->owner, id);
			series_free(o->e->by_id[id]);
			o->e->by_id[id] = NULL;
		}
	}
	arena_fini(&a);
	return rc;
}

/* A series in the queue: the other log has it, but if it was torn. */
static int
replay_series(struct influx_opening *o, struct str record, struct err *err)
{
	struct influx *e = o->e;
	struct arena a = { 0 };
	struct metric_series s;
	int rc = 0;

	if (!log_get_series(record, &a, &s)) {
		rc = err_set(err, ERR_PROTO, "a broken series in the queue");
	} else if (s.id >= e->end) {
		rc = o->host->known(o->host->owner, &s, err);
		if (rc == 0) {
			know_series(e, &s);
			buf_clear(&e->record);
			log_put_series(&e->record, s.id, &s);
			rc = add_name(e, err);
		}
	}
	arena_fini(&a);
	return rc;
}

static void
replay_sent(struct influx *e, uint64_t seq)
{
	while (e->first != NULL && e->first->seq <= seq) {
		e->points -= e->first->n;
		e->unsent = e->first->next;
		e->done++;
		queue_cut(e);
	}
	e->seq = MAX_OF(e->seq, seq);
	e->told = e->cut;
}

static int
replay_points(void *owner, uint64_t segment, struct str record, struct err *err)
{
	struct influx *e = ((struct influx_opening *)owner)->e;
	struct metric_point p = { 0 };
	enum log_type type;
	struct str rest;
	uint64_t seq;
	size_t n = 0;
	int more;

	if (!log_get_head(&record, &type, &seq) || type == LOG_DELETE)
		return err_set(err, ERR_PROTO, "a broken record in the queue");
	if (type == LOG_SERIES)
		return replay_series(owner, record, err);
	if (type == LOG_SENT) {
		replay_sent(e, seq);
		return 0;
	}
	e->seq = MAX_OF(e->seq, seq);
	rest = record;
	while ((more = log_get_point(&rest, &p)) == 1)
		n++;
	if (more != 0)
		return err_set(err, ERR_PROTO, "broken points in the queue");
	if (n > 0)
		queue_add(e, record, n, segment, seq);
	return 0;
}

static int
open_log(struct influx *e, const char *path, const char *name,
    struct commits *log, void (*progress)(void *owner),
    int (*replay)(
	void *owner, uint64_t segment, struct str record, struct err *err),
    struct err *err)
{
	struct journal_conf conf = { .segment_bytes = SEGMENT_BYTES,
		.pending_bytes = PENDING_BYTES,
		.progress = progress,
		.replay = replay,
		.owner = e->opening };
	char *dir = mem_printf("%s/%s", path, name);
	struct journal *j;
	int rc;

	conf.dir = dir;
	rc = journal_open(&conf, &j, NULL, err);
	free(dir);
	if (rc == 0) {
		pthread_mutex_lock(&log->lock);
		log->journal = j;
		pthread_mutex_unlock(&log->lock);
	}
	return rc;
}

static char *
text_of(struct str s, const char *otherwise)
{
	return s.len == 0 ? (otherwise == NULL ? NULL : strdup(otherwise))
			  : str_dupz(s);
}

static void
take_settings(struct influx *e, const struct metric_settings *set)
{
	e->url = text_of(set->url, "http://localhost:8086");
	while (strlen(e->url) > 0 && e->url[strlen(e->url) - 1] == '/')
		e->url[strlen(e->url) - 1] = '\0';
	e->organization = text_of(set->organization, "");
	e->bucket = text_of(set->bucket, "marram");
	e->database = text_of(set->database, "marram");
	e->prefix = str_copy(set->prefix.ptr == NULL ? STR("mc") : set->prefix);
	e->v2 = set->version == METRIC_INFLUX_V2 ||
	    (set->version == METRIC_INFLUX_AUTO && set->organization.len > 0);
	e->victoria = set->version == METRIC_INFLUX_VICTORIA;
	e->who = e->victoria ? "VictoriaMetrics" : "InfluxDB";
	e->doubt = true;
	e->hold_ms = set->hold;
	e->answer_max = e->victoria ? VICTORIA_ANSWER_MAX : ANSWER_MAX;
	e->timeout_ms = (long)set->timeout;
	e->queue_bytes = (uint64_t)set->queue_bytes;
	if (set->token.len > 0)
		e->auth = mem_printf("%s " STR_FMT,
		    e->victoria ? "Bearer" : "Token", STR_ARG(set->token));
	else if (set->username.len > 0 && e->v2)
		e->auth = mem_printf("Token " STR_FMT ":" STR_FMT,
		    STR_ARG(set->username), STR_ARG(set->password));
	else if (set->username.len > 0)
		e->user = mem_printf(STR_FMT ":" STR_FMT,
		    STR_ARG(set->username), STR_ARG(set->password));
}

static void
free_all(struct influx *e)
{
	struct str *name;
	size_t pos = 0;

	journal_close(e->log.journal);
	journal_close(e->names.journal);
	while (e->first != NULL)
		queue_cut(e);
	for (uint32_t i = 0; i < e->cap; i++)
		series_free(e->by_id[i]);
	free(e->by_id);
	while ((name = map_next(&e->labels, &pos)) != NULL) {
		str_free(*name);
		free(name);
	}
	map_fini(&e->labels);
	buf_free(&e->record);
	commits_fini(&e->log);
	commits_fini(&e->names);
	pthread_cond_destroy(&e->wake);
	pthread_cond_destroy(&e->sent);
	pthread_mutex_destroy(&e->lock);
	free(e->url);
	free(e->auth);
	free(e->user);
	free(e->organization);
	free(e->bucket);
	free(e->database);
	str_free(e->prefix);
	free(e->opening);
	free(e);
}

static int
influx_open(const struct metric_settings *set, const char *path,
    const struct metric_host *host, struct engine **ret, struct err *err)
{
	struct influx *e = mem_new(struct influx);
	int rc = 0;

	e->opening = mem_new(struct influx_opening);
	*e->opening = (struct influx_opening){ e, host };
	e->last = &e->first;
	take_settings(e, set);
	commits_init(&e->log, set->sync);
	commits_init(&e->names, set->sync);
	pthread_mutex_init(&e->lock, NULL);
	pthread_cond_init(&e->wake, NULL);
	pthread_cond_init(&e->sent, NULL);
	curl_global_init(CURL_GLOBAL_DEFAULT);
	if (mkdir(path, 0700) != 0 && errno != EEXIST)
		rc = err_errno(err, "make %s", path);
	if (rc == 0)
		rc = open_log(
		    e, path, "series", &e->names, on_names, replay_name, err);
	if (rc == 0)
		rc = open_log(
		    e, path, "queue", &e->log, on_log, replay_points, err);
	host->used(host->owner, e->end);
	if (rc == 0 && pthread_create(&e->sender, NULL, sender, e) != 0)
		rc = err_set(err, ERR_IO, "no thread for sending");
	if (rc != 0) {
		free_all(e);
		return rc;
	}
	*ret = (struct engine *)(void *)e;
	return 0;
}

static void
influx_close(struct engine *g)
{
	struct influx *e = influx_of(g);

	pthread_mutex_lock(&e->lock);
	e->stop = true;
	pthread_cond_broadcast(&e->wake);
	pthread_mutex_unlock(&e->lock);
	pthread_join(e->sender, NULL);
	pthread_mutex_lock(&e->lock);
	tell_cut(e);
	pthread_mutex_unlock(&e->lock);
	free_all(e);
}

const struct metric_ops metric_influx = {
	.name = "influx",
	.open = influx_open,
	.close = influx_close,
	.add = influx_add,
	.remove = influx_remove,
	.write = influx_write,
	.flush = influx_flush,
	.read = influx_read,
	.last = influx_last,
	.windows = influx_windows,
	.stats = influx_stats,
};
