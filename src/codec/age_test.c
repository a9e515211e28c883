/*
 * codec/age_test.c - files of age and keys of OpenSSH: round trips, what was
 * changed, and both ways with the programs `age` and `ssh-keygen`.
 */
#include "codec/age.h"

#include "base/base.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/rand.h"
#include "base/test.h"

#include <pty.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static struct str
random_text(size_t len)
{
	char *p = mem_alloc(len + 1);

	rand_bytes(p, len);
	return (struct str){ p, len };
}

static const size_t sizes[] = { 0, 1, 15, 65535, 65536, 65537, 131072, 200000 };

static void
what_was_encrypted_for_a_key_is_read_with_it(void **state)
{
	struct ssh_private a, b, c;
	struct ssh_public both[2];

	(void)state;
	ssh_private_make(&a);
	ssh_private_make(&b);
	ssh_private_make(&c);
	ssh_private_public(&a, &both[0]);
	ssh_private_public(&b, &both[1]);
	for (size_t i = 0; i < COUNT_OF(sizes); i++) {
		struct str text = random_text(sizes[i]);
		struct buf file = { 0 }, out = { 0 };
		struct err err;

		assert_int_equal(
		    age_encrypt_ssh(both, 2, text, &file, &err), 0);
		assert_int_equal(
		    age_decrypt_ssh(&a, buf_str(&file), &out, &err), 0);
		assert_int_equal(out.len, text.len);
		assert_int_equal(
		    age_decrypt_ssh(&b, buf_str(&file), &out, &err), 0);
		assert_int_equal(out.len, 2 * text.len);
		if (text.len > 0) {
			assert_memory_equal(out.ptr, text.ptr, text.len);
			assert_memory_equal(
			    out.ptr + text.len, text.ptr, text.len);
		}
		assert_int_equal(
		    age_decrypt_ssh(&c, buf_str(&file), &out, &err),
		    ERR_DENIED);
		assert_int_equal(out.len, 2 * text.len);
		buf_free(&file);
		buf_free(&out);
		str_free(text);
	}
}

static void
a_passphrase_opens_it_and_no_other(void **state)
{
	struct buf file = { 0 }, out = { 0 };
	struct err err;

	(void)state;
	assert_int_equal(age_encrypt_passphrase(
			     STR("thymis-abc"), 4, STR("hello"), &file, &err),
	    0);
	assert_int_equal(age_decrypt_passphrase(
			     STR("thymis-abd"), buf_str(&file), &out, &err),
	    ERR_DENIED);
	assert_int_equal(age_decrypt_passphrase(
			     STR("thymis-abc"), buf_str(&file), &out, &err),
	    0);
	assert_string_equal(buf_z(&out), "hello");
	buf_free(&file);
	buf_free(&out);
}

static void
a_changed_byte_is_seen_wherever_it_is(void **state)
{
	struct str text = random_text(70000);
	struct buf file = { 0 }, out = { 0 };
	struct ssh_private key;
	struct ssh_public public;
	struct err err;

	(void)state;
	ssh_private_make(&key);
	ssh_private_public(&key, &public);
	assert_int_equal(age_encrypt_ssh(&public, 1, text, &file, &err), 0);
	for (size_t i = 0; i < file.len; i += i < 400 ? 1 : 997) {
		file.ptr[i] ^= 1;
		if (age_decrypt_ssh(&key, buf_str(&file), &out, &err) == 0)
			fail_msg("byte %zu", i);
		assert_int_equal(out.len, 0);
		file.ptr[i] ^= 1;
	}
	/* cut anywhere, between two chunks, too */
	for (size_t n = 0; n < file.len; n += n < 400 ? 1 : 4096)
		assert_int_not_equal(
		    age_decrypt_ssh(
			&key, (struct str){ file.ptr, n }, &out, &err),
		    0);
	buf_addc(&file, 'x');
	assert_int_not_equal(
	    age_decrypt_ssh(&key, buf_str(&file), &out, &err), 0);
	buf_free(&file);
	buf_free(&out);
	str_free(text);
}

static void
a_passphrase_that_costs_too_much_is_not_tried(void **state)
{
	static const char head[] =
	    "age-encryption.org/v1\n-> scrypt AAAAAAAAAAAAAAAAAAAAAA 30\n"
	    "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n"
	    "--- AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n0123456789";
	struct buf out = { 0 };
	struct err err;

	(void)state;
	assert_int_equal(
	    age_decrypt_passphrase(STR("x"), str_of(head), &out, &err),
	    ERR_LIMIT);
}

static void
keys_that_are_none_are_refused(void **state)
{
	static const char *const lines[] = { "", "ssh-ed25519", "ssh-ed25519 ",
		"ssh-ed25519 AAAA", "ssh-rsa AAAAB3NzaC1yc2EAAAA",
		"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAAA",
		"ssh-ed25519 "
		"AAAAC3NzaC1lZDI1NTE5AAAAIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
		"A"
		"AAAAA\nssh-ed25519 AAAA" };
	static const char *const files[] = { "", "x",
		"-----BEGIN OPENSSH PRIVATE KEY-----\n"
		"-----END OPENSSH PRIVATE KEY-----\n",
		"-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjEA\n"
		"-----END OPENSSH PRIVATE KEY-----\n" };
	struct ssh_private key;
	struct ssh_public public;
	struct err err;

	(void)state;
	for (size_t i = 0; i < COUNT_OF(lines); i++)
		if (ssh_public_read(str_of(lines[i]), &public, &err) !=
		    ERR_PARAM)
			fail_msg("%s", lines[i]);
	for (size_t i = 0; i < COUNT_OF(files); i++)
		if (ssh_private_read(str_of(files[i]), &key, &err) != ERR_PARAM)
			fail_msg("%s", files[i]);
}

/* --- with the programs ---------------------------------------------------- */

struct place {
	char dir[64];
};

static int
set_up(void **state)
{
	struct place *p = mem_new(struct place);

	snprintf(p->dir, sizeof(p->dir), "/tmp/age-test.XXXXXX");
	assert_non_null(mkdtemp(p->dir));
	*state = p;
	return 0;
}

static void
run(const struct place *p, const char *line)
{
	char *all = mem_printf("cd %s && %s", p->dir, line);

	if (system(all) != 0)
		fail_msg("%s", line);
	free(all);
}

static int
tear_down(void **state)
{
	struct place *p = *state;

	run(p, "rm -f a a.pub b b.pub in out in.age && rmdir $PWD");
	free(p);
	return 0;
}

static void
put(const struct place *p, const char *name, struct str text)
{
	char *path = mem_printf("%s/%s", p->dir, name);

	assert_int_equal(file_write(path, text, NULL), 0);
	free(path);
}

static void
get(const struct place *p, const char *name, struct buf *out)
{
	char *path = mem_printf("%s/%s", p->dir, name);

	buf_clear(out);
	assert_int_equal(file_read(path, out, NULL), 0);
	free(path);
}

static bool
have(const char *program)
{
	char *line = mem_printf("command -v %s >/dev/null", program);
	bool there = system(line) == 0;

	free(line);
	if (!there)
		print_message("there is no %s here\n", program);
	return there;
}

static void
age_reads_ours_and_we_read_those_of_age(void **state)
{
	struct place *p = *state;
	struct buf text = { 0 }, file = { 0 }, out = { 0 }, key_text = { 0 };
	struct ssh_private key;
	struct ssh_public public;
	struct err err;

	if (!have("age"))
		skip();
	ssh_private_make(&key);
	ssh_private_public(&key, &public);
	ssh_private_write(&key, STR("unit"), &key_text);
	put(p, "a", buf_str(&key_text));
	buf_clear(&key_text);
	ssh_public_write(&public, &key_text);
	put(p, "a.pub", buf_str(&key_text));
	for (size_t i = 0; i < COUNT_OF(sizes); i++) {
		struct str in = random_text(sizes[i]);

		buf_clear(&file);
		assert_int_equal(
		    age_encrypt_ssh(&public, 1, in, &file, &err), 0);
		put(p, "in.age", buf_str(&file));
		put(p, "in", in);
		run(p, "age -d -i a in.age >out && cmp in out");
		run(p, "age -R a.pub -o in.age in");
		get(p, "in.age", &file);
		buf_clear(&out);
		assert_int_equal(
		    age_decrypt_ssh(&key, buf_str(&file), &out, &err), 0);
		assert_int_equal(out.len, in.len);
		if (in.len > 0)
			assert_memory_equal(out.ptr, in.ptr, in.len);
		str_free(in);
	}
	buf_free(&text);
	buf_free(&file);
	buf_free(&out);
	buf_free(&key_text);
}

/* age asks for the passphrase at a terminal. */
static void
run_at_terminal(const struct place *p, const char *line, const char *typed)
{
	char *all = mem_printf("cd %s && %s", p->dir, line);
	char seen[512];
	ssize_t n;
	int fd, status = -1;
	pid_t pid = forkpty(&fd, NULL, NULL, NULL);

	if (pid == 0) {
		execl("/bin/sh", "sh", "-c", all, (char *)NULL);
		_exit(127);
	}
	assert_true(pid > 0);
	for (size_t asked = 0; (n = read(fd, seen, sizeof(seen) - 1)) > 0;) {
		seen[n] = '\0';
		if (strstr(seen, "assphrase") != NULL && asked++ < 2)
			assert_int_equal(
			    write(fd, typed, strlen(typed)), strlen(typed));
	}
	close(fd);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (status != 0)
		fail_msg("%s", line);
	free(all);
}

static void
passphrases_of_age_are_ours(void **state)
{
	struct place *p = *state;
	struct buf file = { 0 }, out = { 0 };
	struct err err;

	if (!have("age"))
		skip();
	put(p, "in", STR("some words\n"));
	run_at_terminal(p, "age -p -o in.age in", "thymis-0123\n");
	get(p, "in.age", &file);
	assert_int_equal(age_decrypt_passphrase(
			     STR("thymis-0123"), buf_str(&file), &out, &err),
	    0);
	assert_string_equal(buf_z(&out), "some words\n");
	buf_clear(&file);
	assert_int_equal(age_encrypt_passphrase(STR("thymis-0123"), 10,
			     STR("others\n"), &file, &err),
	    0);
	put(p, "in.age", buf_str(&file));
	run_at_terminal(p, "age -d -o out in.age", "thymis-0123\n");
	get(p, "out", &out);
	assert_string_equal(buf_z(&out), "others\n");
	buf_free(&file);
	buf_free(&out);
}

static void
ssh_keygen_reads_our_keys_and_we_read_its(void **state)
{
	struct place *p = *state;
	struct buf text = { 0 }, line = { 0 };
	struct ssh_private key;
	struct ssh_public public;
	struct err err;

	if (!have("ssh-keygen"))
		skip();
	ssh_private_make(&key);
	ssh_private_public(&key, &public);
	ssh_private_write(&key, STR("someone"), &text);
	put(p, "a", buf_str(&text));
	run(p, "ssh-keygen -y -f a > a.pub");
	get(p, "a.pub", &text);
	ssh_public_write(&public, &line);
	assert_true(str_starts(buf_str(&text), buf_str(&line)));

	run(p, "ssh-keygen -q -t ed25519 -N '' -C 'a b' -f b");
	get(p, "b", &text);
	assert_int_equal(ssh_private_read(buf_str(&text), &key, &err), 0);
	ssh_private_public(&key, &public);
	buf_clear(&line);
	ssh_public_write(&public, &line);
	get(p, "b.pub", &text);
	assert_true(str_starts(buf_str(&text), buf_str(&line)));
	buf_clear(&line);
	assert_int_equal(ssh_public_normal(buf_str(&text), &line, &err), 0);
	assert_int_equal(line.len, 80);

	run(p, "ssh-keygen -q -p -P '' -N 'secret words' -f b >/dev/null");
	get(p, "b", &text);
	assert_int_equal(
	    ssh_private_read(buf_str(&text), &key, &err), ERR_PARAM);
	assert_non_null(strstr(err.text, "passphrase"));
	run(p, "rm b && ssh-keygen -q -t ecdsa -N '' -f b");
	get(p, "b", &text);
	assert_int_equal(
	    ssh_private_read(buf_str(&text), &key, &err), ERR_PARAM);
	buf_free(&text);
	buf_free(&line);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_was_encrypted_for_a_key_is_read_with_it),
		cmocka_unit_test(a_passphrase_opens_it_and_no_other),
		cmocka_unit_test(a_changed_byte_is_seen_wherever_it_is),
		cmocka_unit_test(a_passphrase_that_costs_too_much_is_not_tried),
		cmocka_unit_test(keys_that_are_none_are_refused),
		cmocka_unit_test_setup_teardown(
		    age_reads_ours_and_we_read_those_of_age, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
		    passphrases_of_age_are_ours, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
		    ssh_keygen_reads_our_keys_and_we_read_its, set_up,
		    tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
