/*
 * net/tls.c - see tls.h; GnuTLS does the work.
 *
 *                 done                    broken, by the peer or below
 *    HANDSHAKE ────────► UP ──────────────────────────────► FAILED
 *        └──────────────────────────────────────────────────►
 *
 * Credentials are counted: a server holds the newest, each stream those it
 * began with. GnuTLS only reads them once they are made, so streams of all
 * threads share them.
 *
 * GnuTLS reads one record from below and not more, so nothing hides there but
 * what gnutls_record_check_pending() counts. It is never told that the layer
 * below is full: what that does not take waits in `out`, a record or a flight
 * of the handshake at most, because nothing new is begun while it waits.
 * (GnuTLS can repeat a write that was cut short, but only if nothing of its own
 * comes between: with session tickets or new keys on the way it loses bytes.)
 */
#include "net/tls.h"

#include "base/base.h"
#include "base/file.h"
#include "base/mem.h"
#include "net/tls_token.h"
#include "net/tls_trust.h"

#include <arpa/inet.h>
#include <errno.h>
#include <gnutls/gnutls.h>
#include <gnutls/x509.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#define RECORD_MAX 16384u    /* bytes of payload in one record */
#define HANDSHAKE_MAX 65536u /* bytes of one handshake message */
#define WARNINGS_MAX 8       /* alerts that end nothing, per connection */
#define OLD_VERSIONS ":-VERS-SSL3.0:-VERS-TLS1.0:-VERS-TLS1.1"

/* The last session of a client, to go on from: once, as TLS 1.3 wants. */
struct past {
	pthread_mutex_t lock;
	gnutls_datum_t session; /* empty: none */
	char *host;             /* owned; whose it is */
};

struct creds {
	_Atomic unsigned refs;
	gnutls_certificate_credentials_t cert;
	gnutls_priority_t priority;
	enum tls_client_certs client_certs; /* of a server */
	bool verify;                        /* of a client */
	char *ca_path;                      /* of a client; NULL: none */
	char *key_pin;                      /* of a client; NULL: none */
	gnutls_datum_t *alpn;
	unsigned n_alpn;
	struct past past; /* of a client */
};

struct tls_server {
	gnutls_datum_t ticket_key;
	pthread_mutex_t lock;
	struct creds *creds; /* guarded by `lock` */
};

struct tls_client {
	struct creds *creds;
};

enum state { HANDSHAKE, UP, FAILED };

struct tls {
	struct stream base;
	struct stream *below; /* ours */
	struct creds *creds;  /* counted */
	gnutls_session_t session;

	uint8_t state;
	uint8_t warnings;
	bool server;
	bool verified;    /* the peer has shown a certificate, and it is good */
	bool eager;       /* a client that has not begun */
	bool noted;       /* its session can be gone on from */
	bool ended;       /* the peer's side */
	int error;        /* of GnuTLS: what FAILED means */
	int below_errno;  /* the last one that was not "not now" */
	unsigned invalid; /* gnutls_certificate_status_t of the peer's */
	size_t out_at;    /* what of `out` is away */
	struct buf out;
	char host[]; /* of a client */
};

/* Sessions to go on from */

/* Takes `session`. NULL and an empty one: there is none. */
static void
past_set(struct past *p, const char *host, gnutls_datum_t session)
{
	pthread_mutex_lock(&p->lock);
	if (p->session.data != NULL)
		gnutls_memset(p->session.data, 0, p->session.size);
	gnutls_free(p->session.data);
	free(p->host);
	p->session = session;
	p->host = str_dupz(str_of(host));
	pthread_mutex_unlock(&p->lock);
}

/* The caller frees it; it is empty if there is none of `host`. */
static gnutls_datum_t
past_take(struct past *p, const char *host)
{
	gnutls_datum_t ret = { 0 };

	pthread_mutex_lock(&p->lock);
	if (p->host != NULL && strcmp(p->host, host) == 0) {
		ret = p->session;
		p->session = (gnutls_datum_t){ 0 };
	}
	pthread_mutex_unlock(&p->lock);
	return ret;
}

/* Credentials */

static void
creds_unref(struct creds *c)
{
	if (c == NULL || atomic_fetch_sub(&c->refs, 1) > 1)
		return;
	if (c->cert != NULL)
		gnutls_certificate_free_credentials(c->cert);
	if (c->priority != NULL)
		gnutls_priority_deinit(c->priority);
	for (unsigned i = 0; i < c->n_alpn; i++)
		free(c->alpn[i].data);
	free(c->alpn);
	free(c->ca_path);
	if (c->key_pin != NULL)
		gnutls_memset(c->key_pin, 0, strlen(c->key_pin));
	free(c->key_pin);
	past_set(&c->past, NULL, (gnutls_datum_t){ 0 });
	pthread_mutex_destroy(&c->past.lock);
	free(c);
}

static struct creds *
creds_ref(struct creds *c)
{
	atomic_fetch_add(&c->refs, 1);
	return c;
}

static struct creds *
creds_new(void)
{
	struct creds *c = mem_new(struct creds);

	atomic_init(&c->refs, 1);
	pthread_mutex_init(&c->past.lock, NULL);
	if (gnutls_certificate_allocate_credentials(&c->cert) < 0)
		abort(); /* out of memory */
	return c;
}

static int
refuse_file(struct err *err, const char *file, int rc)
{
	return err_set(err, ERR_PARAM, "load %s: %s", file,
	    rc == 0 ? "there is no certificate in it" : gnutls_strerror(rc));
}

static int
load_own(struct creds *c, const char *cert, const char *key, struct err *err)
{
	int rc;

	if (cert == NULL || key == NULL)
		return err_set(err, ERR_PARAM,
		    "a certificate and its key belong together");
	rc = gnutls_certificate_set_x509_key_file2(
	    c->cert, cert, key, GNUTLS_X509_FMT_PEM, NULL, 0);
	if (rc < 0)
		return err_set(err, ERR_PARAM, "load %s with %s: %s", cert, key,
		    gnutls_strerror(rc));
	return 0;
}

static int
load_ca(struct creds *c, const char *file, struct err *err)
{
	struct stat st;
	int rc = stat(file, &st) == 0 && S_ISDIR(st.st_mode)
	    ? gnutls_certificate_set_x509_trust_dir(
		  c->cert, file, GNUTLS_X509_FMT_PEM)
	    : gnutls_certificate_set_x509_trust_file(
		  c->cert, file, GNUTLS_X509_FMT_PEM);

	return rc > 0 ? 0 : refuse_file(err, file, rc);
}

static int
load_crl(struct creds *c, const char *file, struct err *err)
{
	int rc = gnutls_certificate_set_x509_crl_file(
	    c->cert, file, GNUTLS_X509_FMT_PEM);

	if (rc == 0)
		return err_set(err, ERR_PARAM,
		    "load %s: there is no revocation list in it", file);
	return rc > 0 ? 0 : refuse_file(err, file, rc);
}

static int
set_priority(
    struct creds *c, const char *base, enum tls_version min, struct err *err)
{
	char *text =
	    mem_printf("%s" OLD_VERSIONS "%s", base == NULL ? "NORMAL" : base,
		min == TLS_1_3 ? ":-VERS-TLS1.2" : "");
	const char *where;
	int rc = gnutls_priority_init(&c->priority, text, &where);

	if (rc < 0)
		err_set(err, ERR_PARAM, "priority \"%s\": %s at \"%.40s\"",
		    base == NULL ? "NORMAL" : base, gnutls_strerror(rc), where);
	free(text);
	return rc < 0 ? ERR_PARAM : 0;
}

/* The server */

static int check_peer(gnutls_session_t session);

static int
load_client_rules(
    struct creds *c, const struct tls_server_conf *conf, struct err *err)
{
	if (conf->client_certs == TLS_CERTS_NONE)
		return 0;
	if (conf->ca_file == NULL && conf->client_certs != TLS_CERTS_ANY)
		return err_set(err, ERR_PARAM,
		    "client certificates can not be checked without the "
		    "certificate of who signs them");
	if ((conf->ca_file != NULL && load_ca(c, conf->ca_file, err) != 0) ||
	    (conf->crl_file != NULL && load_crl(c, conf->crl_file, err) != 0))
		return ERR_PARAM;
	gnutls_certificate_set_verify_function(c->cert, check_peer);
	return 0;
}

static int
server_creds(
    const struct tls_server_conf *conf, struct creds **ret, struct err *err)
{
	struct creds *c = creds_new();
	int rc;

	c->client_certs = conf->client_certs;
	rc = load_own(c, conf->cert_file, conf->key_file, err);
	if (rc == 0)
		rc = load_client_rules(c, conf, err);
	if (rc == 0)
		rc = set_priority(c, conf->priority, conf->min_version, err);
	if (rc != 0) {
		creds_unref(c);
		return rc;
	}
	*ret = c;
	return 0;
}

int
tls_server_new(const struct tls_server_conf *conf, struct tls_server **ret,
    struct err *err)
{
	struct tls_server *t = mem_new(struct tls_server);
	int rc = server_creds(conf, &t->creds, err);

	if (rc == 0 && gnutls_session_ticket_key_generate(&t->ticket_key) < 0) {
		rc = err_set(err, ERR_INTERNAL, "can not make a ticket key");
		creds_unref(t->creds);
	}
	if (rc != 0) {
		free(t);
		return rc;
	}
	pthread_mutex_init(&t->lock, NULL);
	*ret = t;
	return 0;
}

void
tls_server_free(struct tls_server *t)
{
	if (t == NULL)
		return;
	creds_unref(t->creds);
	gnutls_memset(t->ticket_key.data, 0, t->ticket_key.size);
	gnutls_free(t->ticket_key.data);
	pthread_mutex_destroy(&t->lock);
	free(t);
}

int
tls_server_reload(
    struct tls_server *t, const struct tls_server_conf *conf, struct err *err)
{
	struct creds *old, *new;
	int rc = server_creds(conf, &new, err);

	if (rc != 0)
		return rc;
	pthread_mutex_lock(&t->lock);
	old = t->creds;
	t->creds = new;
	pthread_mutex_unlock(&t->lock);
	creds_unref(old);
	return 0;
}

/* The client */

static void
copy_alpn(struct creds *c, struct strs list)
{
	c->alpn = mem_array(MAX_OF(list.n, 1), sizeof(*c->alpn));
	for (size_t i = 0; i < list.n; i++) {
		c->alpn[i].data = (unsigned char *)str_dupz(list.at[i]);
		c->alpn[i].size = (unsigned)list.at[i].len;
	}
	c->n_alpn = (unsigned)list.n;
}

/* The key may be in a token. */
static int
load_own_or_token(
    struct creds *c, const struct tls_client_conf *conf, struct err *err)
{
	char *url;
	int rc;

	if (conf->key_file == NULL ||
	    !str_starts(str_of(conf->key_file), STR("pkcs11:")))
		return load_own(c, conf->cert_file, conf->key_file, err);
	c->key_pin = str_dupz(str_of(conf->key_pin));
	gnutls_certificate_set_pin_function(c->cert, tls_token_pin, c->key_pin);
	url = tls_token_url(conf->key_module, conf->key_file, err);
	rc = url != NULL ? load_own(c, conf->cert_file, url, err) : ERR_PARAM;
	free(url);
	return rc;
}

static int
load_client(
    struct creds *c, const struct tls_client_conf *conf, struct err *err)
{
	int rc;

	if (conf->ca_path != NULL) {
		rc = file_check(conf->ca_path, err);
		if (rc != 0)
			return rc;
		c->ca_path = str_dupz(str_of(conf->ca_path));
	} else if (conf->ca_file != NULL) {
		rc = load_ca(c, conf->ca_file, err);
		if (rc != 0)
			return rc;
	} else if (conf->verify) {
		rc = gnutls_certificate_set_x509_system_trust(c->cert);
		if (rc <= 0)
			return err_set(err, ERR_PARAM,
			    "load the system's certificates: %s",
			    rc == 0 ? "there are none" : gnutls_strerror(rc));
	}
	if (conf->cert_file != NULL || conf->key_file != NULL) {
		rc = load_own_or_token(c, conf, err);
		if (rc != 0)
			return rc;
	}
	return set_priority(c, NULL, TLS_1_2, err);
}

int
tls_client_new(const struct tls_client_conf *conf, struct tls_client **ret,
    struct err *err)
{
	struct creds *c = creds_new();
	int rc;

	c->verify = conf->verify;
	copy_alpn(c, conf->alpn);
	if (c->verify)
		gnutls_certificate_set_verify_function(c->cert, check_peer);
	rc = load_client(c, conf, err);
	if (rc != 0) {
		creds_unref(c);
		return rc;
	}
	*ret = mem_new(struct tls_client);
	(*ret)->creds = c;
	return 0;
}

void
tls_client_free(struct tls_client *t)
{
	if (t == NULL)
		return;
	creds_unref(t->creds);
	free(t);
}

/* To and from the layer below */

static struct tls *
tls_of(const struct stream *s)
{
	return container_of((struct stream *)s, struct tls, base);
}

static ssize_t
failed_below(struct tls *t)
{
	if (errno != EAGAIN)
		t->below_errno = errno;
	gnutls_transport_set_errno(t->session, errno);
	return -1;
}

static ssize_t
pull(gnutls_transport_ptr_t p, void *bytes, size_t len)
{
	struct tls *t = p;
	ssize_t n = stream_read(t->below, bytes, len);

	return n < 0 ? failed_below(t) : n;
}

static int
pull_timeout(gnutls_transport_ptr_t p, unsigned ms)
{
	(void)p;
	(void)ms;
	return 1; /* pull() says at once whether something is there */
}

static bool
is_waiting(const struct tls *t)
{
	return t->out_at < t->out.len;
}

/* Brings away what waits. 0, or -1 with errno. */
static int
send_out(struct tls *t)
{
	while (is_waiting(t)) {
		struct iovec iov = { t->out.ptr + t->out_at,
			t->out.len - t->out_at };
		ssize_t n = stream_writev(t->below, &iov, 1);

		if (n < 0)
			return -1;
		t->out_at += (size_t)n;
	}
	buf_free(&t->out);
	t->out = (struct buf){ 0 };
	t->out_at = 0;
	return 0;
}

static ssize_t
push(gnutls_transport_ptr_t p, const giovec_t *iov, int n)
{
	struct tls *t = p;
	ssize_t sent = 0;
	size_t skip, len = 0;

	if (!is_waiting(t)) {
		sent = stream_writev(t->below, iov, n);
		if (sent < 0 && errno != EAGAIN)
			return failed_below(t);
	}
	skip = sent < 0 ? 0 : (size_t)sent;
	for (int i = 0; i < n; i++) {
		size_t pass = MIN_OF(skip, iov[i].iov_len);

		if (pass < iov[i].iov_len)
			buf_add(&t->out, (char *)iov[i].iov_base + pass,
			    iov[i].iov_len - pass);
		skip -= pass;
		len += iov[i].iov_len;
	}
	return (ssize_t)len;
}

/* Certificates of the peer */

/* The peer's own; NULL: it has shown none. The caller frees it. */
static gnutls_x509_crt_t
peer_crt(const struct tls *t)
{
	const gnutls_datum_t *certs;
	gnutls_x509_crt_t crt;
	unsigned n = 0;

	certs = gnutls_certificate_get_peers(t->session, &n);
	if (certs == NULL || n == 0 || gnutls_x509_crt_init(&crt) < 0)
		return NULL;
	if (gnutls_x509_crt_import(crt, &certs[0], GNUTLS_X509_FMT_DER) == 0)
		return crt;
	gnutls_x509_crt_deinit(crt);
	return NULL;
}

/* What is wrong about the time it is good for, whoever has signed it. */
static unsigned
bad_time(const struct tls *t)
{
	gnutls_x509_crt_t crt = peer_crt(t);
	time_t now = time(NULL);
	unsigned bad = 0;

	if (crt == NULL)
		return GNUTLS_CERT_INVALID;
	if (now < gnutls_x509_crt_get_activation_time(crt))
		bad = GNUTLS_CERT_INVALID | GNUTLS_CERT_NOT_ACTIVATED;
	if (now > gnutls_x509_crt_get_expiration_time(crt))
		bad = GNUTLS_CERT_INVALID | GNUTLS_CERT_EXPIRED;
	gnutls_x509_crt_deinit(crt);
	return bad;
}

/* Where anybody may have signed it, only what else is wrong counts. */
static bool
is_taken_unsigned(const struct tls *t)
{
	return t->server && t->creds->client_certs == TLS_CERTS_ANY &&
	    (t->invalid & GNUTLS_CERT_REVOKED) == 0;
}

/* 0, or an error of GnuTLS. A resumed session is asked, too: what was good when
 * its ticket was given may not be any more. */
static int
check_peer(gnutls_session_t session)
{
	struct tls *t = gnutls_session_get_ptr(session);
	const gnutls_datum_t *chain;
	unsigned n = 0;
	int rc;

	chain = gnutls_certificate_get_peers(session, &n);
	if (chain == NULL || n == 0) {
		if (t->server && t->creds->client_certs != TLS_CERTS_REQUIRED)
			return 0;
		return GNUTLS_E_NO_CERTIFICATE_FOUND;
	}
	if (t->creds->ca_path != NULL)
		rc = tls_trust_verify(
		    t->creds->ca_path, chain, n, t->host, &t->invalid);
	else if (t->server)
		rc = gnutls_certificate_verify_peers2(session, &t->invalid);
	else
		rc = gnutls_certificate_verify_peers3(
		    session, t->host, &t->invalid);
	if (rc < 0)
		return rc;
	if (t->invalid != 0 && is_taken_unsigned(t)) {
		t->invalid = bad_time(t);
		if (t->invalid == 0)
			return 0; /* not verified */
	}
	if (t->invalid != 0)
		return GNUTLS_E_CERTIFICATE_VERIFICATION_ERROR;
	t->verified = true;
	return 0;
}

static gnutls_alert_description_t
alert_of(const struct tls *t)
{
	int level, alert;

	if (t->invalid & GNUTLS_CERT_REVOKED)
		return GNUTLS_A_CERTIFICATE_REVOKED;
	if (t->invalid & GNUTLS_CERT_SIGNER_NOT_FOUND)
		return GNUTLS_A_UNKNOWN_CA;
	if (t->invalid & (GNUTLS_CERT_EXPIRED | GNUTLS_CERT_NOT_ACTIVATED))
		return GNUTLS_A_CERTIFICATE_EXPIRED;
	if (t->invalid != 0)
		return GNUTLS_A_BAD_CERTIFICATE;
	if (t->error == GNUTLS_E_NO_CERTIFICATE_FOUND ||
	    t->error == GNUTLS_E_CERTIFICATE_REQUIRED)
		return gnutls_protocol_get_version(t->session) == GNUTLS_TLS1_3
		    ? GNUTLS_A_CERTIFICATE_REQUIRED
		    : GNUTLS_A_HANDSHAKE_FAILURE;
	if (t->error == GNUTLS_E_REHANDSHAKE)
		return GNUTLS_A_NO_RENEGOTIATION;
	alert = gnutls_error_to_alert(t->error, &level);
	return alert < 0 ? GNUTLS_A_INTERNAL_ERROR
			 : (gnutls_alert_description_t)alert;
}

/* States */

static bool
is_below(int error)
{
	return error == GNUTLS_E_PULL_ERROR || error == GNUTLS_E_PUSH_ERROR;
}

/* Sets errno and returns -1. */
static int
fail(struct tls *t, int error)
{
	bool below = is_below(error);

	if (t->state != FAILED) {
		t->state = FAILED;
		t->error = error;
		if (!below && error != GNUTLS_E_FATAL_ALERT_RECEIVED &&
		    error != GNUTLS_E_PREMATURE_TERMINATION)
			(void)gnutls_alert_send(
			    t->session, GNUTLS_AL_FATAL, alert_of(t));
	}
	errno = below && t->below_errno != 0 ? t->below_errno : EPROTO;
	return -1;
}

static int
not_now(void)
{
	errno = EAGAIN;
	return -1;
}

/* Something that ends nothing: 0 if it is to be tried again, or -1. */
static int
soft_error(struct tls *t, int rc)
{
	if (rc == GNUTLS_E_INTERRUPTED)
		return 0;
	if (rc == GNUTLS_E_AGAIN)
		return not_now();
	if (rc == GNUTLS_E_WARNING_ALERT_RECEIVED &&
	    ++t->warnings <= WARNINGS_MAX)
		return 0;
	return fail(t, rc);
}

static int
be_up(struct tls *t)
{
	if (gnutls_session_is_resumed(t->session) &&
	    (t->server ? t->creds->client_certs != TLS_CERTS_NONE
		       : t->creds->verify)) {
		int rc = check_peer(t->session);

		if (rc < 0)
			return fail(t, rc);
	}
	t->state = UP;
	return 0;
}

/* Goes on with the handshake. 0: it is done. */
static int
shake(struct tls *t)
{
	int rc;

	if (t->state == UP)
		return 0;
	if (t->state == FAILED)
		return fail(t, t->error);
	t->eager = false;
	do {
		rc = gnutls_handshake(t->session);
		if (rc == 0)
			return be_up(t);
	} while (soft_error(t, rc) == 0);
	return -1;
}

/* As send_out(), but says what it means for the connection. */
static int
send_rest(struct tls *t)
{
	if (send_out(t) == 0)
		return 0;
	if (errno == EAGAIN)
		return -1;
	t->below_errno = errno;
	return fail(t, GNUTLS_E_PUSH_ERROR);
}

/* In TLS 1.3 the ticket comes some time after the handshake. */
static void
note_session(struct tls *t)
{
	gnutls_datum_t session;

	if (gnutls_protocol_get_version(t->session) == GNUTLS_TLS1_3 &&
	    !(gnutls_session_get_flags(t->session) &
		GNUTLS_SFLAGS_SESSION_TICKET))
		return;
	t->noted = true;
	if (gnutls_session_get_data2(t->session, &session) == 0)
		past_set(&t->creds->past, t->host, session);
}

static ssize_t
tls_read(struct stream *s, void *p, size_t len)
{
	struct tls *t = tls_of(s);
	ssize_t n;

	if (t->ended)
		return 0;
	if (shake(t) < 0) {
		/* it went away before we knew each other */
		t->ended = t->error == GNUTLS_E_PREMATURE_TERMINATION;
		return t->ended ? 0 : -1;
	}
	do {
		n = gnutls_record_recv(t->session, p, len);
		if (n > 0 && !t->server && !t->noted)
			note_session(t);
		if (n > 0)
			return n;
		if (n == 0 || n == GNUTLS_E_PREMATURE_TERMINATION) {
			t->ended = true;
			return 0;
		}
	} while (soft_error(t, (int)n) == 0);
	return -1;
}

/* Lends the next piece for one record: a part of iov, or pieces put together in
 * `room`. */
static struct str
next_piece(const struct iovec *iov, int n, size_t skip, char *room)
{
	size_t len = 0;

	while (n > 0 && skip >= iov->iov_len) {
		skip -= iov->iov_len;
		iov++;
		n--;
	}
	if (n == 0)
		return STR_NULL;
	if (n == 1 || iov->iov_len - skip >= RECORD_MAX / 2)
		return (struct str){ (char *)iov->iov_base + skip,
			MIN_OF(iov->iov_len - skip, RECORD_MAX) };
	for (; n > 0 && len < RECORD_MAX; n--, iov++, skip = 0) {
		size_t more = MIN_OF(iov->iov_len - skip, RECORD_MAX - len);

		memcpy(room + len, (char *)iov->iov_base + skip, more);
		len += more;
	}
	return (struct str){ room, len };
}

static ssize_t
tls_writev(struct stream *s, const struct iovec *iov, int n)
{
	struct tls *t = tls_of(s);
	char room[RECORD_MAX];
	size_t taken = 0;
	struct str piece;
	ssize_t sent;

	if (shake(t) < 0 || send_rest(t) < 0)
		return -1;
	while (!is_waiting(t) &&
	    (piece = next_piece(iov, n, taken, room)).len > 0) {
		sent = gnutls_record_send(t->session, piece.ptr, piece.len);
		if (sent < 0)
			return fail(t, (int)sent);
		taken += (size_t)sent;
	}
	return (ssize_t)taken;
}

static int
tls_flush(struct stream *s)
{
	struct tls *t = tls_of(s);
	bool up = shake(t) == 0;

	if (t->state == FAILED) {
		(void)send_out(t); /* an alert, perhaps */
		return fail(t, t->error);
	}
	if (send_rest(t) < 0)
		return -1;
	return up ? stream_flush(t->below) : not_now();
}

static unsigned
tls_wants(const struct stream *s)
{
	const struct tls *t = tls_of(s);
	unsigned wants = stream_wants(t->below);

	if (t->eager || is_waiting(t))
		wants |= LOOP_WRITE;
	if (t->state == UP && !t->ended &&
	    gnutls_record_check_pending(t->session) > 0)
		wants |= LOOP_READ;
	return wants;
}

static void
tls_bye(struct stream *s)
{
	struct tls *t = tls_of(s);

	if (t->state == UP)
		(void)gnutls_bye(t->session, GNUTLS_SHUT_WR);
	(void)send_out(t);
	stream_bye(t->below);
}

static void
tls_free(struct stream *s)
{
	struct tls *t = tls_of(s);

	if (t->session != NULL)
		gnutls_deinit(t->session);
	creds_unref(t->creds);
	stream_free(t->below);
	buf_free(&t->out);
	free(t);
}

static const struct stream_ops tls_ops = {
	.read = tls_read,
	.writev = tls_writev,
	.flush = tls_flush,
	.wants = tls_wants,
	.bye = tls_bye,
	.why = tls_stream_why,
	.free = tls_free,
};

/* Takes the reference to `creds`, too. */
static struct stream *
stream_new(struct creds *creds, struct stream *below, unsigned side,
    const char *host, struct err *err)
{
	size_t len = strlen(host) + 1;
	struct tls *t = mem_alloc(sizeof(*t) + len);
	int rc;

	t->base.ops = &tls_ops;
	t->below = below;
	t->creds = creds;
	t->server = side == GNUTLS_SERVER;
	memcpy(t->host, host, len);
	/* a client's one certificate is shown whatever the server hints at */
	rc = gnutls_init(&t->session,
	    side | GNUTLS_NONBLOCK | GNUTLS_NO_SIGNAL |
		GNUTLS_FORCE_CLIENT_CERT);
	if (rc == 0)
		rc = gnutls_priority_set(t->session, creds->priority);
	if (rc == 0)
		rc = gnutls_credentials_set(
		    t->session, GNUTLS_CRD_CERTIFICATE, creds->cert);
	if (rc < 0) {
		err_set(
		    err, ERR_INTERNAL, "begin TLS: %s", gnutls_strerror(rc));
		tls_free(&t->base);
		return NULL;
	}
	gnutls_session_set_ptr(t->session, t);
	gnutls_transport_set_ptr(t->session, t);
	gnutls_transport_set_pull_function(t->session, pull);
	gnutls_transport_set_pull_timeout_function(t->session, pull_timeout);
	gnutls_transport_set_vec_push_function(t->session, push);
	gnutls_handshake_set_max_packet_length(t->session, HANDSHAKE_MAX);
	return &t->base;
}

struct stream *
tls_server_stream(struct tls_server *t, struct stream *below, struct err *err)
{
	struct stream *s;
	struct creds *c;

	pthread_mutex_lock(&t->lock);
	c = creds_ref(t->creds);
	pthread_mutex_unlock(&t->lock);
	s = stream_new(c, below, GNUTLS_SERVER, "", err);
	if (s == NULL)
		return NULL;
	if (c->client_certs != TLS_CERTS_NONE)
		gnutls_certificate_server_set_request(tls_of(s)->session,
		    c->client_certs == TLS_CERTS_REQUIRED
			? GNUTLS_CERT_REQUIRE
			: GNUTLS_CERT_REQUEST);
	if (gnutls_session_ticket_enable_server(
		tls_of(s)->session, &t->ticket_key) < 0) {
		err_set(err, ERR_INTERNAL, "begin TLS: no tickets");
		stream_free(s);
		return NULL;
	}
	return s;
}

static bool
is_address(const char *host)
{
	char bytes[16];

	return inet_pton(AF_INET, host, bytes) == 1 ||
	    inet_pton(AF_INET6, host, bytes) == 1;
}

struct stream *
tls_client_stream(struct tls_client *t, struct stream *below, const char *host,
    struct err *err)
{
	struct creds *c = creds_ref(t->creds);
	struct stream *s = stream_new(c, below, GNUTLS_CLIENT, host, err);
	gnutls_session_t session;
	gnutls_datum_t past;
	int rc = 0;

	if (s == NULL)
		return NULL;
	session = tls_of(s)->session;
	tls_of(s)->eager = true;
	past = past_take(&c->past, host);
	if (past.data != NULL) /* if it can not, all begins anew */
		(void)gnutls_session_set_data(session, past.data, past.size);
	gnutls_free(past.data);
	if (!is_address(host))
		rc = gnutls_server_name_set(
		    session, GNUTLS_NAME_DNS, host, strlen(host));
	if (rc == 0 && c->n_alpn > 0)
		rc = gnutls_alpn_set_protocols(session, c->alpn, c->n_alpn, 0);
	if (rc < 0) {
		err_set(err, ERR_PARAM, "begin TLS with %.100s: %s", host,
		    gnutls_strerror(rc));
		stream_free(s);
		return NULL;
	}
	return s;
}

bool
tls_stream_is_up(const struct stream *s)
{
	return tls_of(s)->state == UP;
}

bool
tls_stream_is_resumed(const struct stream *s)
{
	return gnutls_session_is_resumed(tls_of(s)->session) != 0;
}

/* Adds the common name; false if there is none that is text. */
static bool
add_cn(gnutls_x509_crt_t crt, struct buf *ret)
{
	char cn[256];
	size_t len = sizeof(cn);

	if (gnutls_x509_crt_get_dn_by_oid(
		crt, GNUTLS_OID_X520_COMMON_NAME, 0, 0, cn, &len) < 0 ||
	    len == 0 || memchr(cn, '\0', len) != NULL)
		return false;
	buf_add(ret, cn, len);
	return true;
}

static bool
add_san(gnutls_x509_crt_t crt, struct buf *ret)
{
	for (unsigned i = 0;; i++) {
		char name[1024];
		size_t len = sizeof(name);
		int type = gnutls_x509_crt_get_subject_alt_name(
		    crt, i, name, &len, NULL);

		if (type == GNUTLS_E_SHORT_MEMORY_BUFFER)
			continue;
		if (type < 0)
			return false;
		if ((type == GNUTLS_SAN_DNSNAME ||
			type == GNUTLS_SAN_RFC822NAME ||
			type == GNUTLS_SAN_URI) &&
		    len > 0 && memchr(name, '\0', len) == NULL) {
			buf_add(ret, name, len);
			return true;
		}
	}
}

int
tls_stream_peer(const struct stream *s, enum tls_peer which, struct buf *ret)
{
	const struct tls *t = tls_of(s);
	gnutls_x509_crt_t crt;
	bool found;

	if (t->state != UP || !t->verified || (crt = peer_crt(t)) == NULL)
		return ERR_NOT_FOUND;
	found = which == TLS_PEER_CN ? add_cn(crt, ret) : add_san(crt, ret);
	gnutls_x509_crt_deinit(crt);
	return found ? 0 : ERR_NOT_FOUND;
}

static void
add_hex(struct buf *ret, const unsigned char *bytes, size_t n)
{
	for (size_t i = 0; i < n; i++)
		buf_addf(ret, "%02x", bytes[i]);
}

int
tls_stream_key(const struct stream *s, struct buf *ret)
{
	const struct tls *t = tls_of(s);
	unsigned char id[32];
	size_t len = sizeof(id);
	gnutls_x509_crt_t crt;
	int rc;

	if (t->state != UP || (crt = peer_crt(t)) == NULL)
		return ERR_NOT_FOUND;
	rc = gnutls_x509_crt_get_key_id(crt, GNUTLS_KEYID_USE_SHA256, id, &len);
	gnutls_x509_crt_deinit(crt);
	if (rc < 0)
		return ERR_NOT_FOUND;
	add_hex(ret, id, len);
	return 0;
}

int
tls_stream_thumbprint(const struct stream *s, struct buf *ret)
{
	const struct tls *t = tls_of(s);
	unsigned char print[20];
	size_t len = sizeof(print);
	gnutls_x509_crt_t crt;
	int rc;

	if (t->state != UP || (crt = peer_crt(t)) == NULL)
		return ERR_NOT_FOUND;
	rc = gnutls_x509_crt_get_fingerprint(crt, GNUTLS_DIG_SHA1, print, &len);
	gnutls_x509_crt_deinit(crt);
	if (rc < 0)
		return ERR_NOT_FOUND;
	add_hex(ret, print, len);
	return 0;
}

/* "2026-11-20" */
static void
add_day(struct buf *ret, time_t at)
{
	char day[32];
	struct tm tm;

	if (gmtime_r(&at, &tm) != NULL &&
	    strftime(day, sizeof(day), "%Y-%m-%d", &tm) > 0)
		buf_addz(ret, day);
}

void
tls_stream_about(const struct stream *s, struct buf *ret)
{
	const struct tls *t = tls_of(s);
	gnutls_x509_crt_t crt;
	size_t before;

	if (t->state != UP)
		return;
	buf_addz(ret,
	    gnutls_protocol_get_name(gnutls_protocol_get_version(t->session)));
	crt = peer_crt(t);
	if (crt == NULL)
		return;
	before = ret->len;
	buf_addz(ret, ", certificate of ");
	if (!add_san(crt, ret) && !add_cn(crt, ret))
		ret->len = before;
	buf_addz(ret, ", good until ");
	add_day(ret, gnutls_x509_crt_get_expiration_time(crt));
	if (!t->verified)
		buf_addz(ret, ", not checked");
	gnutls_x509_crt_deinit(crt);
}

static enum tls_fault
fault_of_alert(gnutls_alert_description_t alert)
{
	switch (alert) {
	case GNUTLS_A_CERTIFICATE_EXPIRED:
		return TLS_FAULT_OWN_TIME;
	case GNUTLS_A_BAD_CERTIFICATE:
	case GNUTLS_A_UNSUPPORTED_CERTIFICATE:
	case GNUTLS_A_CERTIFICATE_REVOKED:
	case GNUTLS_A_CERTIFICATE_UNKNOWN:
	case GNUTLS_A_CERTIFICATE_REQUIRED:
	case GNUTLS_A_UNKNOWN_CA:
	case GNUTLS_A_ACCESS_DENIED:
		return TLS_FAULT_OWN;
	default:
		return TLS_FAULT_NONE;
	}
}

enum tls_fault
tls_stream_fault(const struct stream *s)
{
	const struct tls *t = tls_of(s);

	if (t->state != FAILED)
		return TLS_FAULT_NONE;
	if (t->error == GNUTLS_E_FATAL_ALERT_RECEIVED)
		return fault_of_alert(gnutls_alert_get(t->session));
	if (t->invalid & GNUTLS_CERT_SIGNER_NOT_FOUND)
		return TLS_FAULT_ISSUER;
	if (t->invalid & (GNUTLS_CERT_EXPIRED | GNUTLS_CERT_NOT_ACTIVATED))
		return TLS_FAULT_TIME;
	if (t->invalid & GNUTLS_CERT_UNEXPECTED_OWNER)
		return TLS_FAULT_NAME;
	return TLS_FAULT_NONE;
}

/* Behind what the library says of it: whose it is, who has signed it, or until
 * when it was good. */
static void
add_particulars(const struct tls *t, struct buf *ret)
{
	gnutls_x509_crt_t crt = peer_crt(t);
	char issuer[80];
	size_t len = sizeof(issuer);

	if (crt == NULL)
		return;
	switch (tls_stream_fault(&t->base)) {
	case TLS_FAULT_ISSUER:
		if (gnutls_x509_crt_get_issuer_dn(crt, issuer, &len) == 0)
			buf_addf(ret, " (%s)", issuer);
		break;
	case TLS_FAULT_NAME:
		buf_addz(ret, " (it is of ");
		if (!add_san(crt, ret) && !add_cn(crt, ret))
			buf_addz(ret, "nobody");
		buf_addf(ret, ", not of %.80s)", t->host);
		break;
	case TLS_FAULT_TIME:
		buf_addz(ret, " (it is good from ");
		add_day(ret, gnutls_x509_crt_get_activation_time(crt));
		buf_addz(ret, " to ");
		add_day(ret, gnutls_x509_crt_get_expiration_time(crt));
		buf_addc(ret, ')');
		break;
	default:
		break;
	}
	gnutls_x509_crt_deinit(crt);
}

void
tls_stream_why(const struct stream *s, struct buf *ret)
{
	const struct tls *t = tls_of(s);
	size_t before = ret->len;
	gnutls_datum_t text;

	if (t->state != FAILED)
		return;
	if (t->invalid != 0 &&
	    gnutls_certificate_verification_status_print(
		t->invalid, GNUTLS_CRT_X509, &text, 0) == 0) {
		struct str said = str_trim(str_of((char *)text.data));

		if (said.len > 0 && said.ptr[said.len - 1] == '.')
			said.len--;
		buf_add_str(ret, said);
		gnutls_free(text.data);
		add_particulars(t, ret);
		return;
	}
	if (t->error == GNUTLS_E_FATAL_ALERT_RECEIVED ||
	    t->error == GNUTLS_E_WARNING_ALERT_RECEIVED) {
		const char *alert =
		    gnutls_alert_get_name(gnutls_alert_get(t->session));

		buf_addf(ret, "the peer says: %s",
		    alert == NULL ? "unknown alert" : alert);
		return;
	}
	if (is_below(t->error))
		stream_why(t->below, ret);
	if (ret->len > before)
		return;
	buf_addz(ret,
	    is_below(t->error) ? strerror(t->below_errno)
			       : gnutls_strerror(t->error));
}

void
tls_stream_alpn(const struct stream *s, struct buf *ret)
{
	gnutls_datum_t name;

	if (gnutls_alpn_get_selected_protocol(tls_of(s)->session, &name) == 0)
		buf_add(ret, name.data, name.size);
}
