/*
 * plug/metric/find.c - series by label matchers, as in Prometheus.
 *
 * Patterns come from people over the network. The C library's matcher takes
 * polynomial time and memory without back-references and counted repetition,
 * so those two are refused.
 */
#include "plug/metric/ops.h"

#include "base/base.h"
#include "base/map.h"

#include <regex.h>
#include <stdlib.h>
#include <string.h>

struct compiled {
	struct metric_matcher m;
	regex_t re;
	bool has_re;
};

static bool
pattern_ok(struct str s)
{
	bool in_set = false;

	if (s.len > METRIC_PATTERN_MAX || memchr(s.ptr, '\0', s.len) != NULL)
		return false;
	for (size_t i = 0; i < s.len; i++) {
		char c = s.ptr[i];

		if (in_set) {
			in_set = c != ']';
		} else if (c == '\\') {
			if (++i == s.len ||
			    (s.ptr[i] >= '0' && s.ptr[i] <= '9'))
				return false;
		} else if (c == '{') {
			return false;
		} else if (c == '[') {
			in_set = true;
			/* "[]...]" and "[^]...]" begin with a bracket */
			if (i + 1 < s.len && s.ptr[i + 1] == '^')
				i++;
			if (i + 1 < s.len && s.ptr[i + 1] == ']')
				i++;
		}
	}
	return true;
}

static void
forget(struct compiled *c, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (c[i].has_re)
			regfree(&c[i].re);
}

static int
compile(struct compiled *c, const struct metric_matcher *m, size_t n,
    struct err *err)
{
	if (n > METRIC_MATCHERS_MAX)
		return err_set(err, ERR_PARAM, "more than %d matchers",
		    METRIC_MATCHERS_MAX);
	for (size_t i = 0; i < n; i++) {
		struct buf whole = { 0 };
		int rc = 0;

		c[i] = (struct compiled){ .m = m[i] };
		if (m[i].op < METRIC_EQ || m[i].op > METRIC_NOT_RE) {
			rc = err_set(err, ERR_PARAM, "no such matcher");
		} else if (m[i].op >= METRIC_RE) {
			if (pattern_ok(m[i].value)) {
				buf_addf(&whole, "^(" STR_FMT ")$",
				    STR_ARG(m[i].value));
				c[i].has_re =
				    regcomp(&c[i].re, buf_z(&whole),
					REG_EXTENDED | REG_NOSUB) == 0;
			}
			if (!c[i].has_re)
				rc = err_set(err, ERR_PARAM,
				    "a bad pattern: %.*s",
				    (int)MIN_OF(m[i].value.len, (size_t)80),
				    m[i].value.ptr);
		}
		buf_free(&whole);
		if (rc != 0) {
			forget(c, i + 1);
			return rc;
		}
	}
	return 0;
}

/* The value of a label, "" if the series has none; NUL-terminated. */
static struct str
label_of(const struct metric_series *s, struct str name)
{
	if (str_eqz(name, "__name__"))
		return s->name;
	for (size_t i = 0; i < s->n_labels; i++)
		if (str_eq(s->labels[i].name, name))
			return s->labels[i].value;
	return STR("");
}

static bool
matches(const struct metric_series *s, const struct compiled *c, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct str v = label_of(s, c[i].m.label);
		bool same = c[i].has_re
		    ? regexec(&c[i].re, v.ptr, 0, NULL, 0) == 0
		    : str_eq(
			  v, c[i].m.value.ptr == NULL ? STR("") : c[i].m.value);

		if (same != (c[i].m.op == METRIC_EQ || c[i].m.op == METRIC_RE))
			return false;
	}
	return true;
}

/* Calls each() for every series that matches, until it is false. */
static int
each_match(struct metric *m, const struct metric_matcher *match, size_t n,
    bool (*each)(void *ctx, const struct metric_series *s), void *ctx,
    struct err *err)
{
	struct compiled c[METRIC_MATCHERS_MAX];
	int rc;

	rc = compile(c, match, n, err);
	if (rc != 0)
		return rc;
	metric_lock(m);
	for (uint32_t id = 1; id < metric_end(m); id++) {
		const struct metric_series *s = metric_at(m, id);

		if (s != NULL && matches(s, c, n) && !each(ctx, s))
			break;
	}
	metric_unlock(m);
	forget(c, n);
	return 0;
}

struct found {
	struct arena *a;
	size_t limit;
	bool over;
	struct buf list; /* struct metric_series */
};

static bool
add_found(void *ctx, const struct metric_series *s)
{
	struct found *f = ctx;
	struct metric_series copy;

	if (f->limit > 0 && f->list.len / sizeof(copy) == f->limit) {
		f->over = true;
		return false;
	}
	copy = metric_series_copy(f->a, s);
	buf_add(&f->list, &copy, sizeof(copy));
	return true;
}

int
metric_find(struct metric *m, const struct metric_matcher *match, size_t n,
    size_t limit, struct arena *a, struct metric_series **ret, size_t *n_ret,
    struct err *err)
{
	struct found f = { .a = a, .limit = limit };
	int rc;

	rc = each_match(m, match, n, add_found, &f, err);
	if (rc == 0 && f.over)
		rc = err_set(
		    err, ERR_LIMIT, "more than %zu series match", limit);
	if (rc == 0) {
		*n_ret = f.list.len / sizeof(struct metric_series);
		*ret = arena_array(a, *n_ret + 1, struct metric_series);
		if (*n_ret > 0)
			memcpy(*ret, f.list.ptr, f.list.len);
	}
	buf_free(&f.list);
	return rc;
}

/* Each text once. */
struct texts {
	struct arena *a;
	struct map seen;
	struct str label; /* whose values */
	struct buf list;  /* struct str */
};

static void
add_text(struct texts *t, struct str s)
{
	if (s.len == 0 || map_get(&t->seen, s) != NULL)
		return;
	s = arena_str(t->a, s);
	(void)map_put(&t->seen, s, t);
	buf_add(&t->list, &s, sizeof(s));
}

static bool
add_names(void *ctx, const struct metric_series *s)
{
	struct texts *t = ctx;

	add_text(t, STR("__name__"));
	for (size_t i = 0; i < s->n_labels; i++)
		add_text(t, s->labels[i].name);
	return true;
}

static bool
add_values(void *ctx, const struct metric_series *s)
{
	struct texts *t = ctx;

	add_text(t, label_of(s, t->label));
	return true;
}

static int
by_text(const void *a, const void *b)
{
	const struct str *x = a, *y = b;

	return str_cmp(*x, *y);
}

static int
list_texts(struct metric *m, const struct metric_matcher *match, size_t n,
    bool (*each)(void *ctx, const struct metric_series *s), struct texts *t,
    struct strs *ret, struct err *err)
{
	int rc;

	rc = each_match(m, match, n, each, t, err);
	if (rc == 0) {
		ret->n = t->list.len / sizeof(struct str);
		ret->at = NULL;
		if (ret->n > 0) {
			ret->at = arena_array(t->a, ret->n, struct str);
			memcpy(ret->at, t->list.ptr, t->list.len);
			qsort(ret->at, ret->n, sizeof(struct str), by_text);
		}
	}
	map_fini(&t->seen);
	buf_free(&t->list);
	return rc;
}

int
metric_label_names(struct metric *m, const struct metric_matcher *match,
    size_t n, struct arena *a, struct strs *ret, struct err *err)
{
	struct texts t = { .a = a };

	return list_texts(m, match, n, add_names, &t, ret, err);
}

int
metric_label_values(struct metric *m, struct str label,
    const struct metric_matcher *match, size_t n, struct arena *a,
    struct strs *ret, struct err *err)
{
	struct texts t = { .a = a, .label = label };

	return list_texts(m, match, n, add_values, &t, ret, err);
}
