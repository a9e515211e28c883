/*
 * test/fuzz/journal.c - any bytes as a segment of a journal: no crash, and no
 * record comes back that another, simpler reader does not find, too.
 *
 * With the lowest bit of the first byte set, the header is made good, and so is
 * the checksum of each frame whose length leads to one (but every eighth); else
 * hardly anything would get past the first check.
 */
#include "base/base.h"
#include "base/journal_private.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char folder[] = "/tmp/marram-fuzz-journal-XXXXXX";
static char path[64];

struct heard {
	struct buf file;
	uint64_t at; /* where the next record must lie */
	uint32_t seed;
};

static void
must(bool holds)
{
	if (!holds)
		abort();
}

/* Bit by bit, as the definition says. */
static uint32_t
slow_crc(uint32_t crc, const char *p, size_t len)
{
	crc = ~crc;
	for (size_t i = 0; i < len; i++) {
		crc ^= (uint8_t)p[i];
		for (int k = 0; k < 8; k++)
			crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78u : 0);
	}
	return ~crc;
}

static void
make_good(struct buf *b)
{
	uint64_t at = JOURNAL_HEADER;
	uint32_t seed;

	if (b->len < JOURNAL_HEADER)
		return;
	seed = journal_header(1, b->ptr);
	for (int i = 1; b->len - at >= JOURNAL_FRAME; i++) {
		uint32_t head = journal_get32(b->ptr + at + 4);
		size_t len = head & 0x1ff; /* short ones, so that many fit */

		if (len > b->len - at - JOURNAL_FRAME)
			break;
		journal_put32(b->ptr + at + 4, (head & 7u << 29) | len);
		if (i % 8 != 0)
			journal_put32(b->ptr + at,
			    slow_crc(seed, b->ptr + at + 4, 4 + len));
		at += JOURNAL_FRAME + len;
	}
}

static int
replay(void *owner, uint64_t segment, struct str record, struct err *err)
{
	struct heard *h = owner;
	const char *p;
	uint32_t head;

	(void)err;
	must(segment == 1);
	for (;;) { /* over markers */
		p = h->file.ptr + h->at;
		must(h->at + JOURNAL_FRAME <= h->file.len);
		head = journal_get32(p + 4);
		if (head >> 29 == JOURNAL_RECORD)
			break;
		must(head == JOURNAL_HEAD(JOURNAL_MARKER, 8));
		h->at += JOURNAL_MARK;
	}
	must(head == JOURNAL_HEAD(JOURNAL_RECORD, record.len));
	must(h->at + JOURNAL_FRAME + record.len <= h->file.len);
	must(memcmp(p + JOURNAL_FRAME, record.ptr, record.len) == 0);
	must(journal_get32(p) == slow_crc(h->seed, p + 4, 4 + record.len));
	h->at += JOURNAL_FRAME + record.len;
	return 0;
}

static int
nothing(int fd)
{
	(void)fd;
	return 0; /* no disk is waited for here */
}

static void
remove_folder(void)
{
	char lock[64];

	snprintf(lock, sizeof(lock), "%s/lock", folder);
	unlink(lock);
	rmdir(folder);
}

static void
write_file(struct str bytes)
{
	int fd;

	if (path[0] == '\0') {
		journal_io.fdatasync = journal_io.fsync = nothing;
		must(mkdtemp(folder) != NULL);
		atexit(remove_folder);
		snprintf(path, sizeof(path), "%s/%020d.log", folder, 1);
	}
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	must(fd >= 0);
	must(write(fd, bytes.ptr, bytes.len) == (ssize_t)bytes.len);
	close(fd);
}

static void
remove_all(void)
{
	char bad[80];

	snprintf(bad, sizeof(bad), "%s.bad", path);
	unlink(bad);
	unlink(path);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct heard h = { 0 };
	struct journal_conf conf = { .dir = folder,
		.segment_bytes = 1 << 20,
		.pending_bytes = 1 << 20,
		.replay = replay,
		.owner = &h };
	struct journal_folder f;
	struct journal_end end;

	if (size < 1)
		return 0;
	buf_add(&h.file, data + 1, size - 1);
	if (data[0] & 1)
		make_good(&h.file);
	conf.salvage = data[0] & 2;
	h.at = JOURNAL_HEADER;
	h.seed =
	    h.file.len < JOURNAL_HEADER ? 0 : journal_get32(h.file.ptr + 12);
	write_file(buf_str(&h.file));
	if (journal_load(&conf, &f, &end, NULL, NULL) == 0) {
		char name[JOURNAL_NAME];

		close(end.fd);
		journal_name(end.number, name);
		if (end.number != 1)
			must(unlinkat(f.fd, name, 0) == 0);
		journal_unload(&f);
		/* what was read once is read again, without any salvage */
		if (end.number == 1) {
			h.at = JOURNAL_HEADER;
			conf.salvage = false;
			must(journal_load(&conf, &f, &end, NULL, NULL) == 0);
			close(end.fd);
			journal_unload(&f);
		}
	} else {
		must(!conf.salvage || h.file.len < 12 ||
		    journal_get32(h.file.ptr + 8) != JOURNAL_VERSION);
	}
	remove_all();
	buf_free(&h.file);
	return 0;
}
