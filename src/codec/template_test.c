#include "codec/template.h"

#include "base/base.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const struct template_var vars[] = {
	{ "name", { "Ann", 3 } },
	{ "sly", { "<a href=\"x\">'&", 15 } },
	{ "empty", { "", 0 } },
	{ "missing", { NULL, 0 } },
};

/* Renders a copy of exactly this length, so that ASan sees a read beyond. */
static int
render(struct buf *out, const char *text, struct err *err)
{
	size_t len = strlen(text);
	char *copy = malloc(len + 1);
	int rc, checked;

	memcpy(copy, text, len);
	copy = realloc(copy, len > 0 ? len : 1);
	checked = template_check((struct str){ copy, len }, NULL);
	rc = template_render(
	    out, (struct str){ copy, len }, vars, COUNT_OF(vars), err);
	assert_int_equal(checked, rc);
	free(copy);
	return rc;
}

static void
gives(const char *text, const char *want)
{
	struct buf out = { 0 };
	struct err err;

	if (render(&out, text, &err) != 0)
		fail_msg("%s: %s", text, err.text);
	assert_string_equal(buf_z(&out), want);
	buf_free(&out);
}

static void
is_refused(const char *text, const char *why)
{
	struct buf out = { 0 };
	struct err err = { 0 };

	buf_addz(&out, "before");
	assert_int_equal(render(&out, text, &err), ERR_PARAM);
	if (strstr(err.text, why) == NULL)
		fail_msg("%s: \"%s\" lacks \"%s\"", text, err.text, why);
	assert_string_equal(buf_z(&out), "before");
	buf_free(&out);
}

static void
text_without_tags_stays_as_it_is(void **state)
{
	(void)state;
	gives("", "");
	gives("a { b } c %} }} #} {", "a { b } c %} }} #} {");
	gives("body { color: red }\n", "body { color: red }\n");
}

static void
a_name_is_replaced_by_its_value(void **state)
{
	(void)state;
	gives("Hello {{ name }}!", "Hello Ann!");
	gives("{{name}}{{ name}}", "AnnAnn");
	gives("[{{ empty }}{{ missing }}{{ nobody }}]", "[]");
}

static void
values_are_made_harmless_unless_they_are_called_safe(void **state)
{
	(void)state;
	gives("{{ sly }}", "&lt;a href=&quot;x&quot;&gt;&#39;&amp;");
	gives("{{ sly | safe }}", "<a href=\"x\">'&");
	gives("{{sly|safe}}", "<a href=\"x\">'&");
}

static void
a_value_is_never_read_as_a_template(void **state)
{
	static const struct template_var evil[] = {
		{ "a", { "{{ b }}{% if", 12 } },
		{ "b", { "secret", 6 } },
	};
	struct buf out = { 0 };

	(void)state;
	assert_int_equal(
	    template_render(&out, STR("{{ a | safe }}"), evil, 2, NULL), 0);
	assert_string_equal(buf_z(&out), "{{ b }}{% if");
	buf_free(&out);
}

static void
an_if_shows_what_is_given_and_not_empty(void **state)
{
	(void)state;
	gives("{% if name %}yes{% endif %}", "yes");
	gives("{% if empty %}yes{% endif %}", "");
	gives("{% if missing %}yes{% else %}no{% endif %}", "no");
	gives("{% if nobody %}yes{% endif %}", "");
	gives("{% if not nobody %}no{% endif %}", "no");
	gives("{% if not name %}no{% else %}yes{% endif %}", "yes");
}

static void
a_name_can_be_compared_with_a_text(void **state)
{
	(void)state;
	gives("{% if name == \"Ann\" %}1{% endif %}", "1");
	gives("{% if name=='Ann' %}1{% endif %}", "1");
	gives("{% if name == \"Bob\" %}1{% else %}2{% endif %}", "2");
	gives("{% if name != \"Bob\" %}1{% endif %}", "1");
	gives("{% if missing == \"\" %}1{% else %}2{% endif %}", "2");
	gives("{% if not name == \"Bob\" %}1{% endif %}", "1");
	gives("{% if name == \"%}\" %}1{% else %}2{% endif %}", "2");
}

static void
only_the_first_branch_that_holds_is_shown(void **state)
{
	(void)state;
	gives("{% if empty %}1{% elif name %}2{% elif sly %}3{% else %}4"
	      "{% endif %}",
	    "2");
	gives("{% if name %}1{% elif name %}2{% else %}3{% endif %}", "1");
	gives("{% if empty %}1{% elif empty %}2{% else %}3{% endif %}", "3");
}

static void
ifs_lie_within_each_other(void **state)
{
	(void)state;
	gives("{% if name %}a{% if empty %}b{% else %}c{% endif %}d{% endif %}",
	    "acd");
	gives("{% if empty %}a{% if name %}b{% else %}c{% endif %}d{% else %}e"
	      "{% endif %}",
	    "e");
}

static void
comments_are_left_out(void **state)
{
	(void)state;
	gives("a{# {{ name }} {% if #}b", "ab");
	gives("a{##}b", "ab");
	gives("a {#- x -#} b", "ab");
}

static void
a_dash_cuts_white_space_next_to_a_mark(void **state)
{
	(void)state;
	gives("a \n {{- name -}} \t\n b", "aAnnb");
	gives("a {% if name -%} b {%- endif %} c", "a b c");
	gives("  {{- name }}", "Ann");
	gives("{{ name -}}  ", "Ann");
	gives("a - {{ name }} - b", "a - Ann - b");
}

static void
anything_else_is_refused_with_its_line(void **state)
{
	(void)state;
	is_refused("{{ name", "line 1: a tag is not closed");
	is_refused("a\nb {{ }}", "line 2: {{ }} needs a name");
	is_refused("{{", "line 1");
	is_refused("{%", "line 1");
	is_refused("{#", "a comment is not closed");
	is_refused("{{ name | upper }}", "the only filter is `safe`");
	is_refused("{{ name | safe | safe }}", "one name");
	is_refused("{{ user.name }}", "not supported");
	is_refused("{{ 1 }}", "not supported");
	is_refused("{{ \"text\" }}", "needs a name");
	is_refused("{{ a b }}", "one name");
	is_refused("{% for x in y %}{% endfor %}", "only if, elif");
	is_refused("{% include \"x\" %}", "only if, elif");
	is_refused("{% if name and sly %}{% endif %}", "not supported");
	is_refused("{% if %}{% endif %}", "begins with a name");
	is_refused("{% if name == sly %}{% endif %}", "with a \"text\"");
	is_refused("{% if name == \"x %}{% endif %}", "no closing quote");
	is_refused("{% if name == \"\\\" %}{% endif %}", "not supported");
	is_refused("\n\n{% if name %}", "line 3: an {% if %} has no {% endif");
	is_refused("{% endif %}", "without its {% if %}");
	is_refused("{% else %}", "without its {% if %}");
	is_refused("{% if name %}{% else %}{% else %}{% endif %}", "without");
	is_refused("{% if name %}{% else %}{% elif sly %}{% endif %}",
	    "without its {% if %}");
	is_refused("{% if name %}{% endif name %}", "where it should end");
	is_refused("{% if name %}{{ name | safe", "not closed");
}

static void
an_error_in_a_branch_that_is_not_shown_is_found_too(void **state)
{
	(void)state;
	is_refused("{% if nobody %}{{ a b }}{% endif %}", "one name");
}

static void
ifs_are_nested_only_so_deep(void **state)
{
	struct buf b = { 0 };

	(void)state;
	for (int i = 0; i < 16; i++)
		buf_addz(&b, "{% if name %}");
	buf_addz(&b, "x");
	for (int i = 0; i < 16; i++)
		buf_addz(&b, "{% endif %}");
	gives(buf_z(&b), "x");
	buf_clear(&b);
	for (int i = 0; i < 17; i++)
		buf_addz(&b, "{% if name %}");
	is_refused(buf_z(&b), "too many");
	buf_free(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(text_without_tags_stays_as_it_is),
		cmocka_unit_test(a_name_is_replaced_by_its_value),
		cmocka_unit_test(
		    values_are_made_harmless_unless_they_are_called_safe),
		cmocka_unit_test(a_value_is_never_read_as_a_template),
		cmocka_unit_test(an_if_shows_what_is_given_and_not_empty),
		cmocka_unit_test(a_name_can_be_compared_with_a_text),
		cmocka_unit_test(only_the_first_branch_that_holds_is_shown),
		cmocka_unit_test(ifs_lie_within_each_other),
		cmocka_unit_test(comments_are_left_out),
		cmocka_unit_test(a_dash_cuts_white_space_next_to_a_mark),
		cmocka_unit_test(anything_else_is_refused_with_its_line),
		cmocka_unit_test(
		    an_error_in_a_branch_that_is_not_shown_is_found_too),
		cmocka_unit_test(ifs_are_nested_only_so_deep),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
