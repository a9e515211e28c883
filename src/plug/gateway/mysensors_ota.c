/*
 * plug/gateway/mysensors_ota.c - firmware for nodes, over the air.
 *
 * A node's boot loader tells what it runs (a config request), and is told what
 * it should: what its label `assigned_firmware` names. Is that something else,
 * it asks for the blocks, one after the other, and again for those that were
 * lost; the sum over all of them is its own business.
 *
 *     config request --> load, always --> config answer
 *     block request  --> in memory? ----> block
 *                            \ no: load -/
 *
 * Images are held until nobody has asked for one for IDLE_MS. A config request
 * reads the firmware again, so a new file under an old name is seen then.
 */
#include "plug/gateway/mysensors.h"

#include "base/base.h"
#include "base/clock.h"
#include "base/mem.h"
#include "codec/duration.h"
#include "codec/json.h"
#include "codec/mysensors_firmware.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define IDLE_MS (15 * 60 * 1000)
#define STALLED_MS (2 * 60 * 1000) /* nodes ask again within seconds */
#define SWEEP_MS (60 * 1000)
#define NOTE_EVERY 10 /* blocks */

struct image {
	struct list link;
	struct str id; /* owned */
	uint16_t type, version, blocks, crc;
	struct buf bytes;
	int64_t used; /* monotonic */
};

/* A firmware that is being read. */
struct load {
	struct list link;
	struct mysensors *p; /* NULL: closed meanwhile */
	struct str id;       /* owned */
};

/* What a node wants, and how far it is. */
struct ota_node {
	bool wants_config, wants_block;
	bool unasked;      /* the config: we offer it */
	uint8_t child;     /* it asks as */
	uint16_t words[3]; /* type, version and block it wants */

	bool running;
	uint32_t done, noted; /* blocks */
	int64_t started;      /* wall clock */
	int64_t asked;        /* monotonic */
};

static struct ota_node *
node_of(struct mysensors *p, uint8_t node)
{
	if (p->nodes[node] == NULL)
		p->nodes[node] = mem_new(struct ota_node);
	return p->nodes[node];
}

/* Why there is no firmware for a node: for its owner to see, and counted. */
static void
trouble(struct mysensors *p, uint8_t node, const char *why)
{
	struct buf others = { 0 };
	struct json_out o;
	char text[300];

	snprintf(text, sizeof(text), "firmware for node %u: %s", node, why);
	gateway_bad(p->g, text);
	json_out_init(&o, &others, false);
	json_out_object(&o);
	json_out_key(&o, "ota_error");
	json_out_str(&o, str_of(why));
	json_out_end_object(&o);
	mysensors_note(p, node, STR_NULL, buf_str(&others));
	buf_free(&others);
}

static void
watch(struct mysensors *p)
{
	if (!loop_is_running(&p->sweep))
		loop_after(gateway_host_of(p->g)->loop, &p->sweep, SWEEP_MS);
}

/* --- images -------------------------------------------------------------- */

static struct image *
find_image(struct mysensors *p, struct str id)
{
	LIST_EACH (i, &p->images, struct image, link)
		if (str_eq(i->id, id))
			return i;
	return NULL;
}

static void
free_image(struct mysensors *p, struct image *i)
{
	p->n_images--;
	list_del(&i->link);
	str_free(i->id);
	buf_free(&i->bytes);
	free(i);
}

static int
label_word(struct arena *a, struct str labels, const char *key, uint16_t *ret,
    struct err *err)
{
	struct str text = mysensors_member(a, labels, key);
	uint64_t n;

	if (!str_to_u64(text, &n) || n > UINT16_MAX)
		return err_set(err, ERR_PARAM,
		    "the firmware needs a label %s, a number from 0 to 65535",
		    key);
	*ret = (uint16_t)n;
	return 0;
}

/* Takes the place of the image that had its name; over the limit the one that
 * nobody has asked for the longest goes. */
static int
add_image(struct mysensors *p, struct str id, const struct gateway_firmware *fw,
    struct err *err)
{
	struct image *i = mem_new(struct image), *old = find_image(p, id);
	struct arena a = { 0 };
	int rc;

	rc = label_word(&a, fw->labels, "ms_type_id", &i->type, err);
	if (rc == 0)
		rc = label_word(
		    &a, fw->labels, "ms_version_id", &i->version, err);
	arena_fini(&a);
	if (rc == 0)
		rc = mysensors_image(fw->image, &i->bytes, err);
	if (rc != 0) {
		buf_free(&i->bytes);
		free(i);
		return rc;
	}
	i->id = str_copy(id);
	i->blocks = (uint16_t)(i->bytes.len / MYSENSORS_BLOCK);
	i->crc = mysensors_crc(i->bytes.ptr, i->bytes.len);
	i->used = clock_mono();
	if (old != NULL)
		free_image(p, old);
	else if (p->n_images >= (size_t)p->spec->firmwares)
		free_image(p, list_first(&p->images, struct image, link));
	list_add(&p->images, &i->link);
	p->n_images++;
	watch(p);
	return 0;
}

/* The least used is first in the list. */
static void
use(struct mysensors *p, struct image *i)
{
	i->used = clock_mono();
	list_del(&i->link);
	list_add(&p->images, &i->link);
}

/* --- progress ------------------------------------------------------------ */

static void
put_time(struct json_out *o, const char *key, int64_t ms)
{
	json_out_key(o, key);
	json_out_time(o, ms);
}

static void
put_int(struct json_out *o, const char *key, int64_t n)
{
	json_out_key(o, key);
	json_out_int(o, n);
}

static void
put_end(struct json_out *o, const struct ota_node *n, int64_t now)
{
	struct buf took = { 0 };

	put_time(o, "ota_end_time", now);
	duration_text(&took, (now - n->started) * DURATION_MS);
	json_out_key(o, "ota_time_taken");
	json_out_str(o, buf_str(&took));
	buf_free(&took);
}

static void
note_progress(struct mysensors *p, uint8_t node, uint16_t block, uint16_t total)
{
	struct ota_node *n = p->nodes[node];
	int64_t now = clock_now();
	struct buf others = { 0 };
	struct json_out o;

	n->noted = n->done;
	json_out_init(&o, &others, false);
	json_out_object(&o);
	json_out_key(&o, "ota_running");
	json_out_bool(&o, n->running);
	put_int(&o, "ota_progress", (int64_t)n->done * 100 / total);
	put_int(&o, "ota_block_number", block);
	put_int(&o, "ota_block_total", total);
	put_time(&o, "ota_status_on", now);
	if (n->done == 1) {
		put_time(&o, "ota_start_time", n->started);
		json_out_key(&o, "ota_error");
		json_out_str(&o, STR(""));
	}
	if (n->done == total)
		put_end(&o, n, now);
	json_out_end_object(&o);
	mysensors_note(p, node, STR_NULL, buf_str(&others));
	buf_free(&others);
}

static bool
is_forward(struct mysensors *p, uint8_t node)
{
	struct arena a = { 0 };
	bool forward = str_eq_nocase(
	    mysensors_label(p, &a, node, "ota_block_order"), STR("forward"));

	arena_fini(&a);
	return forward;
}

/* A block is on its way. A node begins at one end and goes to the other; it
 * may ask for any of them again. */
static void
progress(struct mysensors *p, uint8_t node, uint16_t block, uint16_t total)
{
	struct ota_node *n = p->nodes[node];
	uint32_t done =
	    is_forward(p, node) ? block + 1u : (uint32_t)total - block;
	bool begins = done == 1 && n->done != 1;

	n->asked = clock_mono();
	if (begins || (!n->running && n->done != total)) {
		n->started = clock_now();
		n->running = true;
		n->noted = 0;
	}
	n->done = done;
	if (done == total)
		n->running = false;
	watch(p);
	if (n->noted != done &&
	    (done == 1 || done == total || done % NOTE_EVERY == 0))
		note_progress(p, node, block, total);
}

static void
note_stalled(struct mysensors *p, uint8_t node)
{
	p->nodes[node]->running = false;
	mysensors_note(p, node, STR_NULL,
	    STR("{\"ota_running\":false,\"ota_error\":\"the node has stopped "
		"to "
		"ask for blocks\"}"));
}

static void
on_sweep(struct loop_timer *t)
{
	struct mysensors *p = container_of(t, struct mysensors, sweep);
	int64_t now = clock_mono();
	bool more = false;

	LIST_EACH (i, &p->images, struct image, link)
		if (i->used + IDLE_MS <= now)
			free_image(p, i);
	for (int i = 0; i < NODES; i++) {
		struct ota_node *n = p->nodes[i];

		if (n == NULL || !n->running)
			continue;
		if (n->asked + STALLED_MS <= now)
			note_stalled(p, (uint8_t)i);
		else
			more = true;
	}
	if (more || p->n_images > 0)
		watch(p);
}

/* --- answers ------------------------------------------------------------- */

static void
answer_config(struct mysensors *p, uint8_t node, const uint16_t *words)
{
	struct ota_node *n = node_of(p, node);
	struct mysensors_message m = { node, n->child, MYSENSORS_STREAM, false,
		ST_FIRMWARE_CONFIG_RESPONSE, STR("") };
	struct buf hex = { 0 };
	struct err err;

	mysensors_put_words(&hex, words, 4);
	m.payload = buf_str(&hex);
	if (!n->unasked)
		mysensors_answer(p, &m);
	else if (mysensors_post(p, &m, &err) != 0)
		trouble(p, node, err.text);
	n->unasked = false;
	buf_free(&hex);
}

static void
answer_block(struct mysensors *p, uint8_t node, struct image *i)
{
	struct ota_node *n = p->nodes[node];
	uint16_t block = n->words[2];
	struct mysensors_message m = { node, n->child, MYSENSORS_STREAM, false,
		ST_FIRMWARE_RESPONSE, STR("") };
	struct buf hex = { 0 };
	char why[160];

	if (n->words[0] != i->type || n->words[1] != i->version) {
		snprintf(why, sizeof(why),
		    "it asks for type %u version %u, and is assigned type %u "
		    "version %u",
		    n->words[0], n->words[1], i->type, i->version);
		trouble(p, node, why);
		return;
	}
	if (block >= i->blocks) {
		snprintf(why, sizeof(why), "it asks for block %u of %u", block,
		    i->blocks);
		trouble(p, node, why);
		return;
	}
	mysensors_put_words(&hex, n->words, 3);
	mysensors_put_bytes(&hex,
	    i->bytes.ptr + (size_t)block * MYSENSORS_BLOCK, MYSENSORS_BLOCK);
	m.payload = buf_str(&hex);
	mysensors_answer(p, &m);
	buf_free(&hex);
	progress(p, node, block, i->blocks);
}

static void
answer_all(struct mysensors *p, uint8_t node, struct image *i)
{
	struct ota_node *n = p->nodes[node];

	use(p, i);
	if (n->wants_config)
		answer_config(p, node,
		    (uint16_t[]){ i->type, i->version, i->blocks, i->crc });
	if (n->wants_block)
		answer_block(p, node, i);
	n->wants_config = n->wants_block = false;
}

/* --- reading a firmware -------------------------------------------------- */

static void
free_load(struct load *l)
{
	list_del(&l->link);
	str_free(l->id);
	free(l);
}

static bool
waits_for(struct mysensors *p, uint8_t node, struct str id)
{
	const struct ota_node *n = p->nodes[node];
	struct arena a = { 0 };
	bool yes = n != NULL && (n->wants_config || n->wants_block) &&
	    str_eq(mysensors_label(p, &a, node, "assigned_firmware"), id);

	arena_fini(&a);
	return yes;
}

static void
on_loaded(void *ctx, const struct gateway_firmware *fw, const struct err *why)
{
	struct load *l = ctx;
	struct mysensors *p = l->p;
	struct err err = { 0 };

	if (p == NULL) {
		free_load(l);
		return;
	}
	if (fw == NULL || (why != NULL && why->code != 0))
		err = why != NULL && why->code != 0
		    ? *why
		    : (struct err){ ERR_NOT_FOUND,
			      "there is no such firmware" };
	else
		(void)add_image(p, l->id, fw, &err);
	for (int i = 0; i < MYSENSORS_ALL; i++) {
		if (!waits_for(p, (uint8_t)i, l->id))
			continue;
		if (err.code == 0) {
			answer_all(p, (uint8_t)i, find_image(p, l->id));
		} else {
			p->nodes[i]->wants_config = false;
			p->nodes[i]->wants_block = false;
			trouble(p, (uint8_t)i, err.text);
		}
	}
	free_load(l);
}

static void
load(struct mysensors *p, struct str id)
{
	const struct gateway_host *host = gateway_host_of(p->g);
	struct load *l;

	LIST_EACH (one, &p->loads, struct load, link)
		if (str_eq(one->id, id))
			return;
	l = mem_new(struct load);
	l->p = p;
	l->id = str_copy(id);
	list_add(&p->loads, &l->link);
	host->firmware(host->ctx, l->id, on_loaded, l);
}

/* --- requests ------------------------------------------------------------ */

static bool
must_erase(struct mysensors *p, uint8_t node)
{
	struct arena a = { 0 };
	bool yes =
	    mysensors_truth(mysensors_label(p, &a, node, "ms_erase_eeprom"));

	arena_fini(&a);
	return yes;
}

/* What a node is to run, in `a`; none is said to it who asks. */
static int
assigned(struct mysensors *p, struct arena *a, uint8_t node, struct str *ret,
    struct err *err)
{
	*ret = mysensors_label(p, a, node, "assigned_firmware");
	if (gateway_host_of(p->g)->firmware == NULL)
		return err_set(
		    err, ERR_NOT_FOUND, "there are no firmwares here");
	if (ret->len == 0)
		return err_set(err, ERR_PARAM,
		    "node %u has no label assigned_firmware", node);
	return 0;
}

static void
want_config(struct mysensors *p, uint8_t node)
{
	struct ota_node *n = node_of(p, node);
	struct arena a = { 0 };
	struct str id;
	struct err err;

	if (must_erase(p, node)) {
		answer_config(
		    p, node, (uint16_t[]){ 1, 0, 0, MYSENSORS_ERASE });
		mysensors_note(
		    p, node, STR("{\"ms_erase_eeprom\":\"false\"}"), STR_NULL);
		return;
	}
	if (assigned(p, &a, node, &id, &err) == 0) {
		n->wants_config = true;
		load(p, id);
	}
	arena_fini(&a);
}

static void
want_block(struct mysensors *p, uint8_t node)
{
	struct ota_node *n = node_of(p, node);
	struct arena a = { 0 };
	struct image *i;
	struct str id;
	struct err err;

	if (assigned(p, &a, node, &id, &err) != 0) {
		gateway_bad(p->g, err.text);
		arena_fini(&a);
		return;
	}
	n->wants_block = true;
	i = find_image(p, id);
	if (i != NULL) {
		use(p, i);
		answer_block(p, node, i);
		n->wants_block = false;
	} else {
		load(p, id);
	}
	arena_fini(&a);
}

void
mysensors_ota_hear(struct mysensors *p, const struct mysensors_message *m)
{
	uint16_t words[5];

	if (m->node == MYSENSORS_ALL)
		return;
	switch (m->type) {
	case ST_FIRMWARE_CONFIG_REQUEST:
		if (!mysensors_words(m->payload, words, 5))
			break;
		node_of(p, m->node)->child = m->child;
		node_of(p, m->node)->unasked = false;
		want_config(p, m->node);
		return;
	case ST_FIRMWARE_REQUEST:
		if (!mysensors_words(m->payload, words, 3))
			break;
		node_of(p, m->node)->child = m->child;
		memcpy(node_of(p, m->node)->words, words,
		    sizeof(node_of(p, m->node)->words));
		want_block(p, m->node);
		return;
	default:
		return;
	}
	gateway_bad(p->g, "a firmware request that is too short, or no hex");
}

int
mysensors_ota_offer(struct mysensors *p, uint8_t node, struct err *err)
{
	struct ota_node *n = node_of(p, node);
	struct arena a = { 0 };
	struct str id;
	int rc;

	rc = assigned(p, &a, node, &id, err);
	if (rc == 0) {
		n->unasked = !n->wants_config || n->unasked;
		n->wants_config = true;
		n->child = MYSENSORS_ITSELF;
		load(p, id);
	}
	arena_fini(&a);
	return rc;
}

/* --- life ---------------------------------------------------------------- */

void
mysensors_ota_init(struct mysensors *p)
{
	list_init(&p->images);
	list_init(&p->loads);
	p->sweep.fire = on_sweep;
}

void
mysensors_ota_fini(struct mysensors *p)
{
	loop_cancel(gateway_host_of(p->g)->loop, &p->sweep);
	LIST_EACH (i, &p->images, struct image, link)
		free_image(p, i);
	LIST_EACH (l, &p->loads, struct load, link) {
		l->p = NULL;
		list_del(&l->link);
	}
	for (int i = 0; i < NODES; i++)
		free(p->nodes[i]);
}
