/*
 * plug/handler/settings.c - every setting of handlers, said once.
 */
#include "plug/handler/handler.h"

#define S struct handler_settings

const struct conf_field handler_fields[] = {
	CONF_INT(S, queue, "queue", .def = "1000", .min = 1, .max = 1000000,
	    .help = "Messages that may wait in one handler. Beyond that a rule "
		    "is told that it is full."),
	CONF_SIZE(S, max_message, "maxMessage", .def = "256KiB", .min = 1024,
	    .max = 64 << 20,
	    .help = "Largest message, with the rule's variables."),
	CONF_MS(S, timeout, "timeout", .def = "10s", .min = 100,
	    .max = 600 * 1000,
	    .help = "Longest time that one attempt to send may take."),
	CONF_INT(S, retries, "retries", .def = "3", .max = 100,
	    .help = "How often a message is tried again after a failure that "
		    "may pass."),
	CONF_MS(S, retry_min, "retryMin", .def = "2s", .min = 1,
	    .max = 3600 * 1000,
	    .help = "Wait before the first further attempt; it doubles."),
	CONF_MS(S, retry_max, "retryMax", .def = "1m", .min = 1,
	    .max = 86400 * 1000, .help = "Longest wait between two attempts."),
	CONF_INT(S, rate, "rate", .def = "0", .max = 1000000,
	    .help = "Messages per minute that one handler sends; more wait in "
		    "its queue. 0 means no limit."),
	CONF_TEXT(S, allow_hosts, "allowHosts",
	    .help = "Hosts that handlers may talk to, such as "
		    "`smtp.example.com, *.example.org`; then redirections are "
		    "not followed. Without it any host is allowed, those of "
		    "the own network too."),
	CONF_TEXT(S, ca_file, "caFile",
	    .help = "PEM file of the authorities that sign the certificates of "
		    "those hosts. Without it those that the system trusts."),
	CONF_TEXT(S, telegram_url, "telegramUrl",
	    .def = "https://api.telegram.org",
	    .help = "Where the Bot API of Telegram is."),
	{ 0 },
};
