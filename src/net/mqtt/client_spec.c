/*
 * net/mqtt/client_spec.c - see client_spec.h.
 */
#include "net/mqtt/client_spec.h"

#include "net/tls.h"

static struct stream *
wrap(void *ctx, struct stream *below, const char *host, struct err *err)
{
	return tls_client_stream(ctx, below, host, err);
}

int
mqtt_client_spec_conf(const struct mqtt_client_spec *s, struct str ca_file,
    struct arena *a, struct mqtt_client_conf *conf, struct tls_client **tls,
    struct err *err)
{
	struct tls_client_conf tls_conf = { .verify = !s->insecure };
	bool has_tls;
	int rc;

	if (mqtt_client_url(a, s->broker, conf, &has_tls, err) != 0)
		return err_wrap(err, "broker");
	conf->client_id = arena_z(a, s->client_id);
	if (s->username.len > 0) {
		conf->user = arena_z(a, s->username);
		conf->password = arena_z(a, s->password);
	}
	if (!has_tls)
		return 0;
	if (ca_file.len > 0)
		tls_conf.ca_file = arena_z(a, ca_file);
	rc = tls_client_new(&tls_conf, tls, err);
	conf->wrap = wrap;
	conf->wrap_why = tls_stream_why;
	conf->wrap_is_up = tls_stream_is_up;
	conf->wrap_ctx = *tls;
	return rc;
}
