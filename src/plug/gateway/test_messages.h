/*
 * plug/gateway/test_messages.h - messages as text, for tests of what frames
 * say: a line for each.
 *
 *	presentation 7/Control: name="Control"
 *	set 7/Control @1500: POWER=true binary, Dimmer=30 gauge %
 */
#ifndef PLUG_GATEWAY_TEST_MESSAGES_H
#define PLUG_GATEWAY_TEST_MESSAGES_H

#include "plug/gateway/ops.h"

#include <inttypes.h>

static inline void
test_messages(
    struct buf *b, const struct gateway_message *at, size_t n_messages)
{
	for (size_t i = 0; i < n_messages; i++) {
		const struct gateway_message *m = &at[i];

		buf_addf(
		    b, "%s " STR_FMT, gateway_types[m->type], STR_ARG(m->node));
		if (m->source.len > 0)
			buf_addf(b, "/" STR_FMT, STR_ARG(m->source));
		if (m->time != TIME_NULL)
			buf_addf(b, " @%" PRId64, m->time);
		if (m->labels.ptr != NULL)
			buf_addf(b, " " STR_FMT, STR_ARG(m->labels));
		buf_addz(b, m->is_decoded ? " decoded:" : ":");
		for (size_t k = 0; k < m->n_payloads; k++) {
			const struct gateway_payload *p = &m->payloads[k];

			buf_addf(b, "%s" STR_FMT "=" STR_FMT,
			    k > 0 ? ", " : " ", STR_ARG(p->key),
			    STR_ARG(p->value));
			if (p->metric_type.ptr != NULL)
				buf_addf(
				    b, " " STR_FMT, STR_ARG(p->metric_type));
			if (p->unit.ptr != NULL)
				buf_addf(b, " " STR_FMT, STR_ARG(p->unit));
		}
		buf_addc(b, '\n');
	}
}

#endif
