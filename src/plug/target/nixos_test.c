/*
 * plug/target/nixos_test.c - what is told of a switch that a device took back.
 *
 * The device is a list of what its script says to one "status" after another.
 */
#include "base/arena.h"
#include "base/base.h"
#include "base/err.h"
#include "base/test.h"
#include "plug/target/target.h"

#include <string.h>

struct device {
	const char *const *says; /* NULL ends */
	int busy;                /* so often its agent is */
	struct arena arena;
};

static int
ssh(void *ctx, const char *const *argv, struct str input, int64_t timeout_ms,
    struct target_result *ret, struct err *err)
{
	struct device *d = ctx;

	(void)input;
	(void)timeout_ms;
	(void)err;
	*ret = (struct target_result){ .out = STR(""), .err = STR("") };
	if (strcmp(argv[4], "status") == 0) {
		assert_non_null(*d->says);
		ret->out = str_of(*d->says++);
	} else if (strcmp(argv[4], "remember") == 0) {
		ret->out = STR("/nix/store/x-old\n");
	} else if (strcmp(argv[4], "current") == 0) {
		ret->out = STR("/nix/store/x-other\n");
	}
	return 0;
}

static int
no_agent(void *ctx, struct str path, int64_t timeout_ms,
    struct target_result *ret, struct err *err)
{
	(void)ctx;
	(void)path;
	(void)timeout_ms;
	(void)ret;
	return err_set(err, ERR_NOT_FOUND, "it has none");
}

static int
agent(void *ctx, struct str path, int64_t timeout_ms, struct target_result *ret,
    struct err *err)
{
	struct device *d = ctx;

	(void)path;
	(void)err;
	assert_true(timeout_ms >= 60 * 60000);
	*ret = (struct target_result){ .out = STR(""), .err = STR("") };
	if (d->busy-- > 0) {
		ret->status = 1;
		ret->err = STR("another change is under way");
	}
	return 0;
}

static void
tell(void *ctx, struct str line)
{
	(void)ctx;
	(void)line;
}

static bool
cancelled(void *ctx)
{
	(void)ctx;
	return false;
}

static void
it_says(const char *const *says, const char *why)
{
	struct device d = { .says = says };
	const struct target_host host = { .ctx = &d,
		.ssh = ssh,
		.agent_switch = no_agent,
		.tell = tell,
		.cancelled = cancelled };
	struct target_job job = { .host = &host,
		.arena = &d.arena,
		.run = STR("r1"),
		.confirm_ms = 1000 };
	struct err err;

	assert_int_equal(
	    target_nixos.apply(&job, STR("/nix/store/x-new"), &err), ERR_PARAM);
	assert_string_equal(err.text, why);
	arena_fini(&d.arena);
}

#define FAILED "activation failed: switch-to-configuration exited with 4: "

/* The device does so at once; whoever asks later finds the log of both. */
static void
a_switch_is_told_by_its_own_last_line(void **state)
{
	(void)state;
	it_says(
	    (const char *const[]){ "none -1 -1\n",
		"failed -1 4\nactivating: test\nno service starts\n", NULL },
	    FAILED "no service starts");
	it_says((const char *const[]){ "none -1 -1\n",
		    "undoing -1 4\nno service starts\nthe switch failed: "
		    "taken back\nactivating: test\n",
		    NULL },
	    FAILED "no service starts");
	/* it is followed while it switches: only the end says how it went */
	it_says((const char *const[]){ "none -1 -1\n",
		    "switching -1 -1\nactivating: test\n",
		    "switching -1 -1\nno service starts\n",
		    "back 0 4\nthe switch failed: taken back\nactivating: "
		    "test\n",
		    NULL },
	    FAILED "no service starts");
	it_says((const char *const[]){ "none -1 -1\n",
		    "undoing -1 124\nthe switch was ended\nthe switch "
		    "failed: taken back\n",
		    NULL },
	    "switch-to-configuration took longer than 3600 s "
	    "(fleet.deploy.applyTime)");
}

/* What was cancelled still goes on there; going back waits for its end. */
static void
an_agent_that_is_at_something_is_asked_again(void **state)
{
	static const char *const says[] = { "remembered -1 -1\n", NULL };
	struct device d = { .says = says, .busy = 2 };
	const struct target_host host = { .ctx = &d,
		.ssh = ssh,
		.agent_switch = agent,
		.tell = tell,
		.cancelled = cancelled };
	struct target_job job = {
		.host = &host, .arena = &d.arena, .run = STR("r1")
	};
	struct err err;

	(void)state;
	assert_int_equal(
	    target_nixos.rollback(&job, STR("/nix/store/x-new"), &err), 0);
	assert_int_equal(d.busy, -1);
	/* applying is tried later: nothing was done */
	d.busy = 1;
	d.says = says;
	assert_int_equal(
	    target_nixos.apply(&job, STR("/nix/store/x-new"), &err), ERR_AGAIN);
	assert_string_equal(
	    err.text, "its agent says: another change is under way");
	arena_fini(&d.arena);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_switch_is_told_by_its_own_last_line),
		cmocka_unit_test(an_agent_that_is_at_something_is_asked_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
