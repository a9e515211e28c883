/*
 * app/cli/command.c - see command.h; here is the table of Sylvia-IoT's names.
 *
 * `spec` lists options whose spelling is not just the member's name in lower
 * case, as words of this form:
 *
 *	name[=member][:letter][!][?][+][~form]
 *
 * Without "=member" it is the member that reads like the name when case does
 * not count; "={id}" is the path variable. ":c" gives the short option -c. "!"
 * makes it required (members the route requires are so anyway), "?" lets the
 * value be left out, and an id too. "+" takes several words and joins them by
 * commas. Forms: ~names, ~ms, ~payload (enum cli_form), ~local (it is read by
 * another option's form, not sent).
 */
#include "app/cli/command.h"

#include "base/base.h"
#include "base/mem.h"
#include "net/http/openapi.h"
#include "codec/entity_json.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

struct row {
	const char *group, *verb, *method, *path, *spec;
	const char *without; /* path when no id is given */
};

#define CM "/coremgr/api/v1"
#define DATA "/data/api/v1"

#define BACKUP "/hub/api/v1/backup"
#define FLEET "/fleet/api/v1"
#define GO_BACK "commit:c configuration message:m"
#define ID_OF_BACKUP "backup={backupId}:i"

#define LIST(group, path, spec)                                                \
	{ group, "count", "GET", path "/count", spec },                        \
	{                                                                      \
		group, "list", "GET", path "/list", spec                       \
	}
#define DATA_LIST(kind, object)                                                \
	LIST("data." kind, DATA "/" object, "tstart~ms tend~ms")

#define MANY_DEVICES "unitid:u netid=networkId profile:p "
#define MANY_ROUTES "appid=applicationId netid=networkId "
#define ADDRESSES "addresses=networkAddrs:a"
#define RANGE "start=startAddr:s end=endAddr:e"
#define FLEET_DEVICE "device={id}:d"
#define TRIAL "devid=deviceId:d payload:p~payload type:t~local"

static const struct row rows[] = {
	{ "backup", "run", "POST", BACKUP, "format=storageExportType:f" },
	{ "backup", "get", "GET", BACKUP "/{backupId}", ID_OF_BACKUP },
	{ "backup", "delete", "DELETE", BACKUP "/{backupId}", ID_OF_BACKUP },
	{ "backup", "restore", "POST", BACKUP "/{backupId}/restore",
	    ID_OF_BACKUP " dry-run=dryRun:n" },
	{ "backup", "import", "POST", BACKUP "/{backupId}/import",
	    ID_OF_BACKUP " dry-run=dryRun:n unitid:u" },

	{ "metric", "query", "POST", "/hub/api/v1/metric" },

	{ "fleet", "state", "GET", FLEET "/state" },
	{ "fleet", "status", "GET", FLEET "/repository/status" },
	{ "fleet", "commit", "POST", FLEET "/repository/commit", "message:m" },
	{ "fleet", "history", "GET", FLEET "/repository/history" },
	{ "fleet", "diff", "GET", FLEET "/repository/diff" },
	{ "fleet", "revert", "POST", FLEET "/repository/revert", GO_BACK },
	{ "fleet", "restore", "POST", FLEET "/repository/restore", GO_BACK },
	{ "fleet", "remote", "GET", FLEET "/remote/list" },
	{ "remote", "list", "GET", FLEET "/remote/list" },
	{ "fleet", "push", "POST", FLEET "/remote/{id}/push", "remote={id}:r" },
	{ "fleet", "pull", "POST", FLEET "/remote/{id}/pull", "remote={id}:r" },

	{ "fleet", "enroll", "POST", FLEET "/claim",
	    "code:c unitid:u config:f name:n" },
	{ "fleet.device", "approve", "POST", FLEET "/device/{id}/approve",
	    FLEET_DEVICE },
	{ "fleet.device", "archive", "POST", FLEET "/device/{id}/archive",
	    FLEET_DEVICE },
	{ "fleet.device", "restart", "POST", FLEET "/device/{id}/restart",
	    FLEET_DEVICE },
	{ "fleet.device", "connections", "GET",
	    FLEET "/device/{id}/connection/list", FLEET_DEVICE },
	{ "fleet.device", "logs", "GET", FLEET "/device/{id}/log/list",
	    FLEET_DEVICE },
	{ "fleet.device", "metrics", "GET", FLEET "/device/{id}/metric/list",
	    FLEET_DEVICE },
	{ "fleet.device", "access", "POST", FLEET "/device/{id}/access",
	    FLEET_DEVICE },
	{ "fleet.device", "end-access", "DELETE", FLEET "/device/{id}/access",
	    FLEET_DEVICE },

	{ "auth", "tokeninfo", "GET", CM "/auth/tokeninfo" },
	{ "auth", "logout", "POST", CM "/auth/logout" },

	{ "user", "add", "POST", CM "/user",
	    "account:a password:p name:n info:i expired=expiredAt:x" },
	LIST("user", CM "/user", "fields+"),
	{ "user", "get", "GET", CM "/user/{id}", "userid={id}:i?",
	    .without = CM "/user" },
	{ "user", "update", "PATCH", CM "/user/{id}",
	    "userid={id}:i? verified=verifiedAt:v roles:r~names password:p "
	    "name:n",
	    .without = CM "/user" },
	{ "user", "delete", "DELETE", CM "/user/{id}", "userid={id}:i" },

	{ "client", "add", "POST", CM "/client",
	    "redirect=redirectUris:r scopes:s userid:u name:n image:m "
	    "credentials:c" },
	LIST("client", CM "/client", "userid=user"),
	{ "client", "get", "GET", CM "/client/{id}", "clientid={id}:i" },
	{ "client", "update", "PATCH", CM "/client/{id}",
	    "clientid={id}:i redirect=redirectUris:r scopes:s name:n image:m "
	    "regen=regenSecret" },
	{ "client", "delete", "DELETE", CM "/client/{id}", "clientid={id}:i" },
	{ "client", "delete-user", "DELETE", CM "/client/user/{userId}",
	    "userid:i" },

	{ "unit", "add", "POST", CM "/unit", "code:c ownerid:o name:n info:i" },
	LIST("unit", CM "/unit", "ownerid=owner memberid=member"),
	{ "unit", "get", "GET", CM "/unit/{id}", "unitid={id}:i" },
	{ "unit", "update", "PATCH", CM "/unit/{id}",
	    "unitid={id}:i ownerid:o memberids:m name:n" },
	{ "unit", "delete", "DELETE", CM "/unit/{id}", "unitid={id}:i" },

	{ "application", "add", "POST", CM "/application",
	    "code:c unitid:u host=hostUri name:n info:i" },
	LIST("application", CM "/application", "unitid=unit"),
	{ "application", "get", "GET", CM "/application/{id}", "appid={id}:i" },
	{ "application", "update", "PATCH", CM "/application/{id}",
	    "appid={id}:i host=hostUri name:n password:p" },
	{ "application", "delete", "DELETE", CM "/application/{id}",
	    "appid={id}:i" },
	{ "application", "stats", "GET",
	    CM "/application/{applicationId}/stats",
	    "appid={applicationId}:i" },
	{ "application", "dldata", "POST",
	    CM "/application/{applicationId}/dldata",
	    "appid={applicationId}:i " TRIAL },

	{ "network", "add", "POST", CM "/network",
	    "code:c unitid:u!? host=hostUri name:n info:i" },
	LIST("network", CM "/network", "unitid=unit?"),
	{ "network", "get", "GET", CM "/network/{id}", "netid={id}:i" },
	{ "network", "update", "PATCH", CM "/network/{id}",
	    "netid={id}:i host=hostUri name:n password:p" },
	{ "network", "delete", "DELETE", CM "/network/{id}", "netid={id}:i" },
	{ "network", "stats", "GET", CM "/network/{networkId}/stats",
	    "netid={networkId}:i" },
	{ "network", "uldata", "POST", CM "/network/{networkId}/uldata",
	    "netid={networkId}:i " TRIAL },

	{ "device", "add", "POST", CM "/device",
	    "unitid:u netid=networkId address=networkAddr:a profile:p name:n "
	    "info:i" },
	{ "device", "add-bulk", "POST", CM "/device/bulk",
	    MANY_DEVICES ADDRESSES },
	{ "device", "add-range", "POST", CM "/device/range",
	    MANY_DEVICES RANGE },
	LIST("device", CM "/device",
	    "unitid=unit netid=network address=addr profile:p"),
	{ "device", "get", "GET", CM "/device/{id}", "devid={id}:i" },
	{ "device", "update", "PATCH", CM "/device/{id}",
	    "devid={id}:i netid=networkId address=networkAddr:a profile:p "
	    "name:n" },
	{ "device", "delete", "DELETE", CM "/device/{id}", "devid={id}:i" },
	{ "device", "delete-bulk", "POST", CM "/device/bulk-delete",
	    "unitid:u netid=networkId " ADDRESSES },
	{ "device", "delete-range", "POST", CM "/device/range-delete",
	    "unitid:u netid=networkId " RANGE },

	{ "device-route", "add", "POST", CM "/device-route",
	    "devid=deviceId:d appid=applicationId:a" },
	{ "device-route", "add-bulk", "POST", CM "/device-route/bulk",
	    MANY_ROUTES ADDRESSES },
	{ "device-route", "add-range", "POST", CM "/device-route/range",
	    MANY_ROUTES RANGE },
	LIST("device-route", CM "/device-route",
	    "unitid=unit appid=application netid=network devid=device"),
	{ "device-route", "delete", "DELETE", CM "/device-route/{id}",
	    "routeid={id}:i" },
	{ "device-route", "delete-bulk", "POST", CM "/device-route/bulk-delete",
	    MANY_ROUTES ADDRESSES },
	{ "device-route", "delete-range", "POST",
	    CM "/device-route/range-delete", MANY_ROUTES RANGE },

	{ "network-route", "add", "POST", CM "/network-route",
	    "netid=networkId:n appid=applicationId:a" },
	LIST("network-route", CM "/network-route",
	    "unitid=unit appid=application netid=network devid=device"),
	{ "network-route", "delete", "DELETE", CM "/network-route/{id}",
	    "routeid={id}:i" },

	LIST("dldata-buffer", CM "/dldata-buffer",
	    "unitid=unit appid=application netid=network devid=device"),
	{ "dldata-buffer", "delete", "DELETE", CM "/dldata-buffer/{id}",
	    "dataid={id}:i" },

	DATA_LIST("app-uldata", "application-uldata"),
	DATA_LIST("app-dldata", "application-dldata"),
	DATA_LIST("net-uldata", "network-uldata"),
	DATA_LIST("net-dldata", "network-dldata"),
	DATA_LIST("coremgr-opdata", "coremgr-opdata"),
};

/* APIs whose routes are commands; objects of the history are "data.x". */
static const struct {
	const char *prefix, *group;
} apis[] = {
	{ CM "/", "" }, { DATA "/", "data." }, { "/hub/api/v1/", "" },
	{ "/hub/api/v1/", "hub." }, /* whose name is taken: hub.version */
	{ "/fleet/api/v1/", "" },
	{ "/fleet/api/v1/", "fleet." }, /* fleet.task */
};

#define PAGING_SPEC "offset:o limit:l sort:s+"

/* --- options ------------------------------------------------------------- */

static struct str
strip(struct str word, char mark, struct str *what)
{
	const char *at = memchr(word.ptr, mark, word.len);

	*what = STR_NULL;
	if (at == NULL)
		return word;
	*what = (struct str){ at + 1, word.len - (size_t)(at - word.ptr) - 1 };
	return (struct str){ word.ptr, (size_t)(at - word.ptr) };
}

/* One word of a spec, taken apart. */
struct spelling {
	struct str name, member, form;
	char letter;
	bool required, maybe, joined;
};

static struct spelling
read_spelling(struct str word)
{
	struct spelling s = { 0 };
	struct str tail;

	word = strip(word, '~', &s.form);
	for (; word.len > 0; word.len--) {
		char last = word.ptr[word.len - 1];

		if (last == '!')
			s.required = true;
		else if (last == '?')
			s.maybe = true;
		else if (last == '+')
			s.joined = true;
		else
			break;
	}
	word = strip(word, ':', &tail);
	if (tail.len > 0)
		s.letter = tail.ptr[0];
	s.name = strip(word, '=', &s.member);
	if (s.member.ptr == NULL)
		s.member = s.name;
	else if (s.member.len > 2 && s.member.ptr[0] == '{')
		s.member = (struct str){ s.member.ptr + 1, s.member.len - 2 };
	return s;
}

static bool
spelling_of(const char *spec, const char *member, struct spelling *ret)
{
	struct str all = str_of(spec);

	while (all.ptr != NULL) {
		struct str word = str_cut(&all, ' ');

		if (word.len == 0)
			continue;
		*ret = read_spelling(word);
		if (str_eq_nocase(ret->member, str_of(member)))
			return true;
	}
	return false;
}

static enum cli_form
form_of(const struct spelling *s)
{
	if (str_eqz(s->form, "names"))
		return CLI_NAMES;
	if (str_eqz(s->form, "ms"))
		return CLI_MS;
	if (str_eqz(s->form, "payload"))
		return CLI_PAYLOAD;
	return s->joined ? CLI_JOINED : CLI_PLAIN;
}

/* The options of a command while they are collected. */
struct options {
	struct arena *arena;
	struct cli_option *at;
	size_t n, cap;
	const char *spec;
};

/* A member that is called as what the path has says what that is to become. */
static const char *
option_name(const struct options *o, struct str name)
{
	const char *text = arena_z(o->arena, arena_lower(o->arena, name));

	for (size_t i = 0; i + 1 < o->n; i++)
		if (strcmp(o->at[i].name, text) == 0)
			return arena_printf(o->arena, "new-%s", text).ptr;
	return text;
}

static void
add_option(struct options *o, const char *member, const struct field *field,
    enum cli_place place, bool required)
{
	struct spelling s = { 0 };
	struct cli_option *opt;

	if (!spelling_of(o->spec, member, &s)) {
		s = (struct spelling){ .name = str_of(member) };
		if (place == CLI_PATH && strcmp(member, "id") == 0)
			s.letter = 'i';
	}
	if (o->n == o->cap) {
		o->cap = o->cap == 0 ? 16 : o->cap * 2;
		o->at = mem_resize(o->at, o->cap, sizeof(*o->at));
	}
	opt = &o->at[o->n++];
	*opt = (struct cli_option){
		.name = option_name(o, s.name),
		.letter = s.letter,
		.member = member,
		.field = field,
		.place = place,
		.form = form_of(&s),
		.required =
		    (required && !(place == CLI_PATH && s.maybe)) || s.required,
		.maybe = s.maybe && place != CLI_PATH,
	};
	opt->many = opt->form == CLI_NAMES || opt->form == CLI_JOINED ||
	    (field != NULL && field->type == FIELD_TEXTS);
	if (field != NULL && field->type == FIELD_BOOL)
		opt->maybe = true;
}

static void
add_record(struct options *o, const struct record *r, const char *members,
    enum cli_place place)
{
	field_set_t required = 0, set = FIELD_ALL;

	if (r == NULL)
		return;
	if (members != NULL)
		set = field_bits(r, members, &required);
	for (size_t i = 0; r->fields[i].name != NULL; i++)
		if (set >> i & 1)
			add_option(o, r->fields[i].name, &r->fields[i], place,
			    required >> i & 1);
}

static void
add_path_variables(struct options *o, const char *path)
{
	struct str rest = str_of(path);

	while (rest.ptr != NULL) {
		struct str part = str_cut(&rest, '/');

		if (part.len > 2 && part.ptr[0] == '{')
			add_option(o,
			    arena_z(o->arena,
				(struct str){ part.ptr + 1, part.len - 2 }),
			    NULL, CLI_PATH, true);
	}
}

/* Options that are read by another one's form. */
struct trial {
	struct str type;
};
static const struct field trial_fields[] = {
	F_TEXT(struct trial, type, "type",
	    .help = "What the payload is: string (sent as its bytes), or hex."),
	{ 0 },
};
static const struct record trial_record = { "trial", sizeof(struct trial),
	trial_fields };

static void
finish_options(struct options *o, struct cli_command *c)
{
	if (o->n > 0) {
		c->options = arena_array(o->arena, o->n, struct cli_option);
		memcpy(c->options, o->at, o->n * sizeof(*o->at));
	}
	c->n_options = o->n;
	free(o->at);
}

static void
route_options(
    struct arena *a, struct cli_command *c, const char *spec, bool trial)
{
	const struct http_route *r = c->route;
	struct options o = { .arena = a, .spec = spec };

	add_path_variables(&o, r->path);
	add_record(&o, r->body.record, r->body.members, CLI_DATA);
	add_record(&o, r->body.extra, r->body.extra_members, CLI_DATA);
	add_record(&o, r->body.beside, NULL, CLI_BESIDE);
	if (trial)
		add_record(&o, &trial_record, NULL, CLI_LOCAL);
	if (r->query != NULL)
		add_record(&o, r->query, r->query_members, CLI_QUERY);
	if (r->reply.list && strcmp(r->method, "GET") == 0) {
		o.spec = PAGING_SPEC;
		add_record(&o, &openapi_paging, NULL, CLI_QUERY);
	}
	finish_options(&o, c);
}

struct cli_command
cli_local_command(struct arena *a, const struct cli_local *local)
{
	struct cli_command c = { .group = local->group,
		.verb = local->verb,
		.help = local->help,
		.run = local->run };
	struct options o = { .arena = a, .spec = local->spec };

	if (local->record != NULL)
		add_record(&o, local->record, NULL, CLI_LOCAL);
	finish_options(&o, &c);
	return c;
}

/* --- commands ------------------------------------------------------------ */

static struct cli_command *
new_command(struct cli_commands *all)
{
	if (all->n == all->cap) {
		all->cap = all->cap == 0 ? 128 : all->cap * 2;
		all->at = mem_resize(all->at, all->cap, sizeof(*all->at));
	}
	memset(&all->at[all->n], 0, sizeof(*all->at));
	return &all->at[all->n++];
}

static void
note_routes(void *ctx, const struct http_route *list)
{
	struct cli_commands *all = ctx;

	for (; list->method != NULL; list++) {
		if (all->n_routes == all->cap_routes) {
			all->cap_routes =
			    all->cap_routes == 0 ? 256 : all->cap_routes * 2;
			all->routes = mem_resize(
			    all->routes, all->cap_routes, sizeof(*all->routes));
		}
		all->routes[all->n_routes++] = list;
	}
}

static const struct http_route *
route_at(const struct cli_commands *all, const char *method, const char *path)
{
	for (size_t i = 0; i < all->n_routes; i++)
		if (strcmp(all->routes[i]->method, method) == 0 &&
		    strcmp(all->routes[i]->path, path) == 0)
			return all->routes[i];
	return NULL;
}

static void
add_rows(struct cli_commands *all)
{
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		const struct row *r = &rows[i];
		const struct http_route *route =
		    route_at(all, r->method, r->path);
		struct cli_command *c;

		if (route == NULL)
			continue;
		c = new_command(all);
		c->group = r->group;
		c->verb = r->verb;
		c->help = route->help;
		c->route = route;
		if (r->without != NULL)
			c->without = route_at(all, r->method, r->without);
		route_options(&all->arena, c, r->spec,
		    r->spec != NULL && strstr(r->spec, "~payload") != NULL);
	}
}

static bool
is_covered(const struct http_route *route)
{
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		const struct row *r = &rows[i];

		if (strcmp(r->method, route->method) == 0 &&
		    (strcmp(r->path, route->path) == 0 ||
			(r->without != NULL &&
			    strcmp(r->without, route->path) == 0)))
			return true;
	}
	return false;
}

/* Bytes that are no JSON: commands of cli.c carry them from and to files. */
static bool
is_file(const struct http_route *r)
{
	size_t n = strlen(r->path);

	return n > 5 && strcmp(r->path + n - 5, "/file") == 0;
}

/* "get" and the like, for a path that has no words behind the object. */
static const char *
plain_verb(const char *method, bool one)
{
	static const struct {
		const char *method, *one, *all;
	} words[] = { { "GET", "get", "show" }, { "POST", "post", "add" },
		{ "PUT", "set", "set" }, { "PATCH", "update", "change" },
		{ "DELETE", "delete", "clear" } };

	for (size_t i = 0; i < COUNT_OF(words); i++)
		if (strcmp(method, words[i].method) == 0)
			return one ? words[i].one : words[i].all;
	return NULL;
}

/* Names the command of a route by its path behind the API's prefix. */
static bool
name_command(struct cli_commands *all, const struct http_route *r,
    struct str path, const char *group, struct cli_command *c)
{
	struct str object = str_cut(&path, '/');
	const char *plain = plain_verb(r->method, path.ptr != NULL);
	struct buf verb = { 0 };
	bool get = strcmp(r->method, "GET") == 0;

	if (plain == NULL || object.len == 0)
		return false;
	while (path.ptr != NULL) {
		struct str part = str_cut(&path, '/');

		if (part.len == 0 || part.ptr[0] == '{')
			continue;
		if (verb.len > 0)
			buf_addc(&verb, '-');
		else if (!get && strcmp(r->method, "POST") != 0)
			buf_addf(&verb, "%s-", plain);
		buf_add_str(&verb, part);
	}
	c->group =
	    arena_printf(&all->arena, "%s" STR_FMT, group, STR_ARG(object)).ptr;
	c->verb = verb.len > 0 ? arena_z(&all->arena, buf_str(&verb)) : plain;
	buf_free(&verb);
	return true;
}

/* Commands for the routes that no row names. */
static void
add_others(struct cli_commands *all)
{
	for (size_t i = 0; i < all->n_routes; i++) {
		const struct http_route *r = all->routes[i];
		struct cli_command c = { .help = r->help, .route = r };

		if (r->flags & (HTTP_HIDDEN | HTTP_FORM) || is_file(r) ||
		    is_covered(r))
			continue;
		for (size_t k = 0; k < COUNT_OF(apis); k++) {
			size_t len = strlen(apis[k].prefix);

			if (strncmp(r->path, apis[k].prefix, len) != 0 ||
			    !name_command(all, r, str_of(r->path + len),
				apis[k].group, &c) ||
			    cli_command_find(
				all, str_of(c.group), str_of(c.verb)) != NULL)
				continue;
			route_options(&all->arena, &c, NULL, false);
			*new_command(all) = c;
			break;
		}
	}
}

void
cli_commands_init(struct cli_commands *all,
    void (*each)(
	void (*add)(void *ctx, const struct http_route *rows), void *ctx),
    const struct cli_local *locals)
{
	*all = (struct cli_commands){ 0 };
	each(note_routes, all);
	for (; locals != NULL && locals->group != NULL; locals++) {
		struct cli_command c = cli_local_command(&all->arena, locals);

		*new_command(all) = c;
	}
	add_rows(all);
	add_others(all);
}

void
cli_commands_fini(struct cli_commands *all)
{
	free(all->at);
	free(all->routes);
	arena_fini(&all->arena);
	*all = (struct cli_commands){ 0 };
}

const struct cli_command *
cli_command_find(
    const struct cli_commands *all, struct str group, struct str verb)
{
	for (size_t i = 0; i < all->n; i++)
		if (str_eqz(group, all->at[i].group) &&
		    str_eqz(verb, all->at[i].verb))
			return &all->at[i];
	return NULL;
}

bool
cli_group_exists(const struct cli_commands *all, struct str group)
{
	for (size_t i = 0; i < all->n; i++)
		if (str_eqz(group, all->at[i].group))
			return true;
	return false;
}

const struct cli_option *
cli_option_named(const struct cli_command *c, const char *name)
{
	for (size_t i = 0; i < c->n_options; i++)
		if (strcmp(c->options[i].name, name) == 0)
			return &c->options[i];
	return NULL;
}

size_t
cli_rows_unmatched(
    const struct cli_commands *all, void (*each)(const char *path))
{
	size_t n = 0;

	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		const struct row *r = &rows[i];

		if (route_at(all, r->method, r->path) != NULL &&
		    (r->without == NULL ||
			route_at(all, r->method, r->without) != NULL))
			continue;
		each(r->path);
		n++;
	}
	return n;
}
