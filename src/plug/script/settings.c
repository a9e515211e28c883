/*
 * plug/script/settings.c - the settings and counters of scripts, said once.
 */
#include "base/base.h"
#include "plug/script/script.h"

#define C struct script_conf

const struct conf_field script_fields[] = {
	CONF_INT(C, processes, "processes", .def = "8", .min = 1, .max = 1024,
	    .help = "Helper processes at a time, of one pool (codecs, tasks). "
		    "Each serves one unit; with more units at work than "
		    "processes they take turns."),
	CONF_MS(C, timeout_ms, "timeout", .def = "100ms", .min = 10,
	    .max = 24 * 3600 * 1000,
	    .help = "Time for one call of a script that says nothing else; "
		    "then it is killed. By the clock, but later (up to "
		    "three times as long, or a second) while the machine "
		    "is too busy to run it."),
	CONF_SIZE(C, memory, "memory", .def = "128MiB", .min = 64 << 20,
	    .max = INT64_C(64) << 30,
	    .help = "Memory of one helper process, that of the JavaScript "
		    "engine (about 30 MiB) included. The call that goes over "
		    "it is killed."),
	CONF_INT(C, queue, "queue", .def = "1000", .min = 1, .max = 1000000,
	    .help = "Calls of one unit that may wait. More are refused."),
	CONF_SIZE(C, output_max, "outputMax", .def = "256KiB", .min = 1024,
	    .max = 16 << 20,
	    .help = "Longest result of a call, in characters. Console output "
		    "is cut at the same length."),
	CONF_MS(C, idle_ms, "idle", .def = "5m", .min = 100,
	    .max = 24 * 3600 * 1000,
	    .help = "A helper process that had nothing to do for so long "
		    "ends."),
	CONF_BOOL(C, jit, "jit", .def = "true",
	    .help = "Compile scripts to machine code. Off: about 10 MB less "
		    "for each helper, slower, and no memory that is both "
		    "written and run."),
	CONF_TEXT(C, helper, "helper",
	    .help = "The program marram-script, when it is neither beside "
		    "marram nor where it is installed."),
	CONF_INT(C, http_max, "httpMax", .def = "5", .min = 0, .max = 1000,
	    .help = "HTTP requests that one call may make, where allowHosts "
		    "lets it."),
	CONF_SIZE(C, http_size, "httpSize", .def = "256KiB", .min = 1024,
	    .max = 16 << 20,
	    .help = "Longest body of such a request and of its answer."),
	CONF_MS(C, http_timeout_ms, "httpTimeout", .def = "10s", .min = 100,
	    .max = 3600 * 1000, .help = "Longest time for such a request."),
	CONF_TEXT(C, allow_hosts, "allowHosts",
	    .help = "Hosts that scripts of tasks and schedules may ask over "
		    "HTTP, such as `api.example.com, *.example.org`. Without "
		    "it none."),
	{ 0 },
};

void
script_conf_init(struct script_conf *conf)
{
	struct conf_section sections[] = {
		{ .prefix = "hub.script",
		    .help = "",
		    .fields = script_fields,
		    .values = conf },
		{ 0 },
	};
	struct conf *c = conf_new(sections);

	(void)conf_apply(c, NULL); /* the defaults are in their ranges */
	conf->helper = conf->allow_hosts = STR_NULL; /* of `c`, which goes */
	conf_free(c);
}

struct script_counters script_counters;

#define ROW(name, unit, help, gauge)                                           \
	{ #name, unit, help, gauge, offsetof(struct script_counters, name) },
#define COUNTER(name, unit, help) ROW(name, unit, help, false)
#define GAUGE(name, unit, help) ROW(name, unit, help, true)
static const struct counter_row rows[] = {
#include "plug/script/counters.def"
};

struct counter_group script_counter_group = {
	.prefix = "script",
	.rows = rows,
	.n = COUNT_OF(rows),
	.values = &script_counters,
};
