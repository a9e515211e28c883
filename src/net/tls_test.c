/*
 * net/tls_test.c - TLS over a pair of sockets, both ends in this thread: every
 * step is one we made.
 */
#include "base/test.h"

#include "base/base.h"
#include "base/mem.h"
#include "net/tls.h"

#include <dirent.h>
#include <errno.h>
#include <gnutls/gnutls.h>
#include <gnutls/x509.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define DAY 86400

/* Who may sign, and whom. */
struct identity {
	gnutls_x509_privkey_t key;
	gnutls_x509_crt_t crt;
};

static struct {
	char dir[64];
	struct identity ca, other_ca;
	/* paths, of certificates and their keys */
	char *ca_pem, *other_pem, *crl, *empty;
	char *server, *server_key, *renewed, *renewed_key;
	char *device, *device_key, *expired, *expired_key;
	char *revoked, *revoked_key, *foreign, *foreign_key;
} pki;

struct fixture {
	struct tls_server_conf server_conf;
	struct tls_client_conf client_conf;
	struct tls_server *server;
	struct tls_client *client;
	int fds[2];
	struct stream *s, *c; /* server's and client's end */
	struct err err;
};

/* Making certificates */

static char *
put_file(const char *name, gnutls_datum_t text)
{
	char *path = mem_printf("%s/%s", pki.dir, name);
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	assert_int_equal(fwrite(text.data, 1, text.size, f), text.size);
	fclose(f);
	gnutls_free(text.data);
	return path;
}

static void
make_key(gnutls_x509_privkey_t *key)
{
	gnutls_x509_privkey_init(key);
	assert_int_equal(
	    gnutls_x509_privkey_generate(*key, GNUTLS_PK_ECDSA,
		GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP256R1), 0),
	    0);
}

static void
make_crt(struct identity *ret, const char *cn, const char *san, bool ca,
    uint8_t serial, const struct identity *signer, time_t from, time_t to)
{
	make_key(&ret->key);
	gnutls_x509_crt_init(&ret->crt);
	gnutls_x509_crt_set_version(ret->crt, 3);
	gnutls_x509_crt_set_serial(ret->crt, &serial, 1);
	if (cn != NULL)
		gnutls_x509_crt_set_dn_by_oid(ret->crt,
		    GNUTLS_OID_X520_COMMON_NAME, 0, cn, (unsigned)strlen(cn));
	if (san != NULL)
		gnutls_x509_crt_set_subject_alt_name(ret->crt,
		    strncmp(san, "urn:", 4) == 0 ? GNUTLS_SAN_URI
						 : GNUTLS_SAN_DNSNAME,
		    san, (unsigned)strlen(san), GNUTLS_FSAN_APPEND);
	gnutls_x509_crt_set_activation_time(ret->crt, from);
	gnutls_x509_crt_set_expiration_time(ret->crt, to);
	gnutls_x509_crt_set_basic_constraints(ret->crt, ca, -1);
	gnutls_x509_crt_set_key_usage(ret->crt,
	    ca ? GNUTLS_KEY_KEY_CERT_SIGN | GNUTLS_KEY_CRL_SIGN
	       : GNUTLS_KEY_DIGITAL_SIGNATURE);
	gnutls_x509_crt_set_key(ret->crt, ret->key);
	if (signer == NULL)
		signer = ret;
	assert_int_equal(gnutls_x509_crt_sign2(ret->crt, signer->crt,
			     signer->key, GNUTLS_DIG_SHA256, 0),
	    0);
}

static char *
put_crt(const char *name, gnutls_x509_crt_t crt)
{
	gnutls_datum_t text;

	gnutls_x509_crt_export2(crt, GNUTLS_X509_FMT_PEM, &text);
	return put_file(name, text);
}

static char *
put_key(const char *name, gnutls_x509_privkey_t key)
{
	gnutls_datum_t text;

	gnutls_x509_privkey_export2(key, GNUTLS_X509_FMT_PEM, &text);
	return put_file(name, text);
}

static void
fini(struct identity *i)
{
	gnutls_x509_crt_deinit(i->crt);
	gnutls_x509_privkey_deinit(i->key);
}

/* One that is no CA, as two files; its certificate too, if asked for. */
static void
issue(const char *cn, const char *san, uint8_t serial,
    const struct identity *signer, time_t to, char **crt, char **key,
    gnutls_x509_crt_t *ret)
{
	time_t now = time(NULL);
	struct identity i;
	char name[40];

	make_crt(&i, cn, san, false, serial, signer, now - 10 * DAY, to);
	snprintf(name, sizeof(name), "%u.pem", serial);
	*crt = put_crt(name, i.crt);
	snprintf(name, sizeof(name), "%u.key", serial);
	*key = put_key(name, i.key);
	if (ret != NULL) {
		*ret = i.crt;
		gnutls_x509_privkey_deinit(i.key);
	} else {
		fini(&i);
	}
}

static void
make_crl(gnutls_x509_crt_t revoked)
{
	time_t now = time(NULL);
	gnutls_x509_crl_t crl;
	gnutls_datum_t text;

	gnutls_x509_crl_init(&crl);
	gnutls_x509_crl_set_version(crl, 2);
	gnutls_x509_crl_set_this_update(crl, now - DAY);
	gnutls_x509_crl_set_next_update(crl, now + 10 * DAY);
	gnutls_x509_crl_set_crt(crl, revoked, now - DAY);
	gnutls_x509_crl_set_number(crl, "\1", 1);
	assert_int_equal(gnutls_x509_crl_sign2(
			     crl, pki.ca.crt, pki.ca.key, GNUTLS_DIG_SHA256, 0),
	    0);
	gnutls_x509_crl_export2(crl, GNUTLS_X509_FMT_PEM, &text);
	pki.crl = put_file("crl.pem", text);
	gnutls_x509_crl_deinit(crl);
}

static int
make_pki(void **state)
{
	time_t now = time(NULL), later = now + 10 * DAY;
	gnutls_x509_crt_t revoked;
	gnutls_datum_t nothing = { NULL, 0 };

	(void)state;
	strcpy(pki.dir, "/tmp/marram-tls-XXXXXX");
	assert_non_null(mkdtemp(pki.dir));
	make_crt(&pki.ca, "Test CA", NULL, true, 1, NULL, now - DAY, later);
	make_crt(
	    &pki.other_ca, "Other CA", NULL, true, 1, NULL, now - DAY, later);
	pki.ca_pem = put_crt("ca.pem", pki.ca.crt);
	pki.other_pem = put_crt("other.pem", pki.other_ca.crt);
	pki.empty = put_file("empty.pem", nothing);
	issue("server", "server.example", 10, &pki.ca, later, &pki.server,
	    &pki.server_key, NULL);
	issue("renewed", "server.example", 11, &pki.ca, later, &pki.renewed,
	    &pki.renewed_key, NULL);
	issue("device 7", "urn:dev:7", 12, &pki.ca, later, &pki.device,
	    &pki.device_key, NULL);
	issue("old", NULL, 13, &pki.ca, now - DAY, &pki.expired,
	    &pki.expired_key, NULL);
	issue("lost", NULL, 14, &pki.ca, later, &pki.revoked, &pki.revoked_key,
	    &revoked);
	issue("stranger", NULL, 15, &pki.other_ca, later, &pki.foreign,
	    &pki.foreign_key, NULL);
	make_crl(revoked);
	gnutls_x509_crt_deinit(revoked);
	return 0;
}

static int
remove_pki(void **state)
{
	char **paths[] = { &pki.ca_pem, &pki.other_pem, &pki.crl, &pki.empty,
		&pki.server, &pki.server_key, &pki.renewed, &pki.renewed_key,
		&pki.device, &pki.device_key, &pki.expired, &pki.expired_key,
		&pki.revoked, &pki.revoked_key, &pki.foreign,
		&pki.foreign_key };

	(void)state;
	for (size_t i = 0; i < COUNT_OF(paths); i++) {
		unlink(*paths[i]);
		free(*paths[i]);
	}
	fini(&pki.ca);
	fini(&pki.other_ca);
	assert_int_equal(rmdir(pki.dir), 0);
	return 0;
}

/* A stream that gives and takes one byte at a time, and every other time
 * nothing; it wants what it owes. */
struct drip {
	struct stream base;
	struct stream *below;
	bool closed_in, closed_out;
};

static ssize_t
drip_read(struct stream *s, void *p, size_t len)
{
	struct drip *d = container_of(s, struct drip, base);

	d->closed_in = !d->closed_in;
	if (d->closed_in) {
		errno = EAGAIN;
		return -1;
	}
	return stream_read(d->below, p, MIN_OF(len, 1));
}

static ssize_t
drip_writev(struct stream *s, const struct iovec *iov, int n)
{
	struct drip *d = container_of(s, struct drip, base);
	struct iovec one = { NULL, 0 };

	for (int i = 0; i < n && one.iov_len == 0; i++) {
		one.iov_base = iov[i].iov_base;
		one.iov_len = MIN_OF(iov[i].iov_len, 1);
	}
	d->closed_out = !d->closed_out;
	if (d->closed_out) {
		errno = EAGAIN;
		return -1;
	}
	return stream_writev(d->below, &one, 1);
}

static int
drip_flush(struct stream *s)
{
	(void)s;
	return 0;
}

static unsigned
drip_wants(const struct stream *s)
{
	(void)s;
	return 0;
}

static void
drip_free(struct stream *s)
{
	struct drip *d = container_of(s, struct drip, base);

	stream_free(d->below);
	free(d);
}

static const struct stream_ops drip_ops = { drip_read, drip_writev, drip_flush,
	drip_wants, NULL, drip_free };

static struct stream *
drip_stream(struct stream *below)
{
	struct drip *d = mem_new(struct drip);

	d->base.ops = &drip_ops;
	d->below = below;
	return &d->base;
}

/* Both ends */

static int
setup(void **state)
{
	struct fixture *f = mem_new(struct fixture);

	f->server_conf.cert_file = pki.server;
	f->server_conf.key_file = pki.server_key;
	f->server_conf.ca_file = pki.ca_pem;
	f->client_conf.ca_file = pki.ca_pem;
	f->client_conf.verify = true;
	f->fds[0] = f->fds[1] = -1;
	*state = f;
	return 0;
}

static void
hang_up(struct fixture *f)
{
	stream_free(f->s);
	stream_free(f->c);
	f->s = f->c = NULL;
	for (int i = 0; i < 2; i++) {
		if (f->fds[i] >= 0)
			close(f->fds[i]);
		f->fds[i] = -1;
	}
}

static int
teardown(void **state)
{
	struct fixture *f = *state;

	hang_up(f);
	tls_server_free(f->server);
	tls_client_free(f->client);
	free(f);
	return 0;
}

static void
new_client(struct fixture *f, const char *cert, const char *key)
{
	f->client_conf.cert_file = cert;
	f->client_conf.key_file = key;
	tls_client_free(f->client);
	f->client = NULL;
	if (tls_client_new(&f->client_conf, &f->client, &f->err) != 0)
		fail_msg("%s", f->err.text);
}

static void
connect_them(struct fixture *f, const char *host, bool drip)
{
	struct stream *a, *b;

	if (f->server == NULL &&
	    tls_server_new(&f->server_conf, &f->server, &f->err) != 0)
		fail_msg("%s", f->err.text);
	if (f->client == NULL)
		new_client(f, NULL, NULL);
	hang_up(f);
	assert_int_equal(
	    socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, f->fds), 0);
	a = stream_socket(f->fds[0]);
	b = stream_socket(f->fds[1]);
	f->s = tls_server_stream(f->server, drip ? drip_stream(a) : a, &f->err);
	f->c = tls_client_stream(
	    f->client, drip ? drip_stream(b) : b, host, &f->err);
	assert_non_null(f->s);
	assert_non_null(f->c);
	assert_int_equal(stream_wants(f->c), LOOP_WRITE);
	assert_int_equal(stream_wants(f->s), 0);
}

/* One step of an end, as its loop would do it. False: it is broken. */
static bool
step(struct stream *s)
{
	char bytes[16];
	ssize_t n;

	if (stream_wants(s) & LOOP_WRITE)
		(void)stream_flush(s);
	n = stream_read(s, bytes, sizeof(bytes));
	if (n < 0)
		return errno == EAGAIN;
	assert_int_equal(n, 0);
	return false;
}

static bool
both_up(struct fixture *f)
{
	return tls_stream_is_up(f->s) && tls_stream_is_up(f->c);
}

/* True if the handshake succeeds, and the client has not heard otherwise. */
static bool
shake_hands(struct fixture *f)
{
	bool s = true, c = true;

	for (int i = 0; i < 20000 && s && c && !both_up(f); i++) {
		c = step(f->c);
		s = step(f->s);
	}
	for (int i = 0; i < 10; i++) { /* tickets, and refusals in TLS 1.3 */
		c = c && step(f->c);
		s = s && step(f->s);
	}
	return s && c && both_up(f);
}

static void
assert_why(const struct stream *s, const char *wanted)
{
	struct buf b = { 0 };

	tls_stream_why(s, &b);
	if (strstr(buf_z(&b), wanted) == NULL)
		fail_msg("\"%s\" is not in \"%s\"", wanted, buf_z(&b));
	buf_free(&b);
}

static void
assert_peer(const struct stream *s, enum tls_peer which, const char *wanted)
{
	struct buf b = { 0 };

	assert_int_equal(tls_stream_peer(s, which, &b), 0);
	assert_string_equal(buf_z(&b), wanted);
	buf_free(&b);
}

/* Sends `text` from one end to the other. */
static void
say(struct stream *from, struct stream *to, const char *text)
{
	struct iovec iov = { (void *)text, strlen(text) };
	struct buf heard = { 0 };

	for (int i = 0; i < 20000 && heard.len < strlen(text); i++) {
		char bytes[64];
		ssize_t n;

		if (iov.iov_len > 0) {
			n = stream_writev(from, &iov, 1);
			if (n > 0) {
				iov.iov_base = (char *)iov.iov_base + n;
				iov.iov_len -= (size_t)n;
			}
		}
		if (stream_wants(from) & LOOP_WRITE)
			(void)stream_flush(from);
		n = stream_read(to, bytes, sizeof(bytes));
		if (n > 0)
			buf_add(&heard, bytes, (size_t)n);
		else
			assert_true(n < 0 && errno == EAGAIN);
	}
	assert_string_equal(buf_z(&heard), text);
	buf_free(&heard);
}

static void
talk(struct fixture *f)
{
	say(f->c, f->s, "hello from the client");
	say(f->s, f->c, "hello from the server");
}

static void
each_version_is_spoken(void **state)
{
	struct fixture *f = *state;

	connect_them(f, "server.example", false);
	assert_true(shake_hands(f));
	talk(f);
	assert_peer(f->c, TLS_PEER_CN, "server");
	assert_peer(f->c, TLS_PEER_SAN, "server.example");

	tls_server_free(f->server);
	f->server = NULL;
	f->server_conf.priority = "NORMAL:-VERS-TLS1.3";
	connect_them(f, "server.example", false);
	assert_true(shake_hands(f));
	talk(f);
}

static void
old_versions_are_refused(void **state)
{
	struct fixture *f = *state;
	gnutls_session_t raw;
	gnutls_certificate_credentials_t cred;

	f->server_conf.min_version = TLS_1_3;
	connect_them(f, "server.example", false);
	gnutls_init(&raw, GNUTLS_CLIENT | GNUTLS_NONBLOCK);
	gnutls_certificate_allocate_credentials(&cred);
	gnutls_credentials_set(raw, GNUTLS_CRD_CERTIFICATE, cred);
	gnutls_priority_set_direct(raw, "NORMAL:-VERS-ALL:+VERS-TLS1.2", NULL);
	gnutls_transport_set_int(raw, f->fds[1]);
	assert_int_equal(gnutls_handshake(raw), GNUTLS_E_AGAIN);
	assert_false(step(f->s));
	assert_int_equal(errno, EPROTO);
	assert_int_equal(gnutls_handshake(raw), GNUTLS_E_FATAL_ALERT_RECEIVED);
	gnutls_deinit(raw);
	gnutls_certificate_free_credentials(cred);
}

static void
bytes_one_at_a_time_are_enough(void **state)
{
	struct fixture *f = *state;

	f->server_conf.client_certs = TLS_CERTS_REQUIRED;
	new_client(f, pki.device, pki.device_key);
	connect_them(f, "server.example", true);
	assert_true(shake_hands(f));
	talk(f);
	assert_peer(f->s, TLS_PEER_CN, "device 7");
}

static void
a_client_knows_its_server(void **state)
{
	struct fixture *f = *state;

	connect_them(f, "another.example", false);
	assert_false(shake_hands(f));
	assert_why(f->c, "(it is of server.example, not of another.example)");
	assert_int_equal(tls_stream_fault(f->c), TLS_FAULT_NAME);

	f->client_conf.ca_file = pki.other_pem;
	new_client(f, NULL, NULL);
	connect_them(f, "server.example", false);
	assert_false(shake_hands(f));
	assert_why(f->c, "issuer is unknown (CN=Test CA)");
	assert_int_equal(tls_stream_fault(f->c), TLS_FAULT_ISSUER);
	assert_why(f->s, "the peer says: ");
	assert_int_equal(tls_stream_fault(f->s), TLS_FAULT_OWN);

	f->client_conf.verify = false;
	new_client(f, NULL, NULL);
	connect_them(f, "server.example", false);
	assert_true(shake_hands(f));
}

static void
authorities_are_picked_from_a_folder_or_a_file(void **state)
{
	struct fixture *f = *state;

	f->client_conf.ca_file = NULL;
	f->client_conf.ca_path = pki.dir; /* keys and others are there, too */
	new_client(f, NULL, NULL);
	connect_them(f, "server.example", false);
	assert_true(shake_hands(f));
	talk(f);
	connect_them(f, "another.example", false);
	assert_false(shake_hands(f));
	assert_why(f->c, "name");

	f->client_conf.ca_path = pki.ca_pem;
	new_client(f, NULL, NULL);
	connect_them(f, "server.example", false);
	assert_true(shake_hands(f));

	f->client_conf.ca_path = pki.other_pem;
	new_client(f, NULL, NULL);
	connect_them(f, "server.example", false);
	assert_false(shake_hands(f));
	assert_why(f->c, "issuer is unknown");

	f->client_conf.ca_path = "/nowhere";
	assert_int_equal(
	    tls_client_new(&f->client_conf, &f->client, &f->err), ERR_IO);
	assert_non_null(strstr(f->err.text, "/nowhere"));
}

static void
a_verified_client_has_a_name(void **state)
{
	struct fixture *f = *state;
	struct buf b = { 0 };

	f->server_conf.client_certs = TLS_CERTS_OPTIONAL;
	new_client(f, pki.device, pki.device_key);
	connect_them(f, "server.example", false);
	assert_int_equal(tls_stream_peer(f->s, TLS_PEER_CN, &b), ERR_NOT_FOUND);
	assert_true(shake_hands(f));
	assert_peer(f->s, TLS_PEER_CN, "device 7");
	assert_peer(f->s, TLS_PEER_SAN, "urn:dev:7");

	new_client(f, NULL, NULL); /* optional means optional */
	connect_them(f, "server.example", false);
	assert_true(shake_hands(f));
	assert_int_equal(tls_stream_peer(f->s, TLS_PEER_CN, &b), ERR_NOT_FOUND);
	assert_int_equal(b.len, 0);
}

/* How the server refuses a client, in its own words and the client's. */
static void
assert_refused(struct fixture *f, const char *cert, const char *key,
    const char *server_says, const char *client_hears)
{
	static const char *const versions[] = { "NORMAL:-VERS-TLS1.3", NULL };

	f->server_conf.crl_file = pki.crl;
	for (size_t i = 0; i < COUNT_OF(versions); i++) {
		f->server_conf.priority = versions[i];
		tls_server_free(f->server);
		f->server = NULL;
		new_client(f, cert, key);
		connect_them(f, "server.example", false);
		assert_false(shake_hands(f));
		assert_false(tls_stream_is_up(f->s));
		assert_why(f->s, server_says);
		while (step(f->c))
			;
		assert_why(f->c, client_hears);
	}
}

static void
bad_client_certificates_end_with_the_right_alert(void **state)
{
	struct fixture *f = *state;

	f->server_conf.client_certs = TLS_CERTS_REQUIRED;
	assert_refused(f, pki.expired, pki.expired_key, "expired",
	    "Certificate is expired");
	assert_refused(f, pki.revoked, pki.revoked_key, "revoked",
	    "Certificate was revoked");
	assert_refused(f, pki.foreign, pki.foreign_key, "issuer is unknown",
	    "CA is unknown");
	f->server_conf.client_certs = TLS_CERTS_OPTIONAL;
	assert_refused(f, pki.expired, pki.expired_key, "expired",
	    "Certificate is expired");
}

/* The key of a certificate that nobody knows is known all the same. */
static void
anybody_may_have_signed_where_that_is_said(void **state)
{
	static const char *const certs[] = { "device", "foreign" };
	struct fixture *f = *state;
	struct buf keys[2] = { 0 }, print = { 0 }, cn = { 0 };

	f->server_conf.client_certs = TLS_CERTS_ANY;
	for (size_t i = 0; i < COUNT_OF(certs); i++) {
		bool foreign = strcmp(certs[i], "foreign") == 0;

		new_client(f, foreign ? pki.foreign : pki.device,
		    foreign ? pki.foreign_key : pki.device_key);
		connect_them(f, "server.example", false);
		assert_int_equal(tls_stream_key(f->s, &keys[i]), ERR_NOT_FOUND);
		assert_true(shake_hands(f));
		assert_int_equal(tls_stream_key(f->s, &keys[i]), 0);
		assert_int_equal(keys[i].len, 64);
		buf_clear(&print);
		assert_int_equal(tls_stream_thumbprint(f->s, &print), 0);
		assert_int_equal(print.len, 40);
		/* but its name is proven by nobody */
		assert_int_equal(tls_stream_peer(f->s, TLS_PEER_CN, &cn),
		    foreign ? ERR_NOT_FOUND : 0);
	}
	assert_string_equal(buf_z(&cn), "device 7");
	assert_false(str_eq(buf_str(&keys[0]), buf_str(&keys[1])));
	new_client(f, NULL, NULL);
	connect_them(f, "server.example", false);
	assert_true(shake_hands(f));
	buf_clear(&print);
	assert_int_equal(tls_stream_key(f->s, &print), ERR_NOT_FOUND);

	assert_refused(f, pki.expired, pki.expired_key, "expired",
	    "Certificate is expired");
	assert_int_equal(tls_stream_fault(f->c), TLS_FAULT_OWN_TIME);
	assert_refused(f, pki.revoked, pki.revoked_key, "revoked",
	    "Certificate was revoked");
	f->server_conf.ca_file = f->server_conf.crl_file = NULL;
	for (size_t i = 0; i < COUNT_OF(keys); i++)
		buf_free(&keys[i]);
	buf_free(&print);
	buf_free(&cn);
}

static void
a_required_certificate_is_required(void **state)
{
	struct fixture *f = *state;

	f->server_conf.client_certs = TLS_CERTS_REQUIRED;
	connect_them(f, "server.example", false);
	assert_false(shake_hands(f));
	assert_why(f->s, "Certificate is required");
	assert_why(f->c, "Certificate is required");

	tls_server_free(f->server);
	f->server = NULL;
	f->server_conf.priority = "NORMAL:-VERS-TLS1.3"; /* has no such alert */
	connect_them(f, "server.example", false);
	assert_false(shake_hands(f));
	assert_why(f->s, "No certificate was found");
	while (step(f->c))
		;
	assert_why(f->c, "Handshake failed");
}

/* The sentence names what is wrong; then all is `good` again. */
static void
assert_conf_refused(
    struct fixture *f, const struct tls_server_conf *good, const char *wanted)
{
	assert_int_equal(
	    tls_server_new(&f->server_conf, &f->server, &f->err), ERR_PARAM);
	if (strstr(f->err.text, wanted) == NULL)
		fail_msg("\"%s\" is not in \"%s\"", wanted, f->err.text);
	f->server_conf = *good;
}

static void
bad_files_are_named(void **state)
{
	struct fixture *f = *state;
	struct tls_server_conf good = f->server_conf;

	f->server_conf.cert_file = "/nowhere.pem";
	assert_conf_refused(f, &good, "/nowhere.pem");
	f->server_conf.key_file = pki.renewed_key;
	assert_conf_refused(f, &good, pki.renewed_key);
	f->server_conf.key_file = NULL;
	assert_conf_refused(f, &good, "belong together");
	good.client_certs = f->server_conf.client_certs = TLS_CERTS_OPTIONAL;
	f->server_conf.ca_file = pki.empty;
	assert_conf_refused(f, &good, pki.empty);
	f->server_conf.ca_file = NULL;
	assert_conf_refused(f, &good, "can not be checked");
	f->server_conf.crl_file = pki.empty;
	assert_conf_refused(f, &good, pki.empty);
	f->server_conf.priority = "NORMAL:+NONSENSE";
	assert_conf_refused(f, &good, "NONSENSE");
	f->client_conf.ca_file = pki.empty;
	assert_int_equal(
	    tls_client_new(&f->client_conf, &f->client, &f->err), ERR_PARAM);
	assert_non_null(strstr(f->err.text, pki.empty));
}

static void
reloading_changes_new_connections_only(void **state)
{
	struct fixture *f = *state;
	struct tls_server_conf renewed = f->server_conf, broken;
	struct stream *s, *c;
	int fds[2];

	connect_them(f, "server.example", false);
	assert_true(shake_hands(f));
	s = f->s;
	c = f->c;
	memcpy(fds, f->fds, sizeof(fds));
	f->s = f->c = NULL;
	f->fds[0] = f->fds[1] = -1;

	broken = renewed;
	broken.cert_file = pki.empty;
	assert_int_equal(
	    tls_server_reload(f->server, &broken, &f->err), ERR_PARAM);
	connect_them(f, "server.example", false);
	assert_true(shake_hands(f));
	assert_peer(f->c, TLS_PEER_CN, "server"); /* still */

	renewed.cert_file = pki.renewed;
	renewed.key_file = pki.renewed_key;
	assert_int_equal(tls_server_reload(f->server, &renewed, &f->err), 0);
	say(s, c, "the old one goes on");
	say(c, s, "so it does");
	new_client(f, NULL, NULL); /* one without a past */
	connect_them(f, "server.example", false);
	assert_true(shake_hands(f));
	assert_peer(f->c, TLS_PEER_CN, "renewed");

	/* and streams outlive their server */
	tls_server_free(f->server);
	tls_client_free(f->client);
	f->server = NULL;
	f->client = NULL;
	talk(f);
	say(s, c, "on and on");
	stream_free(s);
	stream_free(c);
	close(fds[0]);
	close(fds[1]);
}

static atomic_bool enough;

static void *
reload_again_and_again(void *arg)
{
	struct fixture *f = arg;
	struct err err;

	while (!enough) {
		if (tls_server_reload(f->server, &f->server_conf, &err) != 0)
			abort();
	}
	return NULL;
}

static void
reloading_is_safe_beside_new_connections(void **state)
{
	struct fixture *f = *state;
	pthread_t t;

	connect_them(f, "server.example", false);
	enough = false;
	pthread_create(&t, NULL, reload_again_and_again, f);
	for (int i = 0; i < 30; i++) {
		connect_them(f, "server.example", false);
		assert_true(shake_hands(f));
	}
	enough = true;
	pthread_join(t, NULL);
}

/* Connects a client that does without our layer; `ticket` is offered if it has
 * data, and replaced. Returns whether the session was resumed; -1: refused. */
static int
connect_raw(struct fixture *f, const char *priority, const char *cert,
    const char *key, gnutls_datum_t *ticket)
{
	gnutls_certificate_credentials_t cred;
	gnutls_session_t raw;
	char bytes[64];
	int rc = GNUTLS_E_AGAIN, resumed = -1;
	bool ok = true;

	connect_them(f, "server.example", false);
	gnutls_init(&raw, GNUTLS_CLIENT | GNUTLS_NONBLOCK);
	gnutls_certificate_allocate_credentials(&cred);
	assert_int_equal(gnutls_certificate_set_x509_key_file(
			     cred, cert, key, GNUTLS_X509_FMT_PEM),
	    0);
	gnutls_credentials_set(raw, GNUTLS_CRD_CERTIFICATE, cred);
	gnutls_priority_set_direct(raw, priority, NULL);
	gnutls_transport_set_int(raw, f->fds[1]);
	if (ticket->data != NULL) {
		gnutls_session_set_data(raw, ticket->data, ticket->size);
		gnutls_free(ticket->data);
		*ticket = (gnutls_datum_t){ NULL, 0 };
	}
	for (int i = 0; i < 100 && rc == GNUTLS_E_AGAIN && ok; i++) {
		rc = gnutls_handshake(raw);
		ok = step(f->s);
	}
	if (rc == 0 && ok && tls_stream_is_up(f->s)) {
		/* the ticket comes with the first bytes, or before them */
		struct iovec iov = { (void *)"x", 1 };

		assert_int_equal(stream_writev(f->s, &iov, 1), 1);
		do
			rc = (int)gnutls_record_recv(raw, bytes, 64);
		while (rc == GNUTLS_E_AGAIN); /* that was the ticket */
		assert_int_equal(rc, 1);
		resumed = gnutls_session_is_resumed(raw) != 0;
		assert_int_equal(gnutls_session_get_data2(raw, ticket), 0);
	}
	gnutls_deinit(raw);
	gnutls_certificate_free_credentials(cred);
	return resumed;
}

static void
tickets_resume_and_are_judged_anew(void **state)
{
	static const char *const priorities[] = {
		"NORMAL:-VERS-ALL:+VERS-TLS1.2", "NORMAL:-VERS-ALL:+VERS-TLS1.3"
	};
	struct fixture *f = *state;
	gnutls_datum_t ticket = { NULL, 0 };

	f->server_conf.client_certs = TLS_CERTS_REQUIRED;
	for (size_t i = 0; i < COUNT_OF(priorities); i++) {
#define CONNECT()                                                              \
	connect_raw(f, priorities[i], pki.revoked, pki.revoked_key, &ticket)
		assert_int_equal(CONNECT(), 0);
		assert_int_equal(CONNECT(), 1);
		assert_peer(f->s, TLS_PEER_CN, "lost");
		assert_int_equal(
		    tls_server_reload(f->server, &f->server_conf, &f->err), 0);
		assert_int_equal(CONNECT(), 1);

		f->server_conf.crl_file = pki.crl; /* now it is revoked */
		assert_int_equal(
		    tls_server_reload(f->server, &f->server_conf, &f->err), 0);
		assert_int_equal(CONNECT(), -1);
		assert_why(f->s, "revoked");
		f->server_conf.crl_file = NULL;
		assert_int_equal(
		    tls_server_reload(f->server, &f->server_conf, &f->err), 0);
		gnutls_free(ticket.data);
		ticket.data = NULL;
	}
}

/* Another connection, on which the client hears something: is it resumed? */
static bool
goes_on(struct fixture *f, const char *host)
{
	connect_them(f, host, false);
	assert_true(shake_hands(f));
	say(f->s, f->c, "hello");
	talk(f);
	assert_int_equal(
	    tls_stream_is_resumed(f->c), tls_stream_is_resumed(f->s));
	return tls_stream_is_resumed(f->c);
}

static void
a_client_goes_on_from_its_last_session(void **state)
{
	static const char *const priorities[] = {
		"NORMAL:-VERS-ALL:+VERS-TLS1.2", "NORMAL:-VERS-ALL:+VERS-TLS1.3"
	};
	struct fixture *f = *state;

	for (size_t i = 0; i < COUNT_OF(priorities); i++) {
		f->server_conf.priority = priorities[i];
		tls_server_free(f->server);
		f->server = NULL;
		new_client(f, NULL, NULL);
		assert_false(goes_on(f, "server.example"));
		assert_true(goes_on(f, "server.example"));
		assert_true(goes_on(f, "server.example"));
		/* another name has no past */
		assert_false(goes_on(f, "SERVER.example"));
		/* a server that has forgotten it begins anew */
		assert_true(goes_on(f, "SERVER.example"));
		tls_server_free(f->server);
		f->server = NULL;
		assert_false(goes_on(f, "SERVER.example"));
		assert_true(goes_on(f, "SERVER.example"));
	}
}

static void
protocols_are_offered_by_alpn(void **state)
{
	struct fixture *f = *state;
	struct str names[] = { STR("mqtt"), STR("x-amzn-mqtt-ca") };
	gnutls_datum_t chosen[] = { { (unsigned char *)"x-amzn-mqtt-ca", 14 } };
	gnutls_certificate_credentials_t cred;
	gnutls_session_t raw;
	struct buf b = { 0 };

	f->client_conf.alpn = (struct strs){ names, 2 };
	connect_them(f, "server.example", false);
	gnutls_init(&raw, GNUTLS_SERVER | GNUTLS_NONBLOCK);
	gnutls_certificate_allocate_credentials(&cred);
	gnutls_certificate_set_x509_key_file(
	    cred, pki.server, pki.server_key, GNUTLS_X509_FMT_PEM);
	gnutls_credentials_set(raw, GNUTLS_CRD_CERTIFICATE, cred);
	gnutls_set_default_priority(raw);
	gnutls_alpn_set_protocols(raw, chosen, 1, 0);
	gnutls_transport_set_int(raw, f->fds[0]);
	for (int i = 0; i < 100 && !tls_stream_is_up(f->c); i++) {
		assert_true(step(f->c));
		(void)gnutls_handshake(raw);
	}
	tls_stream_alpn(f->c, &b);
	assert_string_equal(buf_z(&b), "x-amzn-mqtt-ca");
	buf_free(&b);
	gnutls_deinit(raw);
	gnutls_certificate_free_credentials(cred);
}

/* One way of a large transfer. */
struct way {
	struct stream *from, *to;
	size_t sent, heard;
};

#define MUCH (3u << 20)

static uint8_t
byte_at(size_t i)
{
	return (uint8_t)(i * 7 + i / 251);
}

/* Sends pieces of odd sizes; true if something moved. */
static bool
push_way(struct way *w)
{
	uint8_t bytes[40000];
	struct iovec iov[5];
	static const size_t sizes[5] = { 1, 777, 0, 20000, 19222 };
	size_t at = 0, left = MIN_OF(MUCH - w->sent, sizeof(bytes));
	ssize_t n;

	if (stream_wants(w->from) & LOOP_WRITE)
		(void)stream_flush(w->from);
	for (size_t i = 0; i < left; i++)
		bytes[i] = byte_at(w->sent + i);
	for (int i = 0; i < 5; i++) {
		iov[i].iov_base = bytes + at;
		iov[i].iov_len = MIN_OF(sizes[i], left - at);
		at += iov[i].iov_len;
	}
	n = stream_writev(w->from, iov, 5);
	if (n < 0)
		assert_int_equal(errno, EAGAIN);
	w->sent += n > 0 ? (size_t)n : 0;
	return n > 0;
}

static void
pull_way(struct way *w)
{
	uint8_t bytes[5000];
	ssize_t n;

	do {
		n = stream_read(w->to, bytes, 1 + w->heard % sizeof(bytes));
		if (n < 0)
			assert_int_equal(errno, EAGAIN);
		for (ssize_t i = 0; i < n; i++)
			if (bytes[i] != byte_at(w->heard + (size_t)i))
				fail_msg("wrong byte at %zu", w->heard);
		w->heard += n > 0 ? (size_t)n : 0;
	} while (stream_wants(w->to) & LOOP_READ);
}

static void
much_passes_through_small_sockets_both_ways(void **state)
{
	struct fixture *f = *state;
	int small = 4096;
	struct way ways[2];
	bool was_full = false;

	connect_them(f, "server.example", false);
	for (int i = 0; i < 2; i++)
		setsockopt(
		    f->fds[i], SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
	assert_true(shake_hands(f));
	ways[0] = (struct way){ f->c, f->s, 0, 0 };
	ways[1] = (struct way){ f->s, f->c, 0, 0 };
	while (ways[0].heard < MUCH || ways[1].heard < MUCH) {
		for (int i = 0; i < 2; i++) {
			while (push_way(&ways[i]) && ways[i].sent < MUCH)
				;
			was_full |= stream_wants(ways[i].from) & LOOP_WRITE;
		}
		pull_way(&ways[0]);
		pull_way(&ways[1]);
	}
	assert_true(was_full);
	assert_int_equal(ways[0].heard, MUCH);
}

/* Everything that comes, by a client that does without our layer. */
static void
hear_all(gnutls_session_t raw, struct way *w)
{
	uint8_t bytes[5000];
	ssize_t n;

	while ((n = gnutls_record_recv(raw, bytes, sizeof(bytes))) > 0) {
		for (ssize_t i = 0; i < n; i++)
			if (bytes[i] != byte_at(w->heard + (size_t)i))
				fail_msg("wrong byte at %zu", w->heard);
		w->heard += (size_t)n;
	}
	assert_int_equal(n, GNUTLS_E_AGAIN);
}

/* The peer asks for new keys while a record of ours waits. */
static void
keys_change_in_the_middle_of_a_blocked_write(void **state)
{
	struct fixture *f = *state;
	gnutls_certificate_credentials_t cred;
	gnutls_session_t raw;
	int small = 4096, rc = GNUTLS_E_AGAIN;
	struct way w = { 0 };

	connect_them(f, "server.example", false);
	setsockopt(f->fds[0], SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
	gnutls_init(&raw, GNUTLS_CLIENT | GNUTLS_NONBLOCK);
	gnutls_certificate_allocate_credentials(&cred);
	gnutls_credentials_set(raw, GNUTLS_CRD_CERTIFICATE, cred);
	gnutls_set_default_priority(raw);
	gnutls_transport_set_int(raw, f->fds[1]);
	for (int i = 0; i < 100 && rc == GNUTLS_E_AGAIN; i++) {
		rc = gnutls_handshake(raw);
		assert_true(step(f->s));
	}
	assert_int_equal(rc, 0);
	w.from = f->s;
	while (push_way(&w)) /* until it is full */
		;
	assert_true(stream_wants(f->s) & LOOP_WRITE);
	assert_int_equal(gnutls_session_key_update(raw, GNUTLS_KU_PEER), 0);
	while (w.heard < MUCH) {
		assert_true(step(f->s));
		(void)push_way(&w);
		hear_all(raw, &w);
	}
	gnutls_deinit(raw);
	gnutls_certificate_free_credentials(cred);
}

static void
an_orderly_end_is_read_as_one(void **state)
{
	struct fixture *f = *state;
	struct iovec iov = { (void *)"last", 4 };
	char bytes[16];

	connect_them(f, "server.example", false);
	assert_true(shake_hands(f));
	assert_int_equal(stream_writev(f->c, &iov, 1), 4);
	stream_bye(f->c);
	assert_int_equal(stream_read(f->s, bytes, 16), 4);
	assert_int_equal(stream_read(f->s, bytes, 16), 0);
	assert_int_equal(stream_read(f->s, bytes, 16), 0);

	connect_them(f, "server.example", false);
	assert_true(shake_hands(f));
	shutdown(f->fds[1], SHUT_RDWR); /* without a word */
	assert_int_equal(stream_read(f->s, bytes, 16), 0);

	connect_them(f, "server.example", false); /* in the handshake */
	assert_true(step(f->c));
	assert_true(step(f->s));
	shutdown(f->fds[1], SHUT_RDWR);
	assert_int_equal(stream_read(f->s, bytes, 16), 0);
	assert_int_equal(stream_read(f->s, bytes, 16), 0);
}

static void
what_is_no_tls_is_refused(void **state)
{
	const struct str lines[] = {
		STR("GET / HTTP/1.1\r\nHost: x\r\n\r\n"),
		STR("\x10\x0c\0\4MQTT\4\2\0\x3c\0\0"),
		STR("\x16\3\1\0\x05\1\0\0\1\0 broken"),
	};
	struct fixture *f = *state;
	struct iovec iov = { (void *)"x", 1 };

	for (size_t i = 0; i < COUNT_OF(lines); i++) {
		char bytes[16];

		connect_them(f, "server.example", false);
		assert_int_equal(
		    write(f->fds[1], lines[i].ptr, lines[i].len), lines[i].len);
		assert_int_equal(stream_read(f->s, bytes, 16), -1);
		assert_int_equal(errno, EPROTO);
		assert_int_equal(stream_writev(f->s, &iov, 1), -1);
		assert_int_equal(errno, EPROTO);
		assert_int_equal(stream_flush(f->s), -1);
		assert_int_equal(errno, EPROTO);
		assert_why(f->s, "");
	}
}

static void
a_reset_below_is_told_as_it_is(void **state)
{
	struct fixture *f = *state;
	struct iovec iov = { (void *)"x", 1 };

	connect_them(f, "server.example", false);
	assert_true(shake_hands(f));
	close(f->fds[1]);
	f->fds[1] = -1;
	assert_int_equal(stream_writev(f->s, &iov, 1), -1);
	assert_int_equal(errno, EPIPE);
	assert_why(f->s, "pipe");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
		T(each_version_is_spoken),
		T(old_versions_are_refused),
		T(bytes_one_at_a_time_are_enough),
		T(a_client_knows_its_server),
		T(authorities_are_picked_from_a_folder_or_a_file),
		T(a_verified_client_has_a_name),
		T(bad_client_certificates_end_with_the_right_alert),
		T(anybody_may_have_signed_where_that_is_said),
		T(a_required_certificate_is_required),
		T(bad_files_are_named),
		T(reloading_changes_new_connections_only),
		T(reloading_is_safe_beside_new_connections),
		T(tickets_resume_and_are_judged_anew),
		T(a_client_goes_on_from_its_last_session),
		T(protocols_are_offered_by_alpn),
		T(much_passes_through_small_sockets_both_ways),
		T(keys_change_in_the_middle_of_a_blocked_write),
		T(an_orderly_end_is_read_as_one),
		T(what_is_no_tls_is_refused),
		T(a_reset_below_is_told_as_it_is),
	};

	return cmocka_run_group_tests(tests, make_pki, remove_pki);
}
