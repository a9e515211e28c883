/*
 * plug/target/linux_plan.c - see linux.h. The format of a plan is said at the
 * top of apply.sh; its order is the order in which things are done.
 */
#include "apply_sh.h"
#include "base/base.h"
#include "codec/shell.h"
#include "codec/tar.h"
#include "plug/target/linux.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- what is declared ----------------------------------------------------- */

static void
hash_text(crypto_hash_sha256_state *h, struct str s)
{
	uint64_t len = s.ptr == NULL ? UINT64_MAX : s.len;

	crypto_hash_sha256_update(h, (const unsigned char *)&len, sizeof(len));
	if (s.len > 0)
		crypto_hash_sha256_update(
		    h, (const unsigned char *)s.ptr, s.len);
}

static struct str
hash_end(crypto_hash_sha256_state *h, struct arena *a)
{
	unsigned char sum[crypto_hash_sha256_BYTES];
	struct buf b = { 0 };
	struct str ret;

	crypto_hash_sha256_final(h, sum);
	hex_encode(&b, sum, sizeof(sum));
	ret = arena_str(a, buf_str(&b));
	buf_free(&b);
	return ret;
}

static struct str
sum_of(struct str text, struct arena *a)
{
	crypto_hash_sha256_state h;

	crypto_hash_sha256_init(&h);
	if (text.len > 0)
		crypto_hash_sha256_update(
		    &h, (const unsigned char *)text.ptr, text.len);
	return hash_end(&h, a);
}

/* A line of sources.list that names the key it is signed by. */
static struct str
signed_line(
    struct arena *a, const struct fleet_apt_repository *r, struct str key)
{
	struct str rest = r->line, deb = str_cut(&rest, ' ');
	const char *by = memmem(r->line.ptr, r->line.len, "signed-by", 9);

	if (key.ptr == NULL || by != NULL)
		return arena_printf(a, STR_FMT "\n", STR_ARG(r->line));
	rest = str_trim(rest);
	if (rest.len > 0 && rest.ptr[0] == '[') {
		rest.ptr++;
		rest.len--;
		return arena_printf(a,
		    STR_FMT " [signed-by=" STR_FMT " " STR_FMT "\n",
		    STR_ARG(deb), STR_ARG(key), STR_ARG(rest));
	}
	return arena_printf(a, STR_FMT " [signed-by=" STR_FMT "] " STR_FMT "\n",
	    STR_ARG(deb), STR_ARG(key), STR_ARG(rest));
}

static void
early_file(struct linux_spec *s, struct str path, struct str text)
{
	s->files[s->n_files++] = (struct linux_file){ .kind = "repository",
		.path = path,
		.text = text,
		.owner = STR("root"),
		.group = STR("root"),
		.mode = STR("644") };
}

static void
repository_files(struct linux_spec *s, struct arena *a)
{
	for (size_t i = 0; i < s->resources.n_repositories; i++) {
		const struct fleet_apt_repository *r =
		    &s->resources.repositories[i];
		struct str key = STR_NULL;

		if (r->key.ptr != NULL) {
			key = arena_printf(a,
			    "/etc/apt/keyrings/marram-" STR_FMT ".asc",
			    STR_ARG(r->name));
			early_file(s, key, r->key);
		}
		early_file(s,
		    arena_printf(a,
			"/etc/apt/sources.list.d/marram-" STR_FMT ".list",
			STR_ARG(r->name)),
		    signed_line(a, r, key));
	}
	s->n_early = s->n_files;
}

/* As stat says it: without zeros in front. */
static struct str
short_mode(struct str mode)
{
	if (mode.ptr == NULL)
		return STR("644");
	while (mode.len > 1 && mode.ptr[0] == '0') {
		mode.ptr++;
		mode.len--;
	}
	return mode;
}

int
linux_spec(struct str json, struct arena *a, linux_artifact *artifact,
    void *ctx, struct linux_spec *ret, struct err *err)
{
	struct linux_spec s = { 0 };
	crypto_hash_sha256_state h;

	if (fleet_resources_read(json, a, &s.resources, err) != 0)
		return err_wrap(err, "linux.json");
	crypto_hash_sha256_init(&h);
	hash_text(&h, json);
	s.files = arena_array(a,
	    s.resources.n_repositories * 2 + s.resources.n_files + 1,
	    struct linux_file);
	repository_files(&s, a);
	for (size_t i = 0; i < s.resources.n_files; i++) {
		const struct fleet_file *f = &s.resources.files[i];
		struct linux_file *to = &s.files[s.n_files++];

		*to = (struct linux_file){ .kind = "file",
			.path = f->path,
			.text = f->text,
			.secret = f->secret,
			.owner = f->owner.ptr == NULL ? STR("root") : f->owner,
			.group = f->group.ptr == NULL ? STR("root") : f->group,
			.mode = short_mode(f->mode) };
		if (f->artifact.ptr == NULL)
			continue;
		if (artifact(ctx, f->artifact, &to->text, err) != 0)
			return err->code;
		hash_text(&h, f->artifact);
		hash_text(&h, to->text);
	}
	s.built = hash_end(&h, a);
	*ret = s;
	return 0;
}

/* --- the bundle ----------------------------------------------------------- */

struct bundle {
	const struct linux_spec *s;
	bool whole;
	struct arena *arena;
	linux_secret *secret;
	void *ctx;
	struct buf plan, *tar;
	size_t files, secrets; /* that it has so far */
	struct err *err;
};

static void
word(struct bundle *b, struct str s)
{
	buf_addc(&b->plan, ' ');
	if (s.ptr == NULL) {
		buf_addc(&b->plan, '-');
		return;
	}
	buf_addc(&b->plan, '=');
	shell_escape(&b->plan, s);
}

static void
words(struct bundle *b, const struct strs *list)
{
	for (size_t i = 0; i < list->n; i++)
		word(b, list->at[i]);
}

static void
number(struct bundle *b, int64_t n)
{
	if (n < 0)
		buf_addz(&b->plan, " -");
	else
		buf_addf(&b->plan, " %lld", (long long)n);
}

/* A text as a file of the bundle, and its name in the plan. */
static void
add_file(struct bundle *b, struct str text)
{
	char name[40];

	snprintf(name, sizeof(name), "files/%zu", b->files++);
	buf_addf(&b->plan, " %s", name);
	if (b->whole)
		tar_file(b->tar, name, text, 0600);
}

static int
add_secret(struct bundle *b, struct str id)
{
	struct str sealed;
	char name[40];

	if (b->secret(b->ctx, id, &sealed, b->err) != 0)
		return err_wrap(b->err, "secret " STR_FMT, STR_ARG(id));
	snprintf(name, sizeof(name), "secrets/%zu", b->secrets++);
	buf_addf(&b->plan, " %s", name);
	tar_file(b->tar, name, sealed, 0600);
	return 0;
}

static int
put_file(struct bundle *b, const struct linux_file *f)
{
	buf_addz(&b->plan, f->kind);
	word(b, f->path);
	if (f->secret.ptr == NULL)
		add_file(b, f->text);
	else if (add_secret(b, f->secret) != 0)
		return b->err->code;
	word(b, f->owner);
	word(b, f->group);
	buf_addf(&b->plan, " " STR_FMT " ", STR_ARG(f->mode));
	buf_add_str(&b->plan,
	    f->secret.ptr != NULL ? STR("-") : sum_of(f->text, b->arena));
	buf_addc(&b->plan, '\n');
	return 0;
}

static void
put_packages(struct bundle *b)
{
	const struct fleet_resources *r = &b->s->resources;

	for (size_t i = 0; i < r->n_packages; i++) {
		const struct fleet_package *p = &r->packages[i];

		buf_addz(&b->plan, "package");
		word(b, p->name);
		word(b, p->version);
		word(b, p->manager);
		buf_addz(&b->plan, p->absent ? " absent\n" : " installed\n");
	}
	buf_addz(&b->plan, "packages\n");
}

static int
put_user(struct bundle *b, const struct fleet_user *u)
{
	struct buf keys = { 0 };

	buf_addz(&b->plan, "user");
	word(b, u->name);
	number(b, u->uid);
	word(b, u->shell);
	word(b, u->home);
	word(b, u->comment);
	if (u->password_secret.ptr == NULL || u->absent)
		buf_addz(&b->plan, " -");
	else if (add_secret(b, u->password_secret) != 0)
		return b->err->code;
	if (u->has_keys && !u->absent) {
		for (size_t i = 0; i < u->authorized_keys.n; i++) {
			buf_add_str(&keys, u->authorized_keys.at[i]);
			buf_addc(&keys, '\n');
		}
		add_file(b, buf_str(&keys));
		buf_addf(&b->plan, " " STR_FMT,
		    STR_ARG(sum_of(buf_str(&keys), b->arena)));
		buf_free(&keys);
	} else {
		buf_addz(&b->plan, " - -");
	}
	buf_addz(&b->plan, u->absent ? " absent" : " present");
	words(b, &u->groups);
	buf_addc(&b->plan, '\n');
	return 0;
}

static void
put_service(struct bundle *b, const struct fleet_service *s)
{
	buf_addz(&b->plan, "service");
	word(b, s->name);
	buf_addz(&b->plan, s->enabled ? " enabled" : " disabled");
	buf_addz(&b->plan, s->running ? " running" : " stopped");
	words(b, &s->restart_on);
	buf_addc(&b->plan, '\n');
}

static void
option(struct bundle *b, const char *name, struct str value)
{
	word(b, str_of(name));
	word(b, value);
}

static void
put_container(struct bundle *b, const struct fleet_container *c)
{
	struct buf json = { 0 };
	size_t options =
	    c->ports.n + c->volumes.n + c->n_environment + c->n_labels;

	fleet_container_write(c, &json);
	buf_addz(&b->plan, "container");
	word(b, c->name);
	buf_addf(&b->plan, " " STR_FMT " %zu",
	    STR_ARG(sum_of(buf_str(&json), b->arena)), options * 2);
	buf_free(&json);
	for (size_t i = 0; i < c->ports.n; i++)
		option(b, "--publish", c->ports.at[i]);
	for (size_t i = 0; i < c->volumes.n; i++)
		option(b, "--volume", c->volumes.at[i]);
	for (size_t i = 0; i < c->n_environment; i++)
		option(b, "--env",
		    arena_printf(b->arena, STR_FMT "=" STR_FMT,
			STR_ARG(c->environment[i].key),
			STR_ARG(c->environment[i].value)));
	for (size_t i = 0; i < c->n_labels; i++)
		option(b, "--label",
		    arena_printf(b->arena, STR_FMT "=" STR_FMT,
			STR_ARG(c->labels[i].key),
			STR_ARG(c->labels[i].value)));
	word(b, c->image);
	words(b, &c->command);
	buf_addc(&b->plan, '\n');
}

static int
put_plan(struct bundle *b)
{
	const struct fleet_resources *r = &b->s->resources;

	buf_addf(
	    &b->plan, "marram 1\nbuilt " STR_FMT "\n", STR_ARG(b->s->built));
	for (size_t i = 0; i < b->s->n_early; i++)
		if (put_file(b, &b->s->files[i]) != 0)
			return b->err->code;
	put_packages(b);
	for (size_t i = 0; i < r->n_groups; i++) {
		buf_addz(&b->plan, "group");
		word(b, r->groups[i].name);
		number(b, r->groups[i].gid);
		buf_addc(&b->plan, '\n');
	}
	for (size_t i = 0; i < r->n_users; i++)
		if (put_user(b, &r->users[i]) != 0)
			return b->err->code;
	for (size_t i = b->s->n_early; i < b->s->n_files; i++)
		if (put_file(b, &b->s->files[i]) != 0)
			return b->err->code;
	if (r->host_name.ptr != NULL) {
		buf_addz(&b->plan, "host");
		word(b, r->host_name);
		buf_addc(&b->plan, '\n');
	}
	if (r->time_zone.ptr != NULL) {
		buf_addz(&b->plan, "zone");
		word(b, r->time_zone);
		buf_addc(&b->plan, '\n');
	}
	for (size_t i = 0; i < r->n_services; i++)
		put_service(b, &r->services[i]);
	for (size_t i = 0; i < r->n_containers; i++)
		put_container(b, &r->containers[i]);
	return 0;
}

int
linux_bundle(const struct linux_spec *s, bool whole, struct arena *a,
    linux_secret *secret, void *ctx, struct buf *tar, struct err *err)
{
	struct bundle b = { .s = s,
		.whole = whole,
		.arena = a,
		.secret = secret,
		.ctx = ctx,
		.tar = tar,
		.err = err };
	int rc = put_plan(&b);

	if (rc == 0) {
		tar_file(tar, "plan", buf_str(&b.plan), 0600);
		if (whole)
			tar_file(tar, "apply.sh", str_of(embed_apply_sh), 0755);
		tar_end(tar);
	}
	buf_free(&b.plan);
	return rc;
}
