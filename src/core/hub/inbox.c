/*
 * core/hub/inbox.c - what is heard and not yet claimed.
 *
 * Items lie in memory, the one that was silent for longest first, and in the
 * store. Beyond `hub.inboxMax` that first one goes.
 */
#include "core/hub/private.h"

#include "base/clock.h"
#include "base/mem.h"
#include "base/rand.h"
#include "core/rest/check.h"

#include <stdlib.h>
#include <string.h>

#define DATA_MAX 1024 /* hex digits of a payload that are shown */
#define QUIET_MS 1000 /* between two writes of one item */

struct item {
	struct hub_inbox row;
	struct str key, data; /* owned */
	struct list link;     /* in hub->inbox_order */
	int64_t written;      /* monotonic */
	struct arena arena;
};

static struct str
key_of(struct str network_id, struct str addr)
{
	struct buf b = { 0 };

	buf_add_str(&b, network_id);
	buf_addc(&b, ' ');
	buf_add_str(&b, addr);
	return buf_str(&b);
}

static struct item *
item_new(struct hub *h, const struct hub_inbox *row)
{
	struct item *it = mem_new(struct item);

	record_copy(&hub_inbox_entity.record, &it->arena, &it->row, row);
	it->key = key_of(row->network_id, row->network_addr);
	it->data = str_copy(row->data);
	it->row.data = it->data;
	map_put(&h->inbox, it->key, it);
	list_add(&h->inbox_order, &it->link);
	return it;
}

static void
item_free(struct hub *h, struct item *it)
{
	map_del(&h->inbox, it->key);
	list_del(&it->link);
	str_free(it->key);
	str_free(it->data);
	arena_fini(&it->arena);
	free(it);
}

/* It is claimed, known, deleted, or one too many. */
static void
item_gone(struct hub *h, struct item *it)
{
	event_gone(h, &hub_inbox_entity, &it->row);
	item_free(h, it);
}

static struct item *
item_for(struct hub *h, const struct route_uplink *u)
{
	struct hub_inbox row = { .unit_id = u->unit_id,
		.network_id = u->network_id,
		.network_code = u->network_code,
		.network_addr = u->network_addr,
		.guess = STR(""),
		.data = STR(""),
		.first_seen = u->heard,
		.last_seen = u->heard };
	struct str key = key_of(u->network_id, u->network_addr);
	struct item *it = map_get(&h->inbox, key);
	struct arena a = { 0 };

	str_free(key);
	if (it != NULL)
		return it;
	row.id = rand_id(&a, clock_now(), ID_LONG);
	if (row.unit_id.ptr == NULL)
		row.unit_id = STR("");
	while (h->inbox.n >= (size_t)h->conf.inbox_max) {
		struct item *first =
		    list_first(&h->inbox_order, struct item, link);

		writer_gone(h, &hub_inbox_entity, "id", first->row.id);
		item_gone(h, first);
		counter_add(&h->counters.inbox_dropped, 1);
	}
	it = item_new(h, &row);
	arena_fini(&a);
	return it;
}

/* A gateway with a protocol of its own reads what its nodes say: a codec in its
 * place would make nonsense of it. */
static struct str
guess(struct hub *h, const struct route_uplink *u)
{
	const struct gate *g = gate_by_id(h, u->network_id);
	struct buf bytes = { 0 };
	struct str ret = STR("");

	if (g != NULL && (g->plug == NULL || !gateway_has_payload(g->plug)))
		return ret;
	if (hex_decode(&bytes, u->data))
		ret = str_of(decode_guess(buf_str(&bytes)));
	buf_free(&bytes);
	return ret;
}

void
inbox_heard(struct hub *h, const struct route_uplink *u)
{
	struct item *it;
	int64_t now = clock_mono();
	bool fresh;

	if (h->conf.inbox_max == 0)
		return;
	it = item_for(h, u);
	fresh = it->row.count == 0;
	it->row.count++;
	it->row.last_seen = u->heard;
	list_del(&it->link);
	list_add(&h->inbox_order, &it->link);
	if (!fresh && now - it->written < QUIET_MS)
		return;
	it->written = now;
	str_free(it->data);
	it->data = str_copy(
	    (struct str){ u->data.ptr, MIN_OF(u->data.len, DATA_MAX) });
	it->row.data = it->data;
	it->row.guess = guess(h, u);
	writer_put(
	    h, &hub_inbox_entity, &it->row, fresh, "guess data count lastSeen");
}

static int
load(void *ctx, const void *row, struct err *err)
{
	(void)err;
	(void)item_new(ctx, row);
	return 0;
}

int
inbox_load(struct hub *h, struct err *err)
{
	const struct store_query q = { .sort = { { "lastSeen", false } },
		.n_sort = 1 };

	return store_list(h->store, &hub_inbox_entity, &q, load, h, err);
}

void
inbox_forget(struct hub *h, struct str id)
{
	LIST_EACH (it, &h->inbox_order, struct item, link)
		if (str_eq(it->row.id, id))
			item_gone(h, it);
}

void
inbox_free(struct hub *h)
{
	LIST_EACH (it, &h->inbox_order, struct item, link)
		item_free(h, it);
	map_fini(&h->inbox);
}

void
inbox_known(struct hub *h, const struct route_uplink *u)
{
	struct str key;
	struct item *it;

	if (h->inbox.n == 0)
		return;
	key = key_of(u->network_id, u->network_addr);
	it = map_get(&h->inbox, key);
	str_free(key);
	if (it == NULL)
		return;
	writer_gone(h, &hub_inbox_entity, "id", it->row.id);
	item_gone(h, it);
}

/* --- claiming ------------------------------------------------------------ */

struct claim {
	struct strs ids;
	struct str unit_id, profile, name;
};

#define C struct claim
static const struct field claim_fields[] = {
	F_TEXTS(C, ids, "ids", .max = 1000, .help = "What is claimed."),
	F_TEXT(C, unit_id, "unitId", .flags = FIELD_NULL,
	    .help = "For what was heard on a public network: whose it is."),
	F_TEXT(C, profile, "profile", .flags = FIELD_LOWER,
	    .check = check_profile, .max = 128, .def = "\"\"",
	    .help = "Code of the devices' profile."),
	F_TEXT(C, name, "name", .def = "\"\"", .max = 1024,
	    .help = "Of the device."),
	{ 0 },
};
static const struct record claim_record = { "claim", sizeof(C), claim_fields };

struct claimed {
	struct str id, device_id, code, message;
};
#define D struct claimed
static const struct field claimed_fields[] = {
	F_TEXT(D, id, "id"),
	F_TEXT(D, device_id, "deviceId", .flags = FIELD_NULL | FIELD_ABSENT,
	    .help = "The device that was made of it."),
	F_TEXT(D, code, "code", .flags = FIELD_NULL | FIELD_ABSENT,
	    .help = "Why none was made."),
	F_TEXT(D, message, "message", .flags = FIELD_NULL | FIELD_ABSENT),
	{ 0 },
};
static const struct record claimed_record = { "claimed", sizeof(D),
	claimed_fields };

static int
claim_one(struct hub *h, struct http_call *c, const struct claim *what,
    struct str id, struct str *device_id, struct err *err)
{
	struct filter f = { 0 };
	struct hub_inbox row;
	struct str unit;
	bool found;
	int rc;

	filter_text(&f, "id", id);
	rc = store_get(
	    h->store, &hub_inbox_entity, &f, &c->arena, &row, &found, err);
	if (rc != 0)
		return rc;
	unit = found && row.unit_id.len > 0 ? row.unit_id : what->unit_id;
	if (!found || unit.len == 0)
		return err_set(err, ERR_NOT_FOUND, "nothing was heard so");
	rc = route_device_make(h->route, c, unit, row.network_id,
	    row.network_addr, what->profile, what->name, device_id, err);
	if (rc != 0 && rc != ERR_EXISTS)
		return rc;
	if (store_del(h->store, &hub_inbox_entity, &f, NULL, NULL) == 0)
		hub_post(h, inbox_forget, id);
	return rc;
}

static void
handle_claim(struct http_call *c)
{
	struct hub *h = (struct hub *)c->route->ctx;
	const struct claim *what;
	struct rest_body b;
	struct json_out *o;

	if (!rest_read(c, &c->route->body, NULL, &b))
		return;
	what = b.row;
	o = http_json(c, 200);
	json_out_object(o);
	json_out_key(o, "data");
	json_out_array(o);
	for (size_t i = 0; i < what->ids.n; i++) {
		struct claimed done = { .id = what->ids.at[i] };
		struct err err;
		int rc = claim_one(h, c, what, done.id, &done.device_id, &err);

		if (c->status != 200)
			return; /* the store failed, and it is said */
		if (rc != 0) {
			done.code = rc == ERR_EXISTS
			    ? STR("err_broker_network_addr_exist")
			    : rc == ERR_NOT_FOUND ? STR("err_not_found")
						  : STR("err_db");
			done.message = str_of(err.text);
		}
		record_to_json(o, &claimed_record, FIELD_ALL, &done);
	}
	json_out_end_array(o);
	json_out_end_object(o);
}

const struct http_route hub_inbox_rows[] = {
	{ "POST", "/inbox/claim", HTTP_TOKEN, .scope = "inbox.post.claim",
	    .body = { .record = &claim_record,
		.members = "ids! unitId profile name" },
	    .reply = { .record = &claimed_record, .list = true },
	    .handle = handle_claim,
	    .help = "Makes devices of what was heard." },
	{ 0 },
};
