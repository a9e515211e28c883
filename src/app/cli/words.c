/*
 * app/cli/words.c - see words.h.
 *
 * A value stands behind its option as the next word, or joined to it:
 * "--name=value", "-nvalue", "-n=value". A word that is itself an option of the
 * command is never taken for the value of the one before it; who needs such a
 * value joins it.
 */
#include "app/cli/words.h"

#include "base/base.h"

#include <string.h>

struct reader {
	const struct cli_command *c;
	const struct cli_common *common;
	struct arena *arena;
	int argc, i;
	char **argv;
	struct cli_value *values;
};

/* What a word says, when it is an option. */
struct hit {
	size_t at;                       /* in c->options, unless common */
	const struct cli_common *common; /* or NULL */
	bool help;
	struct str joined; /* the value in the same word, or STR_NULL */
};

static bool
long_hit(const struct reader *r, struct str word, struct hit *ret)
{
	struct str name = str_cut(&word, '=');

	ret->joined = word;
	if (str_eqz(name, "help") && word.ptr == NULL)
		return ret->help = true;
	for (size_t k = 0; k < r->c->n_options; k++)
		if (str_eqz(name, r->c->options[k].name)) {
			ret->at = k;
			return true;
		}
	for (ret->common = r->common;
	     ret->common != NULL && ret->common->name != NULL; ret->common++)
		if (str_eqz(name, ret->common->name))
			return true;
	return false;
}

static bool
takes_nothing(const struct cli_option *o)
{
	return o->field != NULL && o->field->type == FIELD_BOOL;
}

static bool
short_hit(const struct reader *r, const char *word, struct hit *ret)
{
	char letter = word[0];
	struct str tail = str_of(word + 1);

	if (tail.len > 0 && tail.ptr[0] == '=')
		tail = (struct str){ tail.ptr + 1, tail.len - 1 };
	ret->joined = word[1] != '\0' ? tail : STR_NULL;
	for (size_t k = 0; k < r->c->n_options; k++)
		if (r->c->options[k].letter == letter) {
			ret->at = k;
			return ret->joined.ptr == NULL || word[1] == '=' ||
			    !takes_nothing(&r->c->options[k]);
		}
	if (strcmp(word, "h") == 0)
		return ret->help = true;
	for (ret->common = r->common;
	     ret->common != NULL && ret->common->name != NULL; ret->common++)
		if (ret->common->letter == letter)
			return true;
	return false;
}

static bool
is_option(const struct reader *r, const char *word, struct hit *ret)
{
	*ret = (struct hit){ 0 };
	if (word[0] != '-' || word[1] == '\0')
		return false;
	if (word[1] == '-')
		return long_hit(r, str_of(word + 2), ret);
	return short_hit(r, word + 1, ret);
}

/* A word that ends a list of values: an option, or one that looks like it. */
static bool
ends_values(const struct reader *r, const char *word)
{
	struct hit h;

	return is_option(r, word, &h) ||
	    (word[0] == '-' && word[1] == '-' && word[2] != '\0');
}

static void
take(struct reader *r, struct cli_value *v, struct str word)
{
	/* as many as there are words at most: argc bounds them */
	if (v->words.at == NULL)
		v->words.at =
		    arena_array(r->arena, (size_t)r->argc + 1, struct str);
	v->words.at[v->words.n++] = word;
}

static bool
is_truth(const char *word)
{
	return strcmp(word, "true") == 0 || strcmp(word, "false") == 0;
}

static int
missing_value(const char *option, struct err *err)
{
	return err_set(err, ERR_PARAM,
	    "%s: a value must follow (one that begins with a dash is joined "
	    "with `=`)",
	    option);
}

static int
take_values(struct reader *r, const struct hit *h, struct err *err)
{
	struct cli_value *v = &r->values[h->at];
	const struct cli_option *o = v->option;
	const char *name = r->argv[r->i];

	if (v->given && !o->many)
		return err_set(err, ERR_PARAM, "%s: given twice", name);
	v->given = true;
	if (h->joined.ptr != NULL)
		take(r, v, h->joined);
	while (r->i + 1 < r->argc && (o->many || h->joined.ptr == NULL)) {
		const char *next = r->argv[r->i + 1];

		if (ends_values(r, next) ||
		    (takes_nothing(o) && !is_truth(next)))
			break;
		take(r, v, str_of(next));
		r->i++;
		if (!o->many)
			break;
	}
	if (v->words.n == 0 && !o->maybe && !o->many)
		return missing_value(name, err);
	return 0;
}

static int
take_common(struct reader *r, const struct hit *h, struct err *err)
{
	const char *name = r->argv[r->i];

	if (h->joined.ptr != NULL)
		*h->common->target = h->joined.ptr;
	else if (r->i + 1 < r->argc)
		*h->common->target = r->argv[++r->i];
	else
		return missing_value(name, err);
	return 0;
}

static int
check_required(const struct reader *r, struct err *err)
{
	for (size_t k = 0; k < r->c->n_options; k++) {
		const struct cli_option *o = &r->c->options[k];

		if (!o->required || r->values[k].given)
			continue;
		if (o->letter != 0)
			return err_set(err, ERR_PARAM, "--%s (-%c) is required",
			    o->name, o->letter);
		return err_set(err, ERR_PARAM, "--%s is required", o->name);
	}
	return 0;
}

int
cli_words_read(const struct cli_command *c, const struct cli_common *common,
    int argc, char **argv, struct arena *a, struct cli_value **ret,
    struct err *err)
{
	struct reader r = {
		.c = c, .common = common, .arena = a, .argc = argc, .argv = argv
	};
	int rc;

	r.values = arena_array(a, c->n_options + 1, struct cli_value);
	for (size_t k = 0; k < c->n_options; k++)
		r.values[k].option = &c->options[k];
	for (; r.i < argc; r.i++) {
		struct hit h;

		if (!is_option(&r, argv[r.i], &h))
			return err_set(err, ERR_PARAM,
			    argv[r.i][0] == '-' ? "%s: there is no such option"
						: "%s: what is it? Values "
						  "stand behind an option",
			    argv[r.i]);
		if (h.help)
			return 1;
		rc = h.common != NULL ? take_common(&r, &h, err)
				      : take_values(&r, &h, err);
		if (rc != 0)
			return rc;
	}
	rc = check_required(&r, err);
	if (rc == 0)
		*ret = r.values;
	return rc;
}

const struct cli_value *
cli_given(const struct cli_command *c, const struct cli_value *values,
    const char *name)
{
	for (size_t k = 0; k < c->n_options; k++)
		if (strcmp(c->options[k].name, name) == 0)
			return values[k].given ? &values[k] : NULL;
	return NULL;
}

struct str
cli_text(const struct cli_command *c, const struct cli_value *values,
    const char *name)
{
	const struct cli_value *v = cli_given(c, values, name);

	return v != NULL && v->words.n > 0 ? v->words.at[0] : STR_NULL;
}

/* --- help ---------------------------------------------------------------- */

/* What stands for the value. */
static const char *
value_name(const struct cli_option *o)
{
	if (o->form == CLI_MS)
		return "TIME";
	if (o->form == CLI_NAMES)
		return "NAME...";
	if (o->many)
		return o->form == CLI_JOINED ? "KEY..." : "TEXT...";
	if (o->field == NULL)
		return "ID";
	switch (o->field->type) {
	case FIELD_INT:
	case FIELD_REAL:
		return "NUMBER";
	case FIELD_TIME:
		return "TIME";
	case FIELD_BOOL:
		return "[true|false]";
	case FIELD_JSON:
	case FIELD_RECORD:
	case FIELD_RECORDS:
		return "JSON";
	default:
		return o->maybe ? "[TEXT]" : "TEXT";
	}
}

static const char *
option_help(const struct cli_option *o)
{
	if (o->form == CLI_MS)
		return "Time in RFC 3339: 2023-07-08T06:55:02Z.";
	if (o->form == CLI_PAYLOAD)
		return "The data: text, or hex with --type hex.";
	if (o->field != NULL && o->field->help != NULL)
		return o->field->help;
	return o->place == CLI_PATH ? "Which one." : "";
}

#define LEFT 34 /* columns of option and value */

static void
help_option(struct buf *out, const struct cli_option *o)
{
	struct buf left = { 0 };

	if (o->letter != 0)
		buf_addf(&left, "-%c, ", o->letter);
	else
		buf_addz(&left, "    ");
	buf_addf(&left, "--%s %s", o->name, value_name(o));
	buf_addf(out, "  %-*s ", LEFT - 3, buf_z(&left));
	if (left.len > LEFT - 3)
		buf_addf(out, "\n%*s", LEFT, "");
	buf_addf(
	    out, "%s%s\n", option_help(o), o->required ? " Required." : "");
	buf_free(&left);
}

void
cli_help_command(
    struct buf *out, const char *program, const struct cli_command *c)
{
	buf_addf(out, "Usage: %s %s%s%s%s\n\n%s\n", program, c->group,
	    c->verb[0] != '\0' ? " " : "", c->verb,
	    c->n_options > 0 ? " [options]" : "",
	    c->help != NULL ? c->help : "");
	if (c->n_options > 0)
		buf_addz(out, "\nOptions:\n");
	for (size_t k = 0; k < c->n_options; k++)
		help_option(out, &c->options[k]);
}

void
cli_help_group(struct buf *out, const char *program,
    const struct cli_commands *all, struct str group)
{
	buf_addf(out, "Usage: %s " STR_FMT " <sub-command> [options]\n\n",
	    program, STR_ARG(group));
	for (size_t i = 0; i < all->n; i++)
		if (str_eqz(group, all->at[i].group))
			buf_addf(out, "  %-16s %s\n", all->at[i].verb,
			    all->at[i].help != NULL ? all->at[i].help : "");
	buf_addf(out,
	    "\n`%s " STR_FMT " <sub-command> --help` tells the options.\n",
	    program, STR_ARG(group));
}
