/*
 * codec/yaml.h - JSON written as YAML, for people and for receivers that expect
 * it; and YAML of others read as JSON.
 */
#ifndef CODEC_YAML_H
#define CODEC_YAML_H

#include "base/err.h"
#include "base/str.h"

#include <stdbool.h>

/* Adds the JSON value as a YAML document in block style, ended by "\n". Every
 * reader of YAML 1.1 or 1.2 gets the same value back: texts that could be taken
 * for something else are quoted. False, with nothing added, when `json` is not
 * valid. */
bool yaml_write(struct buf *out, struct str json);

/* Adds one YAML document as JSON: numbers, true, false and null by the core
 * schema of YAML 1.2, all else as text; infinity and "not a number" as null.
 * ERR_PARAM: it is wrong, says where; more than one document; an alias; a
 * directive; a key that is no text. ERR_LIMIT: nested deeper than JSON can be.
 * Then nothing is added. */
int yaml_read(struct buf *out, struct str yaml, struct err *err);

#endif
