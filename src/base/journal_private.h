/*
 * base/journal_private.h - what the two halves of the journal share: the format
 * on disk, the folder, and the calls that a test may let fail.
 *
 * A segment is a file NUMBER.log, NUMBER being 20 digits: the number of its
 * first record, counted from 1 since the journal was made. All integers are
 * little endian.
 *
 *    header   8 magic | 4 version | 4 crc | 8 number | 8 salt (random)
 *    frame    4 crc | 4 head | body
 *
 * The head is the kind of frame in 3 bits and the length of the body in 29. The
 * crc is CRC-32C over the segment's header (whose own crc says the rest of it),
 * the head and the body: a frame is believed in its own segment only. A peer
 * that chooses payloads does not know the salt, so it can not write what would
 * pass as a frame.
 *
 * A marker says "up to this offset, this file was flushed to the disk when I
 * was written"; what breaks before a marker's offset was no torn write. A gap
 * is the last frame of a segment behind which records were lost and given up.
 */
#ifndef BASE_JOURNAL_PRIVATE_H
#define BASE_JOURNAL_PRIVATE_H

#include "base/journal.h"

#include <endian.h>
#include <string.h>
#include <sys/types.h>

#define JOURNAL_MAGIC "marramJ\n"
#define JOURNAL_VERSION 1u
#define JOURNAL_HEADER 32u /* bytes of a segment's header */
#define JOURNAL_FRAME 8u   /* bytes of a frame before its body */
#define JOURNAL_MARK 16u   /* bytes of a whole marker, or gap */
#define JOURNAL_NAME 32u   /* a file's name, and some room */

enum journal_kind {
	JOURNAL_RECORD = 1, /* not 0: what was never written is no record */
	JOURNAL_MARKER,     /* body: 8 bytes of offset */
	JOURNAL_GAP,        /* body: 8 bytes of the next record's number */
};

#define JOURNAL_HEAD(kind, len) ((uint32_t)(kind) << 29 | (uint32_t)(len))

/* How the disk is reached. A test may replace single calls. */
struct journal_io {
	ssize_t (*pwrite)(int fd, const void *p, size_t len, off_t at);
	int (*fdatasync)(int fd);
	int (*fsync)(int fd); /* of folders */
	int (*ftruncate)(int fd, off_t len);
	int (*openat)(int dir, const char *name, int flags, mode_t mode);
};

extern struct journal_io journal_io;

struct journal_segment {
	uint64_t number;
	uint64_t bytes;
};

struct journal_folder {
	char *path;
	int fd, lock; /* the folder; a file in it that is locked */
	struct journal_segment *segments; /* by number, the newest last */
	size_t n, cap;
};

/* Where the newest segment ends, and appending goes on. */
struct journal_end {
	int fd;
	uint32_t seed;   /* the header's crc: where its frames' sums begin */
	uint64_t number; /* of the segment */
	uint64_t next;   /* number of the next record */
	uint64_t bytes;  /* all whole and on the disk */
	bool marked;     /* the last frame is a marker, of all before it */
};

static inline uint32_t
journal_get32(const char *p)
{
	uint32_t v;

	memcpy(&v, p, sizeof(v));
	return le32toh(v);
}

static inline uint64_t
journal_get64(const char *p)
{
	uint64_t v;

	memcpy(&v, p, sizeof(v));
	return le64toh(v);
}

static inline void
journal_put32(char *p, uint32_t v)
{
	v = htole32(v);
	memcpy(p, &v, sizeof(v));
}

static inline void
journal_put64(char *p, uint64_t v)
{
	v = htole64(v);
	memcpy(p, &v, sizeof(v));
}

void journal_name(uint64_t number, char name[JOURNAL_NAME]);

/* A header with a new salt; returns the seed of its frames. */
uint32_t journal_header(uint64_t number, char header[JOURNAL_HEADER]);

/* A whole marker or gap. */
void journal_mark(uint32_t seed, enum journal_kind kind, uint64_t value,
    char frame[JOURNAL_MARK]);

/* Writes all of it; -1 with errno, then nothing is known of what lies there. */
int journal_write(int fd, const char *p, size_t len, uint64_t at);

/* Makes a segment that is on the disk, with its name, before it is used, and
 * adds it to the folder's list. Returns its descriptor. On failure leaves
 * nothing of it: ERR_AGAIN and errno, or ERR_IO if a flush failed. */
int journal_create(struct journal_folder *f, uint64_t number,
    const char header[JOURNAL_HEADER]);

/* Opens and locks the folder, reads all segments, cuts or salvages. On failure
 * the folder is closed. */
int journal_load(const struct journal_conf *conf, struct journal_folder *f,
    struct journal_end *end, uint64_t *cut, struct err *err);
void journal_unload(struct journal_folder *f);

#endif
