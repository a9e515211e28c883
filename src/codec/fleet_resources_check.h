/*
 * codec/fleet_resources_check.h - what a text in linux.json must be. Only for
 * fleet_resources.c.
 *
 * Each returns NULL when the text is fine, and else a sentence of what it must
 * be, to stand behind the name of the member.
 */
#ifndef CODEC_FLEET_RESOURCES_CHECK_H
#define CODEC_FLEET_RESOURCES_CHECK_H

#include "base/str.h"

const char *must_host(struct str s);
const char *must_zone(struct str s);
const char *must_path(struct str s);      /* of a file: absolute, plain */
const char *must_file_name(struct str s); /* one, without folders */
const char *must_file_word(struct str s); /* one of letters, digits, "._-" */
const char *must_mode(struct str s);
const char *must_user(struct str s);
const char *must_owner(struct str s); /* a user, or a number */
const char *must_passwd_path(struct str s);
const char *must_passwd_text(struct str s);
const char *must_id(struct str s);   /* of a secret */
const char *must_line(struct str s); /* one line of text, not empty */
const char *must_argument(struct str s);
const char *must_deb(struct str s);
const char *must_deb_version(struct str s);
const char *must_apt_line(struct str s);
const char *must_pgp_key(struct str s);
const char *must_unit(struct str s);
const char *must_image(struct str s);
const char *must_port(struct str s);
const char *must_volume(struct str s);
const char *must_key(struct str s); /* of a variable or a label */

#endif
