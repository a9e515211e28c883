/*
 * codec/yaml.h - JSON written as YAML, for people and for receivers that expect
 * it. There is no reader here.
 */
#ifndef CODEC_YAML_H
#define CODEC_YAML_H

#include "base/str.h"

#include <stdbool.h>

/* Adds the JSON value as a YAML document in block style, ended by "\n". Every
 * reader of YAML 1.1 or 1.2 gets the same value back: texts that could be taken
 * for something else are quoted. False, with nothing added, when `json` is not
 * valid. */
bool yaml_write(struct buf *out, struct str json);

#endif
