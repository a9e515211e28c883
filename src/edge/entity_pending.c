/*
 * edge/entity_pending.c - registrations whose parent is missing; see entity.h.
 *
 * They lie here as they came, and are read again when an entity of that id is
 * admitted.
 */
#include "edge/entity_private.h"

#include "base/base.h"
#include "base/mem.h"

#include <stdlib.h>

static void
take_out(struct te_store *s, struct pending *p)
{
	list_del(&p->link);
	s->n_pending--;
	s->bytes -= p->bytes;
}

static void
pending_free(struct pending *p)
{
	str_free(p->id);
	str_free(p->parent);
	str_free(p->payload);
	free(p);
}

static void
drop(struct te_store *s, struct pending *p)
{
	take_out(s, p);
	pending_free(p);
}

bool
entity_pending_has(const struct te_store *s, struct str id)
{
	LIST_EACH (
	    p, (struct list *)(uintptr_t)&s->pending, struct pending, link)
		if (str_eq(p->id, id))
			return true;
	return false;
}

void
entity_pending_forget(struct te_store *s, struct str id)
{
	LIST_EACH (p, &s->pending, struct pending, link)
		if (str_eq(p->id, id))
			drop(s, p);
}

int
entity_pending_add(struct te_store *s, struct str id, struct str parent,
    struct str payload, struct err *err)
{
	size_t bytes =
	    sizeof(struct pending) + id.len + parent.len + payload.len;
	struct pending *p;
	int rc;

	entity_pending_forget(s, id);
	if (s->n_pending >= s->conf.max_pending)
		return err_set(err, ERR_LIMIT,
		    "\"" STR_FMT "\" is not registered: %u registrations "
		    "already wait for their parents",
		    STR_ARG(id), s->n_pending);
	rc = entity_need_room(s, bytes, err);
	if (rc != 0)
		return rc;
	p = mem_new(struct pending);
	p->id = str_copy(id);
	p->parent = str_copy(parent);
	p->payload = str_copy(payload);
	p->bytes = bytes;
	s->bytes += bytes;
	s->n_pending++;
	list_add(&s->pending, &p->link);
	return 0;
}

static struct pending *
first_of(struct te_store *s, struct str parent)
{
	LIST_EACH (p, &s->pending, struct pending, link)
		if (str_eq(p->parent, parent))
			return p;
	return NULL;
}

/* Those that waited for `id`, and for them. */
void
entity_take_pending(struct te_store *s, struct str id)
{
	struct pending *p;

	/* as each leaves the list, this ends */
	while ((p = first_of(s, id)) != NULL) {
		struct err err;
		struct reg r;
		int rc;

		take_out(s, p);
		rc = entity_read_reg(&s->arena, p->payload, &r, NULL, &err);
		if (rc == 0)
			rc = entity_register(s, p->id, &r, p->payload, &err);
		if (rc == 0)
			entity_take_pending(s, p->id);
		else
			entity_refused(s, p->id, rc, &err);
		pending_free(p);
	}
}

void
entity_pending_fini(struct te_store *s)
{
	while (!list_empty(&s->pending))
		drop(s, list_first(&s->pending, struct pending, link));
}
