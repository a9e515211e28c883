/*
 * codec/nix_log.h - what `nix --log-format internal-json` tells, for people.
 *
 * Nix writes a line of JSON, behind "@nix ", for each thing that begins, ends
 * or goes on. From them come lines that can be read, how far it is, and what
 * went wrong. Lines of other programs pass as they are.
 */
#ifndef CODEC_NIX_LOG_H
#define CODEC_NIX_LOG_H

#include "base/arena.h"
#include "base/str.h"

#include <stdbool.h>
#include <stdint.h>

#define NIX_LOG_ACTIVITIES 4096 /* under way at a time; more are not named */
#define NIX_LOG_ERROR_MAX 4096  /* kept of what went wrong */

struct nix_progress {
	int64_t done, expected, running, failed; /* builds and copies */
};

struct nix_activity;

/* Zero-initialise. */
struct nix_log {
	struct nix_activity *at; /* those under way */
	size_t n;
	struct nix_progress past; /* of those that have ended */
	struct buf error;         /* the last one, without colours */
};

/* Takes one line without its end. What there is to read of it is added to
 * `out`, with a new line behind; that may be nothing. True: the progress is
 * another now. */
bool nix_log_line(struct nix_log *l, struct str line, struct buf *out);
struct nix_progress nix_log_progress(const struct nix_log *l);
void nix_log_fini(struct nix_log *l);

#endif
