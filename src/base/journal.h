/*
 * base/journal.h - an append log on disk: records in order, committed in
 * groups, read back after a crash.
 *
 * A journal is a folder of segment files, each named by the number of its first
 * record. Records are framed with length and CRC-32C. A thread of the journal's
 * own writes what was appended, one group at a time: everything that was
 * appended while the last group was being written. So the appending thread
 * never waits for a disk, and one fdatasync() serves many records.
 *
 * Promises:
 *  (1) Records are read back in the order in which they were appended; a record
 *      is read back only whole. A torn or broken tail of the last segment is
 *      cut off, never believed; what comes before it is kept. Damage elsewhere
 *      is an error that names file and place (see journal_conf.salvage).
 *  (2) A group that was told as synced survives power loss, one that was told
 *      as written survives the end of this process at any instant.
 *  (3) A failed write (full disk) is repeated from where it began until it
 *      succeeds; nothing is told as done meanwhile. A failed fdatasync() is
 *      never repeated: the journal is broken, nothing more is told as done, and
 *      appending fails, until it is opened anew.
 *  (4) Segments are removed from the oldest on, by their owner, when all they
 *      hold is said again in later ones; until then nothing is lost.
 *
 * All functions are called by one thread at a time (the owner's lock), except
 * where it says otherwise.
 */
#ifndef BASE_JOURNAL_H
#define BASE_JOURNAL_H

#include "base/err.h"
#include "base/str.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct journal;

#define JOURNAL_RECORD_MAX (256u << 20) /* bytes; more is ERR_LIMIT */

enum journal_level {
	JOURNAL_OS = 1, /* written to the kernel */
	JOURNAL_DISK,   /* and flushed to the disk */
};

/* How far the journal has come; groups are numbered from 1. */
struct journal_progress {
	uint64_t written;
	uint64_t synced;
	int error; /* 0, ERR_AGAIN (full, trying again) or ERR_IO (broken) */
	char text[128]; /* says what is wrong, for people; "" if nothing is */
};

struct journal_conf {
	const char *dir;        /* made if need be, mode 0700 */
	uint64_t segment_bytes; /* a new segment begins after so many */
	uint64_t pending_bytes; /* appended and not yet written, at most */
	uint32_t retry_ms;      /* between attempts on a full disk; 0: 1000 */
	bool salvage; /* damage in the middle: keep what is before it, set the
		       * rest aside as FILE.bad, and go on */
	/* Called on the journal's own thread whenever a group is done, or
	 * something went wrong or right again. */
	void (*progress)(void *owner);
	/* Called while opening, once for each record in order. Not 0: opening
	 * ends with that. */
	int (*replay)(
	    void *owner, uint64_t segment, struct str record, struct err *err);
	void *owner;
};

/* Opens or makes it, reads everything back, and starts the thread. `*cut` (may
 * be NULL) is how many bytes were no whole record and have been cut. The folder
 * is locked: ERR_EXISTS if another process has it. */
int journal_open(const struct journal_conf *conf, struct journal **ret,
    uint64_t *cut, struct err *err);
/* Writes and syncs what was appended, unless the journal is broken, and ends. A
 * disk that is full now is not waited for. NULL is fine. */
void journal_close(struct journal *j);

/* Appends one record, made of `n` pieces behind each other; copied. `level` is
 * how far its group must get. Returns 0 and (if not NULL) the number of its
 * group and of its segment. ERR_LIMIT: too long. ERR_AGAIN: `pending_bytes`
 * wait (the disk is full, or slower than we are). ERR_IO: broken. */
int journal_append(struct journal *j, enum journal_level level,
    const struct str *pieces, size_t n, uint64_t *group, uint64_t *segment);
/* Lets the thread begin with what was appended; once per turn of a loop is
 * enough. Costs nothing if it is at work, or nothing is to do. */
void journal_kick(struct journal *j);

/* [any thread] */
void journal_progress(struct journal *j, struct journal_progress *ret);

/* The oldest segment, and the one that is being appended to. */
uint64_t journal_oldest(const struct journal *j);
uint64_t journal_newest(const struct journal *j);
uint64_t journal_bytes(const struct journal *j); /* of all segments */
/* Deletes all segments older than `segment`, on the journal's thread, once
 * everything that was appended before this call is synced. */
void journal_drop_before(struct journal *j, uint64_t segment);

#endif
