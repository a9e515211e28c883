/*
 * edge/proxy_way.c - see proxy_way.h.
 */
#include "edge/proxy_way.h"

#include "base/base.h"
#include "codec/url.h"
#include "edge/config.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

/* An address within NETWORK/BITS? */
static bool
is_within(const char *address, struct str network)
{
	unsigned char a[16], n[16];
	struct str bits = network, base = str_cut(&bits, '/');
	char *z = str_dupz(base);
	int family = strchr(z, ':') != NULL ? AF_INET6 : AF_INET;
	size_t len = family == AF_INET6 ? 16 : 4;
	bool within;
	uint64_t left;

	within = inet_pton(family, z, n) == 1 &&
	    inet_pton(family, address, a) == 1 && str_to_u64(bits, &left) &&
	    left <= len * 8;
	free(z);
	for (size_t i = 0; within && left > 0; i++) {
		unsigned shift = left < 8 ? 8 - (unsigned)left : 0;

		within = a[i] >> shift == n[i] >> shift;
		left -= MIN_OF(left, 8u);
	}
	return within;
}

/* In a list as "127.0.0.1,192.168.0.0/16,example.org", where a name stands for
 * all below it, too? */
static bool
is_listed(struct str list, const char *host)
{
	struct str name = str_of(host);

	while (list.len > 0) {
		struct str one = str_trim(str_cut(&list, ','));

		if (one.len > 1 && one.ptr[0] == '.') {
			one.ptr++;
			one.len--;
		}
		if (str_eqz(one, "*") || str_eq_nocase(one, name) ||
		    is_within(host, one))
			return true;
		if (one.len > 0 && one.len < name.len &&
		    name.ptr[name.len - one.len - 1] == '.' &&
		    str_eq_nocase(one,
			(struct str){ name.ptr + name.len - one.len, one.len }))
			return true;
	}
	return false;
}

int
proxy_way_read(const struct config *c, const char *host, struct arena *a,
    struct proxy_way *ret, struct err *err)
{
	struct str address = config_text(c, "proxy.address");
	struct url url;

	*ret = (struct proxy_way){ 0 };
	if (address.len == 0 ||
	    is_listed(config_text(c, "proxy.no_proxy"), host))
		return 0;
	if (!url_parse(a, address, &url) ||
	    (!str_eqz(url.scheme, "http") && !str_eqz(url.scheme, "https")) ||
	    url.host.len == 0)
		return err_set(err, ERR_PARAM,
		    "proxy.address: \"" STR_FMT
		    "\" is no address like http://HOST:PORT",
		    STR_ARG(address));
	ret->host = arena_z(a, url.host);
	ret->port = (uint16_t)url_port(&url);
	ret->tls = str_eqz(url.scheme, "https");
	ret->user = config_text(c, "proxy.username");
	ret->password = config_text(c, "proxy.password");
	return 0;
}
