/*
 * codec/shell_test.c - what is quoted goes through the shells there are.
 */
#include "codec/shell.h"

#include "base/base.h"
#include "base/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const struct str hostile[] = {
	{ "", 0 },
	{ "plain-1.0_a/b:c@d,e+f", 21 },
	{ "'", 1 },
	{ "''", 2 },
	{ "a'b\"c`d`$(id)${HOME}$HOME", 25 },
	{ "; rm -rf / #", 12 },
	{ "-n", 2 },
	{ "*?[a]{b,c}~ !x", 14 },
	{ " \t\n\r\n ", 6 },
	{ "\\\\n\\0101\\c%s%b%%", 16 },
	{ "\x01\x02\x1b[0m\x7f\x80\xff\xc3\xa4", 11 },
	{ "<>|&()=", 7 },
	{ "ends in new lines\n\n\n", 20 },
};

static const char *const shells[] = { "sh", "dash", "bash", "busybox ash" };

static bool
has_shell(const char *shell)
{
	char command[100];

	snprintf(command, sizeof(command), "%s -c : 2>/dev/null", shell);
	return system(command) == 0;
}

/* What `shell` prints when it runs `script`. */
static void
run(const char *shell, struct str script, struct buf *out)
{
	char path[] = "/tmp/shell_test.XXXXXX", command[100], part[512];
	int fd = mkstemp(path);
	FILE *p;
	size_t n;

	assert_true(fd >= 0);
	assert_int_equal(write(fd, script.ptr, script.len), script.len);
	close(fd);
	snprintf(command, sizeof(command), "%s %s", shell, path);
	p = popen(command, "r");
	assert_non_null(p);
	while ((n = fread(part, 1, sizeof(part), p)) > 0)
		buf_add(out, part, n);
	assert_int_equal(pclose(p), 0);
	unlink(path);
}

static void
every_byte_arrives_behind_quotes(void **state)
{
	struct buf all = { 0 };

	(void)state;
	for (int c = 1; c < 256; c++)
		buf_addc(&all, (char)c);
	for (size_t s = 0; s < COUNT_OF(shells); s++) {
		struct buf script = { 0 }, want = { 0 }, got = { 0 };

		if (!has_shell(shells[s]))
			continue;
		buf_addz(&script, "printf '%s|'");
		for (size_t i = 0; i <= COUNT_OF(hostile); i++) {
			struct str word =
			    i < COUNT_OF(hostile) ? hostile[i] : buf_str(&all);

			buf_addc(&script, ' ');
			assert_true(shell_quote(&script, word));
			buf_add_str(&want, word);
			buf_addc(&want, '|');
		}
		buf_addc(&script, '\n');
		run(shells[s], buf_str(&script), &got);
		assert_int_equal(got.len, want.len);
		assert_memory_equal(got.ptr, want.ptr, want.len);
		buf_free(&script);
		buf_free(&want);
		buf_free(&got);
	}
	buf_free(&all);
}

static void
what_is_escaped_has_nothing_a_shell_looks_at(void **state)
{
	struct buf all = { 0 };

	(void)state;
	for (int c = 1; c < 256; c++)
		buf_addc(&all, (char)c);
	for (size_t s = 0; s < COUNT_OF(shells); s++) {
		struct buf script = { 0 }, want = { 0 }, got = { 0 };

		if (!has_shell(shells[s]))
			continue;
		/* As apply.sh does it: the fields of a line are split by read,
		 * and come back by printf. */
		buf_addz(&script,
		    "while read -r f; do printf '%b|' \"${f#=}\"; done "
		    "<<'E'\n");
		for (size_t i = 0; i <= COUNT_OF(hostile); i++) {
			struct str word =
			    i < COUNT_OF(hostile) ? hostile[i] : buf_str(&all);
			size_t from = script.len;

			shell_escape(&script, word);
			for (size_t k = from; k < script.len; k++)
				assert_null(
				    memchr(" \t\n'\"$`", script.ptr[k], 7));
			buf_addc(&script, '\n');
			buf_add_str(&want, word);
			buf_addc(&want, '|');
		}
		/* A line with nothing in it is a field as well. */
		buf_addz(&script, "E\n");
		run(shells[s], buf_str(&script), &got);
		assert_int_equal(got.len, want.len);
		assert_memory_equal(got.ptr, want.ptr, want.len);
		buf_free(&script);
		buf_free(&want);
		buf_free(&got);
	}
	buf_free(&all);
}

static void
words_become_a_command(void **state)
{
	static const char *const argv[] = { "sh", "-c", "echo \"$1\"", "",
		NULL };
	struct buf b = { 0 };

	(void)state;
	shell_command(&b, argv);
	assert_string_equal(buf_z(&b), "sh -c 'echo \"$1\"' ''");
	buf_free(&b);
}

static void
a_nul_is_refused(void **state)
{
	struct buf b = { 0 };

	(void)state;
	assert_false(shell_quote(&b, (struct str){ "a\0b", 3 }));
	assert_int_equal(b.len, 0);
	buf_free(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_byte_arrives_behind_quotes),
		cmocka_unit_test(what_is_escaped_has_nothing_a_shell_looks_at),
		cmocka_unit_test(words_become_a_command),
		cmocka_unit_test(a_nul_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
