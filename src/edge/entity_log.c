/*
 * edge/entity_log.c - see entity_log.h.
 */
#include "edge/entity_log.h"

#include "base/arena.h"
#include "base/file.h"
#include "base/list.h"
#include "base/map.h"
#include "base/mem.h"
#include "codec/json.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_NAME "entity_store.jsonl"
#define FILE_MAX ((off_t)64 << 20) /* more was not written by any of us */
#define OUTDATED_MIN 100
#define VERSION_LINE "{\"version\":\"1.0\"}\n"

struct line {
	struct list link;
	struct str topic, payload;
};

struct entity_log {
	char *path;
	int fd;
	struct map by_topic;
	struct list lines; /* the last of each topic, in the order they came */
	size_t written;    /* lines in the file, without the first */
	bool torn;         /* the last line has no end */
};

static void
drop(struct entity_log *l, struct line *line)
{
	map_del(&l->by_topic, line->topic);
	list_del(&line->link);
	str_free(line->topic);
	str_free(line->payload);
	free(line);
}

static void
take(struct entity_log *l, struct str topic, struct str payload)
{
	struct line *line = map_get(&l->by_topic, topic);

	if (payload.len == 0) {
		if (line != NULL)
			drop(l, line);
		return;
	}
	if (line == NULL) {
		line = mem_new(struct line);
		line->topic = str_copy(topic);
		map_put(&l->by_topic, line->topic, line);
		list_add(&l->lines, &line->link);
	}
	str_free(line->payload);
	line->payload = str_copy(payload);
}

static void
put_line(struct buf *out, struct str topic, struct str payload)
{
	struct json_out o;

	json_out_init(&o, out, false);
	json_out_object(&o);
	json_out_key(&o, "topic");
	json_out_object(&o);
	json_out_key(&o, "name");
	json_out_str(&o, topic);
	json_out_end_object(&o);
	json_out_key(&o, "payload");
	json_out_str(&o, payload);
	json_out_key(&o, "qos");
	json_out_int(&o, 1);
	json_out_key(&o, "retain");
	json_out_bool(&o, true);
	json_out_end_object(&o);
	buf_addc(out, '\n');
}

static bool
read_line(
    struct arena *a, struct str text, struct str *topic, struct str *payload)
{
	struct str key;
	struct json j;

	*topic = *payload = STR_NULL;
	json_open(&j, text, 0, a);
	if (json_object(&j))
		while (json_member(&j, &key)) {
			if (str_eqz(key, "topic") && json_object(&j)) {
				while (json_member(&j, &key))
					if (str_eqz(key, "name"))
						json_str(&j, topic);
					else
						json_skip(&j);
			} else if (str_eqz(key, "payload"))
				json_str(&j, payload);
			else
				json_skip(&j);
		}
	return json_done(&j, NULL) == 0 && topic->ptr != NULL &&
	    payload->ptr != NULL;
}

static int
read_all(struct entity_log *l, struct err *err)
{
	struct buf text = { 0 };
	struct arena a = { 0 };
	struct str rest;
	struct stat st;
	int rc;

	if (stat(l->path, &st) < 0)
		return errno == ENOENT ? 0 : err_errno(err, "read %s", l->path);
	if (st.st_size > FILE_MAX)
		return err_set(err, ERR_LIMIT,
		    "%s has %lld bytes and is no entity store; move it away",
		    l->path, (long long)st.st_size);
	rc = file_read(l->path, &text, err);
	if (rc != 0)
		return rc;
	rest = text.len > 0 ? buf_str(&text) : STR_NULL;
	while (rest.ptr != NULL) {
		struct str topic, payload;

		if (read_line(&a, str_cut(&rest, '\n'), &topic, &payload))
			take(l, topic, payload);
		arena_clear(&a);
	}
	arena_fini(&a);
	buf_free(&text);
	return 0;
}

/* Opens the file that has just been put in place. */
static int
reopen(struct entity_log *l, struct err *err)
{
	int fd = open(l->path, O_WRONLY | O_APPEND | O_CLOEXEC);

	if (fd < 0)
		return err_errno(err, "open %s", l->path);
	if (l->fd >= 0)
		close(l->fd);
	l->fd = fd;
	l->written = l->by_topic.n;
	l->torn = false;
	return 0;
}

static void
put_all(const struct entity_log *l, struct buf *out)
{
	buf_addz(out, VERSION_LINE);
	LIST_EACH (line, &l->lines, struct line, link)
		put_line(out, line->topic, line->payload);
}

/* As file_write(), but waits for no disk: this is on the loop. */
static int
rewrite(struct entity_log *l, struct err *err)
{
	char *temp = mem_printf("%s.tmp", l->path);
	struct buf text = { 0 };
	int rc = 0, fd;

	put_all(l, &text);
	fd = open(temp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0 || file_write_all(fd, buf_str(&text)) < 0 ||
	    rename(temp, l->path) < 0) {
		rc = err_errno(err, "write %s", temp);
		unlink(temp);
	}
	if (fd >= 0)
		close(fd);
	if (rc == 0)
		rc = reopen(l, err);
	buf_free(&text);
	free(temp);
	return rc;
}

int
entity_log_open(const char *dir, bool clean,
    void (*each)(void *ctx, struct str topic, struct str payload), void *ctx,
    struct entity_log **ret, struct err *err)
{
	struct entity_log *l = mem_new(struct entity_log);
	struct buf text = { 0 };
	int rc = 0;

	l->path = mem_printf("%s/" FILE_NAME, dir);
	l->fd = -1;
	list_init(&l->lines);
	if (!clean)
		rc = read_all(l, err);
	if (rc == 0) {
		put_all(l, &text);
		rc = file_write(l->path, buf_str(&text), err);
	}
	if (rc == 0)
		rc = reopen(l, err);
	buf_free(&text);
	if (rc != 0) {
		entity_log_close(l);
		return rc;
	}
	LIST_EACH (line, &l->lines, struct line, link)
		each(ctx, line->topic, line->payload);
	*ret = l;
	return 0;
}

int
entity_log_add(
    struct entity_log *l, struct str topic, struct str payload, struct err *err)
{
	struct buf text = { 0 };
	int rc = 0;

	take(l, topic, payload);
	if (l->torn)
		return rewrite(l, err);
	put_line(&text, topic, payload);
	if (file_write_all(l->fd, buf_str(&text)) < 0) {
		rc = err_errno(err, "write %s", l->path);
		l->torn = true; /* the next one writes it all */
	}
	buf_free(&text);
	l->written++;
	if (rc == 0 && l->written >= 2 * l->by_topic.n + OUTDATED_MIN)
		rc = rewrite(l, err);
	return rc;
}

void
entity_log_close(struct entity_log *l)
{
	if (l == NULL)
		return;
	while (!list_empty(&l->lines))
		drop(l, list_first(&l->lines, struct line, link));
	map_fini(&l->by_topic);
	if (l->fd >= 0)
		close(l->fd);
	free(l->path);
	free(l);
}
