/*
 * plug/store/memory_dump.h - what a store in memory writes down now and then.
 *
 * A dump is a generation: a folder "gen-N" of pages "{record}__{offset}.json"
 * (or .yaml), each a list of rows, and the file complete.json, which names
 * every page with its size and checksum. It is made as "gen-N.new", flushed,
 * and renamed; then the older ones go but one. So whatever happens, the newest
 * folder that has its final name is whole, unless the disk has lost some of it:
 * then the one before it is taken.
 */
#ifndef PLUG_STORE_MEMORY_DUMP_H
#define PLUG_STORE_MEMORY_DUMP_H

#include "base/entity.h"
#include "base/err.h"

struct dump_table {
	const struct entity *entity;
	const void **rows;
	size_t n;
};

/* Makes the next generation in `dir`, which is made if missing. */
int dump_write(const char *dir, bool yaml, const struct dump_table *tables,
    size_t n, struct err *err);

/* Gives every row of the newest whole generation to `add`, lent; none at all
 * when there is no generation. One that is damaged is renamed to
 * "gen-N.broken", told by `tell` (may be NULL), and the one before it is taken;
 * ERR_IO when all are. ERR_PARAM: rows of a newer version than ours. */
int dump_read(const char *dir, const struct entity *const *entities,
    int (*add)(
	void *ctx, const struct entity *e, const void *row, struct err *err),
    void *ctx, void (*tell)(const char *text), struct err *err);

#endif
