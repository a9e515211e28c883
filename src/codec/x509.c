/*
 * codec/x509.c - see x509.h. DER is length and value, one in the other; we walk
 * to the subject and leave the rest alone.
 */
#include "codec/x509.h"

#include <string.h>

enum {
	DER_SEQUENCE = 0x30,
	DER_SET = 0x31,
	DER_OID = 0x06,
	DER_VERSION = 0xa0
};

/* Takes one value off the front of `*in`. */
static bool
take(struct str *in, unsigned char *tag, struct str *ret)
{
	const unsigned char *p = (const unsigned char *)in->ptr;
	size_t head = 2, len;

	if (in->len < 2)
		return false;
	len = p[1];
	if (len > 0x80) {
		size_t n = len & 0x7f;

		if (n > 4 || in->len < 2 + n)
			return false;
		len = 0;
		for (size_t i = 0; i < n; i++)
			len = len << 8 | p[2 + i];
		head += n;
	} else if (len == 0x80) {
		return false; /* of no said length: not DER */
	}
	if (len > in->len - head)
		return false;
	*tag = p[0];
	*ret = (struct str){ in->ptr + head, len };
	in->ptr += head + len;
	in->len -= head + len;
	return true;
}

static bool
take_as(struct str *in, unsigned char want, struct str *ret)
{
	unsigned char tag;

	return take(in, &tag, ret) && tag == want;
}

static bool
subject(struct str der, struct str *ret)
{
	struct str cert, body, skipped;
	unsigned char tag;

	if (!take_as(&der, DER_SEQUENCE, &cert) ||
	    !take_as(&cert, DER_SEQUENCE, &body))
		return false;
	if (body.len > 0 && (unsigned char)body.ptr[0] == DER_VERSION &&
	    !take(&body, &tag, &skipped))
		return false;
	/* serial number, algorithm, issuer, validity */
	for (int i = 0; i < 4; i++)
		if (!take(&body, &tag, &skipped))
			return false;
	return take_as(&body, DER_SEQUENCE, ret);
}

static bool
common_name(struct str names, struct buf *out)
{
	struct str set, pair, oid, value;
	unsigned char tag;

	while (take_as(&names, DER_SET, &set))
		while (take_as(&set, DER_SEQUENCE, &pair))
			if (take_as(&pair, DER_OID, &oid) &&
			    str_eqz(oid, "\x55\x04\x03") &&
			    take(&pair, &tag, &value) && str_is_utf8(value)) {
				buf_add_str(out, value);
				return true;
			}
	return false;
}

bool
x509_common_name(struct str pem, struct buf *out)
{
	static const char begin[] = "-----BEGIN CERTIFICATE-----";
	struct buf base64 = { 0 }, der = { 0 };
	struct str names;
	const char *from = pem.len == 0
	    ? NULL
	    : memmem(pem.ptr, pem.len, begin, sizeof(begin) - 1);
	bool ok;

	if (from == NULL)
		return false;
	for (from += sizeof(begin) - 1;
	     from < pem.ptr + pem.len && *from != '-'; from++)
		if (strchr(" \t\r\n", *from) == NULL)
			buf_addc(&base64, *from);
	ok = base64_decode(&der, buf_str(&base64)) &&
	    subject(buf_str(&der), &names) && common_name(names, out);
	buf_free(&base64);
	buf_free(&der);
	return ok;
}
