/*
 * edge/bridge_plan_test.c - the rules of every cloud as lines of Mosquitto, and
 * the files around them: golden/bridge.txt.
 *
 *	= title
 *	cloud c8y              (or c8y@PROFILE; none: the common file)
 *	conf c8y.url = "..."   lines of tedge.toml
 *	file credentials.toml [c8y]...    "\n" ends a line
 *	version 2.0.11
 *	| a line of the file that comes out
 *	error the sentence why there is none
 */
#include "base/test.h"

#include "base/arena.h"
#include "base/file.h"
#include "base/mem.h"
#include "edge/bridge_plan.h"
#include "edge/mosquitto.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct block {
	struct str title, cloud, version;
	struct buf toml, want;
	char dir[40];
};

static void
put(const struct block *b, struct str name, struct str text)
{
	char *path = mem_printf("%s/" STR_FMT, b->dir, STR_ARG(name));
	struct err err;

	if (file_write(path, text, &err) != 0)
		fail_msg("%s", err.text);
	free(path);
}

/* `text` with every `from` replaced. */
static void
replaced(struct str text, const char *from, const char *to, struct buf *out)
{
	size_t len = strlen(from);

	while (text.len > 0) {
		if (str_starts(text, str_of(from))) {
			buf_addz(out, to);
			text.ptr += len;
			text.len -= len;
		} else {
			buf_addc(out, *text.ptr++);
			text.len--;
		}
	}
}

static void
put_file(const struct block *b, struct str rest)
{
	struct str name = str_cut(&rest, ' ');
	struct buf text = { 0 };

	replaced(rest, "\\n", "\n", &text);
	put(b, name, buf_str(&text));
	buf_free(&text);
}

static void
make(const struct block *b, struct buf *out)
{
	struct str profile = b->cloud, name = str_cut(&profile, '@');
	struct config *config = NULL;
	struct arena a = { 0 };
	struct bridge_plan plan;
	struct cloud cloud;
	struct err err;

	put(b, STR("tedge.toml"), buf_str(&b->toml));
	if (config_open(b->dir, &config, &err) != 0) {
		buf_addf(out, "error %s\n", err.text);
	} else if (name.len == 0) {
		mosquitto_common_text(config, out);
	} else {
		cloud = (struct cloud){ config, arena_z(&a, name), profile };
		if (bridge_plan(&cloud, &a, &plan, &err) == 0)
			mosquitto_bridge_text(&plan, b->version, out);
		else
			buf_addf(out, "error %s\n", err.text);
	}
	config_close(config);
	arena_fini(&a);
}

static unsigned
compare(struct block *b)
{
	struct buf raw = { 0 }, got = { 0 };
	char *remove = mem_printf("rm -r %s", b->dir);
	unsigned wrong;

	make(b, &raw);
	replaced(buf_str(&raw), b->dir, "DIR", &got);
	wrong = !str_eq(buf_str(&got), buf_str(&b->want));
	if (wrong)
		print_error("= " STR_FMT "\nwanted:\n%s\ngot:\n%s\n",
		    STR_ARG(b->title), buf_z(&b->want), buf_z(&got));
	assert_int_equal(system(remove), 0);
	free(remove);
	buf_free(&raw);
	buf_free(&got);
	buf_free(&b->toml);
	buf_free(&b->want);
	return wrong;
}

static void
begin(struct block *b, struct str title)
{
	*b = (struct block){ .title = title,
		.dir = "/tmp/marram-bridge-XXXXXX" };
	assert_non_null(mkdtemp(b->dir));
}

static void
take_line(struct block *b, struct str line)
{
	struct str rest = line, word = str_cut(&rest, ' ');

	if (str_eqz(word, "cloud"))
		b->cloud = rest;
	else if (str_eqz(word, "version"))
		b->version = rest;
	else if (str_eqz(word, "conf"))
		buf_addf(&b->toml, STR_FMT "\n", STR_ARG(rest));
	else if (str_eqz(word, "file"))
		put_file(b, rest);
	else if (str_eqz(word, "|"))
		buf_addf(&b->want, STR_FMT "\n", STR_ARG(rest));
	else if (str_eqz(word, "error"))
		buf_addf(&b->want, STR_FMT "\n", STR_ARG(line));
	else
		fail_msg("golden line \"" STR_FMT "\"", STR_ARG(line));
}

static void
what_comes_out_is_as_the_golden_file_says(void **state)
{
	struct buf text = { 0 };
	struct block b = { 0 };
	unsigned n = 0, wrong = 0;
	struct str rest;
	struct err err;

	(void)state;
	if (file_read(getenv("BRIDGE_GOLDEN"), &text, &err) != 0)
		fail_msg("%s", err.text);
	for (rest = buf_str(&text); rest.len > 0;) {
		struct str line = str_cut(&rest, '\n');

		if (line.len == 0 || line.ptr[0] == '#')
			continue;
		if (!str_starts(line, STR("= "))) {
			take_line(&b, line);
			continue;
		}
		if (n++ > 0)
			wrong += compare(&b);
		begin(&b, (struct str){ line.ptr + 2, line.len - 2 });
	}
	assert_true(n > 0);
	wrong += compare(&b);
	buf_free(&text);
	assert_int_equal(wrong, 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_comes_out_is_as_the_golden_file_says),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
