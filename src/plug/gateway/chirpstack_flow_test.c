/*
 * plug/gateway/chirpstack_flow_test.c - what the ChirpStack provider does over
 * time: downlinks and what becomes of them, events that come twice.
 */
#include "plug/gateway/test_host.h"

#include "codec/json.h"

#define A "0102030405060708"
#define B "0102030405060709"
#define EVENT(eui, kind) "application/app/device/" eui "/event/" kind
#define PORT "{\"fPort\":5}"

static const char provider[] = "{\"type\":\"chirpstack\"}";

/* The id in the last downlink. */
static const char *
last_id(struct test_host *h)
{
	static char id[40];
	const char *at = NULL, *next = buf_z(&h->came);

	while ((next = strstr(next, "{\"id\":\"")) != NULL)
		at = next++;
	assert_non_null(at);
	snprintf(id, sizeof(id), "%.36s", at + 7);
	return id;
}

static void
say_of(struct test_host *h, const char *topic, const char *id, const char *more)
{
	char json[300];

	snprintf(json, sizeof(json), "{\"queueItemId\":\"%s\"%s}", id, more);
	test_say(h, topic, json);
}

static size_t
count_up(struct test_host *h)
{
	size_t n = 0;

	for (size_t i = 0; i < h->up.len; i++)
		n += h->up.ptr[i] == '\n';
	buf_clear(&h->up);
	return n;
}

/* --- up ------------------------------------------------------------------- */

static void
an_event_that_comes_twice_is_news_once(void **state)
{
	struct test_host *h = *state;

	test_open(h, "{\"type\":\"chirpstack\",\"remember\":2}", false);
	test_say(h, EVENT(A, "up"), "{\"deduplicationId\":\"1\"}");
	test_say(h, EVENT(A, "up"), "{\"deduplicationId\":\"1\"}");
	assert_int_equal(count_up(h), 1);
	/* of the same uplink, but news */
	test_say(h, EVENT(A, "status"), "{\"deduplicationId\":\"1\"}");
	assert_int_equal(count_up(h), 1);
	/* two are remembered */
	test_say(h, EVENT(A, "up"), "{\"deduplicationId\":\"1\"}");
	test_say(h, EVENT(A, "up"), "{\"deduplicationId\":\"2\"}");
	test_say(h, EVENT(A, "up"), "{\"deduplicationId\":\"1\"}");
	assert_int_equal(count_up(h), 2);
	/* without an id its number tells */
	test_say(h, EVENT(A, "up"), "{\"fCnt\":1,\"devAddr\":\"00000001\"}");
	test_say(h, EVENT(A, "up"), "{\"fCnt\":1,\"devAddr\":\"00000001\"}");
	assert_int_equal(count_up(h), 1);
	test_say(h, EVENT(A, "up"), "{\"fCnt\":1,\"devAddr\":\"00000002\"}");
	test_say(h, EVENT(B, "up"), "{\"fCnt\":1,\"devAddr\":\"00000001\"}");
	assert_int_equal(count_up(h), 2);
	test_say(h, EVENT(A, "log"), "{}");
	test_say(h, EVENT(A, "log"), "{}");
	assert_int_equal(count_up(h), 2);
	assert_int_equal(test_bad(h), 0);
}

static void
a_clock_that_runs_ahead_is_not_believed(void **state)
{
	struct test_host *h = *state;
	char text[TIME_TEXT_LEN + 1], json[80];

	test_open(h, provider, false);
	for (int i = 0; i < 2; i++) {
		time_format(clock_now() + (i == 0 ? 50000 : 70000), text);
		snprintf(json, sizeof(json), "{\"time\":\"%s\"}", text);
		test_say(h, EVENT(A, "join"), json);
		assert_true(
		    (strstr(buf_z(&h->up), "\"time\":") != NULL) == (i == 0));
		buf_clear(&h->up);
	}
	test_say(h, EVENT(A, "join"), "{\"time\":\"noon\"}");
	assert_int_equal(count_up(h), 1);
}

static void
what_is_no_event_is_counted(void **state)
{
	struct test_host *h = *state;

	test_open(h, provider, false);
	test_say(h, EVENT("x", "up"), "{}");
	test_say(h, EVENT(A, "up"), "");
	test_say(h, EVENT(A, "up"), "{\"data\":\"?\"}");
	test_say(h, EVENT(A, "sings"), "{}");
	assert_int_equal(test_bad(h), 4);
	assert_int_equal(count_up(h), 0);
	/* bytes that are none do not use up the id */
	test_say(
	    h, EVENT(A, "up"), "{\"deduplicationId\":\"1\",\"data\":\"?\"}");
	test_say(h, EVENT(A, "up"), "{\"deduplicationId\":\"1\"}");
	assert_int_equal(count_up(h), 1);
}

/* --- down ----------------------------------------------------------------- */

static void
a_downlink_says_all_that_chirpstack_needs(void **state)
{
	struct test_host *h = *state;
	char want[400];

	test_open(h, provider, false);
	test_say(h, "application/app/device/0A02030405060708/event/join", "{}");
	assert_int_equal(test_send(h, "0A02030405060708", "\x01\x02\xff",
			     "{\"fPort\":\"7\",\"confirmed\":true}", false),
	    0);
	snprintf(want, sizeof(want),
	    "application/app/device/0a02030405060708/command/down "
	    "{\"id\":\"%s\",\"devEui\":\"0a02030405060708\",\"confirmed\":true,"
	    "\"fPort\":7,\"data\":\"AQL/\"}\n",
	    last_id(h));
	test_was(&h->came, want);
	assert_int_equal(test_send(h, "0a02030405060708", "",
			     "{\"fPort\":7,\"object\":{\"a\":[1]}}", false),
	    0);
	snprintf(want, sizeof(want),
	    "application/app/device/0a02030405060708/command/down "
	    "{\"id\":\"%s\",\"devEui\":\"0a02030405060708\","
	    "\"confirmed\":false,\"fPort\":7,\"object\":{\"a\":[1]}}\n",
	    last_id(h));
	test_was(&h->came, want);
	/* bytes are what was meant; nothing is a payload, too */
	test_send(h, "0a02030405060708", "x",
	    "{\"fPort\":7,\"object\":{\"a\":[1]}}", false);
	assert_non_null(strstr(buf_z(&h->came), "\"data\":\"eA==\"}\n"));
	test_send(h, "0a02030405060708", "", "{\"fPort\":7}", false);
	assert_non_null(strstr(buf_z(&h->came), "\"data\":\"\"}\n"));
}

static void
a_wrong_frame_is_refused(void **state)
{
	static const struct {
		const char *node, *extension, *why;
	} wrong[] = {
		{ "x", PORT, "node: an EUI of 16 hex digits is needed" },
		{ A, NULL,
		    "extension: fPort: 1 to 223 is needed, there or in "
		    "provider.fPort" },
		{ A, "{\"fPort\":224}",
		    "extension: fPort: 1 to 223 is needed, there or in "
		    "provider.fPort" },
		{ A, "{\"fPort\":300}", "extension: fPort: must be 0 to 255" },
		{ A, "[]", NULL },
	};
	struct test_host *h = *state;

	test_open(h, provider, false);
	for (size_t i = 0; i < COUNT_OF(wrong); i++) {
		assert_int_equal(
		    test_send(h, wrong[i].node, "x", wrong[i].extension, false),
		    ERR_PARAM);
		if (wrong[i].why != NULL)
			assert_string_equal(h->err.text, wrong[i].why);
	}
	test_was(&h->told, "");
}

static void
unconfirmed_is_sent_when_a_radio_gateway_has_it(void **state)
{
	struct test_host *h = *state;

	test_open(h, provider, false);
	test_say(h, EVENT(A, "join"), "{}");
	test_send(h, A, "x", PORT, false);
	say_of(h, EVENT(A, "txack"), "somebody-else", "");
	test_was(&h->told, "");
	say_of(h, EVENT(A, "txack"), last_id(h), ",\"gatewayId\":\"g\"");
	test_was(&h->told, "sent;");
	say_of(h, EVENT(A, "txack"), last_id(h), ""); /* again */
	test_was(&h->told, "");
	assert_int_equal(count_up(h), 1); /* the join */
}

static void
confirmed_is_sent_when_the_device_has_it(void **state)
{
	struct test_host *h = *state;

	test_open(h, "{\"type\":\"chirpstack\",\"confirmed\":true}", false);
	test_say(h, EVENT(A, "join"), "{}");
	test_send(h, A, "x", PORT, false);
	say_of(h, EVENT(A, "txack"), last_id(h), "");
	test_was(&h->told, "");
	say_of(h, EVENT(A, "ack"), last_id(h), ",\"acknowledged\":true");
	test_was(&h->told, "sent;");
	test_send(h, A, "x", PORT, false);
	say_of(h, EVENT(A, "ack"), last_id(h), ""); /* false is absent */
	test_was(&h->told, "failed " A " did not confirm it;");
	test_send(h, A, "x", "{\"fPort\":5,\"confirmed\":false}", false);
	say_of(h, EVENT(A, "txack"), last_id(h), "");
	test_was(&h->told, "sent;");
}

/* ChirpStack takes one id once, so that nothing is sent twice. */
static void
what_is_sent_again_has_the_same_id(void **state)
{
	struct test_host *h = *state;
	char first[40];

	test_open(h, "{\"type\":\"chirpstack\",\"confirmed\":true}", true);
	test_say(h, EVENT(A, "join"), "{}");
	test_send(h, A, "x", PORT, false);
	snprintf(first, sizeof(first), "%s", last_id(h));
	buf_clear(&h->came);
	say_of(h, EVENT(A, "ack"), first, "");
	test_was(&h->told, ""); /* it waits until the device is heard */
	test_was(&h->came, "");
	test_say(h, EVENT(A, "up"), "{}");
	assert_string_equal(last_id(h), first);
	say_of(h, EVENT(A, "ack"), first, ",\"acknowledged\":true");
	test_was(&h->told, "sent;");
	test_send(h, A, "x", PORT, false);
	assert_string_not_equal(last_id(h), first);
}

static void
what_chirpstack_throws_away_has_failed(void **state)
{
	struct test_host *h = *state;
	char json[300];

	test_open(h, provider, false);
	test_say(h, EVENT(A, "join"), "{}");
	test_send(h, A, "x", PORT, false);
	snprintf(json, sizeof(json),
	    "{\"code\":\"UNKNOWN\",\"context\":{\"queue_item_id\":\"%s\"}}",
	    last_id(h));
	test_say(h, EVENT(A, "log"), json); /* INFO */
	test_was(&h->told, "");
	test_say(h, EVENT(A, "log"),
	    "{\"level\":\"ERROR\",\"code\":\"UPLINK_CODEC\",\"context\":"
	    "{\"queue_item_id\":\"other\",\"n\":7}}");
	test_was(&h->told, "");
	snprintf(json, sizeof(json),
	    "{\"level\":\"ERROR\",\"code\":\"DOWNLINK_PAYLOAD_SIZE\","
	    "\"description\":\"51 at most\",\"context\":{\"a\":\"b\","
	    "\"queue_item_id\":\"%s\"}}",
	    last_id(h));
	test_say(h, EVENT(A, "log"), json);
	test_was(
	    &h->told, "failed ChirpStack: DOWNLINK_PAYLOAD_SIZE: 51 at most;");
	test_send(h, A, "x", PORT, false);
	snprintf(json, sizeof(json),
	    "{\"code\":\"EXPIRED\",\"context\":{\"queue_item_id\":\"%s\"}}",
	    last_id(h));
	test_say(h, EVENT(A, "log"), json);
	test_was(&h->told, "failed ChirpStack: EXPIRED: ;");
}

static void
a_device_that_is_silent_for_hours_holds_nobody_up(void **state)
{
	struct test_host *h = *state;
	char first[40];

	test_open(h, provider, false);
	test_say(h, EVENT(A, "join"), "{}");
	test_say(h, EVENT(B, "join"), "{}");
	test_send(h, A, "x", PORT, false);
	snprintf(first, sizeof(first), "%s", last_id(h));
	clock_advance(3600000);
	test_send(h, B, "x", PORT, false);
	say_of(h, EVENT(B, "txack"), last_id(h), "");
	test_was(&h->told, "sent;");
	gateway_stop(h->g);
	gateway_start(h->g);
	test_turn(h);
	clock_advance(22 * 3600000);
	test_turn(h);
	test_was(&h->told, "");
	say_of(h, EVENT(A, "txack"), first, "");
	test_was(&h->told, "sent;");
	test_send(h, A, "x", PORT, false);
	clock_advance(24 * 3600000);
	test_turn(h);
	test_was(&h->told,
	    "failed no radio gateway took the downlink in time: " A
	    " (provider.timeout);");
}

static void
a_downlink_may_expire_and_need_not_be_waited_for(void **state)
{
	struct test_host *h = *state;
	const char *at;
	int64_t until, before;

	test_open(h,
	    "{\"type\":\"chirpstack\",\"expire\":true,\"timeout\":\"1h\","
	    "\"fPort\":3,\"applicationId\":\"app\"}",
	    false);
	before = clock_now();
	test_send(h, A, "x", NULL, false);
	at = strstr(buf_z(&h->came), "\"expiresAt\":\"");
	assert_non_null(at);
	assert_true(time_parse((struct str){ at + 13, TIME_TEXT_LEN }, &until));
	assert_true(until >= before + 3600000);
	assert_true(until <= clock_now() + 3600000);
	gateway_close(h->g);
	test_was(&h->told, "failed the gateway was closed;");
	buf_clear(&h->came);
	test_open(h,
	    "{\"type\":\"chirpstack\",\"expire\":true,\"timeout\":\"0\","
	    "\"fPort\":3,\"applicationId\":\"app\"}",
	    false);
	test_send(h, A, "x", NULL, false);
	test_was(&h->told, "sent;");
	assert_null(strstr(buf_z(&h->came), "expiresAt"));
}

static void
an_application_is_learnt_or_told(void **state)
{
	struct test_host *h = *state;

	test_open(h,
	    "{\"type\":\"chirpstack\",\"maxDevices\":1,\"timeout\":"
	    "\"0\"}",
	    false);
	test_send(h, A, "x", PORT, false);
	test_was(&h->told,
	    "failed the application of " A
	    " is not known: it was not heard yet, and "
	    "provider.applicationId is empty;");
	h->labels = "application_id=kept"; /* before it restarted */
	test_send(h, A, "x", PORT, false);
	assert_non_null(strstr(
	    buf_z(&h->came), "application/kept/device/" A "/command/down "));
	buf_clear(&h->came);
	test_say(h, "application/one/device/" A "/event/up", "{}");
	test_say(h, "application/two/device/" A "/event/status", "{}");
	test_send(h, A, "x", PORT, false);
	assert_non_null(strstr(buf_z(&h->came), "application/two/device/" A));
	buf_clear(&h->came);
	test_say(h, EVENT(B, "up"), "{}"); /* takes the place */
	test_send(h, A, "x", PORT, false);
	assert_non_null(strstr(buf_z(&h->came), "application/kept/device/"));
	buf_clear(&h->came);
	test_send(h, B, "x", PORT, false);
	assert_non_null(strstr(buf_z(&h->came), "application/app/device/" B));
}

static void
a_sleeper_is_awake_after_its_uplink(void **state)
{
	struct test_host *h = *state;

	test_open(h, provider, false);
	test_send(h, A, "x", PORT, true);
	test_say(h, EVENT(A, "status"), "{}");
	test_was(&h->came, "");
	test_say(h, EVENT(A, "up"), "{}");
	assert_non_null(strstr(buf_z(&h->came), "/command/down"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST_FLOW(an_event_that_comes_twice_is_news_once),
		TEST_FLOW(a_clock_that_runs_ahead_is_not_believed),
		TEST_FLOW(what_is_no_event_is_counted),
		TEST_FLOW(a_downlink_says_all_that_chirpstack_needs),
		TEST_FLOW(a_wrong_frame_is_refused),
		TEST_FLOW(unconfirmed_is_sent_when_a_radio_gateway_has_it),
		TEST_FLOW(confirmed_is_sent_when_the_device_has_it),
		TEST_FLOW(what_is_sent_again_has_the_same_id),
		TEST_FLOW(what_chirpstack_throws_away_has_failed),
		TEST_FLOW(a_device_that_is_silent_for_hours_holds_nobody_up),
		TEST_FLOW(a_downlink_may_expire_and_need_not_be_waited_for),
		TEST_FLOW(an_application_is_learnt_or_told),
		TEST_FLOW(a_sleeper_is_awake_after_its_uplink),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
