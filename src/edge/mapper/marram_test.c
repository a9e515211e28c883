/*
 * edge/mapper/marram_test.c - what is too long to stand in golden/marram.txt.
 */
#include "edge/mapper/double.h"

#include "base/base.h"
#include "base/mem.h"
#include "base/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LIST "te/device/main///cmd/software_list/x-1"

struct fixture {
	struct mapper_double d;
	char folder[40];
	struct config *config;
	void *m;
};

static void
open_it(struct fixture *f, const char *max_payload)
{
	struct mapper_conf conf = { .device_id = STR("device01"),
		.root = STR("te"),
		.main_entity = STR("device/main//") };
	char *file;
	struct err err = { 0 };

	*f = (struct fixture){ .folder = "/tmp/marram-mapper-XXXXXX" };
	mapper_double_init(&f->d);
	assert_non_null(mkdtemp(f->folder));
	if (config_open(f->folder, &f->config, &err) != 0 ||
	    config_set(f->config, STR("marram.mapper.mqtt.max_payload_size"),
		str_of(max_payload), &err) != 0)
		fail_msg("%s", err.text);
	conf.cloud = (struct cloud){ f->config, "marram", STR_NULL };
	assert_int_equal(mapper_marram.open(&conf, &f->d.host, &f->m, &err), 0);
	mapper_double_begin(&f->d, &mapper_marram, f->m);
	file = mem_printf("%s/tedge.toml", f->folder);
	(void)unlink(file);
	free(file);
	(void)rmdir(f->folder);
}

static void
close_it(struct fixture *f)
{
	mapper_marram.close(f->m);
	config_close(f->config);
	mapper_double_fini(&f->d);
}

/* The end of a list of `n` packages with names of `len` letters. */
static void
hear_list(struct fixture *f, int n, int len)
{
	struct mapper_msg m = { .topic = STR(LIST), .qos = 1 };
	struct buf list = { 0 };
	struct arena a = { 0 };

	buf_addz(&list,
	    "{\"status\":\"successful\",\"currentSoftwareList\":[{\"type\":"
	    "\"apt\",\"modules\":[");
	for (int i = 0; i < n; i++)
		buf_addf(&list, "%s{\"name\":\"%0*d\",\"version\":\"1\"}",
		    i > 0 ? "," : "", len, i);
	buf_addz(&list, "]}]}");
	m.payload = buf_str(&list);
	buf_clear(&f->d.said);
	mapper_marram.message(f->m, &m, &a);
	buf_free(&list);
	arena_fini(&a);
}

/* Pages that went out, none larger than `max`, and the names in them. */
static int
pages(struct fixture *f, size_t max, int *names)
{
	struct str rest = buf_str(&f->d.said);
	int n = 0;

	*names = 0;
	while (rest.len > 0) {
		struct str line = str_cut(&rest, '\n');
		const char *z = memchr(line.ptr, '[', line.len);

		if (!str_starts(line, STR("out marram/up/main/-/software/")))
			continue;
		n++;
		assert_non_null(z);
		assert_true(line.len - (size_t)(z - line.ptr) <= max);
		for (size_t i = 0; i + 7 < line.len; i++)
			*names += memcmp(line.ptr + i, "\"name\":", 7) == 0;
	}
	return n;
}

static void
pages_of_software_are_no_larger_than_a_message_may_be(void **state)
{
	struct fixture f;
	int names;

	(void)state;
	open_it(&f, "200");
	hear_list(&f, 10, 20);
	assert_int_equal(pages(&f, 200, &names), 4);
	assert_int_equal(names, 10);
	assert_null(strstr(buf_z(&f.d.said), "errors"));
	close_it(&f);
}

static void
what_is_left_out_of_a_list_is_told(void **state)
{
	struct fixture f;
	int names;

	(void)state;
	open_it(&f, "128");
	hear_list(&f, 70, 60); /* one on a page */
	assert_int_equal(pages(&f, 128, &names), 64);
	assert_int_equal(names, 64);
	assert_non_null(strstr(buf_z(&f.d.said),
	    "out te/errors q1 6 packages are left out of the list of software: "
	    "it is too long\n"));
	hear_list(&f, 2, 100); /* none fits */
	assert_int_equal(pages(&f, 128, &names), 1);
	assert_int_equal(names, 0);
	assert_non_null(strstr(buf_z(&f.d.said), "2 packages are left out"));
	close_it(&f);
}

/* "in TOPIC PAYLOAD" */
static void
hear(struct fixture *f, const char *topic, struct str payload)
{
	struct mapper_msg m = { str_of(topic), payload, 1, true, false };
	struct arena a = { 0 };

	buf_clear(&f->d.said);
	mapper_marram.message(f->m, &m, &a);
	arena_fini(&a);
}

static void
the_end_of_a_command_is_told_however_long_it_is(void **state)
{
	struct buf text = { 0 };
	struct fixture f;

	(void)state;
	open_it(&f, "200");
	buf_addz(&text, "{\"status\":\"failed\",\"reason\":\"");
	for (int i = 0; i < 300; i++)
		buf_addc(&text, 'x');
	buf_addz(&text, "\"}");
	hear(&f, "te/device/main///cmd/restart/marram-7", buf_str(&text));
	assert_string_equal(buf_z(&f.d.said),
	    "out marram/up/main/-/cmd/restart/7 q1 {\"status\":\"failed\","
	    "\"reason\":\"331 bytes are more than the limit of 200\"}\n");
	buf_free(&text);
	close_it(&f);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
		    pages_of_software_are_no_larger_than_a_message_may_be),
		cmocka_unit_test(what_is_left_out_of_a_list_is_told),
		cmocka_unit_test(
		    the_end_of_a_command_is_told_however_long_it_is),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
