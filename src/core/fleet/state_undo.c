/*
 * core/fleet/state_undo.c - see state_diff.h: what was changed, taken back.
 *
 * The list of changes is gone through from its end, and each is made the other
 * way round, where what it has made is still there.
 */
#include "core/fleet/state_diff.h"

#include "base/base.h"

#include <string.h>

/* A state whose lists may be changed: they are copies, texts are lent. */
struct undo {
	struct arena *a;
	struct fleet_state s;
	const struct fleet_state *before;
	struct fleet_changes since; /* what was changed behind it */
	struct fleet_changes again;
};

static void *
copy(struct arena *a, const void *list, size_t n, size_t size)
{
	char *to = arena_alloc(a, (n + 1) * size);

	if (n > 0)
		memcpy(to, list, n * size);
	return to;
}

/* One more at `at`, zeroed. The list moves. */
static void *
insert(struct arena *a, void *list, size_t *n, size_t size, size_t at)
{
	char **from = list, *to = arena_alloc(a, (*n + 1) * size);

	at = MIN_OF(at, *n);
	if (at > 0)
		memcpy(to, *from, at * size);
	if (*n > at)
		memcpy(
		    to + (at + 1) * size, *from + at * size, (*n - at) * size);
	*from = to;
	++*n;
	return to + at * size;
}

static void
take_out(void *list, size_t *n, size_t size, const void *item)
{
	char *from = list;
	size_t at = (size_t)((const char *)item - from) / size;

	memmove(from + at * size, from + (at + 1) * size, (*n - at - 1) * size);
	--*n;
}

static void
copy_modules(struct arena *a, struct fleet_use **uses, size_t n)
{
	*uses = copy(a, *uses, n, sizeof(**uses));
	for (size_t i = 0; i < n; i++)
		(*uses)[i].settings = copy(a, (*uses)[i].settings, (*uses)[i].n,
		    sizeof(struct fleet_setting));
}

static void
copy_state(struct arena *a, struct fleet_state *s)
{
	s->inputs = copy(a, s->inputs, s->n_inputs, sizeof(*s->inputs));
	s->tags = copy(a, s->tags, s->n_tags, sizeof(*s->tags));
	s->configs = copy(a, s->configs, s->n_configs, sizeof(*s->configs));
	for (size_t i = 0; i < s->n_tags; i++)
		copy_modules(a, &s->tags[i].modules, s->tags[i].n_modules);
	for (size_t i = 0; i < s->n_configs; i++)
		copy_modules(
		    a, &s->configs[i].modules, s->configs[i].n_modules);
}

static bool
is(const struct fleet_change *c, const char *what)
{
	return strcmp(c->what, what) == 0;
}

/* Is what this change has made still as it was left? Changes that are taken
 * back do not meddle with each other: what a whole thing or module has become
 * is one change. */
static bool
still(const struct undo *u, const struct fleet_change *c)
{
	for (size_t i = 0; i < u->since.n; i++) {
		const struct fleet_change *d = &u->since.at[i];

		if (strcmp(d->what, c->what) != 0 ||
		    !str_eq(d->identifier, c->identifier))
			continue;
		if (c->module.ptr == NULL && c->setting.ptr == NULL)
			return false; /* a whole thing */
		if (d->module.ptr == NULL && d->setting.ptr == NULL)
			return false; /* the thing has gone, or came */
		if (!str_eq(d->module, c->module))
			continue;
		if (c->setting.ptr == NULL || d->setting.ptr == NULL ||
		    str_eq(d->setting, c->setting))
			return false;
	}
	return true;
}

/* A whole thing comes back, where it was, or goes. */
static void
whole(struct undo *u, const struct fleet_change *c)
{
	bool back = c->to.ptr == NULL;
	struct fleet_state *s = &u->s;
	const struct fleet_state *b = u->before;
	struct str id = c->identifier;

	if (is(c, "configuration") && back) {
		const struct fleet_config *was = fleet_config_find(b, id);
		struct fleet_config *to = insert(u->a, &s->configs,
		    &s->n_configs, sizeof(*to), (size_t)(was - b->configs));

		*to = *was;
		copy_modules(u->a, &to->modules, to->n_modules);
	} else if (is(c, "configuration")) {
		take_out(s->configs, &s->n_configs, sizeof(*s->configs),
		    fleet_config_find(s, id));
	} else if (is(c, "tag") && back) {
		const struct fleet_tag *was = fleet_tag_find(b, id);
		struct fleet_tag *to = insert(u->a, &s->tags, &s->n_tags,
		    sizeof(*to), (size_t)(was - b->tags));

		*to = *was;
		copy_modules(u->a, &to->modules, to->n_modules);
	} else if (is(c, "tag")) {
		take_out(s->tags, &s->n_tags, sizeof(*s->tags),
		    fleet_tag_find(s, id));
	} else if (back) {
		const struct fleet_input *was = fleet_input_find(b, id);
		struct fleet_input *to = insert(u->a, &s->inputs, &s->n_inputs,
		    sizeof(*to), (size_t)(was - b->inputs));

		*to = *was;
	} else {
		take_out(s->inputs, &s->n_inputs, sizeof(*s->inputs),
		    fleet_input_find(s, id));
	}
}

static void
modules_of(const struct fleet_state *s, const struct fleet_change *c,
    struct fleet_use ***uses, size_t **n)
{
	struct fleet_config *config = NULL;
	struct fleet_tag *tag = NULL;

	if (is(c, "configuration"))
		config = fleet_config_find(s, c->identifier);
	else
		tag = fleet_tag_find(s, c->identifier);
	*uses = config != NULL ? &config->modules : &tag->modules;
	*n = config != NULL ? &config->n_modules : &tag->n_modules;
}

static void
module(struct undo *u, const struct fleet_change *c)
{
	struct fleet_use **uses, **old;
	const struct fleet_use *was;
	size_t *n, *n_old;

	modules_of(&u->s, c, &uses, &n);
	if (c->to.ptr != NULL) {
		take_out(*uses, n, sizeof(**uses),
		    fleet_use_find(*uses, *n, c->module));
		return;
	}
	modules_of(u->before, c, &old, &n_old);
	was = fleet_use_find(*old, *n_old, c->module);
	*(struct fleet_use *)insert(
	    u->a, uses, n, sizeof(**uses), (size_t)(was - *old)) = *was;
	copy_modules(u->a, uses, *n);
}

static void
setting(struct undo *u, const struct fleet_change *c)
{
	struct fleet_use **uses, *use;
	size_t *n;

	modules_of(&u->s, c, &uses, &n);
	use = *uses + (fleet_use_find(*uses, *n, c->module) - *uses);
	for (size_t i = 0; i < use->n; i++)
		if (str_eq(use->settings[i].key, c->setting)) {
			if (c->from.ptr != NULL)
				use->settings[i].value = c->from;
			else
				take_out(use->settings, &use->n,
				    sizeof(*use->settings), &use->settings[i]);
			return;
		}
	*(struct fleet_setting *)insert(
	    u->a, &use->settings, &use->n, sizeof(*use->settings), use->n) =
	    (struct fleet_setting){ c->setting, c->from };
}

/* The lists in the order that they had; what is new stays behind. */
static void
order(struct undo *u, const struct fleet_change *c)
{
	struct fleet_state *s = &u->s;
	size_t at = 0;

	for (size_t i = 0; is(c, "tag") && i < u->before->n_tags; i++) {
		struct fleet_tag *t =
		    fleet_tag_find(s, u->before->tags[i].identifier);

		if (t != NULL) {
			struct fleet_tag x = s->tags[at];

			s->tags[at++] = *t;
			*t = x;
		}
	}
	for (size_t i = 0; !is(c, "tag") && i < u->before->n_configs; i++) {
		struct fleet_config *t =
		    fleet_config_find(s, u->before->configs[i].identifier);

		if (t != NULL) {
			struct fleet_config x = s->configs[at];

			s->configs[at++] = *t;
			*t = x;
		}
	}
}

/* A member of a thing becomes what it was. */
static void
member(struct undo *u, const struct fleet_change *c)
{
	struct str id = c->identifier;

	if (str_eqz(c->setting, "order")) {
		order(u, c);
	} else if (is(c, "configuration")) {
		struct fleet_config *to = fleet_config_find(&u->s, id);
		const struct fleet_config *was =
		    fleet_config_find(u->before, id);

		if (str_eqz(c->setting, "tags"))
			to->tags = was->tags;
		else
			to->display_name = was->display_name;
	} else if (is(c, "tag")) {
		struct fleet_tag *to = fleet_tag_find(&u->s, id);
		const struct fleet_tag *was = fleet_tag_find(u->before, id);

		if (str_eqz(c->setting, "priority"))
			to->priority = was->priority;
		else
			to->display_name = was->display_name;
	} else {
		struct fleet_input *to = fleet_input_find(&u->s, id);
		const struct fleet_input *was = fleet_input_find(u->before, id);

		if (str_eqz(c->setting, "url"))
			to->url = was->url;
		else if (str_eqz(c->setting, "follows"))
			to->follows = was->follows;
		else if (str_eqz(c->setting, "api_key_secret"))
			to->api_key_secret = was->api_key_secret;
		else {
			to->inputs_follows = was->inputs_follows;
			to->n_follows = was->n_follows;
		}
	}
}

static void
undo_one(struct undo *u, const struct fleet_change *c)
{
	if (c->module.ptr != NULL && c->setting.ptr != NULL)
		setting(u, c);
	else if (c->module.ptr != NULL)
		module(u, c);
	else if (c->setting.ptr != NULL)
		member(u, c);
	else
		whole(u, c);
}

void
fleet_state_undo(const struct fleet_state *now,
    const struct fleet_state *before, const struct fleet_state *after,
    struct str config, struct arena *a, struct fleet_state *ret,
    struct fleet_changes *again)
{
	struct undo u = { .a = a, .s = *now, .before = before };
	struct fleet_changes made;

	fleet_state_diff(before, after, a, &made);
	fleet_state_diff(after, now, a, &u.since);
	u.again.at = arena_array(a, made.n, struct fleet_change);
	copy_state(a, &u.s);
	/* orders last: then all are there that shall be */
	for (int orders = 0; orders < 2; orders++)
		for (size_t i = made.n; i-- > 0;) {
			const struct fleet_change *c = &made.at[i];

			if (orders != str_eqz(c->setting, "order") ||
			    (config.ptr != NULL &&
				(!is(c, "configuration") ||
				    !str_eq(c->identifier, config))))
				continue;
			if (orders || still(&u, c))
				undo_one(&u, c);
			else
				u.again.at[u.again.n++] = *c;
		}
	*ret = u.s;
	*again = u.again;
}

void
fleet_state_take(const struct fleet_state *now, const struct fleet_state *then,
    struct str config, struct arena *a, struct fleet_state *ret)
{
	const struct fleet_config *was = fleet_config_find(then, config);
	struct fleet_state s = *now;
	struct fleet_config *to;

	copy_state(a, &s);
	to = fleet_config_find(&s, config);
	if (was == NULL) {
		if (to != NULL)
			take_out(s.configs, &s.n_configs, sizeof(*to), to);
		*ret = s;
		return;
	}
	if (to == NULL)
		to = insert(a, &s.configs, &s.n_configs, sizeof(*to),
		    (size_t)(was - then->configs));
	*to = *was;
	for (size_t i = 0; i < was->tags.n; i++) {
		const struct fleet_tag *tag =
		    fleet_tag_find(then, was->tags.at[i]);

		if (fleet_tag_find(&s, was->tags.at[i]) == NULL && tag != NULL)
			*(struct fleet_tag *)insert(a, &s.tags, &s.n_tags,
			    sizeof(*tag), s.n_tags) = *tag;
	}
	*ret = s;
}
