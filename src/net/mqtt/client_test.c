#include "net/mqtt/client.h"

#include "base/base.h"
#include "base/clock.h"
#include "net/mqtt/server.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

struct fixture {
	struct loop *loop;
	struct mqtt_server *server;
	struct mqtt_client *client;
	struct buf heard;
	uint16_t port; /* of the first server */
	bool free_on_message;
};

static void
on_login(void *owner, struct mqtt_login *l, struct str id, struct str user,
    struct str password)
{
	(void)owner;
	(void)id;
	mqtt_login_answer(
	    l, str_eqz(user, "ann") && str_eqz(password, "pw"), true, NULL);
}

static void
on_up(void *owner, bool present)
{
	struct fixture *f = owner;

	buf_addz(&f->heard, present ? "up again;" : "up;");
}

static void
on_down(void *owner, const struct err *why)
{
	struct fixture *f = owner;

	buf_addf(&f->heard, "down %d;", why->code);
}

static void
on_done(void *ctx)
{
	buf_addz(&((struct fixture *)ctx)->heard, "done;");
}

static void
on_message(void *ctx, struct str topic, struct str payload, bool retain)
{
	struct fixture *f = ctx;

	if (topic.ptr == NULL)
		buf_addz(&f->heard, "refused;");
	else
		buf_addf(&f->heard, STR_FMT "=" STR_FMT "%s;", STR_ARG(topic),
		    STR_ARG(payload), retain ? " retained" : "");
	if (f->free_on_message) {
		mqtt_client_free(f->client);
		f->client = NULL;
	}
}

static bool
on_may_subscribe(void *owner, void *account, struct str filter)
{
	(void)owner;
	(void)account;
	return !str_eqz(filter, "denied");
}

static const struct mqtt_client_events client_events = { on_up, on_down };

static void
serve(struct fixture *f)
{
	static const struct mqtt_server_events events = { .login = on_login,
		.may_subscribe = on_may_subscribe };
	const struct mqtt_server_conf conf = {
		.address = "127.0.0.1",
		.port = f->port,
		.max_connections = 10,
		.max_packet = 10000,
		.max_inflight = 10,
		.publish_max = 10,
		.queue_messages = 100,
		.queue_bytes = 100000,
		.max_sessions = 10,
		.max_subscriptions = 10,
		.max_retained = 10,
		.max_retained_bytes = 10000,
		.max_output = 100000,
	};

	assert_int_equal(
	    mqtt_server_open(f->loop, &conf, &events, f, &f->server, NULL), 0);
	f->port = mqtt_server_port(f->server);
}

static void
dial(struct fixture *f, const char *password)
{
	const struct mqtt_client_conf conf = { .address = "127.0.0.1",
		.port = f->port,
		.client_id = "c",
		.user = "ann",
		.password = password,
		.keepalive_s = 10,
		.max_inflight = 2,
		.max_waiting = 5 };

	assert_int_equal(mqtt_client_new(f->loop, &conf, &client_events, f,
			     &f->client, NULL),
	    0);
	mqtt_client_start(f->client);
}

static void
settle(struct fixture *f)
{
	for (int i = 0; i < 20; i++)
		loop_turn(f->loop, 1);
}

static void
assert_heard(struct fixture *f, const char *want)
{
	settle(f);
	assert_string_equal(buf_z(&f->heard), want);
	buf_clear(&f->heard);
}

static int
set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	f->loop = loop_new();
	serve(f);
	*state = f;
	return 0;
}

static int
tear_down(void **state)
{
	struct fixture *f = *state;

	mqtt_client_free(f->client);
	mqtt_server_close(f->server);
	loop_turn(f->loop, 0);
	loop_free(f->loop);
	buf_free(&f->heard);
	free(f);
	return 0;
}

static void
messages_go_there_and_come_back(void **state)
{
	struct fixture *f = *state;

	dial(f, "pw");
	assert_int_equal(
	    mqtt_client_subscribe(f->client, STR("t/+"), 1, on_message, f), 0);
	assert_heard(f, "up;");
	assert_int_equal(mqtt_client_publish(f->client, STR("t/1"), STR("x"), 1,
			     false, on_done, f),
	    0);
	assert_int_equal(mqtt_client_waiting(f->client), 1);
	settle(f);
	assert_int_equal(mqtt_client_waiting(f->client), 0);
	assert_heard(f, "t/1=x;done;");
	assert_int_equal(mqtt_client_publish(f->client, STR("t/2"), STR("y"), 0,
			     true, on_done, f),
	    0);
	assert_heard(f, "done;t/2=y;");
	assert_int_equal(mqtt_client_subscribe(
			     f->client, STR("$share/g/t/+"), 0, on_message, f),
	    0);
	assert_int_equal(
	    mqtt_client_subscribe(f->client, STR("denied"), 0, on_message, f),
	    0);
	assert_heard(f, "refused;");
	mqtt_client_unsubscribe(f->client, STR("t/+"));
	settle(f);
	(void)mqtt_publish(f->server, STR("t/3"), STR("z"), 0, false, NULL);
	assert_heard(f, "t/3=z;");
}

static void
what_was_accepted_survives_a_lost_server(void **state)
{
	struct fixture *f = *state;

	dial(f, "pw");
	(void)mqtt_client_subscribe(f->client, STR("t"), 1, on_message, f);
	assert_heard(f, "up;");
	mqtt_server_close(f->server);
	f->server = NULL;
	settle(f);
	buf_clear(&f->heard); /* "down", with what the system says of it */
	for (int i = 0; i < 5; i++)
		assert_int_equal(
		    mqtt_client_publish(f->client, STR("t"),
			(struct str){ &"12345"[i], 1 }, 1, false, on_done, f),
		    0);
	assert_int_equal(mqtt_client_publish(f->client, STR("t"), STR("6"), 1,
			     false, on_done, f),
	    ERR_LIMIT);
	assert_int_equal(mqtt_client_publish(f->client, STR("t"), STR("6"), 0,
			     false, on_done, f),
	    ERR_CLOSED);
	assert_heard(f, "");
	serve(f);
	clock_advance(1000);
	settle(f);
	assert_true(mqtt_client_is_up(f->client));
	settle(f);
	assert_int_equal(mqtt_client_waiting(f->client), 0);
	assert_true(str_starts(buf_str(&f->heard), STR("up;t=1;")));
	assert_true(str_contains_nocase(buf_str(&f->heard), STR("t=5;")));
}

static void
never_answer(void *owner, struct mqtt_msg *m)
{
	*(struct mqtt_msg **)owner = m;
}

static void
what_was_sent_but_not_acknowledged_is_sent_again(void **state)
{
	struct fixture *f = *state;
	struct mqtt_msg *held = NULL;
	struct mqtt_consumer *c;

	dial(f, "pw");
	c = mqtt_consume_start(f->server, STR("t"), never_answer, &held);
	assert_heard(f, "up;");
	(void)mqtt_client_publish(
	    f->client, STR("t"), STR("x"), 1, false, on_done, f);
	settle(f);
	assert_non_null(held);
	mqtt_msg_done(held, false); /* the server ends the connection */
	held = NULL;
	mqtt_consume_stop(c);
	settle(f);
	buf_clear(&f->heard); /* "down", with what the system says of it */
	clock_advance(1000);
	assert_heard(f, "up;done;");
	assert_int_equal(mqtt_client_waiting(f->client), 0);
}

static void
a_refusal_is_told_and_tried_again_after_a_longer_wait(void **state)
{
	struct fixture *f = *state;

	dial(f, "wrong");
	assert_heard(f, "down -5;");
	clock_advance(1000);
	assert_heard(f, "down -5;");
	clock_advance(1000);
	assert_heard(f, "");
	clock_advance(1000);
	assert_heard(f, "down -5;");
}

static void
the_keep_alive_is_kept(void **state)
{
	struct fixture *f = *state;

	dial(f, "pw");
	assert_heard(f, "up;");
	for (int i = 0; i < 5; i++) {
		clock_advance(10000);
		settle(f);
	}
	assert_heard(f, "");
	assert_true(mqtt_client_is_up(f->client));
}

static void
stopping_says_goodbye_and_starting_goes_on(void **state)
{
	struct fixture *f = *state;

	dial(f, "pw");
	assert_heard(f, "up;");
	mqtt_client_stop(f->client);
	assert_heard(f, "");
	(void)mqtt_client_publish(
	    f->client, STR("t"), STR("x"), 1, false, on_done, f);
	mqtt_client_start(f->client);
	assert_heard(f, "up;done;");
}

static void
the_owner_may_free_the_client_from_a_callback(void **state)
{
	struct fixture *f = *state;

	dial(f, "pw");
	(void)mqtt_client_subscribe(f->client, STR("t"), 1, on_message, f);
	(void)mqtt_client_subscribe(f->client, STR("#"), 1, on_message, f);
	assert_heard(f, "up;");
	f->free_on_message = true;
	(void)mqtt_publish(f->server, STR("t"), STR("x"), 1, false, NULL);
	assert_heard(f, "t=x;");
}

static void
a_name_is_no_address(void **state)
{
	const struct mqtt_client_conf conf = { .address = "localhost" };
	struct mqtt_client *c;
	struct fixture *f = *state;

	assert_int_equal(
	    mqtt_client_new(f->loop, &conf, NULL, NULL, &c, NULL), ERR_PARAM);
}

#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(messages_go_there_and_come_back),
		T(what_was_accepted_survives_a_lost_server),
		T(what_was_sent_but_not_acknowledged_is_sent_again),
		T(a_refusal_is_told_and_tried_again_after_a_longer_wait),
		T(the_keep_alive_is_kept),
		T(stopping_says_goodbye_and_starting_goes_on),
		T(the_owner_may_free_the_client_from_a_callback),
		T(a_name_is_no_address),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
