/*
 * plug/target/test_linux.c - see test_linux.h.
 */
#include "plug/target/test_linux.h"

#include "base/base.h"
#include "base/file.h"
#include "base/test.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

const char test_linux_first[] =
    "{\"hostName\":\"after\",\"timeZone\":\"Europe/Berlin\","
    "\"repositories\":[{\"name\":\"ours\",\"line\":\"deb http://x/ ./\","
    "\"key\":\"-----BEGIN PGP PUBLIC KEY BLOCK-----\\n\"}],"
    "\"packages\":[{\"name\":\"tool\"},{\"name\":\"base\",\"version\":\"2.0\"},"
    "{\"name\":\"other\",\"state\":\"absent\"}],"
    "\"groups\":[{\"name\":\"crew\",\"gid\":777}],"
    "\"users\":[{\"name\":\"ada\",\"uid\":1500,\"groups\":[\"crew\",\"plant\"],"
    "\"comment\":\"A \\\"$(id)\\\" 'B'\",\"passwordSecret\":\"s1\","
    "\"authorizedKeys\":[\"ssh-ed25519 AAAA '$(id)' \\\"x\\\"\"]}],"
    "\"files\":[{\"path\":\"/etc/a 'b' $(touch x) *\",\"text\":\"one\\n\"},"
    "{\"path\":\"/etc/old\",\"text\":\"new\\ntext\\n\",\"mode\":\"0600\"},"
    "{\"path\":\"/opt/new/deep/logo\",\"artifact\":\"logo\",\"mode\":\"4755\"},"
    "{\"path\":\"/etc/key\",\"secret\":\"s2\",\"mode\":\"0400\"},"
    "{\"path\":\"/etc/systemd/system/new.service\",\"text\":\"[Unit]\\n\"}],"
    "\"services\":[{\"name\":\"new.service\","
    "\"restartOn\":[\"/etc/systemd/system/new.service\"]},"
    "{\"name\":\"old.service\",\"enabled\":false,\"running\":false}],"
    "\"containers\":[{\"name\":\"web\",\"image\":\"x/y:1\","
    "\"ports\":[\"80:8080\"],\"environment\":{\"A\":\"$(id) 'q' \\\"\\n*\"},"
    "\"command\":[\"--a b\",\"\"]}]}";

/* All that is not said here any more goes. */
const char test_linux_second[] =
    "{\"packages\":[{\"name\":\"base\",\"version\":\"2.0\"}],"
    "\"users\":[{\"name\":\"ben\"}],"
    "\"files\":[{\"path\":\"/etc/old\",\"text\":\"newer\\n\"},"
    "{\"path\":\"/etc/systemd/system/new.service\",\"text\":\"[Service]\\n\"}],"
    "\"services\":[{\"name\":\"new.service\","
    "\"restartOn\":[\"/etc/systemd/system/new.service\"]}],"
    "\"containers\":[{\"name\":\"web\",\"image\":\"x/y:2\"}]}";

const char test_linux_bad[] =
    "{\"packages\":[{\"name\":\"base\",\"version\":\"1.0\"},"
    "{\"name\":\"tool\",\"version\":\"1.0\"}],"
    "\"users\":[{\"name\":\"ada\",\"uid\":1600,\"shell\":\"/bin/false\"},"
    "{\"name\":\"eve\"}],"
    "\"files\":[{\"path\":\"/etc/old\",\"text\":\"never\\n\"},"
    "{\"path\":\"/etc/systemd/system/bad.service\",\"text\":\"[Unit]\\n\"}],"
    "\"services\":[{\"name\":\"bad.service\"}]}";

const char test_linux_impossible[] =
    "{\"timeZone\":\"Mars/Olympus\","
    "\"files\":[{\"path\":\"/etc/folder\",\"text\":\"x\"},"
    "{\"path\":\"/etc/x\",\"text\":\"\",\"owner\":\"nobody-knows\"}],"
    "\"packages\":[]}";

static void
sh(const char *dir, const char *script, const char *arg, struct buf *out)
{
	const char *const argv[] = { "sh", "-eufc", script, "sh", dir, arg,
		NULL };
	struct arena a = { 0 };
	struct str got, error;

	if (test_run(dir, argv, STR_NULL, &a, &got, &error) != 0)
		fail_msg("%s: " STR_FMT, script, STR_ARG(error));
	if (out != NULL)
		buf_add_str(out, got);
	arena_fini(&a);
}

void
test_linux_make(const char *dir)
{
	setenv("GIT_AUTHOR_NAME", "x", 1);
	setenv("GIT_AUTHOR_EMAIL", "x@example.com", 1);
	setenv("GIT_COMMITTER_NAME", "x", 1);
	setenv("GIT_COMMITTER_EMAIL", "x@example.com", 1);
	setenv("GIT_CONFIG_GLOBAL", "/dev/null", 1);
	sh(dir,
	    "cd \"$1\"; git init -q repository; cd repository;"
	    "mkdir -p hosts/dev artifacts; printf '\\0\\377logo' "
	    ">artifacts/logo",
	    "", NULL);
	sh(dir,
	    "cd \"$1\"; mkdir -p bin root/etc/folder root/etc/apt/keyrings"
	    "    root/etc/apt/sources.list.d root/etc/systemd/system"
	    "    root/run/systemd/system root/tmp "
	    "root/usr/share/zoneinfo/Europe"
	    "    root/home root/root;"
	    "echo old >root/etc/old; chmod 640 root/etc/old;"
	    "echo before >root/etc/hostname; echo UTC >root/etc/timezone;"
	    ": >root/usr/share/zoneinfo/Europe/Berlin;"
	    "ln -s /usr/share/zoneinfo/UTC root/etc/localtime;"
	    "for p in getent id useradd usermod userdel groupadd groupmod"
	    "    groupdel chpasswd dpkg-query dpkg apt-get systemctl podman"
	    "    hostname age uname chown stat; do ln -s \"$2\" bin/$p; done;"
	    "MARRAM_ROOT=$1/root bin/getent passwd root >/dev/null",
	    DEVICE, NULL);
}

void
test_linux_commit(const char *dir, const char *json, char commit[41])
{
	struct buf out = { 0 };

	sh(dir,
	    "cd \"$1/repository\"; printf %s \"$2\" >hosts/dev/linux.json;"
	    "git add .; git commit -qm x; git rev-parse HEAD",
	    json, &out);
	assert_int_equal(out.len, 41);
	memcpy(commit, out.ptr, 40);
	commit[40] = '\0';
	buf_free(&out);
}

const char *const *
test_linux_argv(const char *dir, const char *const *argv, struct arena *a)
{
	static const char program[] = "/var/lib/marram-fleet/apply.sh";
	const char **ret;
	size_t n = 0;

	while (argv[n] != NULL)
		n++;
	ret = arena_array(a, n + 4, const char *);
	ret[0] = "env";
	ret[1] = arena_printf(a, "MARRAM_ROOT=%s/root", dir).ptr;
	ret[2] = arena_printf(a, "MARRAM_PATH=%s/bin:/usr/bin:/bin", dir).ptr;
	for (size_t i = 0; i < n; i++)
		ret[3 + i] = strcmp(argv[i], program) != 0
		    ? argv[i]
		    : arena_printf(a, "%s/root%s", dir, argv[i]).ptr;
	return ret;
}

void
test_linux_look(const char *dir, struct buf *out)
{
	sh(dir,
	    "cd \"$1/root\"; find . \\( -path ./var -o -path './tmp/*' -o "
	    "-path './home/*' -o -name"
	    " 'state.*' -o -name starts -o -name marram-fleet-boot.service \\)"
	    " -prune -o ! -type d -printf '%p %m %U %G %l\\n' -o -type d "
	    "-printf"
	    " '%p %m %U %G\\n' | sort;"
	    "find etc opt root -type f ! -name marram-fleet-boot.service"
	    " -exec sha256sum '{}' + | sort; cat state.json 2>/dev/null || :",
	    "", out);
}

static bool
has(long pid, const char *file, const char *want, size_t len)
{
	char path[60], text[131072];
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "/proc/%ld/%s", pid, file);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	n = read(fd, text, sizeof(text));
	close(fd);
	return n > 0 && memmem(text, (size_t)n, want, len) != NULL;
}

static int
kill_once(const char *dir, const char *command)
{
	char root[80], words[80];
	DIR *proc = opendir("/proc");
	const struct dirent *e;
	size_t len;
	int n = 0;

	snprintf(root, sizeof(root), "MARRAM_ROOT=%s/root", dir);
	len = (size_t)snprintf(words, sizeof(words), ".sh%c%s%c", '\0',
	    command != NULL ? command : "", '\0');
	assert_non_null(proc);
	while ((e = readdir(proc)) != NULL) {
		long pid = strtol(e->d_name, NULL, 10);

		if (pid > 1 && pid != getpid() &&
		    has(pid, "environ", root, strlen(root) + 1) &&
		    (command == NULL || has(pid, "cmdline", words, len)))
			n += kill((pid_t)pid, SIGKILL) == 0;
	}
	closedir(proc);
	return n;
}

int
test_linux_kill(const char *dir, const char *command)
{
	int n = 0;

	/* those that were born meanwhile, too */
	for (int i = 0; i < (command == NULL ? 3 : 1); i++)
		n += kill_once(dir, command);
	return n;
}

void
test_linux_systemd(const char *dir)
{
	sh(dir, "ln -s \"$2\" \"$1/bin/systemd-run\"", SYSTEMD_RUN, NULL);
}

void
test_linux_restart(const char *dir)
{
	const char *const boot[] = { "sh", "/var/lib/marram-fleet/apply.sh",
		"boot", NULL };
	struct arena a = { 0 };
	struct str out, error;

	test_linux_kill(dir, NULL);
	(void)test_run(
	    dir, test_linux_argv(dir, boot, &a), STR_NULL, &a, &out, &error);
	arena_fini(&a);
}

void
test_linux_disturb(const char *dir)
{
	sh(dir,
	    "cd \"$1/root\"; echo mine >etc/old; chmod 777 opt/new/deep/logo;"
	    "rm etc/key; ln -sf /usr/share/zoneinfo/UTC etc/localtime;"
	    "sed -i -e 's/\"active\": true/\"active\": false/'"
	    "    -e 's/\"up\": true/\"up\": false/'"
	    "    -e 's/\"hash\": \"[^*]*\"/\"hash\": \"x\"/'"
	    "    -e 's/\"host\": \"after\"/\"host\": \"else\"/'"
	    "    -e '/\"tool\"/d' -e 's/\"base\": \"2.0\"/\"base\": \"1.0\"/'"
	    "    state.json",
	    "", NULL);
}
