/*
 * test/fuzz/nix_log.c - any bytes as the log of Nix (libFuzzer).
 *
 * What is for people has no orders to a terminal, and neither it nor the count
 * of what is under way grows beyond what came.
 */
#include "codec/nix_log.h"
#include "codec/redact.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check(bool promise)
{
	if (!promise)
		abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str rest = { (const char *)data, size }, line;
	struct buf out = { 0 }, clean = { 0 };
	struct nix_log l = { 0 };
	struct redact r = { 0 };
	struct nix_progress p;

	if (size == 0)
		return 0;
	while (rest.ptr != NULL && rest.len > 0) {
		line = str_cut(&rest, '\n');
		(void)nix_log_line(&l, line, &out);
		redact_line(&r, line, (struct strs){ 0 }, &clean);
	}
	check(out.len == 0 || memchr(out.ptr, 0x1b, out.len) == NULL);
	check(l.n <= NIX_LOG_ACTIVITIES && l.error.len <= NIX_LOG_ERROR_MAX);
	p = nix_log_progress(&l);
	check(p.done >= 0 && p.expected >= 0 && p.failed >= 0);
	nix_log_fini(&l);
	buf_free(&out);
	buf_free(&clean);
	return 0;
}
