/*
 * app/mqtt_command.c - `marram mqtt passwd FILE USER`: sets, or takes away, a
 * user of `marram serve --only mqtt`.
 *
 * On a terminal the password is asked for twice, without echo; else it is the
 * first line of the standard input.
 */
#include "app/app.h"
#include "app/mqtt_password.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

struct options {
	const char *file, *user;
	bool remove;
	uint32_t iterations;
};

struct typed {
	char text[PASSWORD_MAX + 2]; /* with its line end */
	size_t len;
};

static int
read_line(struct typed *t, struct err *err)
{
	for (t->len = 0; t->len < sizeof(t->text); t->len++) {
		ssize_t n = read(STDIN_FILENO, t->text + t->len, 1);

		if (n < 0 && errno == EINTR) {
			t->len--; /* the same byte again */
			continue;
		}
		if (n < 0)
			return err_errno(err, "read the password");
		if (n == 0 || t->text[t->len] == '\n')
			break;
	}
	if (t->len > 0 && t->text[t->len - 1] == '\r')
		t->len--;
	if (t->len > PASSWORD_MAX)
		return err_set(err, ERR_PARAM, "the password is too long");
	return 0;
}

static int
ask(const char *prompt, struct typed *t, struct err *err)
{
	struct termios was, silent;
	int rc;

	if (tcgetattr(STDIN_FILENO, &was) < 0)
		return err_errno(err, "the terminal");
	silent = was;
	silent.c_lflag &= ~(tcflag_t)ECHO;
	/* quiet first: it also throws away what was typed before */
	tcsetattr(STDIN_FILENO, TCSAFLUSH, &silent);
	fprintf(stderr, "%s: ", prompt);
	rc = read_line(t, err);
	tcsetattr(STDIN_FILENO, TCSAFLUSH, &was);
	fprintf(stderr, "\n");
	return rc;
}

static int
get_password(struct typed *t, struct err *err)
{
	struct typed again = { 0 };
	int rc;

	if (!isatty(STDIN_FILENO))
		return read_line(t, err);
	rc = ask("Password", t, err);
	if (rc == 0)
		rc = ask("Once more", &again, err);
	if (rc == 0 &&
	    (t->len != again.len || memcmp(t->text, again.text, t->len) != 0))
		rc = err_set(
		    err, ERR_PARAM, "these are two different passwords");
	explicit_bzero(&again, sizeof(again));
	return rc;
}

static int
run(const struct options *o, struct err *err)
{
	struct password p;
	struct typed t = { 0 };
	int rc;

	if (!password_user_ok(str_of(o->user)))
		return err_set(err, ERR_PARAM,
		    "\"%s\" can not be a user name: a colon, a line end or "
		    "a \"#\" at its start do not fit into the file",
		    o->user);
	if (o->remove)
		return password_file_set(o->file, str_of(o->user), NULL, err);
	rc = get_password(&t, err);
	if (rc == 0)
		rc = password_make(
		    (struct str){ t.text, t.len }, o->iterations, &p, err);
	if (rc == 0)
		rc = password_file_set(o->file, str_of(o->user), &p, err);
	explicit_bzero(&t, sizeof(t));
	return rc;
}

static void
usage(FILE *to, const char *name)
{
	fprintf(to,
	    "Usage: %s mqtt passwd FILE USER [--delete] [--iterations N]\n\n"
	    "Sets the password of a user in FILE, which mqtt.passwordFile\n"
	    "names and which has Mosquitto's format. The server reads it at "
	    "its\nstart and on SIGHUP.\n\n"
	    "  --delete        takes the user away\n"
	    "  --iterations N  makes guessing N times as slow as one hash, "
	    "and\n"
	    "                  signing in as well (%d)\n",
	    name, PASSWORD_ITERATIONS);
}

static int
read_options(int argc, char **argv, struct options *o, struct err *err)
{
	for (int i = 3; i < argc; i++) {
		uint64_t n;

		if (strcmp(argv[i], "--delete") == 0) {
			o->remove = true;
		} else if (strcmp(argv[i], "--iterations") == 0) {
			i++;
			if (i >= argc || !str_to_u64(str_of(argv[i]), &n) ||
			    n < 1 || n > PASSWORD_ITERATIONS_MAX)
				return err_set(err, ERR_PARAM,
				    "--iterations: a number of 1 to %d must "
				    "follow",
				    PASSWORD_ITERATIONS_MAX);
			o->iterations = (uint32_t)n;
		} else if (argv[i][0] == '-') {
			return err_set(err, ERR_PARAM,
			    "%s: there is no such option", argv[i]);
		} else if (o->file == NULL) {
			o->file = argv[i];
		} else if (o->user == NULL) {
			o->user = argv[i];
		} else {
			return err_set(
			    err, ERR_PARAM, "%s: one word too many", argv[i]);
		}
	}
	if (o->user == NULL)
		return err_set(
		    err, ERR_PARAM, "a file and a user must be named");
	return 0;
}

int
mqtt_main(int argc, char **argv)
{
	struct options o = { .iterations = PASSWORD_ITERATIONS };
	struct err err;

	for (int i = 2; i < argc; i++)
		if (strcmp(argv[i], "--help") == 0 ||
		    strcmp(argv[i], "-h") == 0) {
			usage(stdout, argv[0]);
			return 0;
		}
	if (argc < 3 || strcmp(argv[2], "passwd") != 0) {
		usage(stderr, argv[0]);
		return 2;
	}
	if (read_options(argc, argv, &o, &err) != 0) {
		fprintf(stderr, "%s: %s\n", argv[0], err.text);
		return 2;
	}
	if (run(&o, &err) != 0) {
		fprintf(stderr, "%s: %s\n", argv[0], err.text);
		return 1;
	}
	return 0;
}
