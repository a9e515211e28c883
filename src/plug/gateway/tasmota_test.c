/*
 * plug/gateway/tasmota_test.c - what Tasmota's messages say, what is said to
 * its devices, and how their topics are made. Payloads are as firmware 12 and
 * 13 send them.
 */
#include "plug/gateway/tasmota.h"

#include "base/base.h"
#include "base/test.h"
#include "codec/json.h"
#include "plug/gateway/tasmota_device.h"
#include "plug/gateway/test_messages.h"

/* --- reading -------------------------------------------------------------- */

static const struct {
	const char *topic, *extension; /* more of it */
	const char *data;
	const char *says; /* "! ...": is refused, why */
} frames[] = {
	/* STATE of a plug and of a lamp */
	{ "tele/x/STATE", "",
	    "{\"Time\":\"2026-01-02T10:00:00\",\"Uptime\":\"0T01:00:10\","
	    "\"UptimeSec\":3610,\"Heap\":27,\"SleepMode\":\"Dynamic\","
	    "\"Sleep\":50,\"LoadAvg\":19,\"MqttCount\":1,\"POWER\":\"ON\","
	    "\"Wifi\":{\"AP\":1,\"SSId\":\"home\",\"BSSId\":"
	    "\"02:00:00:00:00:01\",\"Channel\":6,\"Mode\":\"11n\",\"RSSI\":62,"
	    "\"Signal\":-69,\"LinkCount\":1,\"Downtime\":\"0T00:00:03\"}}",
	    "presentation x/Memory: name=\"Memory\"\n"
	    "set x/Memory: Heap=27 gauge KiB\n"
	    "presentation x/Control: name=\"Control\"\n"
	    "set x/Control: LoadAvg=19 gauge, POWER=true binary\n"
	    "presentation x/WiFi: name=\"WiFi\"\n"
	    "set x/WiFi: SSId=\"home\" none, BSSId=\"02:00:00:00:00:01\" none, "
	    "Channel=6 none, Mode=\"11n\" none, RSSI=62 gauge %, "
	    "Signal=-69 gauge dBm, Downtime=\"0T00:00:03\" none\n" },
	{ "home/kitchen/tele/STATE", ",\"time\":\"2026-01-02T09:00:00Z\"",
	    "{\"POWER1\":\"OFF\",\"POWER2\":\"ON\",\"Dimmer\":30,"
	    "\"Color\":\"4D2600\",\"HSBColor\":\"30,100,30\",\"Channel\":[30,"
	    "15,"
	    "0],\"Scheme\":0,\"Fade\":\"OFF\",\"Speed\":1,\"LedTable\":\"ON\","
	    "\"CT\":153,\"Shutter1\":{\"Position\":40,\"Direction\":0},"
	    "\"Nothing\":null}",
	    "presentation x/Control @1767344400000: name=\"Control\"\n"
	    "set x/Control @1767344400000: POWER1=false binary, "
	    "POWER2=true binary, Dimmer=30 gauge %, Color=\"4D2600\" none, "
	    "HSBColor=\"30,100,30\" none, HSBColor1=30 gauge °, "
	    "HSBColor2=100 gauge %, HSBColor3=30 gauge %, Scheme=0 none, "
	    "Fade=false binary, Speed=1 gauge, CT=153 gauge mired\n"
	    "presentation x/Shutter1 @1767344400000: name=\"Shutter1\"\n"
	    "set x/Shutter1 @1767344400000: Position=40 gauge %, "
	    "Direction=0\n" },
	/* SENSOR */
	{ "tele/x/SENSOR", "",
	    "{\"Time\":\"2026-01-02T10:00:00\",\"ENERGY\":{\"TotalStartTime\":"
	    "\"2025-01-01T00:00:00\",\"Total\":12.345,\"Yesterday\":0.5,"
	    "\"Today\":0.25,\"Period\":1,\"Power\":40,\"ApparentPower\":50,"
	    "\"ReactivePower\":30,\"Factor\":0.8,\"Frequency\":50,"
	    "\"Voltage\":230,\"Current\":0.217}}",
	    "presentation x/ENERGY: name=\"ENERGY\"\n"
	    "set x/ENERGY: TotalStartTime=\"2025-01-01T00:00:00\" none, "
	    "Total=12.345 gauge_float kWh, Yesterday=0.5 gauge_float kWh, "
	    "Today=0.25 gauge_float kWh, Period=1 gauge_float Wh, "
	    "Power=40 gauge_float W, ApparentPower=50 gauge_float VA, "
	    "ReactivePower=30 gauge_float var, Factor=0.8 gauge_float, "
	    "Frequency=50 gauge_float Hz, Voltage=230 gauge_float V, "
	    "Current=0.217 gauge_float A\n" },
	{ "tele/x/SENSOR", "",
	    "{\"ENERGY\":{\"Power\":[1.5,2],\"Total\":[0.1,0.2]},"
	    "\"DS18B20-1\":{\"Id\":\"00000A1\",\"Temperature\":68.5},"
	    "\"AM2301\":{\"Temperature\":70.1,\"Humidity\":40.0,\"DewPoint\":"
	    "44.6},\"BME280\":{\"Pressure\":29.92,\"Temperature\":null},"
	    "\"ANALOG\":{\"A0\":512},\"COUNTER\":{\"C1\":7},"
	    "\"Switch1\":\"OFF\",\"MHZ19B\":{\"CarbonDioxide\":450,"
	    "\"Model\":\"B\"},\"PressureUnit\":\"inHg\",\"TempUnit\":\"F\"}",
	    "presentation x/ENERGY: name=\"ENERGY\"\n"
	    "set x/ENERGY: Power_0=1.5 gauge_float W, Power_1=2 gauge_float W, "
	    "Total_0=0.1 gauge_float kWh, Total_1=0.2 gauge_float kWh\n"
	    "presentation x/DS18B20-1: name=\"DS18B20-1\"\n"
	    "set x/DS18B20-1: Id=\"00000A1\" none, "
	    "Temperature=68.5 gauge_float °F\n"
	    "presentation x/AM2301: name=\"AM2301\"\n"
	    "set x/AM2301: Temperature=70.1 gauge_float °F, "
	    "Humidity=40.0 gauge_float %, DewPoint=44.6 gauge_float °F\n"
	    "presentation x/BME280: name=\"BME280\"\n"
	    "set x/BME280: Pressure=29.92 gauge_float inHg\n"
	    "presentation x/Analog: name=\"Analog\"\n"
	    "set x/Analog: A0=512 gauge\n"
	    "presentation x/Counter: name=\"Counter\"\n"
	    "set x/Counter: C1=7 counter\n"
	    "presentation x/Control: name=\"Control\"\n"
	    "set x/Control: Switch1=false binary\n"
	    "presentation x/MHZ19B: name=\"MHZ19B\"\n"
	    "set x/MHZ19B: CarbonDioxide=450 gauge_float ppm, "
	    "Model=\"B\"\n" },
	/* INFO, as of now and as it was */
	{ "tele/x/INFO1", "",
	    "{\"Info1\":{\"Module\":\"Sonoff Basic\",\"Version\":"
	    "\"12.5.0(tasmota)\",\"FallbackTopic\":\"cmnd/DVES_A1B2C3_fb/\","
	    "\"GroupTopic\":\"cmnd/tasmotas/\"}}",
	    "presentation x {\"version\":\"12.5.0(tasmota)\"}: "
	    "module=\"Sonoff Basic\", "
	    "fallback_topic=\"cmnd/DVES_A1B2C3_fb/\", "
	    "group_topic=\"cmnd/tasmotas/\"\n" },
	{ "tele/x/INFO2", "",
	    "{\"WebServerMode\":\"Admin\",\"Hostname\":\"x-1\","
	    "\"IPAddress\":\"192.0.2.7\"}",
	    "presentation x: hostname=\"x-1\", ip_address=\"192.0.2.7\", "
	    "node_web_url=\"http://192.0.2.7\"\n" },
	{ "tele/x/INFO3", "",
	    "{\"Info3\":{\"RestartReason\":\"Power On\",\"BootCount\":12}}",
	    "presentation x: restart_reason=\"Power On\", boot_count=12\n" },
	/* LWT */
	{ "tele/x/LWT", "", "Online", "set x: status=\"up\"\n" },
	{ "tele/x/LWT", "", "Offline", "set x: status=\"down\"\n" },
	{ "tele/x/LWT", ",\"online\":false", "bye",
	    "set x: status=\"down\"\n" },
	{ "tele/x/LWT", "", "bye",
	    "! LWT is neither Online nor Offline, and the device's discovery "
	    "did not say otherwise" },
	/* RESULT */
	{ "stat/x/RESULT", "", "{\"POWER\":\"ON\"}",
	    "presentation x/Control: name=\"Control\"\n"
	    "set x/Control: POWER=true binary\n" },
	{ "stat/x/RESULT", ",\"on\":\"AN\"", "{\"POWER4\":\"AN\"}",
	    "presentation x/Control: name=\"Control\"\n"
	    "set x/Control: POWER4=true binary\n" },
	{ "stat/x/RESULT", ",\"on\":\"AN\"", "{\"POWER4\":\"AUS\"}",
	    "presentation x/Control: name=\"Control\"\n"
	    "set x/Control: POWER4=false binary\n" },
	{ "stat/x/RESULT", "", "{\"Sleep\":50,\"TelePeriod\":300}",
	    "presentation x/Control: name=\"Control\"\n"
	    "set x/Control: Sleep=50 none, TelePeriod=300 none\n" },
	{ "stat/x/RESULT", "", "{\"Command\":\"Unknown\"}", "" },
	{ "tele/x/RESULT", "",
	    "{\"IrReceived\":{\"Protocol\":\"NEC\",\"Bits\":32,"
	    "\"Data\":\"0x00FF00FF\",\"Repeat\":0}}",
	    "presentation x/IrReceived: name=\"IrReceived\"\n"
	    "set x/IrReceived: Protocol=\"NEC\", Bits=32, "
	    "Data=\"0x00FF00FF\", Repeat=0\n" },
	{ "stat/x/DIMMER", "", "{\"POWER\":\"ON\",\"Dimmer\":5}",
	    "presentation x/Control: name=\"Control\"\n"
	    "set x/Control: POWER=true binary, Dimmer=5 gauge %\n" },
	/* STATUS */
	{ "stat/x/STATUS", "",
	    "{\"Status\":{\"Module\":1,\"DeviceName\":\"Plug\","
	    "\"FriendlyName\":[\"Lamp\",\"Fan\"],\"Topic\":\"x\",\"Power\":1,"
	    "\"PowerOnState\":3}}",
	    "presentation x: name=\"Lamp\"\n" },
	{ "stat/x/STATUS1", "",
	    "{\"StatusPRM\":{\"Baudrate\":115200,\"GroupTopic\":\"tasmotas\","
	    "\"OtaUrl\":\"http://192.0.2.1/t.bin\",\"RestartReason\":"
	    "\"Power On\",\"Uptime\":\"0T01:00:00\",\"BootCount\":12}}",
	    "presentation x: group_topic=\"tasmotas\", "
	    "ota_url=\"http://192.0.2.1/t.bin\", restart_reason=\"Power On\", "
	    "boot_count=12\n" },
	{ "stat/x/STATUS2", "",
	    "{\"StatusFWR\":{\"Version\":\"12.5.0(tasmota)\","
	    "\"BuildDateTime\":\"2026-01-01T10:00:00\",\"Boot\":31,"
	    "\"Core\":\"2_7_4_9\",\"SDK\":\"2.2.2\",\"CpuFrequency\":80,"
	    "\"Hardware\":\"ESP8266EX\"}}",
	    "presentation x {\"version\":\"12.5.0(tasmota)\","
	    "\"library_version\":\"2_7_4_9\"}: "
	    "build_date_time=\"2026-01-01T10:00:00\", boot=31, "
	    "sdk=\"2.2.2\", cpu_frequency=80, hardware=\"ESP8266EX\"\n" },
	{ "stat/x/STATUS3", "",
	    "{\"StatusLOG\":{\"SerialLog\":2,\"WebLog\":2,\"SSId\":[\"home\","
	    "\"\"],\"TelePeriod\":300,\"Resolution\":\"558180C0\","
	    "\"SetOption\":[\"00008009\",\"280500\"]}}",
	    "presentation x/Logging: name=\"Logging\"\n"
	    "set x/Logging: SerialLog=2 none, WebLog=2 none, "
	    "TelePeriod=300 none\n" },
	{ "stat/x/STATUS4", "",
	    "{\"StatusMEM\":{\"ProgramSize\":629,\"Free\":372,\"Heap\":25}}",
	    "presentation x/Memory: name=\"Memory\"\n"
	    "set x/Memory: Heap=25 gauge KiB\n" },
	{ "stat/x/STATUS5", "",
	    "{\"StatusNET\":{\"Hostname\":\"x-1\",\"IPAddress\":\"0.0.0.0\","
	    "\"Gateway\":\"192.0.2.1\",\"Mac\":\"02:00:00:00:00:07\","
	    "\"Ethernet\":{\"Hostname\":\"e\",\"IPAddress\":\"192.0.2.9\","
	    "\"Mac\":\"02:00:00:00:00:08\"}}}",
	    "presentation x: hostname=\"x-1\", mac=\"02:00:00:00:00:07\", "
	    "ip_address=\"192.0.2.9\", node_web_url=\"http://192.0.2.9\"\n" },
	{ "stat/x/STATUS6", "",
	    "{\"StatusMQT\":{\"MqttHost\":\"192.0.2.1\",\"MqttUser\":\"u\"}}",
	    "" },
	{ "stat/x/STATUS7", "",
	    "{\"StatusTIM\":{\"UTC\":\"2026-01-02T09:00:00\","
	    "\"Sunrise\":\"08:10\"}}",
	    "presentation x/Time: name=\"Time\"\n"
	    "set x/Time: UTC=\"2026-01-02T09:00:00\" none, "
	    "Sunrise=\"08:10\" none\n" },
	{ "stat/x/STATUS8", "",
	    "{\"StatusSNS\":{\"Time\":\"2026-01-02T10:00:00\","
	    "\"DS18B20\":{\"Temperature\":69.1},\"TempUnit\":\"F\"}}",
	    "presentation x/DS18B20: name=\"DS18B20\"\n"
	    "set x/DS18B20: Temperature=69.1 gauge_float °F\n" },
	{ "stat/x/STATUS9", "", "{\"StatusPTH\":{\"PowerLow\":0}}", "" },
	{ "stat/x/STATUS10", "",
	    "{\"StatusSNS\":{\"DS18B20\":{\"Temperature\":20.6},"
	    "\"TempUnit\":\"C\"}}",
	    "presentation x/DS18B20: name=\"DS18B20\"\n"
	    "set x/DS18B20: Temperature=20.6 gauge_float °C\n" },
	{ "stat/x/STATUS11", "",
	    "{\"StatusSTS\":{\"Time\":\"2026-01-02T10:00:00\","
	    "\"UptimeSec\":3,\"POWER\":\"OFF\"}}",
	    "presentation x/Control: name=\"Control\"\n"
	    "set x/Control: POWER=false binary\n" },
	{ "stat/x/STATUS0", "",
	    "{\"Status\":{\"FriendlyName\":[\"Lamp\"]},\"StatusMEM\":"
	    "{\"Heap\":25},\"StatusSTS\":{\"POWER\":\"ON\"}}",
	    "presentation x: name=\"Lamp\"\n"
	    "presentation x/Memory: name=\"Memory\"\n"
	    "set x/Memory: Heap=25 gauge KiB\n"
	    "presentation x/Control: name=\"Control\"\n"
	    "set x/Control: POWER=true binary\n" },
	/* discovery */
	{ "tasmota/discovery/0200000000A1/config", "",
	    "{\"ip\":\"192.0.2.7\",\"dn\":\"Plug\",\"fn\":[\"Lamp\",\"Fan\","
	    "null],"
	    "\"hn\":\"x-1\",\"mac\":\"0200000000A1\",\"md\":\"Sonoff Basic\","
	    "\"ofln\":\"Offline\",\"onln\":\"Online\",\"state\":[\"OFF\","
	    "\"ON\",\"TOGGLE\",\"HOLD\"],\"sw\":\"12.5.0\",\"t\":\"x\","
	    "\"ft\":\"%prefix%/%topic%/\",\"tp\":[\"cmnd\",\"stat\",\"tele\"],"
	    "\"rl\":[1,2,0,0],\"so\":{\"4\":0},\"lk\":1,\"dslp\":1,\"ver\":1}",
	    "presentation x {\"version\":\"12.5.0\",\"sleep_node\":\"true\"}: "
	    "ip_address=\"192.0.2.7\", node_web_url=\"http://192.0.2.7\", "
	    "name=\"Lamp\", friendly_name_2=\"Fan\", hostname=\"x-1\", "
	    "mac=\"0200000000A1\", "
	    "module=\"Sonoff Basic\", relays=2\n"
	    "presentation x/Control: name=\"Control\"\n" },
	{ "tasmota/discovery/0200000000A1/sensors", "",
	    "{\"sn\":{\"Time\":\"2026-01-02T10:00:00\",\"DS18B20\":"
	    "{\"Temperature\":20.6},\"ANALOG\":{\"A0\":1},\"TempUnit\":\"C\"},"
	    "\"ver\":1}",
	    "presentation x/DS18B20: name=\"DS18B20\"\n"
	    "presentation x/Analog: name=\"Analog\"\n" },
	/* what says nothing, and what can not be read */
	{ "tele/x/UPTIME", "", "{\"Uptime\":\"1T00:00:00\"}", "" },
	{ "tele/x/HASS_STATE", "", "{\"RSSI\":100}", "" },
	{ "tele/x/STATE", "", "{\"POWER\":\"ON\"", "! line 1 column" },
	{ "tele/x/STATE", "", "ON", "! STATE: a JSON object is needed" },
	{ "stat/x/STATUS", "", "{\"Status\":7}", "" },
	{ "tele/x/STATE", ",\"time\":\"noon\"", "{}",
	    "! extension: line 1 column" },
};

static void
frames_say_what_the_device_meant(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT_OF(frames); i++) {
		struct arena a = { 0 };
		struct gateway_messages m = { .a = &a };
		struct buf b = { 0 };
		struct err err = { 0 };
		struct gateway_frame f = { .node = STR("x"),
			.data = str_of(frames[i].data),
			.extension = arena_printf(&a, "{\"topic\":\"%s\"%s}",
			    frames[i].topic, frames[i].extension) };

		if (tasmota_read(&f, &m, &err) != 0)
			buf_addf(&b, "! %s", err.text);
		else
			test_messages(&b, m.at, m.n);
		if (frames[i].says[0] == '!' &&
		    str_starts(buf_str(&b), str_of(frames[i].says)))
			buf_clear(&b);
		else
			assert_string_equal(buf_z(&b), frames[i].says);
		buf_free(&b);
		arena_fini(&a);
	}
}

static void
more_values_than_a_message_holds_are_an_error(void **state)
{
	struct arena a = { 0 };
	struct gateway_messages m = { .a = &a };
	struct buf b = { 0 };
	struct err err;
	struct gateway_frame f = { .node = STR("x"),
		.extension = STR("{\"topic\":\"tele/x/SENSOR\"}") };

	(void)state;
	buf_addz(&b, "{\"A\":{\"x\":1");
	for (int i = 0; i < GATEWAY_PAYLOADS_MAX; i++)
		buf_addf(&b, ",\"v%d\":1", i);
	buf_addz(&b, "}}");
	f.data = buf_str(&b);
	assert_int_equal(tasmota_read(&f, &m, &err), ERR_LIMIT);
	assert_string_equal(err.text, "more than 512 values");
	buf_free(&b);
	arena_fini(&a);
}

/* --- writing -------------------------------------------------------------- */

static const struct {
	enum gateway_type type;
	const char *key, *value;
	const char *data, *extension; /* data NULL: is refused, why */
} writes[] = {
	{ GATEWAY_SET, "POWER", "true", "ON",
	    "{\"command\":\"POWER\",\"slot\":\"POWER\"}" },
	{ GATEWAY_SET, "POWER2", "false", "OFF",
	    "{\"command\":\"POWER2\",\"slot\":\"POWER2\"}" },
	{ GATEWAY_SET, "POWER", "\"TOGGLE\"", "TOGGLE",
	    "{\"command\":\"POWER\",\"slot\":\"POWER\"}" },
	{ GATEWAY_SET, "Dimmer", "30", "30",
	    "{\"command\":\"Dimmer\",\"slot\":\"Dimmer\"}" },
	{ GATEWAY_SET, "Color", "\"#ff\\u0030000\"", "#ff0000",
	    "{\"command\":\"Color\",\"slot\":\"Color\"}" },
	{ GATEWAY_SET, "IRsend", "{\"Protocol\":\"NEC\"}",
	    "{\"Protocol\":\"NEC\"}",
	    "{\"command\":\"IRsend\",\"slot\":\"IRsend\"}" },
	{ GATEWAY_REQUEST, "POWER", "true", "",
	    "{\"command\":\"POWER\",\"slot\":\"POWER\"}" },
	{ GATEWAY_REQUEST, "Dimmer", NULL, "",
	    "{\"command\":\"Dimmer\",\"slot\":\"Dimmer\"}" },
	{ GATEWAY_SET, "a/b", "1", NULL,
	    "a/b is no command: letters, digits and _ are needed" },
	{ GATEWAY_SET, "a#", "1", NULL,
	    "a# is no command: letters, digits and _ are needed" },
	{ GATEWAY_SET, "", "1", NULL,
	    " is no command: letters, digits and _ are needed" },
};

static void
values_become_commands(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT_OF(writes); i++) {
		struct arena a = { 0 };
		struct gateway_frame f;
		struct gateway_payload p = { .key = str_of(writes[i].key),
			.value = str_of(writes[i].value) };
		struct gateway_message m = { .type = writes[i].type,
			.node = STR("x"),
			.source = STR("Control"),
			.payloads = &p,
			.n_payloads = 1 };
		struct err err;
		int rc = tasmota_write(&m, &a, &f, &err);

		assert_int_equal(rc, writes[i].data == NULL ? ERR_PARAM : 0);
		if (rc != 0) {
			assert_string_equal(err.text, writes[i].extension);
		} else {
			assert_true(str_eqz(f.data, writes[i].data));
			assert_true(str_eqz(f.extension, writes[i].extension));
			assert_str(f.node, "x");
		}
		arena_fini(&a);
	}
}

/* --- topics --------------------------------------------------------------- */

static const struct {
	const char *config;  /* NULL: it told nothing */
	const char *topic;   /* that is heard */
	const char *is;      /* "node prefix command"; NULL: nobody's */
	const char *command; /* where its node hears X */
} topics[] = {
	{ NULL, "tele/x/STATE", "x tele STATE", "cmnd/x/X" },
	{ NULL, "a/b/stat/x/RESULT", "x stat RESULT", "cmnd/x/X" },
	{ NULL, "cmnd/x/POWER", "x cmnd POWER", "cmnd/x/X" },
	{ NULL, "home/x/STATE", NULL, NULL },
	{ NULL, "tele/STATE", NULL, NULL },
	{ NULL, "tele//STATE", NULL, NULL },
	{ NULL, "", NULL, NULL },
	{ "\"ft\":\"%prefix%/%topic%/\"", "tele/x/STATE", "x tele STATE",
	    "cmnd/x/X" },
	{ "\"ft\":\"home/%topic%/%prefix%\"", "home/x/tele/STATE",
	    "x tele STATE", "home/x/cmnd/X" },
	{ "\"ft\":\"%prefix%/%hostname%/%id%/\",\"hn\":\"h\"",
	    "stat/h/0A/RESULT", "x stat RESULT", "cmnd/h/0A/X" },
	{ "\"ft\":\"x//y/\"", "x/y/STATE", "x tele STATE", "x/y/cmnd/X" },
	{ "\"ft\":\"x/y\"", "x/y/RESULT", "x stat RESULT", "x/y/cmnd/X" },
	{ "\"tp\":[\"do\",\"is\",\"was\"]", "was/x/STATE", "x tele STATE",
	    "do/x/X" },
};

static void
a_device_is_found_by_the_topics_it_told(void **state)
{
	static const char *const names[] = { "cmnd", "stat", "tele" };

	(void)state;
	for (size_t i = 0; i < COUNT_OF(topics); i++) {
		struct tasmota_devices all = { 0 };
		struct arena a = { 0 };
		enum tasmota_prefix prefix;
		struct str node, command;
		struct err err;

		assert_int_equal(tasmota_devices_init(
				     &all, STR("%prefix%/%topic%/"), 10, &err),
		    0);
		if (topics[i].config != NULL)
			assert_non_null(tasmota_device_learn(&all, STR("0A"),
			    arena_printf(
				&a, "{\"t\":\"x\",%s}", topics[i].config),
			    &err));
		if (!tasmota_find(&all, str_of(topics[i].topic), &node, &prefix,
			&command)) {
			assert_null(topics[i].is);
		} else {
			assert_non_null(topics[i].is);
			assert_true(str_eqz(
			    arena_printf(&a, STR_FMT " %s " STR_FMT,
				STR_ARG(node), names[prefix], STR_ARG(command)),
			    topics[i].is));
			assert_true(str_eqz(
			    tasmota_command_topic(&all, &a, node, STR("X")),
			    topics[i].command));
		}
		tasmota_devices_fini(&all);
		arena_fini(&a);
	}
}

static void
what_makes_no_topics_is_not_learnt(void **state)
{
	static const char *const bad[] = { "", "[]", "{}", "{\"t\":\"\"}",
		"{\"t\":\"+\"}", "{\"t\":\"x\",\"tp\":[\"a\",\"#\"]}",
		"{\"t\":\"x\",\"ft\":\"\\u0000\"}", "{\"t\":7}" };
	struct tasmota_devices all = { 0 };
	struct err err;

	(void)state;
	assert_int_equal(
	    tasmota_devices_init(&all, STR("%topic%/%prefix%"), 1, &err), 0);
	for (size_t i = 0; i < COUNT_OF(bad); i++) {
		assert_null(tasmota_device_learn(
		    &all, STR("0A"), str_of(bad[i]), &err));
		assert_int_equal(err.code, ERR_PARAM);
	}
	assert_int_equal(all.nodes.n, 0);
	assert_non_null(
	    tasmota_device_learn(&all, STR("0A"), STR("{\"t\":\"x\"}"), &err));
	assert_null(
	    tasmota_device_learn(&all, STR("0B"), STR("{\"t\":\"y\"}"), &err));
	assert_int_equal(err.code, ERR_LIMIT);
	/* one that has another topic now is still one */
	assert_non_null(
	    tasmota_device_learn(&all, STR("0A"), STR("{\"t\":\"y\"}"), &err));
	assert_int_equal(all.nodes.n, 1);
	assert_int_equal(all.bases.n, 2);
	tasmota_device_forget(&all, STR("0A"));
	assert_int_equal(all.bases.n + all.macs.n, 0);
	tasmota_devices_fini(&all);
}

static void
a_pattern_names_prefix_and_topic_once(void **state)
{
	static const char *const bad[] = { "", "/", "%topic%", "%prefix%",
		"%prefix%/%topic%/%topic%", "%prefix%/x_%topic%",
		"%prefix%/%topic%/#", "a//%prefix%/%topic%",
		"1/2/3/4/5/6/7/8/9/10/11/12/13/14/15/%prefix%/%topic%" };
	struct err err;

	(void)state;
	for (size_t i = 0; i < COUNT_OF(bad); i++) {
		struct tasmota_devices all = { 0 };

		assert_int_equal(
		    tasmota_devices_init(&all, str_of(bad[i]), 1, &err),
		    ERR_PARAM);
		tasmota_devices_fini(&all);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(frames_say_what_the_device_meant),
		cmocka_unit_test(more_values_than_a_message_holds_are_an_error),
		cmocka_unit_test(values_become_commands),
		cmocka_unit_test(a_device_is_found_by_the_topics_it_told),
		cmocka_unit_test(what_makes_no_topics_is_not_learnt),
		cmocka_unit_test(a_pattern_names_prefix_and_topic_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
