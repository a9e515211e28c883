/*
 * test/fuzz/edge_agent.c - any bytes as what the agent reads: the list of an
 * update, and what a plugin lists (libFuzzer). What is told of it is JSON.
 */
#include "edge/agent/software.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str text = { (const char *)data, size };
	struct agent_conf conf = { .software_max = 5 };
	struct agent agent = { .conf = &conf };
	struct software software = { .agent = &agent };
	struct buf out = { 0 };
	struct json_out o;
	struct err err;

	(void)software_check(text, &err);
	json_out_init(&o, &out, false);
	json_out_array(&o);
	if (sm_read_list(&software, text, &o, &err) == 0) {
		json_out_end_array(&o);
		if (!json_valid(buf_str(&out), 0))
			abort();
	}
	buf_free(&out);
	return 0;
}
