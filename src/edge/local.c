/*
 * edge/local.c - see local.h.
 */
#include "edge/local.h"

#include "base/file.h"
#include "net/tls.h"

#include <string.h>

static struct stream *
wrap(void *ctx, struct stream *below, const char *host, struct err *err)
{
	const struct local *l = ctx;

	return tls_client_stream(l->tls, below, host, err);
}

static const char *
text_z(struct arena *a, const struct config *c, const char *key)
{
	struct str s = config_text(c, key);

	return s.len > 0 ? arena_z(a, s) : NULL;
}

static int
read_password(struct local *l, const char *file, struct err *err)
{
	struct buf text = { 0 };
	int rc = file_read(file, &text, err);

	if (rc == 0)
		l->conf.password = arena_z(&l->arena, str_trim(buf_str(&text)));
	buf_free(&text);
	return rc;
}

static int
read_account(struct local *l, const struct config *c, struct err *err)
{
	const char *file =
	    text_z(&l->arena, c, "mqtt.client.auth.password_file");

	l->conf.user = text_z(&l->arena, c, "mqtt.client.auth.username");
	if ((l->conf.user == NULL) != (file == NULL))
		return err_set(err, ERR_PARAM,
		    "mqtt.client.auth.username and password_file go together");
	return file != NULL ? read_password(l, file, err) : 0;
}

static int
read_tls(struct local *l, const struct config *c, struct err *err)
{
	struct tls_client_conf tls = {
		.ca_path = text_z(&l->arena, c, "mqtt.client.auth.ca_file"),
		.cert_file = text_z(&l->arena, c, "mqtt.client.auth.cert_file"),
		.key_file = text_z(&l->arena, c, "mqtt.client.auth.key_file"),
		.verify = true,
	};

	if ((tls.cert_file == NULL) != (tls.key_file == NULL))
		return err_set(err, ERR_PARAM,
		    "mqtt.client.auth.cert_file and key_file go together");
	if (tls.ca_path == NULL)
		tls.ca_path = text_z(&l->arena, c, "mqtt.client.auth.ca_dir");
	if (tls.ca_path == NULL)
		return 0;
	l->conf.wrap = wrap;
	l->conf.wrap_why = tls_stream_why;
	l->conf.wrap_ctx = l;
	return tls_client_new(&tls, &l->tls, err);
}

int
local_open(struct local *l, const struct config *c, struct err *err)
{
	int rc;

	*l = (struct local){ 0 };
	l->conf.address = text_z(&l->arena, c, "mqtt.client.host");
	l->conf.port = (uint16_t)config_int(c, "mqtt.client.port");
	rc = read_account(l, c, err);
	if (rc == 0)
		rc = read_tls(l, c, err);
	if (rc == 0)
		return 0;
	local_close(l);
	return err_wrap(err, "mqtt.client.auth");
}

void
local_close(struct local *l)
{
	tls_client_free(l->tls);
	arena_fini(&l->arena);
	*l = (struct local){ 0 };
}
