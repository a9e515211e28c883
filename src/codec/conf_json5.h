/*
 * codec/conf_json5.h - reads a JSON5 text into settings (base/conf).
 */
#ifndef CODEC_CONF_JSON5_H
#define CODEC_CONF_JSON5_H

#include "base/conf.h"
#include "base/err.h"

/* ERR_PARAM names line and column of what could not be read. On an error some
 * values may have been taken: the start ends anyway. */
int conf_read_json5(struct conf *c, struct str text, struct err *err);

#endif
