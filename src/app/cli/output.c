/*
 * app/cli/output.c - see output.h.
 */
#include "app/cli/output.h"

#include "base/base.h"
#include "codec/json.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

bool
output_json(struct buf *out, struct str json)
{
	struct arena scratch = { 0 };
	struct str data = json_find(&scratch, json, STR("data"));
	size_t before = out->len;
	struct json_out o;
	struct json j;
	bool ok;

	json_out_init(&o, out, true);
	json_open(&j, data.ptr != NULL ? data : json, 0, &scratch);
	json_copy(&j, &o);
	ok = json_done(&j, NULL) == 0;
	if (ok)
		buf_addc(out, '\n');
	else
		out->len = before;
	arena_fini(&scratch);
	return ok;
}

/* --- refusals ------------------------------------------------------------ */

static const struct {
	long status;
	const char *code;
} codes[] = { { 400, "err_param" }, { 401, "err_auth" }, { 403, "err_perm" },
	{ 404, "err_not_found" }, { 503, "err_rsc" } };

/* What to tell besides the code, where the server said nothing. */
static const struct {
	const char *code, *message;
} sentences[] = {
	{ "err_auth", "the sign-in has expired: run `login` again" },
	{ "invalid_auth",
	    "the account or the password is wrong, or the account may not "
	    "sign in" },
};

static void
write_error(
    struct buf *out, struct str code, struct str message, struct arena *a)
{
	struct json_out o;

	for (size_t i = 0; message.ptr == NULL && i < COUNT_OF(sentences); i++)
		if (str_eq(
			code, arena_printf(a, "\"%s\"", sentences[i].code))) {
			struct buf b = { 0 };

			json_quote(&b, str_of(sentences[i].message));
			message = arena_str(a, buf_str(&b));
			buf_free(&b);
		}
	json_out_init(&o, out, false);
	json_out_object(&o);
	json_out_key(&o, "code");
	json_out_raw(&o, code);
	if (message.ptr != NULL) {
		json_out_key(&o, "message");
		json_out_raw(&o, message);
	}
	json_out_end_object(&o);
}

void
output_error(struct buf *out, const struct fetched *r)
{
	struct arena a = { 0 };
	struct str code = json_find(&a, r->body, STR("code"));
	struct str message = json_find(&a, r->body, STR("message"));
	const char *word = "err_unknown";

	if (code.ptr == NULL) {
		code = json_find(&a, r->body, STR("error"));
		message = json_find(&a, r->body, STR("error_description"));
	}
	if (code.ptr == NULL) {
		for (size_t i = 0; i < COUNT_OF(codes); i++)
			if (r->status == codes[i].status)
				word = codes[i].code;
		code = arena_printf(&a, "\"%s\"", word);
		if (r->status != 401)
			message = arena_printf(
			    &a, "\"the server answered %ld\"", r->status);
	}
	write_error(out, code, message, &a);
	arena_fini(&a);
}

/* --- files --------------------------------------------------------------- */

#define NAME_MAX_LEN 100

struct str
output_file_name(struct arena *a, struct str disposition)
{
	struct str name = STR_NULL;
	struct buf b = { 0 };

	while (disposition.ptr != NULL) {
		struct str part = str_trim(str_cut(&disposition, ';'));
		struct str key = str_trim(str_cut(&part, '='));

		if (str_eq_nocase(key, STR("filename")) && part.ptr != NULL)
			name = str_trim(part);
	}
	for (size_t i = 0; name.ptr != NULL && i < name.len; i++) {
		unsigned char c = (unsigned char)name.ptr[i];

		if (c == '/' || c == '\\')
			buf_clear(&b); /* what follows is the name */
		else if (c == '"' || (c == '.' && b.len == 0))
			continue;
		else if (b.len < NAME_MAX_LEN)
			buf_addc(&b,
			    isalnum(c) || strchr("._-", c) != NULL ? (char)c
								   : '_');
	}
	name = b.len > 0 ? arena_str(a, buf_str(&b)) : STR("list.csv");
	buf_free(&b);
	return name;
}

int
output_save(
    const struct fetched *r, struct arena *a, struct str *name, struct err *err)
{
	struct str left = r->body;
	char *path;
	int fd, rc = 0;

	*name = output_file_name(a, r->disposition);
	path = arena_z(a, *name);
	/* not through a link, which may lead elsewhere */
	fd = open(
	    path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0644);
	if (fd < 0)
		return err_errno(err, "create %s", path);
	while (rc == 0 && left.len > 0) {
		ssize_t n = write(fd, left.ptr, left.len);

		if (n < 0 && errno != EINTR)
			rc = err_errno(err, "write %s", path);
		else if (n > 0)
			left =
			    (struct str){ left.ptr + n, left.len - (size_t)n };
	}
	if (close(fd) < 0 && rc == 0)
		rc = err_errno(err, "write %s", path);
	return rc;
}
