/*
 * plug/repo/load.c - the one plug of repositories, when it is needed.
 */
#include "plug/repo/repo.h"

#include "base/module.h"

#include <pthread.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static const struct repo_ops *loaded;

int
repo_load(const struct repo_ops **ret, struct err *err)
{
	const void *found = NULL;
	int rc = 0;

	pthread_mutex_lock(&lock);
	if (loaded == NULL)
		rc = module_load("marram-repo", REPO_SYMBOL, &found, err);
	if (rc == 0 && found != NULL) {
		const struct repo_ops *ops = found;

		if (ops->abi == REPO_ABI)
			loaded = ops;
		else
			rc = err_set(err, ERR_IO,
			    "marram-repo.so is of another version of this "
			    "program: install both from one package");
	}
	*ret = loaded;
	pthread_mutex_unlock(&lock);
	return rc;
}
