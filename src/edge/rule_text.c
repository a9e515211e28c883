/*
 * edge/rule_text.c - the rule files that come with the program, said once: the
 * bridge in this process reads them from the folder of its mapper, where users
 * may change them, and a Mosquitto's file is made of them as they stand here.
 */
#include "edge/rule_file.h"

#include "base/base.h"
#include "base/file.h"
#include "base/mem.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILES_MAX 1000

static const char head[] =
    "# This file comes with the program, and is brought up to date with it as\n"
    "# long as it is the same as the .template beside it. Change it, and it "
    "is\n"
    "# yours; rename it to end in .toml.disabled, and it is passed over. More\n"
    "# files may stand beside it. `tedge bridge inspect` shows what comes of "
    "it.\n"
    "\n"
    "local_prefix = \"${mapper.bridge.topic_prefix}/\"\n";

/* Tables of files that people read: written as they are to look. */
/* clang-format off */
#define RULE(topic, direction, more) \
	"\n[[rule]]\n" more "topic = \"" topic "\"\ndirection = \"" direction "\"\n"
#define EACH(items, topic, direction, more) \
	"\n[[template_rule]]\n" more "for = " items "\ntopic = \"" topic "\"\n" \
	"direction = \"" direction "\"\n"

#define OUT(topic) RULE(topic, "outbound", "")
#define IN(topic) RULE(topic, "inbound", "")
#define TO(remote) "remote_prefix = \"" remote "\"\n"
#define BY_CERTIFICATE "if = \"${connection.auth_method} == 'certificate'\"\n"
#define BEST_EFFORT "qos = 0\n"
#define TEMPLATES "\"${mapper.smartrest.templates}\""
#define TEMPLATES_1 "\"${mapper.smartrest1.templates}\""
#define MQTT_SERVICE "if = \"${mapper.mqtt_service.enabled}\"\n"

static const char c8y[] =
    TO("")
    OUT("s/ut/#")
    EACH("[\"s\", \"t\", \"q\", \"c\"]", "${item}/us/#", "outbound", "")
    EACH("[\"s\", \"t\", \"q\", \"c\"]", "${item}/uc/#", "outbound", "")
    OUT("inventory/managedObjects/update/#")
    OUT("measurement/measurements/create")
    OUT("measurement/measurements/createBulk")
    OUT("event/events/create")
    OUT("event/events/createBulk")
    OUT("alarm/alarms/create")
    OUT("alarm/alarms/createBulk")
    "\n# The token that HTTP needs: asked for, and given.\n"
    RULE("s/uat", "outbound", BY_CERTIFICATE BEST_EFFORT)
    IN("s/dt")
    IN("s/ds")
    RULE("s/e", "inbound", BEST_EFFORT)
    IN("s/dc/#")
    IN("devicecontrol/notifications")
    IN("error")
    RULE("s/dat", "inbound", BY_CERTIFICATE BEST_EFFORT)
    "\n# SmartREST 2 templates of one's own.\n"
    EACH(TEMPLATES, "s/uc/${item}", "outbound", "")
    EACH(TEMPLATES, "s/dc/${item}", "inbound", "")
    "\n# SmartREST 1, where there are such templates; a rule that comes out more\n"
    "# than once stands once.\n"
    EACH(TEMPLATES_1, "s/ul/#", "outbound", "")
    EACH(TEMPLATES_1, "t/ul/#", "outbound", "")
    EACH(TEMPLATES_1, "q/ul/#", "outbound", "")
    EACH(TEMPLATES_1, "c/ul/#", "outbound", "")
    EACH(TEMPLATES_1, "s/dl", "inbound", "")
    EACH(TEMPLATES_1, "s/ul/${item}", "outbound", "")
    EACH(TEMPLATES_1, "s/dl/${item}", "inbound", "")
    EACH(TEMPLATES_1, "s/ol/${item}", "inbound", "")
    "\n# The MQTT service.\n"
    RULE("#", "outbound", MQTT_SERVICE
	"local_prefix = \"${mapper.bridge.topic_prefix}/mqtt/out/\"\n")
    EACH("\"${mapper.mqtt_service.topics}\"", "${item}", "inbound", MQTT_SERVICE
	"local_prefix = \"${mapper.bridge.topic_prefix}/mqtt/in/\"\n");

#define DEVICE TO("devices/${mapper.device.id}/")
#define HUB TO("$iothub/")

static const char az[] =
    RULE("messages/events/#", "outbound", DEVICE)
    RULE("messages/devicebound/#", "inbound", DEVICE)
    "\n# Direct methods, and the device's twin.\n"
    RULE("methods/POST/#", "inbound", HUB)
    RULE("methods/res/#", "outbound", HUB)
    RULE("twin/res/#", "inbound", HUB)
    RULE("twin/GET/#", "outbound", HUB)
    RULE("twin/PATCH/#", "outbound", HUB);

#define THING TO("thinedge/${mapper.device.id}/")
#define TEST TO("thinedge/devices/${mapper.device.id}/test-connection")

static const char aws[] =
    RULE("td/#", "outbound", THING)
    RULE("cmd/#", "inbound", THING)
    RULE("shadow/#", "bidirectional", TO("$aws/things/${mapper.device.id}/"))
    "\n# What `tedge connect` asks comes back to it.\n"
    RULE("", "outbound",
	"local_prefix = \"${mapper.bridge.topic_prefix}/test-connection\"\n" TEST)
    RULE("", "inbound",
	"local_prefix = \"${mapper.bridge.topic_prefix}/connection-success\"\n" TEST);

/* Of one device, at a gateway of the platform. */
static const char marram[] =
    TO("marram/${mapper.unit}/gateway/${mapper.gateway}/${mapper.device.id}/")
    OUT("up/#")
    IN("down/#");
/* clang-format on */

static const struct rule_text texts[] = {
	{ "c8y", "mqtt-core.toml", head, c8y },
	{ "az", "rules.toml", head, az },
	{ "aws", "rules.toml", head, aws },
	{ "marram", "rules.toml", head, marram },
};

const struct rule_text *
rule_text_of(const char *mapper)
{
	for (size_t i = 0; i < COUNT_OF(texts); i++)
		if (strcmp(texts[i].mapper, mapper) == 0)
			return &texts[i];
	return NULL;
}

void
rule_text_add(const struct rule_text *t, struct buf *out)
{
	buf_addz(out, t->head);
	buf_addz(out, t->rules);
}

/* --- in a folder --------------------------------------------------------- */

static bool
is_there(const char *path)
{
	return access(path, F_OK) == 0;
}

/* Makes the folder and those above it. */
static int
make_folders(const char *folder, struct err *err)
{
	char *path = mem_printf("%s", folder);
	int rc = 0;

	for (char *p = path + 1; rc == 0; p++) {
		char was = *p;

		if (was != '/' && was != '\0')
			continue;
		*p = '\0';
		if (mkdir(path, 0775) < 0 && errno != EEXIST)
			rc = err_errno(err, "make the folder %s", path);
		*p = was;
		if (was == '\0')
			break;
	}
	free(path);
	return rc;
}

static bool
is_same_file(const char *one, const char *other)
{
	struct buf a = { 0 }, b = { 0 };
	bool same = file_read(one, &a, NULL) == 0 &&
	    file_read(other, &b, NULL) == 0 && str_eq(buf_str(&a), buf_str(&b));

	buf_free(&a);
	buf_free(&b);
	return same;
}

/* Writes it where it is not so already: a flash disk lives longer. */
static int
put(const char *path, struct str text, struct err *err)
{
	struct buf was = { 0 };
	bool same =
	    file_read(path, &was, NULL) == 0 && str_eq(buf_str(&was), text);

	buf_free(&was);
	return same ? 0 : file_replace(path, text, err);
}

int
rule_text_put(const struct rule_text *t, const char *folder, struct err *err)
{
	struct arena a = { 0 };
	const char *file = arena_printf(&a, "%s/%s", folder, t->file).ptr;
	const char *template = arena_printf(&a, "%s.template", file).ptr;
	const char *disabled = arena_printf(&a, "%s.disabled", file).ptr;
	struct buf text = { 0 };
	bool ours =
	    is_there(file) ? is_same_file(file, template) : !is_there(template);
	int rc = make_folders(folder, err);

	rule_text_add(t, &text);
	/* The file first: an old file beside a new template would pass for the
	 * user's after a power cut. */
	if (rc == 0 && ours && !is_there(disabled))
		rc = put(file, buf_str(&text), err);
	if (rc == 0)
		rc = put(template, buf_str(&text), err);
	buf_free(&text);
	arena_fini(&a);
	return rc;
}

/* --- a folder's files ---------------------------------------------------- */

static int
compare(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void
note_disabled(struct rule_set *set, const char *file)
{
	struct rule_disabled *d = arena_new(set->arena, struct rule_disabled);

	d->file = file;
	if (set->last_disabled != NULL)
		set->last_disabled->next = d;
	else
		set->disabled = d;
	set->last_disabled = d;
}

static int
read_one(struct rule_set *set, const struct mapper_settings *m,
    const char *folder, const char *name, struct err *err)
{
	const char *path = arena_printf(set->arena, "%s/%s", folder, name).ptr;
	struct buf text = { 0 };
	int rc;

	if (is_there(arena_printf(set->arena, "%s.disabled", path).ptr)) {
		note_disabled(set, name);
		return 0;
	}
	rc = file_read(path, &text, err);
	if (rc == 0)
		rc = rule_file_read(
		    set, m, path, arena_str(set->arena, buf_str(&text)), err);
	buf_free(&text);
	return rc;
}

int
rule_folder_read(struct rule_set *set, const struct mapper_settings *m,
    const char *folder, struct err *err)
{
	const char **names = arena_array(set->arena, FILES_MAX, const char *);
	const struct dirent *e;
	size_t n = 0;
	int rc = 0;
	DIR *d = opendir(folder);

	if (d == NULL && (errno == ENOENT || errno == ENOTDIR))
		return err_set(err, ERR_NOT_FOUND, "there is no %s", folder);
	if (d == NULL)
		return err_errno(err, "open %s", folder);
	while (rc == 0 && (e = readdir(d)) != NULL) {
		if (e->d_name[0] == '.' ||
		    !str_ends(str_of(e->d_name), STR(".toml")))
			continue;
		if (n == FILES_MAX)
			rc = err_set(err, ERR_LIMIT,
			    "%s: there are more than %d files", folder,
			    FILES_MAX);
		else
			names[n++] = arena_z(set->arena, str_of(e->d_name));
	}
	(void)closedir(d);
	qsort(names, n, sizeof(*names), compare);
	for (size_t i = 0; rc == 0 && i < n; i++)
		rc = read_one(set, m, folder, names[i], err);
	return rc;
}
