/*
 * edge/agent_entities_test.c - the agent's store on a broker: what it hears,
 * and what it says. The broker is our own, in memory; all is on one loop.
 */
#include "base/test.h"

#include "base/clock.h"
#include "edge/agent_entities.h"
#include "edge/expose.h"
#include "edge/mapper.h"
#include "net/mqtt/server.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define PATIENCE 20000 /* turns of at most 5 ms */

struct fixture {
	struct loop *loop;
	struct mqtt_server *server;
	struct mqtt_client_conf local;
	struct mqtt_client *agent, *test;
	struct agent_entities *entities;
	bool up;
	struct buf heard; /* by the test: "TOPIC PAYLOAD[ r][ <ORIGIN]\n" */
	char dir[40];
};

static int
dial(void *ctx, struct err *err)
{
	struct fixture *f = ctx;
	const struct mqtt_listener_conf conf = { .inside = MQTT_INSIDE "test" };
	int fds[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0,
		fds) < 0)
		return err_errno(err, "socketpair");
	mqtt_server_adopt(f->server, NULL, fds[1], NULL, STR_NULL, &conf);
	return fds[0];
}

static bool
may(void *owner, void *account, struct str topic)
{
	(void)owner;
	(void)account;
	(void)topic;
	return true;
}

static void
unused(void *owner, void *account)
{
	(void)owner;
	(void)account;
}

static void
wait_for(struct fixture *f, const char *text)
{
	for (int i = 0; i < PATIENCE; i++) {
		if (f->heard.len > 0 && strstr(buf_z(&f->heard), text) != NULL)
			return;
		loop_turn(f->loop, 5);
	}
	fail_msg("waited for \"%s\"; heard:\n%s", text, buf_z(&f->heard));
}

static void
on_subscribed(void *owner)
{
	struct fixture *f = owner;

	f->up = true;
	if (f->entities != NULL)
		agent_entities_up(f->entities);
}

static void
on_heard(void *ctx, const struct mqtt_client_msg *m)
{
	struct fixture *f = ctx;
	struct str rest, name, value;

	buf_addf(&f->heard, STR_FMT " " STR_FMT "%s", STR_ARG(m->topic),
	    STR_ARG(m->payload), m->retain ? " r" : "");
	rest = m->props != NULL ? m->props->raw : STR("");
	while (mqtt_next_user(&rest, &name, &value))
		if (str_eqz(name, MAPPER_ORIGIN))
			buf_addf(&f->heard, " <" STR_FMT, STR_ARG(value));
	buf_addc(&f->heard, '\n');
}

static void
until_up(struct fixture *f)
{
	for (int i = 0; i < PATIENCE && !f->up; i++)
		loop_turn(f->loop, 5);
	assert_true(f->up);
	f->up = false;
}

static void
start_agent(struct fixture *f, bool clean_start)
{
	static const struct mqtt_client_events events = { .subscribed =
							      on_subscribed };
	struct agent_entities_conf conf = { .loop = f->loop,
		.root = STR("te"),
		.device = STR("device/main//"),
		.state_dir = f->dir,
		.auto_register = true,
		.clean_start = clean_start,
		.local = &f->local };
	struct mqtt_client_conf client = f->local;

	client.client_id = "tedge-agent";
	client.keep_session = true;
	assert_int_equal(
	    mqtt_client_new(f->loop, &client, &events, f, &f->agent, NULL), 0);
	assert_int_equal(
	    agent_entities_new(&conf, f->agent, &f->entities, NULL), 0);
	mqtt_client_start(f->agent);
	until_up(f);
}

static void
stop_agent(struct fixture *f)
{
	agent_entities_free(f->entities);
	mqtt_client_free(f->agent);
	f->entities = NULL;
	f->agent = NULL;
}

static int
setup(void **state)
{
	static const struct mqtt_server_conf server = { .max_connections = 10,
		.max_packet = 1 << 20,
		.max_inflight = 100,
		.publish_max = 100,
		.queue_messages = 1000,
		.queue_bytes = 1 << 20,
		.max_sessions = 10,
		.max_subscriptions = 100,
		.max_topic_levels = 20,
		.max_retained = 1000,
		.max_retained_bytes = 1 << 20,
		.connect_timeout_ms = 10000,
		.max_output = 1 << 20 };
	static const struct mqtt_server_events server_events = { .may_publish =
								     may,
		.may_subscribe = may,
		.account_unused = unused };
	static const struct mqtt_client_events events = { .subscribed =
							      on_subscribed };
	struct fixture *f = calloc(1, sizeof(*f));
	struct mqtt_filter all = {
		.filter = STR("#"), .qos = 1, .retain_as_published = true
	};

	strcpy(f->dir, "/tmp/marram-entities-XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	f->loop = loop_new();
	assert_int_equal(mqtt_server_open(f->loop, &server, &server_events, f,
			     &f->server, NULL),
	    0);
	f->local = (struct mqtt_client_conf){
		.address = "the test", .level = 5, .dial = dial, .dial_ctx = f
	};
	assert_int_equal(
	    mqtt_client_new(f->loop, &f->local, &events, f, &f->test, NULL), 0);
	assert_int_equal(
	    mqtt_client_subscribe_with(f->test, &all, on_heard, f), 0);
	mqtt_client_start(f->test);
	until_up(f);
	*state = f;
	return 0;
}

static int
teardown(void **state)
{
	struct fixture *f = *state;
	char path[80];

	stop_agent(f);
	mqtt_client_free(f->test);
	mqtt_server_close(f->server);
	loop_free(f->loop);
	buf_free(&f->heard);
	snprintf(path, sizeof(path), "%s/entity_store.jsonl", f->dir);
	unlink(path);
	rmdir(f->dir);
	free(f);
	return 0;
}

static void
say(struct fixture *f, const char *topic, const char *payload, bool retain)
{
	assert_int_equal(mqtt_client_publish(f->test, str_of(topic),
			     str_of(payload), 1, retain, NULL, NULL),
	    0);
}

static size_t
count_of(struct fixture *f, const char *text)
{
	const char *p = buf_z(&f->heard);
	size_t n = 0;

	while ((p = strstr(p, text)) != NULL) {
		n++;
		p++;
	}
	return n;
}

static void
the_main_device_and_who_comes_are_registered_on_the_bus(void **state)
{
	struct fixture *f = *state;

	start_agent(f, false);
	wait_for(f, "te/device/main// {\"@type\":\"device\"} r\n");
	say(f, "te/device/c1/service/s/m/", "{\"t\":1}", false);
	wait_for(f,
	    "te/device/c1// {\"@type\":\"child-device\",\"@parent\":"
	    "\"device/main//\",\"name\":\"c1\"} r\n");
	wait_for(f, "te/device/c1/service/s {\"@type\":\"service\",");
	assert_int_equal(te_store_count(agent_entities_store(f->entities)), 3);
}

static void
the_store_is_there_again_after_a_restart(void **state)
{
	struct fixture *f = *state;

	start_agent(f, false);
	say(f, "te/factory/1/a/b", "{\"@type\":\"child-device\"}", false);
	say(f, "te/factory/1/a/b/twin/x", "1", true);
	say(f, "te/device/c9///m/", "{}", false);
	wait_for(f, "\"name\":\"c9\"");
	stop_agent(f);
	start_agent(f, false);
	assert_non_null(te_store_find(
	    agent_entities_store(f->entities), STR("factory/1/a/b")));
	say(f, "te/factory/1/a/b/m/", "{}", false);
	say(f, "te/factory/2/a/b/m/", "{}", false);
	wait_for(f,
	    "te/errors Auto registration of the entity with topic id "
	    "factory/2/a/b failed");
	assert_int_equal(count_of(f, "te/errors"), 1);
	/* the twin came back from what is retained */
	assert_str(
	    te_entity_twin(te_store_find(agent_entities_store(f->entities),
			       STR("factory/1/a/b")),
		STR("x")),
	    "1");
	/* a clean start knows only what is retained */
	stop_agent(f);
	start_agent(f, true);
	buf_clear(&f->heard);
	say(f, "te/factory/3/a/b/m/", "{}", false);
	wait_for(f, "factory/3/a/b failed");
	assert_null(te_store_find(
	    agent_entities_store(f->entities), STR("factory/1/a/b")));
	assert_non_null(te_store_find(
	    agent_entities_store(f->entities), STR("device/c9//")));
}

static void
what_a_removed_one_left_behind_is_cleared(void **state)
{
	struct fixture *f = *state;

	start_agent(f, false);
	say(f, "te/device/c1//", "{\"@type\":\"child-device\",\"name\":\"n\"}",
	    true);
	wait_for(f, "te/device/c1///twin/name \"n\" r\n");
	say(f, "te/device/c1///a/hot", "{\"severity\":\"major\"}", true);
	say(f, "te/device/c1///cmd/restart/1", "{\"status\":\"init\"}", true);
	say(f, "te/device/c1/service/s/status/health", "{\"status\":\"up\"}",
	    true);
	say(f, "te/device/c2///a/hot", "{\"severity\":\"major\"}", true);
	wait_for(f, "te/device/c2// ");
	buf_clear(&f->heard);
	say(f, "te/device/c1//", "", true);
	wait_for(f, "te/device/c1/service/s  r\n");
	wait_for(f, "te/device/c1///twin/name  r\n");
	wait_for(f, "te/device/c1///a/hot  r\n");
	wait_for(f, "te/device/c1///cmd/restart/1  r\n");
	wait_for(f, "te/device/c1/service/s/status/health  r\n");
	assert_int_equal(count_of(f, "te/device/c2"), 0);
	assert_int_equal(te_store_count(agent_entities_store(f->entities)), 2);
	/* and its end is heard, too: what comes then stays */
	clock_advance(10000);
	say(f, "te/device/c1///a/new", "{\"severity\":\"major\"}", true);
	wait_for(f, "te/device/c1// {\"@type\":\"child-device\"");
	assert_int_equal(count_of(f, "te/device/c1///a/new  r\n"), 0);
}

static void
the_first_scheme_is_copied_with_its_origin(void **state)
{
	struct fixture *f = *state;

	start_agent(f, false);
	say(f, "tedge/measurements/c7", "{\"t\":23}", false);
	wait_for(f, "te/device/c7///m/ {\"t\":23} <tedge/measurements/c7\n");
	wait_for(f, "te/device/c7// {\"@type\":\"child-device\"");
	say(f, "tedge/alarms/major/hot", "{\"text\":\"h\"}", true);
	wait_for(f,
	    "te/device/main///a/hot {\"text\":\"h\",\"severity\":"
	    "\"major\"} r <tedge/alarms/major/hot\n");
	say(f, "tedge/measurements", "{\"bad\":\"\"}", false);
	say(f, "te/errors", "it failed", false);
	wait_for(f, "tedge/errors it failed <te/errors\n");
	assert_int_equal(count_of(f, "te/device/main///m/"), 0);
	assert_int_equal(count_of(f, "it failed"), 2);
}

static void
an_exposed_message_comes_back_when_it_is_overwritten(void **state)
{
	struct fixture *f = *state;
	struct expose x;

	start_agent(f, false);
	expose_init(&x, f->loop, f->agent,
	    STR("te/device/main/service/tedge-agent/config"), STR("{\"a\":1}"));
	expose_tell(&x);
	wait_for(f, "/config {\"a\":1} r\n");
	buf_clear(&f->heard);
	say(f, "te/device/main/service/tedge-agent/config", "{\"a\":2}", true);
	wait_for(f, "/config {\"a\":2} r\n");
	while (!loop_is_running(&x.again))
		loop_turn(f->loop, 5);
	clock_advance(EXPOSE_AGAIN_MS);
	wait_for(f, "/config {\"a\":1} r\n");
	stop_agent(f);
	expose_fini(&x);
}

#define STORY(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		STORY(the_main_device_and_who_comes_are_registered_on_the_bus),
		STORY(the_store_is_there_again_after_a_restart),
		STORY(what_a_removed_one_left_behind_is_cleared),
		STORY(the_first_scheme_is_copied_with_its_origin),
		STORY(an_exposed_message_comes_back_when_it_is_overwritten),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
