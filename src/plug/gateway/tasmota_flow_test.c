/*
 * plug/gateway/tasmota_flow_test.c - what the Tasmota provider does over time:
 * discovery, commands and their answers, devices that go and come.
 */
#include "plug/gateway/test_host.h"

#define CONFIG "tasmota/discovery/0200000000A1/config"
#define SENSORS "tasmota/discovery/0200000000A1/sensors"
#define LAMP                                                                   \
	"{\"t\":\"lamp\",\"ft\":\"house/%topic%/%prefix%\",\"tp\":[\"do\","    \
	"\"is\",\"was\"],\"ofln\":\"weg\",\"onln\":\"da\",\"state\":[\"AUS\"," \
	"\"AN\"]}"
#define POWER "{\"command\":\"POWER\"}"

/* --- discovery ------------------------------------------------------------ */

static void
a_device_tells_its_topics_and_texts(void **state)
{
	struct test_host *h = *state;

	test_retain(h, CONFIG, LAMP);
	test_retain(h, "house/lamp/was/LWT", "da");
	test_open(h, "{\"type\":\"tasmota\"}", false);
	test_was(&h->up,
	    "lamp|" LAMP "|{\"topic\":\"" CONFIG "\"}\n"
	    "lamp|da|{\"topic\":\"house/lamp/was/LWT\",\"on\":\"AN\","
	    "\"online\":true}\n");
	test_retain(h, SENSORS, "{\"sn\":{\"S\":{\"t\":1}}}");
	test_was(&h->up,
	    "lamp|{\"sn\":{\"S\":{\"t\":1}}}|{\"topic\":\"" SENSORS "\"}\n");
	test_say(h, "house/lamp/is/RESULT", "{\"POWER\":\"AN\"}");
	test_was(&h->up,
	    "lamp|{\"POWER\":\"AN\"}|{\"topic\":\"house/lamp/is/RESULT\","
	    "\"on\":\"AN\"}\n");
	test_say(h, "house/lamp/is/POWER", "AN"); /* said already */
	test_was(&h->up, "");
	test_say(h, "house/lamp/was/LWT", "weg");
	test_was(&h->up,
	    "lamp|weg|{\"topic\":\"house/lamp/was/LWT\",\"on\":\"AN\","
	    "\"online\":false}\n");
	test_say(h, "house/lamp/was/LWT", "da");
	assert_int_equal(test_send(h, "lamp", "AN", POWER, false), 0);
	test_was(&h->came, "house/lamp/do/POWER AN\n");
	test_say(h, "house/lamp/was/LWT", "?");
	assert_int_equal(test_bad(h), 1);
}

static void
what_is_retained_is_news_once(void **state)
{
	struct test_host *h = *state;

	test_retain(h, CONFIG, "{\"t\":\"x\"}");
	test_retain(h, SENSORS, "{\"sn\":{}}");
	test_retain(h, "tele/x/LWT", "Online");
	test_retain(h, "tele/x/STATE", "{\"POWER\":\"ON\"}");
	test_open(h, "{\"type\":\"tasmota\"}", false);
	test_was(&h->up,
	    "x|{\"t\":\"x\"}|{\"topic\":\"" CONFIG "\"}\n"
	    "x|{\"sn\":{}}|{\"topic\":\"" SENSORS "\"}\n"
	    "x|Online|{\"topic\":\"tele/x/LWT\",\"online\":true}\n"
	    "x|{\"POWER\":\"ON\"}|{\"topic\":\"tele/x/STATE\"}\n");
	test_say(h, "tele/x/STATE", "{\"POWER\":\"OFF\"}");
	buf_clear(&h->up);
	gateway_stop(h->g);
	gateway_start(h->g);
	test_turn(h);
	test_was(&h->up, ""); /* the old state is not the state */
	test_retain(h, CONFIG, "{\"t\":\"x\",\"ip\":\"192.0.2.1\"}");
	test_was(&h->up,
	    "x|{\"t\":\"x\",\"ip\":\"192.0.2.1\"}|{\"topic\":\"" CONFIG
	    "\"}\n");
	assert_int_equal(test_bad(h), 0);
}

static void
a_device_that_is_gone_is_addressed_by_the_setting(void **state)
{
	struct test_host *h = *state;

	test_retain(h, CONFIG, LAMP);
	test_open(h, "{\"type\":\"tasmota\",\"timeout\":\"0\"}", false);
	test_retain(h, CONFIG, "");
	assert_int_equal(test_send(h, "lamp", "ON", POWER, false), 0);
	test_was(&h->came, "cmnd/lamp/POWER ON\n");
	test_was(&h->told, "sent;");
}

static void
more_devices_than_are_remembered_still_speak(void **state)
{
	struct test_host *h = *state;

	test_open(h, "{\"type\":\"tasmota\",\"maxDevices\":1}", false);
	test_say(h, "tele/a/STATE", "{}");
	test_say(h, "tele/b/STATE", "{}");
	test_say(h, "tele/b/LWT", "Online");
	test_was(&h->up,
	    "a|{}|{\"topic\":\"tele/a/STATE\"}\n"
	    "b|{}|{\"topic\":\"tele/b/STATE\"}\n"
	    "b|Online|{\"topic\":\"tele/b/LWT\"}\n");
	assert_int_equal(test_bad(h), 0);
	test_retain(h, CONFIG, LAMP);
	assert_int_equal(test_bad(h), 1);
}

static void
topics_of_devices_are_bounded(void **state)
{
	struct test_host *h = *state;

	h->settings.filters = 4; /* one is left */
	test_open(h, "{\"type\":\"tasmota\"}", false);
	test_retain(h, CONFIG, LAMP);
	assert_int_equal(test_bad(h), 1);
}

static void
what_stands_before_all_topics_is_put_before_once(void **state)
{
	struct test_host *h = *state;

	test_open(h,
	    "{\"type\":\"tasmota\",\"timeout\":\"0\",\"protocol\":{"
	    "\"publish\":\"house/\",\"subscribe\":\"house/#,tasmota/#\"}}",
	    false);
	test_send(h, "lamp", "ON", POWER, false);
	test_was(&h->came, "house/cmnd/lamp/POWER ON\n");
	test_retain(h, CONFIG, LAMP);
	test_send(h, "lamp", "ON", POWER, false);
	test_was(&h->came, "house/lamp/do/POWER ON\n");
	test_was(&h->told, "sent;sent;");
	test_retain(h, CONFIG, "{\"t\":\"lamp\"}");
	test_send(h, "lamp", "ON", POWER, false);
	test_was(&h->told,
	    "failed the topic cmnd/lamp/POWER is not below "
	    "protocol.publish;");
}

/* --- time ----------------------------------------------------------------- */

/* "Time" of a clock that is `off` ms ahead. */
static void
say_at(struct test_host *h, int64_t off)
{
	char text[TIME_TEXT_LEN + 1], json[80];

	time_format(clock_now() + off, text);
	snprintf(json, sizeof(json), "{\"Time\":\"%.19s\"}", text);
	test_say(h, "tele/x/STATE", json);
}

static bool
has_time(struct test_host *h)
{
	bool has = strstr(buf_z(&h->up), "\"time\":") != NULL;

	buf_clear(&h->up);
	return has;
}

static void
a_clock_that_is_right_but_for_its_zone_is_believed(void **state)
{
	static const int64_t zones[] = { 0, 3600000, -5 * 3600000,
		5 * 3600000 + 45 * 60000, 14 * 3600000 };
	struct test_host *h = *state;

	test_open(h, "{\"type\":\"tasmota\"}", false);
	for (size_t i = 0; i < COUNT_OF(zones); i++) {
		clock_advance(120000); /* time goes on */
		say_at(h, zones[i]);
		assert_true(has_time(h));
		clock_advance(120000);
		say_at(h, zones[i] - 50000);
		assert_true(has_time(h));
		say_at(h, zones[i] - 70000);
		assert_false(has_time(h));
		say_at(h, zones[i] + 300000);
		assert_false(has_time(h));
	}
	clock_advance(120000);
	say_at(h, 16 * 3600000);
	assert_false(has_time(h));
	test_say(h, "tele/x/STATE", "{\"Time\":\"1970-01-01T00:00:00\"}");
	assert_false(has_time(h));
	test_say(h, "tele/x/STATE", "{\"Time\":7}");
	assert_false(has_time(h));
}

static void
times_of_a_device_do_not_go_back(void **state)
{
	struct test_host *h = *state;

	test_open(h, "{\"type\":\"tasmota\"}", false);
	test_say(h, "stat/x/RESULT", "{\"POWER\":\"ON\"}"); /* now */
	buf_clear(&h->up);
	say_at(h, -2000);
	assert_false(has_time(h));
}

/* --- commands ------------------------------------------------------------- */

static void
a_command_is_sent_when_the_device_has_answered(void **state)
{
	static const struct {
		const char *command, *topic, *answer;
		bool is_one;
	} cases[] = {
		{ "POWER", "stat/x/RESULT", "{\"POWER\":\"ON\"}", true },
		{ "POWER1", "stat/x/RESULT", "{\"POWER\":\"ON\"}", true },
		{ "POWER", "stat/x/RESULT", "{\"POWER1\":\"ON\"}", true },
		{ "POWER2", "stat/x/RESULT", "{\"POWER1\":\"ON\"}", false },
		{ "POWER0", "stat/x/RESULT", "{\"POWER2\":\"ON\"}", true },
		{ "POWER2", "stat/x/POWER2", "ON", true },
		{ "POWER", "stat/x/RESULT", "{\"Dimmer\":3}", false },
		{ "POWER", "tele/x/STATE", "{\"POWER\":\"ON\"}", false },
		{ "POWER", "stat/y/RESULT", "{\"POWER\":\"ON\"}", false },
		{ "Dimmer", "stat/x/RESULT", "{\"POWER\":\"ON\"}", false },
		{ "dimmer", "stat/x/RESULT", "{\"Dimmer\":3}", true },
		{ "Dimmer", "stat/x/DIMMER", "{\"POWER\":\"ON\"}", true },
		{ "ShutterOpen1", "stat/x/RESULT", "{\"Shutter1\":{}}", true },
		{ "Status", "stat/x/STATUS2", "{\"StatusFWR\":{}}", true },
		{ "Status", "stat/x/STATUS", "{\"Status\":{}}", true },
		{ "Backlog", "stat/x/RESULT", "{\"POWER\":\"ON\"}", true },
	};
	struct test_host *h = *state;

	test_open(h, "{\"type\":\"tasmota\"}", false);
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		char ext[60];

		snprintf(
		    ext, sizeof(ext), "{\"command\":\"%s\"}", cases[i].command);
		assert_int_equal(test_send(h, "x", "1", ext, false), 0);
		test_was(&h->told, "");
		test_say(h, cases[i].topic, cases[i].answer);
		if (!cases[i].is_one) {
			test_was(&h->told, "");
			clock_advance(10000);
			test_turn(h);
			assert_int_equal(
			    strncmp(buf_z(&h->told), "failed x did not ", 17),
			    0);
			buf_clear(&h->told);
		} else {
			test_was(&h->told, "sent;");
		}
	}
}

static void
a_command_that_the_device_does_not_know_has_failed(void **state)
{
	struct test_host *h = *state;

	test_open(h, "{\"type\":\"tasmota\"}", false);
	test_send(h, "x", "1", "{\"command\":\"Sing\"}", false);
	test_say(h, "stat/x/RESULT", "{\"Command\":\"Unknown\"}");
	test_was(&h->told, "failed x says of the command Sing: \"Unknown\";");
}

static void
who_does_not_answer_holds_nobody_up(void **state)
{
	struct test_host *h = *state;
	struct gateway_state s;

	test_open(h, "{\"type\":\"tasmota\",\"timeout\":\"3s\"}", false);
	test_send(h, "a", "1", POWER, false);
	test_send(h, "b", "1", POWER, false);
	test_send(h, "b", "0", POWER, false);
	test_was(&h->came, "cmnd/a/POWER 1\ncmnd/b/POWER 1\ncmnd/b/POWER 0\n");
	gateway_state(h->g, &s);
	assert_int_equal(s.waiting, 3);
	test_say(h, "stat/b/RESULT", "{\"POWER\":\"ON\"}");
	test_was(&h->told, "sent;");
	gateway_stop(h->g); /* an answer may come after the link was lost */
	gateway_start(h->g);
	test_turn(h);
	test_was(&h->told, "");
	test_say(h, "stat/b/RESULT", "{\"POWER\":\"OFF\"}");
	test_was(&h->told, "sent;");
	clock_advance(3000);
	test_turn(h);
	test_was(&h->told,
	    "failed a did not answer to the command POWER "
	    "(provider.timeout);");
	test_say(h, "stat/a/RESULT", "{\"POWER\":\"ON\"}"); /* too late */
	test_was(&h->told, "");
	gateway_state(h->g, &s);
	assert_int_equal(s.waiting, 0);
	test_was(&h->came, ""); /* nothing was sent twice */
}

static void
closing_gives_up_what_is_not_answered(void **state)
{
	struct test_host *h = *state;

	test_open(h, "{\"type\":\"tasmota\"}", false);
	test_send(h, "a", "1", POWER, false);
	test_send(h, "b", "1", POWER, false);
	gateway_close(h->g);
	h->g = NULL;
	test_was(&h->told,
	    "failed the gateway was closed;failed the gateway was closed;");
}

static void
nobody_answers_for_a_group_or_without_a_timeout(void **state)
{
	struct test_host *h = *state;

	test_open(h, "{\"type\":\"tasmota\"}", false);
	test_send(h, "tasmotas", "1", POWER, false);
	test_was(&h->told, "sent;");
	test_was(&h->came, "cmnd/tasmotas/POWER 1\n");
}

static void
a_frame_without_a_command_is_any_commands(void **state)
{
	struct test_host *h = *state;

	test_open(h, "{\"type\":\"tasmota\"}", false);
	test_send(h, "x", "POWER ON; Dimmer 30", NULL, false);
	test_was(&h->came, "cmnd/x/Backlog POWER ON; Dimmer 30\n");
	assert_int_equal(test_send(h, "", "1", POWER, false), ERR_PARAM);
	assert_int_equal(test_send(h, "+", "1", POWER, false), ERR_PARAM);
	assert_int_equal(
	    test_send(h, "x", "1", "{\"command\":\"#\"}", false), ERR_PARAM);
	assert_int_equal(
	    test_send(h, "x", "1", "{\"command\":7}", false), ERR_PARAM);
	assert_int_equal(test_send(h, "x", "1", "x", false), ERR_PARAM);
	test_was(&h->came, "");
}

static void
a_device_that_said_goodbye_is_not_tried(void **state)
{
	struct test_host *h = *state;

	test_open(h, "{\"type\":\"tasmota\"}", false);
	test_say(h, "tele/x/LWT", "Offline");
	test_send(h, "x", "1", POWER, false);
	test_was(&h->told, "failed x is offline;");
	test_was(&h->came, "");
	test_say(h, "tele/x/STATE", "{}"); /* it lives */
	test_send(h, "x", "1", POWER, false);
	test_was(&h->came, "cmnd/x/POWER 1\n");
}

static void
what_failed_waits_until_the_device_is_back(void **state)
{
	struct test_host *h = *state;

	test_open(h, "{\"type\":\"tasmota\"}", true);
	test_say(h, "tele/x/LWT", "Offline");
	test_send(h, "x", "1", POWER, false);
	test_was(&h->told, "");
	test_was(&h->came, "");
	test_say(h, "tele/x/LWT", "Online");
	test_was(&h->came, "cmnd/x/POWER 1\n");
	test_say(h, "stat/x/RESULT", "{\"POWER\":\"ON\"}");
	test_was(&h->told, "sent;");
}

static void
a_sleeper_is_awake_when_it_is_heard(void **state)
{
	struct test_host *h = *state;

	test_open(h, "{\"type\":\"tasmota\"}", false);
	test_send(h, "x", "1", POWER, true);
	test_say(h, "tele/y/STATE", "{}");
	test_was(&h->came, "");
	test_say(h, "tele/x/STATE", "{}");
	test_was(&h->came, "cmnd/x/POWER 1\n");
}

/* --- actions -------------------------------------------------------------- */

static void
actions_are_commands(void **state)
{
	static const struct {
		const char *node, *action, *came;
	} acts[] = {
		{ "x", "heartbeat_request", "cmnd/x/Status 1\n" },
		{ "x", "reboot", "cmnd/x/Restart 1\n" },
		{ "x", "refresh_node_info", "cmnd/x/Status 0\n" },
		{ "x", "reset", "cmnd/x/Reset 6\n" },
		{ "x", "firmware_update",
		    "cmnd/x/OtaUrl http://h/t.bin\ncmnd/x/Upgrade 1\n" },
		{ "", "discover_nodes", "cmnd/tasmotas/Status 0\n" },
	};
	struct test_host *h = *state;

	h->labels = "assigned_firmware=http://h/t.bin";
	test_open(h, "{\"type\":\"tasmota\"}", false);
	for (size_t i = 0; i < COUNT_OF(acts); i++) {
		assert_int_equal(gateway_act(h->g, str_of(acts[i].node),
				     str_of(acts[i].action), &h->err),
		    0);
		test_was(&h->came, acts[i].came);
	}
	h->labels = "assigned_firmware=fw1";
	assert_int_equal(
	    gateway_act(h->g, STR("x"), STR("firmware_update"), &h->err),
	    ERR_PARAM);
	assert_int_equal(
	    gateway_act(h->g, STR(""), STR("reboot"), &h->err), ERR_PARAM);
	gateway_stop(h->g);
	assert_int_equal(
	    gateway_act(h->g, STR("x"), STR("reboot"), &h->err), ERR_CLOSED);
	test_was(&h->came, "");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST_FLOW(a_device_tells_its_topics_and_texts),
		TEST_FLOW(what_is_retained_is_news_once),
		TEST_FLOW(a_device_that_is_gone_is_addressed_by_the_setting),
		TEST_FLOW(more_devices_than_are_remembered_still_speak),
		TEST_FLOW(topics_of_devices_are_bounded),
		TEST_FLOW(what_stands_before_all_topics_is_put_before_once),
		TEST_FLOW(a_clock_that_is_right_but_for_its_zone_is_believed),
		TEST_FLOW(times_of_a_device_do_not_go_back),
		TEST_FLOW(a_command_is_sent_when_the_device_has_answered),
		TEST_FLOW(a_command_that_the_device_does_not_know_has_failed),
		TEST_FLOW(who_does_not_answer_holds_nobody_up),
		TEST_FLOW(closing_gives_up_what_is_not_answered),
		TEST_FLOW(nobody_answers_for_a_group_or_without_a_timeout),
		TEST_FLOW(a_frame_without_a_command_is_any_commands),
		TEST_FLOW(a_device_that_said_goodbye_is_not_tried),
		TEST_FLOW(what_failed_waits_until_the_device_is_back),
		TEST_FLOW(a_sleeper_is_awake_when_it_is_heard),
		TEST_FLOW(actions_are_commands),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
