/*
 * edge/tls_module.c - the table that marram-edge-tls.so gives; see
 * tls_module.h.
 */
#include "edge/tls_module.h"

const struct tls_module marram_edge_tls = {
	.version = TLS_MODULE_VERSION,
	.server_new = tls_server_new,
	.server_free = tls_server_free,
	.server_reload = tls_server_reload,
	.server_stream = tls_server_stream,
	.client_new = tls_client_new,
	.client_free = tls_client_free,
	.client_stream = tls_client_stream,
	.is_up = tls_stream_is_up,
	.is_resumed = tls_stream_is_resumed,
	.peer = tls_stream_peer,
	.key = tls_stream_key,
	.thumbprint = tls_stream_thumbprint,
	.fault = tls_stream_fault,
	.about = tls_stream_about,
	.why = tls_stream_why,
	.alpn = tls_stream_alpn,
	.cert = &cert_maker,
	.hsm = &hsm_here,
};
