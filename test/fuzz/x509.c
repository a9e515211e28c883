/*
 * test/fuzz/x509.c - any bytes as a certificate, in PEM and as its DER.
 */
#include "codec/x509.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct buf pem = { 0 }, out = { 0 };

	(void)x509_common_name((struct str){ (const char *)data, size }, &out);
	buf_addz(&pem, "-----BEGIN CERTIFICATE-----\n");
	base64_encode(&pem, data, size, false);
	buf_addz(&pem, "\n-----END CERTIFICATE-----\n");
	buf_clear(&out);
	(void)x509_common_name(buf_str(&pem), &out);
	buf_free(&pem);
	buf_free(&out);
	return 0;
}
