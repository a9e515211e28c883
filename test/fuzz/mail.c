/*
 * test/fuzz/mail.c - any bytes as sender, subject and body of a message. What
 * comes out is ASCII, has CR only before LF, and has exactly the headers that
 * were meant.
 */
#include "codec/mail.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str rest = { (const char *)data, size }, to;
	struct mail m = { .date_ms = 0, .message_id = STR("x@y") };
	struct buf out = { 0 };
	struct err err;
	int headers = 0;

	m.from = str_cut(&rest, '\0');
	to = rest.ptr != NULL ? str_cut(&rest, '\0') : STR("a@b");
	m.to = (struct strs){ &to, 1 };
	m.subject = rest.ptr != NULL ? str_cut(&rest, '\0') : STR("");
	m.body = rest.ptr != NULL ? rest : STR("");
	if (mail_write(&out, &m, &err) != 0) {
		if (out.len != 0)
			abort();
		buf_free(&out);
		return 0;
	}
	for (const char *p = buf_z(&out); *p != '\r'; headers++) {
		const char *end = strstr(p, "\r\n");

		while (end != NULL && end[2] == ' ')
			end = strstr(end + 2, "\r\n");
		if (end == NULL)
			abort();
		p = end + 2;
	}
	for (size_t i = 0; i < out.len; i++)
		if ((unsigned char)out.ptr[i] >= 0x7f || out.ptr[i] == '\0' ||
		    (out.ptr[i] == '\r') !=
			(i + 1 < out.len && out.ptr[i + 1] == '\n'))
			abort();
	if (headers != 8)
		abort();
	buf_free(&out);
	return 0;
}
