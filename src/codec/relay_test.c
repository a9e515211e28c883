/*
 * codec/relay_test.c - messages of agents: as Thymis writes them, and ours.
 */
#include "codec/relay.h"

#include "base/base.h"
#include "base/test.h"

#include <string.h>

static void
a_start_of_thymis_is_read(void **state)
{
	static const char text[] =
	    "{\"inner\":{\"kind\":\"start\",\"token\":\"thymis-00\","
	    "\"hardware_ids\":{\"pi-serial-number\":\"10\"},"
	    "\"public_key\":\"ssh-ed25519 AAAA\",\"deployed_config_id\":\"a\","
	    "\"ip_addresses\":[\"10.0.0.1\"],\"network_interfaces\":[],"
	    "\"ram_bytes\":null,\"last_error\":null,\"news\":[1]}}";
	struct arena a = { 0 };
	struct relay_message m;
	struct err err;

	(void)state;
	assert_int_equal(relay_read(str_of(text), false, &a, &m, &err), 0);
	assert_int_equal(m.kind, RELAY_START);
	assert_true(str_eqz(m.token, "thymis-00"));
	assert_true(str_eqz(m.hardware_ids, "{\"pi-serial-number\":\"10\"}"));
	assert_false(m.supports_binary);
	assert_null(m.last_error.ptr);
	arena_fini(&a);
}

static void
what_is_written_is_read(void **state)
{
	struct arena a = { 0 };
	struct buf b = { 0 };
	struct relay_message m,
	    in = { .kind = RELAY_SWITCH,
		    .new_path_to_config = STR("/nix/store/\"x\""),
		    .configuration_id = STR("hall"),
		    .config_commit = STR("00"),
		    .task_id = STR("t"),
		    .hostname = STR("not of this kind") };
	struct err err;

	(void)state;
	relay_write(&in, &b);
	assert_string_equal(buf_z(&b),
	    "{\"inner\":{\"kind\":\"switch_to_new_config\",\"task_id\":\"t\","
	    "\"configuration_id\":\"hall\",\"config_commit\":\"00\","
	    "\"new_path_to_config\":\"/nix/store/\\\"x\\\"\"}}");
	assert_int_equal(relay_read(buf_str(&b), false, &a, &m, &err), 0);
	assert_int_equal(m.kind, RELAY_SWITCH);
	assert_true(str_eq(m.new_path_to_config, in.new_path_to_config));
	assert_null(m.hostname.ptr);
	buf_free(&b);
	arena_fini(&a);
}

static void
the_start_of_a_client_is_another(void **state)
{
	static const char text[] =
	    "{\"inner\":{\"kind\":\"start\",\"connection_target\":\"d\","
	    "\"target_ip\":\"localhost\",\"target_port\":22,"
	    "\"protocol\":\"tcp\",\"secret\":\"s\"}}";
	struct arena a = { 0 };
	struct relay_message m;
	struct err err;

	(void)state;
	assert_int_equal(relay_read(str_of(text), true, &a, &m, &err), 0);
	assert_int_equal(m.kind, RELAY_CLIENT_START);
	assert_int_equal(m.target_port, 22);
	assert_int_equal(
	    relay_read(str_of(text), false, &a, &m, &err), ERR_PROTO);
	arena_fini(&a);
}

static void
what_is_no_message_is_refused(void **state)
{
	static const char *const cases[] = { "", "[]", "{}", "{\"inner\":1}",
		"{\"inner\":{}}", "{\"inner\":{\"kind\":1}}",
		"{\"inner\":{\"kind\":\"tcp_data\"}}",
		"{\"inner\":{\"kind\":\"start\",\"token\":\"x\"}}" };
	struct arena a = { 0 };
	struct relay_message m;
	struct err err;

	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++)
		if (relay_read(str_of(cases[i]), false, &a, &m, &err) !=
		    ERR_PROTO)
			fail_msg("%s", cases[i]);
	assert_int_equal(relay_read(STR("{\"inner\":{\"kind\":\"new\"}}"),
			     false, &a, &m, &err),
	    0);
	assert_int_equal(m.kind, RELAY_UNKNOWN);
	arena_fini(&a);
}

static void
numbers_of_tunnels_are_uuids(void **state)
{
	unsigned char id[RELAY_ID], again[RELAY_ID];
	char text[RELAY_ID_TEXT + 1];

	(void)state;
	relay_id_new(id);
	relay_id_text(id, text);
	assert_int_equal(strlen(text), 36);
	assert_int_equal(text[14], '4');
	assert_true(relay_id_read(str_of(text), again));
	assert_memory_equal(id, again, RELAY_ID);
	text[8] = '0';
	assert_false(relay_id_read(str_of(text), again));
	assert_false(relay_id_read(STR("x"), again));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_start_of_thymis_is_read),
		cmocka_unit_test(what_is_written_is_read),
		cmocka_unit_test(the_start_of_a_client_is_another),
		cmocka_unit_test(what_is_no_message_is_refused),
		cmocka_unit_test(numbers_of_tunnels_are_uuids),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
