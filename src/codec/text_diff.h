/*
 * codec/text_diff.h - what changed between two texts, for people: a unified
 * diff of their lines, with three lines around each change.
 */
#ifndef CODEC_TEXT_DIFF_H
#define CODEC_TEXT_DIFF_H

#include "base/str.h"

/* Adds the hunks ("@@ -1,3 +1,4 @@" and lines), without names of files; nothing
 * when the texts are the same. Texts that differ in more than a thousand lines
 * are one change as a whole. */
void text_diff(struct buf *out, struct str from, struct str to);

#endif
