/*
 * app/main.c - one binary, several names.
 *
 * As sylvia-iot-core it is `marram serve`, as sylvia-iot-coremgr-cli the
 * command groups; as marram, and by any other name, the first word decides.
 */
#include "app/app.h"
#include "app/cli/access.h"
#include "app/settings.h"
#include "base/base.h"
#include "net/http/openapi.h"

#include <stdio.h>
#include <string.h>

static int
sample(void)
{
	struct settings set;
	struct conf *c = settings_new(&set);
	struct buf b = { 0 };

	conf_sample(c, &b);
	fputs(buf_z(&b), stdout);
	buf_free(&b);
	conf_free(c);
	return 0;
}

static int
reference(void)
{
	struct settings set;
	struct conf *c = settings_new(&set);
	struct buf b = { 0 };

	buf_addz(&b, "# Settings\n\nMade by `marram config reference`.\n");
	conf_reference(c, &b);
	fputs(buf_z(&b), stdout);
	buf_free(&b);
	conf_free(c);
	return 0;
}

struct routes {
	const struct http_route *at[1000];
	size_t n;
};

static void
add_rows(void *ctx, const struct http_route *rows)
{
	struct routes *all = ctx;

	for (; rows->method != NULL; rows++)
		if (all->n < COUNT_OF(all->at) - 1)
			all->at[all->n++] = rows;
}

static int
document(void)
{
	struct routes all = { 0 };
	struct buf b = { 0 };

	app_each_route(add_rows, &all);
	openapi_write(&b, all.at, "Marram", MARRAM_VERSION);
	puts(buf_z(&b));
	buf_free(&b);
	return 0;
}

int
config_main(int argc, char **argv)
{
	if (argc == 3 && strcmp(argv[2], "sample") == 0)
		return sample();
	if (argc == 3 && strcmp(argv[2], "reference") == 0)
		return reference();
	if (argc == 3 && strcmp(argv[2], "openapi") == 0)
		return document();
	fprintf(stderr,
	    "Usage: %s config sample|reference|openapi\n\n"
	    "  sample      prints every setting as a JSON5 file\n"
	    "  reference   prints the settings as a page\n"
	    "  openapi     prints the description of the API\n",
	    argv[0]);
	return argc == 3 && strcmp(argv[2], "--help") == 0 ? 0 : 2;
}

static int
serve(int argc, char **argv)
{
	argv[1] = argv[0];
	return serve_main(argc - 1, argv + 1);
}

static const struct {
	const char *word;
	int (*run)(int argc, char **argv);
	const char *help;
} commands[] = {
	{ "serve", serve, "start the platform" },
	{ "demo", demo_main, "make a unit with simulated devices" },
	{ "mqtt", mqtt_main, "users of an MQTT server without platform" },
	{ "config", config_main,
	    "print settings and API: sample, reference, openapi" },
};

int
main(int argc, char **argv)
{
	const char *slash = strrchr(argv[0], '/');
	const char *name = slash != NULL ? slash + 1 : argv[0];

	int status;

	if (access_by_socket(argc, argv, &status))
		return status;
	if (strcmp(name, "sylvia-iot-core") == 0)
		return serve_main(argc, argv);
	if (strcmp(name, "sylvia-iot-coremgr-cli") != 0 && argc > 1)
		for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]);
		     i++)
			if (strcmp(argv[1], commands[i].word) == 0)
				return commands[i].run(argc, argv);
	return cli_main(argc, argv);
}
