/*
 * edge/entity_test.c - who is there, who comes and who goes.
 *
 * The host writes down what it hears, a line each: "pub TOPIC PAYLOAD",
 * "keep ID PAYLOAD", "err TEXT", "+ID", "~ID", "-ID".
 */
#include "base/test.h"

#include "base/base.h"
#include "edge/entity.h"
#include "edge/entity_log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct fixture {
	struct te_store *store;
	struct buf heard;
	bool changes; /* write those down, too */
	bool keeps;
};

static void
on_publish(void *owner, struct str topic, struct str payload)
{
	struct fixture *f = owner;

	buf_addf(&f->heard, "pub " STR_FMT " " STR_FMT "\n", STR_ARG(topic),
	    STR_ARG(payload));
}

static void
on_keep(void *owner, struct str topic, struct str payload)
{
	struct fixture *f = owner;

	if (f->keeps)
		buf_addf(&f->heard, "keep " STR_FMT " " STR_FMT "\n",
		    STR_ARG(topic), STR_ARG(payload));
}

static void
on_error(void *owner, struct str text)
{
	struct fixture *f = owner;

	buf_addf(&f->heard, "err " STR_FMT "\n", STR_ARG(text));
}

static void
on_changed(void *owner, const struct te_entity *e, enum te_change what)
{
	struct fixture *f = owner;

	if (f->changes)
		buf_addf(
		    &f->heard, "%c" STR_FMT "\n", "+~-"[what], STR_ARG(e->id));
}

static struct te_store *
make(struct fixture *f, struct te_store_conf conf)
{
	const struct te_store_host host = { f, on_publish, on_keep, on_error,
		on_changed };

	conf.root = STR("te");
	conf.main = STR("device/main//");
	return te_store_new(&conf, &host);
}

static int
setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	f->store = make(f, (struct te_store_conf){ .auto_register = true });
	*state = f;
	return 0;
}

static int
teardown(void **state)
{
	struct fixture *f = *state;

	te_store_free(f->store);
	buf_free(&f->heard);
	free(f);
	return 0;
}

static int
say(struct fixture *f, const char *topic, const char *payload)
{
	struct te_topic t;

	assert_int_equal(te_topic_read(STR("te"), str_of(topic), &t, NULL), 0);
	return te_store_hear(f->store, &t, str_of(payload));
}

/* Says it, and gives what was heard of it. */
#define heard_of(f, topic, payload)                                            \
	(buf_clear(&(f)->heard), say(f, topic, payload), buf_z(&(f)->heard))

static void
list_one(void *ctx, const struct te_entity *e)
{
	buf_addf(ctx, STR_FMT " ", STR_ARG(e->id));
}

static const char *
list(struct fixture *f, const char *root, const char *parent, unsigned kinds)
{
	buf_clear(&f->heard);
	te_store_each(
	    f->store, str_of(root), str_of(parent), kinds, list_one, &f->heard);
	return buf_z(&f->heard);
}

static void
data_of_an_unknown_entity_registers_it_and_its_device(void **state)
{
	struct fixture *f = *state;

	assert_string_equal(
	    heard_of(f, "te/device/c1/service/s/m/", "{\"t\":1}"),
	    "pub te/device/c1// {\"@type\":\"child-device\",\"@parent\":"
	    "\"device/main//\",\"name\":\"c1\"}\n"
	    "pub te/device/c1/service/s {\"@type\":\"service\",\"@parent\":"
	    "\"device/c1//\",\"name\":\"s\"}\n");
	assert_string_equal(
	    heard_of(f, "te/device/c1/service/s/m/", "{\"t\":2}"), "");
	assert_string_equal(list(f, NULL, NULL, 0),
	    "device/main// device/c1// device/c1/service/s ");
	/* our own message comes back, and changes nothing */
	assert_string_equal(heard_of(f, "te/device/c1//",
				"{\"@type\":\"child-device\",\"@parent\":"
				"\"device/main//\",\"name\":\"c1\"}"),
	    "");
}

static void
commands_signals_and_empty_data_register_nobody(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(
	    say(f, "te/device/c1///cmd/restart/1", "{}"), ERR_NOT_FOUND);
	assert_int_equal(
	    say(f, "te/device/c1///signal/sync", "{}"), ERR_NOT_FOUND);
	assert_int_equal(
	    say(f, "te/device/c1///cmd/health/check", "{}"), ERR_NOT_FOUND);
	assert_int_equal(say(f, "te/device/c1///a/x", ""), ERR_NOT_FOUND);
	assert_int_equal(say(f, "te/device/c1///cmd/restart", "{}"), 0);
}

static void
another_scheme_asks_for_a_registration_once(void **state)
{
	struct fixture *f = *state;

	assert_string_equal(heard_of(f, "te/factory/1/a/b/m/", "{\"t\":1}"),
	    "err Auto registration of the entity with topic id factory/1/a/b "
	    "failed as it does not match the default topic scheme: "
	    "'device/<device-id>/service/<service-id>'. Try explicit "
	    "registration instead.\n");
	assert_string_equal(
	    heard_of(f, "te/factory/1/a/b/m/", "{\"t\":1}"), "");
	assert_int_equal(say(f, "te/factory/1/a/b/m/", "{}"), ERR_NOT_FOUND);
	assert_int_equal(
	    say(f, "te/factory/1/a/b", "{\"@type\":\"child-device\"}"), 0);
	assert_int_equal(say(f, "te/factory/1/a/b/m/", "{}"), 0);
}

static void
what_a_registration_says_of_the_twin_is_published(void **state)
{
	struct fixture *f = *state;

	assert_string_equal(
	    heard_of(f, "te/device/c1//",
		"{\"@type\":\"child-device\",\"@id\":\"x1\",\"name\":\"One\","
		" \"hw\": {\"a\" : [1, 2]}}"),
	    "pub te/device/c1///twin/name \"One\"\n"
	    "pub te/device/c1///twin/hw {\"a\":[1,2]}\n");
	/* again, with more and other: merged */
	assert_string_equal(heard_of(f, "te/device/c1//",
				"{\"@type\":\"child-device\",\"name\":\"One\","
				"\"type\":\"RPi\"}"),
	    "pub te/device/c1///twin/type \"RPi\"\n"
	    "pub te/device/c1// {\"@type\":\"child-device\",\"@id\":\"x1\","
	    "\"@parent\":\"device/main//\",\"name\":\"One\",\"type\":"
	    "\"RPi\"}\n");
	buf_clear(&f->heard);
	te_entity_put(te_store_find(f->store, STR("device/c1//")), &f->heard);
	te_entity_put_twin(
	    te_store_find(f->store, STR("device/c1//")), &f->heard);
	assert_string_equal(buf_z(&f->heard),
	    "{\"@topic-id\":\"device/c1//\",\"@parent\":\"device/main//\","
	    "\"@type\":\"child-device\",\"@id\":\"x1\"}"
	    "{\"name\":\"One\",\"hw\":{\"a\":[1,2]},\"type\":\"RPi\"}");
}

static void
an_old_retained_registration_does_not_undo_the_twin(void **state)
{
	struct fixture *f = *state;
	const char *reg = "{\"@type\":\"child-device\",\"name\":\"old\"}";

	say(f, "te/device/c1//", reg);
	say(f, "te/device/c1///twin/name", "\"new\"");
	assert_string_equal(heard_of(f, "te/device/c1//", reg), "");
	assert_str(te_entity_twin(te_store_find(f->store, STR("device/c1//")),
		       STR("name")),
	    "\"new\"");
}

/* Who was not there before knows only what is kept, and what is retained. */
static void
a_registration_that_says_less_is_kept_with_what_stays(void **state)
{
	struct fixture *f = *state;

	f->keeps = true;
	say(f, "te/device/c1//", "{\"@type\":\"child-device\"}");
	say(f, "te/device/c1/service/h", "{\"@type\":\"service\"}");
	say(f, "te/device/c2//",
	    "{\"@type\":\"child-device\",\"@id\":\"x2\",\"@parent\":"
	    "\"device/c1\",\"@health\":\"device/c1/service/h\"}");
	assert_string_equal(
	    heard_of(f, "te/device/c2//",
		"{\"@type\":\"child-device\",\"name\":\"Two\"}"),
	    "pub te/device/c2///twin/name \"Two\"\n"
	    "keep te/device/c2// {\"@type\":\"child-device\",\"@id\":\"x2\","
	    "\"@parent\":\"device/c1//\",\"@health\":"
	    "\"device/c1/service/h\",\"name\":\"Two\"}\n"
	    "pub te/device/c2// {\"@type\":\"child-device\",\"@id\":\"x2\","
	    "\"@parent\":\"device/c1//\",\"@health\":"
	    "\"device/c1/service/h\",\"name\":\"Two\"}\n");
	/* which comes back, and says nothing new */
	assert_string_equal(
	    heard_of(f, "te/device/c2//",
		"{\"@type\":\"child-device\",\"@id\":\"x2\",\"@parent\":"
		"\"device/c1//\",\"@health\":\"device/c1/service/h\","
		"\"name\":\"Two\"}"),
	    "");
}

static void
what_is_taken_out_of_a_twin_does_not_come_back_with_the_registration(
    void **state)
{
	struct fixture *f = *state;

	f->keeps = true;
	say(f, "te/device/c1//",
	    "{\"@type\":\"child-device\",\"name\":\"One\",\"hw\":1}");
	assert_string_equal(heard_of(f, "te/device/c1///twin/name", ""),
	    "keep te/device/c1// {\"@type\":\"child-device\",\"@parent\":"
	    "\"device/main//\",\"hw\":1}\n"
	    "pub te/device/c1// {\"@type\":\"child-device\",\"@parent\":"
	    "\"device/main//\",\"hw\":1}\n");
	/* one that it does not say */
	say(f, "te/device/c1///twin/color", "2");
	assert_string_equal(heard_of(f, "te/device/c1///twin/color", ""), "");
	buf_clear(&f->heard);
	assert_int_equal(te_store_replace_twin(f->store, STR("device/c1//"),
			     STR("{\"size\":3}"), NULL),
	    0);
	assert_string_equal(buf_z(&f->heard),
	    "pub te/device/c1///twin/hw \n"
	    "pub te/device/c1///twin/size 3\n"
	    "keep te/device/c1// {\"@type\":\"child-device\",\"@parent\":"
	    "\"device/main//\"}\n"
	    "pub te/device/c1// {\"@type\":\"child-device\",\"@parent\":"
	    "\"device/main//\"}\n");
}

static void
registrations_wait_for_their_parents(void **state)
{
	struct fixture *f = *state;

	f->changes = true;
	assert_string_equal(
	    heard_of(f, "te/device/c3//",
		"{\"@type\":\"child-device\",\"@parent\":\"device/c2\"}"),
	    "");
	assert_string_equal(
	    heard_of(f, "te/device/c2//",
		"{\"@type\":\"child-device\",\"@parent\":\"device/c1//\"}"),
	    "");
	/* data does not register one that waits */
	assert_int_equal(say(f, "te/device/c3///m/", "{}"), ERR_NOT_FOUND);
	assert_string_equal(
	    heard_of(f, "te/device/c1//", "{\"@type\":\"child-device\"}"),
	    "+device/c1//\n+device/c2//\n+device/c3//\n");
	assert_int_equal(say(f, "te/device/c3///m/", "{}"), 0);
	assert_string_equal(list(f, "device/c1//", NULL, 0),
	    "device/c1// device/c2// device/c3// ");
}

static void
parents_in_a_circle_wait_for_ever_and_are_bounded(void **state)
{
	struct fixture *f = *state;
	char topic[64];

	te_store_free(f->store);
	f->store = make(f, (struct te_store_conf){ .max_pending = 3 });
	for (int i = 0; i < 3; i++) {
		snprintf(topic, sizeof(topic), "te/device/c%d//", i);
		assert_int_equal(say(f, topic,
				     "{\"@type\":\"child-device\",\"@parent\":"
				     "\"device/none\"}"),
		    ERR_NOT_FOUND);
	}
	assert_string_equal(
	    heard_of(f, "te/device/c9//",
		"{\"@type\":\"child-device\",\"@parent\":\"device/none\"}"),
	    "err The registration of \"device/c9//\" is refused: "
	    "\"device/c9//\" is not registered: 3 registrations already wait "
	    "for their parents\n");
}

static void
bad_registrations_are_told_why(void **state)
{
	static const struct {
		const char *topic, *payload, *why;
	} cases[] = {
		{ "te/device/x//", "{", "line 1 column 2: " },
		{ "te/device/x//", "{}", "missing field `@type`" },
		{ "te/device/x//", "{\"@type\":\"main-device\"}",
		    "unknown variant `main-device`, expected one of `device`, "
		    "`child-device`, `service`" },
		{ "te/device/x//", "{\"@type\":\"child-device\",\"@id\":55}",
		    "\"@id\" must be a text" },
		{ "te/device/x//",
		    "{\"@type\":\"child-device\",\"@parent\":\"a/b/c/d/e\"}",
		    "An entity topic identifier has at most 4 segments" },
		{ "te/device/x//",
		    "{\"@type\":\"child-device\",\"@parent\":\"a/+\"}",
		    "An entity topic identifier must be a valid MQTT topic" },
		{ "te/device/x//", "{\"@type\":\"child-device\",\"a/b\":1}",
		    "Invalid twin key: 'a/b'. Keys that are empty, containing "
		    "'/' or starting with '@' are not allowed" },
		{ "te/device/x//", "{\"@type\":\"device\"}",
		    "The main device was already registered at topic "
		    "device/main//" },
		{ "te/device/x//",
		    "{\"@type\":\"child-device\",\"@parent\":\"device/x//\"}",
		    "Entity: 'device/x//' can not be its own parent" },
		{ "te/device/c//",
		    "{\"@type\":\"child-device\",\"@parent\":\"device/d\"}",
		    "Entity: 'device/d//' can not be a parent of "
		    "'device/c//' because 'device/d//' is a descendent of "
		    "'device/c//'" },
		{ "te/device/x//",
		    "{\"@type\":\"child-device\",\"@parent\":"
		    "\"device/main/service/s\"}",
		    "Entity: 'device/main/service/s' can not be a parent of "
		    "'device/x//' because it is a service. Only devices can "
		    "be parents" },
		{ "te/device/main//",
		    "{\"@type\":\"device\",\"@parent\":\"device/c//\"}",
		    "The parent of main device can not be updated" },
		{ "te/device/c//", "{\"@type\":\"service\"}",
		    "Updating the entity type of device/c// is not "
		    "supported" },
		{ "te/device/c//",
		    "{\"@type\":\"child-device\",\"@id\":\"other\"}",
		    "Updating the external id of device/c// is not supported: "
		    "it is \"first\"" },
	};
	struct fixture *f = *state;

	say(f, "te/device/main/service/s", "{\"@type\":\"service\"}");
	say(f, "te/device/c//",
	    "{\"@type\":\"child-device\",\"@id\":\"first\"}");
	say(f, "te/device/d//",
	    "{\"@type\":\"child-device\",\"@parent\":\"device/c//\"}");
	for (size_t i = 0; i < COUNT_OF(cases); i++)
		assert_non_null(
		    strstr(heard_of(f, cases[i].topic, cases[i].payload),
			cases[i].why));
	assert_int_equal(te_store_count(f->store), 4);
}

static void
removal_takes_all_below_it_children_first(void **state)
{
	struct fixture *f = *state;

	f->keeps = f->changes = true;
	say(f, "te/device/c1//", "{\"@type\":\"child-device\"}");
	say(f, "te/device/c2//",
	    "{\"@type\":\"child-device\",\"@parent\":\"device/c1\"}");
	say(f, "te/device/c2/service/s", "{\"@type\":\"service\"}");
	assert_string_equal(heard_of(f, "te/device/c1//", ""),
	    "keep te/device/c2/service/s \npub te/device/c2/service/s \n"
	    "-device/c2/service/s\n"
	    "keep te/device/c2// \npub te/device/c2// \n-device/c2//\n"
	    "keep te/device/c1// \npub te/device/c1// \n-device/c1//\n");
	assert_string_equal(list(f, NULL, NULL, 0), "device/main// ");
	/* the main device stays, and says so */
	assert_string_equal(heard_of(f, "te/device/main//", ""),
	    "pub te/device/main// {\"@type\":\"device\"}\n");
}

static void
what_is_asked_by_hand_is_answered_in_known_sentences(void **state)
{
	struct fixture *f = *state;
	struct buf id = { 0 };
	struct err err;

	assert_int_equal(te_store_create(f->store,
			     STR("{\"@topic-id\":\"device/c1\",\"@type\":"
				 "\"child-device\",\"name\":\"One\"}"),
			     &id, &err),
	    0);
	assert_string_equal(buf_z(&id), "device/c1//");
	assert_string_equal(buf_z(&f->heard),
	    "pub te/device/c1///twin/name \"One\"\n"
	    "pub te/device/c1// {\"@type\":\"child-device\",\"name\":\"One\"}"
	    "\n");
	assert_int_equal(te_store_create(f->store,
			     STR("{\"@topic-id\":\"device/c1//\",\"@type\":"
				 "\"child-device\"}"),
			     &id, &err),
	    ERR_EXISTS);
	assert_string_equal(err.text,
	    "An entity with topic id: device/c1// is already registered");
	assert_int_equal(te_store_create(f->store,
			     STR("{\"@topic-id\":\"device/c2\",\"@type\":"
				 "\"child-device\",\"@parent\":\"a/b\"}"),
			     &id, &err),
	    ERR_PARAM);
	assert_string_equal(err.text,
	    "The specified parent \"a/b//\" does not exist in the entity "
	    "store");
	assert_int_equal(te_store_create(f->store,
			     STR("{\"@type\":\"child-device\"}"), &id, &err),
	    ERR_PARAM);
	assert_string_equal(err.text, "missing field `@topic-id`");
	assert_int_equal(
	    te_store_update(f->store, STR("device/c9//"), STR("{}"), &err),
	    ERR_NOT_FOUND);
	assert_string_equal(err.text,
	    "The specified entity: device/c9// does not exist in the entity "
	    "store");
	assert_int_equal(te_store_update(f->store, STR("device/c1//"),
			     STR("{\"@type\":\"service\"}"), &err),
	    ERR_PARAM);
	assert_string_equal(
	    err.text, "unknown field `@type`, expected `@parent` or `@health`");
	assert_int_equal(te_store_update(f->store, STR("device/c1//"),
			     STR("{\"@health\":\"device/main//\"}"), &err),
	    ERR_PARAM);
	assert_string_equal(err.text,
	    "Entity: 'device/main//' can not be a health endpoint of "
	    "'device/c1//' because it is not a service. Only services can be "
	    "health endpoints");
	assert_int_equal(
	    te_store_remove(f->store, STR("device/main//"), NULL, NULL, &err),
	    ERR_PARAM);
	assert_int_equal(te_store_set_twin(f->store, STR("device/c1//"),
			     STR("@x"), STR("1"), &err),
	    ERR_PARAM);
	assert_string_equal(err.text,
	    "Invalid twin key: '@x'. Keys that are empty, containing '/' or "
	    "starting with '@' are not allowed");
	buf_free(&id);
}

static void
a_new_parent_and_health_are_published(void **state)
{
	struct fixture *f = *state;
	struct buf health = { 0 };

	say(f, "te/device/c1//", "{\"@type\":\"child-device\"}");
	say(f, "te/device/c2//", "{\"@type\":\"child-device\"}");
	say(f, "te/device/c2/service/h", "{\"@type\":\"service\"}");
	assert_true(te_entity_health(
	    te_store_find(f->store, STR("device/c2//")), &health));
	assert_string_equal(buf_z(&health), "device/c2/service/tedge-agent");
	buf_clear(&f->heard);
	assert_int_equal(te_store_update(f->store, STR("device/c2//"),
			     STR("{\"@parent\":\"device/c1\",\"@health\":"
				 "\"device/c2/service/h\"}"),
			     NULL),
	    0);
	assert_string_equal(buf_z(&f->heard),
	    "pub te/device/c2// {\"@type\":\"child-device\",\"@parent\":"
	    "\"device/c1//\",\"@health\":\"device/c2/service/h\"}\n");
	buf_clear(&health);
	assert_true(te_entity_health(
	    te_store_find(f->store, STR("device/c2//")), &health));
	assert_string_equal(buf_z(&health), "device/c2/service/h");
	assert_string_equal(list(f, NULL, "device/c1//", 0), "device/c2// ");
	assert_string_equal(list(f, "device/c1//", NULL, 1u << TE_SERVICE),
	    "device/c2/service/h ");
	buf_free(&health);
}

static void
twins_are_set_replaced_and_deleted(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(te_store_set_twin(f->store, STR("device/main//"),
			     STR("a"), STR(" { \"x\" : 1 } "), NULL),
	    0);
	assert_int_equal(te_store_set_twin(f->store, STR("device/main//"),
			     STR("b"), STR("2"), NULL),
	    0);
	assert_int_equal(te_store_set_twin(f->store, STR("device/main//"),
			     STR("b"), STR("2"), NULL),
	    0);
	assert_int_equal(te_store_replace_twin(f->store, STR("device/main//"),
			     STR("{\"b\":2,\"c\":\"z\"}"), NULL),
	    0);
	assert_int_equal(te_store_set_twin(f->store, STR("device/main//"),
			     STR("c"), STR("null"), NULL),
	    0);
	assert_int_equal(te_store_set_twin(f->store, STR("device/main//"),
			     STR("d"), STR("{"), NULL),
	    ERR_PARAM);
	assert_string_equal(buf_z(&f->heard),
	    "pub te/device/main///twin/a {\"x\":1}\n"
	    "pub te/device/main///twin/b 2\n"
	    "pub te/device/main///twin/a \n"
	    "pub te/device/main///twin/c \"z\"\n"
	    "pub te/device/main///twin/c \n");
}

static void
configuration_is_heard_and_its_types_stay(void **state)
{
	struct fixture *f = *state;
	const struct te_entity *e;
	struct arena a = { 0 };

	say(f, "te/device/main/service/tedge-agent/config",
	    "{\"mqtt.port\": 1883, \"x\": [ \"a\" ]}");
	e = te_store_find(f->store, STR("device/main/service/tedge-agent"));
	assert_str(te_entity_config(e, STR("mqtt.port"), &a), "1883");
	assert_str(e->config, "{\"mqtt.port\":1883,\"x\":[\"a\"]}");
	assert_null(te_entity_config(e, STR("none"), &a).ptr);
	assert_string_equal(
	    heard_of(f, "te/device/main/service/tedge-agent/config", "[1]"),
	    "err The configuration of \"device/main/service/tedge-agent\" is "
	    "refused: line 1 column 1: must be an object\n");
	say(f, "te/device/main/service/tedge-agent/config", "");
	assert_null(te_entity_config(e, STR("mqtt.port"), &a).ptr);
	arena_fini(&a);
}

static void
all_of_it_stays_below_the_limit(void **state)
{
	struct fixture *f = *state;
	char topic[64];
	int rc = 0, n;

	te_store_free(f->store);
	f->store = make(f,
	    (struct te_store_conf){
		.auto_register = true, .max_bytes = 20000 });
	for (n = 0; n < 1000 && rc == 0; n++) {
		snprintf(topic, sizeof(topic), "te/device/c%d///m/", n);
		rc = say(f, topic, "{}");
	}
	assert_int_equal(rc, ERR_LIMIT);
	assert_in_range(n, 20, 200);
	/* room comes back */
	say(f, "te/device/c0//", "");
	assert_int_equal(say(f, topic, "{}"), 0);
}

static void
what_waited_needs_no_room_twice(void **state)
{
	struct fixture *f = *state;
	char text[3000];

	te_store_free(f->store);
	f->store = make(f, (struct te_store_conf){ .max_bytes = 6500 });
	snprintf(text, sizeof(text),
	    "{\"@type\":\"child-device\",\"@parent\":\"device/"
	    "c1\",\"t\":\"%02000d\"}",
	    0);
	assert_int_equal(say(f, "te/device/c2//", text), ERR_NOT_FOUND);
	say(f, "te/device/c1//", "{\"@type\":\"child-device\"}");
	assert_non_null(te_store_find(f->store, STR("device/c2//")));
}

static void
a_change_that_repeats_the_twin_needs_its_room(void **state)
{
	struct fixture *f = *state;
	char text[3000];
	struct err err;

	te_store_free(f->store);
	f->store = make(f, (struct te_store_conf){ .max_bytes = 4000 });
	say(f, "te/device/c1//", "{\"@type\":\"child-device\"}");
	say(f, "te/device/c2//", "{\"@type\":\"child-device\"}");
	snprintf(text, sizeof(text), "\"%02000d\"", 0);
	assert_int_equal(te_store_set_twin(f->store, STR("device/c2//"),
			     STR("t"), str_of(text), NULL),
	    0);
	assert_int_equal(te_store_update(f->store, STR("device/c2//"),
			     STR("{\"@parent\":\"device/c1\"}"), &err),
	    ERR_LIMIT);
	assert_string_equal(list(f, NULL, "device/c1//", 0), "");
}

static void
who_waited_and_is_refused_is_named(void **state)
{
	struct fixture *f = *state;

	say(f, "te/device/c2//",
	    "{\"@type\":\"child-device\",\"@parent\":\"device/s\"}");
	assert_string_equal(
	    heard_of(f, "te/device/s//", "{\"@type\":\"service\"}"),
	    "err The registration of \"device/c2//\" is refused: Entity: "
	    "'device/s//' can not be a parent of 'device/c2//' because it is a "
	    "service. Only devices can be parents\n");
}

static void
a_following_store_says_nothing_and_waits(void **state)
{
	struct fixture *f = *state;

	te_store_free(f->store);
	f->store = make(f, (struct te_store_conf){ .cache = true });
	f->changes = true;
	assert_int_equal(say(f, "te/device/c1///m/", "{}"), ERR_NOT_FOUND);
	assert_string_equal(heard_of(f, "te/device/c1//",
				"{\"@type\":\"child-device\",\"name\":\"n\"}"),
	    "+device/c1//\n");
	assert_int_equal(say(f, "te/device/c1///m/", "{}"), 0);
	assert_string_equal(
	    heard_of(f, "te/device/c1//", ""), "-device/c1//\n");
}

/* --- the ring ------------------------------------------------------------ */

static void
add_payload(void *ctx, const struct te_early *m)
{
	buf_addf(ctx, STR_FMT "/%d%d ", STR_ARG(m->payload), m->qos, m->retain);
}

static void
early_messages_come_out_in_order_and_the_oldest_are_lost(void **state)
{
	struct te_ring *r = te_ring_new(3, 0);
	struct buf out = { 0 };

	(void)state;
	for (int i = 0; i < 5; i++) {
		char payload[2] = { (char)('a' + i), '\0' };
		struct te_early m = { STR("t"), str_of(payload), 1, i == 4,
			false };

		assert_true(
		    te_ring_put(r, i % 2 == 0 ? STR("even") : STR("odd"), &m));
	}
	assert_int_equal(te_ring_count(r), 3);
	assert_int_equal(te_ring_lost(r), 2);
	te_ring_take(r, STR("even"), add_payload, &out);
	assert_string_equal(buf_z(&out), "c/10 e/11 ");
	te_ring_take(r, STR("even"), add_payload, &out);
	te_ring_take(r, STR("odd"), add_payload, &out);
	assert_string_equal(buf_z(&out), "c/10 e/11 d/10 ");
	te_ring_free(r);
	r = te_ring_new(0, 1000);
	assert_false(te_ring_put(r, STR("x"),
	    &(struct te_early){ STR("t"), { buf_z(&out), 2000 }, 1, 0, 0 }));
	te_ring_free(r);
	buf_free(&out);
}

/* --- what is kept --------------------------------------------------------- */

static void
load_one(void *ctx, struct str topic, struct str payload)
{
	struct fixture *f = ctx;

	te_store_load(f->store, topic, payload);
}

static void
log_one(void *ctx, struct str topic, struct str payload)
{
	buf_addf(
	    ctx, STR_FMT " " STR_FMT "\n", STR_ARG(topic), STR_ARG(payload));
}

static char *
temp_dir(void)
{
	char *dir = strdup("/tmp/marram-entity-XXXXXX");

	assert_non_null(mkdtemp(dir));
	return dir;
}

static void
clean_up(char *dir)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/entity_store.jsonl", dir);
	unlink(path);
	assert_int_equal(rmdir(dir), 0);
	free(dir);
}

static void
write_file(const char *dir, const char *text)
{
	char path[128];
	FILE *file;

	snprintf(path, sizeof(path), "%s/entity_store.jsonl", dir);
	file = fopen(path, "w");
	assert_non_null(file);
	fputs(text, file);
	fclose(file);
}

static void
a_file_of_thin_edge_is_read(void **state)
{
	struct fixture *f = *state;
	struct entity_log *log;
	char *dir = temp_dir();

	write_file(dir,
	    "{\"version\":\"1.0\"}\n"
	    "{\"topic\":{\"name\":\"te/device/a//\"},\"payload\":"
	    "\"{\\\"@type\\\":\\\"child-device\\\",\\\"name\\\":\\\"A\\\"}\","
	    "\"qos\":1,\"retain\":true}\n"
	    "this is no JSON\n"
	    "{\"topic\":{\"name\":\"te/device/b//\"},\"payload\":"
	    "\"{\\\"@type\\\":\\\"child-device\\\",\\\"@parent\\\":"
	    "\\\"device/a//\\\"}\",\"qos\":1,\"retain\":true}\n"
	    "{\"topic\":{\"name\":\"te/device/gone//\"},\"payload\":"
	    "\"{\\\"@type\\\":\\\"child-device\\\"}\",\"qos\":1,\"retain\":"
	    "true}\n"
	    "{\"topic\":{\"name\":\"te/device/gone//\"},\"payload\":\"\","
	    "\"qos\":1,\"retain\":true}\n"
	    "{\"topic\":{\"name\":\"te/dev"); /* power was cut */
	assert_int_equal(
	    entity_log_open(dir, false, load_one, f, &log, NULL), 0);
	entity_log_close(log);
	assert_string_equal(
	    list(f, NULL, NULL, 0), "device/main// device/a// device/b// ");
	/* and nothing was told of it */
	buf_clear(&f->heard);
	assert_int_equal(
	    entity_log_open(dir, true, log_one, &f->heard, &log, NULL), 0);
	entity_log_close(log);
	assert_int_equal(
	    entity_log_open(dir, false, log_one, &f->heard, &log, NULL), 0);
	entity_log_close(log);
	assert_string_equal(buf_z(&f->heard), ""); /* clean start */
	clean_up(dir);
}

static void
what_is_added_is_read_again_and_the_file_stays_small(void **state)
{
	struct fixture *f = *state;
	struct entity_log *log;
	char *dir = temp_dir(), path[128], payload[32];
	FILE *file;

	assert_int_equal(
	    entity_log_open(dir, false, log_one, &f->heard, &log, NULL), 0);
	assert_int_equal(
	    entity_log_add(log, STR("te/device/a//"), STR("\"1\""), NULL), 0);
	for (int i = 0; i < 1000; i++) {
		snprintf(payload, sizeof(payload), "{\"n\":%d}", i);
		assert_int_equal(entity_log_add(log, STR("te/device/b//"),
				     str_of(payload), NULL),
		    0);
	}
	assert_int_equal(
	    entity_log_add(log, STR("te/device/c//"), STR("{}"), NULL), 0);
	assert_int_equal(
	    entity_log_add(log, STR("te/device/a//"), STR(""), NULL), 0);
	entity_log_close(log);
	snprintf(path, sizeof(path), "%s/entity_store.jsonl", dir);
	file = fopen(path, "r");
	assert_non_null(file);
	fseek(file, 0, SEEK_END);
	assert_in_range(ftell(file), 100, 15000);
	fclose(file);
	assert_int_equal(
	    entity_log_open(dir, false, log_one, &f->heard, &log, NULL), 0);
	entity_log_close(log);
	assert_string_equal(
	    buf_z(&f->heard), "te/device/b// {\"n\":999}\nte/device/c// {}\n");
	clean_up(dir);
}

#define STORY(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		STORY(data_of_an_unknown_entity_registers_it_and_its_device),
		STORY(commands_signals_and_empty_data_register_nobody),
		STORY(another_scheme_asks_for_a_registration_once),
		STORY(what_a_registration_says_of_the_twin_is_published),
		STORY(an_old_retained_registration_does_not_undo_the_twin),
		STORY(a_registration_that_says_less_is_kept_with_what_stays),
		STORY(
		    what_is_taken_out_of_a_twin_does_not_come_back_with_the_registration),
		STORY(registrations_wait_for_their_parents),
		STORY(parents_in_a_circle_wait_for_ever_and_are_bounded),
		STORY(bad_registrations_are_told_why),
		STORY(removal_takes_all_below_it_children_first),
		STORY(what_is_asked_by_hand_is_answered_in_known_sentences),
		STORY(a_new_parent_and_health_are_published),
		STORY(twins_are_set_replaced_and_deleted),
		STORY(configuration_is_heard_and_its_types_stay),
		STORY(all_of_it_stays_below_the_limit),
		STORY(what_waited_needs_no_room_twice),
		STORY(a_change_that_repeats_the_twin_needs_its_room),
		STORY(who_waited_and_is_refused_is_named),
		STORY(a_following_store_says_nothing_and_waits),
		STORY(early_messages_come_out_in_order_and_the_oldest_are_lost),
		STORY(a_file_of_thin_edge_is_read),
		STORY(what_is_added_is_read_again_and_the_file_stays_small),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
