/*
 * core/hub/inspect.c - who looks at what passes the MQTT server: subscriptions
 * of /ws with `topics`; and publishing by hand.
 *
 *    any of the server's threads        the live loop, every TICK_MS
 *    on_seen(): copied as JSON ──────► inspect->lock ──────► a frame each
 *
 *  (1) While nobody looks, the server has nobody to tell.
 *  (2) A subscription takes so many messages a second and keeps so many bytes;
 *      of what goes beyond, the number alone. Of several topics none takes more
 *      than a share, so that a loud one does not hide the others.
 *  (3) Who looks at a unit sees what begins with one of its roots.
 */
#include "core/hub/live.h"

#include "base/clock.h"
#include "base/mem.h"
#include "codec/mqtt.h"
#include "net/mqtt/server.h"

#include <stdlib.h>
#include <string.h>

#define TICK_MS 100
#define WINDOW_MS 1000
#define SHARES 256 /* topics are told apart by a hash */
#define SHARE 8    /* of the rate, for one of them */
#define SHARE_MIN 10

struct watch {
	struct list link; /* in inspect->watches */
	uint64_t no;
	struct strs filters, roots; /* in arena; no roots: all topics */
	bool shared;                /* more than one topic may fit */
	struct buf text;            /* messages, with commas between */
	int64_t left;            /* that were not taken, since the last frame */
	int64_t taken;           /* in this window... */
	uint16_t shares[SHARES]; /* ...by topic */
	struct arena arena;
};

struct inspect {
	struct live *live;
	pthread_mutex_t lock; /* guards: */
	struct list watches;
	int64_t window; /* monotonic: its begin */

	struct loop_timer timer; /* the live loop's, while somebody looks */
};

/* --- seen ---------------------------------------------------------------- */

struct str
hub_text_head(struct str s, size_t max)
{
	size_t n = MIN_OF(s.len, max);

	while (n < s.len && n > 0 && ((unsigned char)s.ptr[n] & 0xc0) == 0x80)
		n--;
	return (struct str){ s.ptr, n };
}

static void
add_payload(struct buf *b, struct str payload, size_t max)
{
	struct str text = hub_text_head(payload, max);

	if (str_is_utf8(text)) {
		buf_addz(b, ",\"payload\":");
		json_quote(b, text);
		return;
	}
	buf_addz(b, ",\"base64\":\"");
	base64_encode(b, payload.ptr, MIN_OF(payload.len, max), false);
	buf_addc(b, '"');
}

static void
add_message(struct watch *w, const struct mqtt_sight *m, size_t max)
{
	char at[TIME_TEXT_LEN + 1];
	struct buf *b = &w->text;

	time_format(clock_now(), at);
	if (b->len > 0)
		buf_addc(b, ',');
	buf_addz(b, "{\"topic\":");
	json_quote(b, m->topic);
	buf_addf(b,
	    ",\"time\":\"%s\",\"qos\":%d,\"retain\":%s,\"held\":%s,"
	    "\"size\":%zu",
	    at, m->qos, m->retain ? "true" : "false",
	    m->held ? "true" : "false", m->payload.len);
	add_payload(b, m->payload, max);
	buf_addc(b, '}');
}

static bool
fits(const struct watch *w, struct str topic)
{
	bool own = w->roots.n == 0;

	for (size_t i = 0; !own && i < w->roots.n; i++)
		own = str_starts(topic, w->roots.at[i]);
	for (size_t i = 0; own && i < w->filters.n; i++)
		if (mqtt_filter_matches(w->filters.at[i], topic))
			return true;
	return false;
}

static bool
has_share(struct watch *w, struct str topic, int64_t rate)
{
	uint32_t hash = 2166136261u;

	if (!w->shared)
		return true;
	for (size_t i = 0; i < topic.len; i++)
		hash = (hash ^ (unsigned char)topic.ptr[i]) * 16777619u;
	hash %= SHARES;
	if (w->shares[hash] >= MAX_OF(rate / SHARE, (int64_t)SHARE_MIN))
		return false;
	w->shares[hash]++;
	return true;
}

static void
take(struct inspect *x, struct watch *w, const struct mqtt_sight *m)
{
	const struct live_conf *c = x->live->conf;

	/* what is retained comes at once, and counts by its bytes alone */
	if (w->text.len >= (size_t)c->queue_max / 4 ||
	    (!m->held &&
		(w->taken >= c->topic_rate ||
		    !has_share(w, m->topic, c->topic_rate)))) {
		w->left++;
		counter_add(&x->live->counters->inspect_left, 1);
		return;
	}
	w->taken += !m->held;
	counter_add(&x->live->counters->inspected, 1);
	add_message(w, m, (size_t)c->payload_max);
}

/* On any of the server's threads, under its lock. */
static void
on_seen(void *owner, const struct mqtt_sight *m)
{
	struct inspect *x = owner;

	pthread_mutex_lock(&x->lock);
	LIST_EACH (w, &x->watches, struct watch, link)
		if (fits(w, m->topic))
			take(x, w, m);
	pthread_mutex_unlock(&x->lock);
}

/* --- asked of the routing loop ------------------------------------------- */

static struct watch *
find(struct inspect *x, uint64_t no)
{
	LIST_EACH (w, &x->watches, struct watch, link)
		if (w->no == no)
			return w;
	return NULL;
}

/* Begins or ends looking; `no` not 0: what is retained is shown to it. */
struct look {
	struct loop_post post;
	struct inspect *inspect;
	uint64_t no;
	struct strs filters;
	struct arena arena;
};

static void
on_held(void *owner, const struct mqtt_sight *m)
{
	struct look *k = owner;
	struct inspect *x = k->inspect;
	struct watch *w;

	pthread_mutex_lock(&x->lock);
	w = find(x, k->no);
	if (w != NULL && fits(w, m->topic))
		take(x, w, m);
	pthread_mutex_unlock(&x->lock);
}

static void
run_look(struct loop_post *p)
{
	struct look *k = container_of(p, struct look, post);
	struct mqtt_server *mqtt = k->inspect->live->hub->mqtt;
	bool any;

	pthread_mutex_lock(&k->inspect->lock);
	any = !list_empty(&k->inspect->watches);
	pthread_mutex_unlock(&k->inspect->lock);
	mqtt_server_watch(mqtt, any ? on_seen : NULL, k->inspect);
	for (size_t i = 0; i < k->filters.n; i++)
		mqtt_server_look(mqtt, k->filters.at[i], on_held, k);
	arena_fini(&k->arena);
	free(k);
}

static void
look(struct inspect *x, const struct watch *w)
{
	struct look *k = mem_new(struct look);

	k->post.run = run_look;
	k->inspect = x;
	if (w != NULL) {
		k->no = w->no;
		k->filters = arena_strs(&k->arena, w->filters);
	}
	loop_post(x->live->hub->routing, &k->post);
}

/* --- on the live loop ---------------------------------------------------- */

static void
flush(struct inspect *x, struct watch *w, struct live_sub *s)
{
	struct buf text;
	int64_t left;

	if (s == NULL || !conn_has_room(s->conn))
		return; /* it stays, within its limit */
	pthread_mutex_lock(&x->lock);
	text = w->text;
	left = w->left;
	w->text = (struct buf){ 0 };
	w->left = 0;
	pthread_mutex_unlock(&x->lock);
	if (text.len > 0 || left > 0)
		conn_messages(s, text.len > 0 ? buf_str(&text) : STR(""), left);
	buf_free(&text);
}

static void
next_window(struct inspect *x)
{
	int64_t now = clock_mono();

	pthread_mutex_lock(&x->lock);
	if (now - x->window >= WINDOW_MS) {
		x->window = now;
		LIST_EACH (w, &x->watches, struct watch, link) {
			w->taken = 0;
			memset(w->shares, 0, sizeof(w->shares));
		}
	}
	pthread_mutex_unlock(&x->lock);
}

static void
on_tick(struct loop_timer *t)
{
	struct inspect *x = container_of(t, struct inspect, timer);
	struct live *l = x->live;

	next_window(x);
	/* only this loop changes the list */
	LIST_EACH (w, &x->watches, struct watch, link)
		flush(x, w,
		    map_get(&l->subs,
			(struct str){ (const char *)&w->no, sizeof(w->no) }));
	if (!list_empty(&x->watches))
		loop_after(l->loop, t, TICK_MS);
	live_settle(l);
}

static bool
is_pattern(struct str filter)
{
	return memchr(filter.ptr, '+', filter.len) != NULL ||
	    memchr(filter.ptr, '#', filter.len) != NULL;
}

void
inspect_open(struct live_sub *s)
{
	struct inspect *x = s->conn->live->inspect;
	struct watch *w = mem_new(struct watch);

	w->no = s->no;
	w->filters = arena_strs(&w->arena, s->ask.topics);
	w->roots = arena_strs(&w->arena, s->roots);
	w->shared = w->filters.n > 1 || is_pattern(w->filters.at[0]);
	pthread_mutex_lock(&x->lock);
	list_add(&x->watches, &w->link);
	pthread_mutex_unlock(&x->lock);
	look(x, s->ask.initial ? w : NULL);
	loop_after(x->live->loop, &x->timer, TICK_MS);
}

void
inspect_close(struct live_sub *s)
{
	struct inspect *x = s->conn->live->inspect;
	struct watch *w = find(x, s->no);
	bool last;

	if (w == NULL)
		return;
	pthread_mutex_lock(&x->lock);
	list_del(&w->link);
	last = list_empty(&x->watches);
	pthread_mutex_unlock(&x->lock);
	if (last) {
		loop_cancel(x->live->loop, &x->timer);
		look(x, NULL);
	}
	buf_free(&w->text);
	arena_fini(&w->arena);
	free(w);
}

struct inspect *
inspect_new(struct live *l)
{
	struct inspect *x = mem_new(struct inspect);

	x->live = l;
	x->timer.fire = on_tick;
	list_init(&x->watches);
	pthread_mutex_init(&x->lock, NULL);
	return x;
}

void
inspect_free(struct inspect *x)
{
	pthread_mutex_destroy(&x->lock);
	free(x);
}

struct strs
inspect_roots(struct arena *a, struct str unit_code)
{
	static const char *const begins[] = { "broker.network.",
		"broker.application.", "marram/" };
	struct strs roots = { arena_array(a, COUNT_OF(begins), struct str), 0 };

	for (size_t i = 0; i < COUNT_OF(begins); i++)
		roots.at[roots.n++] =
		    arena_printf(a, "%s" STR_FMT "%s", begins[i],
			STR_ARG(unit_code), begins[i][0] == 'm' ? "/" : ".");
	return roots;
}

/* --- publishing ---------------------------------------------------------- */

struct letter {
	struct str unit_id, topic, payload, base64;
	int64_t qos;
	bool retain;
};

static int
check_topic(struct str s, struct err *err)
{
	if (!mqtt_topic_ok(s))
		return err_set(err, ERR_PARAM,
		    "must be a topic: not empty, without + and #");
	if (s.ptr[0] == '$')
		return err_set(err, ERR_PARAM,
		    "topics that begin with $ are the server's own");
	return 0;
}

static int
check_base64(struct str s, struct err *err)
{
	struct buf bytes = { 0 };
	bool ok = base64_decode(&bytes, s);

	buf_free(&bytes);
	return ok ? 0 : err_set(err, ERR_PARAM, "must be base64");
}

#define L struct letter
static const struct field letter_fields[] = {
	F_TEXT(L, unit_id, "unitId", .flags = FIELD_NULL,
	    .help = "The unit whose topic it is; administrators may leave it "
		    "out, and publish to every topic."),
	F_TEXT(L, topic, "topic", .check = check_topic, .max = 1024,
	    .help = "Where to: of a unit below broker.network.UNIT., "
		    "broker.application.UNIT. and marram/UNIT/."),
	F_TEXT(L, payload, "payload", .def = "\"\"", .max = 1 << 20,
	    .help = "The message, as text."),
	F_TEXT(L, base64, "base64", .flags = FIELD_NULL, .max = 2 << 20,
	    .check = check_base64, .help = "Or as bytes, instead."),
	F_INT(L, qos, "qos", .def = "0", .max = 2),
	F_BOOL(L, retain, "retain", .def = "false",
	    .help = "Kept for who subscribes later; empty: what is kept goes."),
	{ 0 },
};
static const struct record letter_record = { "letter", sizeof(L),
	letter_fields };

struct delivered {
	int64_t targets;
};
static const struct field delivered_fields[] = {
	F_INT(struct delivered, targets, "targets",
	    .help = "Subscriptions and queues that got it."),
	{ 0 },
};
static const struct record delivered_record = { "delivered",
	sizeof(struct delivered), delivered_fields };

struct posting {
	struct mqtt_server *mqtt;
	const struct letter *letter;
	struct str payload;
	unsigned targets;
	int rc;
};

/* On the routing loop. */
static void
post(void *arg)
{
	struct posting *p = arg;

	p->rc = mqtt_publish(p->mqtt, p->letter->topic, p->payload,
	    (uint8_t)p->letter->qos, p->letter->retain, &p->targets);
}

/* False: answered. */
static bool
may_publish(struct hub *h, struct http_call *c, const struct letter *l)
{
	struct strs roots;
	struct str code;
	struct err err;
	int may;

	if (l->unit_id.len == 0) {
		if (auth_is(c, HTTP_ROLE_ADMIN | HTTP_ROLE_MANAGER))
			return true;
		http_error(c, 400, "err_param",
		    "missing `unitId`: only administrators may leave it out");
		return false;
	}
	may = route_may_unit(h->route, c, l->unit_id, REST_PATCH);
	if (may == 0)
		http_error(c, 400, "err_hub_unit_not_exist", NULL);
	if (may != 1)
		return false;
	if (route_unit_code(h->route, l->unit_id, &c->arena, &code, &err) !=
	    1) {
		http_error(c, 400, "err_hub_unit_not_exist", NULL);
		return false;
	}
	roots = inspect_roots(&c->arena, code);
	for (size_t i = 0; i < roots.n; i++)
		if (str_starts(l->topic, roots.at[i]))
			return true;
	http_error(c, 403, "err_perm",
	    "the topic is not this unit's: those are below " STR_FMT
	    ", " STR_FMT " and " STR_FMT,
	    STR_ARG(roots.at[0]), STR_ARG(roots.at[1]), STR_ARG(roots.at[2]));
	return false;
}

static void
handle_publish(struct http_call *c)
{
	struct hub *h = (struct hub *)c->route->ctx;
	struct posting p = { .mqtt = h->mqtt };
	struct delivered done;
	struct buf bytes = { 0 };
	struct rest_body b;

	if (!rest_read(c, &c->route->body, NULL, &b))
		return;
	p.letter = b.row;
	if (!may_publish(h, c, p.letter))
		return;
	p.payload = p.letter->payload;
	if (p.letter->base64.ptr != NULL) {
		(void)base64_decode(&bytes, p.letter->base64);
		p.payload = bytes.len > 0 ? buf_str(&bytes) : STR("");
	}
	loop_ask(h->routing, post, &p);
	buf_free(&bytes);
	if (p.rc == ERR_LIMIT) {
		http_error(c, 503, "err_rsc",
		    "a queue that was to keep it is full, or it can not be "
		    "written to disk");
		return;
	}
	if (p.rc != 0) {
		http_error(c, 400, "err_param",
		    "the topic has too many levels, or the message is too "
		    "long");
		return;
	}
	done.targets = p.targets;
	rest_answer(c, &delivered_record, &done);
}

const struct http_route hub_inspect_rows[] = {
	{ "POST", "/topic/publish", HTTP_TOKEN, .scope = "topic.post.publish",
	    .body = { .record = &letter_record,
		.members = "unitId topic! payload base64 qos retain" },
	    .reply = { .record = &delivered_record }, .handle = handle_publish,
	    .help = "Publishes a message on the MQTT server inside: for "
		    "administrators, and owners of the unit whose topic it "
		    "is." },
	{ 0 },
};
