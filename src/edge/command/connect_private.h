/*
 * edge/command/connect_private.h - what connect.c and connect_steps.c share.
 */
#ifndef EDGE_COMMAND_CONNECT_PRIVATE_H
#define EDGE_COMMAND_CONNECT_PRIVATE_H

#include "edge/bridge_plan.h"
#include "edge/command.h"
#include "edge/local.h"
#include "edge/system.h"

#define KEY_VARIABLE "MARRAM_KEY"

struct connect_job {
	struct command_call *call;
	struct config *config;
	struct arena arena;
	struct cloud cloud;
	struct bridge_plan plan;
	struct system system;
	struct local local;
	bool offline;
	bool unserved;        /* nothing is there to start services with */
	bool old_certificate; /* the new one was not taken */
	struct buf answer;    /* of the cloud, when it was verified */
	struct err err;
};

/* Takes them one after the other, up to the first that must not fail and does:
 * then j->err says why. */
int connect_steps(struct connect_job *j);

/* By a Mosquitto's bridge? Is one used at all? */
bool connect_by_mosquitto(const struct connect_job *j);
bool connect_uses_mosquitto(const struct connect_job *j);
/* Asks the cloud, at most so often. */
int connect_verify(struct connect_job *j, int times);
/* What its bridge is to be. Who has a key of a Marram platform, and nothing
 * else to sign in by, is given a secret. */
int connect_plan(struct connect_job *j);

#endif
