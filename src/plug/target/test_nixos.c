/*
 * plug/target/test_nixos.c - see test_nixos.h.
 *
 * Below {dir}: repository/, nixpkgs/ (a flake in its place), here/nix (our
 * store), root/nix, root/run and root/lib (those of the device), bin/ssh. A
 * program of the device runs in a mount namespace where these are /nix, /run
 * and /var/lib/marram-fleet; MARRAM_ROOT in its environment marks it.
 */
#include "plug/target/test_nixos.h"

#include "base/base.h"
#include "base/file.h"
#include "base/test.h"
#include "plug/target/test_linux.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define NIX_CONFIG                                                             \
	"NIX_CONFIG=substitute = false\nsandbox = false\n"                     \
	"build-users-group =\nfsync-metadata = false\n"                        \
	"experimental-features = nix-command flakes"

/* Instead of nixpkgs: a system is made by a shell. */
static const char nixpkgs[] =
    "{ outputs = { self }: { lib.nixosSystem = { version, switch, build }:\n"
    "  let\n"
    "    make = name: script: more: derivation ({\n"
    "      inherit name; system = \"SYSTEM\"; builder = \"/bin/sh\";\n"
    "      args = [ \"-c\" script ]; } // more);\n"
    "    tool = make \"tool-${version}\" \"echo ${version} >$out\" { };\n"
    "  in {\n"
    "    config.system.build.toplevel = make \"nixos-system-dev-${version}\"\n"
    "      build { inherit tool switch; passAsFile = [ \"switch\" ]; };\n"
    "  };\n"
    "}; }\n";
static const char flake[] =
    "{ inputs.nixpkgs.url = \"path:NIXPKGS\";\n"
    "  outputs = { self, nixpkgs }: {\n"
    "    nixosConfigurations.dev = nixpkgs.lib.nixosSystem {\n"
    "      version = builtins.readFile ./version;\n"
    "      switch = builtins.readFile ./switch;\n"
    "      build = builtins.readFile ./build;\n"
    "    };\n"
    "  };\n"
    "}\n";
static const char build[] =
    "/bin/mkdir -p $out/bin &&"
    "/bin/cp $switchPath $out/bin/switch-to-configuration &&"
    "/bin/chmod 755 $out/bin/switch-to-configuration && echo $tool >$out/tool";
/* What systems do last; the rest stands in front of it. */
static const char activate[] =
    "top=$(readlink -f \"$0\"); top=${top%%/bin/*}\n"
    "echo \"activating: $1\"\n"
    "case $1 in test | switch) ln -sfn \"$top\" /run/current-system ;; esac\n"
    "case $1 in boot | switch) ln -sfn \"$top\" /run/booted-next ;; esac\n";
static const char broken[] =
    "#!/bin/sh\ntop=$(readlink -f \"$0\"); top=${top%%/bin/*}\n"
    "ln -sfn \"$top\" /run/current-system; echo it is broken; exit 4\n";

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

const char *
test_nixos_missing(void)
{
	if (system("nix --version >/dev/null 2>&1") != 0)
		return "nix";
	if (system("unshare -m true >/dev/null 2>&1") != 0)
		return "mount namespaces";
	return NULL;
}

/* --- programs ------------------------------------------------------------- */

static const char *const *
behind(const char *const *front, const char *const *argv, struct arena *a)
{
	const char **ret;
	size_t n = 0, m = 0;

	while (front[n] != NULL)
		n++;
	while (argv[m] != NULL)
		m++;
	ret = arena_array(a, n + m + 1, const char *);
	memcpy(ret, front, n * sizeof(*ret));
	memcpy(ret + n, argv, m * sizeof(*ret));
	return ret;
}

const char *const *
test_nixos_here(const char *dir, const char *const *argv, struct arena *a)
{
	const char *const front[] = { "env", NIX_CONFIG,
		arena_printf(a, "PATH=%s/bin:%s", dir, getenv("PATH")).ptr,
		"unshare", "-m", "--propagation", "private", "sh", "-c",
		"mount --bind \"$0\" /nix && exec \"$@\"",
		arena_printf(a, "%s/here/nix", dir).ptr, NULL };

	return strcmp(argv[0], "nix") == 0 ? behind(front, argv, a) : argv;
}

/* With what ssh gets, too: so it is a file. */
const char *const *
test_nixos_argv(const char *dir, const char *const *argv, struct arena *a)
{
	const char *const front[] = { arena_printf(a, "%s/enter", dir).ptr,
		NULL };

	return behind(front, argv, a);
}

static void
write_file(const char *dir, const char *name, struct str text)
{
	char path[200];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	assert_int_equal(file_write(path, text, NULL), 0);
}

static void
write_programs(const char *dir)
{
	struct arena a = { 0 };

	write_file(dir, "enter",
	    arena_printf(&a,
		"#!/bin/sh\nd=%s\nexport MARRAM_ROOT=$d/root\n"
		"export NIX_CONFIG='substitute = false\nbuild-users-group =\n"
		"fsync-metadata = false'\n"
		"export MARRAM_BOOT_ID=$(cat $d/boots) PATH=$d/late:$PATH\n"
		"exec unshare -m --propagation private sh -c '"
		"mount --bind $0/root/nix /nix && mount --bind $0/root/lib"
		" /var/lib/marram-fleet && mount --bind $0/root/run /run &&"
		" exec \"$@\"' $d \"$@\"\n",
		dir));
	/* ssh -F FILE ... device COMMAND, as Nix calls it. */
	write_file(dir, "bin/ssh",
	    arena_printf(&a,
		"#!/bin/sh\nd=%s\n[ ! -e $d/away ] || exit 255\n"
		"while [ $# -gt 0 ] && [ \"$1\" != device ]; do shift; done\n"
		"shift\nwhile :; do case $1 in -*) shift ;; *) break ;; esac; "
		"done\nexec $d/enter sh -c \"$*\"\n",
		dir));
	/* Who looks for how it ended just before it does so is told at the
	 * worst moment: when it has. */
	write_file(dir, "late/cat",
	    STR("#!/bin/sh\n/bin/cat \"$@\" && exit\ni=0 d=${1%/*}\n"
		"case $1 in */exit | */back)\n"
		"while [ -e $d/armed -o -e $d/taken ] && [ ! -e $1 ] &&\n"
		"[ $i -lt 50 ]; do sleep 0.1; i=$((i + 1)); done ;;\n"
		"esac\nexit 1\n"));
	sh(dir, "cd \"$1\"; chmod 755 enter bin/ssh late/cat", "", NULL);
	arena_fini(&a);
}

/* --- its making ----------------------------------------------------------- */

static void
commit(const char *dir, const char *version, const char *how, const char *what,
    char ret[41])
{
	struct buf out = { 0 };
	struct arena a = { 0 };

	write_file(dir, "repository/version", str_of(version));
	write_file(dir, "repository/build", str_of(how));
	write_file(dir, "repository/switch",
	    arena_printf(&a, "%s%s", what[0] != '\0' ? what : "#!/bin/sh\n",
		what[0] != '\0' ? "" : activate));
	sh(dir,
	    "cd \"$1/repository\"; git add .; git commit -qm x;"
	    "git rev-parse HEAD",
	    "", &out);
	assert_int_equal(out.len, 41);
	memcpy(ret, out.ptr, 40);
	ret[40] = '\0';
	buf_free(&out);
	arena_fini(&a);
}

/* What it comes with: a system, also as its profile and what it boots. */
static void
install(const char *dir, const char *first)
{
	struct arena a = { 0 };
	struct str out, error;
	char path[200];
	ssize_t n;
	const char *link = arena_printf(&a, "%s/first", dir).ptr;
	const char *const make[] = { "nix", "build", "--out-link", link,
		"--no-write-lock-file",
		arena_printf(&a,
		    "git+file://%s/repository?rev=%s#nixosConfigurations.dev."
		    "config.system.build.toplevel",
		    dir, first)
		    .ptr,
		NULL };
	const char *copy[] = { "nix", "copy", "--no-check-sigs", "--to",
		arena_printf(&a, "%s/root", dir).ptr, NULL, NULL };
	const char *profile[] = { "sh", "-c",
		"nix-env -p /nix/var/nix/profiles/system --set \"$0\" &&"
		"\"$0\"/bin/switch-to-configuration switch",
		NULL, NULL };

	if (test_run(dir, test_nixos_here(dir, make, &a), STR_NULL, &a, &out,
		&error) != 0)
		fail_msg("nix build: " STR_FMT, STR_ARG(error));
	n = readlink(link, path, sizeof(path));
	assert_true(n > 0 && (size_t)n < sizeof(path));
	copy[5] = profile[3] = arena_z(&a, (struct str){ path, (size_t)n });
	if (test_run(dir, test_nixos_here(dir, copy, &a), STR_NULL, &a, &out,
		&error) != 0)
		fail_msg("nix copy: " STR_FMT, STR_ARG(error));
	if (test_run(dir, test_nixos_argv(dir, profile, &a), STR_NULL, &a, &out,
		&error) != 0)
		fail_msg("its first system: " STR_FMT, STR_ARG(error));
	arena_fini(&a);
}

void
test_nixos_make(const char *dir, char commits[4][41])
{
	struct arena a = { 0 };
	char first[41];

	setenv("GIT_AUTHOR_NAME", "x", 1);
	setenv("GIT_AUTHOR_EMAIL", "x@example.com", 1);
	setenv("GIT_COMMITTER_NAME", "x", 1);
	setenv("GIT_COMMITTER_EMAIL", "x@example.com", 1);
	setenv("GIT_CONFIG_GLOBAL", "/dev/null", 1);
	sh(dir,
	    "cd \"$1\"; mkdir -p nixpkgs bin late here/nix root/nix root/run"
	    "    root/lib /var/lib/marram-fleet; chmod 755 root root/run;"
	    "echo 1 >boots; git init -q repository",
	    "", NULL);
	write_programs(dir);
	write_file(dir, "nixpkgs/flake.nix", str_of(nixpkgs));
	write_file(dir, "repository/flake.nix", str_of(flake));
	sh(dir,
	    "cd \"$1\"; sed -i \"s,SYSTEM,$(uname -m)-linux,\""
	    "    nixpkgs/flake.nix;"
	    "sed -i \"s,NIXPKGS,$1/nixpkgs,\" repository/flake.nix",
	    "", NULL);
	commit(dir, "0", build, "", first);
	commit(dir, "1", build, "", commits[0]);
	commit(dir, "2", build, "", commits[1]);
	commit(dir, "3", build, broken, commits[2]);
	commit(dir, "4", "echo it can not be; exit 3", "", commits[3]);
	install(dir, first);
	arena_fini(&a);
}

/* --- what is done to it --------------------------------------------------- */

void
test_nixos_look(const char *dir, struct buf *out)
{
	sh(dir,
	    "cd \"$1/root\"; p=nix/var/nix/profiles;"
	    "readlink run/current-system; readlink run/booted-next;"
	    "readlink \"$p/$(readlink $p/system)\"",
	    "", out);
}

void
test_nixos_systemd(const char *dir)
{
	sh(dir,
	    "cd \"$1\"; mkdir -p root/run/systemd/system;"
	    "ln -s \"$2\" late/systemd-run",
	    SYSTEMD_RUN, NULL);
}

void
test_nixos_restart(const char *dir)
{
	test_linux_kill(dir, NULL);
	sh(dir,
	    "cd \"$1\"; echo $(($(cat boots) + 1)) >boots; rm -f away;"
	    "[ ! -L root/run/booted-next ] || ln -sfn"
	    "    \"$(readlink root/run/booted-next)\" root/run/current-system",
	    "", NULL);
}

void
test_nixos_disturb(const char *dir)
{
	const char *const argv[] = { "sh", "-c",
		"$(readlink -f /nix/var/nix/profiles/system-1-link)"
		"/bin/switch-to-configuration test",
		NULL };
	struct arena a = { 0 };
	struct str out, error;

	if (test_run(dir, test_nixos_argv(dir, argv, &a), STR_NULL, &a, &out,
		&error) != 0)
		fail_msg("by hand: " STR_FMT, STR_ARG(error));
	arena_fini(&a);
}

void
test_nixos_away(const char *dir, bool away)
{
	sh(dir, "cd \"$1\"; rm -f away; [ -z \"$2\" ] || : >away",
	    away ? "1" : "", NULL);
}
