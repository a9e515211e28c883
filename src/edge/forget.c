/*
 * edge/forget.c - an end to the session that the broker keeps for a part that
 * has stopped. MQTT has one way to it: to come under its name, and to say that
 * it is to be forgotten. The sessions of parts within this process are its own;
 * nobody comes under their names from outside.
 */
#include "edge/private.h"

#include "base/base.h"
#include "base/mem.h"

#include <stdlib.h>

#define LOG_MODULE "edge"
#define MAX_MS 10000
#define AT_A_TIME 16

struct forget {
	struct edge *edge;
	char *name;
	struct mqtt_client *client;
	struct loop_timer end; /* it has been long enough */
	struct list link;
};

static void
forget_free(struct forget *f)
{
	loop_cancel(f->edge->loop, &f->end);
	mqtt_client_free(f->client);
	list_del(&f->link);
	free(f->name);
	free(f);
}

static void
on_up(void *owner, bool session_present)
{
	struct forget *f = owner;

	(void)session_present;
	log_info("%s: what has waited for it is forgotten", f->name);
	forget_free(f);
}

static void
on_end(struct loop_timer *t)
{
	struct forget *f = container_of(t, struct forget, end);

	log_warn("%s: the broker was not reached to forget what waits for it",
	    f->name);
	forget_free(f);
}

/* Does it run, or is it tried again? A bridge does with its mapper. */
static bool
is_in_use(struct edge *e, struct str name)
{
	LIST_EACH (p, &e->parts, struct part, link) {
		if (str_eqz(name, p->name) && p->state != PART_STOPPED)
			return true;
	}
	return false;
}

int
edge_forget(struct edge *e, struct str name, struct err *err)
{
	static const struct mqtt_client_events events = { .up = on_up };
	struct mqtt_client_conf conf;
	struct forget *f;
	size_t n = 0;
	int rc;

	if (!str_starts(name, STR("tedge-mapper-")))
		return err_set(err, ERR_PARAM,
		    "\"" STR_FMT "\" is the session of no mapper",
		    STR_ARG(name));
	if (is_in_use(e, name))
		return err_set(
		    err, ERR_EXISTS, STR_FMT " is running", STR_ARG(name));
	LIST_EACH (other, &e->forgets, struct forget, link)
		n++;
	if (n >= AT_A_TIME)
		return err_set(err, ERR_AGAIN, "try again in some seconds");
	f = mem_new(struct forget);
	f->edge = e;
	f->name = str_dupz(name);
	f->end.fire = on_end;
	list_add(&e->forgets, &f->link);
	edge_local(e, &conf);
	conf.client_id = f->name;
	rc = mqtt_client_new(e->loop, &conf, &events, f, &f->client, err);
	if (rc != 0) {
		forget_free(f);
		return rc;
	}
	loop_after(e->loop, &f->end, MAX_MS);
	mqtt_client_start(f->client);
	return 0;
}

void
forget_close(struct edge *e)
{
	LIST_EACH (f, &e->forgets, struct forget, link)
		forget_free(f);
}
