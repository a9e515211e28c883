/*
 * app/cli/output.h - answers as people and scripts read them.
 */
#ifndef APP_CLI_OUTPUT_H
#define APP_CLI_OUTPUT_H

#include "app/cli/fetch.h"

/* Writes a JSON text indented, its members in their order, without the "data"
 * around it, and a new line. False, with nothing added, when it is no JSON. */
bool output_json(struct buf *out, struct str json);

/* What a refusal says, as one {"code":...,"message":...}, from whatever the
 * server answered: its own error, one of OAuth2, or nothing at all. */
void output_error(struct buf *out, const struct fetched *r);

/* The name in a Content-Disposition, made harmless: letters, digits and
 * "._-" only, so that it lies in the current folder. */
struct str output_file_name(struct arena *a, struct str disposition);
/* Saves the body under that name in the current folder. */
int output_save(const struct fetched *r, struct arena *a, struct str *name,
    struct err *err);

#endif
