/*
 * edge/agent/software.h - what software.c (the commands) and plugins.c (the
 * programs in sm-plugins/) share.
 */
#ifndef EDGE_AGENT_SOFTWARE_H
#define EDGE_AGENT_SOFTWARE_H

#include "edge/agent/job.h"

#include <regex.h>
#include <sys/stat.h>

struct sm_plugin {
	struct agent *agent;
	char *type, *path;
	struct stat was;      /* the file, when it was last looked at */
	bool seen;	      /* in this scan */
	bool valid;	      /* its `list` ends with 0 */
	struct child *probe;  /* it is being asked */
};

struct software {
	struct agent *agent;
	struct sm_plugin **at; /* in alphabetical order */
	size_t n;
	size_t probing;
	bool settled; /* those that answer soon have answered */
	struct loop_timer settle;
	regex_t include, exclude;
	bool has_include, has_exclude;
};

#define SM_LIST_MAX (4u << 20) /* bytes of a plugin's list */

/* The plugin of a type; "" and "default": that of the settings, or the only
 * one. NULL: there is none. */
struct sm_plugin *sm_find(struct software *s, struct str type);
/* Its `list` was run, and ended so. */
void sm_judge(struct sm_plugin *p, bool ok);
/* Adds the packages of a list's text that are to be told, each an object.
 * ERR_PROTO: it is no text. */
int sm_read_list(
    struct software *s, struct str text, struct json_out *o, struct err *err);

#endif
