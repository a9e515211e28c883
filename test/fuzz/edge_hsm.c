/*
 * test/fuzz/edge_hsm.c - any bytes as what tedge-p11-server is asked, where
 * there is no token (libFuzzer). It is answered in one way or the other, in
 * lines; and what is put into a line comes out of it.
 */
#include "edge/hsm.h"
#include "net/token_ask.h"

#include <gnutls/pkcs11.h>
#include <stdlib.h>

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	/* none of the libraries that this machine may have */
	return gnutls_pkcs11_init(GNUTLS_PKCS11_FLAG_MANUAL, NULL);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct hsm_conf conf = { .pin = "1234", .uri = "pkcs11:token=x" };
	struct str request = { (const char *)data, size }, rest, line;
	struct buf answer = { 0 }, again = { 0 };

	hsm_here.answer(&conf, request, &answer);
	rest = answer.len > 0 ? buf_str(&answer) : STR("");
	line = str_cut(&rest, '\n');
	if (!str_eqz(line, "ok") && !str_starts(line, STR("error ")))
		abort();
	if (rest.ptr == NULL) /* the line has an end */
		abort();
	token_add(&again, "label", request);
	rest = request;
	line = token_line(buf_str(&again), "label");
	if (!str_eq(line, str_cut(&rest, '\n')))
		abort();
	buf_free(&again);
	buf_free(&answer);
	return 0;
}
