/*
 * core/fleet/module_builtin.c - see module_builtin.h.
 */
#include "core/fleet/module_builtin.h"

#include "base/base.h"
#include "fleet_modules.h"

static const struct {
	const char *name, *json5, *nix;
} files[] = {
#define MODULE(name)                                                           \
	{                                                                      \
#name, embed_##name##_json5, embed_##name##_nix                \
	}
#define PLAIN(name)                                                            \
	{                                                                      \
#name, embed_##name##_json5, NULL                              \
	}
	MODULE(device),
	MODULE(networking),
	MODULE(localization),
	PLAIN(security),
	MODULE(files),
	MODULE(oci_containers),
	MODULE(kiosk),
	PLAIN(custom_nix),
	MODULE(bash),
	MODULE(python),
	MODULE(packages),
	PLAIN(apt_repositories),
	MODULE(users),
	MODULE(text_files),
	MODULE(services),
	PLAIN(checks),
	MODULE(home_assistant),
	MODULE(esphome),
	MODULE(node_red),
	MODULE(nginx),
	MODULE(smart_kiosk),
};

int
fleet_builtin(
    struct arena *a, struct fleet_module ***ret, size_t *n, struct err *err)
{
	struct fleet_module **all =
	    arena_array(a, COUNT_OF(files), struct fleet_module *);

	for (size_t i = 0; i < COUNT_OF(files); i++) {
		struct err why;

		if (fleet_module_read(
			str_of(files[i].json5), a, &all[i], &why) != 0)
			return err_set(err, ERR_INTERNAL, "%s.json5: %s",
			    files[i].name, why.text);
		all[i]->nix = str_of(files[i].nix);
		if ((all[i]->nix.ptr != NULL) != (all[i]->function.ptr != NULL))
			return err_set(err, ERR_INTERNAL,
			    "%s.json5: its function and its file do not agree",
			    files[i].name);
	}
	*ret = all;
	*n = COUNT_OF(files);
	return 0;
}
