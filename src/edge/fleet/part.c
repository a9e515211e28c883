/*
 * edge/fleet/part.c - the agent of the fleet as a part; see fleet.h.
 */
#include "edge/fleet/fleet.h"

#include "base/arena.h"
#include "base/base.h"
#include "base/mem.h"
#include "base/module.h"
#include "codec/url.h"
#include "edge/part.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SERVICE "tedge-fleet"

struct fleet_part {
	const struct fleet_module *module;
	struct fleet_agent *agent;
};

int
fleet_module(const struct fleet_module **ret, struct err *err)
{
	const struct fleet_module *m;
	const void *found;
	int rc =
	    module_load(FLEET_MODULE_NAME, FLEET_MODULE_SYMBOL, &found, err);

	if (rc != 0)
		return rc;
	m = found;
	if (m->version != FLEET_MODULE_VERSION)
		return err_set(err, ERR_IO,
		    FLEET_MODULE_NAME ".so is of another version of this "
				      "program: install both from one package");
	*ret = m;
	return 0;
}

/* --- settings ------------------------------------------------------------- */

static const char *
below_root(struct arena *a, const char *root, struct str path)
{
	return arena_printf(a, "%s" STR_FMT, root, STR_ARG(path)).ptr;
}

/* The boot partition of an image: the first that has a file of Thymis. */
static const char *
boot_folder(struct arena *a, const char *root)
{
	static const char *const dirs[] = { "/boot/firmware", "/boot" };
	static const char *const files[] = { "thymis-token.txt",
		"thymis-metadata.json", "thymis-metadata.json.new",
		"thymis-metadata.json.old" };

	for (size_t d = 0; d < COUNT_OF(dirs); d++)
		for (size_t i = 0; i < COUNT_OF(files); i++)
			if (access(arena_printf(
				       a, "%s%s/%s", root, dirs[d], files[i])
				       .ptr,
				R_OK) == 0)
				return arena_printf(a, "%s%s", root, dirs[d])
				    .ptr;
	return "";
}

static struct strs
words_of(struct arena *a, struct str text)
{
	struct strs list = { arena_array(a, 32, struct str), 0 };

	while (text.ptr != NULL && list.n < 32) {
		struct str one = str_cut(&text, ' ');

		if (one.len > 0)
			list.at[list.n++] = one;
	}
	return list;
}

static const char *
own_program(struct arena *a)
{
	char path[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", path, sizeof(path) - 1);

	return n > 0 ? arena_z(a, (struct str){ path, (size_t)n })
		     : "marram-edge";
}

static int
read_proxy(const struct config *c, struct arena *a, struct str url,
    struct proxy_way *ret, struct err *err)
{
	struct url u;
	struct str host;

	if (!url_parse(a, url, &u) || u.host.len == 0)
		return err_set(err, ERR_PARAM,
		    "fleet.url: must be an address as "
		    "https://fleet.example.org");
	host = u.host;
	if (host.len > 2 && host.ptr[0] == '[')
		host = (struct str){ host.ptr + 1, host.len - 2 };
	return proxy_way_read(c, arena_z(a, host), a, ret, err);
}

int
fleet_conf_read(const struct config *c, struct arena *a, struct fleet_conf *ret,
    struct err *err)
{
	struct str url = config_text(c, "fleet.url");
	struct str root = config_text(c, "fleet.root");

	*ret = (struct fleet_conf){ 0 };
	if (url.len == 0)
		return err_set(err, ERR_PARAM,
		    "fleet.url is not set: enrol with tedge fleet enroll");
	if (!str_starts(url, STR("https://")) &&
	    !str_starts(url, STR("http://")))
		return err_set(err, ERR_PARAM,
		    "fleet.url: must begin with https:// or http://");
	while (root.len > 0 && root.ptr[root.len - 1] == '/')
		root.len--;
	ret->url = arena_z(a, url);
	ret->root = arena_z(a, root.ptr != NULL ? root : STR(""));
	ret->token_file = arena_z(a, config_text(c, "fleet.token_path"));
	ret->host_key =
	    below_root(a, ret->root, config_text(c, "fleet.ssh.host_key"));
	ret->authorized_keys = below_root(
	    a, ret->root, config_text(c, "fleet.ssh.authorized_keys"));
	ret->data_dir = arena_printf(
	    a, STR_FMT "/fleet", STR_ARG(config_text(c, "data.path")))
			    .ptr;
	ret->boot_dir = boot_folder(a, ret->root);
	ret->profile =
	    below_root(a, ret->root, STR("/nix/var/nix/profiles/system"));
	ret->ca_path = arena_z(a, config_text(c, "fleet.root_cert_path"));
	ret->config_dir = arena_z(a, str_of(config_dir(c)));
	ret->program = own_program(a);
	ret->tunnels = config_list(c, "fleet.tunnels");
	ret->restart_sshd = words_of(a, config_text(c, "fleet.ssh.restart"));
	ret->ssh_port = config_int(c, "fleet.ssh.port");
	ret->confirm_ms = config_ms(c, "fleet.confirm_time");
	ret->log_level = LOG_DEBUG;
	while (ret->log_level > LOG_OFF && !log_wants(ret->log_level))
		ret->log_level--;
	return read_proxy(c, a, url, &ret->proxy, err);
}

/* --- start and stop ------------------------------------------------------- */

static int
start(struct edge *e, struct str profile, void **ret, struct err *err)
{
	struct fleet_part *p = mem_new(struct fleet_part);
	struct arena a = { 0 };
	struct fleet_conf conf;
	int rc;

	(void)profile;
	rc = fleet_conf_read(edge_config(e), &a, &conf, err);
	if (rc == 0)
		rc = fleet_module(&p->module, err);
	conf.loop = edge_loop(e);
	if (rc == 0)
		rc = p->module->start(&conf, &p->agent, err);
	arena_fini(&a);
	if (rc != 0) {
		free(p);
		return rc;
	}
	*ret = p;
	return 0;
}

static void
stop(void *part)
{
	struct fleet_part *p = part;

	p->module->stop(p->agent);
	free(p);
}

const struct part_type part_fleet = {
	.name = SERVICE,
	.help = "Makes the device one of a fleet, whose configuration is "
		"declared on the platform.",
	.start = start,
	.stop = stop,
};
