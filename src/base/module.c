/*
 * base/module.c - see module.h.
 */
#include "base/module.h"

#include "base/base.h"

#include <dlfcn.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define INSTALLED "/usr/lib/marram"

/* The folder of the program; "" if the kernel does not tell. */
static void
program_folder(char *dir, size_t size)
{
	ssize_t n = readlink("/proc/self/exe", dir, size - 1);
	char *slash;

	dir[n > 0 ? n : 0] = '\0';
	slash = strrchr(dir, '/');
	if (slash != NULL)
		*slash = '\0';
}

/* Where it is, in `path`. */
static int
find(const char *name, char *path, size_t size, struct err *err)
{
	char folder[PATH_MAX];
	const char *const where[] = { folder, folder, folder, INSTALLED };
	static const char *const below[] = { "", "/../edge", "/../plug/repo",
		"" };

	program_folder(folder, sizeof(folder));
	for (size_t i = 0; i < COUNT_OF(where); i++) {
		snprintf(path, size, "%s%s/%s.so", where[i], below[i], name);
		if (access(path, R_OK) == 0)
			return 0;
	}
	return err_set(err, ERR_NOT_FOUND,
	    "there is no %s.so in %s or " INSTALLED
	    "; install the package anew",
	    name, folder);
}

int
module_find(const char *name, struct err *err)
{
	char path[PATH_MAX + 64];

	return find(name, path, sizeof(path), err);
}

int
module_load(
    const char *name, const char *symbol, const void **ret, struct err *err)
{
	char path[PATH_MAX + 64];
	void *handle;
	int rc = find(name, path, sizeof(path), err);

	if (rc != 0)
		return rc;
	handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	if (handle == NULL)
		return err_set(err, ERR_IO, "load %s", dlerror());
	*ret = dlsym(handle, symbol);
	if (*ret != NULL)
		return 0;
	dlclose(handle);
	return err_set(err, ERR_IO,
	    "%s is of another version of this program: install both "
	    "from one package",
	    path);
}
