/*
 * core/fleet/state.c - the repository of a unit: state.json, what is generated
 * from it, and its history.
 *
 *  (1) A repository is used by who has taken it; others wait.
 *  (2) state.json is replaced as a whole. What is generated follows within the
 *      same taking; a program that is killed in between generates it when it
 *      takes the repository for the first time.
 *  (3) While Git's own files change, the file `busy` is beside the repository.
 *      Who finds it at its first taking knows that the locks of Git are left
 *      over from a program that was killed.
 */
#include "core/fleet/state.h"

#include "base/base.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/map.h"
#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LOG_MODULE "fleet"
#define STATE "state.json"
#define TIDY_MS ((int64_t)6 * 3600 * 1000)

static const struct repo_person ours = { { "Marram", 6 },
	{ "marram@localhost", 16 } };

struct entry {
	struct fleet_repo repo;
	char *unit_id;
	pthread_mutex_t lock;
};

struct fleet_repos {
	pthread_mutex_t lock; /* guards the map */
	struct map by_unit;   /* of entries; they stay */
	int64_t tidied;       /* mono; of the one who cleans */
};

/* --- the first taking ----------------------------------------------------- */

static int
check_links(const char *dir, struct err *err)
{
	static const char *const names[] = { "", ("/" STATE), "/hosts", "/tags",
		"/modules", "/artifacts", "/flake.nix", "/flake.lock" };
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < COUNT_OF(names); i++) {
		char *path = mem_printf("%s%s", dir, names[i]);
		struct stat st;

		if (lstat(path, &st) == 0 && S_ISLNK(st.st_mode))
			rc = err_set(err, ERR_PARAM,
			    "%s is a link; it must be a file or a folder of "
			    "its own",
			    path);
		free(path);
	}
	return rc;
}

static void
remove_locks(struct fleet_repo *r)
{
	static const char *const names[] = { "index.lock", "HEAD.lock",
		"refs/heads/master.lock", "packed-refs.lock", "config.lock" };

	if (access(r->busy, F_OK) != 0)
		return;
	log_warn("%s: a change was cut off; it is put right", r->dir);
	for (size_t i = 0; i < COUNT_OF(names); i++) {
		char *path = mem_printf("%s/.git/%s", r->dir, names[i]);

		(void)unlink(path);
		free(path);
	}
	fleet_repo_end(r);
}

int
fleet_repo_begin(struct fleet_repo *r, struct err *err)
{
	int fd =
	    open(r->busy, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);

	if (fd < 0)
		return err_errno(err, "create %s", r->busy);
	close(fd);
	return 0;
}

void
fleet_repo_end(struct fleet_repo *r)
{
	(void)unlink(r->busy);
}

/* --- reading -------------------------------------------------------------- */

static int
read_text(const char *path, struct buf *out, struct stat *st, struct err *err)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW), rc = 0;
	char bytes[65536];
	ssize_t n;

	if (fd < 0)
		return errno == ENOENT
		    ? err_set(err, ERR_NOT_FOUND, "there is no %s", path)
		    : err_errno(err, "open %s", path);
	if (fstat(fd, st) != 0)
		rc = err_errno(err, "read %s", path);
	else if (!S_ISREG(st->st_mode))
		rc = err_set(err, ERR_PARAM, "%s is no file", path);
	else if (st->st_size > STATE_MAX)
		rc = err_set(err, ERR_LIMIT, "%s has more than %d MiB", path,
		    STATE_MAX >> 20);
	while (rc == 0 && (n = read(fd, bytes, sizeof(bytes))) != 0)
		if (n > 0 && out->len + (size_t)n <= STATE_MAX)
			buf_add(out, bytes, (size_t)n);
		else if (n > 0)
			rc = err_set(err, ERR_LIMIT, "%s grows", path);
		else if (errno != EINTR)
			rc = err_errno(err, "read %s", path);
	close(fd);
	return rc;
}

static char *
state_path(const struct fleet_repo *r)
{
	return mem_printf("%s/" STATE, r->dir);
}

static bool
same_file(const struct stat *a, const struct stat *b)
{
	return a->st_ino == b->st_ino && a->st_size == b->st_size &&
	    a->st_mtim.tv_sec == b->st_mtim.tv_sec &&
	    a->st_mtim.tv_nsec == b->st_mtim.tv_nsec &&
	    a->st_ctim.tv_sec == b->st_ctim.tv_sec &&
	    a->st_ctim.tv_nsec == b->st_ctim.tv_nsec;
}

/* Has somebody else written the file since we have read it? */
static bool
edited(const struct fleet_repo *r)
{
	char *path = state_path(r);
	struct stat st;
	bool is = lstat(path, &st) != 0 || !same_file(&st, &r->seen);

	free(path);
	return is;
}

static int
parse(struct str text, struct arena *a, struct fleet_state *ret,
    struct str *was, struct err *err)
{
	int rc = fleet_state_read(text, a, ret, was, err);

	if (rc == 0)
		rc = fleet_state_check(ret, err);
	return rc != 0 ? err_wrap(err, STATE) : 0;
}

int
fleet_repo_state(struct fleet_repo *r, struct arena *a, struct fleet_state *ret,
    struct err *err)
{
	if (r->fault.code != 0) {
		if (err != NULL)
			*err = r->fault;
		return r->fault.code;
	}
	return parse(arena_str(a, buf_str(&r->text)), a, ret, NULL, err);
}

int
fleet_repo_state_at(struct fleet_repo *r, struct str commit, struct arena *a,
    struct fleet_state *ret, struct err *err)
{
	struct str text;
	int rc = r->ops->file(r->git, commit, STATE, a, &text, err);

	return rc != 0 ? rc : fleet_state_read(text, a, ret, NULL, err);
}

/* Who follows the unit is told that its state, or its history, has changed. */
static void
tell(struct fleet_repo *r, struct str commit)
{
	struct buf b = { 0 };
	struct json_out o;

	if (r->f->route == NULL || !route_is_heard(r->f->route))
		return;
	json_out_init(&o, &b, false);
	json_out_object(&o);
	json_out_key(&o, "unitId");
	json_out_str(&o, r->unit_id);
	json_out_key(&o, "commit");
	json_out_str(&o, commit);
	json_out_end_object(&o);
	route_tell_of(r->f->route,
	    &(struct route_told){ "fleet_state", "updated", r->unit_id,
		r->unit_id, buf_str(&b) });
	buf_free(&b);
}

/* --- generating ----------------------------------------------------------- */

static int
generate(struct fleet_repo *r, const struct fleet_state *s, struct err *err)
{
	int rc;

	buf_clear(&r->faults);
	rc = fleet_generate(r->f, r->unit_id, s, r->dir, &r->faults, err);
	if (rc == 0)
		rc = fleet_repo_begin(r, err);
	if (rc != 0)
		return err_wrap(err, "generate");
	rc = r->ops->add(r->git, err);
	fleet_repo_end(r);
	return rc;
}

static int
put_text(struct fleet_repo *r, struct str text, struct err *err)
{
	char *path = state_path(r);
	int rc = file_replace(path, text, err);

	if (rc == 0 && lstat(path, &r->seen) != 0)
		rc = err_errno(err, "read %s", path);
	if (rc == 0 && text.ptr != r->text.ptr) {
		buf_clear(&r->text);
		buf_add_str(&r->text, text);
	}
	free(path);
	return rc;
}

/* Reads what is there; an older version becomes the newest. A file that can not
 * be read is a fault that is kept, no failure. */
static int
load(struct fleet_repo *r, struct err *err)
{
	struct fleet_state s;
	struct arena a = { 0 };
	struct buf text = { 0 };
	char *path = state_path(r);
	struct str was = STR_NULL;
	int rc = check_links(r->dir, &r->fault);

	buf_clear(&r->text);
	memset(&r->seen, 0, sizeof(r->seen));
	if (rc == 0)
		rc = read_text(path, &r->text, &r->seen, &r->fault);
	if (rc == 0)
		rc = parse(
		    arena_str(&a, buf_str(&r->text)), &a, &s, &was, &r->fault);
	free(path);
	if (rc != 0) {
		arena_fini(&a);
		return 0;
	}
	r->fault.code = 0;
	if (!str_eqz(was, FLEET_STATE_VERSION)) {
		log_info("%s: version " STR_FMT " becomes " FLEET_STATE_VERSION,
		    r->dir, STR_ARG(was));
		fleet_state_write(&s, &text);
		rc = put_text(r, buf_str(&text), err);
	}
	if (rc == 0)
		rc = generate(r, &s, err);
	if (rc == 0)
		tell(r, STR_NULL);
	buf_free(&text);
	arena_fini(&a);
	return rc;
}

int
fleet_repo_reload(struct fleet_repo *r, struct err *err)
{
	return load(r, err);
}

int
fleet_repo_commit(struct fleet_repo *r, const struct repo_person *author,
    struct str message, struct arena *a, struct str *commit, struct err *err)
{
	int rc = fleet_repo_room(r->f, r->dir, 0, err);

	if (rc == 0)
		rc = fleet_repo_begin(r, err);
	if (rc != 0)
		return rc;
	rc = r->ops->commit(r->git, author, message, a, commit, err);
	fleet_repo_end(r);
	if (rc == 0)
		tell(r, *commit);
	return rc;
}

/* --- taking --------------------------------------------------------------- */

/* The first state, and the first commit. */
static int
begin_state(struct fleet_repo *r, struct err *err)
{
	static const struct fleet_state none = { 0 };
	struct buf text = { 0 };
	struct arena a = { 0 };
	struct str id;
	int rc;

	fleet_state_write(&none, &text);
	rc = put_text(r, buf_str(&text), err);
	if (rc == 0)
		rc = load(r, err);
	if (rc == 0)
		rc = fleet_repo_commit(
		    r, NULL, STR("Initial commit"), &a, &id, err);
	buf_free(&text);
	arena_fini(&a);
	return rc;
}

static int
open_it(struct fleet_repo *r, struct err *err)
{
	struct arena a = { 0 };
	struct str head;
	char *state = state_path(r);
	bool is;
	int rc;

	fleet_unit_back(r->f, r->unit_id);
	is = access(state, F_OK) == 0;
	rc = check_links(r->dir, err);
	free(state);
	if (rc == 0)
		rc = repo_load(&r->ops, err);
	if (rc == 0)
		rc = r->ops->open(r->dir, &ours, &r->git, err);
	if (rc != 0)
		return rc;
	remove_locks(r);
	rc = r->ops->head(r->git, &a, &head, err);
	if (rc == 0)
		rc = !is && head.ptr == NULL ? begin_state(r, err)
					     : load(r, err);
	arena_fini(&a);
	if (rc != 0) {
		r->ops->close(r->git);
		r->git = NULL;
	}
	return rc;
}

static struct entry *
entry_of(struct fleet *f, struct str unit_id)
{
	struct fleet_repos *all = f->repos;
	struct entry *e;

	pthread_mutex_lock(&all->lock);
	e = map_get(&all->by_unit, unit_id);
	if (e == NULL) {
		pthread_mutexattr_t again;
		struct arena a = { 0 };

		e = mem_new(struct entry);
		e->unit_id = str_dupz(unit_id);
		/* what is called while it is generated may ask for the state */
		pthread_mutexattr_init(&again);
		pthread_mutexattr_settype(&again, PTHREAD_MUTEX_RECURSIVE);
		pthread_mutex_init(&e->lock, &again);
		pthread_mutexattr_destroy(&again);
		e->repo.f = f;
		e->repo.unit_id = str_of(e->unit_id);
		e->repo.dir =
		    str_dupz(str_of(fleet_path(f, &a, unit_id, "repository")));
		e->repo.busy =
		    str_dupz(str_of(fleet_path(f, &a, unit_id, "busy")));
		arena_fini(&a);
		map_put(&all->by_unit, e->repo.unit_id, e);
	}
	pthread_mutex_unlock(&all->lock);
	return e;
}

int
fleet_repo_take(struct fleet *f, struct str unit_id, struct fleet_repo **ret,
    struct err *err)
{
	struct entry *e = entry_of(f, unit_id);
	int rc = 0;

	pthread_mutex_lock(&e->lock);
	if (e->repo.git == NULL)
		rc = open_it(&e->repo, err);
	else if (edited(&e->repo))
		rc = load(&e->repo, err);
	if (rc != 0) {
		pthread_mutex_unlock(&e->lock);
		return rc;
	}
	*ret = &e->repo;
	return 0;
}

void
fleet_repo_give(struct fleet_repo *r)
{
	pthread_mutex_unlock(&container_of(r, struct entry, repo)->lock);
}

struct fleet_repo *
fleet_repo_lock(struct fleet *f, struct str unit_id)
{
	struct entry *e = entry_of(f, unit_id);

	pthread_mutex_lock(&e->lock);
	return &e->repo;
}

void
fleet_repo_close(struct fleet_repo *r)
{
	if (r->git != NULL)
		r->ops->close(r->git);
	r->git = NULL;
}

/* --- writing -------------------------------------------------------------- */

static struct str
device_type(const struct fleet_config *c)
{
	return fleet_setting_of(
	    fleet_use_find(c->modules, c->n_modules, STR(FLEET_DEVICE_MODULE)),
	    "device_type");
}

static int
is_connected(void *ctx, const void *row, struct err *err)
{
	const struct fleet_device *d = row;
	struct fleet *f = ctx;

	return fleet_agent_is(f, d->id)
	    ? err_set(err, ERR_DENIED,
		  "configs: the device \"%.*s\", which has the "
		  "configuration \"%.*s\", is connected: its device_type can "
		  "not change",
		  (int)MIN_OF(d->name.len, 60), d->name.ptr,
		  (int)MIN_OF(d->deployed_config.len, 63),
		  d->deployed_config.ptr)
	    : 0;
}

int
fleet_repo_may(
    struct fleet_repo *r, const struct fleet_state *s, struct err *err)
{
	struct fleet_state was;
	struct arena a = { 0 };
	int rc = 0;

	if (fleet_repo_state(r, &a, &was, NULL) != 0)
		was.n_configs = 0;
	for (size_t i = 0; rc == 0 && i < was.n_configs; i++) {
		const struct fleet_config *old = &was.configs[i],
					  *c = fleet_config_find(
					      s, old->identifier);
		struct filter f = { 0 };
		const struct store_query q = { .filter = &f };

		if (c == NULL || str_eq(device_type(old), device_type(c)))
			continue;
		filter_text(&f, "unitId", r->unit_id);
		filter_text(&f, "deployedConfig", old->identifier);
		rc = store_list(r->f->store, &fleet_device_entity, &q,
		    is_connected, r->f, err);
	}
	arena_fini(&a);
	return rc;
}

int
fleet_repo_write(
    struct fleet_repo *r, const struct fleet_state *s, struct err *err)
{
	struct buf text = { 0 }, old = { 0 };
	bool was_fault = r->fault.code != 0;
	int rc = fleet_state_check(s, err);

	if (rc == 0)
		rc = fleet_repo_may(r, s, err);
	if (rc != 0)
		return rc;
	fleet_state_write(s, &text);
	if (text.len > STATE_MAX)
		rc = err_set(err, ERR_LIMIT,
		    STATE " would have more than %d "
			  "MiB",
		    STATE_MAX >> 20);
	else if (!was_fault && str_eq(buf_str(&text), buf_str(&r->text)))
		goto done;
	buf_add_str(&old, buf_str(&r->text));
	if (rc == 0)
		rc = check_links(r->dir, err);
	if (rc == 0)
		rc = put_text(r, buf_str(&text), err);
	if (rc != 0)
		goto done;
	rc = generate(r, s, err);
	if (rc == 0) {
		r->fault.code = 0;
		tell(r, STR_NULL);
	} else if (!was_fault) { /* as it was */
		struct err again;

		if (put_text(r, buf_str(&old), &again) != 0 ||
		    load(r, &again) != 0)
			log_error("%s: %s", r->dir, again.text);
	}
done:
	buf_free(&text);
	buf_free(&old);
	return rc;
}

/* --- what other parts ask ------------------------------------------------- */

int
fleet_snapshot(struct fleet *f, struct str unit_id, struct str commit,
    struct fleet_snapshot *ret, struct err *err)
{
	struct fleet_snapshot s = { .commit = STR_NULL };
	struct fleet_repo *r;
	int rc = fleet_repo_take(f, unit_id, &r, err);

	if (rc != 0)
		return rc;
	if (commit.ptr == NULL)
		rc = fleet_repo_state(r, &s.arena, &s.state, err);
	else
		rc = r->ops->resolve(r->git, commit, &s.arena, &s.commit, err);
	if (rc == 0 && commit.ptr != NULL)
		rc = fleet_repo_state_at(r, s.commit, &s.arena, &s.state, err);
	fleet_repo_give(r);
	if (rc == 0)
		*ret = s;
	else
		arena_fini(&s.arena);
	return rc;
}

int
fleet_head(struct fleet *f, struct str unit_id, struct arena *a,
    struct str *commit, struct err *err)
{
	struct fleet_repo *r;
	bool dirty = true;
	int rc = fleet_repo_take(f, unit_id, &r, err);

	if (rc != 0)
		return rc;
	rc = r->ops->dirty(r->git, &dirty, err);
	if (rc == 0 && dirty)
		rc = err_set(err, ERR_AGAIN,
		    "there are changes that are not committed: commit them "
		    "first");
	if (rc == 0)
		rc = r->ops->head(r->git, a, commit, err);
	fleet_repo_give(r);
	return rc;
}

int
fleet_file_at(struct fleet *f, struct str unit_id, struct str commit,
    const char *path, struct arena *a, struct str *ret, struct err *err)
{
	struct fleet_repo *r;
	int rc = fleet_repo_take(f, unit_id, &r, err);

	if (rc != 0)
		return rc;
	rc = r->ops->file(r->git, commit, path, a, ret, err);
	fleet_repo_give(r);
	return rc;
}

/* --- the part ------------------------------------------------------------- */

static int
open_part(struct fleet *f, struct err *err)
{
	(void)err;
	f->repos = mem_new(struct fleet_repos);
	pthread_mutex_init(&f->repos->lock, NULL);
	return 0;
}

static void
close_part(struct fleet *f)
{
	struct fleet_repos *all = f->repos;
	struct entry *e;
	size_t at = 0;

	if (all == NULL)
		return;
	while ((e = map_next(&all->by_unit, &at)) != NULL) {
		if (e->repo.git != NULL)
			e->repo.ops->close(e->repo.git);
		buf_free(&e->repo.text);
		buf_free(&e->repo.faults);
		free((char *)(uintptr_t)e->repo.dir);
		free(e->repo.busy);
		free(e->unit_id);
		pthread_mutex_destroy(&e->lock);
		free(e);
	}
	map_fini(&all->by_unit);
	pthread_mutex_destroy(&all->lock);
	free(all);
	f->repos = NULL;
}

/* Every edit leaves objects behind. */
static int
clean(struct fleet *f, struct err *err)
{
	int64_t now = clock_mono();
	int rc = fleet_units_clean(f, err);

	if (rc != 0)
		return rc;
	if (f->repos->tidied != 0 && now - f->repos->tidied < TIDY_MS)
		return 0;
	if (f->repos->tidied != 0)
		fleet_repos_tidy(f);
	f->repos->tidied = now;
	return 0;
}

static void
routes(struct fleet *f, http_add_routes *add, void *ctx)
{
	static const struct http_route *const rows[] = { fleet_state_rows,
		fleet_config_rows, fleet_tag_rows, fleet_use_rows,
		fleet_history_rows, fleet_remote_rows };
	struct rest_mounts *m = f != NULL ? &f->mounts : NULL;

	for (size_t i = 0; i < COUNT_OF(rows); i++)
		rest_mount_rows(m, rows[i], FLEET_API, f, add, ctx);
	rest_mount(m, &fleet_remote_object, FLEET_API,
	    f != NULL ? f->store : NULL, f, 0, add, ctx);
}

static const struct entity *const entities[] = { &fleet_remote_entity, NULL };

const struct fleet_part fleet_part_state = {
	.name = "state",
	.entities = entities,
	.open = open_part,
	.start = fleet_units_clean,
	.close = close_part,
	.routes = routes,
	.clean = clean,
};
