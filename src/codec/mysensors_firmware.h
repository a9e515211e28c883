/*
 * codec/mysensors_firmware.h - programs for MySensors nodes, sent in blocks.
 *
 * A node says what it runs and is told what it should; it asks for each block
 * of that and checks the sum of all. Words are 16 bits, little-endian; payloads
 * of streams are their hex digits in upper case.
 */
#ifndef CODEC_MYSENSORS_FIRMWARE_H
#define CODEC_MYSENSORS_FIRMWARE_H

#include "base/err.h"
#include "base/str.h"

#include <stdbool.h>
#include <stdint.h>

#define MYSENSORS_BLOCK 16
#define MYSENSORS_PAGE 128 /* images are filled up with 0xff to whole ones */
/* Instead of a sum, with no blocks: the node is to erase its EEPROM. */
#define MYSENSORS_ERASE 0xda7a

/* The sum over an image: CRC-16 from 0xffff, polynomial 0xa001 reflected. */
uint16_t mysensors_crc(const void *bytes, size_t len);

/* Adds the image of a program in Intel-HEX. One that fills its last page gets
 * another page of 0xff, as nodes have come to expect. ERR_PARAM names the line.
 */
int mysensors_image(struct str hex, struct buf *image, struct err *err);

/* Type, version and what follows of a request or an answer: reads `n` words,
 * and knows of no more. False: it is no hex, or there are less. */
bool mysensors_words(struct str payload, uint16_t *ret, size_t n);
/* Adds words, and behind them bytes. */
void mysensors_put_words(struct buf *out, const uint16_t *words, size_t n);
void mysensors_put_bytes(struct buf *out, const void *bytes, size_t len);

#endif
