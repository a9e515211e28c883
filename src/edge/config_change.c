/*
 * edge/config_change.c - changes of tedge.toml, and of clouds' own files: see
 * config.h.
 */
#include "edge/config_private.h"

#include "base/file.h"

#include <errno.h>
#include <sys/file.h>
#include <unistd.h>

/* The file that is changed. */
struct place {
	const char *path;
	const struct own_file *own; /* NULL: it is tedge.toml */
	struct str profile;
};

/* The path of a key in the file: its words, and those of the profile. */
static struct strs
path_of(struct arena *a, const struct place *in, struct str rest)
{
	struct strs path = { arena_array(a, 16, struct str), 0 };
	struct str profile = in->profile, first = str_cut(&rest, '.');

	if (in->own == NULL)
		path.at[path.n++] = first;
	if (in->own == NULL && profile.ptr != NULL) {
		path.at[path.n++] = STR("profiles");
		path.at[path.n++] = profile;
	}
	while (rest.ptr != NULL)
		path.at[path.n++] = str_cut(&rest, '.');
	return path;
}

static struct str
as_toml(const struct config *c, struct arena *a, const struct config_key *row,
    struct str value)
{
	struct buf b = { 0 };
	struct strs list;
	struct str ret;

	switch (row->type) {
	case CONFIG_INT:
	case CONFIG_BOOL:
		buf_add_str(&b, value);
		break;
	case CONFIG_LIST:
		list = config_as_list(c, arena_str(a, value));
		buf_addc(&b, '[');
		for (size_t i = 0; i < list.n; i++) {
			if (i > 0)
				buf_addz(&b, ", ");
			toml_quote(&b, list.at[i]);
		}
		buf_addc(&b, ']');
		break;
	default:
		toml_quote(&b, value);
	}
	ret = arena_str(a, buf_str(&b));
	buf_free(&b);
	return ret;
}

/* Takes an old spelling away. */
static int
forget(struct arena *a, const struct place *in, struct str key, struct buf *out,
    struct err *err)
{
	struct buf was = *out;
	int rc;

	*out = (struct buf){ 0 };
	rc = toml_set(buf_str(&was), path_of(a, in, key), STR_NULL, out, err);
	if (rc == ERR_PARAM) { /* the place is another table's */
		buf_clear(out);
		buf_add_str(out, buf_str(&was));
		rc = 0;
	}
	buf_free(&was);
	return rc;
}

/* The spelling of a cloud's own file, with the cloud before it. */
static struct str
own_alias(struct arena *a, const struct place *in, const char *key)
{
	struct str rest = str_of(key), alias;

	(void)str_cut(&rest, '.');
	alias = in->own != NULL ? config_own_alias(rest) : STR_NULL;
	return alias.ptr == NULL
	    ? STR_NULL
	    : arena_printf(a, "%s." STR_FMT, in->own->cloud, STR_ARG(alias));
}

/* `out`: the text with all old spellings taken away and the value set. */
static int
edit(struct config *c, struct arena *a, const struct config_key *row,
    const struct place *in, struct str value, struct str text, struct buf *out,
    struct err *err)
{
	struct str alias = own_alias(a, in, row->key);
	struct buf was = { 0 };
	int rc = 0;

	buf_add_str(out, text);
	for (const char *const *old = row->aliases;
	     rc == 0 && old != NULL && *old != NULL; old++)
		rc = forget(a, in, str_of(*old), out, err);
	if (rc == 0 && alias.ptr != NULL)
		rc = forget(a, in, alias, out, err);
	if (rc == 0) {
		was = *out;
		*out = (struct buf){ 0 };
		rc = toml_set(buf_str(&was), path_of(a, in, str_of(row->key)),
		    value.ptr == NULL ? STR_NULL : as_toml(c, a, row, value),
		    out, err);
	}
	buf_free(&was);
	return rc;
}

/* Changes are made by one at a time: from the reading of what is there to the
 * writing. -1: no lock, and why. */
static int
lock(const struct config *c, struct err *err)
{
	int fd = open(c->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0) {
		err_errno(err, "open %s", c->dir);
	} else if (flock(fd, LOCK_EX) < 0) {
		err_errno(err, "lock %s", c->dir);
		close(fd);
		fd = -1;
	}
	return fd;
}

static int
reload(struct config *c, struct err *err)
{
	struct config was = *c;
	int rc;

	c->arena = (struct arena){ 0 };
	rc = config_load(c, err);
	if (rc != 0) {
		arena_fini(&c->arena);
		*c = was;
	} else {
		arena_fini(&was.arena);
	}
	return rc;
}

/* Reads the file, changes it and writes it. */
static int
change_in(struct config *c, const struct config_key *row,
    const struct place *in, struct str value, struct err *err)
{
	struct arena a = { 0 };
	struct buf text = { 0 }, out = { 0 };
	int rc = 0;

	if (access(in->path, F_OK) == 0 || errno != ENOENT)
		rc = file_read(in->path, &text, err);
	else
		buf_addz(&text, "[config]\nversion = \"1\"\n");
	if (rc == 0)
		rc = edit(c, &a, row, in, value, buf_str(&text), &out, err);
	if (rc != 0)
		err_wrap(err, "%s", in->path);
	else
		rc = file_replace(in->path, buf_str(&out), err);
	buf_free(&text);
	buf_free(&out);
	arena_fini(&a);
	return rc;
}

/* In its cloud's own file, if there is one: that wins. What is unset is so in
 * both. */
static int
change(struct config *c, const struct config_key *row, struct str profile,
    struct str value, struct err *err)
{
	const char *cloud = config_cloud_of(str_of(row->key));
	const struct own_file *own =
	    cloud != NULL ? config_own_file(c, cloud, profile) : NULL;
	int rc = 0;

	if (own != NULL)
		rc = change_in(c, row,
		    &(struct place){ own->path, own, profile }, value, err);
	if (rc == 0 && (own == NULL || value.ptr == NULL))
		rc = change_in(c, row,
		    &(struct place){ c->path, NULL, profile }, value, err);
	return rc;
}

/* The row that may be changed, and the profile as the file spells it. */
static int
to_change(struct config *c, struct arena *a, struct str key,
    const struct config_key **row, struct str *profile, struct err *err)
{
	const char *alias;
	struct str known;

	*row = config_locate(key, profile, &alias);
	if (*row == NULL)
		return err_set(err, ERR_NOT_FOUND,
		    "Invalid key `" STR_FMT "'. See `tedge config list --doc` "
		    "for a list of valid keys.",
		    STR_ARG(key));
	if ((*row)->read_only)
		return err_set(err, ERR_PARAM, "%s can not be set. %s",
		    (*row)->key, (*row)->note);
	if (profile->ptr != NULL) {
		known = config_spelt(
		    c, config_cloud_of(str_of((*row)->key)), *profile);
		*profile = known.ptr != NULL ? arena_str(a, known)
					     : arena_lower(a, *profile);
	}
	return 0;
}

/* Under the lock. */
static int
set(struct config *c, const struct config_key *row, struct str profile,
    struct str value, struct err *err)
{
	int rc;

	if (value.ptr != NULL && config_check(row, value, err) != 0)
		return err_wrap(err, "%s", row->key);
	rc = change(c, row, profile, value, err);
	return rc != 0 ? rc : reload(c, err);
}

int
config_set(struct config *c, struct str key, struct str value, struct err *err)
{
	const struct config_key *row;
	struct arena a = { 0 };
	struct str profile;
	int rc = to_change(c, &a, key, &row, &profile, err);

	if (rc == 0 && value.ptr != NULL && config_is_device_id(row)) {
		const struct setting *s = config_setting(c, row, profile);

		if (s != NULL && s->certified)
			rc = err_set(err, ERR_PARAM,
			    "%s is read from the device certificate and "
			    "cannot be set directly. To change it, remove the "
			    "certificate by `tedge cert remove` and make one "
			    "by `tedge cert create --device-id <id>`.",
			    row->key);
	}
	if (rc == 0) {
		int locked = lock(c, err);

		rc = locked < 0 ? ERR_IO : set(c, row, profile, value, err);
		if (locked >= 0)
			close(locked);
	}
	arena_fini(&a);
	return rc;
}

/* The list's text with some items more or less. */
static void
join(struct strs list, struct strs items, bool add, struct buf *text)
{
	for (size_t i = 0; i < list.n; i++) {
		bool named = false;

		for (size_t j = 0; j < items.n; j++)
			named = named || str_eq(list.at[i], items.at[j]);
		if (!named)
			buf_addf(text, "%s" STR_FMT, text->len > 0 ? "," : "",
			    STR_ARG(list.at[i]));
	}
	for (size_t j = 0; add && j < items.n; j++)
		buf_addf(text, "%s" STR_FMT, text->len > 0 ? "," : "",
		    STR_ARG(items.at[j]));
}

static int
change_list(struct config *c, struct str key, struct str items, bool add,
    struct err *err)
{
	const struct config_key *row;
	struct arena a = { 0 };
	struct buf text = { 0 };
	struct str profile;
	int locked = -1, rc = to_change(c, &a, key, &row, &profile, err);

	if (rc != 0)
		goto done;
	if (row->type != CONFIG_LIST) {
		rc = err_set(err, ERR_PARAM,
		    "%s is no list; use `tedge config %s`", row->key,
		    add ? "set" : "unset");
		goto done;
	}
	items = arena_str(&a, items);
	locked = lock(c, err);
	rc = locked < 0 ? ERR_IO : reload(c, err);
	if (rc != 0)
		goto done;
	join(config_as_list(c, config_value(c, row, profile)),
	    config_as_list(c, arena_str(&c->arena, items)), add, &text);
	rc = set(c, row, profile, (struct str){ buf_z(&text), text.len }, err);
done:
	if (locked >= 0)
		close(locked);
	buf_free(&text);
	arena_fini(&a);
	return rc;
}

int
config_add(struct config *c, struct str key, struct str value, struct err *err)
{
	return change_list(c, key, value, true, err);
}

int
config_remove(
    struct config *c, struct str key, struct str value, struct err *err)
{
	return change_list(c, key, value, false, err);
}
