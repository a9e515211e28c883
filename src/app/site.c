/*
 * app/site.c - see site.h. Looking at all files is a walk over the data folder,
 * so what it found is given again for some seconds. How full the disk is, is
 * for those who run the platform.
 */
#include "app/site.h"

#include "base/base.h"
#include "base/mem.h"
#include "core/auth/auth.h"
#include "core/rest/rest.h"

#include <fts.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#define LOOK_MS 5000
#define STORES_MAX 64

struct site {
	const char *name, *dir;
	const struct mqtt_listeners *listeners;
	int64_t started;
	struct rest_mounts mounts;

	pthread_mutex_t lock;
	int64_t looked_at; /* 0: never */
	size_t n;
	struct store_size {
		char name[64];
		int64_t bytes;
	} sizes[STORES_MAX];
};

/* --- what is answered ----------------------------------------------------- */

struct place {
	struct str scheme, host;
	int64_t port;
	bool local;
};
#define P struct place
static const struct field place_fields[] = {
	F_TEXT(P, scheme, "scheme", .help = "mqtt, mqtts, ws or wss."),
	F_TEXT(P, host, "host",
	    .help = "The address it is bound to; empty: all of the machine."),
	F_INT(P, port, "port"),
	F_BOOL(P, local, "local", .help = "Only this machine can reach it."),
	{ 0 },
};
static const struct record place_record = { "listener", sizeof(P),
	place_fields };

struct store_row {
	struct str name;
	int64_t bytes;
};
static const struct field store_fields[] = {
	F_TEXT(struct store_row, name, "name",
	    .help = "A file or folder of the data folder."),
	F_INT(struct store_row, bytes, "bytes"),
	{ 0 },
};
static const struct record store_record = { "storedFile",
	sizeof(struct store_row), store_fields };

struct storage {
	int64_t used, left, total;
	struct rows stores;
};
#define S struct storage
static const struct field storage_fields[] = {
	F_INT(S, used, "used", .help = "Bytes of the data folder."),
	F_INT(S, left, "free", .help = "Bytes left on its disk."),
	F_INT(S, total, "total", .help = "Bytes of that disk."),
	F_RECORDS(S, stores, "stores", .record = &store_record,
	    .help = "What takes them, the largest first."),
	{ 0 },
};
static const struct record storage_record = { "storage", sizeof(S),
	storage_fields };

struct answer {
	struct str name, version;
	int64_t started;
	struct rows listeners;
	struct storage storage;
};
#define A struct answer
static const struct field answer_fields[] = {
	F_TEXT(A, name, "name"),
	F_TEXT(A, version, "version"),
	F_TIME(A, started, "startedAt"),
	F_RECORDS(A, listeners, "listeners", .record = &place_record,
	    .help = "Of the MQTT server."),
	F_RECORD(A, storage, S, "storage", .record = &storage_record,
	    .flags = FIELD_ABSENT, .help = "For administrators and managers."),
	{ 0 },
};
static const struct record answer_record = { "site", sizeof(A), answer_fields };

/* --- how full it is ------------------------------------------------------- */

/* The store that a file belongs to: the first part of its path, and a
 * database's log to the database. */
static struct store_size *
size_for(struct site *s, const char *path)
{
	size_t len = strcspn(path, "/");

	if (len > 4 &&
	    (memcmp(path + len - 4, "-wal", 4) == 0 ||
		memcmp(path + len - 4, "-shm", 4) == 0))
		len -= 4;
	len = MIN_OF(len, sizeof(s->sizes[0].name) - 1);
	for (size_t i = 0; i < s->n; i++)
		if (strncmp(s->sizes[i].name, path, len) == 0 &&
		    s->sizes[i].name[len] == '\0')
			return &s->sizes[i];
	if (s->n == STORES_MAX)
		return &s->sizes[STORES_MAX - 1];
	memcpy(s->sizes[s->n].name, path, len);
	s->sizes[s->n].name[len] = '\0';
	s->sizes[s->n].bytes = 0;
	return &s->sizes[s->n++];
}

static int
larger_first(const void *a, const void *b)
{
	const struct store_size *x = a, *y = b;

	return (x->bytes < y->bytes) - (x->bytes > y->bytes);
}

/* Under the lock. */
static void
look(struct site *s)
{
	char *roots[] = { (char *)s->dir, NULL };
	FTS *walk;
	FTSENT *e;

	if (s->looked_at != 0 && clock_mono() - s->looked_at < LOOK_MS)
		return;
	s->looked_at = clock_mono();
	s->n = 0;
	walk = fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR | FTS_XDEV, NULL);
	if (walk == NULL)
		return;
	while ((e = fts_read(walk)) != NULL)
		if (e->fts_info == FTS_F && e->fts_level > 0)
			size_for(s, e->fts_path + strlen(s->dir) + 1)->bytes +=
			    (int64_t)e->fts_statp->st_blocks * 512;
	fts_close(walk);
	qsort(s->sizes, s->n, sizeof(s->sizes[0]), larger_first);
}

static void
fill_storage(struct site *s, struct arena *a, struct storage *ret)
{
	struct store_row *rows;
	struct statvfs disk;

	*ret = (struct storage){ 0 };
	if (statvfs(s->dir, &disk) == 0) {
		ret->left = (int64_t)disk.f_bavail * (int64_t)disk.f_frsize;
		ret->total = (int64_t)disk.f_blocks * (int64_t)disk.f_frsize;
	}
	pthread_mutex_lock(&s->lock);
	look(s);
	rows = arena_array(a, s->n + 1, struct store_row);
	for (size_t i = 0; i < s->n; i++) {
		rows[i] =
		    (struct store_row){ arena_str(a, str_of(s->sizes[i].name)),
			    s->sizes[i].bytes };
		ret->used += s->sizes[i].bytes;
	}
	ret->stores = (struct rows){ rows, s->n };
	pthread_mutex_unlock(&s->lock);
}

/* --- the call ------------------------------------------------------------- */

struct places {
	struct arena *arena;
	struct place at[32];
	size_t n;
};

static void
take_place(void *ctx, const struct mqtt_listener_place *p)
{
	struct places *all = ctx;

	if (all->n == COUNT_OF(all->at))
		return;
	all->at[all->n++] = (struct place){ str_of(p->scheme),
		arena_str(all->arena, str_of(p->host)), p->port, p->local };
}

static void
handle(struct http_call *c)
{
	struct site *s = (struct site *)c->route->ctx;
	field_set_t shown = FIELD_ALL;
	struct places places = { .arena = &c->arena };
	struct answer a = { str_of(s->name), STR(MARRAM_VERSION), s->started };

	mqtt_listeners_each(s->listeners, take_place, &places);
	a.listeners = (struct rows){ places.at, places.n };
	if (auth_is(c, HTTP_ROLE_ADMIN | HTTP_ROLE_MANAGER))
		fill_storage(s, &c->arena, &a.storage);
	else
		shown &= ~field_bit(&answer_record, "storage");
	rest_data(c);
	record_members_to_json(&c->json, &answer_record, shown, &a);
	rest_data_end(c);
}

static const struct http_route rows[] = {
	{ "GET", "/site", HTTP_TOKEN, .scope = "site.get",
	    .reply = { .record = &answer_record }, .handle = handle,
	    .help = "Where the platform listens, since when it runs, and how "
		    "full its disk is." },
	{ 0 },
};

/* --- start and end -------------------------------------------------------- */

struct site *
site_new(
    const char *name, const char *dir, const struct mqtt_listeners *listeners)
{
	struct site *s = mem_new(struct site);

	s->name = name;
	s->dir = dir;
	s->listeners = listeners;
	s->started = clock_now();
	pthread_mutex_init(&s->lock, NULL);
	return s;
}

void
site_free(struct site *s)
{
	if (s == NULL)
		return;
	rest_mounts_free(&s->mounts);
	pthread_mutex_destroy(&s->lock);
	free(s);
}

void
site_routes(struct site *s, http_add_routes *add, void *ctx)
{
	rest_mount_rows(
	    s != NULL ? &s->mounts : NULL, rows, "/hub/api/v1", s, add, ctx);
}
