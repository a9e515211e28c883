/*
 * plug/gateway/settings.c - every setting of gateways, said once.
 */
#include "plug/gateway/gateway.h"

#define S struct gateway_settings

const struct conf_field gateway_fields[] = {
	CONF_INT(S, queue, "queue", .def = "1000", .min = 1, .max = 1000000,
	    .help = "Frames that may wait in one gateway, those for sleeping "
		    "nodes too. Beyond that a sender is told that it is full."),
	CONF_INT(S, heard, "heard", .def = "1000", .min = 1, .max = 65535,
	    .help = "Frames of one gateway that were heard and are not stored "
		    "yet. Beyond that new ones are dropped and counted; an "
		    "MQTT server with QoS 1 or 2 has to wait instead."),
	CONF_INT(S, devices, "devices", .def = "10000", .min = 1,
	    .max = 10000000,
	    .help = "Devices of one gateway up to which whoever is heard "
		    "becomes one. Beyond that he is listed in the inbox only, "
		    "and the gateway's state says so."),
	CONF_INT(S, tests, "tests", .def = "8", .min = 1, .max = 1000,
	    .help = "Tests of connections that may go on at once."),
	CONF_SIZE(S, max_frame, "maxFrame", .def = "64KiB", .min = 64,
	    .max = 16 << 20,
	    .help = "Largest frame, heard or sent; of a line, too. A longer "
		    "one is passed over and counted."),
	CONF_INT(S, filters, "filters", .def = "10000", .min = 1,
	    .max = 1000000,
	    .help = "Topic filters of one gateway, those counted that devices "
		    "ask for by their own topics."),
	CONF_INT(S, sleeping, "sleeping", .def = "20", .min = 1, .max = 10000,
	    .help = "Frames that are kept for one sleeping node. Beyond that "
		    "the oldest goes."),
	CONF_MS(S, sleeping_ms, "sleepingTime", .def = "24h", .min = 1000,
	    .max = (int64_t)366 * 86400 * 1000,
	    .help = "How long a frame waits, when nobody says."),
	CONF_MS(S, connect_ms, "connectTimeout", .def = "30s", .min = 100,
	    .max = 600 * 1000,
	    .help = "Longest time that one attempt to connect may take."),
	CONF_MS(S, http_ms, "httpTimeout", .def = "30s", .min = 100,
	    .max = 600 * 1000,
	    .help = "Longest time that one HTTP request may take."),
	CONF_SIZE(S, http_size, "httpSize", .def = "1MiB", .min = 1024,
	    .max = 64 << 20,
	    .help = "Largest answer that is taken from an HTTP server."),
	CONF_SIZE(S, log_size, "logSize", .def = "2MiB", .min = 4096,
	    .max = (int64_t)1 << 30,
	    .help = "Size of a message log at which a new one is begun, when "
		    "the gateway does not say."),
	CONF_TEXT(S, allow_ports, "allowPorts",
	    .def = "/dev/tty[A-Z]*, /dev/serial/*/*",
	    .help = "Serial ports that gateways may open, with `*`, `?` and "
		    "`[]` for parts of a name."),
	CONF_TEXT(S, allow_hosts, "allowHosts",
	    .help = "Hosts that gateways may talk to, such as "
		    "`mqtt.example.com, *.example.org`; then redirections are "
		    "not followed. Without it any host is allowed, those of "
		    "the own network too."),
	CONF_TEXT(S, ca_file, "caFile",
	    .help = "PEM file of the authorities that sign the certificates of "
		    "those hosts. Without it those that the system trusts."),
	{ 0 },
};
