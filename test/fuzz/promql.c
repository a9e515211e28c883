/*
 * test/fuzz/promql.c - any bytes as an expression, over a few series: refused
 * with a place, or evaluated within its limits, at an instant and over a range,
 * with the same end both times it is asked.
 */
#include "codec/promql.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
must(bool holds)
{
	if (!holds)
		abort();
}

/* Every selector gets all of it: what matches is the store's work. */
static int
fetch(void *ctx, const struct promql_ask *ask, struct promql_sink *sink,
    struct err *err)
{
	static const char *const names[] = { "a", "b", "c" };

	(void)ctx;
	must(ask->n > 0 && ask->n <= PROMQL_MATCHERS_MAX);
	must(ask->from < ask->to);
	for (size_t i = 0; i < 6; i++) {
		const struct promql_label labels[] = {
			{ STR("__name__"), str_of(names[i % 3]) },
			{ STR("x"), str_of(names[i / 3]) },
			{ STR("y"), STR("label_1:value") },
		};

		if (!promql_series(sink, labels, 3))
			return err_set(err, ERR_LIMIT, "not told");
		for (int64_t at = 0; at < 600000; at += 45000 + (int64_t)i) {
			double v = (double)((at / 1000 * 7 + 3) % 91) - 20;

			if (at >= ask->from && at < ask->to &&
			    !promql_points(sink, &at, &v, NULL, 1))
				return err_set(err, ERR_LIMIT, "not told");
		}
	}
	return 0;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct promql_source source = { .fetch = fetch };
	static const struct promql_run runs[] = {
		{ .start = 600000, .end = 600000, .samples_max = 20000 },
		{ .start = 0,
		    .end = 600000,
		    .step = 60000,
		    .series_max = 50,
		    .samples_max = 20000 },
	};
	struct str text = { (const char *)data, size };
	struct arena a = { 0 };
	struct promql_matcher *match;
	struct promql_result r;
	struct promql *p;
	struct err err;
	size_t n;

	if (size > 2000)
		return 0;
	if (promql_parse_selector(&a, text, &match, &n, &err) == 0)
		must(n > 0 && n <= PROMQL_MATCHERS_MAX);
	if (promql_parse(&a, text, &p, &err) != 0)
		must(strncmp(err.text, "parse error at ", 15) == 0);
	else
		for (int i = 0; i < 2; i++) {
			struct buf b = { 0 };
			struct json_out o;

			if (promql_eval(&a, p, &runs[i], &source, &r, &err) !=
			    0) {
				must(err.text[0] != '\0');
				continue;
			}
			json_out_init(&o, &b, false);
			promql_put(&o, &r);
			must(json_valid(buf_str(&b), 0));
			buf_free(&b);
		}
	arena_fini(&a);
	return 0;
}
