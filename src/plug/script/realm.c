/*
 * plug/script/realm.c - see realm.h.
 *
 * Results come from prelude.js as one text: "+JSON", or "-code line sentence".
 *
 *  (1) One sealed and one open realm serve all sources of the process. A
 *      source holds its loader in each, made in the realm of number `made_in`;
 *      when the realm must be replaced, its number grows and loaders are made
 *      anew.
 *  (2) What a script leaves to be run later (promises) runs before the
 *      engine's lock is given back, that is before call() returns.
 */
#include "plug/script/realm.h"

#include "base/mem.h"
#include "script_prelude.h"

#include <JavaScriptCore/JavaScript.h>
#include <glib.h>
#include <stdlib.h>
#include <string.h>

#define URL "marram:script"
#define FUNCTION_HEAD 2 /* lines that the engine puts before a body */

enum part {
	RUN,
	EVALUATE,
	VALUE,
	VARIABLE,
	FREEZE,
	LOADER,
	CLEAN,
	FAILURE,
	CAREFUL,
	PARTS
};

static const char *const part_names[PARTS] = { "run", "evaluate", "value",
	"variable", "freezeRealm", "freezeLoader", "clean", "failure",
	"careful" };

enum kind { SEALED, OPEN, ONCE };

struct realm {
	JSGlobalContextRef ctx;  /* NULL: not there */
	JSObjectRef part[PARTS]; /* protected */
	unsigned number;
};

struct loader {
	JSObjectRef load; /* protected */
	unsigned made_in;
};

struct realm_source {
	JSStringRef text;
	JSStringRef body;      /* the text as that of a function */
	JSStringRef evaluated; /* the text with its name, for eval() */
	uint32_t lines;
	bool looked_at;
	enum kind kind; /* that it is run in */
	struct loader loader[ONCE];
	struct loader evaluator[ONCE];
	struct buf names[ONCE]; /* of the variables that an evaluator takes */
	struct buf known; /* a failure that was the same where all is allowed */
};

static JSContextGroupRef group;
static struct realm lasting[ONCE];
static JSStringRef prelude, url, empty_name;
static uint32_t output_max;
static realm_ask *ask_parent;

static struct buf console, text, scratch;
static bool asked; /* the call has asked for something */

/* --- texts --------------------------------------------------------------- */

static JSStringRef
string_of(struct str s)
{
	buf_clear(&scratch);
	buf_add_str(&scratch, s);
	return JSStringCreateWithUTF8CString(buf_z(&scratch));
}

static void
add_string(struct buf *b, JSStringRef s)
{
	size_t max = JSStringGetMaximumUTF8CStringSize(s), n;

	buf_reserve(b, max);
	n = JSStringGetUTF8CString(s, b->ptr + b->len, max);
	b->len += n > 0 ? n - 1 : 0; /* without its NUL */
}

static void
add_value(JSContextRef ctx, struct buf *b, JSValueRef v)
{
	JSStringRef s = JSValueToStringCopy(ctx, v, NULL);

	if (s == NULL)
		return; /* its toString() threw */
	add_string(b, s);
	JSStringRelease(s);
}

static JSValueRef
value_of(JSContextRef ctx, struct str s)
{
	JSStringRef js = string_of(s);
	JSValueRef v = JSValueMakeString(ctx, js);

	JSStringRelease(js);
	return v;
}

/* --- what the prelude is given ------------------------------------------- */

#define NATIVE(name)                                                           \
	static JSValueRef name(JSContextRef ctx, JSObjectRef f,                \
	    JSObjectRef self, size_t n, const JSValueRef v[], JSValueRef *exc)

NATIVE(native_log)
{
	(void)f;
	(void)self;
	(void)exc;
	if (n > 0 && console.len < output_max) {
		add_value(ctx, &console, v[0]);
		buf_addc(&console, '\n');
	}
	return JSValueMakeUndefined(ctx);
}

/* hash(name, text whose characters are bytes): hexadecimal. */
NATIVE(native_hash)
{
	static const struct {
		const char *name;
		GChecksumType type;
	} known[] = { { "md5", G_CHECKSUM_MD5 }, { "sha1", G_CHECKSUM_SHA1 },
		{ "sha256", G_CHECKSUM_SHA256 },
		{ "sha512", G_CHECKSUM_SHA512 } };
	struct buf name = { 0 }, bytes = { 0 };
	JSValueRef ret = JSValueMakeUndefined(ctx);
	JSStringRef s;

	(void)f;
	(void)self;
	(void)exc;
	if (n < 2 || (s = JSValueToStringCopy(ctx, v[1], NULL)) == NULL)
		return ret;
	add_value(ctx, &name, v[0]);
	buf_reserve(&bytes, JSStringGetLength(s) + 1);
	for (size_t i = 0; i < JSStringGetLength(s); i++)
		bytes.ptr[bytes.len++] =
		    (char)(JSStringGetCharactersPtr(s)[i] & 255);
	JSStringRelease(s);
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		char *hex;

		if (!str_eqz(buf_str(&name), known[i].name))
			continue;
		hex = g_compute_checksum_for_data(
		    known[i].type, (const guchar *)bytes.ptr, bytes.len);
		ret = value_of(ctx, str_of(hex));
		g_free(hex);
	}
	buf_free(&name);
	buf_free(&bytes);
	return ret;
}

/* http(method, url, headers, body, insecure, timeout): JSON. */
NATIVE(native_http)
{
	struct buf part[4] = { 0 }, answer = { 0 };
	struct wire_ask ask = { 0 };
	JSValueRef ret;
	double ms;

	(void)f;
	(void)self;
	(void)exc;
	if (n < 6)
		return JSValueMakeUndefined(ctx);
	for (int i = 0; i < 4; i++)
		add_value(ctx, &part[i], v[i]);
	ask.method = buf_str(&part[0]);
	ask.url = buf_str(&part[1]);
	ask.headers = buf_str(&part[2]);
	ask.body = buf_str(&part[3]);
	ask.insecure = JSValueToBoolean(ctx, v[4]);
	ms = JSValueToNumber(ctx, v[5], NULL);
	ask.timeout = ms > 0 && ms < 1e9 ? (uint32_t)ms : 0;
	asked = true;
	ask_parent(&ask, &answer);
	ret = value_of(ctx, buf_str(&answer));
	for (int i = 0; i < 4; i++)
		buf_free(&part[i]);
	buf_free(&answer);
	return ret;
}

static void
set_native(JSContextRef ctx, JSObjectRef o, const char *name,
    JSObjectCallAsFunctionCallback run)
{
	JSStringRef s = JSStringCreateWithUTF8CString(name);

	JSObjectSetProperty(
	    ctx, o, s, JSObjectMakeFunctionWithCallback(ctx, s, run), 0, NULL);
	JSStringRelease(s);
}

/* --- realms -------------------------------------------------------------- */

static JSValueRef
call(struct realm *r, enum part part, size_t n, const JSValueRef *args)
{
	JSValueRef exc = NULL;
	JSValueRef v =
	    JSObjectCallAsFunction(r->ctx, r->part[part], NULL, n, args, &exc);

	return exc == NULL ? v : NULL;
}

/* The prelude is ours: what fails in it is our bug, or memory is gone. */
static void
open_realm(struct realm *r)
{
	JSValueRef args[3], exc = NULL, v;
	JSObjectRef native, parts;

	r->ctx = JSGlobalContextCreateInGroup(group, NULL);
	native = JSObjectMake(r->ctx, NULL, NULL);
	set_native(r->ctx, native, "log", native_log);
	set_native(r->ctx, native, "hash", native_hash);
	set_native(r->ctx, native, "http", native_http);
	v = JSEvaluateScript(r->ctx, prelude, NULL, NULL, 1, &exc);
	if (exc != NULL)
		abort();
	args[0] = native;
	args[1] = JSValueMakeNumber(r->ctx, output_max);
	args[2] = JSValueMakeNumber(r->ctx, FUNCTION_HEAD);
	v = JSObjectCallAsFunction(r->ctx, (JSObjectRef)v, NULL, 3, args, &exc);
	if (exc != NULL)
		abort();
	parts = (JSObjectRef)v;
	for (int i = 0; i < PARTS; i++) {
		JSStringRef s = JSStringCreateWithUTF8CString(part_names[i]);

		r->part[i] =
		    (JSObjectRef)JSObjectGetProperty(r->ctx, parts, s, NULL);
		JSValueProtect(r->ctx, r->part[i]);
		JSStringRelease(s);
	}
}

static void
close_realm(struct realm *r)
{
	if (r->ctx == NULL)
		return;
	for (int i = 0; i < PARTS; i++)
		JSValueUnprotect(r->ctx, r->part[i]);
	JSGlobalContextRelease(r->ctx);
	r->ctx = NULL;
}

static struct realm *
open_lasting(enum kind kind)
{
	struct realm *r = &lasting[kind];
	JSValueRef seal;

	if (r->ctx != NULL)
		return r;
	open_realm(r);
	seal = JSValueMakeBoolean(r->ctx, kind == SEALED);
	if (call(r, FREEZE, 1, &seal) == NULL)
		abort();
	r->number++;
	return r;
}

/* --- sources ------------------------------------------------------------- */

struct realm_source *
realm_source_new(struct str source)
{
	static const char tail[] = "\n;return {"
#define NAME(f) #f ": typeof " #f " === 'function' ? " #f " : undefined,"
	    NAME(decodeUplink) NAME(Decode) NAME(Decoder) NAME(normalizeUplink)
		NAME(encodeDownlink) NAME(Encode) NAME(Encoder)
		    NAME(decodeDownlink) "};";
#undef NAME
	struct realm_source *s = mem_new(struct realm_source);
	struct buf body = { 0 };

	s->text = string_of(source);
	s->lines = 1;
	for (size_t i = 0; i < source.len; i++)
		s->lines += source.ptr[i] == '\n';
	buf_add_str(&body, source);
	buf_addz(&body, tail);
	s->body = string_of(buf_str(&body));
	buf_clear(&body);
	buf_add_str(&body, source);
	buf_addz(&body, "\n//# sourceURL=" URL);
	s->evaluated = string_of(buf_str(&body));
	buf_free(&body);
	return s;
}

static void
forget(struct loader *l, enum kind kind)
{
	if (l->load != NULL && lasting[kind].ctx != NULL &&
	    l->made_in == lasting[kind].number)
		JSValueUnprotect(lasting[kind].ctx, l->load);
	l->load = NULL;
}

void
realm_source_free(struct realm_source *s)
{
	if (s == NULL)
		return;
	for (int k = SEALED; k < ONCE; k++) {
		forget(&s->loader[k], k);
		forget(&s->evaluator[k], k);
		buf_free(&s->names[k]);
	}
	JSStringRelease(s->text);
	JSStringRelease(s->body);
	JSStringRelease(s->evaluated);
	buf_free(&s->known);
	free(s);
}

/* --- calls --------------------------------------------------------------- */

/* Cuts "-code line sentence" or "+JSON" in `text`. */
static void
take_answer(struct realm_answer *ret)
{
	struct str rest = buf_str(&text), word, number;
	uint64_t line = 0;

	if (rest.len > 0 && rest.ptr[0] == '+') {
		ret->good = true;
		ret->text = (struct str){ rest.ptr + 1, rest.len - 1 };
		return;
	}
	word = str_cut(&rest, ' ');
	number = str_cut(&rest, ' ');
	(void)str_to_u64(number, &line); /* else not known */
	ret->code = str_eqz(word, "-missing") ? WIRE_MISSING
	    : str_eqz(word, "-limit")         ? WIRE_LIMIT
					      : WIRE_PARAM;
	ret->line = (uint32_t)line;
	ret->text = rest.ptr != NULL
	    ? rest
	    : STR("it threw something that cannot be shown");
}

static void
add_answer(struct realm *r, JSValueRef v)
{
	if (v != NULL)
		add_value(r->ctx, &text, v);
}

static void
add_failure(struct realm *r, JSValueRef exc, int before)
{
	JSValueRef args[2] = { exc, JSValueMakeNumber(r->ctx, before) };

	add_answer(r, call(r, FAILURE, 2, args));
}

static JSObjectRef
make_loader(struct realm *r, struct realm_source *s)
{
	JSValueRef exc = NULL;
	JSObjectRef load = JSObjectMakeFunction(
	    r->ctx, empty_name, 0, NULL, s->body, url, 1, &exc);

	if (exc != NULL) {
		add_failure(r, exc, FUNCTION_HEAD);
		return NULL;
	}
	return load;
}

static void
call_function(struct realm *r, JSObjectRef load, const struct realm_call *c)
{
	JSValueRef args[3];

	args[0] = load;
	args[1] = JSValueMakeNumber(r->ctx, c->entry);
	args[2] = value_of(r->ctx, c->arg);
	add_answer(r, call(r, RUN, 3, args));
}

/* A function that evaluates its first argument, with variables for the rest. */
static JSObjectRef
make_evaluator(struct realm *r, const struct realm_call *c)
{
	JSStringRef *names = mem_array(c->n_vars + 1, sizeof(*names));
	JSStringRef body =
	    JSStringCreateWithUTF8CString("return eval(arguments[0])");
	struct wire w = c->vars;
	JSValueRef exc = NULL;
	JSObjectRef ret;

	names[0] = JSStringCreateWithUTF8CString("script");
	for (uint32_t i = 0; i < c->n_vars; i++) {
		names[i + 1] = string_of(wire_get_text(&w));
		wire_get_text(&w);
	}
	ret = JSObjectMakeFunction(r->ctx, empty_name, c->n_vars + 1,
	    (const JSStringRef *)names, body, NULL, 1, &exc);
	if (exc != NULL)
		add_failure(r, exc, 0);
	for (uint32_t i = 0; i <= c->n_vars; i++)
		JSStringRelease(names[i]);
	JSStringRelease(body);
	free(names);
	return exc == NULL ? ret : NULL;
}

static void
call_evaluator(struct realm *r, JSObjectRef load, const struct realm_call *c)
{
	JSValueRef *args = mem_array(c->n_vars + 3, sizeof(*args));
	struct wire w = c->vars;

	args[0] = load;
	args[1] = JSValueMakeString(r->ctx, c->source->evaluated);
	args[2] = JSValueMakeBoolean(r->ctx, c->flags & WIRE_BOTH_SPELLINGS);
	/* The engine finds values on the stack, but not in our memory: while
	 * these are made, it must not collect. */
	for (uint32_t i = 0; i < c->n_vars; i++) {
		wire_get_text(&w);
		args[i + 3] = value_of(r->ctx, wire_get_text(&w));
		JSValueProtect(r->ctx, args[i + 3]);
	}
	JSValueProtect(r->ctx, args[1]);
	add_answer(r, call(r, EVALUATE, c->n_vars + 3, args));
	JSValueUnprotect(r->ctx, args[1]);
	for (uint32_t i = 0; i < c->n_vars; i++)
		JSValueUnprotect(r->ctx, args[i + 3]);
	free(args);
}

/* Whether the evaluator that is there has these variables; if not, notes them
 * for the one to be made. */
static bool
has_names(struct buf *names, const struct realm_call *c)
{
	struct wire w = c->vars;

	buf_clear(&scratch);
	for (uint32_t i = 0; i < c->n_vars; i++) {
		buf_add_str(&scratch, wire_get_text(&w));
		buf_addc(&scratch, ' ');
		wire_get_text(&w);
	}
	if (names->len == scratch.len &&
	    (scratch.len == 0 ||
		memcmp(names->ptr, scratch.ptr, scratch.len) == 0))
		return true;
	buf_clear(names);
	buf_add_str(names, buf_str(&scratch));
	return false;
}

static void
run_lasting(enum kind kind, const struct realm_call *c)
{
	struct realm_source *s = c->source;
	struct realm *r = open_lasting(kind);
	bool value = c->entry == 0;
	struct loader *l = value ? &s->evaluator[kind] : &s->loader[kind];
	JSValueRef v;

	if (value && !has_names(&s->names[kind], c))
		forget(l, kind);
	if (l->load == NULL || l->made_in != r->number) {
		l->load = value ? make_evaluator(r, c) : make_loader(r, s);
		l->made_in = r->number;
		if (l->load == NULL)
			return;
		JSValueProtect(r->ctx, l->load);
		v = l->load;
		if (call(r, LOADER, 1, &v) == NULL)
			abort();
	}
	if (value)
		call_evaluator(r, l->load, c);
	else
		call_function(r, l->load, c);
	if (kind == SEALED)
		return;
	v = call(r, CLEAN, 0, NULL);
	if (v == NULL || !JSValueToBoolean(r->ctx, v))
		close_realm(r);
}

static bool
set_variables(struct realm *r, const struct realm_call *c)
{
	struct wire w = c->vars;

	for (uint32_t i = 0; i < c->n_vars; i++) {
		JSValueRef args[3], exc = NULL;

		args[0] = value_of(r->ctx, wire_get_text(&w));
		args[1] = value_of(r->ctx, wire_get_text(&w));
		args[2] =
		    JSValueMakeBoolean(r->ctx, c->flags & WIRE_BOTH_SPELLINGS);
		JSObjectCallAsFunction(
		    r->ctx, r->part[VARIABLE], NULL, 3, args, &exc);
		if (exc != NULL) {
			add_failure(r, exc, 0);
			return false;
		}
	}
	return true;
}

static void
run_once(const struct realm_call *c)
{
	struct realm r = { 0 };
	JSValueRef v, exc = NULL;
	JSObjectRef load;

	open_realm(&r);
	if (!set_variables(&r, c)) {
		/* said */
	} else if (c->entry == 0) {
		v = JSEvaluateScript(
		    r.ctx, c->source->text, NULL, url, 1, &exc);
		if (exc != NULL)
			add_failure(&r, exc, 0);
		else
			add_answer(&r, call(&r, VALUE, 1, &v));
	} else if ((load = make_loader(&r, c->source)) != NULL) {
		call_function(&r, load, c);
	}
	close_realm(&r);
}

/* The first kind of realm for a source: by a look at its text. */
static void
look_at(struct realm_source *s, bool value)
{
	struct realm *r = open_lasting(SEALED);
	JSValueRef args[2] = { JSValueMakeString(r->ctx, s->text),
		JSValueMakeBoolean(r->ctx, value) };
	JSValueRef v = call(r, CAREFUL, 2, args);

	s->kind = v == NULL || JSValueToBoolean(r->ctx, v) ? ONCE : SEALED;
	s->looked_at = true;
}

static void
run_in(enum kind kind, const struct realm_call *c)
{
	buf_clear(&text);
	buf_clear(&console);
	if (kind == ONCE)
		run_once(c);
	else
		run_lasting(kind, c);
}

static bool
has_failed(void)
{
	return text.len > 0 && text.ptr[0] == '-';
}

/* Where a failure of a lasting realm is tried again. */
static enum kind
next_kind(enum kind kind)
{
	return kind == SEALED && strstr(buf_z(&text), "Can't find variable")
	    ? OPEN
	    : ONCE;
}

/* A failure may come from what is forbidden in the realm: it is tried again
 * where less is. If that changes things, this is the source's kind from now on;
 * else the failure is real, and known for the next time. */
static void
run(const struct realm_call *c)
{
	struct realm_source *s = c->source;
	enum kind kind = s->kind;

	run_in(kind, c);
	while (kind < ONCE && !asked && has_failed() &&
	    !str_eq(buf_str(&text), buf_str(&s->known))) {
		kind = next_kind(kind);
		run_in(kind, c);
		if (!has_failed()) {
			s->kind = kind;
		} else if (kind == ONCE) {
			buf_clear(&s->known);
			buf_add_str(&s->known, buf_str(&text));
		}
	}
}

void
realm_run(const struct realm_call *c, struct realm_answer *ret)
{
	memset(ret, 0, sizeof(*ret));
	buf_clear(&text);
	buf_clear(&console);
	asked = false;
	if (c->source == NULL) {
		buf_addz(&text, "-param 0 the source is not here");
	} else if (c->entry != 0 && c->n_vars > 0) {
		run_in(ONCE, c);
	} else {
		if (!c->source->looked_at)
			look_at(c->source, c->entry == 0);
		run(c);
	}
	take_answer(ret);
	if (c->source != NULL && ret->line > c->source->lines)
		ret->line = c->source->lines; /* in what stands behind it */
	if (console.len > output_max) {
		console.len = output_max;
		while (console.len > 0 && !str_is_utf8(buf_str(&console)))
			console.len--; /* a character was cut */
	}
	ret->console = console.ptr != NULL ? buf_str(&console) : STR("");
}

/* --- start --------------------------------------------------------------- */

static void
warm_up(void)
{
	struct realm_source *s = realm_source_new(STR(
	    "function decodeUplink(i) { var n = 0, o = {};"
	    "for (var k = 0; k < 20000; k++) n += k % 7;"
	    "o.text = new Date(0).toString() + n.toFixed(2) + (0.5).toString();"
	    "o.date = new Date(2020, 5, 1).toLocaleString();"
	    "return { data: o }; }"));
	struct realm_source *v = realm_source_new(
	    STR("[new Date(2020, 5, 1).toLocaleString(), 'ä'.normalize('NFD'),"
		"'a'.localeCompare('b'), (1234.5).toLocaleString()]"));
	struct realm_call c = { .source = s, .entry = 1, .arg = STR("{}") };
	struct realm_answer a;

	for (int i = 0; i < 50; i++)
		realm_run(&c, &a);
	c.source = v;
	c.entry = 0;
	realm_run(&c, &a);
	realm_source_free(s);
	realm_source_free(v);
	JSGarbageCollect(lasting[SEALED].ctx);
}

void
realm_start(bool jit, uint32_t max, realm_ask *ask)
{
	setenv("JSC_useJIT", jit ? "1" : "0", 1);
	output_max = max;
	ask_parent = ask;
	group = JSContextGroupCreate();
	prelude = JSStringCreateWithUTF8CString(embed_prelude_js);
	url = JSStringCreateWithUTF8CString(URL);
	empty_name = NULL;
	warm_up();
}
