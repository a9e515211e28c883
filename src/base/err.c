/*
 * base/err.c - see err.h.
 */
#include "base/err.h"

#include "base/str.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* What was cut at the limit ends with a whole character: people read it. */
static void
end_whole(struct err *err)
{
	size_t len = strlen(err->text), start = len;

	if (len + 1 < sizeof(err->text) || len == 0)
		return;
	do
		start--;
	while (start > 0 && ((unsigned char)err->text[start] & 0xC0) == 0x80);
	if (!str_is_utf8((struct str){ err->text + start, len - start }))
		err->text[start] = '\0';
}

static void
set(struct err *err, int code, const char *fmt, va_list ap)
{
	if (err == NULL)
		return;
	err->code = code;
	vsnprintf(err->text, sizeof(err->text), fmt, ap);
	end_whole(err);
}

int
err_set(struct err *err, int code, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	set(err, code, fmt, ap);
	va_end(ap);
	return code;
}

int
err_errno(struct err *err, const char *fmt, ...)
{
	int saved = errno;
	va_list ap;
	size_t len;

	if (err == NULL)
		return ERR_IO;
	va_start(ap, fmt);
	set(err, ERR_IO, fmt, ap);
	va_end(ap);
	len = strlen(err->text);
	snprintf(
	    err->text + len, sizeof(err->text) - len, ": %s", strerror(saved));
	end_whole(err);
	return ERR_IO;
}

int
err_wrap(struct err *err, const char *fmt, ...)
{
	char old[sizeof(err->text)];
	va_list ap;
	size_t len;

	if (err == NULL)
		return ERR_INTERNAL;
	memcpy(old, err->text, sizeof(old));
	va_start(ap, fmt);
	vsnprintf(err->text, sizeof(err->text), fmt, ap);
	va_end(ap);
	len = strlen(err->text);
	snprintf(err->text + len, sizeof(err->text) - len, ": %s", old);
	end_whole(err);
	return err->code;
}
