/*
 * plug/metric/void.c - keeps nothing. For who wants no history, and as a floor
 * in measurements. Series are known until it is closed.
 */
#include "plug/metric/ops.h"

#include <stddef.h>

static int
void_open(const struct metric_settings *set, const char *path,
    const struct metric_host *host, struct engine **ret, struct err *err)
{
	(void)set;
	(void)path;
	(void)host;
	(void)err;
	*ret = NULL;
	return 0;
}

static void
void_close(struct engine *g)
{
	(void)g;
}

static int
void_write(struct engine *g, const struct metric_point *p, size_t n,
    struct metric_commit *commit, struct err *err)
{
	(void)g;
	(void)p;
	(void)n;
	(void)err;
	if (commit != NULL)
		commit->done(commit, 0, NULL);
	return 0;
}

const struct metric_ops metric_void = {
	.name = "void",
	.open = void_open,
	.close = void_close,
	.write = void_write,
};
