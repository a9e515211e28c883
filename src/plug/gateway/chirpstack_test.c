/*
 * plug/gateway/chirpstack_test.c - what ChirpStack's events become, and what is
 * said in them. Events are as version 4 sends them, less what nobody reads.
 */
#include "plug/gateway/chirpstack.h"

#include "base/base.h"
#include "base/test.h"
#include "plug/gateway/test_messages.h"

#define INFO                                                                   \
	"\"deviceInfo\":{\"tenantId\":\"52f14cd4-c6f1-4fbd-8f87-"              \
	"4025e1d49242\","                                                      \
	"\"tenantName\":\"t\",\"applicationId\":\"app-1\","                    \
	"\"applicationName\":\"Farm\",\"deviceProfileId\":\"p-1\","            \
	"\"deviceProfileName\":\"LHT65\",\"deviceName\":\"Barn\","             \
	"\"devEui\":\"0102030405060708\",\"deviceClassEnabled\":\"CLASS_A\","  \
	"\"tags\":{\"room\":\"barn\",\"application_id\":\"no\"}}"
#define DEVICE                                                                 \
	"\"device\":{\"name\":\"Barn\",\"profile\":\"LHT65\","                 \
	"\"application\":\"Farm\",\"applicationId\":\"app-1\","                \
	"\"tags\":{\"room\":\"barn\",\"application_id\":\"no\"}}"
#define TIME "\"time\":\"2026-01-02T10:00:00.123456789+00:00\""
#define NODE                                                                   \
	"presentation 0102030405060708 @1767348000123 "                        \
	"{\"room\":\"barn\",\"application_id\":\"app-1\"}: name=\"Barn\", "    \
	"device_profile=\"LHT65\", application=\"Farm\""

static const struct {
	const char *kind, *json;
	const char *frame; /* "data in hex {extension}"; "! ...": is refused */
	const char *says;
} events[] = {
	{ "up",
	    "{\"deduplicationId\":\"3ac7e3c4-4401-4b8d-9386-"
	    "a5c902f9202d\"," TIME "," INFO
	    ",\"devAddr\":\"00189440\",\"adr\":true,\"dr\":5,"
	    "\"fCnt\":7,\"fPort\":2,\"confirmed\":true,\"data\":\"AQID/w==\","
	    "\"object\":{\"battery\":3.1,\"soil\":{\"t\":12,\"ph\":[6,7]}},"
	    "\"rxInfo\":[{\"gatewayId\":\"g1\",\"uplinkId\":1,\"rssi\":-48,"
	    "\"snr\":9,\"channel\":3,\"location\":{},\"metadata\":{}},"
	    "{\"gatewayId\":\"g2\",\"rssi\":-36,\"snr\":10.5},"
	    "{\"gatewayId\":\"g3\",\"rssi\":-90,\"snr\":10.5}],"
	    "\"txInfo\":{\"frequency\":867100000,\"modulation\":{\"lora\":"
	    "{\"bandwidth\":125000,\"spreadingFactor\":7,\"codeRate\":"
	    "\"CR_4_5\"}}},\"regionConfigId\":\"eu868\"}",
	    "010203ff {\"event\":\"up\"," TIME
	    ",\"deduplicationId\":\"3ac7e3c4-4401-4b8d-9386-"
	    "a5c902f9202d\"," DEVICE
	    ",\"devAddr\":\"00189440\",\"fPort\":2,\"fCnt\":7,\"dr\":5,"
	    "\"adr\":true,\"confirmed\":true,\"rxInfo\":{\"gatewayId\":\"g2\","
	    "\"rssi\":-36,\"snr\":10.5,\"count\":3},\"frequency\":867100000,"
	    "\"spreadingFactor\":7,\"bandwidth\":125000,\"object\":"
	    "{\"battery\":3.1,\"soil\":{\"t\":12,\"ph\":[6,7]}}}",
	    NODE
	    ", dev_addr=\"00189440\"\n"
	    "presentation 0102030405060708/radio @1767348000123: "
	    "name=\"radio\"\n"
	    "set 0102030405060708/radio @1767348000123: rssi=-36 gauge dBm, "
	    "snr=10.5 gauge_float dB, gateway=\"g2\" none, gateways=3 gauge, "
	    "data_rate=5 gauge, spreading_factor=7 gauge, "
	    "frequency=867100000 gauge Hz, frame_counter=7 counter\n"
	    "set 0102030405060708/data @1767348000123 decoded: battery=3.1\n"
	    "set 0102030405060708/soil @1767348000123 decoded: t=12, ph_0=6, "
	    "ph_1=7\n" },
	/* everything has its default */
	{ "up", "{}",
	    " {\"event\":\"up\",\"device\":{\"name\":\"\",\"profile\":\"\","
	    "\"application\":\"\",\"applicationId\":\"app-1\",\"tags\":{}},"
	    "\"devAddr\":\"\",\"fPort\":0,\"fCnt\":0,\"dr\":0,\"adr\":false,"
	    "\"confirmed\":false,\"rxInfo\":{\"gatewayId\":\"\",\"rssi\":0,"
	    "\"snr\":0,\"count\":0},\"frequency\":0,\"spreadingFactor\":0,"
	    "\"bandwidth\":0}",
	    "presentation 0102030405060708 {\"application_id\":\"app-1\"}:\n"
	    "presentation 0102030405060708/radio: name=\"radio\"\n"
	    "set 0102030405060708/radio: gateways=0 gauge, data_rate=0 gauge, "
	    "frame_counter=0 counter\n" },
	/* an SNR and an RSSI of 0 are absent, too; numbers may be texts */
	{ "up",
	    "{\"fCnt\":\"4294967295\",\"data\":\"AA\",\"rxInfo\":[{"
	    "\"gatewayId\":\"g1\",\"snr\":-3.25,\"rssi\":-100},"
	    "{\"gatewayId\":\"g2\"}]}",
	    "00 {\"event\":\"up\",\"device\":{\"name\":\"\",\"profile\":\"\","
	    "\"application\":\"\",\"applicationId\":\"app-1\",\"tags\":{}},"
	    "\"devAddr\":\"\",\"fPort\":0,\"fCnt\":4294967295,\"dr\":0,"
	    "\"adr\":false,\"confirmed\":false,\"rxInfo\":{\"gatewayId\":"
	    "\"g2\",\"rssi\":0,\"snr\":0,\"count\":2},\"frequency\":0,"
	    "\"spreadingFactor\":0,\"bandwidth\":0}",
	    "presentation 0102030405060708 {\"application_id\":\"app-1\"}:\n"
	    "presentation 0102030405060708/radio: name=\"radio\"\n"
	    "set 0102030405060708/radio: rssi=0 gauge dBm, "
	    "snr=0 gauge_float dB, gateway=\"g2\" none, gateways=2 gauge, "
	    "data_rate=0 gauge, frame_counter=4294967295 counter\n" },
	{ "join", "{" TIME "," INFO ",\"devAddr\":\"00189440\"}",
	    " {\"event\":\"join\"," TIME "," DEVICE
	    ",\"devAddr\":\"00189440\"}",
	    NODE ", dev_addr=\"00189440\", "
		 "joined_on=\"2026-01-02T10:00:00.123456789+00:00\"\n" },
	{ "status",
	    "{" TIME "," INFO ",\"margin\":7,\"externalPowerSource\":false,"
	    "\"batteryLevelUnavailable\":false,\"batteryLevel\":75.59}",
	    " {\"event\":\"status\"," TIME "," DEVICE
	    ",\"margin\":7,\"externalPowerSource\":false,"
	    "\"batteryLevel\":75.59}",
	    NODE "\nset 0102030405060708 @1767348000123: battery_level=75.59, "
		 "external_power=false, margin=7\n" },
	{ "status", "{" TIME "," INFO ",\"margin\":-3}", /* empty */
	    " {\"event\":\"status\"," TIME "," DEVICE
	    ",\"margin\":-3,\"externalPowerSource\":false,"
	    "\"batteryLevel\":0}",
	    NODE "\nset 0102030405060708 @1767348000123: battery_level=0, "
		 "external_power=false, margin=-3\n" },
	{ "status", "{" TIME "," INFO ",\"externalPowerSource\":true}",
	    " {\"event\":\"status\"," TIME "," DEVICE
	    ",\"margin\":0,\"externalPowerSource\":true}",
	    NODE "\nset 0102030405060708 @1767348000123: external_power=true, "
		 "margin=0\n" },
	{ "status", "{" TIME "," INFO ",\"batteryLevelUnavailable\":true}",
	    " {\"event\":\"status\"," TIME "," DEVICE
	    ",\"margin\":0,\"externalPowerSource\":false}",
	    NODE "\nset 0102030405060708 @1767348000123: "
		 "external_power=false, margin=0\n" },
	{ "log",
	    "{" TIME "," INFO ",\"level\":\"ERROR\",\"code\":\"UPLINK_CODEC\","
	    "\"description\":\"bad \\\"x\\\"\",\"context\":{\"a\":\"b\"}}",
	    " {\"event\":\"log\"," TIME "," DEVICE
	    ",\"level\":\"ERROR\",\"code\":\"UPLINK_CODEC\","
	    "\"description\":\"bad \\\"x\\\"\"}",
	    NODE ", log=\"UPLINK_CODEC: bad \\\"x\\\"\", "
		 "log_level=\"ERROR\"\n" },
	{ "log", "{" TIME "," INFO "}",
	    " {\"event\":\"log\"," TIME "," DEVICE
	    ",\"level\":\"INFO\",\"code\":\"UNKNOWN\",\"description\":\"\"}",
	    NODE ", log=\"UNKNOWN: \", log_level=\"INFO\"\n" },
	{ "location",
	    "{" TIME "," INFO ",\"location\":{\"latitude\":52.520008,"
	    "\"longitude\":-13.4,\"altitude\":34.5,\"source\":\"UNKNOWN\"}}",
	    " {\"event\":\"location\"," TIME "," DEVICE
	    ",\"location\":{\"latitude\":52.520008,\"longitude\":-13.4,"
	    "\"altitude\":34.5}}",
	    NODE "\npresentation 0102030405060708/location @1767348000123: "
		 "name=\"location\"\n"
		 "set 0102030405060708/location @1767348000123: "
		 "position=\"52.520008;-13.4;34.5\" geo\n" },
	{ "location", "{" TIME "," INFO ",\"location\":{\"longitude\":1}}",
	    " {\"event\":\"location\"," TIME "," DEVICE
	    ",\"location\":{\"latitude\":0,\"longitude\":1,\"altitude\":0}}",
	    NODE "\npresentation 0102030405060708/location @1767348000123: "
		 "name=\"location\"\n"
		 "set 0102030405060708/location @1767348000123: "
		 "position=\"0;1;0\" geo\n" },
	{ "integration",
	    "{" TIME "," INFO ",\"integrationName\":\"loraCloud\","
	    "\"eventType\":\"modem\",\"object\":{\"rtime\":5,"
	    "\"gnss\":{\"n\":4}}}",
	    " {\"event\":\"integration\"," TIME "," DEVICE
	    ",\"object\":{\"rtime\":5,\"gnss\":{\"n\":4}},"
	    "\"integrationName\":\"loraCloud\",\"eventType\":\"modem\"}",
	    NODE "\nset 0102030405060708/loraCloud @1767348000123: rtime=5\n"
		 "set 0102030405060708/gnss @1767348000123: n=4\n" },
	/* what is refused */
	{ "up",
	    "\n\x24"
	    "3ac7e3c4",
	    "! not JSON: in chirpstack.toml, [integration.mqtt] needs "
	    "json=true",
	    NULL },
	{ "up", "{\"data\":\"?\"}", "! data is not base64", NULL },
	{ "up", "{\"deviceInfo\":{\"devEui\":\"0102030405060709\"}}",
	    "! deviceInfo.devEui is not that of the topic", NULL },
	{ "up", "{\"fCnt\":1", "! line 1 column ", NULL },
	{ "up", "", "! line 1 column ", NULL },
	{ "up", " \n", "! line 1 column ", NULL },
	{ "up", "{\"rxInfo\":7}", "! rxInfo: ", NULL },
	{ "stats", "{}", "! an event stats is not known", NULL },
};

static void
compare(const struct buf *b, const char *want)
{
	struct str s = buf_str(b);

	if (want[0] == '!' && str_starts(s, str_of(want)))
		return;
	assert_string_equal(b->ptr, want);
}

static void
events_become_frames_and_frames_say_them(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT_OF(events); i++) {
		struct arena a = { 0 };
		struct gateway_messages m = { .a = &a };
		struct chirpstack_event e;
		struct gateway_frame f = { 0 };
		struct buf b = { 0 };
		struct err err = { 0 };
		struct str topic = arena_printf(&a,
		    "application/app-1/device/0102030405060708/event/%s",
		    events[i].kind);

		if (chirpstack_event(
			&a, topic, str_of(events[i].json), &e, &err) != 0 ||
		    chirpstack_frame(&a, &e, &f, &err) != 0) {
			buf_addf(&b, "! %s", err.text);
		} else {
			hex_encode(&b, f.data.ptr, f.data.len);
			buf_addf(&b, " " STR_FMT, STR_ARG(f.extension));
		}
		(void)buf_z(&b);
		compare(&b, events[i].frame);
		buf_clear(&b);
		if (events[i].says != NULL) {
			assert_int_equal(chirpstack_read(&f, &m, &err), 0);
			test_messages(&b, m.at, m.n);
			assert_string_equal(buf_z(&b), events[i].says);
		}
		buf_free(&b);
		arena_fini(&a);
	}
}

static void
a_device_is_the_one_in_the_topic(void **state)
{
	static const struct {
		const char *topic, *node, *application, *kind;
	} topics[] = {
		{ "application/a/device/A84041FFFF123456/event/up",
		    "a84041ffff123456", "a", "up" },
		{ "x/y/application/b/device/0102030405060708/event/join",
		    "0102030405060708", "b", "join" },
		{ "application/a/device/010203040506070/event/up", NULL, NULL,
		    NULL },
		{ "application/a/device/010203040506070g/event/up", NULL, NULL,
		    NULL },
		{ "application/a/device/0102030405060708/command/down", NULL,
		    NULL, NULL },
		{ "eu868/gateway/0102030405060708/event/up", NULL, NULL, NULL },
		{ "application//device/0102030405060708/event/up", NULL, NULL,
		    NULL },
		{ "application/"
		  "0123456789012345678901234567890123456789012345678901"
		  "0123456789012345678901234567890123456789012345678/device/"
		  "0102030405060708/event/up",
		    NULL, NULL, NULL },
		{ "device/0102030405060708/event/up", NULL, NULL, NULL },
		{ "", NULL, NULL, NULL },
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(topics); i++) {
		struct arena a = { 0 };
		struct chirpstack_event e;
		struct err err;
		int rc = chirpstack_event(
		    &a, str_of(topics[i].topic), STR("{}"), &e, &err);

		assert_int_equal(rc, topics[i].node == NULL ? ERR_PARAM : 0);
		if (rc == 0) {
			assert_true(str_eqz(e.node, topics[i].node));
			assert_true(
			    str_eqz(e.application, topics[i].application));
			assert_true(str_eqz(e.kind, topics[i].kind));
		}
		arena_fini(&a);
	}
}

static void
what_is_no_frame_of_chirpstack_is_not_read(void **state)
{
	static const struct {
		const char *extension, *why;
	} bad[] = {
		{ NULL, "extension: an event  is not known" },
		{ "{\"event\":\"ack\"}",
		    "extension: an event ack is not known" },
		{ "[]", "extension: line 1 column 1" },
		{ "{\"event\":\"up\",\"time\":\"noon\"}",
		    "extension: time: a time is needed" },
		{ "{\"event\":\"up\",\"rxInfo\":3}", "extension: rxInfo" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(bad); i++) {
		struct arena a = { 0 };
		struct gateway_messages m = { .a = &a };
		struct gateway_frame f = { .node = STR("0102030405060708"),
			.extension = str_of(bad[i].extension) };
		struct err err;

		assert_int_equal(chirpstack_read(&f, &m, &err), ERR_PARAM);
		if (!str_starts(str_of(err.text), str_of(bad[i].why)))
			assert_string_equal(err.text, bad[i].why);
		arena_fini(&a);
	}
}

static void
values_become_objects_for_chirpstacks_codec(void **state)
{
	static const struct {
		enum gateway_type type;
		const char *source, *key, *value;
		const char *extension; /* "! ...": is refused */
	} writes[] = {
		{ GATEWAY_SET, "data", "valve", "true",
		    "{\"object\":{\"valve\":true},\"slot\":\"data/valve\"}" },
		{ GATEWAY_SET, "tank", "le\"vel", "[1,\"x\"]",
		    "{\"object\":{\"tank\":{\"le\\\"vel\":[1,\"x\"]}},"
		    "\"slot\":\"tank/le\\\"vel\"}" },
		{ GATEWAY_REQUEST, "data", "valve", "true",
		    "! a LoRaWAN device can not be asked for a value" },
		{ GATEWAY_SET, "data", "valve", NULL, "! one value is needed" },
		{ GATEWAY_SET, "data", "", "1", "! one value is needed" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(writes); i++) {
		struct arena a = { 0 };
		struct gateway_frame f;
		struct gateway_payload p = { .key = str_of(writes[i].key),
			.value = str_of(writes[i].value) };
		struct gateway_message m = { .type = writes[i].type,
			.node = STR("0102030405060708"),
			.source = str_of(writes[i].source),
			.payloads = &p,
			.n_payloads = 1 };
		struct err err;

		if (chirpstack_write(&m, &a, &f, &err) != 0) {
			assert_string_equal(err.text, writes[i].extension + 2);
		} else {
			assert_true(str_eqz(f.extension, writes[i].extension));
			assert_int_equal(f.data.len, 0);
		}
		arena_fini(&a);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(events_become_frames_and_frames_say_them),
		cmocka_unit_test(a_device_is_the_one_in_the_topic),
		cmocka_unit_test(what_is_no_frame_of_chirpstack_is_not_read),
		cmocka_unit_test(values_become_objects_for_chirpstacks_codec),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
