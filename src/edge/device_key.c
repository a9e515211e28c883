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
		    "p11tool --list-privkeys shows the URIs");
	if (!str_starts(str_of(ret->path), STR("pkcs11:")))
		return err_set(err, ERR_PARAM,
		    "device.key_uri: it must begin with \"pkcs11:\"");
	return 0;
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
		return err_set(err, ERR_PARAM,
		    "device.cryptoki.mode: a token behind a socket is not part "
		    "of this version; set it to module");
	ret->path = text_z(c, cloud, "device.key_path", a);
	return ret->path != NULL
	    ? 0
	    : err_set(err, ERR_PARAM, "device.key_path is not set");
}
