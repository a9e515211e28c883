/*
 * app/mqtt_users.h - who may sign in at an MQTT server without platform, and
 * what for: a password file and an ACL file in Mosquitto's formats.
 *
 * Passwords are checked on a thread of their own. A client's rights are made
 * when it signs in. A reload ends the sessions of those whose password or
 * rights have changed, or who are gone; all others go on.
 */
#ifndef APP_MQTT_USERS_H
#define APP_MQTT_USERS_H

#include "base/err.h"
#include "base/loop.h"
#include "net/mqtt/server.h"

struct mqtt_users;

struct mqtt_users_conf {
	const char *password_file; /* NULL: nobody has a password */
	const char *acl_file;      /* NULL: all is allowed */
};

/* Reads the files; the sentence names file and line. `conf` is copied. The
 * loop is the MQTT server's, borrowed. */
int mqtt_users_open(struct loop *loop, const struct mqtt_users_conf *conf,
    struct mqtt_users **ret, struct err *err);
/* From now on the server asks; borrowed. On the loop's thread, or before it
 * runs. */
void mqtt_users_start(struct mqtt_users *u, struct mqtt_server *mqtt);
/* Reads the files again. On failure all stays as it was. [any thread, one at a
 * time] */
int mqtt_users_reload(struct mqtt_users *u, struct err *err);
/* Refuses whoever comes, and waits for the thread. On the loop's thread; it
 * must turn once more before the server is closed. NULL is fine. */
void mqtt_users_stop(struct mqtt_users *u);
/* Frees all; the server is closed. NULL is fine. */
void mqtt_users_close(struct mqtt_users *u);

/* For mqtt_server_open(), with the users as owner. */
extern const struct mqtt_server_events mqtt_users_events;

#endif
