/*
 * net/ws_upgrade.c - see ws_upgrade.h; RFC 6455, section 4.2, and for MQTT,
 * OASIS MQTT 3.1.1, section 6.
 */
#include "net/ws_upgrade.h"

#include "base/base.h"
#include "codec/sha1.h"

#include <string.h>

#define GUID "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
#define KEY_BYTES 16

static const struct status {
	int status;
	const char *reason;
	const char *headers; /* beyond those that all have */
	const char *text;
} statuses[] = {
	{ 400, "Bad Request", "", "This is no request for a WebSocket.\n" },
	{ 404, "Not Found", "", "There is no WebSocket here.\n" },
	{ 405, "Method Not Allowed", "Allow: GET\r\n",
	    "A WebSocket is asked for with GET.\n" },
	{ 426, "Upgrade Required",
	    "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n",
	    "Only WebSocket, version 13, is spoken here.\n" },
	{ 431, "Request Header Fields Too Large", "",
	    "The request is too long.\n" },
};

void
ws_refuse(int status, struct buf *answer)
{
	for (size_t i = 0; i < COUNT_OF(statuses); i++) {
		const struct status *s = &statuses[i];

		if (s->status != status)
			continue;
		buf_addf(answer,
		    "HTTP/1.1 %d %s\r\nContent-Type: text/plain\r\n"
		    "Content-Length: %zu\r\n%sConnection: %s\r\n\r\n%s",
		    status, s->reason, strlen(s->text), s->headers,
		    status == 426 ? "close, Upgrade" : "close", s->text);
		return;
	}
}

/* Takes the next of "a, b, c". */
static bool
next_token(struct str *list, struct str *token)
{
	while (list->len > 0) {
		*token = str_trim(str_cut(list, ','));
		if (token->len > 0)
			return true;
	}
	return false;
}

static bool
has_token(struct str list, struct str wanted)
{
	struct str token;

	while (next_token(&list, &token)) {
		if (str_eq_nocase(token, wanted))
			return true;
	}
	return false;
}

struct str
ws_subprotocol(struct str list)
{
	struct str token;

	while (next_token(&list, &token)) {
		if (str_eqz(token, "mqtt") || str_eqz(token, "mqttv3.1"))
			return token;
	}
	return STR_NULL;
}

bool
ws_key_ok(struct str key)
{
	struct buf b = { 0 };
	bool ok = key.len == 24 && key.ptr[22] == '=' && key.ptr[23] == '=' &&
	    base64_decode(&b, key) && b.len == KEY_BYTES;

	buf_free(&b);
	return ok;
}

void
ws_accept(struct str key, struct buf *b)
{
	unsigned char digest[SHA1_LEN];
	struct buf text = { 0 };

	buf_add_str(&text, key);
	buf_addz(&text, GUID);
	sha1(buf_str(&text), digest);
	base64_encode(b, digest, sizeof(digest), false);
	buf_free(&text);
}

/* No control characters but tabs: what is cut here is cut by all. */
static bool
is_clean(struct str line)
{
	for (size_t i = 0; i < line.len; i++) {
		unsigned char c = (unsigned char)line.ptr[i];

		if ((c < 0x20 && c != '\t') || c == 0x7f)
			return false;
	}
	return true;
}

void
ws_request_header(struct ws_request *r, struct str name, struct str value)
{
	if (str_eq_nocase(name, STR("host"))) {
		r->host = true;
	} else if (str_eq_nocase(name, STR("upgrade"))) {
		r->upgrade |= has_token(value, STR("websocket"));
	} else if (str_eq_nocase(name, STR("connection"))) {
		r->connection |= has_token(value, STR("upgrade"));
	} else if (str_eq_nocase(name, STR("sec-websocket-version"))) {
		r->version = value;
	} else if (str_eq_nocase(name, STR("sec-websocket-key"))) {
		r->key = value;
		r->keys++;
	} else if (str_eq_nocase(name, STR("sec-websocket-protocol"))) {
		if (r->protocol.ptr == NULL) /* may be said in pieces */
			r->protocol = ws_subprotocol(value);
	} else if (str_eq_nocase(name, STR("content-length"))) {
		r->body |= !str_eqz(value, "0");
	} else if (str_eq_nocase(name, STR("transfer-encoding"))) {
		r->body = true;
	}
}

/* Takes the line before the next CR LF. */
static struct str
next_line(struct str *rest)
{
	const char *end = memmem(rest->ptr, rest->len, "\r\n", 2);
	struct str line = *rest;

	if (end == NULL) {
		*rest = STR_NULL;
		return line;
	}
	line.len = (size_t)(end - rest->ptr);
	rest->ptr += line.len + 2;
	rest->len -= line.len + 2;
	return line;
}

static bool
read_request(struct str rest, struct ws_request *r)
{
	struct str line = next_line(&rest);

	if (!is_clean(line))
		return false;
	r->method = str_cut(&line, ' ');
	r->target = str_cut(&line, ' ');
	if (r->method.len == 0 || r->target.len == 0 ||
	    !str_eqz(line, "HTTP/1.1"))
		return false;
	while ((line = next_line(&rest)).len > 0) {
		struct str name;

		if (!is_clean(line) || memchr(line.ptr, ':', line.len) == NULL)
			return false;
		name = str_cut(&line, ':');
		if (name.len == 0 || str_trim(name).len != name.len ||
		    memchr(name.ptr, ' ', name.len) != NULL)
			return false; /* folded lines, too */
		ws_request_header(r, name, str_trim(line));
	}
	return true;
}

int
ws_request_judge(const struct ws_request *r, const char *path)
{
	struct str target = r->target;

	if (!str_eqz(r->method, "GET"))
		return 405;
	if (!r->host || r->body)
		return 400;
	if (path != NULL && !str_eqz(str_cut(&target, '?'), path))
		return 404;
	if (!r->upgrade || !str_eqz(r->version, "13"))
		return 426;
	if (!r->connection || r->keys != 1 || !ws_key_ok(r->key) ||
	    (r->protocol.ptr == NULL && !r->any_protocol))
		return 400;
	return 101;
}

int
ws_upgrade(struct str request, const char *path, struct buf *answer)
{
	struct ws_request r = { 0 };
	int status =
	    read_request(request, &r) ? ws_request_judge(&r, path) : 400;

	if (status != 101) {
		ws_refuse(status, answer);
		return status;
	}
	buf_addz(answer,
	    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
	    "Connection: Upgrade\r\nSec-WebSocket-Accept: ");
	ws_accept(r.key, answer);
	buf_addf(answer, "\r\nSec-WebSocket-Protocol: " STR_FMT "\r\n\r\n",
	    STR_ARG(r.protocol));
	return 101;
}
