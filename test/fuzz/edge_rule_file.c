/*
 * test/fuzz/edge_rule_file.c - any bytes as a rule file of a bridge, and as the
 * mapper.toml that it refers to. What is taken can be carried.
 */
#include "base/log.h"
#include "codec/mqtt.h"
#include "edge/rule_file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct config *config;
static char dir[] = "/tmp/marram-fuzz-rules-XXXXXX";

static void
begin(void)
{
	char path[80];
	struct err err;

	log_setup(LOG_OFF, LOG_JSON);
	if (mkdtemp(dir) == NULL)
		abort();
	snprintf(path, sizeof(path), "%s/mappers", dir);
	(void)mkdir(path, 0700);
	snprintf(path, sizeof(path), "%s/mappers/x", dir);
	(void)mkdir(path, 0700);
	if (config_open(dir, &config, &err) != 0)
		abort();
}

static void
check(const struct rule_set *set)
{
	for (size_t i = 0; i < set->n; i++) {
		const struct mqtt_bridge_rule *r = &set->rules[i];

		if ((r->pattern[0] != '\0' &&
			!mqtt_filter_ok(str_of(r->pattern))) ||
		    r->qos > 2 || r->local_prefix == NULL ||
		    r->remote_prefix == NULL)
			abort();
	}
}

/* Nobody minds if it is not on the disk. */
static void
put(const char *path, struct str text)
{
	FILE *f = fopen(path, "w");

	if (f == NULL || fwrite(text.ptr, 1, text.len, f) != text.len ||
	    fclose(f) != 0)
		abort();
}

/* Before a NUL mapper.toml, behind it the rules. */
int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str rules = { (const char *)data, size };
	struct str own = str_cut(&rules, '\0');
	struct arena a = { 0 };
	struct rule_set set = { .arena = &a };
	struct mapper_settings m;
	char path[80];

	if (config == NULL)
		begin();
	snprintf(path, sizeof(path), "%s/mappers/x/mapper.toml", dir);
	if (rules.ptr == NULL)
		rules = own;
	else
		put(path, own);
	if (mapper_settings_read(config, "x", &a, &m, NULL) == 0 &&
	    rule_file_read(&set, &m, "f", rules, NULL) == 0)
		check(&set);
	arena_fini(&a);
	return 0;
}
