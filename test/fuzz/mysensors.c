/*
 * test/fuzz/mysensors.c - any bytes as a line, as a topic, and as a program.
 *
 * What is taken as a message must be the same message when it is written and
 * read again; an image has whole pages.
 */
#include "codec/mysensors.h"
#include "codec/mysensors_firmware.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
must(bool holds)
{
	if (!holds)
		abort();
}

static void
again(const struct mysensors_message *m)
{
	struct mysensors_message n;
	struct buf out = { 0 };

	mysensors_to_line(&out, m);
	must(mysensors_from_line(buf_str(&out), &n, NULL) == 0);
	must(n.node == m->node && n.child == m->child &&
	    n.command == m->command && n.ack == m->ack && n.type == m->type &&
	    str_eq(n.payload, m->payload));
	buf_clear(&out);
	mysensors_to_topic(&out, m);
	must(mysensors_from_topic(buf_str(&out), m->payload, &n, NULL) == 0);
	must(n.node == m->node && n.type == m->type);
	buf_free(&out);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str text = { (const char *)data, size }, payload = text, topic;
	struct mysensors_message m;
	struct buf image = { 0 };
	uint16_t words[3];
	struct err err;

	if (mysensors_from_line(text, &m, &err) == 0) {
		again(&m);
		(void)mysensors_can_send(&m, &err);
		(void)mysensors_words(m.payload, words, 3);
	}
	topic = str_cut(&payload, ' ');
	if (mysensors_from_topic(topic, payload, &m, &err) == 0)
		again(&m);
	if (mysensors_image(text, &image, &err) == 0)
		must(image.len > 0 && image.len % MYSENSORS_PAGE == 0);
	else
		must(image.len == 0);
	buf_free(&image);
	return 0;
}
