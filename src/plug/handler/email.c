/*
 * plug/handler/email.c - a message to a mail server (SMTP).
 *
 * libcurl says goodbye to a mail server by waiting for its answer, wherever it
 * happens to be: on the loop that could be long. So each message is sent by a
 * thread of its own, of which there is one at a time:
 *
 *    loop                    thread
 *    send()  -- a letter -->  run()
 *    on_back() <-- posted --  result in the letter
 *
 * A letter that is cancelled belongs to the thread from then on: it notices,
 * gives up, and frees it. `lock` guards who owns it.
 */
#include "base/base.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/rand.h"
#include "codec/mail.h"
#include "plug/handler/ops.h"

#include <curl/curl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define REPLY_MAX 2000

struct spec {
	struct str host, auth_type, username, password, from, security;
	struct strs to;
	int64_t port;
	bool insecure;
};

enum security { TLS, STARTTLS, NONE };

static const char *const securities[] = {
	[TLS] = "tls", [STARTTLS] = "starttls", [NONE] = "none", NULL
};
static const char *const auth_types[] = { "plain", "crammd5", NULL };

#define S struct spec
static const struct field spec_fields[] = {
	F_TEXT(S, host, "host", .help = "The mail server's name."),
	F_INT(S, port, "port", .def = "465", .min = 1, .max = 65535),
	F_TEXT(S, security, "security", .flags = FIELD_LOWER | FIELD_BLANK,
	    .one_of = securities,
	    .help = "`tls`: from the first byte, `starttls`, or `none`. Empty: "
		    "by the port, 465 is tls, others starttls."),
	F_TEXT(S, auth_type, "authType", .flags = FIELD_LOWER | FIELD_BLANK,
	    .one_of = auth_types, .help = "`plain` or `crammd5`."),
	F_TEXT(S, username, "username", .help = "Empty: no login."),
	F_TEXT(S, password, "password", .flags = FIELD_SECRET),
	F_TEXT(S, from, "fromEmail", .help = "Empty: the user name."),
	F_TEXTS(S, to, "toEmails",
	    .help = "Who gets what has no recipients of its own."),
	F_BOOL(S, insecure, "insecure",
	    .help = "Do not check the certificate of the server."),
	{ 0 },
};
#undef S
static const struct record spec_record = { "email", sizeof(struct spec),
	spec_fields };

struct parameter {
	struct str from, subject, body;
	struct strs to;
};

#define P struct parameter
static const struct field parameter_fields[] = {
	F_TEXT(P, from, "from"),
	F_TEXTS(P, to, "to"),
	F_TEXT(P, subject, "subject"),
	F_TEXT(P, body, "body"),
	{ 0 },
};
#undef P
static const struct record parameter_record = { "email parameter",
	sizeof(struct parameter), parameter_fields };

#define SOCKETS_MAX 8

/* The sockets of one transfer, which libcurl opens and closes through us. Lives
 * on the thread's stack, longer than the letter. */
struct wire {
	curl_socket_t open[SOCKETS_MAX];
	size_t n;
	bool greeted; /* the server has answered to EHLO */
};

/* What a thread needs, all its own. */
struct letter {
	struct loop_post back;
	struct loop *loop;
	pthread_mutex_t lock;
	struct email *owner; /* NULL: cancelled, the thread's. Under `lock`. */

	struct arena arena;
	const char *url, *user, *password, *login, *from, *ca_file;
	const char **to; /* NULL ends */
	struct str text;
	size_t read;
	long timeout_ms;
	enum security security;
	bool insecure;

	struct wire *wire;

	/* the result */
	CURLcode code;
	long status;
	char reply[REPLY_MAX]; /* the last thing the server said */
};

struct email {
	struct handler *h;
	struct arena arena;
	struct spec spec;
	enum security security;
	struct letter *letter; /* while sending */
};

/* What send() needs. */
struct message {
	const char *from;
	const char **to; /* NULL ends */
	struct str text;
};

/* --- open ---------------------------------------------------------------- */

static int
check_spec(struct email *e, struct err *err)
{
	const struct spec *s = &e->spec;
	struct str name, address;

	if (s->host.len == 0 || s->host.len > 253 ||
	    strspn(s->host.ptr,
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
		"0123456789.-:_") < s->host.len)
		return err_set(
		    err, ERR_PARAM, "host: the name of a server is needed");
	e->security = s->port == 465 ? TLS : STARTTLS;
	for (int i = TLS; i <= NONE; i++)
		if (str_eqz(s->security, securities[i]))
			e->security = (enum security)i;
	if (s->from.len > 0 && !mail_address(s->from, &name, &address))
		return err_set(
		    err, ERR_PARAM, "fromEmail: is no e-mail address");
	for (size_t i = 0; i < s->to.n; i++)
		if (!mail_address(s->to.at[i], &name, &address))
			return err_set(
			    err, ERR_PARAM, "toEmails: is no e-mail address");
	return handler_check_host(e->h, s->host, err);
}

/* The password, and how AUTH PLAIN spells it. */
static void
keep_secrets(struct email *e)
{
	struct buf raw = { 0 }, coded = { 0 };

	handler_secret(e->h, e->spec.password);
	if (e->spec.password.len == 0)
		return;
	buf_addc(&raw, '\0');
	buf_add_str(&raw, e->spec.username);
	buf_addc(&raw, '\0');
	buf_add_str(&raw, e->spec.password);
	base64_encode(&coded, raw.ptr, raw.len, false);
	handler_secret(e->h, buf_str(&coded));
	buf_free(&raw);
	buf_free(&coded);
}

static int
email_open(struct handler *h, const void *spec, void **ret, struct err *err)
{
	struct email *e = mem_new(struct email);
	int rc;

	e->h = h;
	record_copy(&spec_record, &e->arena, &e->spec, spec);
	keep_secrets(e);
	rc = check_spec(e, err);
	if (rc != 0) {
		arena_fini(&e->arena);
		free(e);
		return rc;
	}
	*ret = e;
	return 0;
}

static void
email_close(void *own)
{
	struct email *e = own;

	arena_fini(&e->arena);
	free(e);
}

/* --- a message ----------------------------------------------------------- */

/* Lists may have texts with several addresses in them. */
static struct strs
split(struct arena *a, struct strs list)
{
	struct strs all = { NULL, 0 };
	size_t n = 0;

	for (size_t i = 0; i < list.n; i++) {
		n++;
		for (size_t k = 0; k < list.at[i].len; k++)
			n += list.at[i].ptr[k] == ',';
	}
	all.at = arena_array(a, n + 1, struct str);
	for (size_t i = 0; i < list.n; i++) {
		struct str rest = list.at[i];

		while (rest.ptr != NULL) {
			struct str one = str_trim(str_cut(&rest, ','));

			if (one.len > 0)
				all.at[all.n++] = one;
		}
	}
	return all;
}

static struct str
new_id(struct arena *a, struct str address)
{
	unsigned char bytes[16];
	struct buf hex = { 0 };
	struct str rest = address, id;

	(void)str_cut(&rest, '@');
	rand_bytes(bytes, sizeof(bytes));
	hex_encode(&hex, bytes, sizeof(bytes));
	id = arena_printf(
	    a, STR_FMT "@" STR_FMT, STR_ARG(buf_str(&hex)), STR_ARG(rest));
	buf_free(&hex);
	return id;
}

/* "<ann@example.com>", as SMTP has it. */
static const char *
envelope(struct arena *a, struct str text)
{
	struct str name, address;

	return mail_address(text, &name, &address)
	    ? arena_printf(a, "<" STR_FMT ">", STR_ARG(address)).ptr
	    : NULL;
}

static int
email_prepare(
    void *own, struct handler_job *j, const void *parameter, struct err *err)
{
	struct email *e = own;
	const struct parameter *p = parameter;
	struct message *m = arena_new(&j->arena, struct message);
	struct mail mail = { .from = p->from,
		.to = split(&j->arena, p->to.n > 0 ? p->to : e->spec.to),
		.subject = p->subject,
		.body = p->body,
		.date_ms = clock_now() };
	struct str name, address;
	struct buf text = { 0 };
	int rc;

	if (mail.from.len == 0)
		mail.from =
		    e->spec.from.len > 0 ? e->spec.from : e->spec.username;
	if (mail.subject.len == 0)
		mail.subject = STR("Email from MyController server");
	if (mail.to.n == 0)
		return err_set(err, ERR_PARAM,
		    "to: neither the parameter nor toEmails names anybody");
	if (!mail_address(mail.from, &name, &address))
		return err_set(
		    err, ERR_PARAM, "from: an e-mail address is needed");
	mail.message_id = new_id(&j->arena, address);
	rc = mail_write(&text, &mail, err);
	if (rc == 0) {
		m->text = arena_str(&j->arena, buf_str(&text));
		m->from = envelope(&j->arena, mail.from);
		m->to = arena_array(&j->arena, mail.to.n + 1, const char *);
		for (size_t i = 0; i < mail.to.n; i++)
			m->to[i] = envelope(&j->arena, mail.to.at[i]);
		j->own = m;
	}
	buf_free(&text);
	return rc;
}

/* --- the thread ---------------------------------------------------------- */

static void
free_letter(struct letter *l)
{
	pthread_mutex_destroy(&l->lock);
	arena_fini(&l->arena);
	free(l);
}

static size_t
on_read(char *to, size_t size, size_t n, void *ctx)
{
	struct letter *l = ctx;
	size_t len = MIN_OF(size * n, l->text.len - l->read);

	memcpy(to, l->text.ptr + l->read, len);
	l->read += len;
	return len;
}

static curl_socket_t
on_open(void *ctx, curlsocktype purpose, struct curl_sockaddr *to)
{
	struct wire *w = ctx;
	curl_socket_t fd;

	(void)purpose;
	if (w->n == SOCKETS_MAX)
		return CURL_SOCKET_BAD;
	fd = socket(to->family, to->socktype | SOCK_CLOEXEC, to->protocol);
	if (fd != CURL_SOCKET_BAD)
		w->open[w->n++] = fd;
	return fd;
}

static int
on_close(void *ctx, curl_socket_t fd)
{
	struct wire *w = ctx;

	for (size_t i = 0; i < w->n; i++)
		if (w->open[i] == fd)
			w->open[i--] = w->open[--w->n];
	return close(fd);
}

/* What libcurl says from now on is not waited to be answered: it reads the end.
 */
static void
stop_listening(struct wire *w)
{
	for (size_t i = 0; i < w->n; i++)
		shutdown(w->open[i], SHUT_RD);
}

/* What the server says, a line at a time; the last one counts. Once it has
 * greeted us, its first no is the last word: all that follows is QUIT. */
static size_t
on_line(char *line, size_t size, size_t n, void *ctx)
{
	struct letter *l = ctx;
	struct str text = str_trim((struct str){ line, size * n });

	snprintf(l->reply, sizeof(l->reply), STR_FMT, STR_ARG(text));
	if (str_starts(text, STR("250 ")))
		l->wire->greeted = true;
	if (l->wire->greeted && text.len >= 4 && text.ptr[3] == ' ' &&
	    (text.ptr[0] == '4' || text.ptr[0] == '5'))
		stop_listening(l->wire);
	return size * n;
}

static size_t
on_nothing(char *bytes, size_t size, size_t n, void *ctx)
{
	(void)bytes;
	(void)ctx;
	return size * n;
}

static bool
is_wanted(struct letter *l)
{
	bool wanted;

	pthread_mutex_lock(&l->lock);
	wanted = l->owner != NULL;
	pthread_mutex_unlock(&l->lock);
	return wanted;
}

/* Ends a transfer that nobody waits for. */
static int
on_progress(void *ctx, curl_off_t down, curl_off_t down_now, curl_off_t up,
    curl_off_t up_now)
{
	(void)down;
	(void)down_now;
	(void)up;
	(void)up_now;
	if (is_wanted(ctx))
		return 0;
	stop_listening(((struct letter *)ctx)->wire);
	return 1;
}

static void
perform(struct letter *l, CURL *easy, struct curl_slist *to)
{
	curl_easy_setopt(easy, CURLOPT_URL, l->url);
	curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "smtp,smtps");
	curl_easy_setopt(easy, CURLOPT_USE_SSL,
	    l->security == NONE ? (long)CURLUSESSL_NONE : (long)CURLUSESSL_ALL);
	if (l->user != NULL) {
		curl_easy_setopt(easy, CURLOPT_USERNAME, l->user);
		curl_easy_setopt(easy, CURLOPT_PASSWORD, l->password);
		curl_easy_setopt(easy, CURLOPT_LOGIN_OPTIONS, l->login);
	}
	if (l->insecure) {
		curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 0L);
		curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 0L);
	}
	if (l->ca_file != NULL)
		curl_easy_setopt(easy, CURLOPT_CAINFO, l->ca_file);
	curl_easy_setopt(easy, CURLOPT_MAIL_FROM, l->from);
	curl_easy_setopt(easy, CURLOPT_MAIL_RCPT, to);
	curl_easy_setopt(easy, CURLOPT_UPLOAD, 1L);
	curl_easy_setopt(easy, CURLOPT_READFUNCTION, on_read);
	curl_easy_setopt(easy, CURLOPT_READDATA, l);
	curl_easy_setopt(
	    easy, CURLOPT_INFILESIZE_LARGE, (curl_off_t)l->text.len);
	curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_line);
	curl_easy_setopt(easy, CURLOPT_HEADERDATA, l);
	curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_nothing);
	curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, on_open);
	curl_easy_setopt(easy, CURLOPT_OPENSOCKETDATA, l->wire);
	curl_easy_setopt(easy, CURLOPT_CLOSESOCKETFUNCTION, on_close);
	curl_easy_setopt(easy, CURLOPT_CLOSESOCKETDATA, l->wire);
	curl_easy_setopt(easy, CURLOPT_NOPROGRESS, 0L);
	curl_easy_setopt(easy, CURLOPT_XFERINFOFUNCTION, on_progress);
	curl_easy_setopt(easy, CURLOPT_XFERINFODATA, l);
	curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L);
	curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, l->timeout_ms);
	curl_easy_setopt(easy, CURLOPT_SERVER_RESPONSE_TIMEOUT,
	    MAX_OF(l->timeout_ms / 1000, 1L));
	l->code = curl_easy_perform(easy);
	curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &l->status);
	curl_easy_setopt(easy, CURLOPT_NOPROGRESS, 1L);
	curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_nothing);
}

static void *
run(void *arg)
{
	struct letter *l = arg;
	struct wire wire = { .n = 0 };
	struct curl_slist *to = NULL;
	CURL *easy = curl_easy_init();
	bool wanted;

	l->wire = &wire;
	for (size_t i = 0; l->to[i] != NULL; i++)
		to = curl_slist_append(to, l->to[i]);
	perform(l, easy, to);
	pthread_mutex_lock(&l->lock);
	wanted = l->owner != NULL;
	if (wanted)
		loop_post(l->loop, &l->back);
	pthread_mutex_unlock(&l->lock);
	if (!wanted)
		free_letter(l);
	/* the letter is not ours any more */
	stop_listening(&wire);
	curl_easy_cleanup(easy); /* says QUIT */
	curl_slist_free_all(to);
	return NULL;
}

/* --- sending ------------------------------------------------------------- */

static bool
is_final(const struct letter *l)
{
	switch (l->code) {
	case CURLE_PEER_FAILED_VERIFICATION:
	case CURLE_SSL_CACERT_BADFILE:
	case CURLE_USE_SSL_FAILED:
	case CURLE_URL_MALFORMAT:
		return true;
	case CURLE_LOGIN_DENIED:
		return l->status / 100 != 4;
	default:
		return l->status / 100 == 5;
	}
}

static void
tell(struct email *e, const struct letter *l)
{
	struct buf text = { 0 };
	int code = l->code == CURLE_LOGIN_DENIED ? ERR_DENIED : ERR_IO;

	if (l->code == CURLE_OK) {
		handler_sent(e->h, HANDLER_SENT, 0, 0, l->reply);
		return;
	}
	buf_addz(&text, curl_easy_strerror(l->code));
	if (l->status >= 400 && l->reply[0] != '\0')
		buf_addf(&text, ": %s", l->reply);
	handler_sent(e->h, is_final(l) ? HANDLER_REFUSED : HANDLER_LATER, code,
	    0, buf_z(&text));
	buf_free(&text);
}

static void
on_back(struct loop_post *p)
{
	struct letter *l = container_of(p, struct letter, back);
	struct email *e;

	pthread_mutex_lock(&l->lock); /* the thread has let go of it */
	e = l->owner;
	pthread_mutex_unlock(&l->lock);
	if (e != NULL) { /* else it was cancelled on the way back */
		e->letter = NULL;
		tell(e, l);
	}
	free_letter(l);
}

static void
email_send(void *own, struct handler_job *j)
{
	struct email *e = own;
	const struct handler_host *host = handler_host_of(e->h);
	const struct message *m = j->own;
	struct letter *l = mem_new(struct letter);
	pthread_t thread;
	pthread_attr_t attr;
	size_t n = 0;

	while (m->to[n] != NULL)
		n++;
	*l = (struct letter){ .back.run = on_back,
		.loop = host->loop,
		.owner = e,
		.security = e->security,
		.insecure = e->spec.insecure,
		.timeout_ms = (long)host->settings->timeout };
	pthread_mutex_init(&l->lock, NULL);
	l->url = arena_printf(&l->arena,
	    memchr(e->spec.host.ptr, ':', e->spec.host.len) != NULL
		? "%s://[" STR_FMT "]:%" PRId64
		: "%s://" STR_FMT ":%" PRId64,
	    e->security == TLS ? "smtps" : "smtp", STR_ARG(e->spec.host),
	    e->spec.port)
		     .ptr;
	if (e->spec.username.len > 0) {
		l->user = arena_z(&l->arena, e->spec.username);
		l->password = arena_z(&l->arena, e->spec.password);
		l->login = str_eq_nocase(e->spec.auth_type, STR("crammd5"))
		    ? "AUTH=CRAM-MD5"
		    : "AUTH=PLAIN";
	}
	if (host->settings->ca_file.len > 0)
		l->ca_file = arena_z(&l->arena, host->settings->ca_file);
	l->from = arena_z(&l->arena, str_of(m->from));
	l->to = arena_array(&l->arena, n + 1, const char *);
	for (size_t i = 0; i < n; i++)
		l->to[i] = arena_z(&l->arena, str_of(m->to[i]));
	l->text = arena_str(&l->arena, m->text);

	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	e->letter = l;
	if (pthread_create(&thread, &attr, run, l) != 0) {
		e->letter = NULL;
		free_letter(l);
		handler_sent(e->h, HANDLER_LATER, ERR_IO, 0,
		    "a thread could not be started");
	}
	pthread_attr_destroy(&attr);
}

static void
email_cancel(void *own, struct handler_job *j)
{
	struct email *e = own;
	struct letter *l = e->letter;

	(void)j;
	e->letter = NULL;
	if (l == NULL)
		return;
	pthread_mutex_lock(&l->lock);
	l->owner = NULL;
	pthread_mutex_unlock(&l->lock);
}

const struct handler_ops handler_email = {
	.name = "email",
	.parameter = "email",
	.spec = &spec_record,
	.takes = &parameter_record,
	.open = email_open,
	.prepare = email_prepare,
	.send = email_send,
	.cancel = email_cancel,
	.close = email_close,
};
