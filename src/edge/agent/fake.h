/*
 * edge/agent/fake.h - for tests: an agent on a bus that is a transcript, in a
 * folder of its own, with plugins that are shell scripts.
 */
#ifndef EDGE_AGENT_FAKE_H
#define EDGE_AGENT_FAKE_H

#include "base/test.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "edge/agent/agent.h"

#include <errno.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

struct fake {
	struct agent_conf conf;
	struct agent_host host;
	struct agent *agent;
	struct loop *loop;
	char dir[40];
	char *paths[8];
	struct buf heard;   /* "topic [r] payload\n" of each publication */
	bool deaf;          /* the broker answers for nothing */
	const char *broken; /* why it could not start anew */
	char left[8];       /* "again", "end" */
	size_t packet_max;  /* that the broker takes */
	struct list owed;   /* completions */
};

struct fake_owed {
	struct list link;
	void (*done)(void *ctx, bool taken);
	void *ctx;
	size_t len;
};

static inline char *
fake_path(struct fake *f, const char *name)
{
	static char path[256];

	snprintf(path, sizeof(path), "%s/%s", f->dir, name);
	return path;
}

static inline void
fake_file(struct fake *f, const char *name, const char *text, mode_t mode)
{
	struct err err;
	char *path = fake_path(f, name);

	if (file_write(path, str_of(text), &err) != 0)
		fail_msg("%s", err.text);
	assert_int_equal(chmod(path, mode), 0);
}

/* A script; its first argument is $1. */
static inline void
fake_plugin(struct fake *f, const char *name, const char *script)
{
	char *path = mem_printf("sm-plugins/%s", name);
	char *text = mem_printf("#!/bin/sh\n%s\n", script);

	fake_file(f, path, text, 0755);
	free(text);
	free(path);
}

static inline void
fake_publish(void *owner, struct str topic, struct str payload, bool retain,
    void (*done)(void *ctx, bool taken), void *ctx)
{
	struct fake *f = owner;

	buf_addf(&f->heard, STR_FMT "%s " STR_FMT "\n", STR_ARG(topic),
	    retain ? " r" : "", STR_ARG(payload));
	if (done != NULL) {
		struct fake_owed *o = mem_new(struct fake_owed);

		o->done = done;
		o->ctx = ctx;
		o->len = payload.len;
		list_add(&f->owed, &o->link);
	}
}

static inline int
fake_can_restart(void *owner, struct err *err)
{
	struct fake *f = owner;

	return f->broken == NULL ? 0 : err_set(err, ERR_PARAM, "%s", f->broken);
}

static inline void
fake_leave(void *owner, bool end)
{
	struct fake *f = owner;

	strcpy(f->left, end ? "end" : "again");
	buf_addf(&f->heard, "left %s\n", f->left);
}

static inline void
fake_forget_owed(struct fake *f, bool call)
{
	struct fake_owed *o;

	while ((o = list_first(&f->owed, struct fake_owed, link)) != NULL) {
		list_del(&o->link);
		if (call)
			o->done(o->ctx, o->len <= f->packet_max);
		free(o);
	}
}

/* Turns until `text` has been published. */
static inline void
fake_wait(struct fake *f, const char *text)
{
	time_t end = time(NULL) + 20;

	while (strstr(buf_z(&f->heard), text) == NULL) {
		if (!f->deaf)
			fake_forget_owed(f, true);
		loop_turn(f->loop, 100);
		if (time(NULL) > end)
			fail_msg("not heard: %s\nin: %s", text, f->heard.ptr);
	}
	if (!f->deaf)
		fake_forget_owed(f, true);
}

static inline void
assert_heard(struct fake *f, const char *text)
{
	if (strstr(buf_z(&f->heard), text) == NULL)
		fail_msg("not heard: %s\nin: %s", text, f->heard.ptr);
}

static inline void
fake_send_as(
    struct fake *f, const char *topic, const char *payload, bool retain)
{
	agent_heard(f->agent,
	    &(struct agent_msg){ str_of(topic), str_of(payload), retain });
}

static inline void
fake_send(struct fake *f, const char *topic, const char *payload)
{
	fake_send_as(f, topic, payload, false);
}

static inline void
fake_start(struct fake *f)
{
	struct err err;

	if (agent_new(&f->conf, &f->host, &f->agent, &err) != 0)
		fail_msg("%s", err.text);
	agent_up(f->agent);
}

/* As if the process had been killed. */
static inline void
fake_crash(struct fake *f)
{
	fake_forget_owed(f, false);
	agent_free(f->agent);
	f->agent = NULL;
	buf_clear(&f->heard);
}

static inline int
fake_setup(void **state)
{
	static const char *const dirs[] = { "sm-plugins", "plugins", "device",
		"tmp", "log", "state", "proc", "config-plugins",
		"log-plugins" };
	static struct str reboot[] = { STR("true") };
	struct fake *f = mem_new(struct fake);

	f->loop = loop_new();
	f->packet_max = 1 << 20;
	list_init(&f->owed);
	strcpy(f->dir, "/tmp/agent_test.XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	for (size_t i = 0; i < COUNT_OF(dirs); i++)
		assert_int_equal(mkdir(fake_path(f, dirs[i]), 0755), 0);
	f->paths[0] = str_dupz(str_of(f->dir));
	f->paths[1] = str_dupz(str_of(fake_path(f, "state")));
	f->paths[2] = str_dupz(str_of(fake_path(f, "tmp")));
	f->paths[3] = str_dupz(str_of(fake_path(f, "log")));
	f->paths[4] = str_dupz(str_of(fake_path(f, "proc")));
	f->conf = (struct agent_conf){ .loop = f->loop,
		.root = STR("te"),
		.device = STR("device/main//"),
		.device_type = STR("thing"),
		.config_dir = f->paths[0],
		.state_dir = f->paths[1],
		.tmp_dir = f->paths[2],
		.log_dir = f->paths[3],
		.proc_dir = f->paths[4],
		.software_max = 1000,
		.plugin_timeout_ms = 300000,
		.config_snapshot = true,
		.config_update = true,
		.log_upload = true,
		.reboot = { reboot, 1 },
		.reboot_timeout_ms = 120000,
		.file_max = 1 << 20,
		.files_url = STR("http://127.0.0.1:1/te/v1/files/main") };
	f->host = (struct agent_host){ f, fake_publish, fake_can_restart,
		fake_leave };
	*state = f;
	return 0;
}

static inline int
fake_remove(const char *path, const struct stat *st, int type, struct FTW *at)
{
	(void)st;
	(void)type;
	(void)at;
	return remove(path);
}

static inline int
fake_teardown(void **state)
{
	struct fake *f = *state;

	fake_forget_owed(f, false);
	agent_free(f->agent);
	loop_free(f->loop);
	nftw(f->dir, fake_remove, 8, FTW_DEPTH | FTW_PHYS);
	for (size_t i = 0; i < COUNT_OF(f->paths); i++)
		free(f->paths[i]);
	buf_free(&f->heard);
	free(f);
	return 0;
}

#endif
