/*
 * codec/shell.c - see shell.h.
 */
#include "codec/shell.h"

#include <string.h>

static bool
is_plain(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	    (c >= '0' && c <= '9') || (c != '\0' && strchr("/_.,:@+-", c));
}

bool
shell_quote(struct buf *out, struct str word)
{
	size_t i = 0;

	if (word.len > 0 && memchr(word.ptr, '\0', word.len) != NULL)
		return false;
	while (i < word.len && is_plain(word.ptr[i]))
		i++;
	if (word.len > 0 && i == word.len) {
		buf_add_str(out, word);
		return true;
	}
	buf_addc(out, '\'');
	for (i = 0; i < word.len; i++)
		if (word.ptr[i] == '\'')
			buf_addz(out, "'\\''");
		else
			buf_addc(out, word.ptr[i]);
	buf_addc(out, '\'');
	return true;
}

void
shell_command(struct buf *out, const char *const *argv)
{
	for (size_t i = 0; argv[i] != NULL; i++) {
		if (i > 0)
			buf_addc(out, ' ');
		(void)shell_quote(out, str_of(argv[i])); /* has no NUL */
	}
}

void
shell_escape(struct buf *out, struct str text)
{
	for (size_t i = 0; i < text.len; i++)
		if (is_plain(text.ptr[i]))
			buf_addc(out, text.ptr[i]);
		else
			buf_addf(out, "\\0%03o", (unsigned char)text.ptr[i]);
}
