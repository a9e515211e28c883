/*
 * plug/metric/settings_test.c - the defaults are settings that open.
 */
#include "plug/metric/metric.h"

#include "base/base.h"
#include "base/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void
the_defaults_open_a_store(void **state)
{
	struct metric_settings set = { 0 };
	const struct conf_section sections[] = {
		{ .prefix = "hub.metric",
		    .help = "metrics",
		    .fields = metric_fields,
		    .values = &set },
		{ 0 },
	};
	struct conf *c = conf_new(sections);
	char dir[] = "/tmp/metric-XXXXXX", rm[64];
	struct metric *m;
	struct err err;

	(void)state;
	assert_non_null(mkdtemp(dir));
	if (conf_apply(c, &err) != 0)
		fail_msg("%s", err.text);
	assert_string_equal(metric_engines[set.engine], "sqlite");
	assert_true(set.sync);
	assert_int_equal(set.keep_raw, INT64_C(90) * 86400000);
	assert_int_equal(set.keep_hour, INT64_C(3650) * 86400000);
	assert_str(set.prefix, "mc");
	if (metric_open(&set, dir, &m, &err) != 0)
		fail_msg("%s", err.text);
	metric_close(m);
	/* a second process on the same data is refused */
	if (metric_open(&set, dir, &m, &err) != 0)
		fail_msg("%s", err.text);
	struct metric *second;

	assert_int_equal(metric_open(&set, dir, &second, &err), ERR_EXISTS);
	metric_close(m);
	conf_free(c);
	snprintf(rm, sizeof(rm), "rm -r %s", dir);
	assert_int_equal(system(rm), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_defaults_open_a_store),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
