/*
 * net/tls.h - TLS 1.2 and 1.3 as a layer over a stream, for servers and
 * clients.
 *
 * The handshake is done inside of stream_read(), stream_writev() and
 * stream_flush(), as far as it goes; until it is done the first two say EAGAIN.
 * Whatever fails in TLS makes them say EPROTO; tls_stream_why() has the
 * sentence.
 *
 * The end of the layer below without a close notify is read as an end: the
 * protocols above know where their packets end.
 */
#ifndef NET_TLS_H
#define NET_TLS_H

#include "base/err.h"
#include "base/str.h"
#include "net/stream.h"

#include <stdbool.h>

struct tls_server;
struct tls_client;

enum tls_client_certs {
	TLS_CERTS_NONE,
	TLS_CERTS_OPTIONAL,
	TLS_CERTS_REQUIRED,
	TLS_CERTS_ANY, /* optional, and whoever has signed it: what is known
			* then is its key, see tls_stream_key() */
};

enum tls_version { TLS_1_2, TLS_1_3 };

/* Files are PEM. */
struct tls_server_conf {
	const char *cert_file; /* with the chain behind it */
	const char *key_file;
	const char *ca_file;  /* who signs client certificates; or a folder */
	const char *crl_file; /* which of them are revoked; NULL: none */
	enum tls_client_certs client_certs;
	enum tls_version min_version;
	const char *priority; /* of GnuTLS; NULL: its "NORMAL" */
};

/* Reads the files, and keeps nothing of `conf`. On failure nothing is made, and
 * the sentence names the file. */
int tls_server_new(const struct tls_server_conf *conf, struct tls_server **ret,
    struct err *err);
/* Streams may outlive it. NULL is fine. */
void tls_server_free(struct tls_server *t);

/* Uses `conf` for new connections from now on; those that are up go on as they
 * are. On failure all stays as it was. Tickets stay good, but a certificate
 * that came with one is checked by the new rules. [any thread] */
int tls_server_reload(
    struct tls_server *t, const struct tls_server_conf *conf, struct err *err);

/* Takes `below` also when it fails: then it is freed. [any thread] */
struct stream *tls_server_stream(
    struct tls_server *t, struct stream *below, struct err *err);

struct tls_client_conf {
	const char *ca_file;   /* NULL: those that the system trusts */
	const char *ca_path;   /* instead: a file, or a folder of files, that is
				* not kept in memory but looked through for each
				* connection (net/tls_trust.h); NULL: none */
	const char *cert_file; /* NULL: no certificate of our own */
	const char *key_file;  /* or the URI of a key in a PKCS#11 token, */
	const char *key_module; /* its library, or "unix:PATH", the socket of
				 * who has the token; NULL: the system's */
	const char *key_pin;    /* and what opens it; NULL: nothing */
	bool verify; /* the server's certificate, and that it is `host`'s */
	struct strs alpn; /* protocols to offer; may be empty */
};

int tls_client_new(const struct tls_client_conf *conf, struct tls_client **ret,
    struct err *err);
void tls_client_free(struct tls_client *t); /* as tls_server_free() */

/* `host` is the name, or the address, that was asked for; copied. If the last
 * connection of `t` was to the same one, its session is offered. Takes `below`
 * also when it fails. stream_wants() says LOOP_WRITE at once: the handshake
 * begins with the first stream_flush(). [any thread] */
struct stream *tls_client_stream(struct tls_client *t, struct stream *below,
    const char *host, struct err *err);

bool tls_stream_is_up(const struct stream *s);
/* Has the handshake gone on from an earlier connection's? */
bool tls_stream_is_resumed(const struct stream *s);

enum tls_peer {
	TLS_PEER_CN,  /* common name of the subject */
	TLS_PEER_SAN, /* first alternative name: DNS, e-mail or URI */
};

/* Adds a name from the peer's verified certificate. ERR_NOT_FOUND: there is no
 * such certificate (yet), or it has no such name. */
int tls_stream_peer(
    const struct stream *s, enum tls_peer which, struct buf *ret);

/* Adds which TLS it is, whose certificate the peer has shown and until when it
 * is good, for people; nothing before it is up. */
void tls_stream_about(const struct stream *s, struct buf *ret);

/* Adds the SHA-256 of the key that the peer has shown to be its own, in hex:
 * the same as long as its certificates are of one key. ERR_NOT_FOUND: it has
 * shown no certificate. */
int tls_stream_key(const struct stream *s, struct buf *ret);
/* Adds the SHA-1 of the certificate itself, as people compare it. */
int tls_stream_thumbprint(const struct stream *s, struct buf *ret);

/* Adds what has ended the connection, for people; nothing if nothing has. */
void tls_stream_why(const struct stream *s, struct buf *ret);

/* What is to be mended, where certificates have ended it. */
enum tls_fault {
	TLS_FAULT_NONE,
	TLS_FAULT_ISSUER,   /* nobody that we trust has signed the peer's */
	TLS_FAULT_NAME,     /* the peer's is of another name */
	TLS_FAULT_TIME,     /* it has ended, or not begun */
	TLS_FAULT_OWN,      /* the peer does not take ours */
	TLS_FAULT_OWN_TIME, /* since that has ended, or not begun */
};
enum tls_fault tls_stream_fault(const struct stream *s);

/* Adds the protocol chosen by ALPN; nothing if there was none. */
void tls_stream_alpn(const struct stream *s, struct buf *ret);

#endif
