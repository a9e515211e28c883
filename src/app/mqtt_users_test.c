/*
 * app/mqtt_users_test.c - rights, hashes, and the files they come from.
 */
#include "base/test.h"

#include "app/mqtt_acl.h"
#include "app/mqtt_password.h"
#include "app/mqtt_users.h"
#include "base/base.h"
#include "base/file.h"
#include "base/mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* --- rights -------------------------------------------------------------- */

static struct acl *
acl_of(const char *text)
{
	struct acl *a;
	struct err err;

	if (acl_read(str_of(text), &a, &err) != 0)
		fail_msg("%s", err.text);
	return a;
}

/* "rw", "r-", "-w" or "--" for the topic, which may be a filter. */
static const char *
may(const char *text, const char *user, const char *id, const char *topic)
{
	static char ret[3];
	struct acl *a = acl_of(text);
	struct acl_rights *r = acl_rights_new(a, str_of(user), str_of(id));

	ret[0] = acl_may_subscribe(r, str_of(topic)) ? 'r' : '-';
	ret[1] = acl_may_publish(r, str_of(topic)) ? 'w' : '-';
	acl_rights_free(r);
	acl_free(a);
	return ret;
}

static void
each_line_allows_what_it_says(void **state)
{
	static const char text[] = "# comment\n"
				   "topic read news/#\r\n"
				   "\n"
				   "user alice\n"
				   "topic home/a b/+\n"
				   "topic write out\n"
				   "topic read in\n"
				   "topic readwrite both\n"
				   "user bob\n"
				   "topic read $SYS/#\n";

	(void)state;
	assert_string_equal(may(text, NULL, "x", "news/today"), "r-");
	assert_string_equal(may(text, NULL, "x", "out"), "--");
	assert_string_equal(may(text, "alice", "x", "news/today"), "--");
	assert_string_equal(may(text, "alice", "x", "home/a b/c"), "rw");
	assert_string_equal(may(text, "alice", "x", "out"), "-w");
	assert_string_equal(may(text, "alice", "x", "in"), "r-");
	assert_string_equal(may(text, "alice", "x", "both"), "rw");
	assert_string_equal(may(text, "alice", "x", "other"), "--");
	assert_string_equal(may(text, "bob", "x", "$SYS/broker/uptime"), "r-");
	assert_string_equal(may(text, "carol", "x", "both"), "--");
}

static void
a_subscription_needs_a_line_that_covers_all_of_it(void **state)
{
	static const char text[] = "user u\n"
				   "topic read a/+/c\n"
				   "topic read b/#\n"
				   "topic read c/+\n";

	(void)state;
	assert_string_equal(may(text, "u", "x", "a/b/c"), "r-");
	assert_string_equal(may(text, "u", "x", "a/+/c"), "r-");
	assert_string_equal(may(text, "u", "x", "a/+/+"), "--");
	assert_string_equal(may(text, "u", "x", "a/#"), "--");
	assert_string_equal(may(text, "u", "x", "c/+"), "r-");
	assert_string_equal(may(text, "u", "x", "c/#"), "--");
	assert_string_equal(may(text, "u", "x", "c"), "--");
	assert_string_equal(may(text, "u", "x", "b"), "r-");
	assert_string_equal(may(text, "u", "x", "b/#"), "r-");
	assert_string_equal(may(text, "u", "x", "b/+/#"), "r-");
	assert_string_equal(may(text, "u", "x", "+"), "--");
	assert_string_equal(may(text, "u", "x", "#"), "--");
	assert_string_equal(may("user u\ntopic #\n", "u", "x", "#"), "rw");
	assert_string_equal(may("user u\ntopic #\n", "u", "x", "$SYS/#"), "--");
}

static void
what_is_denied_counts_before_what_is_allowed(void **state)
{
	static const char text[] = "user u\n"
				   "topic a/#\n"
				   "topic deny a/secret/+\n"
				   "pattern deny a/late\n"
				   "pattern b/#\n"
				   "pattern deny b/secret\n";

	(void)state;
	assert_string_equal(may(text, "u", "x", "a/open"), "rw");
	assert_string_equal(may(text, "u", "x", "a/secret/1"), "--");
	assert_string_equal(may(text, "u", "x", "a/#"), "--");
	assert_string_equal(may(text, "u", "x", "a/+"), "rw");
	assert_string_equal(may(text, "u", "x", "a/+/1"), "--");
	/* a user's own lines come before patterns */
	assert_string_equal(may(text, "u", "x", "a/late"), "rw");
	assert_string_equal(may(text, "u", "x", "b/1"), "rw");
	assert_string_equal(may(text, "u", "x", "b/secret"), "--");
}

static void
a_pattern_stands_for_user_and_client_id(void **state)
{
	static const char text[] = "pattern u/%u/#\n"
				   "pattern write c/%c\n"
				   "pattern read all\n";

	(void)state;
	assert_string_equal(may(text, "alice", "id", "u/alice/x"), "rw");
	assert_string_equal(may(text, "alice", "id", "u/bob/x"), "--");
	assert_string_equal(may(text, "alice", "id", "c/id"), "-w");
	assert_string_equal(may(text, "alice", "other", "c/id"), "--");
	assert_string_equal(may(text, NULL, NULL, "c/id"), "--");
	assert_string_equal(may(text, NULL, NULL, "all"), "r-");
}

static void
a_name_with_wildcards_is_no_way_around_a_pattern(void **state)
{
	static const char text[] = "pattern u/%u\npattern c/%c\n";

	(void)state;
	assert_string_equal(may(text, "+", "x", "u/bob"), "--");
	assert_string_equal(may(text, "#", "x", "u/bob"), "--");
	assert_string_equal(may(text, "u", "+", "c/bob"), "--");
	assert_string_equal(may(text, "u", "#", "c/bob"), "--");
	assert_string_equal(may(text, "u", "a/b", "c/a/b"), "--");
}

static void
a_bad_line_is_named(void **state)
{
	static const struct {
		const char *text, *said;
	} cases[] = {
		{ "topic a\nuser\n",
		    "line 2: \"user\": something must follow" },
		{ "tpoic a",
		    "line 1: \"tpoic\" must be user, topic or pattern" },
		{ "topic read a/#/b",
		    "line 1: \"a/#/b\" is not a topic filter" },
		{ "topic a+", "line 1: \"a+\" is not a topic filter" },
		{ "\n\npattern a/x%u",
		    "line 3: \"a/x%u\": %u and %c must stand alone between "
		    "slashes" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		struct acl *a;
		struct err err;

		assert_int_equal(
		    acl_read(str_of(cases[i].text), &a, &err), ERR_PARAM);
		assert_string_equal(err.text, cases[i].said);
	}
}

/* --- passwords ----------------------------------------------------------- */

static struct password
password_of(const char *text)
{
	struct password p;
	struct err err;

	if (password_read(str_of(text), &p, &err) != 0)
		fail_msg("%s", err.text);
	return p;
}

static void
hashes_of_mosquitto_passwd_fit(void **state)
{
	static const char *const hashes[] = {
		"$7$101$7Jebbb0Z9kXtOz1p$kUxJfAzSPXaL61Xh8Sjaqb0EOQ4a2SnRUDSf"
		"WV2ltx32jHa+pRxl3Df37B0vsgrxoj3dnWUW939e2QsS9zMV2A==",
		"$6$0BAj2T6ZZ99CsGWt$JSwdD8EcHRqSEHZFpGA1BNMGxiO5y49+iMRTMlnn"
		"f+pcRtF1iCvxxd4dgY9qT4gNEu37EM/zmIHf1ANFODUzYQ==",
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(hashes); i++) {
		struct password p = password_of(hashes[i]);

		assert_true(password_fits(&p, STR("secret")));
		assert_false(password_fits(&p, STR("Secret")));
		assert_false(password_fits(&p, STR("")));
	}
}

static void
what_was_made_fits_and_nothing_else(void **state)
{
	struct password p, again;
	struct buf b = { 0 };
	struct err err;

	(void)state;
	assert_int_equal(password_make(STR("secret"), 10, &p, &err), 0);
	password_put(&p, &b);
	assert_true(str_starts(buf_str(&b), STR("$7$10$")));
	again = password_of(buf_z(&b));
	buf_free(&b);
	assert_true(password_fits(&again, STR("secret")));
	assert_false(password_fits(&again, STR("secreT")));
	assert_false(password_fits(&again, STR("secret ")));
	assert_false(password_fits(&again, STR("")));
	assert_int_equal(password_make(STR(""), 10, &p, &err), ERR_PARAM);
}

static void
bad_hashes_are_refused(void **state)
{
	static const struct {
		const char *text, *said;
	} cases[] = {
		{ "secret",
		    "the password must be hashed as $6$ or $7$; set it "
		    "with `marram mqtt passwd`" },
		{ "$7$0$AAAA$AAAA", "iterations must be 1 to 1000000" },
		{ "$7$1000001$AAAA$AAAA", "iterations must be 1 to 1000000" },
		{ "$7$10", "salt and hash must follow" },
		{ "$6$$AAAA", "the salt is no base64 text of 1 to 64 bytes" },
		{ "$6$AAAA$AAAA", "the hash is no base64 text of 64 bytes" },
		{ "$6$AAAA", "the hash is no base64 text of 64 bytes" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		struct password p;
		struct err err;

		assert_int_equal(
		    password_read(str_of(cases[i].text), &p, &err), ERR_PARAM);
		assert_string_equal(err.text, cases[i].said);
	}
}

/* --- files --------------------------------------------------------------- */

struct fixture {
	char dir[32], passwords[64], acl[64];
};

static int
begin(void **state)
{
	struct fixture *f = mem_new(struct fixture);

	strcpy(f->dir, "/tmp/marram-users-XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	snprintf(f->passwords, sizeof(f->passwords), "%s/passwords", f->dir);
	snprintf(f->acl, sizeof(f->acl), "%s/acl", f->dir);
	*state = f;
	return 0;
}

static int
finish(void **state)
{
	struct fixture *f = *state;

	(void)unlink(f->passwords);
	(void)unlink(f->acl);
	assert_int_equal(rmdir(f->dir), 0); /* nothing else was left there */
	free(f);
	return 0;
}

static void
write_file(const char *path, const char *text)
{
	FILE *to = fopen(path, "w");

	assert_non_null(to);
	assert_true(fputs(text, to) >= 0);
	assert_int_equal(fclose(to), 0);
}

static void
assert_file(const char *path, const char *text)
{
	struct buf b = { 0 };

	assert_int_equal(file_read(path, &b, NULL), 0);
	assert_string_equal(buf_z(&b), text);
	buf_free(&b);
}

static void
a_user_is_added_changed_and_taken_away(void **state)
{
	struct fixture *f = *state;
	struct password p = { .salt_len = 3 };
	struct stat st;
	struct err err;

	assert_int_equal(
	    password_file_set(f->passwords, STR("new"), &p, &err), 0);
	assert_int_equal(stat(f->passwords, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	write_file(f->passwords, "# ours\na:old\nb:old\na:twice");
	assert_int_equal(password_file_set(f->passwords, STR("c"), NULL, &err),
	    ERR_NOT_FOUND);
	assert_int_equal(
	    password_file_set(f->passwords, STR("b"), NULL, &err), 0);
	assert_file(f->passwords, "# ours\na:old\na:twice\n");
	assert_int_equal(
	    password_file_set(f->passwords, STR("a"), &p, &err), 0);
	assert_file(f->passwords,
	    "# ours\na:$6$AAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
	    "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA==\n");
}

static void
files_that_do_not_fit_say_why(void **state)
{
	static const struct {
		const char *passwords, *acl, *said;
	} cases[] = {
		{ "a", "",
		    "mqtt.passwordFile: %s/passwords: line 1: there is "
		    "no colon" },
		{ "\n:x", "",
		    "mqtt.passwordFile: %s/passwords: line 2: this "
		    "is no user name" },
		{ "a:$6$AAAA$AAAA", "",
		    "mqtt.passwordFile: %s/passwords: line 1: the hash is no "
		    "base64 text of 64 bytes" },
		{ "", "who",
		    "mqtt.aclFile: %s/acl: line 1: \"who\": something "
		    "must follow" },
	};
	struct fixture *f = *state;
	struct mqtt_users_conf conf = { f->passwords, f->acl };

	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		struct mqtt_users *u;
		struct err err;
		char said[240];

		write_file(f->passwords, cases[i].passwords);
		write_file(f->acl, cases[i].acl);
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
		snprintf(said, sizeof(said), cases[i].said, f->dir);
#pragma GCC diagnostic pop
		assert_int_equal(
		    mqtt_users_open(NULL, &conf, &u, &err), ERR_PARAM);
		assert_string_equal(err.text, said);
	}
}

int
main(void)
{
#define WITH_FILES(t) cmocka_unit_test_setup_teardown(t, begin, finish)
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_line_allows_what_it_says),
		cmocka_unit_test(
		    a_subscription_needs_a_line_that_covers_all_of_it),
		cmocka_unit_test(what_is_denied_counts_before_what_is_allowed),
		cmocka_unit_test(a_pattern_stands_for_user_and_client_id),
		cmocka_unit_test(
		    a_name_with_wildcards_is_no_way_around_a_pattern),
		cmocka_unit_test(a_bad_line_is_named),
		cmocka_unit_test(hashes_of_mosquitto_passwd_fit),
		cmocka_unit_test(what_was_made_fits_and_nothing_else),
		cmocka_unit_test(bad_hashes_are_refused),
		WITH_FILES(a_user_is_added_changed_and_taken_away),
		WITH_FILES(files_that_do_not_fit_say_why),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
