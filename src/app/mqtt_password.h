/*
 * app/mqtt_password.h - password files in Mosquitto's format: a line
 *
 *     USER:$7$ITERATIONS$SALT$HASH    PBKDF2 with HMAC-SHA-512
 *     USER:$6$SALT$HASH               SHA-512 of the password and the salt
 *
 * each, salt and hash in base64. Lines that begin with "#" are comments.
 */
#ifndef APP_MQTT_PASSWORD_H
#define APP_MQTT_PASSWORD_H

#include "base/err.h"
#include "base/str.h"

#include <stdbool.h>
#include <stdint.h>

#define PASSWORD_HASH 64
#define PASSWORD_SALT_MAX 64
#define PASSWORD_ITERATIONS 10000 /* of those that we make */
#define PASSWORD_ITERATIONS_MAX 1000000
#define PASSWORD_MAX 65535 /* bytes */
#define PASSWORD_USER_MAX 1024

struct password {
	uint32_t iterations; /* 0: $6$ */
	uint8_t salt_len;
	uint8_t salt[PASSWORD_SALT_MAX];
	uint8_t hash[PASSWORD_HASH];
};

/* May it stand in front of the colon? */
bool password_user_ok(struct str user);

/* Reads what stands behind the colon. */
int password_read(struct str text, struct password *ret, struct err *err);

/* Is it this one? Takes the time of a hash, right or wrong. [any thread] */
bool password_fits(const struct password *p, struct str password);

/* Makes one with a new salt. */
int password_make(struct str password, uint32_t iterations,
    struct password *ret, struct err *err);
/* Adds it as it stands behind the colon. */
void password_put(const struct password *p, struct buf *out);

/* Visits the lines of a file that are no comments, with their number; stops
 * when `each` does not return 0, and returns that. */
int password_lines(struct str file,
    int (*each)(
	void *ctx, int no, struct str user, struct str rest, struct err *err),
    void *ctx, struct err *err);

/* Sets a user's line in the file at `path`, which is made if it is not there;
 * `p` NULL: takes the line away (ERR_NOT_FOUND: there was none). A reader finds
 * the whole old file or the whole new one, which only its owner may read. */
int password_file_set(const char *path, struct str user,
    const struct password *p, struct err *err);

#endif
