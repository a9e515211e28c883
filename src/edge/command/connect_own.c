/*
 * edge/command/connect_own.c - what `connect` and `disconnect` have to do with
 * the device's own broker alone: is a user's mapper up, and an end to the
 * sessions in which messages wait for a cloud. See command_private.h.
 */
#include "edge/command_private.h"

#include "base/mem.h"
#include "edge/bridge_plan.h"
#include "edge/edge.h"
#include "edge/exchange.h"
#include "edge/local.h"

#include <stdio.h>
#include <stdlib.h>

#define UP_MS 10000
#define FORGET_MS 5000
#define MAPPER_DOWN 2 /* exit status of --test */
#define BRIDGE_DOWN 3

/* --- a user's mapper ----------------------------------------------------- */

static bool
is_up(struct str topic, struct str payload)
{
	(void)topic;
	return str_contains_nocase(payload, STR("\"up\""));
}

static bool
wait_for(const struct config *c, const struct local *local, const char *service)
{
	char *topic =
	    mem_printf(STR_FMT "/device/main/service/%s/status/health",
		STR_ARG(config_text(c, "mqtt.topic_root")), service);
	const struct exchange x = { .conf = &local->conf,
		.filter = topic,
		.is_answer = is_up,
		.timeout_ms = UP_MS };
	char title[160];
	struct err err;
	int rc;

	snprintf(title, sizeof(title), "Waiting for %s to be up", service);
	command_step(title);
	rc = exchange(&x, NULL, &err);
	command_step_done(rc == 0);
	if (rc == ERR_AGAIN)
		command_say("error", "%s did not report as up", service);
	else if (rc != 0)
		command_say(
		    "error", "ask the device's MQTT broker: %s", err.text);
	free(topic);
	return rc == 0;
}

int
command_test_own(struct command_call *call, const char *name)
{
	const struct config *c = command_config(call);
	struct mapper_settings m;
	struct local local = { 0 };
	struct arena a = { 0 };
	struct err err;
	char service[128];
	int status = 0;

	if (mapper_settings_read(c, name, &a, &m, &err) != 0 ||
	    local_open(&local, c, &err) != 0) {
		status = command_failed("test the mapper", &err);
		goto done;
	}
	snprintf(service, sizeof(service), "tedge-mapper-%s", name);
	if (!wait_for(c, &local, service))
		status = MAPPER_DOWN;
	snprintf(service, sizeof(service), "tedge-mapper-bridge-%s", name);
	if (status == 0 && bridge_is_wanted(&m) &&
	    !wait_for(c, &local, service))
		status = BRIDGE_DOWN;
done:
	local_close(&local);
	arena_fini(&a);
	return status;
}

/* --- sessions ------------------------------------------------------------ */

/* marram-edge does it, whose the session is; a mapper that runs in a process of
 * its own has one that anybody may take. */
int
command_forget(const struct config *c, const char *client, struct err *err)
{
	struct local local = { 0 };
	struct mqtt_client_conf conf;
	const struct exchange x = { .conf = &conf, .timeout_ms = FORGET_MS };
	char *line = mem_printf("forget %s", client);
	struct buf out = { 0 };
	int rc = control_ask(c, line, &out, err);

	buf_free(&out);
	free(line);
	if (rc != ERR_CLOSED)
		return rc;
	rc = local_open(&local, c, err);
	if (rc == 0) {
		conf = local.conf;
		conf.client_id = client;
		rc = exchange(&x, NULL, err);
	}
	local_close(&local);
	return rc;
}
