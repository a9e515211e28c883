/*
 * net/tls_trust.c - see tls_trust.h.
 */
#include "net/tls_trust.h"

#include "base/mem.h"
#include "base/str.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define CHAIN_MAX 16
#define LINE_MAX_LEN 256         /* of PEM: 64, and some more are tolerated */
#define CERT_MAX_LEN (64u << 10) /* of one certificate in PEM */

struct search {
	gnutls_x509_crt_t chain[CHAIN_MAX];
	unsigned n;
	gnutls_x509_trust_list_t found;
	struct buf pem; /* the certificate that is being read */
};

static bool
has_signed(gnutls_x509_crt_t authority, gnutls_x509_crt_t crt)
{
	return gnutls_x509_crt_check_issuer(crt, authority) != 0;
}

/* Looks at the certificate in s->pem. */
static void
consider(struct search *s)
{
	const gnutls_datum_t pem = { (unsigned char *)s->pem.ptr,
		(unsigned)s->pem.len };
	gnutls_x509_crt_t crt;
	bool wanted = false;

	if (gnutls_x509_crt_init(&crt) < 0)
		return;
	if (gnutls_x509_crt_import(crt, &pem, GNUTLS_X509_FMT_PEM) == 0) {
		for (unsigned i = 0; i < s->n && !wanted; i++)
			wanted = has_signed(crt, s->chain[i]) ||
			    gnutls_x509_crt_equals(crt, s->chain[i]);
	}
	/* The list takes it. */
	if (!wanted ||
	    gnutls_x509_trust_list_add_cas(
		s->found, &crt, 1, GNUTLS_TL_NO_DUPLICATES) != 1)
		gnutls_x509_crt_deinit(crt);
}

static void
look_through_file(struct search *s, const char *path)
{
	FILE *f = fopen(path, "re");
	char line[LINE_MAX_LEN];
	bool within = false;

	if (f == NULL)
		return; /* a dangling link; another file may have it */
	while (fgets(line, sizeof(line), f) != NULL) {
		struct str text = str_of(line);

		if (str_starts(text, STR("-----BEGIN "))) {
			within = true;
			buf_clear(&s->pem);
		}
		if (!within)
			continue;
		buf_add_str(&s->pem, text);
		if (str_starts(text, STR("-----END "))) {
			within = false;
			consider(s);
		} else if (s->pem.len > CERT_MAX_LEN) {
			within = false;
		}
	}
	(void)fclose(f);
}

static void
look_through(struct search *s, const char *path)
{
	DIR *dir = opendir(path);
	const struct dirent *e;

	if (dir == NULL) {
		look_through_file(s, path);
		return;
	}
	while ((e = readdir(dir)) != NULL) {
		char *file;

		if (e->d_name[0] == '.')
			continue;
		file = mem_printf("%s/%s", path, e->d_name);
		look_through_file(s, file); /* of a folder it reads nothing */
		free(file);
	}
	closedir(dir);
}

static int
read_chain(struct search *s, const gnutls_datum_t *chain, unsigned n)
{
	int rc = 0;

	if (n > CHAIN_MAX)
		return GNUTLS_E_CERTIFICATE_LIST_UNSORTED;
	for (unsigned i = 0; i < n && rc == 0; i++) {
		rc = gnutls_x509_crt_init(&s->chain[i]);
		if (rc < 0)
			return rc;
		s->n++;
		rc = gnutls_x509_crt_import(
		    s->chain[i], &chain[i], GNUTLS_X509_FMT_DER);
	}
	return rc;
}

int
tls_trust_verify(const char *path, const gnutls_datum_t *chain, unsigned n,
    const char *host, unsigned *status)
{
	gnutls_typed_vdata_st name = { .type = GNUTLS_DT_DNS_HOSTNAME,
		.data = (unsigned char *)host };
	struct search s = { 0 };
	int rc = gnutls_x509_trust_list_init(&s.found, 0);

	if (rc == 0)
		rc = read_chain(&s, chain, n);
	if (rc == 0) {
		look_through(&s, path);
		rc = gnutls_x509_trust_list_verify_crt2(
		    s.found, s.chain, s.n, &name, 1, 0, status, NULL);
	}
	for (unsigned i = 0; i < s.n; i++)
		gnutls_x509_crt_deinit(s.chain[i]);
	if (s.found != NULL)
		gnutls_x509_trust_list_deinit(s.found, 1);
	buf_free(&s.pem);
	return rc;
}
