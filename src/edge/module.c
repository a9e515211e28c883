/*
 * edge/module.c - see module.h.
 */
#include "edge/module.h"

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

int
module_load(
    const char *name, const char *symbol, const void **ret, struct err *err)
{
	char folder[PATH_MAX], path[PATH_MAX + 64];
	const char *const where[] = { folder, folder, INSTALLED };
	static const char *const below[] = { "", "/../edge", "" };
	void *handle;

	program_folder(folder, sizeof(folder));
	for (size_t i = 0; i < COUNT_OF(where); i++) {
		snprintf(
		    path, sizeof(path), "%s%s/%s.so", where[i], below[i], name);
		if (access(path, R_OK) != 0)
			continue;
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
	return err_set(err, ERR_NOT_FOUND,
	    "there is no %s.so in %s or " INSTALLED
	    "; install marram-edge again",
	    name, folder);
}
