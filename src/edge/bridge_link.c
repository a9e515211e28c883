/*
 * edge/bridge_link.c - see bridge_link.h.
 */
#include "edge/bridge_link.h"

#include "net/tls.h"
#include "net/tunnel.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

/* Through the proxy, if there is one, and TLS with the cloud over it. */
static struct stream *
put_on(void *ctx, struct stream *below, const char *host, struct err *err)
{
	const struct bridge_link *l = ctx;
	const struct bridge_plan *p = l->plan;

	if (l->proxy_tls != NULL) {
		below = tls_client_stream(l->proxy_tls, below, host, err);
		if (below == NULL)
			return NULL;
	}
	if (p->proxy != NULL)
		below = tunnel_stream(
		    below, p->host, p->port, p->proxy_user, p->proxy_password);
	return l->tls == NULL ? below
			      : tls_client_stream(l->tls, below, p->host, err);
}

/* The library's own words for these are hard to read. */
static int
check_files(const struct bridge_plan *p, struct err *err)
{
	if (p->cert_file != NULL && access(p->cert_file, R_OK) < 0) {
		if (errno == ENOENT)
			return err_set(err, ERR_PARAM,
			    "there is no certificate at %s; make one by: tedge "
			    "cert create --device-id NAME",
			    p->cert_file);
		return err_errno(err, "read the certificate %s", p->cert_file);
	}
	if (p->key_file != NULL && strncmp(p->key_file, "pkcs11:", 7) != 0 &&
	    access(p->key_file, R_OK) < 0)
		return err_errno(err, "read the private key %s", p->key_file);
	return 0;
}

int
bridge_link_open(struct bridge_link *l, const struct bridge_plan *p,
    struct mqtt_client_conf *conf, struct err *err)
{
	const struct tls_client_conf tls = {
		.ca_path = p->ca_path,
		.cert_file = p->cert_file,
		.key_file = p->key_file,
		.key_module = p->key_module,
		.key_pin = p->key_pin,
		.verify = true,
	};
	const struct tls_client_conf proxy_tls = { .ca_path = p->ca_path,
		.verify = true };
	int rc = 0;

	*l = (struct bridge_link){ .plan = p };
	*conf = (struct mqtt_client_conf){
		.address = p->host,
		.port = p->port,
		.level = p->level,
		.client_id = p->device_id,
		.user = p->user,
		.password = p->password,
		.subscribe_first = true,
		.keepalive_s = p->keepalive_s,
		.retry_min_ms = p->retry_min_ms,
		.retry_max_ms = p->retry_max_ms,
		.retry_reset_ms = p->retry_reset_ms,
	};
	if (p->proxy != NULL) {
		conf->address = p->proxy;
		conf->port = p->proxy_port;
	}
	if (p->tls) {
		rc = check_files(p, err);
		if (rc == 0)
			rc = tls_client_new(&tls, &l->tls, err);
		conf->wrap_is_up = tls_stream_is_up;
	}
	if (rc == 0 && p->proxy_tls)
		rc = tls_client_new(&proxy_tls, &l->proxy_tls, err);
	if (rc != 0) {
		bridge_link_close(l);
		return rc;
	}
	if (p->tls || p->proxy != NULL) {
		conf->wrap = put_on;
		conf->wrap_why = stream_why;
		conf->wrap_ctx = l;
	}
	return 0;
}

void
bridge_link_close(struct bridge_link *l)
{
	tls_client_free(l->tls);
	tls_client_free(l->proxy_tls);
	l->tls = l->proxy_tls = NULL;
}
