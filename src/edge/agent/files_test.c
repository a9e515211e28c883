/*
 * edge/agent/files_test.c - configuration and logs: the commands, the programs
 * behind them, and files that are brought and taken away.
 */
#include "edge/agent/fake.h"
#include "edge/command.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>

#define SNAPSHOT "te/device/main///cmd/config_snapshot/"
#define UPDATE "te/device/main///cmd/config_update/"
#define LOG "te/device/main///cmd/log_upload/"

struct web {
	struct fake *f;
	pid_t pid;
	int port;
};

/* --- a server of files: GET /www/x, PUT /www/x -----------------------------
 */

static void
answer(struct fake *f, int fd)
{
	static char text[1 << 20];
	char name[128], *body;
	size_t len = 0, want = 0;
	ssize_t n;

	while ((body = strstr(text, "\r\n\r\n")) == NULL) {
		n = read(fd, text + len, sizeof(text) - 1 - len);
		if (n <= 0)
			return;
		text[len += (size_t)n] = '\0';
	}
	*body = '\0';
	body += 4;
	if (strcasestr(text, "expect: 100") != NULL)
		dprintf(fd, "HTTP/1.1 100 Continue\r\n\r\n");
	if (strcasestr(text, "content-length:") != NULL)
		want = (size_t)atol(strcasestr(text, "content-length:") + 15);
	while ((size_t)(text + len - body) < want) {
		n = read(fd, text + len, sizeof(text) - 1 - len);
		if (n <= 0)
			return;
		len += (size_t)n;
	}
	if (sscanf(text, "%*s /%100[^ ?]", name) != 1)
		return;
	for (char *p = name; *p != '\0'; p++)
		*p = *p == '/' ? '_' : *p;
	if (strncmp(text, "PUT", 3) == 0) {
		int to = open(
		    fake_path(f, name), O_WRONLY | O_CREAT | O_TRUNC, 0644);

		assert_int_equal(write(to, body, want), (ssize_t)want);
		close(to);
		dprintf(fd,
		    "HTTP/1.1 201 Created\r\nContent-Length: 0\r\n"
		    "Connection: close\r\n\r\n");
	} else {
		struct buf b = { 0 };

		if (strcmp(name, "endless") == 0)
			/* It does not say how much there will be. */
			for (dprintf(fd,
				 "HTTP/1.1 200 OK\r\nTransfer-Encoding: "
				 "chunked\r\n\r\n");
			     dprintf(fd, "1000\r\n%4096s\r\n", "x") > 0;)
				;
		else if (file_read(fake_path(f, name), &b, NULL) != 0)
			dprintf(fd,
			    "HTTP/1.1 404 No\r\nContent-Length: 0\r\n"
			    "Connection: close\r\n\r\n");
		else {
			dprintf(fd,
			    "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n"
			    "Connection: close\r\n\r\n",
			    b.len);
			assert_int_equal(write(fd, b.ptr, b.len), b.len);
		}
	}
	memset(text, 0, sizeof(text));
}

static void
serve(struct web *w)
{
	struct sockaddr_in a = { .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(a);
	int s = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(bind(s, (struct sockaddr *)&a, len), 0);
	assert_int_equal(listen(s, 8), 0);
	assert_int_equal(getsockname(s, (struct sockaddr *)&a, &len), 0);
	w->port = ntohs(a.sin_port);
	w->pid = fork();
	if (w->pid == 0)
		signal(SIGPIPE, SIG_IGN);
	while (w->pid == 0) {
		int fd = accept(s, NULL, NULL);

		answer(w->f, fd);
		close(fd);
	}
	close(s);
}

static struct web web;

static int
setup(void **state)
{
	static struct str program[] = { STR("/proc/self/exe"), STR("run") };
	static struct str config_plugins[1], log_plugins[1];
	static char files_url[64];
	struct fake *f;

	fake_setup(state);
	f = *state;
	web = (struct web){ .f = f };
	serve(&web);
	f->paths[5] = str_dupz(str_of(fake_path(f, "config-plugins")));
	f->paths[6] = str_dupz(str_of(fake_path(f, "log-plugins")));
	config_plugins[0] = str_of(f->paths[5]);
	log_plugins[0] = str_of(f->paths[6]);
	f->conf.program = (struct strs){ program, 2 };
	f->conf.config_plugins = (struct strs){ config_plugins, 1 };
	f->conf.log_plugins = (struct strs){ log_plugins, 1 };
	snprintf(
	    files_url, sizeof(files_url), "http://127.0.0.1:%d/up", web.port);
	f->conf.files_url = str_of(files_url);
	return 0;
}

static int
teardown(void **state)
{
	kill(web.pid, SIGKILL);
	waitpid(web.pid, NULL, 0);
	return fake_teardown(state);
}

static void
assert_file(struct fake *f, const char *name, const char *text)
{
	struct buf b = { 0 };
	struct err err;

	if (file_read(fake_path(f, name), &b, &err) != 0)
		fail_msg("%s", err.text);
	assert_string_equal(buf_z(&b), text);
	buf_free(&b);
}

/* The list of files, with DIR in it being the test's folder. */
static void
list_of(struct fake *f, const char *name, const char *text)
{
	struct buf b = { 0 };

	for (const char *p = text; *p != '\0'; p++) {
		if (strncmp(p, "DIR", 3) == 0) {
			buf_addz(&b, f->dir);
			p += 2;
		} else {
			buf_addc(&b, *p);
		}
	}
	fake_file(f, name, buf_z(&b), 0644);
	buf_free(&b);
}

static void
send_with_url(
    struct fake *f, const char *topic, const char *members, const char *path)
{
	char *text =
	    mem_printf("{\"status\":\"init\",%s:\"http://127.0.0.1:%d%s\"}",
		members, web.port, path);

	fake_send(f, topic, text);
	free(text);
}

#define CONFIG "plugins/tedge-configuration-plugin.toml"
#define LOGS "plugins/tedge-log-plugin.toml"

/* --- types ---------------------------------------------------------------- */

static void
types_of_every_plugin_are_told(void **state)
{
	struct fake *f = *state;

	list_of(f, CONFIG,
	    "files = [{ path = 'DIR/a.conf', type = 'a' }, "
	    "{ path = 'DIR/b' }]\n");
	list_of(f, LOGS,
	    "files = [{ type = 'sys', path = 'DIR/sys*' }]\n"
	    "[[plugins.journal.filters]]\ninclude = '^ssh'\n"
	    "[[plugins.journal.filters]]\nexclude = 'o'\n");
	fake_file(f, "config-plugins/lighttpd",
	    "#!/bin/sh\n[ $1 = list ] && echo lighttpd.conf\n", 0755);
	fake_file(f, "config-plugins/file", "#!/bin/sh\necho no\n", 0755);
	fake_file(f, "log-plugins/journal",
	    "#!/bin/sh\nprintf 'sshd\\ncron\\ndbus\\n'\n", 0755);
	fake_file(f, "log-plugins/broken", "#!/bin/sh\nexit 3\n", 0755);
	fake_start(f);
	fake_wait(f, "cmd/config_update r {\"types\":[\"");
	fake_wait(f,
	    "cmd/log_upload r {\"types\":[\"dbus::journal\",\"sshd::journal\","
	    "\"sys\"]}\n");
	buf_addz(&f->heard, "");
	assert_heard(f,
	    "/b\",\"a\",\"lighttpd.conf::lighttpd\","
	    "\"tedge-configuration-plugin\"]}\n");
	buf_clear(&f->heard);
	/* What changes there is told without being asked. */
	list_of(f, LOGS, "files = [{ type = 'new', path = 'DIR/sys*' }]\n");
	while (strstr(buf_z(&f->heard), "cmd/log_upload") == NULL) {
		loop_turn(f->loop, 20);
		clock_advance(100);
	}
	assert_heard(f, "\"cron::journal\",\"dbus::journal\",\"new\",");
}

static void
what_is_switched_off_is_not_there(void **state)
{
	struct fake *f = *state;

	f->conf.log_upload = false;
	fake_start(f);
	fake_wait(f, "cmd/log_upload r \n");
	fake_send(f, LOG "1", "{\"type\":\"x\"}");
	assert_heard(
	    f, "\"reason\":\"log_upload is switched off on this device\"");
}

/* --- snapshot ------------------------------------------------------------- */

static void
a_snapshot_goes_where_it_is_asked_for(void **state)
{
	struct fake *f = *state;

	list_of(f, CONFIG, "files = [{ path = 'DIR/a.conf', type = 'a/b' }]\n");
	fake_file(f, "a.conf", "the text\n", 0600);
	fake_start(f);
	send_with_url(
	    f, SNAPSHOT "1", "\"type\":\"a/b\",\"x\":1,\"tedgeUrl\"", "/got");
	fake_wait(
	    f, SNAPSHOT "1 r {\"status\":\"successful\",\"type\":\"a/b\"");
	assert_heard(f, "/a.conf\",\"tedgeUrl\":\"http://127.0.0.1:");
	assert_file(f, "got", "the text\n");
	/* Without being said where: into our own store. */
	fake_send(f, SNAPSHOT "2", "{\"type\":\"tedge-configuration-plugin\"}");
	fake_wait(f, SNAPSHOT "2 r {\"status\":\"successful\"");
	assert_heard(f,
	    "/up/config_snapshot/tedge-configuration-plugin-2\",\"logPath\"");
	assert_int_equal(
	    access(
		fake_path(f, "up_config_snapshot_tedge-configuration-plugin-2"),
		F_OK),
	    0);
}

static void
a_snapshot_that_fails_says_why(void **state)
{
	struct fake *f = *state;

	list_of(f, CONFIG, "files = [{ path = 'DIR/a.conf', type = 'a' }]\n");
	fake_file(f, "config-plugins/p",
	    "#!/bin/sh\n[ $1 = get ] && { echo not today >&2; exit 9; }\n",
	    0755);
	fake_start(f);
	fake_send(f, SNAPSHOT "1", "{\"type\":\"a\"}");
	fake_wait(f, "a.conf: No such file or directory\"}");
	fake_send(f, SNAPSHOT "2", "{\"type\":\"nil\"}");
	fake_wait(f,
	    "The requested config_type \\\"nil\\\" is not defined in the "
	    "plugin configuration file.\"}");
	fake_send(f, SNAPSHOT "3", "{\"type\":\"x::nil\"}");
	fake_wait(f,
	    "There is no configuration plugin for the type "
	    "\\\"x::nil\\\"\"}");
	fake_send(f, SNAPSHOT "4", "{\"type\":\"x::p\"}");
	fake_wait(f, SNAPSHOT "4 r {\"status\":\"failed\"");
	assert_heard(f, "\"reason\":\"not today\"}");
	fake_send(f, SNAPSHOT "5", "{}");
	fake_wait(f, "\"reason\":\"the member \\\"type\\\" is missing\"}");
	fake_file(f, "a.conf", "too long", 0644);
	f->conf.file_max = 7;
	fake_send(f, SNAPSHOT "7", "{\"type\":\"a\"}");
	fake_wait(f, "\"reason\":\"it is larger than 7 bytes\"}");
	fake_send(f, SNAPSHOT "6", "{\"type\":\"x::../p\"}");
	fake_wait(f, SNAPSHOT "6 r {\"status\":\"failed\"");
}

static void
a_download_without_a_length_has_a_limit(void **state)
{
	struct fake *f = *state;
	char *url = mem_printf("http://127.0.0.1:%d/endless", web.port);
	char *path = str_dupz(str_of(fake_path(f, "tmp/got")));
	const struct fetch_request r = { .url = str_of(url),
		.path = path,
		.max_size = 1 << 20,
		.timeout_ms = 20000 };
	struct err err;

	signal(SIGPIPE, SIG_IGN);
	assert_int_equal(fetch_wait(&r, NULL, NULL, &err), ERR_LIMIT);
	assert_non_null(strstr(err.text, "larger than there is room for"));
	assert_int_not_equal(access(path, F_OK), 0);
	free(url);
	free(path);
}

/* --- update --------------------------------------------------------------- */

static void
an_update_replaces_the_file_and_keeps_its_mode(void **state)
{
	struct fake *f = *state;
	struct stat st;

	list_of(f, CONFIG,
	    "files = [{ path = 'DIR/a.conf', type = 'a', mode = 0o600 }, "
	    "{ path = 'DIR/deep/er/n.conf', type = 'n', mode = '640', "
	    "parent_mode = 0o700 }]\n");
	fake_file(f, "a.conf", "old\n", 0604);
	fake_file(f, "new", "new\n", 0644);
	fake_start(f);
	send_with_url(f, UPDATE "1", "\"type\":\"a\",\"remoteUrl\"", "/new");
	fake_wait(f, UPDATE "1 r {\"status\":\"successful\",\"type\":\"a\"");
	assert_file(f, "a.conf", "new\n");
	assert_int_equal(stat(fake_path(f, "a.conf"), &st), 0);
	assert_int_equal(st.st_mode & 07777, 0604);
	assert_heard(f, "tedge/configuration_change/a {\"path\":\"");
	send_with_url(f, UPDATE "2", "\"type\":\"n\",\"tedgeUrl\"", "/new");
	fake_wait(f, UPDATE "2 r {\"status\":\"successful\"");
	assert_file(f, "deep/er/n.conf", "new\n");
	assert_int_equal(stat(fake_path(f, "deep/er/n.conf"), &st), 0);
	assert_int_equal(st.st_mode & 07777, 0640);
	assert_int_equal(stat(fake_path(f, "deep"), &st), 0);
	assert_int_equal(st.st_mode & 07777, 0700);
}

static void
a_file_that_can_not_be_had_changes_nothing(void **state)
{
	struct fake *f = *state;

	list_of(f, CONFIG, "files = [{ path = 'DIR/a.conf', type = 'a' }]\n");
	fake_file(f, "a.conf", "old\n", 0644);
	fake_start(f);
	send_with_url(f, UPDATE "1", "\"type\":\"a\",\"remoteUrl\"", "/nil");
	fake_wait(f, "/nil: the server answered 404\"}");
	fake_send(f, UPDATE "2", "{\"type\":\"a\"}");
	fake_wait(f, "the member \\\"remoteUrl\\\" is missing");
	fake_send(f, UPDATE "3",
	    "{\"type\":\"a\",\"remoteUrl\":\"file:///etc/hosts\"}");
	fake_wait(f, "not a URL of http or https");
	/* What would break the list itself is refused. */
	fake_file(f, "new", "files = [", 0644);
	send_with_url(f, UPDATE "4",
	    "\"type\":\"tedge-configuration-plugin\",\"remoteUrl\"", "/new");
	fake_wait(f, "the new tedge-configuration-plugin.toml: line 1");
	assert_file(f, "a.conf", "old\n");
	assert_int_equal(rmdir(fake_path(f, "tmp")), 0); /* it is empty */
	mkdir(fake_path(f, "tmp"), 0755);
}

static void
an_update_that_fails_is_rolled_back(void **state)
{
	struct fake *f = *state;

	fake_file(f, "config-plugins/p",
	    "#!/bin/sh\n"
	    "echo \"$1 $2 ${3##*/}\" >>../calls\n"
	    "case $1 in list) echo x;; "
	    "set) [ -e ../unset ] && { echo no >&2; exit 1; };; "
	    "verify) [ -e ../bad ] && { echo it is bad >&2; exit 1; };; "
	    "rollback) [ -e ../worse ] && { echo gone >&2; exit 1; };; "
	    "esac; exit 0",
	    0755);
	fake_file(f, "new", "new\n", 0644);
	fake_start(f);
	fake_wait(f, "x::p");
	send_with_url(f, UPDATE "1", "\"type\":\"x::p\",\"remoteUrl\"", "/new");
	fake_wait(f, UPDATE "1 r {\"status\":\"successful\"");
	assert_file(f, "calls",
	    "list  \nprepare x new\nset x new\nverify x --work-dir\n");
	fake_file(f, "bad", "", 0644);
	send_with_url(f, UPDATE "2", "\"type\":\"x::p\",\"remoteUrl\"", "/new");
	fake_wait(f, "\"reason\":\"it is bad\"}");
	assert_file(f, "calls",
	    "list  \nprepare x new\nset x new\nverify x --work-dir\n"
	    "prepare x new\nset x new\nverify x --work-dir\n"
	    "rollback x --work-dir\n");
	fake_file(f, "unset", "", 0644);
	send_with_url(f, UPDATE "4", "\"type\":\"x::p\",\"remoteUrl\"", "/new");
	fake_wait(f, "\"reason\":\"no\"}");
	assert_int_equal(unlink(fake_path(f, "unset")), 0);
	fake_file(f, "worse", "", 0644);
	send_with_url(f, UPDATE "3", "\"type\":\"x::p\",\"remoteUrl\"", "/new");
	fake_wait(f,
	    "\"reason\":\"it is bad; and the old file could not be put back: "
	    "gone\"}");
}

#define ASKS                                                                   \
	"#!/bin/sh\n"                                                          \
	"echo \"$1\" >>../calls\n"                                             \
	"case $1 in list) echo x;; "                                           \
	"set) echo one; echo ':::begin-tedge:::'; "                            \
	"echo '{\"restartAgent\": true}'; echo ':::end-tedge:::';; "           \
	"verify) [ -e ../bad ] && { echo it is bad >&2; exit 1; };; "          \
	"esac; exit 0"

static void
assert_tmp_is_empty(struct fake *f)
{
	assert_int_equal(rmdir(fake_path(f, "tmp")), 0);
	assert_int_equal(mkdir(fake_path(f, "tmp"), 0755), 0);
}

static void
the_agent_restarts_between_set_and_verify(void **state)
{
	struct fake *f = *state;

	fake_file(f, "config-plugins/p", ASKS, 0755);
	fake_file(f, "new", "new\n", 0644);
	fake_start(f);
	fake_wait(f, "x::p");
	send_with_url(f, UPDATE "1", "\"type\":\"x::p\",\"remoteUrl\"", "/new");
	fake_wait(f, "left again");
	assert_file(f, "calls", "list\nprepare\nset\n");
	fake_crash(f);
	fake_start(f);
	fake_wait(f, UPDATE "1 r {\"status\":\"successful\"");
	fake_wait(f, "x::p");
	assert_null(strstr(buf_z(&f->heard), "left"));
	assert_tmp_is_empty(f);
	fake_file(f, "calls", "", 0644);

	/* Not good with it: the old file is back, and the agent, too. */
	fake_file(f, "bad", "", 0644);
	buf_clear(&f->heard);
	send_with_url(f, UPDATE "2", "\"type\":\"x::p\",\"remoteUrl\"", "/new");
	fake_wait(f, "left again");
	fake_crash(f);
	fake_start(f);
	fake_wait(f, "\"reason\":\"it is bad\"}");
	fake_wait(f, "left again");
	assert_tmp_is_empty(f);
}

static void
the_agent_does_not_restart_into_what_it_can_not_read(void **state)
{
	struct fake *f = *state;

	fake_file(f, "config-plugins/p", ASKS, 0755);
	fake_file(f, "new", "new\n", 0644);
	f->broken = "line 1 is wrong";
	fake_start(f);
	fake_wait(f, "x::p");
	send_with_url(f, UPDATE "1", "\"type\":\"x::p\",\"remoteUrl\"", "/new");
	fake_wait(f,
	    "\"reason\":\"the agent would not start with the new file: line 1 "
	    "is wrong\"}");
	assert_null(strstr(buf_z(&f->heard), "left"));
	assert_file(f, "calls", "list\nprepare\nset\nrollback\n");
}

static void
an_agent_that_comes_too_late_is_told(void **state)
{
	struct fake *f = *state;

	list_of(f, CONFIG,
	    "files = [{ path = 'DIR/a.conf', type = 'a', "
	    "service = 'tedge-agent' }]\n");
	fake_file(f, "a.conf", "old\n", 0644);
	fake_file(f, "new", "new\n", 0644);
	fake_start(f);
	send_with_url(f, UPDATE "1", "\"type\":\"a\",\"remoteUrl\"", "/new");
	fake_wait(f, "left again");
	assert_file(f, "a.conf", "new\n");
	fake_crash(f);
	clock_advance(91000);
	fake_start(f);
	fake_wait(f, "\"reason\":\"the agent did not restart within 90 s\"}");
	assert_file(f, "a.conf", "old\n");
}

/* --- logs ----------------------------------------------------------------- */

static void
age(struct fake *f, const char *name, time_t at)
{
	struct timespec times[2] = { { .tv_sec = at }, { .tv_sec = at } };

	assert_int_equal(utimensat(AT_FDCWD, fake_path(f, name), times, 0), 0);
}

static void
the_last_lines_of_the_newest_files_are_sent(void **state)
{
	struct fake *f = *state;

	list_of(f, LOGS, "files = [{ type = 'sys', path = 'DIR/sys*.log' }]\n");
	fake_file(f, "sys1.log", "one ok\none bad\n", 0644);
	fake_file(f, "sys2.log", "two ok\ntwo bad\nthree ok", 0644);
	fake_file(f, "sys3.log", "ancient ok\n", 0644);
	age(f, "sys1.log", 1700000200);
	age(f, "sys2.log", 1700000300);
	age(f, "sys3.log", 1600000000);
	fake_start(f);
	send_with_url(f, LOG "1",
	    "\"type\":\"sys\",\"dateFrom\":\"2023-11-14T23:16:40+01:00\","
	    "\"dateTo\":\"2099-01-01T00:00:00Z\",\"searchText\":\"ok\","
	    "\"lines\":2,\"tedgeUrl\"",
	    "/log1");
	fake_wait(f, LOG "1 r {\"status\":\"successful\"");
	assert_file(f, "log1", "two ok\nthree ok");
	send_with_url(f, LOG "2",
	    "\"type\":\"sys\",\"dateFrom\":\"2023-11-14T23:16:40+01:00\","
	    "\"lines\":100,\"tedgeUrl\"",
	    "/log2");
	fake_wait(f, LOG "2 r {\"status\":\"successful\"");
	assert_file(f, "log2", "one ok\none bad\ntwo ok\ntwo bad\nthree ok");
	send_with_url(f, LOG "3", "\"type\":\"nil\",\"tedgeUrl\"", "/log3");
	fake_wait(f, "The target log file for 'nil' does not exist.\"}");
	send_with_url(f, LOG "4", "\"type\":\"a::nil\",\"tedgeUrl\"", "/log3");
	fake_wait(f, "The target log file for 'a::nil' does not exist.\"}");
	fake_send(f, LOG "5", "{\"type\":\"sys\",\"dateFrom\":\"yesterday\"}");
	fake_wait(f, "\"dateFrom\\\" is not a time: yesterday\"}");
}

static void
other_plugins_are_asked_for_the_same(void **state)
{
	struct fake *f = *state;

	fake_file(f, "log-plugins/j",
	    "#!/bin/sh\n[ $1 = list ] || { echo \"$@\"; seq 5; }\n", 0755);
	fake_start(f);
	send_with_url(f, LOG "1",
	    "\"type\":\"a b::j\",\"dateFrom\":\"1970-01-01T00:00:10Z\","
	    "\"dateTo\":\"1970-01-01T00:00:20Z\",\"lines\":6,\"tedgeUrl\"",
	    "/log1");
	fake_wait(f, LOG "1 r {\"status\":\"successful\"");
	assert_file(
	    f, "log1", "get a b --since 10 --until 20\n1\n2\n3\n4\n5\n");
}

/* --- the programs -----------------------------------------------------------
 */

static int
shell(struct fake *f, const char *fmt, ...)
{
	char line[1024], cmd[1400];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	snprintf(cmd, sizeof(cmd),
	    "cd %s && ME=$(readlink /proc/%d/exe) && TEDGE_CONFIG_DIR=%s && "
	    "export TEDGE_CONFIG_DIR && %s",
	    f->dir, (int)getpid(), f->dir, line);
	return WEXITSTATUS(system(cmd));
}

static void
the_tail_is_exact_at_every_length(void **state)
{
	struct fake *f = *state;

	for (int lines = 1; lines <= 7; lines++)
		for (int total = 0; total <= 16; total += 4)
			assert_int_equal(
			    shell(f,
				"rm -f out; \"$ME\" run tedge-collect --out "
				"out --lines %d -- seq %d && "
				"seq %d | tail -n %d | cmp - out",
				lines, total, total, lines),
			    0);
	assert_int_equal(shell(f,
			     "rm out; \"$ME\" run tedge-collect --out out "
			     "--max 10 -- seq 100 2>err"),
	    1);
	assert_file(f, "err", "it is larger than 10 bytes\n");
	assert_int_equal(shell(f,
			     "rm out; \"$ME\" run tedge-collect --out out -- "
			     "sh -c 'echo x; exit 7'"),
	    7);
	assert_file(f, "out", "x\n");
}

static void
tedge_write_replaces_a_file_in_one_moment(void **state)
{
	struct fake *f = *state;
	struct stat before, after;

	fake_file(f, "t", "old", 0640);
	assert_int_equal(stat(fake_path(f, "t"), &before), 0);
	assert_int_equal(
	    shell(f, "printf new | \"$ME\" run tedge-write \"$PWD/t\""), 0);
	assert_file(f, "t", "new");
	assert_int_equal(stat(fake_path(f, "t"), &after), 0);
	assert_int_equal(after.st_mode, before.st_mode);
	assert_int_not_equal(after.st_ino, before.st_ino);
	assert_int_equal(shell(f,
			     "printf x | \"$ME\" run tedge-write \"$PWD/u\" "
			     "--mode=600 --user $(id -u) --group $(id -g)"),
	    0);
	assert_int_equal(stat(fake_path(f, "u"), &after), 0);
	assert_int_equal(after.st_mode & 07777, 0600);
	/* A link stays one: what it stands for is replaced. */
	assert_int_equal(shell(f,
			     "ln -s t l && printf via | \"$ME\" run "
			     "tedge-write \"$PWD/l\" && [ -L l ]"),
	    0);
	assert_file(f, "t", "via");
	assert_int_equal(
	    shell(f, "\"$ME\" run tedge-write t </dev/null 2>/dev/null"), 2);
	/* What sudo takes for a file below /etc. */
	assert_int_equal(shell(f,
			     "\"$ME\" run tedge-write $PWD/tmp/../t </dev/null "
			     "2>/dev/null"),
	    2);
	assert_int_equal(shell(f,
			     "\"$ME\" run tedge-write $PWD/t --mode 9 "
			     "</dev/null 2>/dev/null"),
	    1);
	assert_int_equal(shell(f,
			     "\"$ME\" run tedge-write $PWD/no/t </dev/null "
			     "2>/dev/null"),
	    1);
	assert_file(f, "t", "via");
	assert_int_equal(shell(f, "[ $(ls | grep -c 't\\.') = 0 ]"), 0);
}

int
main(int argc, char **argv)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(types_of_every_plugin_are_told),
		TEST(what_is_switched_off_is_not_there),
		TEST(a_snapshot_goes_where_it_is_asked_for),
		TEST(a_snapshot_that_fails_says_why),
		TEST(a_download_without_a_length_has_a_limit),
		TEST(an_update_replaces_the_file_and_keeps_its_mode),
		TEST(a_file_that_can_not_be_had_changes_nothing),
		TEST(an_update_that_fails_is_rolled_back),
		TEST(the_agent_restarts_between_set_and_verify),
		TEST(the_agent_does_not_restart_into_what_it_can_not_read),
		TEST(an_agent_that_comes_too_late_is_told),
		TEST(the_last_lines_of_the_newest_files_are_sent),
		TEST(other_plugins_are_asked_for_the_same),
		TEST(the_tail_is_exact_at_every_length),
		TEST(tedge_write_replaces_a_file_in_one_moment),
	};

	/* The agent runs itself as its small programs. */
	if (argc > 2 && strcmp(argv[1], "run") == 0)
		return command_main(argc, argv);
	alarm(120);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
