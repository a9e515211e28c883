/*
 * test/fuzz/shell.c - any bytes as a word: a shell would take the quoted one as
 * that word and nothing else, and printf would make it of the escaped one.
 */
#include "codec/shell.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
must(bool holds)
{
	if (!holds)
		abort();
}

/* As a shell reads a line of words; what it would look at is not there. */
static void
unquote(struct str in, struct buf *word)
{
	size_t i = 0;

	must(in.len > 0);
	while (i < in.len) {
		if (in.ptr[i] == '\'') {
			for (i++; i < in.len && in.ptr[i] != '\''; i++)
				buf_addc(word, in.ptr[i]);
			must(i < in.len);
			i++;
		} else if (in.ptr[i] == '\\') {
			must(i + 1 < in.len);
			buf_addc(word, in.ptr[i + 1]);
			i += 2;
		} else {
			must(memchr(" \t\n|&;<>()$`\"*?[#~=%!{}", in.ptr[i],
				 24) == NULL);
			buf_addc(word, in.ptr[i++]);
		}
	}
}

static void
unescape(struct str in, struct buf *text)
{
	for (size_t i = 0; i < in.len; i++) {
		const char *p = in.ptr + i;

		if (*p != '\\') {
			must((*p >= 'a' && *p <= 'z') ||
			    (*p >= 'A' && *p <= 'Z') ||
			    memchr("0123456789/_.,:@+-", *p, 18) != NULL);
			buf_addc(text, *p);
			continue;
		}
		must(i + 4 < in.len && p[1] == '0');
		buf_addc(text,
		    (char)((p[2] - '0') << 6 | (p[3] - '0') << 3 |
			(p[4] - '0')));
		i += 4;
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str in = { (const char *)data, size };
	struct buf said = { 0 }, heard = { 0 };
	bool has_nul = size > 0 && memchr(data, '\0', size) != NULL;

	must(shell_quote(&said, in) == !has_nul);
	if (!has_nul) {
		unquote(buf_str(&said), &heard);
		must(str_eq(buf_str(&heard), in));
	}
	buf_clear(&said);
	buf_clear(&heard);
	shell_escape(&said, in);
	unescape(buf_str(&said), &heard);
	must(str_eq(buf_str(&heard), in));
	buf_free(&said);
	buf_free(&heard);
	return 0;
}
