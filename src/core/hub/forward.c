/*
 * core/hub/forward.c - each new value of one field is sent to another.
 *
 * One that sends more than BURST_MAX values within BURST_MS pauses for the rest
 * of it: two that send to each other by devices that echo do not run away.
 */
#include "core/hub/private.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "codec/json.h"

#include <stdlib.h>

#define LOG_MODULE "hub"

#define BURST_MAX 20 /* values that one forward sends within BURST_MS */
#define BURST_MS 1000

struct forward {
	MODEL_ROW(hub_forward);
	struct str source;    /* "unit gateway.node.source.field"; in arena */
	struct forward *next; /* of the same source */
	int64_t since;
	unsigned n;
	bool told; /* what is wrong has been logged */
};

static struct str
without_type(struct str quick)
{
	struct str rest = quick, type = str_cut(&rest, ':');

	return rest.ptr != NULL && str_eq_nocase(type, STR("field")) ? rest
								     : quick;
}

static int
load(void *ctx, const void *row, struct err *err)
{
	struct forward *w = mem_new(struct forward);
	struct hub *h = ctx;

	(void)err;
	list_init(&w->dirty);
	w->stored = true;
	record_copy(&hub_forward_entity.record, &w->arena, &w->row, row);
	w->source = arena_printf(&w->arena, STR_FMT " " STR_FMT,
	    STR_ARG(w->row.unit_id),
	    STR_ARG(without_type(w->row.src_field_id)));
	map_put(&h->forwards, w->row.id, w);
	w->next = map_put(&h->forward_sources, w->source, w);
	return 0;
}

static void
forward_free(struct hub *h, struct forward *w)
{
	struct forward *first = map_del(&h->forward_sources, w->source);

	if (first == w) {
		first = w->next;
	} else {
		for (struct forward *x = first; x != NULL; x = x->next)
			if (x->next == w)
				x->next = w->next;
	}
	if (first != NULL)
		map_put(&h->forward_sources, first->source, first);
	map_del(&h->forwards, w->row.id);
	arena_fini(&w->arena);
	free(w);
}

static void
wrong(struct forward *w, const char *why)
{
	if (!w->told)
		log_warn("forward " STR_FMT ": %s", STR_ARG(w->row.id), why);
	w->told = true;
}

/* The destination has the value, or was told and may still say so. So two
 * forwards that lead back end where they began. */
static bool
is_so_already(const struct cell *to, struct str value)
{
	struct arena a = { 0 };
	struct str same = STR_NULL, wanted = model_wanted(to);
	bool is = hub_convert(&a, to->row.metric_type, value, &same) &&
	    wanted.ptr != NULL && str_eq(same, wanted);

	arena_fini(&a);
	return is;
}

static void
send(struct hub *h, struct forward *w, struct cell *f)
{
	struct cell *to =
	    model_field(h, w->row.unit_id, without_type(w->row.dst_field_id));
	int64_t now = clock_mono();
	struct arena a = { 0 };
	struct str text = f->now;
	struct err err;
	struct json j;

	if (now - w->since >= BURST_MS) {
		w->since = now;
		w->n = 0;
	}
	json_open(&j, f->now, 0, &a);
	if (json_peek(&j) == JSON_STRING)
		json_str(&j, &text);
	if (to == f)
		wrong(w, "its source is its destination; nothing is sent");
	else if (to == NULL)
		wrong(w, "there is no such destination");
	else if (is_so_already(to, f->now))
		counter_add(&h->counters.forwards_idle, 1);
	else if (w->n++ >= BURST_MAX)
		wrong(w, "too many values within a second (a loop?)");
	else if (field_set_to(to, text, NULL, &err) != 0)
		wrong(w, err.text);
	else
		counter_add(&h->counters.forwarded, 1);
	arena_fini(&a);
}

void
forwards_hear(struct hub *h, struct cell *f)
{
	struct forward *w = map_get(&h->forward_sources, f->quick);

	if (!str_eq(model_wanted(f), f->now))
		return; /* it has been told something newer */
	for (; w != NULL; w = w->next)
		if (w->row.enabled)
			send(h, w, f);
}

void
forwards_reload(struct hub *h, struct str id)
{
	struct forward *w = map_get(&h->forwards, id);
	struct filter f = { 0 };
	const struct store_query q = { .filter = &f };

	if (w != NULL)
		forward_free(h, w);
	filter_text(&f, "id", id);
	(void)store_list(h->store, &hub_forward_entity, &q, load, h, NULL);
}

int
forwards_load(struct hub *h, struct err *err)
{
	static const struct store_query all = { 0 };

	return store_list(h->store, &hub_forward_entity, &all, load, h, err);
}

void
forwards_free(struct hub *h)
{
	struct forward *w;
	size_t pos = 0;

	while ((w = map_next(&h->forwards, &pos)) != NULL) {
		forward_free(h, w);
		pos = 0;
	}
	map_fini(&h->forwards);
	map_fini(&h->forward_sources);
}
