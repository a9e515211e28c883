/*
 * codec/flake_ref_test.c
 */
#include "codec/flake_ref.h"

#include "base/base.h"
#include "base/test.h"

#define REV "0123456789abcdef0123456789abcdef01234567"

static struct str
shown(struct arena *a, const char *text)
{
	struct flake_ref r;
	struct err err;

	if (flake_ref_read(str_of(text), a, &r, &err) != 0)
		return arena_printf(a, "no: %s", err.text);
#define S(m) (int)r.m.len, r.m.ptr != NULL ? r.m.ptr : ""
	return arena_printf(a,
	    "%s id=%.*s protocol=%.*s url=%.*s host=%.*s owner=%.*s repo=%.*s "
	    "ref=%.*s rev=%.*s path=%.*s dir=%.*s",
	    flake_type_names[r.type], S(id), S(protocol), S(url), S(host),
	    S(owner), S(repo), S(ref), S(rev), S(path), S(dir));
}

static void
every_form_is_read(void **state)
{
	static const char *const cases[][2] = {
		{ "nixpkgs",
		    "indirect id=nixpkgs protocol= url= host= owner= repo= "
		    "ref= rev= path= dir=" },
		{ "flake:nixpkgs/nixos-25.11/" REV,
		    "indirect id=nixpkgs protocol= url= host= owner= repo= "
		    "ref=nixos-25.11 rev=" REV " path= dir=" },
		{ "nixpkgs/" REV,
		    "indirect id=nixpkgs protocol= url= host= owner= repo= "
		    "ref= rev=" REV " path= dir=" },
		{ "github:thymis-io/thymis/v0.9",
		    "github id= protocol= url= host= owner=thymis-io "
		    "repo=thymis ref=v0.9 rev= path= dir=" },
		{ "github:o/r?ref=main&dir=sub&host=ghe.example",
		    "github id= protocol= url= host=ghe.example owner=o "
		    "repo=r ref=main rev= path= dir=sub" },
		{ "github:o/r/" REV,
		    "github id= protocol= url= host= owner=o repo=r ref= "
		    "rev=" REV " path= dir=" },
		{ "gitlab:group%2Fsub/repo/main",
		    "gitlab id= protocol= url= host= owner=group/sub "
		    "repo=repo ref=main rev= path= dir=" },
		{ "git+https://git.example/o/sub/r.git?ref=main&rev=" REV,
		    "git id= protocol=https url=https://git.example/o/sub/"
		    "r.git host=git.example owner=o/sub repo=r ref=main "
		    "rev=" REV " path= dir=" },
		{ "git+ssh://git@git.example/o/r",
		    "git id= protocol=ssh url=ssh://git@git.example/o/r "
		    "host=git.example owner=o repo=r ref= rev= path= dir=" },
		{ "git://git.example/o/r",
		    "git id= protocol=git url=git://git.example/o/r "
		    "host=git.example owner=o repo=r ref= rev= path= dir=" },
		{ "git+file:///srv/x",
		    "git id= protocol=file url=file:///srv/x host= owner= "
		    "repo= ref= rev= path= dir=" },
		{ "path:/srv/x",
		    "path id= protocol= url= host= owner= repo= ref= rev= "
		    "path=/srv/x dir=" },
		{ "https://x.example/a.tar.gz",
		    "tarball id= protocol= url=https://x.example/a.tar.gz "
		    "host= owner= repo= ref= rev= path= dir=" },
	};
	struct arena a = { 0 };

	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++)
		assert_string_equal(
		    arena_z(&a, shown(&a, cases[i][0])), cases[i][1]);
	arena_fini(&a);
}

static void
others_are_refused(void **state)
{
	static const char *const bad[] = { "", " nixpkgs",
		"github:", "github:o", "github:/r", "gitlab:o/", "git+https://",
		"flake:", "path:", "ftp://x", "evil:x", "github:o/r?rev=abc",
		"a\nb" };
	struct arena a = { 0 };
	struct flake_ref r;

	(void)state;
	for (size_t i = 0; i < COUNT_OF(bad); i++)
		assert_int_equal(
		    flake_ref_read(str_of(bad[i]), &a, &r, NULL), ERR_PARAM);
	arena_fini(&a);
}

static void
tokens_are_for_their_host(void **state)
{
	static const char *const cases[][3] = {
		{ "github:o/r", "k", "github.com=k" },
		{ "gitlab:o/r", "glpat-k", "gitlab.com=PAT:glpat-k" },
		{ "gitlab:o/r", "PAT:k", "gitlab.com=PAT:k" },
		{ "gitlab:o/r?host=git.example", "k", "git.example=k" },
		{ "git+https://git@git.example/o/r", "k", "git.example=k" },
	};
	struct arena a = { 0 };
	struct flake_ref r;

	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		assert_int_equal(
		    flake_ref_read(str_of(cases[i][0]), &a, &r, NULL), 0);
		assert_string_equal(
		    arena_z(&a, flake_ref_token(&r, str_of(cases[i][1]), &a)),
		    cases[i][2]);
	}
	/* no second token, no second setting */
	assert_null(flake_ref_token(&r, STR("k other=x"), &a).ptr);
	assert_null(flake_ref_token(&r, STR("k\nx = y"), &a).ptr);
	assert_int_equal(flake_ref_read(STR("nixpkgs"), &a, &r, NULL), 0);
	assert_null(flake_ref_token(&r, STR("k"), &a).ptr);
	arena_fini(&a);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_form_is_read),
		cmocka_unit_test(others_are_refused),
		cmocka_unit_test(tokens_are_for_their_host),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
