/*
 * codec/fleet_resources_check.c - see fleet_resources_check.h.
 */
#include "codec/fleet_resources_check.h"

#include "base/base.h"

#include <string.h>

#define DIGITS "0123456789"
#define LOWER "abcdefghijklmnopqrstuvwxyz"
#define UPPER "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define ALNUM LOWER UPPER DIGITS

static bool
has(const char *set, char c)
{
	return c != '\0' && strchr(set, c) != NULL;
}

static bool
only(struct str s, const char *set)
{
	for (size_t i = 0; i < s.len; i++)
		if (!has(set, s.ptr[i]))
			return false;
	return true;
}

/* Begins with one of `first`, goes on with those of `rest`. */
static bool
word(struct str s, const char *first, const char *rest, size_t max)
{
	return s.len > 0 && s.len <= max && has(first, s.ptr[0]) &&
	    only(s, rest);
}

static bool
has_control(struct str s)
{
	for (size_t i = 0; i < s.len; i++)
		if ((unsigned char)s.ptr[i] < 0x20 || s.ptr[i] == 0x7f)
			return true;
	return false;
}

const char *
must_host(struct str s)
{
	struct str rest = s;

	if (s.len == 0 || s.len > 64)
		goto wrong;
	while (rest.ptr != NULL) {
		struct str label = str_cut(&rest, '.');

		if (!word(label, ALNUM, ALNUM "-", 63) ||
		    label.ptr[label.len - 1] == '-')
			goto wrong;
	}
	return NULL;
wrong:
	return "must be a host name: up to 64 letters, digits, \"-\" and \".\"";
}

const char *
must_zone(struct str s)
{
	struct str rest = s;

	while (rest.ptr != NULL && s.len <= 64)
		if (!word(str_cut(&rest, '/'), ALNUM, ALNUM "+_-", 64))
			break;
	return s.len > 0 && rest.ptr == NULL
	    ? NULL
	    : "must be a time zone, as \"Europe/Berlin\"";
}

const char *
must_path(struct str s)
{
	struct str rest = s;

	if (s.len < 2 || s.len > 4000 || s.ptr[0] != '/' || has_control(s))
		goto wrong;
	str_cut(&rest, '/');
	while (rest.ptr != NULL) {
		struct str part = str_cut(&rest, '/');

		if (part.len == 0 || part.len > 255 || str_eqz(part, ".") ||
		    str_eqz(part, ".."))
			goto wrong;
	}
	return NULL;
wrong:
	return "must be an absolute path, without \"..\", \".\", \"//\" and "
	       "control characters";
}

const char *
must_file_name(struct str s)
{
	return s.len > 0 && s.len <= 255 && !has_control(s) &&
		memchr(s.ptr, '/', s.len) == NULL && !str_eqz(s, ".") &&
		!str_eqz(s, "..")
	    ? NULL
	    : "must be the name of a file, without \"/\"";
}

const char *
must_file_word(struct str s)
{
	return word(s, ALNUM, ALNUM "_.-", 128)
	    ? NULL
	    : "must begin with a letter or digit, and have only those and "
	      "\"_.-\"";
}

const char *
must_mode(struct str s)
{
	return (s.len == 3 || s.len == 4) && only(s, "01234567")
	    ? NULL
	    : "must be three or four octal digits, as \"0644\"";
}

const char *
must_user(struct str s)
{
	struct str body = s;

	if (body.len > 1 && body.ptr[body.len - 1] == '$')
		body.len--;
	return word(body, LOWER "_", LOWER DIGITS "_-", 32)
	    ? NULL
	    : "must be a name of up to 32 small letters, digits, \"_\" and "
	      "\"-\", that begins with a letter or \"_\"";
}

const char *
must_owner(struct str s)
{
	int64_t n;

	if (only(s, DIGITS) && s.len > 0)
		return str_to_i64(s, &n) && n < 4294967295
		    ? NULL
		    : "must be a user's name or number";
	return must_user(s);
}

const char *
must_passwd_path(struct str s)
{
	const char *why = must_path(s);

	if (str_eqz(s, "/"))
		return NULL;
	return why != NULL || memchr(s.ptr, ':', s.len) == NULL
	    ? why
	    : "must not have a \":\"";
}

const char *
must_passwd_text(struct str s)
{
	return s.len <= 1000 && !has_control(s) &&
		(s.len == 0 || memchr(s.ptr, ':', s.len) == NULL)
	    ? NULL
	    : "must be one line without \":\"";
}

const char *
must_id(struct str s)
{
	return word(s, ALNUM, ALNUM "_-", 64) ? NULL
					      : "must be the id of a secret";
}

const char *
must_line(struct str s)
{
	return s.len > 0 && s.len <= 16384 && !has_control(s)
	    ? NULL
	    : "must be one line of text";
}

const char *
must_argument(struct str s)
{
	return s.len > 0 && s.len <= 256 && s.ptr[0] != '-' && !has_control(s)
	    ? NULL
	    : "must be one line of text that does not begin with \"-\"";
}

const char *
must_deb(struct str s)
{
	struct str arch = s, name = str_cut(&arch, ':');

	/* apt takes a "-" at the end as "remove it". */
	return word(name, LOWER DIGITS, LOWER DIGITS "+.-", 128) &&
		name.ptr[name.len - 1] != '-' &&
		(arch.ptr == NULL || word(arch, LOWER, LOWER DIGITS "-", 32))
	    ? NULL
	    : "must be the name of a package: small letters, digits and "
	      "\"+.-\"";
}

const char *
must_deb_version(struct str s)
{
	return word(s, ALNUM, ALNUM ".+:~-", 128)
	    ? NULL
	    : "must be a version: letters, digits and \".+:~-\"";
}

const char *
must_apt_line(struct str s)
{
	return (str_starts(s, STR("deb ")) || str_starts(s, STR("deb-src "))) &&
		s.len <= 4096 && !has_control(s)
	    ? NULL
	    : "must be one line of sources.list, as \"deb https://... "
	      "bookworm main\"";
}

const char *
must_pgp_key(struct str s)
{
	return str_starts(
		   str_trim(s), STR("-----BEGIN PGP PUBLIC KEY BLOCK-----"))
	    ? NULL
	    : "must be an armored PGP public key";
}

const char *
must_unit(struct str s)
{
	return word(s, ALNUM "_", ALNUM ":_.\\@-", 250)
	    ? NULL
	    : "must be the name of a systemd unit";
}

const char *
must_image(struct str s)
{
	return word(s, ALNUM, ALNUM "_.:/@+-", 512)
	    ? NULL
	    : "must be an image, as \"docker.io/library/nginx:1.25\"";
}

/* "80", or "8000-8010". */
static bool
is_ports(struct str s)
{
	int64_t from = 0, to = 0;
	struct str last = s, first = str_cut(&last, '-');

	if (!only(first, DIGITS) || !str_to_i64(first, &from))
		return false;
	if (last.ptr == NULL)
		to = from;
	else if (!only(last, DIGITS) || !str_to_i64(last, &to))
		return false;
	return from >= 1 && from <= to && to <= 65535;
}

const char *
must_port(struct str s)
{
	struct str rest = s, end, kind;
	const char *colon;

	/* [address:][host:]container[/kind] */
	if (s.len > 100)
		goto wrong;
	kind = rest;
	rest = str_cut(&kind, '/');
	if (kind.ptr != NULL && !str_eqz(kind, "tcp") &&
	    !str_eqz(kind, "udp") && !str_eqz(kind, "sctp"))
		goto wrong;
	colon = rest.len == 0 ? NULL : memrchr(rest.ptr, ':', rest.len);
	if (colon == NULL)
		return is_ports(rest) ? NULL : "must be a port, 1 to 65535";
	end = (struct str){ colon + 1,
		(size_t)(rest.ptr + rest.len - colon - 1) };
	rest.len = (size_t)(colon - rest.ptr);
	if (!is_ports(end))
		goto wrong;
	colon = rest.len == 0 ? NULL : memrchr(rest.ptr, ':', rest.len);
	if (colon == NULL) {
		if (is_ports(rest))
			return NULL;
		goto wrong;
	}
	end = (struct str){ colon + 1,
		(size_t)(rest.ptr + rest.len - colon - 1) };
	rest.len = (size_t)(colon - rest.ptr);
	/* With an address, the port here may be the machine's choice. */
	if ((end.len == 0 || is_ports(end)) &&
	    (word(rest, DIGITS, DIGITS ".", 15) ||
		word(rest, "[", DIGITS "abcdefABCDEF:.[]", 48)))
		return NULL;
wrong:
	return "must be [address:][port:]port[/tcp|udp|sctp], ports 1 to 65535";
}

const char *
must_volume(struct str s)
{
	struct str rest = s, from = str_cut(&rest, ':');
	struct str to = rest.ptr == NULL ? STR_NULL : str_cut(&rest, ':');

	if (to.ptr != NULL &&
	    (must_path(from) == NULL || must_file_word(from) == NULL) &&
	    must_path(to) == NULL &&
	    (rest.ptr == NULL || word(rest, ALNUM, ALNUM ",=_-", 64)))
		return NULL;
	return "must be \"/folder:/folder\" or \"name:/folder\", and may end "
	       "with \":ro\"";
}

const char *
must_key(struct str s)
{
	return s.len > 0 && s.len <= 256 && s.ptr[0] != '-' &&
		!has_control(s) && memchr(s.ptr, '=', s.len) == NULL
	    ? NULL
	    : "must have names without \"=\" and control characters";
}
