/*
 * codec/template.h - the parts of Jinja2 that sign-in pages use.
 *
 * {{ name }} (HTML-escaped; {{ name | safe }} is not), {% if name %},
 * {% if not name %}, {% if name == "text" %} (and !=), {% elif %}, {% else %},
 * {% endif %}, {# comment #}, and "-" next to a mark to cut white space. A name
 * that is not given, or empty, is false. Anything else is an error when the
 * template is checked.
 */
#ifndef CODEC_TEMPLATE_H
#define CODEC_TEMPLATE_H

#include "base/err.h"
#include "base/str.h"

struct template_var {
	const char *name;
	struct str value; /* STR_NULL: not given */
};

/* 0 when the template can be rendered; else where and why not. */
int template_check(struct str text, struct err *err);
/* Renders into `out`; on an error `out` is as before. */
int template_render(struct buf *out, struct str text,
    const struct template_var *vars, size_t n, struct err *err);
/* Text made harmless for HTML, quotes too. */
void html_escape(struct buf *out, struct str s);

#endif
