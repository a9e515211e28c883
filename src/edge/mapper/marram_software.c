/*
 * edge/mapper/marram_software.c - what is installed on a device, in pages that
 * a message carries.
 */
#include "edge/mapper/marram_private.h"

#include "base/base.h"
#include "codec/json.h"

#define PAGE_BYTES 30000
#define PAGES_MAX 64

struct pages {
	struct arena *a;
	size_t max; /* bytes of a page */
	struct str at[PAGES_MAX];
	size_t n, left_out;
	struct buf b, one;
};

static void
turn(struct pages *p)
{
	if (p->b.len == 0)
		return;
	buf_addc(&p->b, ']');
	p->at[p->n++] = arena_str(p->a, buf_str(&p->b));
	buf_clear(&p->b);
}

static void
add_module(
    struct pages *p, struct str type, struct str name, struct str version)
{
	buf_clear(&p->one);
	buf_addz(&p->one, "{\"type\":");
	json_quote(&p->one, type);
	buf_addz(&p->one, ",\"name\":");
	json_quote(&p->one, name);
	buf_addz(&p->one, ",\"version\":");
	json_quote(&p->one, version.ptr != NULL ? version : STR(""));
	buf_addc(&p->one, '}');
	if (p->b.len > 0 && p->b.len + p->one.len + 2 > p->max)
		turn(p);
	if (p->n == PAGES_MAX || p->one.len + 2 > p->max) {
		p->left_out++;
		return;
	}
	buf_addc(&p->b, p->b.len == 0 ? '[' : ',');
	buf_add_str(&p->b, buf_str(&p->one));
}

static void
read_module(struct pages *p, struct json *j, struct str type)
{
	struct str key, name = STR_NULL, version = STR_NULL;

	if (!json_object(j))
		return;
	while (json_member(j, &key))
		if (str_eqz(key, "name") && json_peek(j) == JSON_STRING)
			(void)json_str(j, &name);
		else if (str_eqz(key, "version") && json_peek(j) == JSON_STRING)
			(void)json_str(j, &version);
		else
			(void)json_skip(j);
	if (name.ptr != NULL)
		add_module(p, type, name, version);
}

/* {"type":"apt","modules":[...]}, in either order. */
static void
read_type(struct pages *p, struct json *j)
{
	struct str key, type = STR(""), modules = STR_NULL;
	struct json in;

	if (!json_object(j))
		return;
	while (json_member(j, &key))
		if (str_eqz(key, "type") && json_peek(j) == JSON_STRING)
			(void)json_str(j, &type);
		else if (str_eqz(key, "modules"))
			(void)json_raw(j, &modules);
		else
			(void)json_skip(j);
	json_open(&in, modules, 0, p->a);
	if (modules.ptr != NULL && json_array(&in))
		while (json_item(&in))
			read_module(p, &in, type);
}

void
marram_tell_software(struct marram *m, struct arena *a, struct str where,
    const struct mapper_msg *msg)
{
	struct str list = marram_member(a, msg->payload, "currentSoftwareList");
	struct pages *p;
	struct json j;

	if (list.ptr == NULL)
		return;
	p = arena_new(a, struct pages);
	p->a = a;
	p->max = m->max_payload > 0 ? MIN_OF(PAGE_BYTES, m->max_payload)
				    : PAGE_BYTES;
	json_open(&j, list, 0, a);
	if (json_array(&j))
		while (json_item(&j))
			read_type(p, &j);
	if (p->b.len == 0 && p->n == 0)
		buf_addc(&p->b, '[');
	turn(p);
	for (size_t i = 0; i < p->n; i++)
		marram_tell(m, a,
		    arena_printf(a, "up/" STR_FMT "/software/%zu/%zu",
			STR_ARG(where), i, p->n),
		    p->at[i]);
	if (p->left_out > 0)
		m->host->error(m->host->owner, msg->topic,
		    arena_printf(a,
			"%zu packages are left out of the list of software: it "
			"is too long",
			p->left_out),
		    true);
	buf_free(&p->b);
	buf_free(&p->one);
}
