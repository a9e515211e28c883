/*
 * plug/target/target.c - the targets there are, and whose a configuration is.
 */
#include "plug/target/target.h"

#include "base/base.h"
#include "codec/json.h"

#define HOUR_MS ((int64_t)60 * 60000)

const struct target *const targets[] = { &target_nixos, &target_linux, NULL };

int64_t
target_ms(int64_t ms)
{
	return ms > 0 ? ms : HOUR_MS;
}

const struct target *
target_of(const struct fleet_config *c)
{
	const struct fleet_use *use =
	    fleet_use_find(c->modules, c->n_modules, STR(FLEET_DEVICE_MODULE));
	struct arena a = { 0 };
	const struct target *ret = NULL;
	struct str value, type;
	struct json j;

	if (use == NULL)
		return NULL;
	value = fleet_setting_of(use, "device_type");
	if (value.ptr == NULL)
		return NULL;
	json_open(&j, value, 0, &a);
	if (json_str(&j, &type) && json_done(&j, NULL) == 0 && type.len > 0)
		ret = str_eqz(type, "linux") ? &target_linux : &target_nixos;
	arena_fini(&a);
	return ret;
}
