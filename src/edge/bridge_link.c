/*
 * edge/bridge_link.c - see bridge_link.h.
 */
#include "edge/bridge_link.h"

#include "base/file.h"
#include "base/module.h"
#include "edge/tls_module.h"
#include "net/stream.h"
#include "net/tls.h"
#include "net/tunnel.h"

#include <errno.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* `t` is made the first time, and stays: it offers the last session. */
static struct stream *
put_tls(struct tls_client **t, const struct tls_client_conf *conf,
    struct stream *below, const char *host, struct err *err)
{
	if (*t == NULL && tls_client_new(conf, t, err) != 0) {
		stream_free(below);
		return NULL;
	}
	return tls_client_stream(*t, below, host, err);
}

/* Through the proxy, if there is one, and TLS with the cloud over it. */
static struct stream *
put_on(void *ctx, struct stream *below, const char *host, struct err *err)
{
	struct bridge_link *l = ctx;
	const struct bridge_plan *p = l->plan;
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

	if (p->proxy_tls) {
		below = put_tls(&l->proxy_tls, &proxy_tls, below, host, err);
		if (below == NULL)
			return NULL;
	}
	if (p->proxy != NULL)
		below = tunnel_stream(
		    below, p->host, p->port, p->proxy_user, p->proxy_password);
	return p->tls ? put_tls(&l->tls, &tls, below, p->host, err) : below;
}

/* "marram.root_cert_path", or that of its profile. */
static void
add_key(struct buf *ret, const struct bridge_plan *p, const char *key)
{
	buf_addf(ret, "%s.", p->cloud.name);
	if (p->cloud.profile.len > 0)
		buf_addf(
		    ret, "profiles." STR_FMT ".", STR_ARG(p->cloud.profile));
	buf_addz(ret, key);
}

/* What to do about a certificate, by its setting. */
static void
advise(void *ctx, const struct stream *top, struct buf *ret)
{
	const struct bridge_link *l = ctx;
	const struct bridge_plan *p = l->plan;
	char today[16];
	time_t now = time(NULL);
	struct tm tm;

	if (!p->tls)
		return;
	switch (tls_stream_fault(top)) {
	case TLS_FAULT_ISSUER:
		buf_addz(ret, "; who has signed it must be in ");
		add_key(ret, p, "root_cert_path");
		if (p->ca_path != NULL)
			buf_addf(ret, ", now %s", p->ca_path);
		break;
	case TLS_FAULT_NAME:
		buf_addz(ret, "; set a name that is in it as ");
		add_key(ret, p, "url");
		break;
	case TLS_FAULT_TIME:
		if (gmtime_r(&now, &tm) == NULL ||
		    strftime(today, sizeof(today), "%Y-%m-%d", &tm) == 0)
			today[0] = '\0';
		buf_addf(ret,
		    "; renew it at the server, or set this device's clock, "
		    "which says %s",
		    today);
		break;
	case TLS_FAULT_OWN:
		buf_addz(
		    ret, ": the device's certificate must be made known there");
		break;
	case TLS_FAULT_OWN_TIME:
		buf_addf(ret,
		    ": it is that of the device, %s; renew it by: tedge cert "
		    "renew",
		    p->cert_file != NULL ? p->cert_file : "");
		break;
	case TLS_FAULT_NONE:
		break;
	}
}

/* The library's own words for these are hard to read. */
static int
check_own(const struct bridge_plan *p, struct err *err)
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

/* What can be seen before TLS is there. */
static int
check_files(const struct bridge_plan *p, struct err *err)
{
	int rc = p->tls ? check_own(p, err) : 0;

	if (rc != 0 || (!p->tls && !p->proxy_tls))
		return rc;
	if (p->ca_path != NULL)
		rc = file_check(p->ca_path, err);
	return rc == 0 ? module_find(TLS_MODULE_NAME, err) : rc;
}

int
bridge_link_open(struct bridge_link *l, const struct bridge_plan *p,
    struct mqtt_client_conf *conf, struct err *err)
{
	int rc = check_files(p, err);

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
	if (p->tls)
		conf->wrap_is_up = tls_stream_is_up;
	if (p->tls || p->proxy != NULL) {
		conf->wrap = put_on;
		conf->wrap_why = stream_why;
		conf->wrap_advice = advise;
		conf->wrap_ctx = l;
	}
	return rc;
}

void
bridge_link_close(struct bridge_link *l)
{
	tls_client_free(l->tls);
	tls_client_free(l->proxy_tls);
	l->tls = l->proxy_tls = NULL;
}
