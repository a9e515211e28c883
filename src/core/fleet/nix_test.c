/*
 * core/fleet/nix_test.c - what the real Nix makes of what is generated: the
 * flake as it is written, evaluated with a stand-in for nixpkgs (nixpkgs/), or,
 * when FLEET_NIXPKGS_LIB names its folder, with the library of the real one.
 *
 * Hostile texts stand in every setting of every module; each must be found in
 * the evaluated configuration as it was typed, or as what it was put into
 * quotes it (a shell script, a unit).
 */
#include "codec/fleet_module_private.h"
#include "core/fleet/module_builtin.h"
#include "plug/target/nixos_generate.h"

#include "base/base.h"
#include "base/file.h"
#include "base/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static struct arena modules_arena;
static struct fleet_catalog catalog;
static char root[64];
static bool has_nix;

static void
run(const char *command)
{
	if (system(command) != 0)
		fail_msg("%s", command);
}

static int
set_up(void **state)
{
	const char *folder = getenv("FLEET_NIXPKGS");
	const char *real = getenv("FLEET_NIXPKGS_LIB");
	struct fleet_module **all;
	struct err err;
	char command[1024];

	(void)state;
	if (fleet_builtin(&modules_arena, &all, &catalog.n, &err) != 0)
		fail_msg("%s", err.text);
	catalog.modules = (const struct fleet_module *const *)all;
	has_nix = system("command -v nix >/dev/null") == 0;
	strcpy(root, "/tmp/marram-fleet-XXXXXX");
	assert_non_null(mkdtemp(root));
	snprintf(command, sizeof(command), "cp -R '%s' %s/nixpkgs",
	    folder != NULL ? folder : "src/core/fleet/nixpkgs", root);
	run(command);
	if (real != NULL) {
		snprintf(command, sizeof(command), "cp -R '%s' %s/nixpkgs/lib",
		    real, root);
		run(command);
	}
	return 0;
}

static int
tear_down(void **state)
{
	char command[128];

	(void)state;
	snprintf(command, sizeof(command), "rm -rf %s", root);
	run(command);
	arena_fini(&modules_arena);
	return 0;
}

/* --- a repository --------------------------------------------------------- */

struct repository {
	char dir[128];
	struct buf faults;
};

static int
write_file(void *ctx, struct str path, struct str text, struct err *err)
{
	struct repository *r = ctx;
	char full[512];

	snprintf(full, sizeof(full), "%s/" STR_FMT, r->dir, STR_ARG(path));
	for (char *at = full + 1; (at = strchr(at, '/')) != NULL; at++) {
		*at = '\0';
		(void)mkdir(full, 0700);
		*at = '/';
	}
	return file_replace(full, text.ptr != NULL ? text : STR(""), err);
}

static void
take_fault(void *ctx, struct str where, struct str what)
{
	struct repository *r = ctx;

	buf_addf(&r->faults, STR_FMT ": " STR_FMT "\n", STR_ARG(where),
	    STR_ARG(what));
}

static void
make_repository(struct repository *r, const char *name, struct str json)
{
	struct target_site site = { .agent_url = STR("https://fleet.example") };
	struct str url;
	struct arena a = { 0 };
	struct fleet_state s;
	struct err err;

	snprintf(r->dir, sizeof(r->dir), "%s/%s", root, name);
	url = arena_printf(&a, "path:%s/nixpkgs", root);
	site.nixpkgs_url = url;
	if (fleet_state_read(json, &a, &s, NULL, &err) != 0 ||
	    write_file(r, STR("state.json"), json, &err) != 0 ||
	    nixos_generate(
		&s, &catalog, &site, write_file, take_fault, r, &err) != 0)
		fail_msg("%s", err.text);
	arena_fini(&a);
}

/* `nix eval` of an attribute of the flake; what it says on standard error in
 * `said`. The status of its end. */
static int
evaluate(struct repository *r, const char *attribute, const char *apply,
    struct buf *ret, struct buf *said)
{
	char command[2048], path[256], bytes[65536];
	struct err err;
	size_t n;
	FILE *f;
	int status;

	snprintf(path, sizeof(path), "%s/said", root);
	snprintf(command, sizeof(command),
	    "HOME=%s exec nix --extra-experimental-features "
	    "'nix-command flakes' --option substitute false --offline eval "
	    "--no-write-lock-file --impure --json 'path:%s#%s' --apply '%s' "
	    "2>%s </dev/null",
	    root, r->dir, attribute, apply, path);
	f = popen(command, "r");
	assert_non_null(f);
	buf_clear(ret);
	while ((n = fread(bytes, 1, sizeof(bytes), f)) > 0)
		buf_add(ret, bytes, n);
	status = pclose(f);
	buf_clear(said);
	if (file_read(path, said, &err) != 0)
		fail_msg("%s", err.text);
	buf_z(said);
	buf_z(ret);
	return WEXITSTATUS(status);
}

static void
evaluated(struct repository *r, const char *attribute, const char *apply,
    struct buf *ret)
{
	struct buf said = { 0 };

	if (evaluate(r, attribute, apply, ret, &said) != 0)
		fail_msg("nix eval %s: %s\nfaults: %s", attribute, buf_z(&said),
		    buf_z(&r->faults));
	buf_free(&said);
}

#define DEVICE                                                                 \
	"{\"type\":\"" FLEET_DEVICE_MODULE                                     \
	"\",\"settings\":{\"device_type\":\"generic-x86_64\"}}"
#define NETWORK "thymis_controller.modules.networking.NetworkingModule"
#define LOCAL "thymis_controller.modules.localization.LocalizationModule"
#define OCI "thymis_controller.modules.oci_container.OCIContainers"
#define KIOSK "thymis_controller.modules.kiosk.Kiosk"
#define SECURITY "thymis_controller.modules.security.SecurityAccessModule"
#define BASH "thymis_controller.modules.bash.BashModule"

/* --- which definition wins ------------------------------------------------ */

static const char precedence[] =
    "{\"version\":\"0.0.9\",\"tags\":["
    "{\"displayName\":\"A\",\"identifier\":\"a\",\"priority\":90,\"modules\":["
    "{\"type\":\"" NETWORK "\",\"settings\":{\"wifi_ssid\":\"a\","
    "\"wifi_password\":\"from a\",\"nameservers\":[{\"nameserver\":\"1\"}],"
    "\"static_networks\":[{\"interface\":\"eth0\",\"ipv4address\":\"10.0.0.1\"}"
    ","
    "{\"interface\":\"eth1\",\"ipv4address\":\"10.0.1.1\"}]}},"
    "{\"type\":\"" LOCAL "\",\"settings\":{\"time_servers\":["
    "{\"server\":\"a\"}],\"timezone\":\"Europe/Rome\"}},"
    "{\"type\":\"" KIOSK "\",\"settings\":{\"kiosk_url\":\"https://a\","
    "\"xrandr_rotation\":\"left\"}},"
    "{\"type\":\"" OCI "\",\"settings\":{\"containers\":["
    "{\"container_name\":\"web\",\"image\":\"a\"},"
    "{\"container_name\":\"db\",\"image\":\"a\"}]}},"
    "{\"type\":\"" BASH "\",\"settings\":{\"script\":\"a\"}}]},"
    "{\"displayName\":\"B\",\"identifier\":\"b\",\"priority\":85,\"modules\":["
    "{\"type\":\"" NETWORK "\",\"settings\":{\"wifi_ssid\":\"b\","
    "\"nameservers\":[{\"nameserver\":\"2\"}]}},"
    "{\"type\":\"" LOCAL "\",\"settings\":{\"time_servers\":["
    "{\"server\":\"b\"}]}}]}],"
    "\"configs\":[{\"displayName\":\"Hall\",\"identifier\":\"hall\",\"tags\":"
    "[\"a\",\"b\"],\"modules\":[" DEVICE ","
    "{\"type\":\"" LOCAL "\",\"settings\":{\"time_servers\":["
    "{\"server\":\"own\"}]}},"
    "{\"type\":\"" KIOSK "\",\"settings\":{\"kiosk_url\":\"https://own\","
    "\"volume\":7}},"
    "{\"type\":\"" OCI "\",\"settings\":{\"containers\":["
    "{\"container_name\":\"web\",\"image\":\"own\"}]}},"
    "{\"type\":\"" BASH "\",\"settings\":{\"script\":\"own\"}}]}]}";

/* The definitions that win, as "key=tag" words. */
static void
winners(struct str json, struct buf *ret)
{
	struct arena a = { 0 };
	struct fleet_state s;
	struct fleet_definition *d;
	struct err err;
	size_t n = 0;

	if (fleet_state_read(json, &a, &s, NULL, &err) != 0 ||
	    fleet_definitions(&s, &catalog, STR("hall"), &a, &d, &n, &err) != 0)
		fail_msg("%s", err.text);
	for (size_t i = 0; i < n; i++)
		if (d[i].wins || d[i].conflict)
			buf_addf(ret, "%s" STR_FMT "=" STR_FMT "%s",
			    ret->len > 0 ? " " : "", STR_ARG(d[i].key),
			    STR_ARG(
				d[i].tag.ptr != NULL ? d[i].tag : STR("own")),
			    d[i].conflict ? "!" : "");
	arena_fini(&a);
}

static void
nix_lets_win_what_we_say_wins(void **state)
{
	struct repository r = { 0 };
	struct buf got = { 0 };

	(void)state;
	winners(str_of(precedence), &got);
	assert_string_equal(buf_z(&got),
	    "script=own script=a kiosk_url=own volume=own xrandr_rotation=a "
	    "time_servers=own time_servers=b time_servers=a timezone=a "
	    "nameservers=b static_networks=a wifi_password=a wifi_ssid=b "
	    "containers=own containers=a device_type=own");
	if (!has_nix)
		skip();
	make_repository(&r, "precedence", str_of(precedence));
	evaluated(&r, "nixosConfigurations.hall.config",
	    "c: [ c.thymis.config.wifi-ssid c.thymis.config.wifi-password "
	    "c.networking.nameservers c.networking.timeServers "
	    "c.time.timeZone (builtins.mapAttrs (_: i: i.ipv4.addresses) "
	    "c.networking.interfaces) (builtins.mapAttrs (_: x: x.image) "
	    "c.virtualisation.oci-containers.containers) "
	    "[ c.marram.kiosk.kiosk_url c.marram.kiosk.volume "
	    "c.marram.kiosk.xrandr_rotation c.marram.kiosk.enable_vnc ] "
	    "(map (n: c.systemd.services.${n}.script) "
	    "[ \"thymis-bash-service-hosts-hall\" "
	    "\"thymis-bash-service-tags-a\" ]) "
	    "c.thymis.config.agent.controller-url c.nixpkgs.hostPlatform ]",
	    &got);
	assert_string_equal(buf_z(&got),
	    "[\"b\",\"from a\",[\"2\"],[\"b\",\"a\",\"own\"],\"Europe/Rome\","
	    "{\"eth0\":[{\"address\":\"10.0.0.1\",\"prefixLength\":24}],"
	    "\"eth1\":[{\"address\":\"10.0.1.1\",\"prefixLength\":24}]},"
	    "{\"db\":\"a\",\"web\":\"own\"},"
	    "[\"https://own\",7,\"left\",false],[\"own\",\"a\"],"
	    "\"https://fleet.example\",\"x86_64-linux\"]");
	assert_int_equal(r.faults.len, 0);
	buf_free(&got);
	buf_free(&r.faults);
}

static void
two_of_the_same_weight_are_a_conflict_here_and_there(void **state)
{
	static const char json[] =
	    "{\"version\":\"0.0.9\",\"tags\":["
	    "{\"displayName\":\"A\",\"identifier\":\"a\",\"priority\":90,"
	    "\"modules\":[{\"type\":\"" NETWORK
	    "\",\"settings\":{\"wifi_ssid\":\"a\","
	    "\"nameservers\":[{\"nameserver\":\"1\"}]}}]},"
	    "{\"displayName\":\"B\",\"identifier\":\"b\",\"priority\":90,"
	    "\"modules\":[{\"type\":\"" NETWORK
	    "\",\"settings\":{\"wifi_ssid\":\"b\","
	    "\"nameservers\":[{\"nameserver\":\"2\"}]}}]},"
	    "{\"displayName\":\"C\",\"identifier\":\"c\",\"priority\":90,"
	    "\"modules\":[{\"type\":\"" NETWORK
	    "\",\"settings\":{\"nameservers\":[{\"nameserver\":\"3\"}]"
	    "}}]}],"
	    "\"configs\":[{\"displayName\":\"Hall\",\"identifier\":\"hall\","
	    "\"tags\":[\"a\",\"b\"],\"modules\":[" DEVICE "]},"
	    "{\"displayName\":\"Calm\",\"identifier\":\"calm\","
	    "\"tags\":[\"a\",\"c\"],\"modules\":[" DEVICE "]}]}";
	struct repository r = { 0 };
	struct buf got = { 0 }, said = { 0 };
	struct arena a = { 0 };
	struct fleet_state s;
	struct fleet_resources res;
	struct err err;

	(void)state;
	winners(str_of(json), &got);
	assert_string_equal(buf_z(&got),
	    "nameservers=a nameservers=b wifi_ssid=a! wifi_ssid=b! "
	    "device_type=own");
	assert_int_equal(fleet_state_read(str_of(json), &a, &s, NULL, &err), 0);
	assert_int_equal(
	    fleet_yield(&s, &catalog, STR("hall"), &a, &res, &err), ERR_PARAM);
	assert_non_null(strstr(err.text, "wifi_ssid: a and b"));
	arena_fini(&a);
	if (!has_nix)
		skip();
	make_repository(&r, "conflict", str_of(json));
	assert_non_null(strstr(buf_z(&r.faults), "wifi_ssid: a contradicts"));
	evaluated(&r, "nixosConfigurations.calm.config",
	    "c: c.networking.nameservers", &got);
	assert_string_equal(buf_z(&got), "[\"3\",\"1\"]");
	assert_int_not_equal(evaluate(&r, "nixosConfigurations.hall.config",
				 "c: c.thymis.config.wifi-ssid", &got, &said),
	    0);
	assert_non_null(strstr(buf_z(&said), "conflicting definition"));
	buf_free(&got);
	buf_free(&said);
	buf_free(&r.faults);
}

static void
a_module_that_can_not_be_written_ends_the_build(void **state)
{
	static const char json[] =
	    "{\"version\":\"0.0.9\",\"configs\":[{\"displayName\":\"Hall\","
	    "\"identifier\":\"hall\",\"modules\":[" DEVICE
	    ",{\"type\":\"of.Another\",\"settings\":{}}]},"
	    "{\"displayName\":\"Pi\",\"identifier\":\"pi\",\"modules\":["
	    "{\"type\":\"" FLEET_DEVICE_MODULE
	    "\",\"settings\":{\"device_type\":\"linux\"}}]}]}";
	struct repository r = { 0 };
	struct buf got = { 0 }, said = { 0 };

	(void)state;
	if (!has_nix)
		skip();
	make_repository(&r, "fault", str_of(json));
	evaluated(&r, "nixosConfigurations", "builtins.attrNames", &got);
	assert_string_equal(buf_z(&got), "[\"hall\"]");
	assert_int_not_equal(evaluate(&r, "nixosConfigurations.hall.config",
				 "c: c.thymis.config.device-type", &got, &said),
	    0);
	assert_non_null(strstr(buf_z(&said), "of.Another: the module is not"));
	buf_free(&got);
	buf_free(&said);
	buf_free(&r.faults);
}

/* --- hostile texts -------------------------------------------------------- */

static const char *const hostile[] = {
	"\"; evil = 1; \"",
	"'; touch /tmp/evil; '",
	"${builtins.abort \"evil\"}",
	"''${builtins.abort \"evil\"}''",
	"\\${x} $${y} \\\\",
	"a\nb\r\n\tc",
	"$(touch /tmp/evil) `id` | & < > * ? # ! ~",
	"%i %% $HOME ${HOME} $$",
	"]; } ) => \xc3\xa4\xe2\x82\xac",
	"-- -rf /",
	"{{key}} {$if: 1}",
};
static struct buf large; /* 1 MiB, the last one */

static struct str
hostile_text(size_t i)
{
	return i < COUNT_OF(hostile) ? str_of(hostile[i]) : buf_str(&large);
}

/* A value for the setting: hostile where it may be any text. */
static void
put_value(const struct fleet_kind *k, struct json_out *o, struct str bad)
{
	struct json j;
	struct str key;

	switch (k->type) {
	case FLEET_INT:
		json_out_int(o, k->min > 1 ? k->min : 1);
		return;
	case FLEET_BOOL:
		json_out_bool(o, !str_eqz(k->key, "absent"));
		return;
	case FLEET_SELECT:
		json_out_str(o, k->choices[0].value);
		return;
	case FLEET_LIST:
		json_out_array(o);
		json_out_object(o);
		for (size_t i = 0; i < k->n_of; i++) {
			json_out_key_str(o, k->of[i].key);
			put_value(&k->of[i], o, bad);
		}
		json_out_end_object(o);
		json_out_end_array(o);
		return;
	case FLEET_TIMER:
		json_out_object(o);
		json_open(&j, k->timer, 0, NULL);
		for (json_object(&j); json_member(&j, &key); json_skip(&j)) {
			json_out_key_str(o, key);
			if (str_eqz(key, "timer_type")) {
				json_out_str(o, STR("realtime"));
			} else if (str_eqz(key, "persistent")) {
				json_out_bool(o, true);
			} else if (str_eqz(key, "on_calendar")) {
				json_out_array(o);
				json_out_str(o, bad);
				json_out_end_array(o);
			} else {
				json_out_str(o, bad);
			}
		}
		json_out_end_object(o);
		return;
	default:
		break;
	}
	if (str_eqz(k->format, "path"))
		json_out_str(o, STR("/srv/x"));
	else if (str_eqz(k->format, "mode"))
		json_out_str(o, STR("0640"));
	else if (str_eqz(k->format, "name"))
		json_out_str(o, STR("hello"));
	else if (k->format.ptr != NULL || k->type == FLEET_SECRET)
		json_out_str(o, STR("plain"));
	else if (k->type == FLEET_ARTIFACT)
		json_out_str(o, STR("a b \"${x}\" %s"));
	else
		json_out_str(o, bad);
}

/* A configuration with every module, in which all that may be any text is
 * `bad`. */
static void
put_configuration(struct json_out *o, size_t number, struct str bad)
{
	char name[32];

	snprintf(name, sizeof(name), "c%zu", number);
	json_out_object(o);
	json_out_key(o, "displayName");
	json_out_str(o, bad.len < 1000 ? bad : STR("large"));
	json_out_key(o, "identifier");
	json_out_str(o, str_of(name));
	json_out_key(o, "modules");
	json_out_array(o);
	for (size_t i = 0; i < catalog.n; i++) {
		const struct fleet_module *m = catalog.modules[i];

		json_out_object(o);
		json_out_key(o, "type");
		json_out_str(o, m->type);
		json_out_key(o, "settings");
		json_out_object(o);
		for (size_t n = 0; n < m->n_settings; n++) {
			if (m->code.ptr != NULL)
				continue; /* it is code, by intention */
			json_out_key_str(o, m->settings[n].key);
			put_value(&m->settings[n], o, bad);
		}
		json_out_end_object(o);
		json_out_end_object(o);
	}
	json_out_end_array(o);
	json_out_end_object(o);
}

/* All texts of a JSON document, names too, one behind the other. */
static void
texts_of(struct json *j, struct buf *ret)
{
	struct str s;

	switch (json_peek(j)) {
	case JSON_STRING:
		if (json_str(j, &s))
			buf_add_str(ret, s);
		buf_addc(ret, '\0');
		break;
	case JSON_ARRAY:
		for (json_array(j); json_item(j);)
			texts_of(j, ret);
		break;
	case JSON_OBJECT:
		for (json_object(j); json_member(j, &s);) {
			buf_add_str(ret, s);
			buf_addc(ret, '\0');
			texts_of(j, ret);
		}
		break;
	default:
		json_skip(j);
	}
}

static void
every_hostile_text_ends_as_data_in_nix(void **state)
{
	struct repository r = { 0 };
	struct buf json = { 0 }, got = { 0 };
	struct arena a = { 0 };
	struct json_out o;

	(void)state;
	if (!has_nix)
		skip();
	json_out_init(&o, &json, false);
	json_out_object(&o);
	json_out_key(&o, "version");
	json_out_str(&o, STR("0.0.9"));
	json_out_key(&o, "configs");
	json_out_array(&o);
	for (size_t i = 0; i <= COUNT_OF(hostile); i++)
		put_configuration(&o, i, hostile_text(i));
	json_out_end_array(&o);
	json_out_end_object(&o);
	make_repository(&r, "hostile", buf_str(&json));
	if (r.faults.len > 0)
		fail_msg("%s", buf_z(&r.faults));
	for (size_t i = 0; i <= COUNT_OF(hostile); i++) {
		struct str bad = hostile_text(i), s;
		char attribute[64];
		struct json j;

		/* where each setting that may be any text has come to; what a
		 * script or a unit quotes is asked below */
		snprintf(attribute, sizeof(attribute),
		    "nixosConfigurations.c%zu.config", i);
		evaluated(&r, attribute,
		    "c: let o = c.virtualisation.oci-containers.containers; "
		    "n = builtins.head (builtins.attrNames o); "
		    "i = builtins.head (builtins.attrNames "
		    "c.networking.interfaces); "
		    "s = builtins.head (builtins.filter (x: x.description or "
		    "null == null && x ? script) (builtins.attrValues "
		    "c.systemd.services)); "
		    "t = builtins.head (builtins.attrValues c.systemd.timers); "
		    "in [ c.thymis.config.device-name "
		    "c.thymis.config.agent.controller-url "
		    "c.thymis.config.wifi-ssid c.thymis.config.wifi-password "
		    "c.thymis.config.wifi-auth n o.${n}.image "
		    "(builtins.head (builtins.attrNames o.${n}.environment)) "
		    "(builtins.head (builtins.attrValues o.${n}.environment)) "
		    "(builtins.head (builtins.attrNames o.${n}.labels)) "
		    "(builtins.head (builtins.attrValues o.${n}.labels)) "
		    "i (builtins.head c.networking.interfaces.${i}"
		    ".ipv4.addresses).address (builtins.head "
		    "c.networking.interfaces.${i}.ipv6.addresses).address "
		    "c.networking.defaultGateway.address "
		    "c.networking.defaultGateway.interface "
		    "c.networking.defaultGateway6.address "
		    "(builtins.head c.networking.nameservers) "
		    "c.time.timeZone (builtins.head c.networking.timeServers) "
		    "(builtins.head "
		    "c.users.users.root.openssh.authorizedKeys.keys) "
		    "(builtins.head c.thymis.config.authorized-keys) "
		    "(builtins.head c.security.pki.certificates) "
		    "c.marram.kiosk.kiosk_url c.marram.kiosk.xrandr_mode "
		    "c.marram.kiosk.audio_sink_fuzzy "
		    "c.marram.kiosk.vnc_password "
		    "c.marram.smart-kiosk.kiosk_url "
		    "c.marram.smart-kiosk.resolution "
		    "c.marram.smart-kiosk.rotation "
		    "c.services.home-assistant.config.homeassistant.time_zone "
		    "s.script (builtins.head t.timerConfig.OnCalendar) "
		    "t.timerConfig.AccuracySec "
		    "t.timerConfig.RandomizedDelaySec "
		    "c.users.users.hello.description "
		    "(builtins.head c.users.users.hello.openssh.authorizedKeys"
		    ".keys) c.systemd.services.hello.environment.hello ]",
		    &got);
		json_open(&j, buf_str(&got), 0, &a);
		json_array(&j);
		for (size_t n = 0; json_item(&j); n++) {
			if (!json_str(&j, &s))
				break;
			if (!str_eq(s, bad))
				fail_msg("%zu in configuration %zu: " STR_FMT,
				    n, i, (int)MIN_OF(s.len, 500), s.ptr);
		}
		assert_int_equal(json_done(&j, NULL), 0);
		arena_clear(&a);
	}
	arena_fini(&a);
	buf_free(&json);
	buf_free(&got);
	buf_free(&r.faults);
}

/* What stands in quotes: the kiosk's scripts run by a real shell, in which each
 * text must come out as it went in. */
static void
scripts_hold_hostile_texts_as_one_word(void **state)
{
	struct repository r = { 0 };
	struct buf json = { 0 }, got = { 0 }, texts = { 0 };
	struct arena a = { 0 };
	struct json_out o;
	struct json j;

	(void)state;
	if (!has_nix)
		skip();
	json_out_init(&o, &json, false);
	json_out_object(&o);
	json_out_key(&o, "version");
	json_out_str(&o, STR("0.0.9"));
	json_out_key(&o, "configs");
	json_out_array(&o);
	put_configuration(&o, 0, STR("'; touch /tmp/evil; '"));
	json_out_end_array(&o);
	json_out_end_object(&o);
	make_repository(&r, "scripts", buf_str(&json));
	evaluated(&r, "nixosConfigurations.c0.config",
	    "c: [ c.services.xserver.windowManager.i3.configFile "
	    "c.systemd.services.hello.serviceConfig.ExecStart "
	    "c.systemd.tmpfiles.rules ]",
	    &got);
	json_open(&j, buf_str(&got), 0, &a);
	texts_of(&j, &texts);
	assert_non_null(memmem(texts.ptr, texts.len,
	    "url=''\\''; touch /tmp/evil; '\\'''\n",
	    strlen("url=''\\''; touch /tmp/evil; '\\'''\n")));
	assert_non_null(
	    memmem(texts.ptr, texts.len, "\"/srv/x\" \"'; touch /tmp/evil; '\"",
		strlen("\"/srv/x\" \"'; touch /tmp/evil; '\"")));
	assert_non_null(
	    memmem(texts.ptr, texts.len, "C+ \"'; touch /tmp/evil; '\" ",
		strlen("C+ \"'; touch /tmp/evil; '\" ")));
	arena_fini(&a);
	buf_free(&json);
	buf_free(&got);
	buf_free(&texts);
	buf_free(&r.faults);
}

/* One module with one setting, the rest of a list's row being harmless. */
static bool
yields(const struct fleet_module *m, const struct fleet_kind *k, struct str bad,
    struct buf *texts, struct err *err)
{
	struct buf json = { 0 }, out = { 0 };
	struct arena a = { 0 };
	struct fleet_resources res;
	struct fleet_state s;
	struct json_out o;
	struct json j;
	int rc;

	json_out_init(&o, &json, false);
	json_out_object(&o);
	json_out_key(&o, "version");
	json_out_str(&o, STR("0.0.9"));
	json_out_key(&o, "configs");
	json_out_array(&o);
	json_out_object(&o);
	json_out_key(&o, "displayName");
	json_out_str(&o, STR("x"));
	json_out_key(&o, "identifier");
	json_out_str(&o, STR("x"));
	json_out_key(&o, "modules");
	json_out_array(&o);
	json_out_object(&o);
	json_out_key(&o, "type");
	json_out_str(&o, m->type);
	json_out_key(&o, "settings");
	json_out_object(&o);
	json_out_key_str(&o, k->key);
	put_value(k, &o, bad);
	json_out_end_object(&o);
	json_out_end_object(&o);
	json_out_end_array(&o);
	json_out_end_object(&o);
	json_out_end_array(&o);
	json_out_end_object(&o);
	assert_int_equal(
	    fleet_state_read(buf_str(&json), &a, &s, NULL, err), 0);
	rc = fleet_yield(&s, &catalog, STR("x"), &a, &res, err);
	if (rc == 0) {
		fleet_resources_write(&res, &out);
		json_open(&j, buf_str(&out), 0, &a);
		texts_of(&j, texts);
		assert_int_equal(json_done(&j, NULL), 0);
	} else {
		assert_int_equal(rc, ERR_PARAM);
		assert_true(err->text[0] != '\0');
	}
	arena_fini(&a);
	buf_free(&json);
	buf_free(&out);
	return rc == 0;
}

/* In a text of its own, or in quotes of a shell or of a unit; or it is refused
 * with a sentence. Never is a line of a file begun by it. */
static void
every_hostile_text_is_data_or_refused_on_a_linux(void **state)
{
	size_t taken = 0, refused = 0;

	(void)state;
	for (size_t i = 0; i < catalog.n; i++) {
		const struct fleet_module *m = catalog.modules[i];

		for (size_t n = 0; n < m->n_settings; n++)
			for (size_t h = 0; h <= COUNT_OF(hostile); h++) {
				struct buf texts = { 0 };
				struct err err;

				if (yields(m, &m->settings[n], hostile_text(h),
					&texts, &err))
					taken++;
				else
					refused++;
				/* a line that no template has */
				if (texts.len > 0 && !m->each_source)
					assert_null(memmem(texts.ptr, texts.len,
					    "\ntouch", 6));
				buf_free(&texts);
			}
	}
	assert_true(taken > 300);
	assert_true(refused > 50);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nix_lets_win_what_we_say_wins),
		cmocka_unit_test(
		    two_of_the_same_weight_are_a_conflict_here_and_there),
		cmocka_unit_test(
		    a_module_that_can_not_be_written_ends_the_build),
		cmocka_unit_test(every_hostile_text_ends_as_data_in_nix),
		cmocka_unit_test(scripts_hold_hostile_texts_as_one_word),
		cmocka_unit_test(
		    every_hostile_text_is_data_or_refused_on_a_linux),
	};
	int failed;

	while (large.len < (1 << 20))
		buf_addz(&large, "\"'${x}''\\\n$(id) ");
	failed = cmocka_run_group_tests(tests, set_up, tear_down);
	buf_free(&large);
	return failed;
}
