/*
 * app/cli/session.h - calls to the platform in somebody's name.
 *
 * The session holds the tokens: it signs in, keeps them (token.h), and when
 * the server says 401 gets new ones and asks again.
 */
#ifndef APP_CLI_SESSION_H
#define APP_CLI_SESSION_H

#include "app/cli/fetch.h"
#include "app/cli/token.h"
#include "app/settings.h"

struct session {
	struct cli_conf conf; /* its texts are borrowed */
	bool old_name;        /* which token file */
	struct tokens tokens;
	struct arena arena; /* of the tokens */
};

void session_init(
    struct session *s, const struct cli_conf *conf, bool old_name);
void session_fini(struct session *s);

/* The whole URL of a path of the API: the setting of its first word ("/auth",
 * "/coremgr", "/data"), or the host of the management API for any other. */
struct str session_url(
    const struct session *s, struct arena *a, struct str path);

/* Signs in as OAuth2's authorization code flow has it, with PKCE, and keeps
 * the tokens. `*ret` is the last answer: that of /token (status 200), or the
 * one that refused. */
int session_login(struct session *s, struct str account, struct str password,
    struct arena *a, struct fetched *ret, struct err *err);
/* Exchanges the refresh token and keeps the new ones. ERR_DENIED: there is
 * none. */
int session_refresh(
    struct session *s, struct arena *a, struct fetched *ret, struct err *err);
/* One call; `body` is JSON or STR_NULL. ERR_DENIED: nobody is signed in. */
int session_call(struct session *s, const char *method, struct str path,
    struct str body, struct arena *a, struct fetched *ret, struct err *err);
/* The same for a body of any type, and an answer that goes to a file: `f` has
 * all but url and token. */
int session_fetch(struct session *s, struct fetch *f, struct str path,
    struct arena *a, struct fetched *ret, struct err *err);

#endif
