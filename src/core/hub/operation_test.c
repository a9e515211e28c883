/*
 * core/hub/operation_test.c - which operations are sent again after a start.
 *
 * The device's gateway is not there, as where an operation is still on its way
 * to it. What would go there is heard.
 */
#include "base/test.h"

#include "core/hub/private.h"

#include "base/clock.h"
#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

struct fixture {
	struct hub h;
	struct device device;
};

static struct buf said;

void __wrap_route_send(struct route *r, const struct route_downlink *d);

void
__wrap_route_send(struct route *r, const struct route_downlink *d)
{
	(void)r;
	buf_add_str(&said, d->data_id);
	buf_addc(&said, ';');
}

static int
set_up(void **state)
{
	static const struct entity *const entities[] = { &hub_node_entity,
		&hub_operation_entity, NULL };
	const struct store_conf conf = { .engine = "memory",
		.entities = entities };
	struct fixture *f = mem_new(struct fixture);
	struct hub_node node = { 0 };
	struct arena a = { 0 };
	struct err err;

	list_init(&f->h.sent_order);
	f->h.conf.operation_ms = 60000;
	f->h.conf.downlinks_max = 10;
	f->h.conf.downlink_result_ms = 60000;
	f->h.loop = loop_new();
	assert_int_equal(store_open(&conf, &f->h.store, &err), 0);
	record_defaults(&hub_node_entity.record, &a, 0, &node, NULL);
	node.id = f->device.row.id = STR("gw01");
	f->device.row.gateway_id = STR("field");
	f->device.row.node_id = STR("gw01");
	assert_int_equal(
	    store_add(f->h.store, &hub_node_entity, &node, &err), 0);
	f->device.hub = &f->h;
	f->device.looked = true;
	map_put(&f->h.devices, f->device.row.id, &f->device);
	buf_clear(&said);
	arena_fini(&a);
	*state = f;
	return 0;
}

static int
tear_down(void **state)
{
	struct fixture *f = *state;

	operations_end(&f->h);
	operations_free(&f->h);
	sent_forget(&f->h);
	map_fini(&f->h.devices);
	store_close(f->h.store);
	loop_free(f->h.loop);
	buf_free(&said);
	free(f);
	return 0;
}

static void
is_stored(struct fixture *f, const char *id, const char *status)
{
	struct hub_operation row = { 0 };
	struct arena a = { 0 };
	struct err err;

	record_defaults(&hub_operation_entity.record, &a, 0, &row, NULL);
	row.id = str_of(id);
	row.device_id = STR("gw01");
	row.operation = STR("restart");
	row.status = str_of(status);
	row.created_at = clock_now();
	if (store_add(f->h.store, &hub_operation_entity, &row, &err) != 0)
		fail_msg("%s", err.text);
	arena_fini(&a);
}

static void
what_was_sent_since_the_start_is_not_sent_once_more(void **state)
{
	struct fixture *f = *state;
	struct err err;

	is_stored(f, "old", "pending");
	is_stored(f, "begun", "executing");
	is_stored(f, "over", "successful");
	assert_int_equal(operations_load(&f->h, &err), 0);
	operations_begin(&f->h);
	is_stored(f, "new", "pending");
	operation_reload(&f->h, STR("new"));
	assert_string_equal(buf_z(&said), "new;");
	f->h.resend.fire(&f->h.resend);
	assert_string_equal(buf_z(&said), "new;old;");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
		    what_was_sent_since_the_start_is_not_sent_once_more, set_up,
		    tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
