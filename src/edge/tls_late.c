/*
 * edge/tls_late.c - net/tls.h for the program of the device: each call goes on
 * to the module, which the first one loads. What takes a stream, a client or a
 * server comes behind one that made it: there the module is loaded already.
 */
#include "base/module.h"
#include "edge/tls_module.h"

static const struct tls_module *module;

const struct tls_module *
tls_module(struct err *err)
{
	const void *found;

	if (module == NULL &&
	    module_load(TLS_MODULE_NAME, TLS_MODULE_SYMBOL, &found, err) == 0) {
		module = found;
		if (module->version != TLS_MODULE_VERSION) {
			err_set(err, ERR_IO,
			    TLS_MODULE_NAME ".so is of another version of this "
					    "program: install both from one "
					    "package");
			module = NULL;
		}
	}
	return module;
}

const struct hsm *
hsm_with(struct err *err)
{
	return tls_module(err) == NULL ? NULL : module->hsm;
}

int
tls_server_new(const struct tls_server_conf *conf, struct tls_server **ret,
    struct err *err)
{
	return tls_module(err) == NULL ? ERR_IO
				       : module->server_new(conf, ret, err);
}

void
tls_server_free(struct tls_server *t)
{
	if (t != NULL)
		module->server_free(t);
}

int
tls_server_reload(
    struct tls_server *t, const struct tls_server_conf *conf, struct err *err)
{
	return module->server_reload(t, conf, err);
}

struct stream *
tls_server_stream(struct tls_server *t, struct stream *below, struct err *err)
{
	return module->server_stream(t, below, err);
}

int
tls_client_new(const struct tls_client_conf *conf, struct tls_client **ret,
    struct err *err)
{
	return tls_module(err) == NULL ? ERR_IO
				       : module->client_new(conf, ret, err);
}

void
tls_client_free(struct tls_client *t)
{
	if (t != NULL)
		module->client_free(t);
}

struct stream *
tls_client_stream(struct tls_client *t, struct stream *below, const char *host,
    struct err *err)
{
	return module->client_stream(t, below, host, err);
}

bool
tls_stream_is_up(const struct stream *s)
{
	return module->is_up(s);
}

bool
tls_stream_is_resumed(const struct stream *s)
{
	return module->is_resumed(s);
}

int
tls_stream_peer(const struct stream *s, enum tls_peer which, struct buf *ret)
{
	return module->peer(s, which, ret);
}

int
tls_stream_key(const struct stream *s, struct buf *ret)
{
	return module->key(s, ret);
}

int
tls_stream_thumbprint(const struct stream *s, struct buf *ret)
{
	return module->thumbprint(s, ret);
}

enum tls_fault
tls_stream_fault(const struct stream *s)
{
	return module->fault(s);
}

void
tls_stream_about(const struct stream *s, struct buf *ret)
{
	module->about(s, ret);
}

void
tls_stream_why(const struct stream *s, struct buf *ret)
{
	module->why(s, ret);
}

void
tls_stream_alpn(const struct stream *s, struct buf *ret)
{
	module->alpn(s, ret);
}
