/*
 * core/auth/page.c - what the sign-in pages have in common.
 *
 * The built-in pages bring their own style, run no script and load nothing, so
 * their policy forbids all else. An operator's own page may load what it likes;
 * only frames are forbidden to it, since a page in a frame can be clicked by
 * stealth. `form-action` is left out on purpose: browsers apply it to the
 * redirect that follows, and that leads to the client.
 */
#include "core/auth/private.h"

#include "auth_pages.h"
#include "base/base.h"

#include <string.h>

#define VARS_MAX 24

#define POLICY                                                                 \
	"default-src 'none'; style-src 'unsafe-inline'; img-src data:; "       \
	"base-uri 'none'; frame-ancestors 'none'"
#define POLICY_OWN "frame-ancestors 'none'"

void
auth_no_store(struct http_call *c)
{
	http_header(c, "Cache-Control", STR("no-store"));
	http_header(c, "Pragma", STR("no-cache"));
}

void
auth_page(struct http_call *c, int status, struct str own, const char *builtin,
    const struct template_var *vars, size_t n)
{
	struct template_var all[VARS_MAX];
	struct err err;

	memcpy(all, vars, n * sizeof(*vars));
	all[n++] = (struct template_var){ "scope_path", STR("/auth") };
	all[n++] = (struct template_var){ "style", str_of(embed_style_css) };
	all[n++] = (struct template_var){ "logo", str_of(embed_logo_svg) };
	http_text(c, status, "text/html; charset=utf-8", STR(""));
	if (template_render(&c->out, own.ptr != NULL ? own : str_of(builtin),
		all, n, &err) != 0) {
		http_error(c, 500, "err_unknown", "%s", err.text);
		return;
	}
	http_header(c, "Content-Security-Policy",
	    own.ptr != NULL ? STR(POLICY_OWN) : STR(POLICY));
	http_header(c, "X-Frame-Options", STR("DENY"));
	http_header(c, "X-Content-Type-Options", STR("nosniff"));
	http_header(c, "Referrer-Policy", STR("no-referrer"));
	auth_no_store(c);
}

bool
auth_wants_page(const struct http_call *c)
{
	struct str list = c->accept;

	while (list.ptr != NULL) {
		struct str item = str_cut(&list, ',');
		struct str type = str_trim(str_cut(&item, ';'));

		if (str_eq_nocase(type, STR("text/html")))
			return true;
		if (str_eq_nocase(type, STR("application/json")))
			return false;
	}
	return false;
}

bool
auth_form(struct http_call *c, struct url_form *f)
{
	struct str type = c->content_type;
	struct str kind = str_trim(str_cut(&type, ';'));

	if (str_eq_nocase(kind, STR("application/x-www-form-urlencoded"))) {
		*f = url_form_parse(&c->arena, c->body);
		return true;
	}
	auth_oauth2_error(c, 400, "invalid_request",
	    "the body must come with Content-Type: "
	    "application/x-www-form-urlencoded");
	return false;
}

void
auth_oauth2_error(
    struct http_call *c, int status, const char *error, const char *description)
{
	struct json_out *o = http_json(c, status);

	json_out_object(o);
	json_out_key(o, "error");
	json_out_str(o, str_of(error));
	if (description != NULL) {
		json_out_key(o, "error_description");
		json_out_str(o, str_of(description));
	}
	json_out_end_object(o);
	auth_no_store(c);
}

void
auth_oauth2_db_error(struct http_call *c, const struct err *err)
{
	auth_oauth2_error(c, 503, "temporarily_unavailable", err->text);
}
