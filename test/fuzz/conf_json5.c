/*
 * test/fuzz/conf_json5.c - any bytes as a settings file.
 */
#include "codec/conf_json5.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct values {
	int64_t n;
	struct str text, json;
	bool flag;
};

static struct values values;
static const struct conf_field fields[] = {
	CONF_INT(struct values, n, "a.n", .def = "1", .help = "N."),
	CONF_TEXT(struct values, text, "a.b.text", .help = "T."),
	CONF_JSON(struct values, json, "json", .help = "J."),
	CONF_BOOL(struct values, flag, "flag", .help = "F."),
	{ 0 },
};
static const struct conf_section sections[] = {
	{ "s", "A section.", fields, &values },
	{ 0 },
};

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str text = { (const char *)data, size };
	struct conf *c = conf_new(sections);
	struct err err;

	if (conf_read_json5(c, text, &err) == 0)
		(void)conf_apply(c, &err);
	conf_free(c);
	return 0;
}
