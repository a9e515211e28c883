/*
 * edge/device_key.c - see device_key.h.
 */
#include "edge/device_key.h"

static const char *
text_z(const struct config *c, const struct cloud *cloud, const char *key,
    struct arena *a)
{
	struct str s =
	    cloud != NULL ? cloud_text(cloud, key) : config_text(c, key);

	return s.len > 0 ? arena_z(a, s) : NULL;
}

static int
check_uri(const struct device_key *k, struct err *err)
{
	if (!str_starts(str_of(k->path), STR("pkcs11:")))
		return err_set(err, ERR_PARAM,
		    "device.key_uri: it must begin with \"pkcs11:\"");
	return 0;
}

/* The key of the cloud over that of the device, that over the token's own. */
static int
in_token(const struct config *c, const struct cloud *cloud, struct arena *a,
    struct device_key *ret, struct err *err)
{
	ret->in_token = true;
	ret->path = text_z(c, cloud, "device.key_uri", a);
	if (ret->path == NULL)
		ret->path = text_z(c, NULL, "device.cryptoki.uri", a);
	ret->pin = text_z(c, cloud, "device.key_pin", a);
	if (ret->pin == NULL)
		ret->pin = text_z(c, NULL, "device.cryptoki.pin", a);
	ret->module = text_z(c, NULL, "device.cryptoki.module_path", a);
	if (ret->path == NULL)
		return err_set(err, ERR_PARAM,
		    "device.key_uri is not set: which key of the token is it? "
		    "`tedge hsm list-keys` shows the URIs");
	return check_uri(ret, err);
}

/* Which key it is may be left to who has the token, as its PIN is. */
static int
behind_socket(const struct config *c, const struct cloud *cloud,
    struct arena *a, struct device_key *ret, struct err *err)
{
	ret->in_token = true;
	ret->path = text_z(c, cloud, "device.key_uri", a);
	if (ret->path == NULL)
		ret->path = "pkcs11:";
	ret->module = arena_z(a,
	    arena_printf(a, "unix:" STR_FMT,
		STR_ARG(config_text(c, "device.cryptoki.socket_path"))));
	return check_uri(ret, err);
}

int
device_key(const struct config *c, const struct cloud *cloud, struct arena *a,
    struct device_key *ret, struct err *err)
{
	struct str mode = config_text(c, "device.cryptoki.mode");

	*ret = (struct device_key){ 0 };
	if (str_eqz(mode, "module"))
		return in_token(c, cloud, a, ret, err);
	if (str_eqz(mode, "socket"))
		return behind_socket(c, cloud, a, ret, err);
	ret->path = text_z(c, cloud, "device.key_path", a);
	return ret->path != NULL
	    ? 0
	    : err_set(err, ERR_PARAM, "device.key_path is not set");
}
