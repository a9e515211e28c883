/*
 * app/mqtt_acl.h - who may publish and subscribe to what, from a file in
 * Mosquitto's format:
 *
 *     # for clients without user name
 *     topic read news/#
 *     user alice
 *     topic readwrite home/alice/#
 *     topic deny home/alice/secret
 *     # for every client: %u is its user name, %c its client id
 *     pattern write dev/%u/%c/up
 *
 * What no line allows is forbidden. Of a user's own lines the denying ones
 * count first, then the others; then the patterns in the same way.
 *
 *  (1) A subscription is allowed when one allowing line covers all of its
 *      filter and no denying line has a topic in common with it. (Mosquitto
 *      allows it always and holds back single messages.)
 *  (2) A pattern with %u does not count for clients without user name, and
 *      none counts for a client whose name or id would change its meaning: "+"
 *      or "#" in either, "/" in the id.
 */
#ifndef APP_MQTT_ACL_H
#define APP_MQTT_ACL_H

#include "base/err.h"
#include "base/str.h"

#include <stdbool.h>

struct acl;        /* a file's lines */
struct acl_rights; /* what one client may do; never changes */

/* Copies what it needs of `text`. The sentence has the line's number. */
int acl_read(struct str text, struct acl **ret, struct err *err);
void acl_free(struct acl *a); /* NULL is fine */

/* Does any line speak of this user, by name or by a pattern for all? */
bool acl_knows(const struct acl *a, struct str user);

/* Makes the rights of a client; `user` STR_NULL: it has no name. `client_id`
 * STR_NULL: not known, patterns with %c do not count. They do not need `a` any
 * more. `a` NULL: there is no file, and the rights are NULL: all. */
struct acl_rights *acl_rights_new(
    const struct acl *a, struct str user, struct str client_id);
void acl_rights_free(struct acl_rights *r);
bool acl_rights_equal(const struct acl_rights *a, const struct acl_rights *b);

/* [any thread] */
bool acl_may_publish(const struct acl_rights *r, struct str topic);
bool acl_may_subscribe(const struct acl_rights *r, struct str filter);

#endif
