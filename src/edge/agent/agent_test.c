/*
 * edge/agent/agent_test.c - commands of both generations, on a bus that is a
 * transcript.
 */
#include "edge/agent/fake.h"

#define LIST "te/device/main///cmd/software_list/"
#define UPDATE "te/device/main///cmd/software_update/"
#define RESTART "te/device/main///cmd/restart/"

static void
assert_silent(struct fake *f, const char *text)
{
	if (strstr(buf_z(&f->heard), text) != NULL)
		fail_msg("heard: %s\nin: %s", text, f->heard.ptr);
}

/* How often `text` was heard. */
static int
times(struct fake *f, const char *text)
{
	int n = 0;

	for (const char *p = buf_z(&f->heard); (p = strstr(p, text)) != NULL;
	     p++)
		n++;
	return n;
}

static struct str
read_all(struct fake *f, const char *name)
{
	static struct buf b;

	buf_clear(&b);
	(void)file_read(fake_path(f, name), &b, NULL);
	return str_of(buf_z(&b));
}

/* One that writes what it is asked to `calls`, and keeps one package. */
#define GOOD                                                                   \
	"echo \"$@\" >>../calls; case $1 in "                                  \
	"list) printf 'nodered\\t1.0.0\\nbash\\n';; "                          \
	"update-list) exit 1;; esac"

/* --- lists ---------------------------------------------------------------- */

static void
types_are_told_at_the_start(void **state)
{
	struct fake *f = *state;

	fake_plugin(f, "zz", GOOD);
	fake_plugin(f, "apt", GOOD);
	fake_plugin(f, "broken", "exit 2");
	fake_file(f, "sm-plugins/readme", "no program", 0644);
	fake_file(f, "device/inventory.json",
	    "{\"serial\": {\"no\": [1, 2]}, \"a/b\": 1, \"n\": 5}", 0644);
	fake_start(f);
	fake_wait(f, "cmd/software_update r {\"types\":[\"apt\",\"zz\"]}\n");
	assert_heard(f, "cmd/software_list r {\"types\":[\"apt\",\"zz\"]}\n");
	assert_heard(f, "te/device/main///cmd/restart r {}\n");
	assert_heard(f, "te/device/main///twin/type r \"thing\"\n");
	assert_heard(f, "te/device/main///twin/agent r {\"name\":");
	assert_heard(f, "te/device/main///twin/serial r {\"no\":[1,2]}\n");
	assert_heard(f, "te/device/main///twin/n r 5\n");
	assert_silent(f, "a/b");
	assert_heard(f, "tedge/capabilities/software/list r \n");
	assert_heard(f, "tedge/capabilities/software/update r \n");
}

static void
a_list_names_what_is_there(void **state)
{
	struct fake *f = *state;

	fake_plugin(f, "apt", GOOD);
	fake_start(f);
	fake_send(f, LIST "1", "{\"status\":\"init\",\"mine\":{\"a\": 1}}");
	fake_wait(f, "successful");
	buf_addf(&f->heard, "%s", "");
	assert_heard(f,
	    LIST "1 r {\"status\":\"executing\",\"mine\":{\"a\":1},"
		 "\"logPath\":\"");
	assert_heard(f,
	    LIST "1 r {\"status\":\"successful\",\"mine\":{\"a\":1},"
		 "\"currentSoftwareList\":[{\"type\":\"apt\",\"modules\":["
		 "{\"name\":\"nodered\",\"version\":\"1.0.0\"},"
		 "{\"name\":\"bash\"}]}],\"logPath\":\"");
	assert_true(
	    str_ends(read_all(f, "log/agent/workflow-software_list-1.log"),
		STR("sm-plugins/apt list\nexit status: 0\n\nstdout <<EOF\n"
		    "nodered\t1.0.0\nbash\nEOF\n\nstderr <<EOF\nEOF\n\n"
		    "successful\n")));
}

static void
the_first_generation_is_answered_its_way(void **state)
{
	struct fake *f = *state;

	fake_plugin(f, "apt", GOOD);
	fake_start(f);
	fake_send(f, "tedge/commands/req/software/list", "{\"id\":\"123\"}");
	assert_heard(f,
	    "tedge/commands/res/software/list "
	    "{\"id\":\"123\",\"status\":\"executing\"}\n");
	assert_str(read_all(f, "state/current-operation"),
	    "operation_id = \"123\"\noperation = \"list\"\n");
	fake_wait(f,
	    "tedge/commands/res/software/list {\"id\":\"123\",\"status\":"
	    "\"successful\",\"currentSoftwareList\":[{\"type\":\"apt\","
	    "\"modules\":[{\"name\":\"nodered\",\"version\":\"1.0.0\"},"
	    "{\"name\":\"bash\"}]}]}\n");
	assert_str(read_all(f, "state/current-operation"), "");
}

static void
what_is_no_request_is_told_on_the_errors_topic(void **state)
{
	struct fake *f = *state;
	static const char *const bad[] = { "", "{}", "[]", "{\"id\":5}",
		"{\"id\":\"\"}", "{\"id\":\"1\",\"x\":1}", "{\"id\":\"1\"" };

	fake_plugin(f, "apt", GOOD);
	fake_start(f);
	for (size_t i = 0; i < COUNT_OF(bad); i++)
		fake_send(f, "tedge/commands/req/software/list", bad[i]);
	assert_int_equal(times(f, "tedge/errors "), COUNT_OF(bad));
	fake_send(f, "tedge/commands/req/software/update", "{\"id\":\"1\"}");
	fake_send(f, "tedge/commands/req/software/update",
	    "{\"id\":\"1\",\"updateList\":[{\"type\":\"apt\",\"modules\":["
	    "{\"name\":\"x\",\"action\":\"install\",\"y\":1}]}]}");
	assert_int_equal(times(f, "tedge/errors "), COUNT_OF(bad) + 2);
	assert_heard(f,
	    "tedge/errors Invalid request on tedge/commands/req/software/list: "
	    "unknown member \"x\"\n");
	assert_silent(f, "tedge/commands/res");
	fake_send(f, LIST "1", "{\"status\":");
	assert_heard(f, "te/errors Invalid command on " LIST "1: ");
}

static void
what_does_not_list_is_an_error_and_the_rest_is_told(void **state)
{
	struct fake *f = *state;

	fake_plugin(f, "apt", GOOD);
	fake_plugin(f, "bad", "[ -e ../on ] || exit 0; echo no >&2; exit 2");
	fake_plugin(f, "bin", "[ -e ../on ] || exit 0; printf 'a\\377b\\n'");
	fake_start(f);
	fake_wait(f, "[\"apt\",\"bad\",\"bin\"]");
	fake_file(f, "on", "", 0644);
	fake_send(f, "tedge/commands/req/software/list", "{\"id\":\"1\"}");
	fake_wait(f, "\"failed\"");
	assert_heard(f, "\"reason\":\"2 errors, see device log file ");
	assert_heard(f, "/log/agent/software-list-");
	fake_send(f, LIST "1", "{}");
	fake_wait(f, "\"reason\":\"2 errors, see device log file /tmp");
}

static void
the_only_plugin_is_the_default_one(void **state)
{
	struct fake *f = *state;

	fake_plugin(f, "apt", GOOD);
	fake_plugin(f, "broken", "exit 2");
	fake_start(f);
	fake_wait(f, "software_update r {\"types\":[\"apt\"]}");
	fake_send(f, UPDATE "1",
	    "{\"updateList\":[{\"type\":\"\",\"modules\":[{\"name\":\"x\","
	    "\"action\":\"install\"}]}]}");
	fake_wait(f, UPDATE "1 r {\"status\":\"successful\"");
}

static void
filters_say_what_is_told(void **state)
{
	struct fake *f = *state;

	fake_plugin(f, "apt", "printf 'aa\\nab\\nba\\nbb\\nbc\\n'");
	f->conf.software_include = STR("^a");
	f->conf.software_exclude = STR("b");
	f->conf.software_max = 2;
	fake_start(f);
	fake_send(f, LIST "1", "{}");
	fake_wait(f, "\"modules\":[{\"name\":\"aa\"},{\"name\":\"ab\"}]}]");
	fake_crash(f);
	f->conf.software_include = STR_NULL;
	f->conf.software_max = 0;
	fake_start(f);
	fake_send(f, LIST "2", "{}");
	fake_wait(f, "\"modules\":[{\"name\":\"aa\"}]}]");
	fake_crash(f);
	f->conf.software_include = STR("b");
	f->conf.software_exclude = STR_NULL;
	f->conf.software_max = 3;
	fake_start(f);
	fake_send(f, LIST "3", "{}");
	fake_wait(f,
	    "\"modules\":[{\"name\":\"ab\"},{\"name\":\"ba\"},{\"name\":"
	    "\"bb\"}]}]");
	fake_crash(f);
	f->conf.software_include = STR("(");
	assert_int_equal(
	    agent_new(&f->conf, &f->host, &f->agent, NULL), ERR_PARAM);
	f->agent = NULL;
}

/* --- updates -------------------------------------------------------------- */

#define TWO                                                                    \
	"{\"updateList\":[{\"type\":\"apt\",\"modules\":["                     \
	"{\"name\":\"a\",\"version\":\"1\",\"action\":\"install\"},"           \
	"{\"name\":\"b\",\"action\":\"remove\"}]}]}"

static void
an_update_goes_through_its_sequence(void **state)
{
	struct fake *f = *state;

	fake_plugin(f, "apt",
	    "echo \"$@\" >>../calls; "
	    "[ $1 = update-list ] && cat >>../calls; exit 0");
	fake_start(f);
	fake_wait(f, "[\"apt\"]");
	fake_send(f, UPDATE "1", TWO);
	fake_wait(f, UPDATE "1 r {\"status\":\"successful\"");
	assert_str(read_all(f, "calls"),
	    "list\nprepare\nupdate-list\ninstall\ta\t1\t\nremove\tb\t\t\n"
	    "finalize\nlist\n");
	assert_heard(f, "\"updateList\":[{\"type\":\"apt\"");
}

static void
one_by_one_where_a_list_is_not_supported(void **state)
{
	struct fake *f = *state;

	fake_plugin(f, "apt", GOOD);
	fake_start(f);
	fake_wait(f, "[\"apt\"]");
	fake_send(f, "tedge/commands/req/software/update",
	    "{\"id\":\"7\",\"updateList\":[{\"type\":\"\",\"modules\":["
	    "{\"name\":\"a\",\"version\":\"1\",\"action\":\"install\"},"
	    "{\"name\":\"b\",\"action\":\"remove\"}]}]}");
	fake_wait(f,
	    "tedge/commands/res/software/update {\"id\":\"7\",\"status\":"
	    "\"successful\",\"currentSoftwareList\":[{\"type\":\"apt\"");
	assert_str(read_all(f, "calls"),
	    "list\nprepare\nupdate-list\ninstall a --module-version 1\n"
	    "remove b\nfinalize\nlist\n");
}

static void
what_a_plugin_says_is_the_reason(void **state)
{
	struct fake *f = *state;
	char *script;

	/* Each exit status of `install`; what it says, or how it ended. */
	for (int i = 1; i <= 5; i++) {
		script = mem_printf(
		    "echo $1 >>../calls; case $1 in update-list) exit 1;; "
		    "install) [ %d = 3 ] || echo no $2 >&2; exit %d;; esac",
		    i, i);
		fake_plugin(f, "apt", script);
		free(script);
		fake_start(f);
		fake_send(f, UPDATE "1", TWO);
		fake_wait(f, UPDATE "1 r {\"status\":\"failed\"");
		assert_heard(f,
		    i == 3 ? "\"reason\":\"exited with 3\"}]}]"
			   : "\"reason\":\"no a\"}]}]");
		assert_heard(f,
		    "\"failures\":[{\"type\":\"apt\",\"modules\":[{\"name\":"
		    "\"a\",\"version\":\"1\",\"action\":\"install\","
		    "\"reason\":");
		assert_heard(f, "\"reason\":\"1 error, see device log file ");
		assert_heard(f, "\"currentSoftwareList\":[");
		assert_true(str_ends(read_all(f, "calls"),
		    STR("list\nprepare\nupdate-list\ninstall\nremove\n"
			"finalize\nlist\n")));
		fake_send(f, UPDATE "1", "");
		fake_crash(f);
	}
}

static void
a_type_that_fails_is_not_anothers(void **state)
{
	struct fake *f = *state;

	fake_plugin(f, "bad",
	    "[ $1 = prepare ] && { echo no way >&2; exit 2; }; "
	    "[ $1 = list ] || echo bad $1 >>../calls; exit 0");
	fake_plugin(f, "apt",
	    "[ $1 = finalize ] && { echo late >&2; exit 2; }; "
	    "echo $1 >>../calls");
	fake_start(f);
	fake_send(f, "tedge/commands/req/software/update",
	    "{\"id\":\"1\",\"updateList\":["
	    "{\"type\":\"nil\",\"modules\":[{\"name\":\"n\",\"action\":"
	    "\"remove\"}]},"
	    "{\"type\":\"bad\",\"modules\":[{\"name\":\"b\",\"action\":"
	    "\"remove\"}]},"
	    "{\"type\":\"apt\",\"modules\":[{\"name\":\"a\",\"action\":"
	    "\"remove\"}]}]}");
	fake_wait(f, "\"failed\"");
	assert_heard(f, "\"reason\":\"3 errors, see device log file ");
	assert_heard(f,
	    "{\"name\":\"n\",\"action\":\"remove\",\"reason\":\"Unknown "
	    "software type: \\\"nil\\\"\"}");
	assert_heard(f, "\"action\":\"remove\",\"reason\":\"no way\"}");
	assert_heard(f, "\"action\":\"remove\",\"reason\":\"late\"}");
	assert_silent(f, "\"errors\":[");
	assert_str(read_all(f, "calls"), "list\nprepare\nupdate-list\nlist\n");
}

static void
a_failed_download_stops_before_installing(void **state)
{
	struct fake *f = *state;

	fake_plugin(f, "apt", GOOD);
	fake_start(f);
	fake_wait(f, "[\"apt\"]");
	fake_send(f, UPDATE "1",
	    "{\"updateList\":[{\"type\":\"apt\",\"modules\":["
	    "{\"name\":\"a\",\"action\":\"install\",\"url\":"
	    "\"http://u:secret@127.0.0.1:1/x?token=secret\"}]}]}");
	fake_wait(f, "\"failed\"");
	assert_heard(f, "download http://127.0.0.1:1/x: ");
	assert_str(read_all(f, "calls"), "list\nprepare\nfinalize\nlist\n");
	assert_null(
	    strstr(read_all(f, "log/agent/workflow-software_update-1.log").ptr,
		"secret"));
	assert_int_equal(rmdir(fake_path(f, "tmp")), 0); /* it is empty */
	mkdir(fake_path(f, "tmp"), 0755);
}

static void
what_is_too_much_is_told_in_short(void **state)
{
	struct fake *f = *state;

	fake_plugin(f, "apt",
	    "[ $1 = list ] && exit 0; yes x | head -n 100000 >&2; "
	    "echo the end >&2; exit 2");
	fake_start(f);
	fake_wait(f, "[\"apt\"]");
	fake_send(f, UPDATE "1", TWO);
	fake_wait(f, UPDATE "1 r {\"status\":\"failed\"");
	assert_heard(f, "\"errors\":[\"...");
	assert_heard(f, "\\nx\\nthe end\"]");
	assert_true(f->heard.len < 20000);
	/* And what the broker does not take is told without its result. */
	fake_plugin(f, "apt", GOOD);
	f->packet_max = 200;
	fake_send(f, LIST "1", "{}");
	fake_wait(f, LIST "1 r {\"status\":\"successful\"");
	fake_wait(f, LIST "1 r {\"status\":\"failed\"");
	assert_heard(f, "\"reason\":\"the result is too large to be told, ");
}

static void
bad_lists_are_refused(void **state)
{
	struct fake *f = *state;
	static const char *const bad[] = {
		"{}",
		"{\"updateList\":{}}",
		"{\"updateList\":[{\"modules\":[{\"action\":\"install\"}]}]}",
		"{\"updateList\":[{\"modules\":[{\"name\":\"--x\",\"action\":"
		"\"install\"}]}]}",
		"{\"updateList\":[{\"modules\":[{\"name\":\"a\\tb\",\"action\":"
		"\"install\"}]}]}",
		"{\"updateList\":[{\"modules\":[{\"name\":\"a\",\"action\":"
		"\"x\"}]}]}",
	};

	fake_plugin(f, "apt", GOOD);
	fake_start(f);
	for (size_t i = 0; i < COUNT_OF(bad); i++) {
		char *topic = mem_printf(UPDATE "%zu", i);
		char *told = mem_printf("%s r {\"status\":\"failed\"", topic);

		fake_send(f, topic, bad[i]);
		fake_wait(f, told);
		free(told);
		free(topic);
	}
	assert_null(strstr(read_all(f, "calls").ptr, "prepare"));
}

static void
one_that_hangs_is_ended_and_holds_nobody(void **state)
{
	struct fake *f = *state;

	fake_plugin(f, "apt",
	    "echo $1 >>../calls; case $1 in update-list) exit 1;; "
	    "install) echo x >../hangs; sleep 1000;; esac");
	fake_start(f);
	fake_wait(f, "[\"apt\"]");
	fake_send(f, UPDATE "1", TWO);
	while (access(fake_path(f, "hangs"), F_OK) != 0)
		loop_turn(f->loop, 20);
	fake_send(f, UPDATE "2", TWO); /* of its kind: waits */
	fake_send(f, LIST "1", "{}");  /* of another: does not */
	fake_wait(f, LIST "1 r {\"status\":\"successful\"");
	assert_silent(f, UPDATE "2");
	clock_advance(300000);
	fake_wait(f, UPDATE "1 r {\"status\":\"failed\"");
	assert_heard(f, "\"reason\":\"took longer than 300 s\"}]}]");
	fake_wait(f, UPDATE "2 r {\"status\":\"executing\"");
}

static void
one_that_hangs_when_it_is_asked_holds_nobody(void **state)
{
	struct fake *f = *state;

	fake_plugin(f, "apt", GOOD);
	fake_plugin(f, "hang", "echo >>../hangs; sleep 1000");
	fake_start(f);
	while (access(fake_path(f, "hangs"), F_OK) != 0)
		loop_turn(f->loop, 20);
	clock_advance(10000); /* it had time enough */
	fake_wait(f, "software_list r {\"types\":[\"apt\"]}");
	fake_send(f, LIST "1", "{}");
	fake_wait(f, LIST "1 r {\"status\":\"successful\"");
}

static void
a_plugin_that_comes_later_is_known_at_the_next_update(void **state)
{
	struct fake *f = *state;

	fake_start(f);
	fake_wait(f, "software_list r {\"types\":[]}");
	fake_plugin(f, "apt", GOOD);
	fake_send(f, UPDATE "1", TWO);
	fake_wait(f, UPDATE "1 r {\"status\":\"successful\"");
	fake_wait(f, "software_list r {\"types\":[\"apt\"]}");
	assert_int_equal(unlink(fake_path(f, "sm-plugins/apt")), 0);
	buf_clear(&f->heard);
	fake_send(f, "te/device/main///signal/sync", "{}");
	fake_wait(f, "cmd/restart r {}");
	fake_send(f, "te/device/main///signal/sync_software_list", "{}");
	fake_wait(f, "software_list r {\"types\":[]}");
}

/* --- the life of a command --------------------------------------------------
 */

static void
what_ran_when_the_agent_ended_has_failed(void **state)
{
	struct fake *f = *state;

	fake_plugin(f, "apt", "[ $1 = prepare ] && sleep 1000; exit 0");
	fake_start(f);
	fake_wait(f, "[\"apt\"]");
	fake_send(f, UPDATE "1", TWO);
	fake_send(f, UPDATE "2", TWO);
	fake_send(f, "tedge/commands/req/software/list", "{\"id\":\"l\"}");
	fake_crash(f);
	fake_start(f);
	assert_heard(f,
	    UPDATE "1 r {\"status\":\"failed\",\"updateList\":[{\"type\":"
		   "\"apt\"");
	assert_heard(f,
	    "\"reason\":\"Software Update command cancelled due to unexpected "
	    "agent restart\"}");
	assert_heard(f,
	    "tedge/commands/res/software/list {\"id\":\"l\",\"status\":"
	    "\"failed\",\"reason\":\"Software List command cancelled due to "
	    "unexpected agent restart\"}");
	assert_str(read_all(f, "state/current-operation"), "");
	/* A broker that has lost its last minutes tells of it once more. */
	fake_send_as(f, UPDATE "1", TWO, true);
	assert_int_equal(times(f, UPDATE "1 r"), 1);
	/* So does one that does not know that we had heard it. */
	fake_forget_owed(f, true);
	fake_send(f, UPDATE "1", TWO);
	fake_send(f, "tedge/commands/req/software/list", "{\"id\":\"l\"}");
	assert_int_equal(times(f, UPDATE "1 r"), 1);
	assert_int_equal(times(f, "\"id\":\"l\""), 1);
	/* The one that waited comes as it was, and begins. */
	fake_send_as(f, UPDATE "2", TWO, true);
	assert_heard(f, UPDATE "2 r {\"status\":\"executing\"");
}

static void
an_end_is_told_until_the_broker_has_it(void **state)
{
	struct fake *f = *state;

	fake_plugin(f, "apt", GOOD);
	fake_start(f);
	f->deaf = true;
	fake_send(f, LIST "1", "{}");
	fake_wait(f, "successful");
	fake_crash(f);
	fake_start(f);
	assert_heard(f, LIST "1 r {\"status\":\"successful\"");
	f->deaf = false;
	fake_wait(f, "software_list r {\"types\":[\"apt\"]}");
	fake_crash(f);
	fake_start(f);
	assert_silent(f, LIST "1");
}

static void
one_found_executing_that_nobody_knows_has_failed(void **state)
{
	struct fake *f = *state;

	fake_start(f);
	fake_send_as(f, LIST "9", "{\"status\":\"executing\",\"x\":1}", true);
	assert_heard(f, LIST "9 r {\"status\":\"failed\",\"x\":1,");
	assert_heard(f,
	    "Software List command cancelled due to unexpected agent restart");
	fake_send_as(f, LIST "8", "{\"status\":\"successful\"}", true);
	assert_silent(f, LIST "8");
	fake_send(f, "te/device/other///cmd/software_list/1", "{}");
	assert_silent(f, "other");
	fake_send(f, "te/device/main///cmd/unheard_of/1", "{}");
	assert_silent(f, "unheard_of");
}

static void
an_operation_of_the_first_years_is_ended(void **state)
{
	struct fake *f = *state;

	fake_file(f, "state/current-operation",
	    "operation_id = '1'\noperation = \"update\"\n", 0644);
	fake_start(f);
	assert_silent(f, "tedge/commands/res"); /* quotes of another kind */
	fake_crash(f);
	fake_file(f, "state/current-operation",
	    "operation_id = \"old\"\noperation = \"update\"\n", 0644);
	fake_start(f);
	assert_heard(f,
	    "tedge/commands/res/software/update {\"id\":\"old\",\"status\":"
	    "\"failed\"");
}

static void
a_cleared_command_is_told_no_more(void **state)
{
	struct fake *f = *state;

	fake_plugin(f, "apt", "[ $1 = prepare ] && sleep 1000; exit 0");
	fake_start(f);
	fake_wait(f, "[\"apt\"]");
	fake_send(f, UPDATE "1", TWO);
	fake_send(f, UPDATE "2", TWO);
	fake_send(f, UPDATE "2", ""); /* it waited: dropped */
	fake_send(f, UPDATE "1", ""); /* it runs: in silence */
	clock_advance(300000);
	fake_send(f, UPDATE "3", TWO);
	fake_wait(f, UPDATE "3 r {\"status\":\"executing\"");
	assert_int_equal(times(f, UPDATE "1 r"), 1);
	assert_silent(f, UPDATE "2");
}

static void
the_same_topic_may_be_used_again(void **state)
{
	struct fake *f = *state;

	fake_plugin(f, "apt", GOOD);
	fake_start(f);
	fake_send(f, LIST "1", "{}");
	fake_send(f, LIST "1", "{}"); /* the same, once more */
	fake_wait(f, "successful");
	assert_int_equal(times(f, "executing"), 1);
	buf_clear(&f->heard);
	fake_send(f, LIST "1", "{\"status\":\"init\"}");
	fake_wait(f, "successful");
}

static void
too_many_are_refused(void **state)
{
	struct fake *f = *state;

	fake_plugin(f, "apt", "[ $1 = prepare ] && sleep 1000; exit 0");
	fake_start(f);
	for (int i = 0; i < 101; i++) {
		char *topic = mem_printf(UPDATE "%d", i);

		fake_send(f, topic, TWO);
		free(topic);
	}
	assert_heard(f, UPDATE "100 r {\"status\":\"failed\"");
	assert_int_equal(times(f, "failed"), 1);
}

static void
as_many_logs_are_kept_as_are_set(void **state)
{
	struct fake *f = *state;
	static struct str keep[] = { STR("*:5"), STR("software_list:2") };
	int there = 0;

	f->conf.log_keep = (struct strs){ keep, 2 };
	fake_plugin(f, "apt", GOOD);
	fake_start(f);
	for (int i = 0; i < 5; i++) {
		char *topic = mem_printf(LIST "..%d", i);
		char *told =
		    mem_printf("%s r {\"status\":\"successful\"", topic);

		fake_send(f, topic, "{}");
		fake_wait(f, told);
		free(told);
		free(topic);
	}
	for (int i = 0; i < 5; i++) {
		char *name =
		    mem_printf("log/agent/workflow-software_list-..%d.log", i);

		there += access(fake_path(f, name), F_OK) == 0;
		free(name);
	}
	assert_int_equal(there, 2);
}

/* --- restart ---------------------------------------------------------------
 */

static void
boot(struct fake *f, const char *id, const char *uptime)
{
	mkdir(fake_path(f, "proc/sys"), 0755);
	mkdir(fake_path(f, "proc/sys/kernel"), 0755);
	mkdir(fake_path(f, "proc/sys/kernel/random"), 0755);
	fake_file(f, "proc/sys/kernel/random/boot_id", id, 0644);
	fake_file(f, "proc/uptime", uptime, 0644);
}

static void
reboot_as(struct fake *f, const char *script)
{
	static struct str words[3];
	static char text[256];

	snprintf(text, sizeof(text), "%s", script);
	words[0] = STR("sh");
	words[1] = STR("-c");
	words[2] = str_of(text);
	f->conf.reboot = (struct strs){ words, 3 };
}

/* Asks for a restart, and ends the agent while the device goes down. */
static void
go_down(struct fake *f)
{
	reboot_as(f, "echo x >../rebooted");
	fake_start(f);
	fake_send(f, RESTART "1", "{\"x\":1}");
	while (access(fake_path(f, "rebooted"), F_OK) != 0) {
		fake_forget_owed(f, true);
		loop_turn(f->loop, 20);
	}
	assert_heard(f, RESTART "1 r {\"status\":\"executing\",\"x\":1");
	fake_crash(f);
}

static void
a_restart_is_known_by_the_number_of_the_boot(void **state)
{
	struct fake *f = *state;

	boot(f, "one\n", "1000.5 1\n");
	go_down(f);
	boot(f, "two\n", "2000 1\n");
	fake_start(f);
	assert_heard(f, RESTART "1 r {\"status\":\"successful\",\"x\":1");
	assert_int_equal(
	    access(fake_path(f, "tmp/tedge_agent_restart"), F_OK), -1);
}

static void
or_by_the_time_it_is_up(void **state)
{
	struct fake *f = *state;

	boot(f, "", "1000.5 1\n");
	go_down(f);
	clock_advance(60000);
	boot(f, "", "20.1 1\n");
	fake_start(f);
	assert_heard(f, RESTART "1 r {\"status\":\"successful\",\"x\":1");
}

static void
or_by_the_marker_being_gone(void **state)
{
	struct fake *f = *state;

	boot(f, "one", "1000.5 1\n");
	go_down(f);
	assert_int_equal(unlink(fake_path(f, "tmp/tedge_agent_restart")), 0);
	fake_start(f);
	assert_heard(f, RESTART "1 r {\"status\":\"successful\",\"x\":1");
}

static void
a_restart_of_the_agent_alone_is_none(void **state)
{
	struct fake *f = *state;

	boot(f, "one", "1000.5 1\n");
	go_down(f);
	clock_advance(60000);
	boot(f, "one", "1060.5 1\n");
	fake_start(f);
	assert_heard(f, RESTART "1 r {\"status\":\"failed\",\"x\":1");
	assert_heard(f, "the agent was restarted, but the device was not");
}

static void
a_device_that_does_not_go_down_is_told(void **state)
{
	struct fake *f = *state;

	boot(f, "one", "1000.5 1\n");
	reboot_as(f, "exit 0");
	fake_start(f);
	fake_send(f, "tedge/commands/req/control/restart", "{\"id\":\"r\"}");
	assert_heard(f,
	    "tedge/commands/res/control/restart {\"id\":\"r\",\"status\":"
	    "\"executing\"}");
	/* The state of the command stands in the log when it has ended. */
	while (strstr(buf_z(&f->heard), "failed") == NULL) {
		fake_forget_owed(f, true);
		loop_turn(f->loop, 20);
		clock_advance(10000);
	}
	assert_heard(f,
	    "{\"id\":\"r\",\"status\":\"failed\",\"reason\":\"the device did "
	    "not restart within 120 s\"}");
	buf_clear(&f->heard);
	reboot_as(f, "echo not allowed >&2; exit 1");
	fake_send(f, RESTART "2", "{}");
	fake_wait(f,
	    "\"reason\":\"the command to restart the device failed: not "
	    "allowed\"");
}

/* --- an update of ourselves ------------------------------------------------
 */

static void
a_replaced_program_ends_when_nothing_runs(void **state)
{
	struct fake *f = *state;

	fake_plugin(f, "apt",
	    "case $1 in update-list) exit 1;; "
	    "install) cp ../program ../p2; mv ../p2 ../program;; esac");
	fake_plugin(f, "slow",
	    "[ $1 = list ] && [ -e ../wait ] && "
	    "while [ ! -e ../go ]; do sleep 0.05; done; exit 0");
	fake_file(f, "program", "one", 0755);
	f->paths[7] = str_dupz(str_of(fake_path(f, "program")));
	f->conf.exe = f->conf.running_exe = f->paths[7];
	fake_start(f);
	fake_wait(f, "[\"apt\",\"slow\"]");
	fake_send(f, LIST "1", "{}");
	fake_wait(f, LIST "1 r {\"status\":\"successful\"");
	assert_silent(f, "left");

	fake_file(f, "wait", "", 0644);
	fake_send(f, UPDATE "1",
	    "{\"updateList\":[{\"type\":\"apt\",\"modules\":[{\"name\":"
	    "\"marram-edge\",\"action\":\"install\"}]}]}");
	fake_send(f, LIST "2", "{}");
	fake_file(f, "go", "", 0644);
	fake_wait(f, "left end");
	assert_heard(f, UPDATE "1 r {\"status\":\"successful\"");
	assert_heard(f, LIST "2 r {\"status\":\"successful\"");
	assert_int_equal(times(f, "left"), 1);
}

static void
a_program_that_is_gone_or_the_same_stays(void **state)
{
	struct fake *f = *state;

	fake_plugin(f, "apt", GOOD);
	fake_file(f, "program", "one", 0755);
	f->paths[7] = str_dupz(str_of(fake_path(f, "program")));
	f->conf.exe = f->conf.running_exe = f->paths[7];
	fake_start(f);
	fake_send(f, UPDATE "1", TWO);
	fake_wait(f, UPDATE "1 r {\"status\":\"successful\"");
	assert_int_equal(unlink(f->paths[7]), 0);
	fake_send(f, UPDATE "2", TWO);
	fake_wait(f, UPDATE "2 r {\"status\":\"successful\"");
	assert_silent(f, "left");
}

int
main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, fake_setup, fake_teardown)
	const struct CMUnitTest tests[] = {
		TEST(types_are_told_at_the_start),
		TEST(a_list_names_what_is_there),
		TEST(the_first_generation_is_answered_its_way),
		TEST(what_is_no_request_is_told_on_the_errors_topic),
		TEST(what_does_not_list_is_an_error_and_the_rest_is_told),
		TEST(the_only_plugin_is_the_default_one),
		TEST(filters_say_what_is_told),
		TEST(an_update_goes_through_its_sequence),
		TEST(one_by_one_where_a_list_is_not_supported),
		TEST(what_a_plugin_says_is_the_reason),
		TEST(a_type_that_fails_is_not_anothers),
		TEST(a_failed_download_stops_before_installing),
		TEST(what_is_too_much_is_told_in_short),
		TEST(bad_lists_are_refused),
		TEST(one_that_hangs_is_ended_and_holds_nobody),
		TEST(one_that_hangs_when_it_is_asked_holds_nobody),
		TEST(a_plugin_that_comes_later_is_known_at_the_next_update),
		TEST(what_ran_when_the_agent_ended_has_failed),
		TEST(an_end_is_told_until_the_broker_has_it),
		TEST(one_found_executing_that_nobody_knows_has_failed),
		TEST(an_operation_of_the_first_years_is_ended),
		TEST(a_cleared_command_is_told_no_more),
		TEST(the_same_topic_may_be_used_again),
		TEST(too_many_are_refused),
		TEST(as_many_logs_are_kept_as_are_set),
		TEST(a_restart_is_known_by_the_number_of_the_boot),
		TEST(or_by_the_time_it_is_up),
		TEST(or_by_the_marker_being_gone),
		TEST(a_restart_of_the_agent_alone_is_none),
		TEST(a_device_that_does_not_go_down_is_told),
		TEST(a_replaced_program_ends_when_nothing_runs),
		TEST(a_program_that_is_gone_or_the_same_stays),
	};

	alarm(120);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
