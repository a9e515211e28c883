/*
 * plug/gateway/stage.c - how far a link has come: the stages of its last
 * attempt, for who looks after one that does not come up; and trials, gateways
 * that only make one attempt.
 *
 * A trial sends nothing but an echo that it was told to, and what it hears is
 * not read: nodes do not notice it.
 */
#include "base/base.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/rand.h"
#include "plug/gateway/private.h"

#include <stdio.h>
#include <string.h>

#define ECHO_LEN 24

static struct gateway_stage *
current(struct gateway *g)
{
	struct gateway_stage *s =
	    g->n_stages > 0 ? &g->stages[g->n_stages - 1] : NULL;

	return s != NULL && s->end == GATEWAY_STAGE_RUNS ? s : NULL;
}

static bool
has_failed(const struct gateway *g)
{
	return g->n_stages > 0 &&
	    g->stages[g->n_stages - 1].end == GATEWAY_STAGE_FAILED;
}

static void
say(struct gateway *g, struct gateway_stage *s, const char *text)
{
	secrets_scrub(&g->secrets, text, s->text, sizeof(s->text));
}

/* Whoever tries it wants to see it go. */
static void
tell(struct gateway *g)
{
	if (g->trial && g->host->changed != NULL)
		loop_defer(g->host->loop, &g->tell);
}

void
gateway_stages_end(struct gateway *g, const char *fault)
{
	struct gateway_stage *s = current(g);

	if (s == NULL && fault != NULL && !has_failed(g) &&
	    g->n_stages < GATEWAY_STAGES_MAX) {
		s = &g->stages[g->n_stages++];
		*s = (struct gateway_stage){ "link", .ms = clock_mono() };
	}
	if (s == NULL)
		return;
	s->ms = clock_mono() - s->ms;
	s->end = fault != NULL ? GATEWAY_STAGE_FAILED : GATEWAY_STAGE_OK;
	if (fault != NULL)
		say(g, s, fault);
	tell(g);
}

/* What comes once more, such as the next address, begins anew. */
void
gateway_stage(struct gateway *g, const char *name)
{
	gateway_stages_end(g, NULL);
	for (unsigned i = 0; i < g->n_stages; i++)
		if (strcmp(g->stages[i].name, name) == 0)
			g->n_stages = i;
	if (g->n_stages == GATEWAY_STAGES_MAX)
		return;
	g->stages[g->n_stages++] =
	    (struct gateway_stage){ name, .ms = clock_mono() };
	tell(g);
}

void
gateway_stage_note(struct gateway *g, const char *text)
{
	struct gateway_stage *s = current(g);

	if (s != NULL)
		say(g, s, text);
}

void
gateway_stage_past(struct gateway *g, const char *name, bool good, int64_t ms,
    const char *text)
{
	struct gateway_stage *s;

	if (g->n_stages == GATEWAY_STAGES_MAX)
		return;
	s = &g->stages[g->n_stages++];
	*s = (struct gateway_stage){ name,
		good ? GATEWAY_STAGE_OK : GATEWAY_STAGE_FAILED, ms, "" };
	say(g, s, text);
	tell(g);
}

size_t
gateway_stages(const struct gateway *g, struct gateway_stage *ret)
{
	int64_t now = clock_mono();

	for (unsigned i = 0; i < g->n_stages; i++) {
		ret[i] = g->stages[i];
		if (ret[i].end == GATEWAY_STAGE_RUNS)
			ret[i].ms = now - ret[i].ms;
	}
	return g->n_stages;
}

/* --- trials --------------------------------------------------------------- */

bool
gateway_is_trial(const struct gateway *g)
{
	return g->trial;
}

void
gateway_trial_up(struct gateway *g)
{
	char text[ECHO_LEN + 1] = "";
	struct err err;

	if (g->echo == NULL) {
		if (g->link != NULL)
			gateway_stage(g, "hear");
		return;
	}
	gateway_stage(g, "echo");
	rand_text(text, ECHO_LEN);
	g->echo_text = arena_str(&g->arena, str_of(text));
	if (gateway_put(g, str_of(g->echo), g->echo_text, NULL, NULL, &err) !=
	    0)
		gateway_stages_end(g, err.text);
}

void
gateway_trial_heard(struct gateway *g, const struct gateway_in *in)
{
	char text[100];

	if (g->echo != NULL && !str_eq(in->data, g->echo_text))
		return;
	if (g->echo == NULL) {
		if (in->topic.ptr != NULL)
			(void)snprintf(text, sizeof(text), STR_FMT,
			    (int)MIN_OF(in->topic.len, 90), in->topic.ptr);
		else
			(void)snprintf(
			    text, sizeof(text), "%zu bytes", in->data.len);
		gateway_stage_note(g, text);
	}
	gateway_stages_end(g, NULL);
}
