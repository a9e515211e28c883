/*
 * net/proxy.c - see proxy.h. Version 1 is a line of text of at most 107 bytes;
 * version 2 begins with bytes that no other protocol has.
 */
#include "net/proxy.h"

#include "base/base.h"
#include "base/crc32c.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

#define V1_MAX 107 /* bytes, with CR LF */
#define V2_HEAD 16

static const char v1_magic[] = "PROXY ";
static const char v2_magic[] = "\r\n\r\n\0\r\nQUIT\n";

/* Byte 13 of version 2. */
enum { V2_LOCAL = 0x20, V2_PROXY = 0x21 };

/* Types of the rows that may follow the addresses. */
enum {
	TLV_CRC32C = 0x03,
	TLV_SSL = 0x20,
	TLV_SSL_CN = 0x22, /* inside of TLV_SSL */
};

/* Bits of the first byte of TLV_SSL. */
enum { CLIENT_SSL = 1, CLIENT_CERT_CONN = 2, CLIENT_CERT_SESS = 4 };

static uint16_t
get16(const char *p)
{
	return (uint16_t)((uint8_t)p[0] << 8 | (uint8_t)p[1]);
}

/* 1: begins with `magic`; 0: may become it; -1: never will. */
static int
begins(struct str in, const char *magic, size_t len)
{
	if (memcmp(in.ptr, magic, MIN_OF(in.len, len)) != 0)
		return -1;
	return in.len >= len;
}

static int
bad_line(struct err *err)
{
	return err_set(err, ERR_PROTO, "malformed PROXY line");
}

/* Digits as the protocol wants them: no sign, no zero in front. */
static bool
read_port(struct str s, uint16_t *ret)
{
	uint64_t v;

	if (s.len == 0 || s.len > 5 || (s.len > 1 && s.ptr[0] == '0') ||
	    s.ptr[0] < '0' || s.ptr[0] > '9' || !str_to_u64(s, &v) ||
	    v > UINT16_MAX)
		return false;
	*ret = (uint16_t)v;
	return true;
}

static bool
read_address(struct str s, int family, void *ret)
{
	char z[INET6_ADDRSTRLEN];

	if (s.ptr == NULL || s.len >= sizeof(z) ||
	    memchr(s.ptr, '\0', s.len) != NULL)
		return false;
	memcpy(z, s.ptr, s.len);
	z[s.len] = '\0';
	return inet_pton(family, z, ret) == 1;
}

static void
set_source(
    struct proxy_header *h, int family, const void *address, uint16_t port)
{
	if (family == AF_INET) {
		struct sockaddr_in *in = (struct sockaddr_in *)&h->source;

		in->sin_family = AF_INET;
		in->sin_port = htons(port);
		memcpy(&in->sin_addr, address, 4);
	} else {
		struct sockaddr_in6 *in = (struct sockaddr_in6 *)&h->source;

		in->sin6_family = AF_INET6;
		in->sin6_port = htons(port);
		memcpy(&in->sin6_addr, address, 16);
	}
}

/* "TCP4 source destination port port" */
static int
parse_line(struct str line, struct proxy_header *h, struct err *err)
{
	struct str proto = str_cut(&line, ' ');
	struct str source, destination, from, to;
	uint8_t address[16], ignored[16];
	uint16_t port, ignored_port;
	int family;

	if (str_eqz(proto, "UNKNOWN"))
		return 0; /* whatever follows it */
	if (str_eqz(proto, "TCP4"))
		family = AF_INET;
	else if (str_eqz(proto, "TCP6"))
		family = AF_INET6;
	else
		return bad_line(err);
	source = str_cut(&line, ' ');
	destination = str_cut(&line, ' ');
	from = str_cut(&line, ' ');
	to = line;
	if (!read_address(source, family, address) ||
	    !read_address(destination, family, ignored) ||
	    !read_port(from, &port) || !read_port(to, &ignored_port))
		return bad_line(err);
	set_source(h, family, address, port);
	return 0;
}

static int
parse_v1(struct str in, struct proxy_header *h, struct err *err)
{
	const char *end = memmem(in.ptr, MIN_OF(in.len, V1_MAX), "\r\n", 2);
	struct str line;

	if (end == NULL)
		return in.len < V1_MAX ? ERR_AGAIN : bad_line(err);
	line.ptr = in.ptr + sizeof(v1_magic) - 1;
	line.len = (size_t)(end - line.ptr);
	h->len = (size_t)(end - in.ptr) + 2;
	return parse_line(line, h, err);
}

static int
bad_header(struct err *err)
{
	return err_set(err, ERR_PROTO, "malformed PROXY header");
}

/* Takes the next row off `*rest`; false at the end, and if it overruns, which
 * leaves something in `*rest`. */
static bool
next_tlv(struct str *rest, uint8_t *type, struct str *value)
{
	size_t len;

	if (rest->len < 3)
		return false;
	len = get16(rest->ptr + 1);
	if (len > rest->len - 3)
		return false;
	*type = (uint8_t)rest->ptr[0];
	*value = (struct str){ rest->ptr + 3, len };
	rest->ptr += 3 + len;
	rest->len -= 3 + len;
	return true;
}

/* The name counts only if a certificate was shown, and verified. */
static int
read_ssl(struct str value, struct proxy_header *h, struct err *err)
{
	struct str rest = value, row;
	bool verified;
	uint8_t type;

	if (value.len < 5)
		return bad_header(err);
	verified = (value.ptr[0] & CLIENT_SSL) &&
	    (value.ptr[0] & (CLIENT_CERT_CONN | CLIENT_CERT_SESS)) &&
	    memcmp(value.ptr + 1, "\0\0\0\0", 4) == 0;
	rest.ptr += 5;
	rest.len -= 5;
	while (next_tlv(&rest, &type, &row)) {
		if (type == TLV_SSL_CN && verified)
			h->cn = row;
	}
	return rest.len == 0 ? 0 : bad_header(err);
}

/* The sum is over the whole header with zeros in its own place. */
static int
check_sum(struct str header, struct str value, struct err *err)
{
	uint32_t said, crc;

	if (value.len != 4)
		return bad_header(err);
	memcpy(&said, value.ptr, 4);
	crc = crc32c(0, header.ptr, (size_t)(value.ptr - header.ptr));
	crc = crc32c(crc, "\0\0\0\0", 4);
	crc = crc32c(crc, value.ptr + 4,
	    (size_t)(header.ptr + header.len - value.ptr - 4));
	if (ntohl(said) != crc)
		return err_set(
		    err, ERR_PROTO, "wrong checksum of a PROXY header");
	return 0;
}

static int
parse_tlvs(
    struct str header, struct str rest, struct proxy_header *h, struct err *err)
{
	struct str value;
	uint8_t type;
	int rc = 0;

	while (rc == 0 && next_tlv(&rest, &type, &value)) {
		if (type == TLV_SSL)
			rc = read_ssl(value, h, err);
		else if (type == TLV_CRC32C)
			rc = check_sum(header, value, err);
	}
	if (rc == 0 && rest.len > 0)
		rc = bad_header(err);
	return rc;
}

/* Length of the two addresses of a family; -1: there is no such family. */
static int
block_length(uint8_t family)
{
	switch (family) {
	case 0x00: /* unspecified; what follows is not ours to read */
		return 0;
	case 0x11: /* IPv4, stream and datagram */
	case 0x12:
		return 12;
	case 0x21: /* IPv6 */
	case 0x22:
		return 36;
	case 0x31: /* Unix */
	case 0x32:
		return 216;
	}
	return -1;
}

static int
parse_addresses(struct str header, struct proxy_header *h, struct err *err)
{
	struct str rest = { header.ptr + V2_HEAD, header.len - V2_HEAD };
	uint8_t family = (uint8_t)header.ptr[13];
	int block = block_length(family);

	if (block < 0 || rest.len < (size_t)block)
		return bad_header(err);
	if (block == 0)
		return 0;
	if (block == 12)
		set_source(h, AF_INET, rest.ptr, get16(rest.ptr + 8));
	else if (block == 36)
		set_source(h, AF_INET6, rest.ptr, get16(rest.ptr + 32));
	rest.ptr += block;
	rest.len -= (size_t)block;
	return parse_tlvs(header, rest, h, err);
}

static int
parse_v2(struct str in, struct proxy_header *h, struct err *err)
{
	uint8_t command;

	if (in.len < V2_HEAD)
		return ERR_AGAIN;
	command = (uint8_t)in.ptr[12];
	if (command != V2_LOCAL && command != V2_PROXY)
		return bad_header(err);
	h->len = V2_HEAD + (size_t)get16(in.ptr + 14);
	if (h->len > PROXY_MAX)
		return err_set(
		    err, ERR_LIMIT, "PROXY header over %d bytes", PROXY_MAX);
	if (in.len < h->len)
		return ERR_AGAIN;
	h->local = command == V2_LOCAL;
	if (h->local)
		return 0;
	return parse_addresses((struct str){ in.ptr, h->len }, h, err);
}

int
proxy_parse(struct str in, struct proxy_header *ret, struct err *err)
{
	struct proxy_header h = { .source.ss_family = AF_UNSPEC };
	int v1, v2, rc;

	if (in.len == 0)
		return ERR_AGAIN;
	v1 = begins(in, v1_magic, sizeof(v1_magic) - 1);
	v2 = begins(in, v2_magic, sizeof(v2_magic) - 1);
	if (v1 < 0 && v2 < 0)
		return err_set(err, ERR_PROTO, "no PROXY header");
	if (v1 <= 0 && v2 <= 0)
		return ERR_AGAIN;
	rc = v1 > 0 ? parse_v1(in, &h, err) : parse_v2(in, &h, err);
	if (rc == 0)
		*ret = h;
	return rc;
}
