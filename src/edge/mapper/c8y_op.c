/*
 * edge/mapper/c8y_op.c - an operation of the cloud becomes a command on the
 * device's bus.
 *
 * Operations come as JSON, one a line, on PREFIX/devicecontrol/notifications,
 * and, as in the first years, as SmartREST on PREFIX/s/ds. A cloud of today
 * sends each operation both ways. So lines wait C8Y_LINE_MS, and are forgotten
 * as soon as one operation has come as JSON: from then on the others will.
 *
 * An operation with an id is done once: the id is remembered for twelve hours
 * while its command lives, and for one hour behind its end.
 */
#include "edge/mapper/c8y_private.h"

#include "base/base.h"
#include "base/log.h"
#include "base/mem.h"
#include "codec/smartrest.h"
#include "codec/url.h"
#include "edge/c8y_proxy.h"

#include <stdlib.h>
#include <string.h>

#define LINE_MS 3000
#define LINES_MAX 32
#define SEEN_MAX 1000
#define ACTIVE_MS (12 * 3600 * INT64_C(1000))
#define FINISHED_MS (3600 * INT64_C(1000))

struct op_seen {
	struct list link;
	struct str id;
	int64_t until_ms;
};

struct line {
	struct list link;
	struct str xid, fragment;
	const struct c8y_op_kind *kind;
	int64_t at_ms;
};

/* --- ids that are known -------------------------------------------------- */

static void
seen_free(struct c8y *c, struct op_seen *s)
{
	list_del(&s->link);
	c->n_ops--;
	str_free(s->id);
	free(s);
}

bool
c8y_op_remember(struct c8y *c, struct str id, bool finished)
{
	int64_t now = c->host.mono_ms(c->host.owner);
	struct op_seen *found = NULL;

	LIST_EACH (s, &c->ops, struct op_seen, link)
		if (s->until_ms <= now)
			seen_free(c, s);
		else if (str_eq(s->id, id))
			found = s;
	if (found != NULL && !finished)
		return false;
	if (found == NULL) {
		if (c->n_ops >= SEEN_MAX)
			seen_free(c, list_first(&c->ops, struct op_seen, link));
		found = mem_new(struct op_seen);
		found->id = str_copy(id);
		list_add(&c->ops, &found->link);
		c->n_ops++;
	}
	found->until_ms = now + (finished ? FINISHED_MS : ACTIVE_MS);
	return true;
}

/* --- parts of commands --------------------------------------------------- */

/* Everything behind the first dot of a host. */
static struct str
domain_of(struct str host)
{
	(void)str_cut(&host, '.');
	return host;
}

struct str
c8y_proxy_url(struct c8y *c, struct str url, struct arena *a)
{
	struct str tenant = c->url, host, rest;
	struct url u;

	if (tenant.len == 0 || !url_parse(a, url, &u))
		return url;
	host = str_cut(&tenant, ':');
	if (!str_eq_nocase(u.host, host) &&
	    !(domain_of(host).len > 0 &&
		str_eq_nocase(domain_of(u.host), domain_of(host))))
		return url;
	rest = u.path.ptr == NULL ? STR("") : u.path;
	return arena_printf(a, STR_FMT STR_FMT "%s" STR_FMT,
	    STR_ARG(c8y_proxy_root(&c->cloud, a)), STR_ARG(rest),
	    u.query.ptr == NULL ? "" : "?",
	    STR_ARG((u.query.ptr == NULL ? STR("") : u.query)));
}

/* Where the device puts what the cloud asks for. */
static void
add_tedge_url(struct c8y *c, const struct c8y_entity *e, const char *op,
    struct str type, struct str id, struct json_out *o)
{
	struct buf b = { 0 };

	buf_addf(&b, "http://" STR_FMT ":%lld/te/v1/files/",
	    STR_ARG(config_text(c->cloud.config, "http.client.host")),
	    (long long)config_int(c->cloud.config, "http.client.port"));
	buf_addf(&b, STR_FMT "/%s/", STR_ARG(e->xid), op);
	for (size_t i = 0; i < type.len; i++)
		buf_addc(&b, type.ptr[i] == '/' ? ':' : type.ptr[i]);
	buf_addf(&b, "-c8y-mapper-" STR_FMT, STR_ARG(id));
	json_out_key(o, "tedgeUrl");
	json_out_str(o, buf_str(&b));
	buf_free(&b);
}

struct wanted {
	const char *name;
	struct str *ret;
};

/* Texts of an object; numbers as they stand. False: it is none. */
static bool
members(struct str json, const struct wanted *want, size_t n, struct arena *a)
{
	struct str key, raw;
	struct json j;

	json_open(&j, json, 0, a);
	if (!json_object(&j))
		return false;
	while (json_member(&j, &key)) {
		struct str *ret = NULL;

		for (size_t i = 0; i < n; i++)
			if (str_eqz(key, want[i].name))
				ret = want[i].ret;
		if (ret != NULL && json_peek(&j) == JSON_STRING)
			(void)json_str(&j, ret);
		else if (json_raw(&j, &raw) && ret != NULL)
			*ret = raw;
	}
	return json_done(&j, NULL) == 0;
}

#define MEMBERS(json, a, ...)                                                  \
	members(json, (const struct wanted[]){ __VA_ARGS__ },                  \
	    COUNT_OF(((const struct wanted[]){ __VA_ARGS__ })), a)

static bool
missing(struct err *err, const char *fragment, const char *what)
{
	return err_set(err, ERR_PARAM, "the operation %s has no %s", fragment,
		   what) == 0;
}

static void
add_member(struct json_out *o, const char *key, struct str value)
{
	if (value.ptr == NULL)
		return;
	json_out_key(o, key);
	json_out_str(o, value);
}

/* --- commands ------------------------------------------------------------ */

static bool
make_restart(struct c8y *c, const struct c8y_entity *e, struct str id,
    struct str fragment, struct str name, struct json_out *o, struct arena *a,
    struct err *err)
{
	(void)c;
	(void)e;
	(void)id;
	(void)fragment;
	(void)name;
	(void)o;
	(void)a;
	(void)err;
	return true;
}

struct module {
	struct str type, name, version, url, action;
	bool done;
};

/* A blank stands for nothing. */
static struct str
or_null(struct str s)
{
	return str_trim(s).len == 0 ? STR_NULL : s;
}

static bool
read_module(struct str json, struct module *m, struct arena *a)
{
	if (!MEMBERS(json, a, { "softwareType", &m->type },
		{ "name", &m->name }, { "version", &m->version },
		{ "url", &m->url }, { "action", &m->action }) ||
	    m->name.len == 0)
		return false;
	m->url = or_null(m->url);
	m->type = or_null(m->type);
	if (m->type.ptr == NULL && m->version.ptr != NULL)
		for (size_t i = m->version.len; i-- > 1;)
			if (memcmp(m->version.ptr + i - 1, "::", 2) == 0) {
				m->type = (struct str){ m->version.ptr + i + 1,
					m->version.len - i - 1 };
				m->version.len = i - 1;
				break;
			}
	m->version = or_null(m->version);
	if (m->type.len == 0)
		m->type = STR("default");
	return true;
}

static void
add_modules(struct c8y *c, struct module *all, size_t n, struct str type,
    struct json_out *o, struct arena *a)
{
	json_out_object(o);
	json_out_key(o, "type");
	json_out_str(o, type);
	json_out_key(o, "modules");
	json_out_array(o);
	for (size_t i = 0; i < n; i++) {
		struct module *m = &all[i];

		if (m->done || !str_eq(m->type, type))
			continue;
		m->done = true;
		json_out_object(o);
		add_member(o, "name", m->name);
		add_member(o, "version", m->version);
		add_member(o, "url",
		    m->url.ptr == NULL ? STR_NULL
				       : c8y_proxy_url(c, m->url, a));
		json_out_key(o, "action");
		json_out_str(o,
		    str_eqz(m->action, "delete") ? STR("remove") : m->action);
		json_out_end_object(o);
	}
	json_out_end_array(o);
	json_out_end_object(o);
}

static bool
make_software(struct c8y *c, const struct c8y_entity *e, struct str id,
    struct str fragment, struct str name, struct json_out *o, struct arena *a,
    struct err *err)
{
	struct module *all;
	struct str item;
	struct json j;
	size_t n = 0;

	(void)e;
	(void)id;
	(void)name;
	json_open(&j, fragment, 0, a);
	if (json_array(&j))
		while (json_item(&j) && json_skip(&j))
			n++;
	if (json_done(&j, NULL) != 0)
		return missing(err, "c8y_SoftwareUpdate", "list of software");
	all = arena_array(a, MAX_OF(n, 1), struct module);
	json_open(&j, fragment, 0, a);
	(void)json_array(&j);
	for (size_t i = 0; json_item(&j) && json_raw(&j, &item); i++) {
		if (!read_module(item, &all[i], a))
			return missing(err, "c8y_SoftwareUpdate", "name");
		if (!str_eqz(all[i].action, "install") &&
		    !str_eqz(all[i].action, "delete"))
			return err_set(err, ERR_PARAM,
				   "the action \"" STR_FMT
				   "\" of software \"" STR_FMT
				   "\" is not known: it is install or delete",
				   STR_ARG(all[i].action),
				   STR_ARG(all[i].name)) == 0;
	}
	json_out_key(o, "updateList");
	json_out_array(o);
	for (size_t i = 0; i < n; i++)
		if (!all[i].done)
			add_modules(c, all, n, all[i].type, o, a);
	json_out_end_array(o);
	return true;
}

static bool
make_snapshot(struct c8y *c, const struct c8y_entity *e, struct str id,
    struct str fragment, struct str name, struct json_out *o, struct arena *a,
    struct err *err)
{
	struct str type = STR_NULL;

	(void)name;
	if (!MEMBERS(fragment, a, { "type", &type }) || type.len == 0)
		return missing(err, "c8y_UploadConfigFile", "type");
	add_member(o, "type", type);
	add_tedge_url(c, e, "config_snapshot", type, id, o);
	return true;
}

static bool
make_config(struct c8y *c, const struct c8y_entity *e, struct str id,
    struct str fragment, struct str name, struct json_out *o, struct arena *a,
    struct err *err)
{
	struct str type = STR_NULL, url = STR_NULL;

	(void)e;
	(void)id;
	(void)name;
	if (!MEMBERS(fragment, a, { "type", &type }, { "url", &url }) ||
	    type.len == 0 || url.len == 0)
		return missing(
		    err, "c8y_DownloadConfigFile", "type, or no url");
	add_member(o, "type", type);
	add_member(o, "remoteUrl", c8y_proxy_url(c, url, a));
	add_member(o, "serverUrl", url);
	return true;
}

/* "...+0200" is "...+02:00" here. */
static struct str
with_colon(struct str s, struct arena *a)
{
	if (s.len < 6 || (s.ptr[s.len - 5] != '+' && s.ptr[s.len - 5] != '-'))
		return s;
	return arena_printf(
	    a, "%.*s:%.2s", (int)s.len - 2, s.ptr, s.ptr + s.len - 2);
}

static bool
make_log(struct c8y *c, const struct c8y_entity *e, struct str id,
    struct str fragment, struct str name, struct json_out *o, struct arena *a,
    struct err *err)
{
	struct str type = STR_NULL, from = STR_NULL, to = STR_NULL,
		   search = STR_NULL, lines = STR_NULL;
	int64_t n = 1000;

	(void)name;
	if (!MEMBERS(fragment, a, { "logFile", &type }, { "dateFrom", &from },
		{ "dateTo", &to }, { "searchText", &search },
		{ "maximumLines", &lines }) ||
	    type.len == 0)
		return missing(err, "c8y_LogfileRequest", "logFile");
	add_member(o, "type", type);
	add_tedge_url(c, e, "log_upload", type, id, o);
	add_member(o, "dateFrom", with_colon(from, a));
	add_member(o, "dateTo", with_colon(to, a));
	if (search.len > 0)
		add_member(o, "searchText", search);
	(void)str_to_i64(lines, &n);
	json_out_key(o, "lines");
	json_out_int(o, n);
	return true;
}

static void
add_firmware_members(struct c8y *c, struct str name, struct str version,
    struct str url, struct json_out *o, struct arena *a)
{
	if (url.ptr != NULL)
		add_member(o, "tedgeUrl", c8y_proxy_url(c, url, a));
	add_member(o, "remoteUrl", url);
	add_member(o, "name", name);
	add_member(o, "version", version);
}

static bool
make_firmware(struct c8y *c, const struct c8y_entity *e, struct str id,
    struct str fragment, struct str name, struct json_out *o, struct arena *a,
    struct err *err)
{
	struct str version = STR_NULL, url = STR_NULL;

	(void)e;
	(void)id;
	name = STR_NULL;
	if (!MEMBERS(fragment, a, { "name", &name }, { "version", &version },
		{ "url", &url }) ||
	    name.len == 0 || version.len == 0)
		return missing(err, "c8y_Firmware", "name, or no version");
	add_firmware_members(c, name, version, or_null(url), o, a);
	return true;
}

static void
begin_part(struct json_out *o, const char *op)
{
	json_out_object(o);
	json_out_key(o, "operation");
	json_out_str(o, str_of(op));
	json_out_key(o, "@skip");
	json_out_bool(o, false);
	json_out_key(o, "payload");
	json_out_object(o);
}

static void
end_part(struct json_out *o)
{
	json_out_end_object(o);
	json_out_end_object(o);
}

static bool
profile_files(struct c8y *c, struct str files, struct json_out *o,
    struct arena *a, struct err *err)
{
	struct str item;
	struct json j;

	json_open(&j, files, 0, a);
	if (!json_array(&j))
		return missing(err, "c8y_DeviceProfile", "list of files");
	while (json_item(&j) && json_raw(&j, &item)) {
		struct str type = STR_NULL, url = STR_NULL, name = STR_NULL;

		if (!MEMBERS(item, a, { "type", &type }, { "url", &url },
			{ "name", &name }) ||
		    type.len == 0 || url.len == 0)
			return missing(
			    err, "c8y_DeviceProfile", "type or url of a file");
		begin_part(o, "config_update");
		add_member(o, "type", type);
		add_member(o, "remoteUrl", c8y_proxy_url(c, url, a));
		add_member(o, "serverUrl", url);
		add_member(o, "name", name);
		end_part(o);
	}
	return true;
}

static bool
make_profile(struct c8y *c, const struct c8y_entity *e, struct str id,
    struct str fragment, struct str name, struct json_out *o, struct arena *a,
    struct err *err)
{
	struct str firmware = STR_NULL, files = STR_NULL, software = STR_NULL;

	if (!MEMBERS(fragment, a, { "firmware", &firmware },
		{ "configuration", &files }, { "software", &software }) ||
	    name.len == 0)
		return missing(err, "c8y_DeviceProfile", "profileName");
	add_member(o, "name", name);
	json_out_key(o, "operations");
	json_out_array(o);
	if (firmware.ptr != NULL) {
		begin_part(o, "firmware_update");
		if (!make_firmware(c, e, id, firmware, STR_NULL, o, a, err))
			return false;
		end_part(o);
	}
	if (files.ptr != NULL && !profile_files(c, files, o, a, err))
		return false;
	if (software.ptr != NULL) {
		begin_part(o, "software_update");
		if (!make_software(c, e, id, software, STR_NULL, o, a, err))
			return false;
		end_part(o);
	}
	json_out_end_array(o);
	return true;
}

const struct c8y_op_kind c8y_op_kinds[] = {
	{ "c8y_Restart", "restart", "enable.device_restart", make_restart },
	{ "c8y_SoftwareUpdate", "software_update", "enable.software_update",
	    make_software },
	{ "c8y_UploadConfigFile", "config_snapshot", "enable.config_snapshot",
	    make_snapshot },
	{ "c8y_DownloadConfigFile", "config_update", "enable.config_update",
	    make_config },
	{ "c8y_LogfileRequest", "log_upload", "enable.log_upload", make_log },
	/* Before c8y_Firmware: a profile has that word in it, too. */
	{ "c8y_DeviceProfile", "device_profile", "enable.device_profile",
	    make_profile },
	{ "c8y_Firmware", "firmware_update", "enable.firmware_update",
	    make_firmware },
	{ 0 },
};

const struct c8y_op_kind *
c8y_op_of_command(struct str command)
{
	for (const struct c8y_op_kind *k = c8y_op_kinds; k->fragment != NULL;
	     k++)
		if (str_eqz(command, k->command))
			return k;
	return NULL;
}

/* --- to the bus ---------------------------------------------------------- */

void
c8y_command(
    struct c8y *c, const struct c8y_entity *e, const char *op, struct str id)
{
	buf_clear(&c->topic);
	buf_addf(&c->topic, STR_FMT "/" STR_FMT "/cmd/%s/c8y-mapper-" STR_FMT,
	    STR_ARG(c->root), STR_ARG(e->topic), op, STR_ARG(id));
	c8y_publish(c, true);
}

void
c8y_ask_software_list(
    struct c8y *c, const struct c8y_entity *e, struct arena *a)
{
	buf_clear(&c->out);
	buf_addz(&c->out, "{\"status\":\"init\"}");
	c8y_command(c, e, "software_list", c8y_new_id(c, a));
}

/* `id` is that of the cloud, or STR_NULL. */
static void
start(struct c8y *c, const struct c8y_op_kind *k, struct c8y_entity *e,
    struct str id, struct str fragment, struct str name, struct arena *a)
{
	struct str own = id;
	struct err err = { 0 };
	struct json_out o;

	if (!cloud_bool(&c->cloud, k->enable)) {
		log_warn("passed over an operation %s: it is switched off by "
			 "c8y.%s",
		    k->fragment, k->enable);
		return;
	}
	if (id.ptr == NULL) {
		struct str made = c8y_new_id(c, a);

		own = arena_printf(a, "sr-" STR_FMT, STR_ARG(made));
	}
	buf_clear(&c->out);
	json_out_init(&o, &c->out, false);
	json_out_object(&o);
	json_out_key(&o, "status");
	json_out_str(&o, STR("init"));
	if (!k->make(c, e, own, fragment, name, &o, a, &err)) {
		c8y_executing(c, e, id, k->fragment);
		c8y_failed(c, e, id, k->fragment, str_of(err.text));
		c8y_error(c, "%s", err.text);
		return;
	}
	json_out_end_object(&o);
	c8y_command(c, e, k->command, own);
}

/* --- JSON ---------------------------------------------------------------- */

static void
forget_lines(struct c8y *c)
{
	LIST_EACH (l, &c->lines, struct line, link) {
		list_del(&l->link);
		str_free(l->xid);
		str_free(l->fragment);
		free(l);
	}
}

struct operation {
	struct str id, xid, profile, status, fragment;
	const struct c8y_op_kind *kind;
};

static bool
read_source(struct json *j, struct str *xid)
{
	struct str key;

	if (json_peek(j) != JSON_OBJECT) {
		json_skip(j);
		return false;
	}
	(void)json_object(j);
	while (json_member(j, &key))
		if (str_eqz(key, "externalId") && json_peek(j) == JSON_STRING)
			(void)json_str(j, xid);
		else
			json_skip(j);
	return true;
}

static void
read_operation(struct json *j, struct operation *op)
{
	struct str key, raw;

	if (!json_object(j))
		return;
	while (json_member(j, &key)) {
		struct str *to = str_eqz(key, "id") ? &op->id
		    : str_eqz(key, "profileName")   ? &op->profile
		    : str_eqz(key, "status")        ? &op->status
						    : NULL;

		if (to != NULL && json_peek(j) == JSON_STRING) {
			(void)json_str(j, to);
		} else if (str_eqz(key, "externalSource")) {
			(void)read_source(j, &op->xid);
		} else if (json_raw(j, &raw)) {
			if (to == &op->id) /* a number is one, too */
				op->id = raw;
			for (const struct c8y_op_kind *k = c8y_op_kinds;
			     k->fragment != NULL; k++)
				if (str_eqz(key, k->fragment) &&
				    (op->kind == NULL || k < op->kind)) {
					op->kind = k;
					op->fragment = raw;
				}
		}
	}
}

/* An id becomes part of a topic. */
static bool
is_id(struct str id)
{
	for (size_t i = 0; i < id.len; i++)
		if (memchr("/+#", id.ptr[i], 3) != NULL || id.ptr[i] == '\0')
			return false;
	return id.len > 0 && id.len <= 64;
}

static void
one_operation(struct c8y *c, struct str text, struct arena *a)
{
	struct operation op = { 0 };
	struct err err = { 0 };
	struct c8y_entity *e;
	struct json j;

	json_open(&j, text, 0, a);
	read_operation(&j, &op);
	if (json_done(&j, &err) != 0) {
		c8y_error(c, "Invalid operation on topic " STR_FMT ": %s",
		    STR_ARG(c->now_on), err.text);
		return;
	}
	if (!is_id(op.id) || op.xid.len == 0) {
		c8y_error(c,
		    "Invalid operation on topic " STR_FMT
		    ": \"id\" or \"externalSource\" is missing",
		    STR_ARG(c->now_on));
		return;
	}
	e = c8y_by_xid(c, op.xid);
	if ((e == NULL || !e->told) && c->settle_ms >= 0) {
		c->missed = true; /* its registration may come yet */
		return;
	}
	if (e == NULL || !e->told) {
		c8y_error(c,
		    "Operation " STR_FMT
		    " is for a device that is not known: " STR_FMT,
		    STR_ARG(op.id), STR_ARG(op.xid));
		return;
	}
	if (!c->json_seen) {
		c->json_seen = true;
		forget_lines(c);
	}
	if (!c8y_op_remember(c, op.id, false))
		return;
	if (op.kind != NULL)
		start(c, op.kind, e, op.id, op.fragment, op.profile, a);
	else if (!c8y_custom_json(c, e, op.id, text, a))
		log_warn("passed over operation " STR_FMT
			 ": nothing here does it",
		    STR_ARG(op.id));
}

void
c8y_op_json(struct c8y *c, struct str payload, struct arena *a)
{
	while (payload.ptr != NULL) {
		struct str line = str_trim(str_cut(&payload, '\n'));

		if (line.len > 0)
			one_operation(c, line, a);
	}
}

/* --- SmartREST ----------------------------------------------------------- */

/* A record as the fragment that the same operation has in JSON. Each letter of
 * `names` is a field. */
static const struct template
{
	const char *id, *fragment;
	const char *names[8];
}
templates[] = {
	{ "510", "c8y_Restart", { NULL } },
	{ "515", "c8y_Firmware", { "name", "version", "url", NULL } },
	{ "522", "c8y_LogfileRequest",
	    { "logFile", "dateFrom", "dateTo", "searchText", "maximumLines",
		NULL } },
	{ "524", "c8y_DownloadConfigFile", { "url", "type", NULL } },
	{ "526", "c8y_UploadConfigFile", { "type", NULL } },
	{ "528", "c8y_SoftwareUpdate", { "name", "version", "url", "action" } },
};

static void
add_fields(struct json_out *o, const struct template *t,
    const struct strs *line, size_t at)
{
	json_out_object(o);
	for (size_t i = 0; i < COUNT_OF(t->names) && t->names[i] != NULL; i++)
		if (at + i < line->n) {
			json_out_key(o, t->names[i]);
			json_out_str(o, line->at[at + i]);
		}
	json_out_end_object(o);
}

static struct str
fragment_of(const struct template *t, const struct strs *line, struct arena *a)
{
	struct buf b = { 0 };
	struct json_out o;
	struct str ret;

	json_out_init(&o, &b, false);
	if (strcmp(t->id, "528") == 0) {
		json_out_array(&o);
		for (size_t i = 2; i < line->n; i += 4)
			add_fields(&o, t, line, i);
		json_out_end_array(&o);
	} else {
		add_fields(&o, t, line, 2);
	}
	ret = arena_str(a, buf_str(&b));
	buf_free(&b);
	return ret;
}

static void
hold_line(struct c8y *c, const struct template *t, const struct strs *line,
    struct arena *a)
{
	struct line *l;
	size_t n = 0;

	LIST_EACH (i, &c->lines, struct line, link)
		n++;
	if (line->n < 2 || n >= LINES_MAX) {
		c8y_error(c, "Operation %s is passed over: %s", t->id,
		    line->n < 2 ? "it names no device"
				: "too many are waiting");
		return;
	}
	l = mem_new(struct line);
	l->xid = str_copy(line->at[1]);
	l->fragment = str_copy(fragment_of(t, line, a));
	for (const struct c8y_op_kind *k = c8y_op_kinds; k->fragment != NULL;
	     k++)
		if (strcmp(k->fragment, t->fragment) == 0)
			l->kind = k;
	l->at_ms = c->host.mono_ms(c->host.owner) + LINE_MS;
	c->later = true;
	list_add(&c->lines, &l->link);
}

void
c8y_op_smartrest(struct c8y *c, struct str payload, struct arena *a)
{
	struct str rest = payload, before;
	struct err err = { 0 };
	struct strs line;
	int rc;

	for (;;) {
		before = rest;
		rc = smartrest_read(&rest, a, &line, &err);
		if (rc == ERR_NOT_FOUND)
			break;
		if (rc != 0) {
			c8y_error(c,
			    "Invalid SmartREST on topic " STR_FMT ": %s",
			    STR_ARG(c->now_on), err.text);
			continue;
		}
		before.len -= rest.len;
		if (c8y_custom_line(c, &line, str_trim(before), a) ||
		    c->json_seen)
			continue;
		for (size_t i = 0; i < COUNT_OF(templates); i++)
			if (str_eqz(line.at[0], templates[i].id))
				hold_line(c, &templates[i], &line, a);
	}
}

void
c8y_ops_due(struct c8y *c, int64_t now, int64_t *next)
{
	LIST_EACH (l, &c->lines, struct line, link) {
		struct c8y_entity *e = c8y_by_xid(c, l->xid);
		struct arena a = { 0 };

		if (l->at_ms > now) {
			if (*next < 0 || l->at_ms < *next)
				*next = l->at_ms;
			break; /* in order of time */
		}
		list_del(&l->link);
		if (e != NULL && e->told)
			start(
			    c, l->kind, e, STR_NULL, l->fragment, STR_NULL, &a);
		else
			c8y_error(c,
			    "Operation %s is for a device that is not "
			    "known: " STR_FMT,
			    l->kind->fragment, STR_ARG(l->xid));
		str_free(l->xid);
		str_free(l->fragment);
		free(l);
		arena_fini(&a);
	}
}

void
c8y_ops_fini(struct c8y *c)
{
	forget_lines(c);
	LIST_EACH (s, &c->ops, struct op_seen, link)
		seen_free(c, s);
}
