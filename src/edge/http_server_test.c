/*
 * edge/http_server_test.c - the device's HTTP server, asked over loopback. It
 * is linked in here; that it is found and loaded is tested with the program.
 */
#include "base/test.h"

#include "base/base.h"
#include "edge/http_server.h"
#include "base/mem.h"
#include "net/http/test_server.h"
#include "net/listen.h"

#include <sys/stat.h>

struct fixture {
	struct loop *loop;
	struct te_store *store;
	struct edge_site *site;
	pthread_t thread;
	struct test_client client;
	struct arena arena;
	char dir[40];
};

static void
on_entities(void *owner, struct entity_call *c)
{
	struct fixture *f = owner;

	entity_api(f->store, c);
}

static void
nothing(void *owner, struct str topic, struct str payload)
{
	(void)owner;
	(void)topic;
	(void)payload;
}

static int
setup(void **state)
{
	const struct te_store_conf store = { .root = STR("te"),
		.main = STR("device/main//") };
	const struct te_store_host store_host = { .publish = nothing,
		.keep = nothing };
	struct fixture *f = calloc(1, sizeof(*f));
	const struct edge_http_host host = { f, on_entities, NULL };
	struct edge_http_conf conf = { .address = "127.0.0.1",
		.file_max = 1 << 20,
		.max_connections = 16 };
	struct sockaddr_in to = { .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	uint16_t port;
	char *files;
	int listening;

	strcpy(f->dir, "/tmp/marram-files-XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	files = mem_printf("%s/data/file-transfer", f->dir);
	f->loop = conf.loop = loop_new();
	f->store = te_store_new(&store, &store_host);
	conf.files_dir = files;
	assert_int_equal(
	    net_listen(conf.address, 0, &port, &listening, NULL), 0);
	assert_int_equal(
	    marram_edge_http.start(&conf, &host, listening, &f->site, NULL), 0);
	free(files);
	pthread_create(&f->thread, NULL, test_server_turn, f->loop);
	to.sin_port = htons(port);
	f->client.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(
	    connect(f->client.fd, (struct sockaddr *)&to, sizeof(to)), 0);
	*state = f;
	return 0;
}

static int
teardown(void **state)
{
	struct fixture *f = *state;
	char *command = mem_printf("rm -r %s", f->dir);

	test_close(&f->client);
	loop_stop(f->loop);
	pthread_join(f->thread, NULL);
	marram_edge_http.stop(f->site);
	loop_free(f->loop);
	te_store_free(f->store);
	arena_fini(&f->arena);
	assert_int_equal(system(command), 0);
	free(command);
	free(f);
	return 0;
}

static struct test_reply
ask(struct fixture *f, const char *method, const char *path, struct str body)
{
	char *head = mem_printf("%s %s HTTP/1.1\r\nHost: x\r\n"
				"Content-Length: %zu\r\n\r\n",
	    method, path, body.len);

	test_send(&f->client, head);
	(void)test_send_bytes(&f->client, body.ptr, body.len);
	free(head);
	return test_read(&f->client, &f->arena, strcmp(method, "HEAD") == 0);
}

static size_t
uploads(struct fixture *f)
{
	char *command = mem_printf(
	    "exit $(ls %s/data/file-transfer/.uploads | wc -l)", f->dir);
	int rc = system(command);

	free(command);
	return (size_t)WEXITSTATUS(rc);
}

static void
a_file_is_put_got_and_deleted(void **state)
{
	struct fixture *f = *state;
	struct test_reply r;

	assert_int_equal(
	    ask(f, "PUT", "/te/v1/files/some/dir/file", STR("hello")).status,
	    201);
	r = ask(f, "GET", "/te/v1/files/some//dir/./x/../file", STR(""));
	assert_int_equal(r.status, 200);
	assert_string_equal(r.body.ptr, "hello");
	/* over it, with another length, and an empty one */
	ask(f, "PUT", "/te/v1/files/some/dir/file", STR("hi"));
	r = ask(f, "GET", "/te/v1/files/some/dir/file", STR(""));
	assert_string_equal(r.body.ptr, "hi");
	ask(f, "PUT", "/te/v1/files/some/dir/file", STR(""));
	r = ask(f, "GET", "/te/v1/files/some/dir/file", STR(""));
	assert_int_equal(r.status, 200);
	assert_string_equal(r.body.ptr, "");
	assert_int_equal(
	    ask(f, "DELETE", "/te/v1/files/some/dir/file", STR("")).status,
	    202);
	assert_int_equal(
	    ask(f, "DELETE", "/te/v1/files/some/dir/file", STR("")).status,
	    202);
	r = ask(f, "GET", "/te/v1/files/some/dir/file", STR(""));
	assert_int_equal(r.status, 404);
	assert_string_equal(r.body.ptr, "File not found: \"some/dir/file\"");
	assert_int_equal(uploads(f), 0);
	ask(f, "PUT", "/te/v1/files/x", STR("hi"));
	r = ask(f, "HEAD", "/te/v1/files/x", STR(""));
	assert_int_equal(r.status, 200);
}

static void
a_large_file_comes_in_parts_and_one_over_the_limit_does_not(void **state)
{
	struct fixture *f = *state;
	struct buf big = { 0 };
	struct test_reply r;

	while (big.len < 700001)
		buf_addf(&big, "%zu,", big.len);
	assert_int_equal(
	    ask(f, "PUT", "/te/v1/files/big", buf_str(&big)).status, 201);
	r = ask(f, "GET", "/te/v1/files/big", STR(""));
	assert_int_equal(r.body.len, big.len);
	assert_memory_equal(r.body.ptr, big.ptr, big.len);
	while (big.len < (1 << 20) + 1)
		buf_addz(&big, "more");
	r = ask(f, "PUT", "/te/v1/files/big", buf_str(&big));
	assert_int_equal(r.status, 413);
	/* the old one is still there, and nothing else */
	r = ask(f, "GET", "/te/v1/files/big", STR(""));
	assert_in_range(r.body.len, 700001, 800000);
	assert_int_equal(uploads(f), 0);
	buf_free(&big);
}

static void
chunks_of_any_size_make_one_file(void **state)
{
	struct fixture *f = *state;
	struct buf all = { 0 }, sent = { 0 };
	struct test_reply r;

	test_send(&f->client,
	    "PUT /te/v1/files/chunked HTTP/1.1\r\nHost: x\r\n"
	    "Transfer-Encoding: chunked\r\n\r\n");
	for (size_t i = 0; all.len < 800000; i++) {
		size_t from = all.len, n = i * 37 % 66000 + 1;

		while (all.len < from + n)
			buf_addc(&all, (char)('a' + (all.len + i) % 26));
		buf_clear(&sent);
		buf_addf(&sent, "%zx\r\n", n);
		buf_add(&sent, all.ptr + from, n);
		buf_addz(&sent, "\r\n");
		assert_true(test_send_bytes(&f->client, sent.ptr, sent.len));
	}
	test_send(&f->client, "0\r\n\r\n");
	r = test_read(&f->client, &f->arena, false);
	assert_int_equal(r.status, 201);
	r = ask(f, "GET", "/te/v1/files/chunked", STR(""));
	assert_int_equal(r.body.len, all.len);
	assert_memory_equal(r.body.ptr, all.ptr, all.len);
	buf_free(&all);
	buf_free(&sent);
}

static void
an_upload_that_breaks_off_leaves_nothing(void **state)
{
	struct fixture *f = *state;
	struct buf some = { 0 };

	while (some.len < 200000)
		buf_addc(&some, 'x');
	test_send(&f->client,
	    "PUT /te/v1/files/broken HTTP/1.1\r\nHost: x\r\n"
	    "Content-Length: 500000\r\n\r\n");
	test_send_bytes(&f->client, some.ptr, some.len);
	while (uploads(f) == 0)
		usleep(1000);
	test_close(&f->client);
	while (uploads(f) != 0)
		usleep(1000);
	buf_free(&some);
}

static void
nobody_gets_out_of_the_folder(void **state)
{
	static const char *const paths[] = { "/te/v1/files/../x",
		"/te/v1/files/a/../../x",
		"/te/v1/files/%2e%2e/%2e%2e/etc/passwd",
		"/te/v1/files//etc/passwd", "/te/v1/files/..%2fx",
		"/te/v1/files/.uploads/0", "/te/v1/files/a%00b",
		"/te/v1/files/x/../.uploads/0" };
	static const char *const methods[] = { "GET", "PUT", "DELETE" };
	struct fixture *f = *state;
	struct test_reply r;

	for (size_t i = 0; i < COUNT_OF(paths); i++)
		for (size_t k = 0; k < COUNT_OF(methods); k++) {
			r = ask(f, methods[k], paths[i], STR("y"));
			assert_int_equal(r.status, 404);
			assert_int_equal(
			    strncmp(r.body.ptr, "Invalid file path: \"", 20),
			    0);
		}
}

static void
a_folder_is_no_file(void **state)
{
	struct fixture *f = *state;
	struct test_reply r;

	ask(f, "PUT", "/te/v1/files/dir/file", STR("x"));
	r = ask(f, "GET", "/te/v1/files/dir", STR(""));
	assert_int_equal(r.status, 404);
	assert_string_equal(r.body.ptr, "File not found: \"dir\"");
	r = ask(f, "PUT", "/te/v1/files/dir", STR("x"));
	assert_int_equal(r.status, 409);
	assert_string_equal(
	    r.body.ptr, "Cannot upload: \"dir\" is a directory, not a file");
	r = ask(f, "PUT", "/te/v1/files/", STR("x"));
	assert_int_equal(r.status, 409);
	r = ask(f, "DELETE", "/te/v1/files/dir", STR(""));
	assert_int_equal(r.status, 404);
	assert_string_equal(
	    r.body.ptr, "Cannot delete: \"dir\" is a directory, not a file");
	r = ask(f, "POST", "/te/v1/files/dir/file", STR("x"));
	assert_int_equal(r.status, 405);
	assert_int_equal(uploads(f), 0);
}

static void
the_old_path_works_and_says_that_it_is_old(void **state)
{
	struct fixture *f = *state;
	struct test_reply r;

	r = ask(f, "PUT", "/tedge/file-transfer/c/x", STR("old"));
	assert_int_equal(r.status, 201);
	assert_str(test_header(&r, "Deprecation"), "true");
	assert_str(test_header(&r, "Sunset"), "Thu, 31 Dec 2025 23:59:59 GMT");
	assert_str(
	    test_header(&r, "Link"), "</te/v1/files>; rel=\"deprecation\"");
	r = ask(f, "GET", "/te/v1/files/c/x", STR(""));
	assert_string_equal(r.body.ptr, "old");
	assert_null(test_header(&r, "Deprecation").ptr);
}

static void
entities_are_asked_on_the_same_port(void **state)
{
	struct fixture *f = *state;
	struct buf big = { 0 };
	struct test_reply r;

	r = ask(f, "POST", "/te/v1/entities",
	    STR("{\"@topic-id\":\"device/c1\",\"@type\":\"child-device\"}"));
	assert_int_equal(r.status, 201);
	assert_str(test_header(&r, "Content-Type"), "application/json");
	r = ask(f, "GET", "/te/v1/entities?type=child%2Ddevice", STR(""));
	assert_string_equal(r.body.ptr,
	    "[{\"@topic-id\":\"device/c1//\",\"@parent\":\"device/main//\","
	    "\"@type\":\"child-device\"}]");
	r = ask(f, "DELETE", "/te/v1/entities/device/c1", STR(""));
	assert_int_equal(r.status, 200);
	r = ask(f, "DELETE", "/te/v1/entities/device/c1", STR(""));
	assert_int_equal(r.status, 204);
	while (big.len <= ENTITY_API_BODY_MAX)
		buf_addz(&big, "0123456789");
	r = ask(f, "POST", "/te/v1/entities", buf_str(&big));
	assert_int_equal(r.status, 413);
	assert_int_equal(ask(f, "GET", "/te/v1/health", STR("")).status, 200);
	assert_int_equal(ask(f, "PUT", "/te/v1/health", STR("")).status, 405);
	assert_int_equal(ask(f, "GET", "/other", STR("")).status, 404);
	r = ask(f, "GET", "/te/v1/entities", STR(""));
	assert_null(test_header(&r, "Access-Control-Allow-Origin").ptr);
	buf_free(&big);
}

#define STORY(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		STORY(a_file_is_put_got_and_deleted),
		STORY(
		    a_large_file_comes_in_parts_and_one_over_the_limit_does_not),
		STORY(chunks_of_any_size_make_one_file),
		STORY(an_upload_that_breaks_off_leaves_nothing),
		STORY(nobody_gets_out_of_the_folder),
		STORY(a_folder_is_no_file),
		STORY(the_old_path_works_and_says_that_it_is_old),
		STORY(entities_are_asked_on_the_same_port),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
