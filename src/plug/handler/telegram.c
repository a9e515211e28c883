/*
 * plug/handler/telegram.c - a message to chats of Telegram, by its Bot API.
 *
 * When it is opened, `getMe` tells whether the token is good. A message goes to
 * one chat after the other; what is tried again goes on with the chat that
 * failed, and a chat that refuses does not keep the others from theirs.
 */
#include "base/base.h"
#include "base/mem.h"
#include "codec/json.h"
#include "codec/url.h"
#include "net/http/client.h"
#include "plug/handler/ops.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RETRY_GET_ME_MS 60000

struct spec {
	struct str token;
	struct strs chat_ids;
};

#define S struct spec
static const struct field spec_fields[] = {
	F_TEXT(S, token, "token", .flags = FIELD_SECRET,
	    .help = "The bot's, from BotFather."),
	F_TEXTS(S, chat_ids, "chatIds",
	    .help = "Chats for messages that name none."),
	{ 0 },
};
#undef S
static const struct record spec_record = { "telegram", sizeof(struct spec),
	spec_fields };

struct parameter {
	struct strs chat_ids;
	struct str parse_mode, text;
};

#define P struct parameter
static const struct field parameter_fields[] = {
	F_TEXTS(P, chat_ids, "chatIds"),
	F_TEXT(P, parse_mode, "parseMode",
	    .help = "Text, Markdown, MarkdownV2 or HTML."),
	F_TEXT(P, text, "text"),
	{ 0 },
};
#undef P
static const struct record parameter_record = { "telegram parameter",
	sizeof(struct parameter), parameter_fields };

struct telegram {
	struct handler *h;
	struct arena arena;
	struct spec spec;
	struct http_client *pool;
	struct http_fetch *call;  /* sendMessage */
	struct http_fetch *hello; /* getMe */
	struct loop_timer hello_again;
	struct message *message; /* that is being sent */
};

/* What send() needs. */
struct message {
	struct strs chats;
	struct str *bodies; /* of the requests, one per chat */
	size_t next;        /* chats before it are done with */
	size_t refused;
	const char *why;     /* the first refusal */
	struct arena *arena; /* the job's */
};

/* What the API answers. */
struct reply {
	bool ok;
	int64_t retry_after_s;
	struct str description;
};

static struct reply
read_reply(struct arena *a, const struct http_answer *answer)
{
	struct reply r = { .description = STR("") };
	struct str key, inner;
	struct json j;

	json_open(&j, answer->body, 0, a);
	if (answer->status == 0 || !json_object(&j))
		return r;
	while (json_member(&j, &key)) {
		if (str_eqz(key, "ok")) {
			json_bool(&j, &r.ok);
		} else if (str_eqz(key, "description")) {
			json_str(&j, &r.description);
		} else if (str_eqz(key, "parameters") &&
		    json_peek(&j) == JSON_OBJECT) {
			json_object(&j);
			while (json_member(&j, &inner)) {
				if (str_eqz(inner, "retry_after"))
					json_i64(&j, &r.retry_after_s);
				else
					json_skip(&j);
			}
		} else {
			json_skip(&j);
		}
	}
	if (json_done(&j, NULL) != 0)
		r = (struct reply){ .description = STR("") };
	return r;
}

static const char *
sentence(
    struct arena *a, const struct http_answer *answer, const struct reply *r)
{
	if (answer->status == 0)
		return answer->why;
	return arena_printf(a, "Telegram answered HTTP %d%s" STR_FMT,
	    answer->status, r->description.len > 0 ? ": " : "",
	    STR_ARG(r->description))
	    .ptr;
}

static struct http_fetch *
call(struct telegram *t, const char *method, struct str body,
    http_fetch_done *done)
{
	const struct handler_settings *set = handler_host_of(t->h)->settings;
	struct str header = STR("Content-Type: application/json");
	struct arena a = { 0 };
	struct http_request r = { .method = body.ptr != NULL ? "POST" : "GET",
		.body = body };
	struct http_fetch *c;

	r.url = arena_printf(&a, STR_FMT "/bot" STR_FMT "/%s",
	    STR_ARG(set->telegram_url), STR_ARG(t->spec.token), method)
		    .ptr;
	if (body.ptr != NULL)
		r.headers = (struct strs){ &header, 1 };
	if (set->ca_file.len > 0)
		r.ca_file = arena_z(&a, set->ca_file);
	c = http_fetch_start(t->pool, &r, done, t);
	arena_fini(&a);
	return c;
}

/* --- open ---------------------------------------------------------------- */

static void
on_hello(void *ctx, const struct http_answer *answer)
{
	struct telegram *t = ctx;
	struct arena a = { 0 };
	struct reply r = read_reply(&a, answer);
	const char *why = sentence(&a, answer, &r);

	t->hello = NULL;
	if (r.ok) {
		handler_report(t->h, HANDLER_UP, "");
	} else {
		handler_report(t->h, HANDLER_DOWN, why);
		if (answer->status == 0 || answer->status >= 500 ||
		    answer->status == 429)
			loop_after(handler_host_of(t->h)->loop, &t->hello_again,
			    RETRY_GET_ME_MS);
	}
	arena_fini(&a);
}

static void
on_hello_again(struct loop_timer *timer)
{
	struct telegram *t = container_of(timer, struct telegram, hello_again);

	t->hello = call(t, "getMe", STR_NULL, on_hello);
}

static bool
is_token(struct str s)
{
	for (size_t i = 0; i < s.len; i++)
		if (strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxy"
			   "z0123456789:_-",
			s.ptr[i]) == NULL ||
		    s.ptr[i] == '\0')
			return false;
	return s.len > 0;
}

static int
telegram_open(struct handler *h, const void *spec, void **ret, struct err *err)
{
	const struct handler_host *host = handler_host_of(h);
	struct telegram *t = mem_new(struct telegram);
	struct url url;
	int rc = 0;

	t->h = h;
	t->hello_again.fire = on_hello_again;
	record_copy(&spec_record, &t->arena, &t->spec, spec);
	handler_secret(h, t->spec.token);
	if (!is_token(t->spec.token))
		rc = err_set(err, ERR_PARAM, "token: a bot's token is needed");
	else if (!url_parse(&t->arena, host->settings->telegram_url, &url))
		rc = err_set(err, ERR_PARAM,
		    "hub.handler.telegramUrl is not an address");
	else
		rc = handler_check_host(h, url.host, err);
	if (rc != 0) {
		arena_fini(&t->arena);
		free(t);
		return rc;
	}
	t->pool = http_client_new(host->loop, NULL);
	t->hello = call(t, "getMe", STR_NULL, on_hello);
	*ret = t;
	return 0;
}

static void
telegram_close(void *own)
{
	struct telegram *t = own;

	loop_cancel(handler_host_of(t->h)->loop, &t->hello_again);
	http_fetch_cancel(t->hello);
	http_client_free(t->pool);
	arena_fini(&t->arena);
	free(t);
}

/* --- a message ----------------------------------------------------------- */

static int
check_mode(struct str mode, const char **ret, struct err *err)
{
	static const char *const modes[] = { "Markdown", "MarkdownV2", "HTML" };

	*ret = NULL;
	if (mode.len == 0 || str_eq_nocase(mode, STR("Text")))
		return 0;
	for (size_t i = 0; i < COUNT_OF(modes); i++)
		if (str_eq_nocase(mode, str_of(modes[i])))
			*ret = modes[i];
	return *ret != NULL
	    ? 0
	    : err_set(err, ERR_PARAM,
		  "parseMode: must be Text, Markdown, MarkdownV2 or HTML");
}

static int
telegram_prepare(
    void *own, struct handler_job *j, const void *parameter, struct err *err)
{
	struct telegram *t = own;
	const struct parameter *p = parameter;
	struct message *m = arena_new(&j->arena, struct message);
	const char *mode;

	m->arena = &j->arena;
	m->chats = arena_strs(
	    &j->arena, p->chat_ids.n > 0 ? p->chat_ids : t->spec.chat_ids);
	if (check_mode(p->parse_mode, &mode, err) != 0)
		return ERR_PARAM;
	if (m->chats.n == 0)
		return err_set(err, ERR_PARAM,
		    "chatIds: neither the parameter nor the handler names a "
		    "chat");
	if (p->text.len == 0)
		return err_set(err, ERR_PARAM, "text: is empty");
	m->bodies = arena_array(&j->arena, m->chats.n, struct str);
	for (size_t i = 0; i < m->chats.n; i++) {
		struct buf body = { 0 };
		struct json_out o;

		json_out_init(&o, &body, false);
		json_out_object(&o);
		json_out_key(&o, "chat_id");
		json_out_str(&o, m->chats.at[i]);
		if (mode != NULL) {
			json_out_key(&o, "parse_mode");
			json_out_str(&o, str_of(mode));
		}
		json_out_key(&o, "text");
		json_out_str(&o, p->text);
		json_out_end_object(&o);
		m->bodies[i] = arena_str(&j->arena, buf_str(&body));
		buf_free(&body);
	}
	j->own = m;
	return 0;
}

/* --- sending ------------------------------------------------------------- */

static void on_sent(void *ctx, const struct http_answer *answer);

static void
send_next(struct telegram *t)
{
	t->call = call(
	    t, "sendMessage", t->message->bodies[t->message->next], on_sent);
}

/* All chats are done with. */
static void
finish(struct telegram *t)
{
	struct message *m = t->message;

	if (m->refused == 0)
		handler_sent(t->h, HANDLER_SENT, 0, 0, "");
	else
		handler_sent(t->h, HANDLER_REFUSED, ERR_PROTO, 0, m->why);
}

static void
on_sent(void *ctx, const struct http_answer *answer)
{
	struct telegram *t = ctx;
	struct message *m = t->message;
	struct arena a = { 0 };
	struct reply r = read_reply(&a, answer);
	const char *why = sentence(&a, answer, &r);

	t->call = NULL;
	if (!r.ok &&
	    (answer->status == 0 ? answer->again
				 : answer->status == 429 ||
			answer->status >= 500 || answer->status == 200)) {
		int64_t wait_ms = r.retry_after_s > 0 && r.retry_after_s < 86400
		    ? r.retry_after_s * 1000
		    : answer->retry_after_ms;

		handler_sent(t->h, HANDLER_LATER, ERR_IO, wait_ms, why);
		arena_fini(&a);
		return;
	}
	if (!r.ok && m->refused++ == 0)
		m->why = arena_printf(m->arena, "chat " STR_FMT ": %s",
		    STR_ARG(m->chats.at[m->next]), why)
			     .ptr;
	arena_fini(&a);
	if (++m->next < m->chats.n)
		send_next(t);
	else
		finish(t);
}

static void
telegram_send(void *own, struct handler_job *j)
{
	struct telegram *t = own;

	t->message = j->own;
	send_next(t);
}

static void
telegram_cancel(void *own, struct handler_job *j)
{
	struct telegram *t = own;

	(void)j;
	http_fetch_cancel(t->call);
	t->call = NULL;
}

const struct handler_ops handler_telegram = {
	.name = "telegram",
	.parameter = "telegram",
	.spec = &spec_record,
	.takes = &parameter_record,
	.open = telegram_open,
	.prepare = telegram_prepare,
	.send = telegram_send,
	.cancel = telegram_cancel,
	.close = telegram_close,
};
