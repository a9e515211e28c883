/*
 * plug/target/nixos_generate.c - see nixos_generate.h.
 */
#include "plug/target/nixos_generate.h"

#include "base/base.h"
#include "base/map.h"
#include "codec/nix.h"
#include "target_base.h"

#include <inttypes.h>
#include <string.h>

#define NIXPKGS "github:NixOS/nixpkgs/nixos-25.11"

typedef void tell_fault(void *ctx, struct str where, struct str what);

struct generator {
	const struct fleet_state *s;
	const struct fleet_catalog *modules;
	const struct target_site *site;
	target_emit *emit;
	tell_fault *fault;
	void *ctx;
	struct arena arena; /* of the file that is being made */
	struct map used;    /* types of modules whose functions are needed */
};

/* Whose module file it is. */
struct owner {
	const char *kind; /* "hosts", "tags" */
	struct str identifier;
	int64_t priority;
};

static int
emit(struct generator *g, struct str path, struct str text, struct err *err)
{
	return g->emit(g->ctx, path, text, err);
}

/* --- flake.nix ------------------------------------------------------------ */

static void
line(struct buf *b, const char *before, struct str text, const char *after)
{
	buf_addz(b, before);
	nix_string(b, text);
	buf_addz(b, after);
}

static void
put_input(struct buf *b, const struct fleet_input *in)
{
	buf_addz(b, "    ");
	buf_add_str(b, in->name);
	buf_addz(b, " = {\n");
	if (in->url.len > 0)
		line(b, "      url = ", in->url, ";\n");
	if (in->follows.len > 0)
		line(b, "      follows = ", in->follows, ";\n");
	for (size_t i = 0; i < in->n_follows; i++) {
		buf_addz(b, "      inputs.");
		nix_name(b, in->inputs_follows[2 * i]);
		line(b, ".follows = ", in->inputs_follows[2 * i + 1], ";\n");
	}
	buf_addz(b, "    };\n");
}

static bool
has_input(const struct fleet_input *in, size_t n, const char *name)
{
	for (size_t i = 0; i < n; i++)
		if (str_eqz(in[i].name, name))
			return true;
	return false;
}

/* Those of the state that can be inputs, and the built-in ones it has not. */
static size_t
inputs_of(struct generator *g, struct fleet_input **ret)
{
	const struct fleet_state *s = g->s;
	struct fleet_input *all =
	    arena_array(&g->arena, s->n_inputs + 2, struct fleet_input);
	size_t n = 0;

	for (size_t i = 0; i < s->n_inputs; i++) {
		const struct fleet_input *in = &s->inputs[i];

		if (!nix_is_identifier(in->name) || str_eqz(in->name, "self")) {
			g->fault(g->ctx, in->name,
			    STR("the name of a repository must begin with a "
				"letter and have only letters, digits, '-' and "
				"'_'; it is left out"));
		} else if (in->url.len == 0 && in->follows.len == 0) {
			g->fault(g->ctx, in->name,
			    STR("the repository has no address; it is left "
				"out"));
		} else {
			all[n++] = *in;
		}
	}
	if (!has_input(all, n, "thymis") && g->site->thymis_url.len > 0)
		all[n++] = (struct fleet_input){ .name = STR("thymis"),
			.url = g->site->thymis_url };
	if (has_input(all, n, "nixpkgs"))
		;
	else if (g->site->nixpkgs_url.len > 0)
		all[n++] = (struct fleet_input){ .name = STR("nixpkgs"),
			.url = g->site->nixpkgs_url };
	else if (has_input(all, n, "thymis"))
		all[n++] = (struct fleet_input){ .name = STR("nixpkgs"),
			.follows = STR("thymis/nixpkgs") };
	else
		all[n++] = (struct fleet_input){ .name = STR("nixpkgs"),
			.url = STR(NIXPKGS) };
	*ret = all;
	return n;
}

static const char flake_rest[] =
    "    let\n"
    "      state = builtins.fromJSON (builtins.readFile ./state.json);\n"
    "      files = dir:\n"
    "        let\n"
    "          entries = if builtins.pathExists dir then builtins.readDir dir "
    "else { };\n"
    "          isModule = name: entries.${name} == \"regular\"\n"
    "            && builtins.match \".*[.]nix\" name != null;\n"
    "        in\n"
    "        map (name: dir + \"/${name}\")\n"
    "          (builtins.filter isModule (builtins.attrNames entries));\n"
    "      isNixos = config: builtins.all\n"
    "        (module: (module.settings.device_type or \"\") != \"linux\")\n"
    "        (config.modules or [ ]);\n"
    "      system = config: nixpkgs.lib.nixosSystem {\n"
    "        modules = files (./hosts + \"/${config.identifier}\")\n"
    "          ++ builtins.concatMap (tag: files (./tags + \"/${tag}\")) "
    "(config.tags or [ ])\n"
    "          ++ [ all.thymis.nixosModules.thymis-device ];\n"
    "        specialArgs = { inputs = all; };\n"
    "      };\n"
    "      nixosConfigurations = builtins.listToAttrs (map\n"
    "        (config: { name = config.identifier; value = system config; })\n"
    "        (builtins.filter isNixos state.configs));\n"
    "      everything = builtins.toJSON (builtins.mapAttrs\n"
    "        (name: built: built.config.system.build.toplevel)\n"
    "        nixosConfigurations);\n"
    "    in\n"
    "    {\n"
    "      inherit inputs nixosConfigurations;\n"
    "      packages = builtins.listToAttrs (map\n"
    "        (platform: {\n"
    "          name = platform;\n"
    "          value.thymis =\n"
    "            nixpkgs.legacyPackages.${platform}.writeText \"thymis.json\" "
    "everything;\n"
    "        }) [ \"x86_64-linux\" \"aarch64-linux\" ]);\n"
    "    };\n"
    "}\n";

static int
put_flake(struct generator *g, bool *own_base, struct err *err)
{
	struct buf b = { 0 };
	struct fleet_input *in;
	size_t n = inputs_of(g, &in);
	int rc;

	*own_base = !has_input(in, n, "thymis");
	buf_addz(&b, "{\n  description = \"Thymis\";\n  inputs = {\n");
	for (size_t i = 0; i < n; i++)
		put_input(&b, &in[i]);
	buf_addz(&b, "  };\n  outputs = inputs@{ self");
	for (size_t i = 0; i < n; i++)
		buf_addf(&b, ", " STR_FMT, STR_ARG(in[i].name));
	buf_addz(&b, ", ... }:\n    let\n      all = inputs");
	if (*own_base)
		buf_addz(&b,
		    " // { thymis = import ./modules/base { inherit inputs; "
		    "}; }");
	buf_addz(&b, ";\n    in\n");
	buf_addz(&b, flake_rest);
	rc = emit(g, STR("flake.nix"), buf_str(&b), err);
	buf_free(&b);
	return rc;
}

static const struct {
	const char *path, *text;
} base_files[] = {
	{ "modules/base/default.nix", embed_default_nix },
	{ "modules/base/thymis-device.nix", embed_thymis_device_nix },
	{ "modules/base/device-type.nix", embed_device_type_nix },
	{ "modules/base/image.nix", embed_image_nix },
};

/* --- a module's file ------------------------------------------------------ */

/* The value of a setting as its option gets it: of a list perhaps one member
 * of each row, of a secret the path where the device finds it. In the arena. */
static struct str
option_value(struct generator *g, const struct fleet_kind *k, struct str value)
{
	struct arena *a = &g->arena;
	struct buf b = { 0 };
	struct json_out o;
	struct json j;
	struct str row;

	if (k->each.ptr == NULL && k->type != FLEET_SECRET)
		return value;
	if (json_type_of(value) == JSON_NULL)
		return value;
	json_out_init(&o, &b, false);
	if (k->type == FLEET_SECRET) {
		json_out_str(&o, k->path);
	} else {
		json_out_array(&o);
		json_open(&j, value, 0, a);
		for (json_array(&j); json_item(&j);)
			if (json_raw(&j, &row) &&
			    json_type_of(row) == JSON_OBJECT) {
				row = json_find(a, row, k->each);
				if (row.ptr != NULL &&
				    json_type_of(row) != JSON_NULL)
					json_out_raw(&o, row);
			}
		json_out_end_array(&o);
	}
	value = arena_str(a, buf_str(&b));
	buf_free(&b);
	return value;
}

static bool
is_blank(struct generator *g, const struct fleet_kind *k, struct str value)
{
	struct json j;
	struct str s;

	/* an empty choice of a secret, as an editor leaves it */
	if (k->type == FLEET_SECRET && str_eqz(value, "\"\""))
		return true;
	json_open(&j, value, 0, &g->arena);
	return k->unless_blank && json_peek(&j) == JSON_STRING &&
	    json_str(&j, &s) && str_trim(s).len == 0;
}

/* Option lines of the settings, in the order of the module's file. */
static int
put_options(struct generator *g, struct buf *b, const struct fleet_module *m,
    const struct fleet_use *use, int64_t priority, struct err *err)
{
	for (size_t i = 0; i < m->n_settings; i++) {
		const struct fleet_kind *k = &m->settings[i];
		struct str value = STR_NULL;

		for (size_t n = 0; n < use->n; n++)
			if (str_eq(use->settings[n].key, k->key))
				value = use->settings[n].value;
		if (value.ptr == NULL || k->options.n == 0 ||
		    is_blank(g, k, value))
			continue;
		value = option_value(g, k, value);
		for (size_t o = 0; o < k->options.n; o++) {
			buf_addf(
			    b, "  " STR_FMT " = ", STR_ARG(k->options.at[o]));
			if (k->merge == FLEET_OVERRIDE)
				buf_addf(
				    b, "lib.mkOverride %" PRId64 " ", priority);
			if (nix_value(b, value, 2, err) != 0)
				return err_wrap(err, STR_FMT, STR_ARG(k->key));
			buf_addz(b, ";\n");
		}
	}
	return 0;
}

/* Settings that the module knows, as JSON; checked. */
static int
known_settings(struct generator *g, const struct fleet_module *m,
    const struct fleet_use *use, struct str where, struct str *ret,
    struct err *err)
{
	struct buf b = { 0 };
	struct json_out o;
	int rc = 0;

	json_out_init(&o, &b, false);
	json_out_object(&o);
	for (size_t i = 0; rc == 0 && i < use->n; i++) {
		const struct fleet_setting *set = &use->settings[i];
		const struct fleet_kind *k =
		    fleet_kind_find(m->settings, m->n_settings, set->key);

		if (k == NULL) {
			struct str what = arena_printf(&g->arena,
			    "the module has no setting \"" STR_FMT
			    "\"; it is left out",
			    (int)MIN_OF(set->key.len, 100), set->key.ptr);

			g->fault(g->ctx, where, what);
			continue;
		}
		if (is_blank(g, k, set->value))
			continue;
		rc = fleet_value_check(k, set->value, err);
		json_out_key_str(&o, set->key);
		json_out_raw(&o, set->value);
	}
	json_out_end_object(&o);
	*ret = arena_str(&g->arena, buf_str(&b));
	buf_free(&b);
	return rc;
}

static struct str
defaults_of(struct generator *g, const struct fleet_module *m)
{
	struct buf b = { 0 };
	struct json_out o;
	struct str s;

	json_out_init(&o, &b, false);
	json_out_object(&o);
	for (size_t i = 0; i < m->n_settings; i++)
		if (m->settings[i].def.ptr != NULL) {
			json_out_key_str(&o, m->settings[i].key);
			json_out_raw(&o, m->settings[i].def);
		}
	json_out_end_object(&o);
	s = arena_str(&g->arena, buf_str(&b));
	buf_free(&b);
	return s;
}

/* One import: the module's function, with the data that it is given. */
static int
put_import(struct generator *g, struct buf *b, const struct fleet_module *m,
    struct str settings, const struct owner *w, struct err *err)
{
	buf_addz(b, "  imports = [\n    (import ");
	if (m->input.ptr != NULL) {
		buf_addf(b, "(inputs." STR_FMT " + ", STR_ARG(m->input));
		nix_string(b,
		    arena_printf(&g->arena, "/marram-modules/" STR_FMT,
			STR_ARG(m->function)));
		buf_addz(b, ")");
	} else {
		/* the type is letters, digits, '.', '-' and '_' */
		buf_addf(b, "../../modules/" STR_FMT ".nix", STR_ARG(m->type));
	}
	buf_addz(b, " {\n      settings = ");
	if (nix_value(b, settings, 6, err) != 0)
		return err_wrap(err, "settings");
	buf_addf(b,
	    ";\n      defaults = import ../../modules/" STR_FMT
	    ".defaults.nix;\n      priority = %" PRId64 ";\n",
	    STR_ARG(m->type), w->priority);
	line(b, "      target.kind = ", str_of(w->kind), ";\n");
	line(b, "      target.identifier = ", w->identifier, ";\n");
	buf_addz(
	    b, "      site = import ../../modules/site.nix;\n    })\n  ];\n");
	return 0;
}

/* The first character of code that is neither space nor comment; 0: none. */
static char
first_of(struct str code)
{
	for (size_t i = 0; i < code.len; i++) {
		const char *end = NULL;

		if (code.ptr[i] == '#') {
			end = memchr(code.ptr + i, '\n', code.len - i);
			if (end == NULL)
				return '\0';
		} else if (code.ptr[i] == '/' && i + 1 < code.len &&
		    code.ptr[i + 1] == '*') {
			end =
			    memmem(code.ptr + i + 2, code.len - i - 2, "*/", 2);
			if (end == NULL)
				return '\0';
			end++;
		} else if (strchr(" \t\r\n", code.ptr[i]) == NULL) {
			return code.ptr[i];
		}
		if (end != NULL)
			i = (size_t)(end - code.ptr);
	}
	return '\0';
}

static const char head[] = "{ pkgs, lib, inputs, config, ... }:\n{\n";

/* Code of the user's own: the whole file, or what stands in its braces. */
static int
put_code(struct generator *g, struct buf *b, const struct fleet_module *m,
    const struct fleet_use *use, struct err *err)
{
	struct str raw = fleet_setting_of(use, arena_z(&g->arena, m->code));
	struct str code = STR("");
	struct json j;
	char first;

	json_open(&j, raw, 0, &g->arena);
	if (raw.ptr != NULL && json_peek(&j) == JSON_STRING)
		json_str(&j, &code);
	if (code.len > 0 && memchr(code.ptr, '\0', code.len) != NULL)
		return err_set(err, ERR_PARAM, "zero byte in the code");
	first = first_of(code);
	if (first == '{') {
		buf_add_str(b, code);
		buf_addc(b, '\n');
	} else if (first == '\0' || first == '"' || first == '_' ||
	    (first >= '0' && first <= '9') || (first >= 'a' && first <= 'z') ||
	    (first >= 'A' && first <= 'Z')) {
		buf_addz(b, head);
		buf_add_str(b, code);
		buf_addz(b, "\n}\n");
	} else {
		return err_set(err, ERR_PARAM,
		    "the code must begin with \"{\", as a whole file, or with "
		    "the name of an option");
	}
	return 0;
}

static int
module_text(struct generator *g, struct buf *b, const struct fleet_use *use,
    const struct owner *w, struct str where, struct err *err)
{
	const struct fleet_module *m = fleet_module_find(g->modules, use->type);
	struct str settings;
	int rc;

	if (m == NULL)
		return err_set(err, ERR_NOT_FOUND,
		    "the module is not known; is its repository loaded?");
	rc = known_settings(g, m, use, where, &settings, err);
	if (rc != 0 || m->code.ptr != NULL)
		return rc != 0 ? rc : put_code(g, b, m, use, err);
	buf_addz(b, head);
	if (m->for_nixos && m->function.ptr != NULL) {
		rc = put_import(g, b, m, settings, w, err);
		map_put(&g->used, m->type, (void *)(uintptr_t)m);
	}
	if (rc == 0 && m->for_nixos)
		rc = put_options(g, b, m, use, w->priority, err);
	buf_addz(b, "}\n");
	return rc;
}

/* May the type be the name of a file? Those that no module has come from the
 * state as they are. */
static bool
is_type(struct str type)
{
	if (type.len == 0 || type.len > 200 || type.ptr[0] == '.')
		return false;
	for (size_t i = 0; i < type.len; i++)
		if (!((type.ptr[i] >= 'a' && type.ptr[i] <= 'z') ||
			(type.ptr[i] >= 'A' && type.ptr[i] <= 'Z') ||
			(type.ptr[i] >= '0' && type.ptr[i] <= '9') ||
			type.ptr[i] == '.' || type.ptr[i] == '-' ||
			type.ptr[i] == '_'))
			return false;
	return true;
}

static int
put_module(struct generator *g, const struct fleet_use *use,
    const struct owner *w, struct err *err)
{
	struct str where = arena_printf(&g->arena, "%s/" STR_FMT "/" STR_FMT,
	    w->kind, STR_ARG(w->identifier), (int)MIN_OF(use->type.len, 200),
	    use->type.ptr);
	struct buf b = { 0 };
	struct err why;
	int rc;

	if (!is_type(use->type)) {
		g->fault(g->ctx, where,
		    STR("the type of a module has only letters, digits, '.', "
			"'-' and '_'"));
		return 0;
	}
	if (module_text(g, &b, use, w, where, &why) != 0) {
		g->fault(g->ctx, where, str_of(why.text));
		buf_clear(&b);
		buf_addz(&b, "{ ... }:\nthrow ");
		nix_string(&b,
		    arena_printf(
			&g->arena, STR_FMT ": %s", STR_ARG(where), why.text));
		buf_addc(&b, '\n');
	}
	rc = emit(g, arena_printf(&g->arena, STR_FMT ".nix", STR_ARG(where)),
	    buf_str(&b), err);
	buf_free(&b);
	return rc;
}

static int
put_modules(struct generator *g, const struct fleet_use *uses, size_t n,
    const struct owner *w, struct err *err)
{
	int rc = emit(g,
	    arena_printf(&g->arena, "%s/" STR_FMT "/.gitkeep", w->kind,
		STR_ARG(w->identifier)),
	    STR(""), err);

	for (size_t i = 0; rc == 0 && i < n; i++)
		rc = put_module(g, &uses[i], w, err);
	return rc;
}

/* --- all ------------------------------------------------------------------ */

/* Two of the same weight that contradict: Nix will say so, and we do now. */
static void
tell_conflicts(struct generator *g, const struct fleet_config *c)
{
	struct fleet_definition *d;
	size_t n;

	if (fleet_definitions(
		g->s, g->modules, c->identifier, &g->arena, &d, &n, NULL) != 0)
		return;
	for (size_t i = 0; i < n; i++) {
		if (!d[i].conflict)
			continue;
		g->fault(g->ctx,
		    arena_printf(&g->arena, "hosts/" STR_FMT "/" STR_FMT,
			STR_ARG(c->identifier), STR_ARG(d[i].module)),
		    arena_printf(&g->arena,
			STR_FMT ": " STR_FMT
				" contradicts another of priority %" PRId64,
			STR_ARG(d[i].key),
			STR_ARG(d[i].tag.ptr == NULL ? STR("the configuration")
						     : d[i].tag),
			d[i].priority));
	}
}

static int
put_data(struct generator *g, struct str path, struct str json, struct err *err)
{
	struct buf b = { 0 };
	int rc = nix_value(&b, json, 0, err);

	buf_addc(&b, '\n');
	if (rc == 0)
		rc = emit(g, path, buf_str(&b), err);
	buf_free(&b);
	return rc;
}

static int
put_site(struct generator *g, struct err *err)
{
	struct buf b = { 0 };
	int rc;

	buf_addz(&b, "{\"agentUrl\":");
	json_quote(
	    &b, g->site->agent_url.ptr != NULL ? g->site->agent_url : STR(""));
	buf_addc(&b, '}');
	rc = put_data(g, STR("modules/site.nix"), buf_str(&b), err);
	buf_free(&b);
	return rc;
}

static int
put_function(struct generator *g, const struct fleet_module *m, struct err *err)
{
	struct str path =
	    arena_printf(&g->arena, "modules/" STR_FMT, STR_ARG(m->type));
	int rc = put_data(g,
	    arena_printf(&g->arena, STR_FMT ".defaults.nix", STR_ARG(path)),
	    defaults_of(g, m), err);

	if (rc == 0 && m->nix.ptr != NULL)
		rc = emit(g,
		    arena_printf(&g->arena, STR_FMT ".nix", STR_ARG(path)),
		    m->nix, err);
	return rc;
}

static int
put_functions(struct generator *g, bool own_base, struct err *err)
{
	int rc = put_site(g, err);

	for (size_t i = 0; rc == 0 && i < g->modules->n; i++)
		if (map_get(&g->used, g->modules->modules[i]->type) != NULL)
			rc = put_function(g, g->modules->modules[i], err);
	for (size_t i = 0; rc == 0 && own_base && i < COUNT_OF(base_files); i++)
		rc = emit(g, str_of(base_files[i].path),
		    str_of(base_files[i].text), err);
	return rc;
}

/* Is it one of NixOS, by the type of its device? */
static bool
is_nixos(const struct fleet_config *c)
{
	for (size_t i = 0; i < c->n_modules; i++)
		if (str_eqz(fleet_setting_of(&c->modules[i], "device_type"),
			"\"linux\""))
			return false;
	return true;
}

int
nixos_generate(const struct fleet_state *s, const struct fleet_catalog *modules,
    const struct target_site *site, target_emit *emit_file, tell_fault *fault,
    void *ctx, struct err *err)
{
	struct generator g = { .s = s,
		.modules = modules,
		.site = site,
		.emit = emit_file,
		.fault = fault,
		.ctx = ctx };
	bool own_base = true;
	int rc = put_flake(&g, &own_base, err);

	for (size_t i = 0; rc == 0 && i < s->n_configs; i++) {
		const struct fleet_config *c = &s->configs[i];
		struct owner w = { "hosts", c->identifier,
			FLEET_PRIORITY_CONFIG };

		if (!is_nixos(c))
			continue;
		rc = put_modules(&g, c->modules, c->n_modules, &w, err);
		tell_conflicts(&g, c);
		arena_clear(&g.arena);
	}
	for (size_t i = 0; rc == 0 && i < s->n_tags; i++) {
		const struct fleet_tag *t = &s->tags[i];
		struct owner w = { "tags", t->identifier, t->priority };

		rc = put_modules(&g, t->modules, t->n_modules, &w, err);
		arena_clear(&g.arena);
	}
	if (rc == 0)
		rc = put_functions(&g, own_base, err);
	map_fini(&g.used);
	arena_fini(&g.arena);
	return rc;
}
