/*
 * net/mqtt/output.c - bytes that wait to be sent. Small payloads are copied,
 * large ones spliced in by reference.
 */
#include "net/mqtt/private.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

#define SPARE_OUT_CAP (64u << 10) /* larger buffers are not kept */

void
mqtt_output_splice(struct output *o, struct mqtt_msg *m)
{
	if (o->n_splices == o->cap_splices) {
		o->cap_splices = o->cap_splices * 2 + 8;
		o->splices =
		    mem_resize(o->splices, o->cap_splices, sizeof(*o->splices));
	}
	o->splices[o->n_splices++] =
	    (struct splice){ o->bytes.len, msg_ref(m) };
	o->unsent += m->payload_len;
}

int
mqtt_output_gather(struct output *o, struct iovec iov[IOV_MAX_USED])
{
	size_t pos = o->sent, skip = o->splice_sent;
	unsigned i = o->splice_first;
	int n = 0;

	for (; i < o->n_splices && n + 2 < IOV_MAX_USED; i++) {
		struct str payload = mqtt_msg_payload(o->splices[i].msg);

		if (o->splices[i].at > pos)
			iov[n++] = (struct iovec){ o->bytes.ptr + pos,
				o->splices[i].at - pos };
		pos = o->splices[i].at;
		iov[n++] = (struct iovec){ (char *)payload.ptr + skip,
			payload.len - skip };
		skip = 0;
	}
	if (i == o->n_splices && pos < o->bytes.len)
		iov[n++] =
		    (struct iovec){ o->bytes.ptr + pos, o->bytes.len - pos };
	return n;
}

/* Moves the unsent bytes to the front when much before them is sent, or the
 * buffer of a peer that is always behind would grow for ever. */
static void
compact(struct output *o)
{
	if (o->sent < READ_SIZE || o->sent < o->bytes.len / 2)
		return;
	memmove(o->bytes.ptr, o->bytes.ptr + o->sent, o->bytes.len - o->sent);
	o->bytes.len -= o->sent;
	o->n_splices -= o->splice_first;
	if (o->n_splices > 0)
		memmove(o->splices, o->splices + o->splice_first,
		    o->n_splices * sizeof(*o->splices));
	for (unsigned i = 0; i < o->n_splices; i++)
		o->splices[i].at -= o->sent;
	o->splice_first = 0;
	o->sent = 0;
}

void
mqtt_output_sent(struct output *o, size_t n)
{
	o->unsent -= n;
	while (n > 0) {
		struct splice *sp = o->splice_first < o->n_splices
		    ? &o->splices[o->splice_first]
		    : NULL;
		size_t end = sp != NULL ? sp->at : o->bytes.len;
		size_t take = MIN_OF(n, end - o->sent);

		o->sent += take;
		n -= take;
		if (n == 0 || sp == NULL)
			break;
		take = MIN_OF(n, sp->msg->payload_len - o->splice_sent);
		o->splice_sent += (uint32_t)take;
		n -= take;
		if (o->splice_sent == sp->msg->payload_len) {
			mqtt_msg_release(sp->msg);
			o->splice_first++;
			o->splice_sent = 0;
		}
	}
	compact(o);
}

void
mqtt_output_release(struct mqtt_server *s, struct output *o)
{
	for (unsigned i = o->splice_first; i < o->n_splices; i++)
		mqtt_msg_release(o->splices[i].msg);
	free(o->splices);
	if (o->bytes.ptr == NULL)
		;
	else if (s->n_spare_out < COUNT_OF(s->spare_out) &&
	    o->bytes.cap <= SPARE_OUT_CAP) {
		buf_clear(&o->bytes);
		s->spare_out[s->n_spare_out++] = o->bytes;
	} else {
		free(o->bytes.ptr);
	}
	*o = (struct output){ 0 };
}

/* Nothing of `from` has been sent: only what moved here is. */
void
mqtt_output_move(
    struct mqtt_server *s, struct output *from, struct output *to, size_t limit)
{
	unsigned n = 0;

	if (to->unsent == 0 && limit == from->bytes.len) {
		mqtt_output_release(s, to);
		*to = *from;
		*from = (struct output){ 0 };
		return;
	}
	while (n < from->n_splices && from->splices[n].at <= limit) {
		struct mqtt_msg *m = from->splices[n].msg;

		/* one that lies just at the limit comes before it */
		from->splices[n].at += to->bytes.len;
		if (to->n_splices == to->cap_splices) {
			to->cap_splices = to->cap_splices * 2 + 8;
			to->splices = mem_resize(
			    to->splices, to->cap_splices, sizeof(*to->splices));
		}
		to->splices[to->n_splices++] = from->splices[n++];
		to->unsent += m->payload_len;
		from->unsent -= m->payload_len;
	}
	if (to->bytes.ptr == NULL && s->n_spare_out > 0)
		to->bytes = s->spare_out[--s->n_spare_out];
	buf_add(&to->bytes, from->bytes.ptr, limit);
	to->unsent += limit;

	memmove(
	    from->bytes.ptr, from->bytes.ptr + limit, from->bytes.len - limit);
	from->bytes.len -= limit;
	from->unsent -= limit;
	from->n_splices -= n;
	if (n > 0 && from->n_splices > 0)
		memmove(from->splices, from->splices + n,
		    from->n_splices * sizeof(*from->splices));
	for (unsigned i = 0; i < from->n_splices; i++)
		from->splices[i].at -= limit;
}
