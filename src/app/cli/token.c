/*
 * app/cli/token.c - see token.h.
 */
#include "app/cli/token.h"

#include "base/file.h"
#include "base/mem.h"
#include "codec/json.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_MAX (64 * 1024)

static char *
old_path(void)
{
	const char *home = getenv("HOME");

	return mem_printf("%s/.sylvia-iot-coremgr-cli.json",
	    home != NULL && home[0] != '\0' ? home : ".");
}

static char *
own_path(void)
{
	const char *config = getenv("XDG_CONFIG_HOME");
	const char *home = getenv("HOME");

	if (config != NULL && config[0] == '/')
		return mem_printf("%s/marram/token.json", config);
	if (home != NULL && home[0] != '\0')
		return mem_printf("%s/.config/marram/token.json", home);
	return mem_printf("./.marram-token.json");
}

/* --- reading ------------------------------------------------------------- */

static int
parse(struct str text, struct arena *a, struct tokens *ret, struct err *err)
{
	struct tokens t = { STR_NULL, STR_NULL };
	struct str key;
	struct json j;
	int rc;

	json_open(&j, text, 0, a);
	if (json_object(&j))
		while (json_member(&j, &key)) {
			if (str_eqz(key, "accessToken"))
				json_str(&j, &t.access);
			else if (str_eqz(key, "refreshToken"))
				json_str(&j, &t.refresh);
			else
				json_skip(&j);
		}
	rc = json_done(&j, err);
	if (rc == 0)
		*ret = t;
	return rc;
}

/* 1: there is no such file. */
static int
load_file(
    const char *path, struct arena *a, struct tokens *ret, struct err *err)
{
	char *text = arena_alloc(a, FILE_MAX);
	size_t n;
	int rc = 0;
	FILE *f = fopen(path, "re");

	if (f == NULL)
		return errno == ENOENT || errno == ENOTDIR
		    ? 1
		    : err_errno(err, "open %s", path);
	n = fread(text, 1, FILE_MAX, f);
	if (ferror(f))
		rc = err_errno(err, "read %s", path);
	else if (n == FILE_MAX)
		rc = err_set(err, ERR_PARAM, "too long to be a token file");
	fclose(f);
	if (rc == 0)
		rc = parse((struct str){ text, n }, a, ret, err);
	if (rc == ERR_PARAM) {
		err_wrap(err, "%s", path);
		rc = ERR_PARAM;
	}
	return rc;
}

int
tokens_load(bool old_name, struct arena *a, struct tokens *ret, struct err *err)
{
	char *path = old_name ? old_path() : own_path();
	int rc;

	*ret = (struct tokens){ STR_NULL, STR_NULL };
	rc = load_file(path, a, ret, err);
	if (rc == 1 && !old_name) {
		free(path);
		path = old_path();
		rc = load_file(path, a, ret, err);
	}
	free(path);
	return rc == 1 ? 0 : rc;
}

/* --- writing ------------------------------------------------------------- */

/* The folders above `path`. */
static int
make_folders(const char *path, struct err *err)
{
	char *part = mem_printf("%s", path);
	int rc = 0;

	for (char *slash = strchr(part + 1, '/'); rc == 0 && slash != NULL;
	     slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		if (mkdir(part, 0700) < 0 && errno != EEXIST)
			rc = err_errno(err, "make the folder %s", part);
		*slash = '/';
	}
	free(part);
	return rc;
}

/* A reader finds the whole old file or the whole new one. */
static int
put_file(const char *path, struct str text, struct err *err)
{
	char *temp = mem_printf("%s.XXXXXX", path);
	int fd = mkostemp(temp, O_CLOEXEC); /* mode 0600 */
	int rc = 0;

	if (fd < 0)
		rc = err_errno(err, "create %s", temp);
	else if (file_write_all(fd, text) < 0)
		rc = err_errno(err, "write %s", temp);
	else if (fsync(fd) < 0)
		rc = err_errno(err, "flush %s", temp);
	else if (rename(temp, path) < 0)
		rc = err_errno(err, "rename %s to %s", temp, path);
	if (rc != 0 && fd >= 0)
		unlink(temp);
	if (fd >= 0)
		close(fd);
	free(temp);
	return rc;
}

int
tokens_store(bool old_name, const struct tokens *t, struct err *err)
{
	char *path = old_name ? old_path() : own_path();
	struct buf text = { 0 };
	struct json_out o;
	int rc;

	json_out_init(&o, &text, false);
	json_out_object(&o);
	json_out_key(&o, "accessToken");
	json_out_str(&o, t->access);
	json_out_key(&o, "refreshToken");
	json_out_str(&o, t->refresh);
	json_out_end_object(&o);
	rc = make_folders(path, err);
	if (rc == 0)
		rc = put_file(path, buf_str(&text), err);
	buf_free(&text);
	free(path);
	return rc;
}
