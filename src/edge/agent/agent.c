/*
 * edge/agent/agent.c - see agent.h: what it says of the device, and who hears
 * what comes in.
 */
#include "edge/agent/types.h"

#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define LOG_MODULE "agent"

const struct job_type *const job_types[] = { &job_restart, &job_software_list,
	&job_software_update, &job_config_snapshot, &job_config_update,
	&job_log_upload, NULL };

/* --- publishing ----------------------------------------------------------- */

void
agent_publish(
    struct agent *a, struct str topic, struct str payload, bool retain)
{
	a->host->publish(a->host->owner, topic, payload, retain, NULL, NULL);
}

struct str
agent_topic(struct agent *a, const char *fmt, ...)
{
	char rest[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(rest, sizeof(rest), fmt, ap);
	va_end(ap);
	buf_clear(&a->text);
	buf_addf(&a->text, STR_FMT "/" STR_FMT "/%s", STR_ARG(a->conf->root),
	    STR_ARG(a->conf->device), rest);
	return buf_str(&a->text);
}

void
agent_error(struct agent *a, const char *topic, const char *fmt, ...)
{
	struct buf to = { 0 };
	char text[1024];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	log_warn("%s", text);
	if (strchr(topic, '/') == NULL)
		buf_addf(&to, STR_FMT "/", STR_ARG(a->conf->root));
	buf_addz(&to, topic);
	agent_publish(a, buf_str(&to), str_of(text), false);
	buf_free(&to);
}

/* --- what it can ---------------------------------------------------------- */

void
agent_publish_capability(struct agent *a, const struct job_type *t)
{
	struct buf text = { 0 };

	buf_reserve(&text, 1);
	if (t->enabled == NULL || t->enabled(a->conf)) {
		if (t->capability != NULL)
			t->capability(a, &text);
		else
			buf_addz(&text, "{}");
	} /* else what an earlier run said is cleared */
	agent_publish(a, agent_topic(a, "cmd/%s", t->op), buf_str(&text), true);
	buf_free(&text);
}

void
agent_tell_capability(struct agent *a, const char *op)
{
	const char *told = NULL; /* a family is looked up at once */

	for (size_t i = 0; job_types[i] != NULL; i++) {
		const struct job_type *t = job_types[i];

		if (op != NULL && strcmp(op, t->op) != 0 &&
		    (t->family == NULL || strcmp(op, t->family) != 0))
			continue;
		if (t->family != NULL && t->family == told)
			continue;
		told = t->family;
		if (t->reload != NULL)
			t->reload(a, t);
		else
			agent_publish_capability(a, t);
	}
}

/* --- what the device is --------------------------------------------------- */

static void
tell_twin(struct agent *a, struct str key, struct str value)
{
	if (key.len == 0 || key.ptr[0] == '@' ||
	    memchr(key.ptr, '/', key.len) != NULL ||
	    memchr(key.ptr, '+', key.len) != NULL ||
	    memchr(key.ptr, '#', key.len) != NULL) {
		log_warn("inventory.json: \"" STR_FMT
			 "\" is not a key of a twin",
		    STR_ARG(key));
		return;
	}
	agent_publish(
	    a, agent_topic(a, "twin/" STR_FMT, STR_ARG(key)), value, true);
}

static void
tell_inventory(struct agent *a)
{
	char *path =
	    mem_printf("%s/device/inventory.json", a->conf->config_dir);
	struct buf text = { 0 }, value = { 0 };
	struct arena arena = { 0 };
	struct err err = { 0 };
	struct json in;
	struct str key;

	if (access(path, F_OK) == 0 && file_read(path, &text, &err) == 0) {
		json_open(&in, buf_str(&text), 0, &arena);
		if (json_object(&in)) /* is it one, before any of it is told? */
			while (json_member(&in, &key))
				json_skip(&in);
		if (json_done(&in, &err) == 0) {
			json_open(&in, buf_str(&text), 0, &arena);
			(void)json_object(&in);
			while (json_member(&in, &key)) {
				struct str raw;

				if (!json_raw(&in, &raw))
					break;
				buf_clear(&value);
				(void)json_compact(&value, raw, 0);
				tell_twin(a, key, buf_str(&value));
			}
		}
	}
	if (err.code != 0)
		log_warn("%s: %s", path, err.text);
	free(path);
	buf_free(&text);
	buf_free(&value);
	arena_fini(&arena);
}

static void
tell_device(struct agent *a)
{
	struct buf text = { 0 };

	tell_twin(a, STR("agent"),
	    STR("{\"name\":\"marram-edge\",\"version\":\"" MARRAM_VERSION
		"\"}"));
	if (a->conf->device_type.len > 0) {
		json_quote(&text, a->conf->device_type);
		tell_twin(a, STR("type"), buf_str(&text));
		buf_free(&text);
	}
	tell_inventory(a);
}

/* --- what it hears -------------------------------------------------------- */

static void
recover_once(struct agent *a)
{
	if (a->recovered)
		return;
	a->recovered = true;
	state_recover(a);
}

void
agent_filters(const struct agent *a, void (*each)(void *ctx, struct str filter),
    void *ctx)
{
	static const char *const own[] = { "cmd/+/+", "signal/+" };
	struct buf b = { 0 };

	for (size_t i = 0; i < COUNT_OF(own); i++) {
		buf_clear(&b);
		buf_addf(&b, STR_FMT "/" STR_FMT "/%s", STR_ARG(a->conf->root),
		    STR_ARG(a->conf->device), own[i]);
		each(ctx, buf_str(&b));
	}
	buf_free(&b);
	each(ctx, STR("tedge/commands/req/software/+"));
	each(ctx, STR("tedge/commands/req/control/restart"));
}

void
agent_heard(struct agent *a, const struct agent_msg *m)
{
	recover_once(a);
	if (!tedge_heard(a, m))
		te_heard(a, m);
}

void
agent_up(struct agent *a)
{
	recover_once(a);
	tell_device(a);
	tedge_up(a);
	agent_tell_capability(a, NULL);
}

/* --- begin and end -------------------------------------------------------- */

int
agent_new(const struct agent_conf *conf, const struct agent_host *host,
    struct agent **ret, struct err *err)
{
	struct agent *a = mem_new(struct agent);
	size_t n = 0;
	int rc;

	while (job_types[n] != NULL)
		n++;
	a->loop = conf->loop;
	a->conf = conf;
	a->host = host;
	a->queues = mem_array(n, sizeof(*a->queues));
	for (size_t i = 0; i < n; i++) {
		a->queues[i].type = job_types[i];
		list_init(&a->queues[i].jobs);
	}
	list_init(&a->ended);
	if (conf->exe != NULL && stat(conf->running_exe, &a->running) < 0)
		a->running.st_ino = 0; /* not known: then it stays */
	a->config_env = mem_printf("TEDGE_CONFIG_DIR=%s", conf->config_dir);
	a->env[0] = a->config_env;
	a->config_types = types_new(a, &types_config, conf->config_plugins);
	a->log_types = types_new(a, &types_log, conf->log_plugins);
	(void)mkdir(conf->state_dir, 0775); /* or writing to it says why not */
	rc = software_open(a, err);
	if (rc != 0) {
		agent_free(a);
		return rc;
	}
	watch_open(a);
	*ret = a;
	return 0;
}

void
agent_free(struct agent *a)
{
	if (a == NULL)
		return;
	jobs_free(a);
	software_close(a);
	watch_close(a);
	types_free(a->config_types);
	types_free(a->log_types);
	free(a->config_env);
	free(a->queues);
	buf_free(&a->text);
	free(a);
}
