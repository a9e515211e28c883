/*
 * codec/tar_test.c - that `tar` reads what we write.
 */
#include "codec/tar.h"

#include "base/base.h"
#include "base/file.h"
#include "base/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void
tar_gets_the_files_back(void **state)
{
	static const size_t sizes[] = { 0, 1, 511, 512, 513, 70000 };
	char dir[] = "/tmp/tar_test.XXXXXX", command[200], path[80];
	struct buf b = { 0 };
	char *bytes = calloc(1, 70000);
	struct stat st;
	FILE *p;

	(void)state;
	assert_non_null(mkdtemp(dir));
	for (size_t i = 0; i < 70000; i++)
		bytes[i] = (char)(i * 7);
	for (size_t i = 0; i < COUNT_OF(sizes); i++) {
		snprintf(path, sizeof(path), "files/%zu", i);
		tar_file(&b, path, (struct str){ bytes, sizes[i] }, 0640);
	}
	tar_end(&b);
	snprintf(command, sizeof(command), "tar -xf - -C %s", dir);
	p = popen(command, "w");
	assert_non_null(p);
	assert_int_equal(fwrite(b.ptr, 1, b.len, p), b.len);
	assert_int_equal(pclose(p), 0);
	for (size_t i = 0; i < COUNT_OF(sizes); i++) {
		struct buf got = { 0 };

		snprintf(path, sizeof(path), "%s/files/%zu", dir, i);
		assert_int_equal(file_read(path, &got, NULL), 0);
		assert_int_equal(got.len, sizes[i]);
		assert_memory_equal(
		    got.len == 0 ? "" : got.ptr, bytes, got.len);
		assert_int_equal(stat(path, &st), 0);
		assert_int_equal(st.st_mode & 0777, 0640);
		buf_free(&got);
		unlink(path);
	}
	snprintf(path, sizeof(path), "%s/files", dir);
	assert_int_equal(rmdir(path), 0);
	assert_int_equal(rmdir(dir), 0);
	buf_free(&b);
	free(bytes);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(tar_gets_the_files_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
