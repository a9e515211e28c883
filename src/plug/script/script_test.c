/*
 * plug/script/script_test.c - asks every promise of script.h, with real helper
 * processes.
 *
 * Times that are compared are generous: the machine does other things as well.
 */
#include "base/test.h"

#include "base/arena.h"
#include "base/base.h"
#include "base/clock.h"
#include "base/mem.h"
#include "plug/script/process.h"
#include "plug/script/script.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define CALLS_MAX 4096
#define WAIT_MS 120000

/* A call with its answer kept. */
struct run {
	struct script_call call;
	struct fixture *f;
	bool over;
	char result[512], console[512];
	int64_t took;
	struct script_var var;
};

struct fixture {
	struct loop *loop;
	struct script_conf conf;
	struct script_host host;
	struct script_pool *pool;
	struct run *runs[CALLS_MAX];
	size_t n;
	struct arena arena;
	struct err err;
	size_t order;     /* calls that have ended, for some */
	char heard[1024]; /* requests that reached the host */
	struct script_http *pending;
};

static int
set_up(void **state)
{
	struct fixture *f = mem_new(struct fixture);

	f->loop = loop_new();
	script_conf_init(&f->conf);
	f->conf.timeout_ms = 2000; /* of healthy calls, on a busy machine */
	*state = f;
	return 0;
}

static struct script_pool *
pool(struct fixture *f)
{
	if (f->pool == NULL)
		f->pool = script_pool_new(f->loop, &f->conf, &f->host);
	return f->pool;
}

static int
tear_down(void **state)
{
	struct fixture *f = *state;

	script_pool_free(f->pool);
	for (size_t i = 0; i < f->n; i++)
		free(f->runs[i]);
	loop_turn(f->loop, 0);
	loop_free(f->loop);
	arena_fini(&f->arena);
	free(f);
	return 0;
}

static void
on_done(struct script_call *c)
{
	struct run *r = container_of(c, struct run, call);

	r->over = true;
	r->took = clock_mono() - r->took;
	snprintf(r->result, sizeof(r->result), STR_FMT, STR_ARG(c->result));
	snprintf(r->console, sizeof(r->console), STR_FMT, STR_ARG(c->console));
}

static struct run *
make(struct fixture *f, const char *group, const char *source,
    enum script_entry entry, const char *arg)
{
	struct run *r = mem_new(struct run);

	assert_true(f->n < CALLS_MAX);
	f->runs[f->n++] = r;
	r->f = f;
	r->took = clock_mono();
	r->call.group = str_of(group);
	r->call.source = str_of(source);
	r->call.entry = entry;
	r->call.arg = str_of(arg);
	r->call.done = on_done;
	return r;
}

static struct run *
start(struct fixture *f, struct run *r)
{
	if (script_run(pool(f), &r->call, &f->err) != 0)
		fail_msg("%s", f->err.text);
	return r;
}

static void
wait_for(struct fixture *f, struct run *r)
{
	int64_t until = clock_mono() + WAIT_MS;

	while (!r->over && clock_mono() < until)
		loop_turn(f->loop, 20);
	assert_true(r->over);
}

static struct run *
run(struct fixture *f, const char *group, const char *source,
    enum script_entry entry, const char *arg)
{
	struct run *r = start(f, make(f, group, source, entry, arg));

	wait_for(f, r);
	return r;
}

/* The value of the last expression. */
static struct run *
value(struct fixture *f, const char *source)
{
	return run(f, "u1", source, SCRIPT_VALUE, NULL);
}

static void
assert_result(const struct run *r, const char *json)
{
	if (r->call.end != SCRIPT_DONE)
		fail_msg("%d: %s", r->call.end, r->call.err.text);
	assert_string_equal(r->result, json);
}

static const char healthy[] =
    "function decodeUplink(input) {\n"
    "	var b = input.bytes;\n"
    "	return { data: { temperature: (b[0] << 8 | b[1]) / 10 } };\n"
    "}\n";

/* A call of another group, and one of the same, beside what is tried. */
struct neighbours {
	struct run *other[20], *same[20];
};

static void
start_neighbours(struct fixture *f, struct neighbours *n, bool same)
{
	for (size_t i = 0; i < COUNT_OF(n->other); i++) {
		struct run **r = same ? n->same : n->other;

		r[i] = start(f,
		    make(f, same ? "u1" : "u2", healthy, SCRIPT_DECODE_UPLINK,
			"{\"bytes\":[0,215]}"));
	}
}

static void
assert_neighbours(struct fixture *f, struct neighbours *n)
{
	for (size_t i = 0; i < COUNT_OF(n->other); i++) {
		wait_for(f, n->other[i]);
		wait_for(f, n->same[i]);
		assert_result(n->other[i], "{\"data\":{\"temperature\":21.5}}");
		assert_result(n->same[i], "{\"data\":{\"temperature\":21.5}}");
		assert_true(n->other[i]->took < WAIT_MS);
	}
}

/* Runs a hostile call between healthy ones, which must all succeed. */
static struct run *
hostile_for(struct fixture *f, const char *source, enum script_entry entry,
    int64_t timeout_ms)
{
	struct neighbours before, after;
	struct run *r = make(f, "u1", source, entry, "{\"bytes\":[1,2]}");

	r->call.timeout_ms = timeout_ms;
	start_neighbours(f, &before, false);
	start_neighbours(f, &before, true);
	start(f, r);
	start_neighbours(f, &after, true);
	start_neighbours(f, &after, false);
	wait_for(f, r);
	assert_neighbours(f, &before);
	assert_neighbours(f, &after);
	assert_true(r->took < WAIT_MS);
	return r;
}

static struct run *
hostile(struct fixture *f, const char *source, enum script_entry entry)
{
	return hostile_for(f, source, entry, 300);
}

/* --- what scripts do ----------------------------------------------------- */

static void
a_codec_decodes(void **state)
{
	struct fixture *f = *state;
	struct run *r;

	r = run(f, "u1",
	    "function decodeUplink(input) {\n"
	    "  return { data: { a: input.bytes[1] + input.fPort,\n"
	    "    year: input.recvTime.getUTCFullYear(),\n"
	    "    key: input.variables.key },\n"
	    "    warnings: ['low'] };\n"
	    "}",
	    SCRIPT_DECODE_UPLINK,
	    "{\"bytes\":[1,2],\"fPort\":3,\"recvTime\":\"2026-01-02T03:04:"
	    "05Z\","
	    "\"variables\":{\"key\":\"v\"}}");
	assert_result(r,
	    "{\"data\":{\"a\":5,\"year\":2026,\"key\":\"v\"},"
	    "\"warnings\":[\"low\"]}");
	r = run(f, "u1",
	    "const encodeDownlink = (i) => ({ bytes: [1.9, 257, -1, i.data.x],"
	    " fPort: 7 });",
	    SCRIPT_ENCODE_DOWNLINK, "{\"data\":{\"x\":5}}");
	assert_result(r, "{\"bytes\":[1,1,255,5],\"fPort\":7}");
	r = run(f, "u1",
	    "function decodeDownlink(i) { return { data: i.bytes } }\n"
	    "function normalizeUplink(i) { return { data: { air: i.data } } }",
	    SCRIPT_NORMALIZE_UPLINK, "{\"data\":{\"t\":1}}");
	assert_result(r, "{\"data\":{\"air\":{\"t\":1}}}");
}

static void
old_codecs_decode_too(void **state)
{
	struct fixture *f = *state;

	assert_result(run(f, "u1",
			  "function Decoder(bytes, port) {\n"
			  "  return { sum: bytes[0] + port }; }",
			  SCRIPT_DECODE_UPLINK, "{\"bytes\":[1],\"fPort\":2}"),
	    "{\"data\":{\"sum\":3}}");
	assert_result(run(f, "u1",
			  "function Decode(fPort, bytes, variables) {\n"
			  "  for (i = 0; i < 3; i++) n = i;\n" /* no var */
			  "  return { n: n, p: fPort, v: variables.a }; }",
			  SCRIPT_DECODE_UPLINK,
			  "{\"bytes\":[1],\"fPort\":2,"
			  "\"variables\":{\"a\":\"b\"}}"),
	    "{\"data\":{\"n\":2,\"p\":2,\"v\":\"b\"}}");
	assert_result(
	    run(f, "u1",
		"function Encode(fPort, obj) { return [fPort, obj.a]; }",
		SCRIPT_ENCODE_DOWNLINK, "{\"data\":{\"a\":9},\"fPort\":2}"),
	    "{\"bytes\":[2,9]}");
	assert_result(run(f, "u1",
			  "String.prototype.twice = function () {\n"
			  "  return this + this; };\n"
			  "function Decoder() { return { t: 'a'.twice() }; }",
			  SCRIPT_DECODE_UPLINK, "{\"bytes\":[]}"),
	    "{\"data\":{\"t\":\"aa\"}}");
}

static void
the_last_value_is_the_result(void **state)
{
	struct fixture *f = *state;
	struct script_var vars[] = {
		{ STR("taskEvent"),
		    STR("{\"entity\":{\"nodeId\":\"n1\",\"labels\":{\"Room\":"
			"\"x\"}},\"list\":[{\"keyName\":1}]}") },
		{ STR("value"), STR("21.5") },
	};
	struct run *r = make(f, "u1",
	    "let t = taskEvent.Entity.NodeID == taskEvent.entity.nodeId;\n"
	    "var value2 = value * 2;\n"
	    "taskEvent.Entity.LastSeen = 5;\n"
	    "({ isTriggered: t, value2, k: taskEvent.List[0].KeyName,\n"
	    "  labels: taskEvent.Entity.Labels, none: taskEvent.Nothing })",
	    SCRIPT_VALUE, NULL);

	r->call.vars = vars;
	r->call.n_vars = COUNT_OF(vars);
	r->call.both_spellings = true;
	wait_for(f, start(f, r));
	assert_result(r,
	    "{\"isTriggered\":true,\"value2\":43,\"k\":1,"
	    "\"labels\":{\"Room\":\"x\"}}");
	assert_result(value(f, "var a = 1; a + 1"), "2");
	assert_result(value(f, "var a = 1;"), "null");
	assert_result(value(f, "typeof value"), "\"undefined\"");
	assert_result(value(f, "null"), "null");
	/* variables that were never declared, and those of the call itself */
	assert_result(value(f, "for (i = 0; i < 3; i++); i"), "3");
	assert_result(value(f, "typeof i"), "\"undefined\"");
	assert_result(value(f, "var value = 3, i = value; this.i"), "3");
	for (int i = 0; i < 3; i++) {
		struct script_var one = { STR("a"), STR("1") };
		struct script_var other = { STR("b"), STR("2") };

		r = make(f, "u1",
		    "typeof a === 'undefined' ? b = b + 1 : a = a + 1",
		    SCRIPT_VALUE, NULL);
		r->call.vars = i == 1 ? &other : &one;
		r->call.n_vars = 1;
		wait_for(f, start(f, r));
		assert_result(r, i == 1 ? "3" : "2");
	}
	/* names that functions cannot have for their parameters */
	vars[0] = (struct script_var){ STR("class"), STR("1") };
	r = make(f, "u1", "globalThis.class + value", SCRIPT_VALUE, NULL);
	r->call.vars = vars;
	r->call.n_vars = 2;
	wait_for(f, start(f, r));
	assert_result(r, "22.5");
}

static void
an_error_of_a_shared_realm_is_tried_elsewhere(void **state)
{
	struct fixture *f = *state;

	/* What is forbidden in it fails, and is right all the same. */
	assert_result(run(f, "u1",
			  "function decodeUplink() { 'use strict';\n"
			  "  const o = Array; o['proto' + 'type'].extra = 5;\n"
			  "  return { data: [].extra } }",
			  SCRIPT_DECODE_UPLINK, "{}"),
	    "{\"data\":5}");
	assert_result(run(f, "u1",
			  "function decodeUplink() {\n"
			  "  return { data: typeof [].extra } }",
			  SCRIPT_DECODE_UPLINK, "{}"),
	    "{\"data\":\"undefined\"}");
	/* A failure's console comes once. */
	for (int i = 0; i < 3; i++) {
		struct run *r = run(f, "u1",
		    "function decodeUplink() {\n"
		    "  console.log('once'); throw new Error('always') }",
		    SCRIPT_DECODE_UPLINK, "{}");

		assert_string_equal(r->console, "once\n");
		assert_string_equal(r->call.err.text, "line 2: Error: always");
	}
}

static void
an_error_names_its_line(void **state)
{
	struct fixture *f = *state;
	struct run *r;

	r = run(f, "u1",
	    "function decodeUplink(input) {\n"
	    "\n"
	    "  return { data: input.nothing.here };\n"
	    "}",
	    SCRIPT_DECODE_UPLINK, "{}");
	assert_int_equal(r->call.end, SCRIPT_FAILED);
	assert_int_equal(r->call.err.code, ERR_PARAM);
	assert_int_equal(r->call.line, 3);
	assert_non_null(strstr(r->call.err.text, "line 3: TypeError:"));
	r = run(f, "u1", "// one\nfunction decodeUplink( {\n}",
	    SCRIPT_DECODE_UPLINK, "{}");
	assert_int_equal(r->call.line, 3); /* where it ends too early */
	assert_non_null(strstr(r->call.err.text, "SyntaxError"));
	r = value(f, "var a;\nthrow new Error('own words')");
	assert_string_equal(r->call.err.text, "line 2: Error: own words");
	r = value(f, "\n\n\n}");
	assert_int_equal(r->call.line, 4);
	r = value(f, "mcUtils.convert.hexStringToBytes('zz')");
	assert_int_equal(r->call.line, 1);
	r = value(f, "throw { toString() { throw 1 } }");
	assert_int_equal(r->call.end, SCRIPT_FAILED);
	r = run(f, "u1",
	    "function decodeUplink() {\n"
	    "return { errors: ['too short', 'bad'] } }",
	    SCRIPT_DECODE_UPLINK, "{}");
	assert_string_equal(r->call.err.text, "decodeUplink: too short; bad");
	r = run(f, "u1", "function decodeUplink() { return {} }",
	    SCRIPT_DECODE_UPLINK, "{}");
	assert_string_equal(r->call.err.text, "decodeUplink returned no data");
	r = run(f, "u1", "var x;", SCRIPT_NORMALIZE_UPLINK, "{}");
	assert_int_equal(r->call.err.code, ERR_NOT_FOUND);
}

static void
the_console_is_kept_and_bounded(void **state)
{
	struct fixture *f = *state;
	struct run *r;

	r = value(f, "console.log('a', 1, { b: [2] }); console.warn('ä'); 1");
	assert_string_equal(r->console, "a 1 {\"b\":[2]}\nä\n");
	r = value(f, "1");
	assert_string_equal(r->console, "");
	f->conf.output_max = 100;
	script_pool_free(f->pool);
	f->pool = NULL;
	r = value(f, "for (var i = 0; i < 1e5; i++) console.log('line', i); 2");
	assert_result(r, "2");
	assert_int_equal(strlen(r->console), 100);
}

static void
helpers_of_node_and_mycontroller_are_there(void **state)
{
	struct fixture *f = *state;

	assert_result(
	    value(f,
		"const b = Buffer.from('0102ff80', 'hex');\n"
		"[b.readUInt16BE(0), b.readInt8(2), b.readInt16LE(2),\n"
		"b.toString('base64'), Buffer.concat([b, Buffer.from('ä')])\n"
		".length, Buffer.from('4pys', 'base64').toString(),\n"
		"b.readUIntBE(0, 3), Buffer.isBuffer(b), b.slice(1, 2)[0]]"),
	    "[258,-1,-32513,\"AQL/gA==\",6,\"✬\",66303,true,2]");
	assert_result(value(f,
			  "[btoa('hi'), atob('aGk='), atob(btoa('\\xff'))"
			  ".charCodeAt(0)]"),
	    "[\"aGk=\",\"hi\",255]");
	assert_result(
	    value(f,
		"const c = mcUtils.crypto, v = mcUtils.convert;\n"
		"[c.MD5HexString('abc'), c.Sha1HexString('abc'),\n"
		"c.Sha256Bytes('abc')[0], c.sha512HexString('abc').slice(0, "
		"8),\n"
		"v.ToHexString([1, 255]), v.HexStringToString('6869'),\n"
		"v.HexStringToBytes('0aff'), v.ToStringFromBase64('aGk='),\n"
		"v.ToBytes('hi'), v.ToString([104, 105])]"),
	    "[\"900150983cd24fb0d6963f7d28e17f72\","
	    "\"a9993e364706816aba3e25717850c26c9cd0d89d\",186,\"ddaf35a1\","
	    "\"01ff\",\"hi\",[10,255],\"hi\",[104,105],\"hi\"]");
	assert_result(value(f,
			  "const v = mcUtils.convert, b = [254, 255, 255, 255, "
			  "0, 0, 0, 1];\n"
			  "[v.ToInt16LE(b), v.ToInt16BE(b), v.ToUint16LE(b),\n"
			  "v.ToInt32LE(b), v.ToUint32BE(b), "
			  "v.ToInt64BE([0,0,0,0,0,0,1,0]),"
			  "v.ToUint64LE([5,0,0,0,0,0,0,0])]"),
	    "[-2,-257,65534,-2,4278190079,256,5]");
	assert_result(run(f, "u1",
			  "function decodeUplink() { return { data: [\n"
			  "  mcUtils.Crypto.md5HexString('abc').length,\n"
			  "  mcUtils.convert.toBytes('a'),\n"
			  "  Buffer.from('b').toString('hex')] }; }",
			  SCRIPT_DECODE_UPLINK, "{}"),
	    "{\"data\":[32,[97],\"62\"]}");
}

/* --- nothing stays ------------------------------------------------------- */

/* Puts a mark on everything that can be reached, and says where it found one.
 * Without the words that get a script a realm of its own. `begin` is run with
 * it; with undeclared variables it needs an open realm. */
#define WALKER(begin)                                                          \
	"let calls = 0; var again = 0;\n"                                      \
	"function decodeUplink() {\n"                                          \
	"  calls++; again++; " begin " const kind = typeof stray;\n"           \
	"  const self = Function('return th' + 'is')(), found = [];\n"         \
	"  const seen = new Set();\n"                                          \
	"  const list = [self, 'x', 1, true, Symbol.iterator, 1n, [], {},\n"   \
	"    /x/, function () {}, () => 1, function* () {},\n"                 \
	"    async function () {}, async function* () {}, new Map(),\n"        \
	"    new Set().values(), new Map().entries(), [].values(),\n"          \
	"    ''.matchAll(/x/g), 'a'[Symbol.iterator](), new Date(),\n"         \
	"    Promise.resolve(), new Proxy({}, {}), new Uint8Array(1),\n"       \
	"    new Error('x'), arguments, arguments.callee, calls,\n"            \
	"    (function* () {})(), (async function* () {})(), console,\n"       \
	"    new DataView(new ArrayBuffer(1)), mcUtils, mcUtils.crypto,\n"     \
	"    mcUtils.crypto.MD5HexString, Buffer.from('a'), decodeUplink,\n"   \
	"    [].values().map ? [].values().map(x => x) : 0, Intl,\n"           \
	"    Iterator.from ? Iterator.from({ next() {} }) : 0,\n"              \
	"    new Intl.NumberFormat(), new Intl.Segmenter().segment('a'),\n"    \
	"    new Intl.Segmenter().segment('a')[Symbol.iterator](),\n"          \
	"    ((a, ...b) => b)`x${1}y`, (x => x)`z`, RegExp.input,\n"           \
	"    typeof outer === 'undefined' ? 0 : outer,\n"                      \
	"    decodeUplink.caller, (function () { 'use strict';\n"              \
	"      return arguments })()];\n"                                      \
	"  for (const o of list) {\n"                                          \
	"    if (o === null || o === undefined || seen.has(o)) continue;\n"    \
	"    seen.add(o);\n"                                                   \
	"    const own = Reflect.ownKeys(Object(o));\n"                        \
	"    if (own.includes('leak')) found.push(String(o));\n"               \
	"    try { o.leak = 1 } catch (e) { }\n"                               \
	"    try { o[Symbol.for('leak')] = 1 } catch (e) { }\n"                \
	"    for (const k of own) {\n"                                         \
	"      let v; try { v = o[k] } catch (e) { }\n"                        \
	"      if (typeof v === 'object' || typeof v === 'function')\n"        \
	"        list.push(v);\n"                                              \
	"      try { o[k] = 'changed' } catch (e) { }\n"                       \
	"    }\n"                                                              \
	"    list.push(Reflect.getPrototypeOf(Object(o)));\n"                  \
	"  }\n"                                                                \
	"  const last = RegExp.lastMatch; /secret/.exec('my secret');\n"       \
	"  Promise.resolve().then(() => { late = 1 });\n"                      \
	"  return { data: [calls, again, kind, found,\n"                       \
	"    seen.size > 500, typeof late, last] };\n"                         \
	"}\n"

static void
nothing_stays_from_call_to_call(void **state)
{
	struct fixture *f = *state;
	static const char sealed[] = WALKER("");
	static const char open[] =
	    WALKER("if (typeof stray === 'undefined') stray = 0; stray += 1;");
	static const char expression[] =
	    "var outer = arguments.callee;\n" WALKER("") "decodeUplink()";
	struct run *r;

	for (int i = 0; i < 3; i++) {
		r = run(f, "u1", sealed, SCRIPT_DECODE_UPLINK, "{}");
		assert_result(r,
		    "{\"data\":[1,1,\"undefined\",[],true,\"undefined\","
		    "\"\"]}");
		r = run(f, "u1", open, SCRIPT_DECODE_UPLINK, "{}");
		assert_result(r,
		    "{\"data\":[1,1,\"number\",[],true,\"undefined\",\"\"]}");
		r = value(f, expression);
		assert_result(r,
		    "{\"data\":[1,1,\"undefined\",[],true,\"undefined\","
		    "\"\"]}");
	}
	assert_result(run(f, "u1",
			  "function decodeUplink() {\n"
			  "  return { data: [typeof stray, typeof late,\n"
			  "    typeof leak, ({}).leak, [].leak,\n"
			  "    RegExp.lastMatch, RegExp.input] }; }",
			  SCRIPT_DECODE_UPLINK, "{}"),
	    "{\"data\":[\"undefined\",\"undefined\",\"undefined\",null,null,"
	    "\"\",\"\"]}");
	assert_int_equal(counter_get(&script_counters.helpers), 1);
}

static void
a_realm_that_cannot_be_cleaned_is_replaced(void **state)
{
	struct fixture *f = *state;

	for (int i = 0; i < 2; i++)
		assert_result(
		    run(f, "u1",
			"function decodeUplink() {\n"
			"  const o = Object, n = 'define' + 'Property';\n"
			"  const was = typeof stuck;\n"
			"  o[n](this, 'stuck', { value: 1 });\n"
			"  return { data: was }; }",
			SCRIPT_DECODE_UPLINK, "{}"),
		    "{\"data\":\"undefined\"}");
	assert_result(run(f, "u1",
			  "function decodeUplink() {\n"
			  "  Object.preventExtensions(this);\n"
			  "  return { data: 1 }; }",
			  SCRIPT_DECODE_UPLINK, "{}"),
	    "{\"data\":1}");
	assert_result(
	    run(f, "u1",
		"function decodeUplink() { a = 2; return { data: a } }",
		SCRIPT_DECODE_UPLINK, "{}"),
	    "{\"data\":2}");
}

static void
prototypes_are_as_they_were(void **state)
{
	struct fixture *f = *state;
	struct run *r;

	r = hostile(f,
	    "Object.prototype.polluted = 1;\n"
	    "Array.prototype.push = null; JSON.stringify = () => '{}';\n"
	    "function decodeUplink() { return { data: ({}).polluted } }",
	    SCRIPT_DECODE_UPLINK);
	assert_int_equal(r->call.end, SCRIPT_DONE);
	assert_result(value(f, "[typeof ({}).polluted, typeof [].push]"),
	    "[\"undefined\",\"function\"]");
	/* and one that hides what it does from a look at its text */
	r = hostile(f,
	    "function decodeUplink() { const p = ({})['__pro' + 'to__'];\n"
	    "  p.polluted = 1; p.toString = 1;\n"
	    "  return { data: String(({}).polluted) } }",
	    SCRIPT_DECODE_UPLINK);
	assert_result(run(f, "u1",
			  "function decodeUplink() {\n"
			  "  return { data: typeof ({}).polluted } }",
			  SCRIPT_DECODE_UPLINK, "{}"),
	    "{\"data\":\"undefined\"}");
}

static void
members_named_like_inherited_ones_can_be_set(void **state)
{
	struct fixture *f = *state;

	assert_result(
	    run(f, "u1",
		"function decodeUplink() {\n"
		"  const o = {}, e = new Error('m');\n"
		"  o.toString = () => 'own'; e.name = 'Mine';\n"
		"  o.constructor = 1; e.message = 'n';\n"
		"  function T() {} T.prototype.toString = () => 'T';\n"
		"  return { data: [String(o), String(e),\n"
		"    String(new T()), o.constructor] }; }",
		SCRIPT_DECODE_UPLINK, "{}"),
	    "{\"data\":[\"own\",\"Mine: n\",\"T\",1]}");
}

/* --- hostile scripts ----------------------------------------------------- */

static void
an_endless_loop_is_stopped(void **state)
{
	struct fixture *f = *state;
	struct run *r = hostile(f, "for (;;);", SCRIPT_VALUE);

	assert_int_equal(r->call.end, SCRIPT_TIMEOUT);
	assert_int_equal(r->call.err.code, ERR_LIMIT);
	assert_string_equal(
	    r->call.err.text, "stopped: it ran for more than 300 ms");
	r = hostile(f, "function decodeUplink() { while (true); }",
	    SCRIPT_DECODE_UPLINK);
	assert_int_equal(r->call.end, SCRIPT_TIMEOUT);
	/* what a call leaves to be run later is part of it */
	r = hostile(f,
	    "function decodeUplink() {\n"
	    "  Promise.resolve().then(() => { for (;;); });\n"
	    "  return { data: 1 }; }",
	    SCRIPT_DECODE_UPLINK);
	assert_int_equal(r->call.end, SCRIPT_TIMEOUT);
}

static void
a_hostile_expression_is_stopped(void **state)
{
	struct fixture *f = *state;
	struct run *r = hostile(f,
	    "/^(a|a|aa|b?a)*$/.test('a'.repeat(5000) + 'c') ||\n"
	    "/(x+x+)+y/.test('x'.repeat(40))",
	    SCRIPT_VALUE);

	/* the engine gives up by itself on some of them */
	if (r->call.end != SCRIPT_DONE)
		assert_int_equal(r->call.end, SCRIPT_TIMEOUT);
}

static void
a_gibibyte_is_too_much(void **state)
{
	struct fixture *f = *state;
	struct run *r = hostile_for(f,
	    "var a = [];\n"
	    "for (var i = 0; i < 1024; i++)\n"
	    "  a.push(new Uint8Array(1 << 20).fill(7));\n"
	    "a.length",
	    SCRIPT_VALUE, 10000);

	assert_int_equal(r->call.end, SCRIPT_MEMORY);
	assert_string_equal(
	    r->call.err.text, "stopped: it took more than 128 MiB of memory");
	r = hostile_for(f,
	    "function decodeUplink() { const l = []; for (;;)\n"
	    "  l.push({ a: l.length, t: 'x' + l.length }); }",
	    SCRIPT_DECODE_UPLINK, 10000);
	assert_true(
	    r->call.end == SCRIPT_MEMORY || r->call.end == SCRIPT_TIMEOUT);
}

static void
what_an_earlier_call_left_is_not_blamed_on_the_next(void **state)
{
	struct fixture *f = *state;
	struct run *r;

	for (int i = 0; i < 5; i++) {
		r = value(f,
		    "var a = [];\n"
		    "for (var i = 0; i < 60; i++)\n"
		    "  a.push(new Uint8Array(1 << 20).fill(7));\n"
		    "a.length");
		assert_result(r, "60");
		r = run(f, "u1", healthy, SCRIPT_DECODE_UPLINK,
		    "{\"bytes\":[0,215]}");
		assert_result(r, "{\"data\":{\"temperature\":21.5}}");
	}
}

static void
recursion_without_end_fails(void **state)
{
	struct fixture *f = *state;
	struct run *r =
	    hostile(f, "function decodeUplink() { return decodeUplink() + 1; }",
		SCRIPT_DECODE_UPLINK);

	assert_int_equal(r->call.end, SCRIPT_FAILED);
	assert_non_null(strstr(r->call.err.text, "RangeError"));
	r = hostile(f,
	    "var o = {}; o.o = o; for (var i = 0, p = {}; i < 1e5; i++)\n"
	    "  p = { p }; JSON.stringify(p)",
	    SCRIPT_VALUE);
	assert_int_not_equal(r->call.end, SCRIPT_DONE);
	r = hostile(
	    f, "new RegExp('('.repeat(1e6) + ')'.repeat(1e6))", SCRIPT_VALUE);
	assert_int_not_equal(r->call.end, SCRIPT_DONE);
}

static void
a_huge_result_is_refused(void **state)
{
	struct fixture *f = *state;
	struct run *r = hostile(f,
	    "function decodeUplink() {\n"
	    "  return { data: 'x'.repeat(3e6) }; }",
	    SCRIPT_DECODE_UPLINK);

	assert_int_equal(r->call.end, SCRIPT_FAILED);
	assert_int_equal(r->call.err.code, ERR_LIMIT);
	assert_string_equal(r->call.err.text,
	    "the result has 3000011 characters, more than 262144");
	r = value(f, "var o = 1; for (var i = 0; i < 200; i++) o = [o]; o");
	assert_int_equal(r->call.end, SCRIPT_FAILED);
	assert_string_equal(r->call.err.text, "the result is nested too deep");
	/* and one as long as it may be, of the longest characters, gets
	 * through */
	r = value(f, "'\\u20ac'.repeat(262142)");
	assert_int_equal(r->call.end, SCRIPT_DONE);
}

static void
there_is_no_way_out(void **state)
{
	struct fixture *f = *state;
	static const char *const attempts[] = {
		"require('child_process').execSync('id')",
		"process.exit(1)",
		"load('/etc/passwd')",
		"read('/etc/passwd')",
		"readFile('/etc/passwd')",
		"new XMLHttpRequest()",
		"fetch('http://127.0.0.1/')",
		"new WebSocket('ws://127.0.0.1/')",
		"new WebAssembly.Module(new Uint8Array(8))",
		"new SharedArrayBuffer(8)",
		"Atomics.wait(new Int32Array(8), 0, 0)",
		"new Worker('x')",
		"setTimeout(function () {}, 1)",
	};

	for (size_t i = 0; i < COUNT_OF(attempts); i++) {
		struct run *r = hostile(f, attempts[i], SCRIPT_VALUE);

		assert_int_equal(r->call.end, SCRIPT_FAILED);
		assert_non_null(strstr(r->call.err.text, "ReferenceError"));
	}
	assert_int_equal(
	    value(f, "import('/etc/passwd')")->call.end, SCRIPT_FAILED);
	/* What the process itself may do is tried by `marram-script --check`,
	 * a test of its own. */
}

/* The pid of the one helper there is. */
static pid_t
helper_pid(void)
{
	char path[64];
	int pid = 0;
	FILE *p;

	snprintf(
	    path, sizeof(path), "/proc/self/task/%d/children", (int)getpid());
	p = fopen(path, "r");
	assert_non_null(p);
	assert_int_equal(fscanf(p, "%d", &pid), 1);
	fclose(p);
	return pid;
}

/* What /proc says of it, for what stands behind `key`. */
static void
read_proc(const char *file, const char *key, char *ret, size_t size)
{
	char path[64], line[256];
	FILE *p;

	snprintf(path, sizeof(path), "/proc/%d/%s", (int)helper_pid(), file);
	p = fopen(path, "r");
	ret[0] = '\0';
	if (p == NULL)
		return; /* hidden even from us */
	while (fgets(line, sizeof(line), p) != NULL)
		if (strncmp(line, key, strlen(key)) == 0)
			snprintf(ret, size, "%s", line + strlen(key));
	ret[strcspn(ret, "\n")] = '\0';
	fclose(p);
}

static void
a_helper_is_shut_in(void **state)
{
	struct fixture *f = *state;
	char text[64];

	value(f, "1");
	read_proc("status", "Seccomp:\t", text, sizeof(text));
	assert_string_equal(text, "2");
	read_proc("status", "NoNewPrivs:\t", text, sizeof(text));
	assert_string_equal(text, "1");
	read_proc("oom_score_adj", "", text, sizeof(text));
	assert_string_equal(text, "1000");
	read_proc("limits", "Max core file size", text, sizeof(text));
	assert_non_null(strstr(text, " 0 "));
	read_proc("limits", "Max open files", text, sizeof(text));
	assert_non_null(strstr(text, " 0 "));
	read_proc("environ", "", text, sizeof(text));
	assert_string_equal(text, "");
	assert_int_equal(getpgid(helper_pid()), helper_pid());
}

/* --- helpers that die ---------------------------------------------------- */

static void
a_crash_costs_one_call(void **state)
{
	struct fixture *f = *state;
	struct run *r[6];
	int64_t until = clock_mono() + WAIT_MS;

	value(f, "1"); /* it runs */
	for (size_t i = 0; i < COUNT_OF(r); i++)
		r[i] = start(f,
		    make(f, "u1",
			i == 2 ? "var t = Date.now();\n"
				 "while (Date.now() < t + 1000); 1"
			       : "2",
			SCRIPT_VALUE, NULL));
	while (!r[1]->over && clock_mono() < until)
		loop_turn(f->loop, 20);
	kill(helper_pid(), SIGKILL);
	loop_turn(f->loop, 100);
	/* It had worked before, so the call was tried once more. */
	wait_for(f, r[2]);
	for (size_t i = 0; i < COUNT_OF(r); i++) {
		wait_for(f, r[i]);
		assert_result(r[i], i == 2 ? "1" : "2");
	}
	/* As the first of a helper it is what it died of. */
	script_pool_free(f->pool);
	f->pool = NULL;
	for (size_t i = 0; i < 3; i++)
		r[i] = start(f,
		    make(f, "u1", i == 0 ? "console.log(1); for (;;);" : "2",
			SCRIPT_VALUE, NULL));
	until = clock_mono() + 1000;
	while (clock_mono() < until && !r[0]->over)
		loop_turn(f->loop, 20);
	kill(helper_pid(), SIGKILL);
	wait_for(f, r[0]);
	assert_int_equal(r[0]->call.end, SCRIPT_CRASHED);
	wait_for(f, r[1]);
	wait_for(f, r[2]);
	assert_result(r[1], "2");
	assert_result(r[2], "2");
}

static void
in_a_batch_only_the_endless_one_fails(void **state)
{
	struct fixture *f = *state;
	struct run *r[5];

	for (int round = 0; round < 3; round++) {
		for (size_t i = 0; i < COUNT_OF(r); i++) {
			r[i] = make(f, "u1", i == 2 ? "for (;;);" : "'well'",
			    SCRIPT_VALUE, NULL);
			r[i]->call.timeout_ms = 200;
			start(f, r[i]);
		}
		for (size_t i = 0; i < COUNT_OF(r); i++)
			wait_for(f, r[i]);
		assert_int_equal(r[2]->call.end, SCRIPT_TIMEOUT);
		for (size_t i = 0; i < COUNT_OF(r); i++)
			if (i != 2)
				assert_result(r[i], "\"well\"");
	}
}

static void
a_helper_that_is_not_there_is_said(void **state)
{
	struct fixture *f = *state;
	struct run *r;

	f->conf.helper = STR("/nowhere/marram-script");
	r = value(f, "1");
	assert_int_equal(r->call.end, SCRIPT_REFUSED);
	assert_int_equal(r->call.err.code, ERR_IO);
	assert_non_null(strstr(r->call.err.text, "/nowhere/marram-script"));
	script_pool_free(f->pool);
	f->pool = NULL;
	f->conf.helper = STR("/bin/false");
	r = value(f, "1");
	assert_int_equal(r->call.end, SCRIPT_REFUSED);
	assert_non_null(strstr(r->call.err.text, "did not start"));
	script_pool_free(f->pool);
	f->pool = NULL;
	f->conf.helper = STR("/bin/yes"); /* speaks nonsense */
	r = value(f, "1");
	assert_int_not_equal(r->call.end, SCRIPT_DONE);
}

/* A program that says READY and then does what `rest`, in shell, says. */
static void
write_liar(const char *path, const char *rest)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	fprintf(f, "#!/bin/sh\nprintf '\\000\\000\\000\\000\\004'\n%s\n", rest);
	fclose(f);
	assert_int_equal(chmod(path, 0700), 0);
}

static void
a_helper_that_lies_harms_nobody(void **state)
{
	struct fixture *f = *state;
	static const char *const lies[] = {
		"exec cat",                                /* our own frames */
		"printf '\\000\\000\\000\\000\\004'; cat", /* ready twice */
		"printf '\\377\\377\\377\\377\\006'; cat", /* too long */
		"printf '\\003\\000\\000\\000\\006abc'; cat", /* too short */
		/* an answer to a call that nobody made, and a request in one */
		"printf '\\022\\000\\000\\000\\006\\011\\000\\000\\000\\001"
		"\\000\\000\\000\\000\\000\\000\\000\\000\\000\\000\\000"
		"\\000\\000'; cat",
		"exec >/dev/null; cat >/dev/null", /* closes its pipe */
		"exec sleep 60",                   /* says nothing */
		"exit 0",
	};
	char path[] = "/tmp/script-XXXXXX";

	close(mkstemp(path));
	for (size_t i = 0; i < COUNT_OF(lies); i++) {
		struct run *r, *s;

		write_liar(path, lies[i]);
		f->conf.helper = str_of(path);
		f->conf.timeout_ms = 200;
		r = start(f, make(f, "u1", "1", SCRIPT_VALUE, NULL));
		s = start(f, make(f, "u1", "2", SCRIPT_VALUE, NULL));
		wait_for(f, r);
		wait_for(f, s);
		assert_true(r->call.end >= SCRIPT_REFUSED);
		assert_true(s->call.end >= SCRIPT_REFUSED);
		assert_true(r->took < WAIT_MS);
		script_pool_free(f->pool);
		f->pool = NULL;
		assert_int_equal(counter_get(&script_counters.helpers), 0);
		assert_int_equal(counter_get(&script_counters.waiting), 0);
	}
	unlink(path);
}

/* --- many ---------------------------------------------------------------- */

static void
the_queue_of_a_group_is_bounded(void **state)
{
	struct fixture *f = *state;
	struct run *r, *other;

	f->conf.queue = 3;
	for (int i = 0; i < 3; i++)
		r = start(f, make(f, "u1", "1", SCRIPT_VALUE, NULL));
	other = make(f, "u1", "1", SCRIPT_VALUE, NULL);
	assert_int_equal(script_run(f->pool, &other->call, &f->err), ERR_LIMIT);
	assert_string_equal(f->err.text, "3 calls of scripts wait already");
	other = start(f, make(f, "u2", "2", SCRIPT_VALUE, NULL));
	wait_for(f, r);
	wait_for(f, other);
	assert_result(other, "2");
	assert_result(value(f, "4"), "4");
}

static void
what_is_no_input_is_refused(void **state)
{
	struct fixture *f = *state;
	struct run *r = make(f, "u1", "1", SCRIPT_VALUE, NULL);
	struct script_var bad = { STR("a b"), STR("1") };

	r->call.vars = &bad;
	r->call.n_vars = 1;
	assert_int_equal(script_run(pool(f), &r->call, &f->err), ERR_PARAM);
	bad = (struct script_var){ STR("a"), STR("1\0002") };
	assert_int_equal(script_run(pool(f), &r->call, &f->err), ERR_PARAM);
	r->call.n_vars = 0;
	r->call.source = STR("\xff");
	assert_int_equal(script_run(pool(f), &r->call, &f->err), ERR_PARAM);
	r->call.source = (struct str){ mem_alloc(SCRIPT_SOURCE_MAX + 1),
		SCRIPT_SOURCE_MAX + 1 };
	memset((char *)r->call.source.ptr, ' ', r->call.source.len);
	assert_int_equal(script_run(pool(f), &r->call, &f->err), ERR_LIMIT);
	free((char *)r->call.source.ptr);
	assert_int_equal(counter_get(&script_counters.waiting), 0);
}

static void
on_done_in_order(struct script_call *c)
{
	struct run *r = container_of(c, struct run, call);
	char want[16];

	on_done(c);
	snprintf(want, sizeof(want), "%d", (int)r->f->order++);
	assert_string_equal(r->result, want);
}

static void
calls_of_a_group_end_in_order(void **state)
{
	struct fixture *f = *state;
	struct run *r = NULL;

	for (int i = 0; i < 900; i++) {
		struct str s = arena_printf(&f->arena, "%d", i);

		r = make(f, "u1", "", SCRIPT_VALUE, NULL);
		r->call.source = i % 2 == 0 ? s : STR("n");
		if (i % 2 == 1) {
			r->var = (struct script_var){ STR("n"), s };
			r->call.vars = &r->var;
			r->call.n_vars = 1;
		}
		r->call.done = on_done_in_order;
		start(f, r);
		if (i % 100 == 0)
			loop_turn(f->loop, 0);
	}
	wait_for(f, r);
	assert_int_equal(f->order, 900);
}

static void
many_groups_share_few_processes(void **state)
{
	struct fixture *f = *state;
	struct run *r[24];
	int64_t peak = 0;

	f->conf.processes = 2;
	for (size_t i = 0; i < COUNT_OF(r); i++) {
		char *group = mem_printf("u%zu", i % 6);

		r[i] = make(f, "", healthy, SCRIPT_DECODE_UPLINK,
		    "{\"bytes\":[0,215]}");
		r[i]->call.group = arena_str(&f->arena, str_of(group));
		free(group);
		start(f, r[i]);
	}
	for (size_t i = 0; i < COUNT_OF(r); i++) {
		int64_t until = clock_mono() + WAIT_MS;

		while (!r[i]->over && clock_mono() < until) {
			loop_turn(f->loop, 5);
			peak =
			    MAX_OF(peak, counter_get(&script_counters.helpers));
		}
		assert_result(r[i], "{\"data\":{\"temperature\":21.5}}");
	}
	assert_int_equal(peak, 2);
}

static void
a_group_at_work_gives_way(void **state)
{
	struct fixture *f = *state;
	struct run *r[100], *other;
	size_t over = 0;

	f->conf.processes = 1;
	for (size_t i = 0; i < COUNT_OF(r); i++)
		r[i] = start(f,
		    make(f, "u1",
			"var t = Date.now(); while (Date.now() < t + 30);",
			SCRIPT_VALUE, NULL));
	wait_for(f, r[0]);
	other = start(f, make(f, "u2", "2", SCRIPT_VALUE, NULL));
	wait_for(f, other);
	assert_result(other, "2");
	for (size_t i = 0; i < COUNT_OF(r); i++)
		over += r[i]->over;
	assert_true(over < COUNT_OF(r)); /* they were not all before it */
	wait_for(f, r[COUNT_OF(r) - 1]);
	assert_result(r[COUNT_OF(r) - 1], "null");
}

static void
more_sources_than_a_helper_keeps(void **state)
{
	struct fixture *f = *state;
	struct run *r[100];

	for (size_t i = 0; i < COUNT_OF(r); i++) {
		struct str s = arena_printf(
		    &f->arena, "%zu + 0 * '%*d'.length", i % 50, 5, 1);

		r[i] = make(f, "u1", "", SCRIPT_VALUE, NULL);
		r[i]->call.source = s;
		start(f, r[i]);
	}
	for (size_t i = 0; i < COUNT_OF(r); i++) {
		char want[16];

		wait_for(f, r[i]);
		snprintf(want, sizeof(want), "%zu", i % 50);
		assert_result(r[i], want);
	}
}

static void
an_idle_helper_ends(void **state)
{
	struct fixture *f = *state;
	int64_t until = clock_mono() + WAIT_MS;

	f->conf.idle_ms = 100;
	assert_int_equal(counter_get(&script_counters.helpers), 0);
	pool(f);
	loop_turn(f->loop, 20);
	assert_int_equal(counter_get(&script_counters.helpers), 0);
	value(f, "1");
	assert_int_equal(counter_get(&script_counters.helpers), 1);
	while (
	    counter_get(&script_counters.helpers) > 0 && clock_mono() < until)
		loop_turn(f->loop, 50);
	assert_int_equal(counter_get(&script_counters.helpers), 0);
	assert_result(value(f, "2"), "2");
}

static void
a_call_is_taken_back(void **state)
{
	struct fixture *f = *state;
	struct run *first = start(f,
	    make(f, "u1", "var t = Date.now(); while (Date.now() < t + 300);",
		SCRIPT_VALUE, NULL));
	struct run *second = start(f, make(f, "u1", "2", SCRIPT_VALUE, NULL));
	struct run *third = start(f, make(f, "u1", "3", SCRIPT_VALUE, NULL));

	script_cancel(f->pool, &second->call); /* not sent yet */
	for (int i = 0; i < 20; i++)
		loop_turn(f->loop, 10);
	script_cancel(f->pool, &first->call); /* it runs, or starts */
	wait_for(f, third);
	assert_result(third, "3");
	assert_false(first->over);
	assert_false(second->over);
	script_cancel(f->pool, &third->call); /* it has ended: nothing */
	assert_int_equal(counter_get(&script_counters.waiting), 0);
}

/* Cancels the call behind it and starts another. */
static void
on_done_busily(struct script_call *c)
{
	struct run *r = container_of(c, struct run, call);
	struct fixture *f = r->f;

	on_done(c);
	script_cancel(f->pool, &f->runs[1]->call);
	start(f, f->runs[3]);
}

static void
a_callback_may_use_the_pool(void **state)
{
	struct fixture *f = *state;

	for (int i = 0; i < 4; i++)
		make(f, "u1", i == 1 ? "for (;;);" : "5", SCRIPT_VALUE, NULL);
	f->runs[0]->call.done = on_done_busily;
	f->runs[1]->call.timeout_ms = 300;
	for (int i = 0; i < 3; i++)
		start(f, f->runs[i]);
	wait_for(f, f->runs[0]);
	wait_for(f, f->runs[2]); /* behind the endless one, which is killed */
	wait_for(f, f->runs[3]);
	assert_false(f->runs[1]->over);
	assert_result(f->runs[2], "5");
	assert_result(f->runs[3], "5");
}

static void
calls_that_wait_end_with_the_pool(void **state)
{
	struct fixture *f = *state;
	struct run *r =
	    start(f, make(f, "u1", "for (;;);", SCRIPT_VALUE, NULL));
	struct run *s = start(f, make(f, "u2", "1", SCRIPT_VALUE, NULL));

	loop_turn(f->loop, 50);
	script_pool_free(f->pool);
	f->pool = NULL;
	assert_true(r->over && s->over);
	assert_int_equal(r->call.end, SCRIPT_REFUSED);
	assert_int_equal(r->call.err.code, ERR_CLOSED);
	assert_int_equal(counter_get(&script_counters.helpers), 0);
	assert_int_equal(counter_get(&script_counters.waiting), 0);
}

/* Tries again at once, whatever happened. */
static void
on_done_stubbornly(struct script_call *c)
{
	struct run *r = container_of(c, struct run, call);

	on_done(c);
	assert_int_equal(
	    script_run(r->f->pool, &r->f->runs[1]->call, NULL), ERR_CLOSED);
}

static void
a_pool_that_ends_takes_no_more(void **state)
{
	struct fixture *f = *state;
	struct run *r = make(f, "u1", "1", SCRIPT_VALUE, NULL);

	make(f, "u1", "1", SCRIPT_VALUE, NULL);
	r->call.done = on_done_stubbornly;
	start(f, r);
	script_pool_free(f->pool);
	f->pool = NULL;
	assert_int_equal(r->call.end, SCRIPT_REFUSED);
}

struct worker {
	struct fixture *f;
	struct script_call call;
	struct arena arena;
	struct err err;
	int rc;
};

static void *
work(void *arg)
{
	struct worker *w = arg;

	w->call.group = STR("u1");
	w->call.source = STR("console.log('hi'); 6 * 7");
	w->rc = script_run_wait(w->f->pool, &w->call, &w->arena, &w->err);
	loop_stop(w->f->loop);
	return NULL;
}

static void
a_worker_waits_for_the_answer(void **state)
{
	struct fixture *f = *state;
	struct worker w = { .f = f };
	pthread_t t;

	pool(f);
	assert_int_equal(pthread_create(&t, NULL, work, &w), 0);
	loop_run(f->loop);
	pthread_join(t, NULL);
	assert_int_equal(w.rc, 0);
	assert_str(w.call.result, "42");
	assert_str(w.call.console, "hi\n");
	arena_fini(&w.arena);
}

/* --- requests ------------------------------------------------------------ */

static int
on_http(void *owner, struct script_http *h, struct err *err)
{
	struct fixture *f = owner;
	size_t n = strlen(f->heard);

	if (!str_starts(h->url, STR("http://good/")))
		return err_set(err, ERR_DENIED, "this host is not allowed");
	snprintf(f->heard + n, sizeof(f->heard) - n,
	    STR_FMT " " STR_FMT " " STR_FMT " " STR_FMT " %d;",
	    STR_ARG(h->method), STR_ARG(h->url), STR_ARG(h->headers),
	    STR_ARG(h->body), h->insecure);
	if (str_ends(h->url, STR("/later")))
		f->pending = h;
	else if (str_ends(h->url, STR("/long")))
		script_http_answer(h, 200, STR_NULL,
		    (struct str){ f->heard, (size_t)h->size_max + 1 });
	else
		script_http_answer(h, 200, STR("{\"X\":\"y\"}"),
		    STR("{\"a\":\"\xc3\xa4\n\"}"));
	return 0;
}

static void
requests_are_refused_unless_allowed(void **state)
{
	struct fixture *f = *state;
	struct run *r = value(f,
	    "mcUtils.httpClient.New(false, '1s').Execute('http://good/', "
	    "'GET')");

	assert_int_equal(r->call.end, SCRIPT_FAILED);
	assert_string_equal(r->call.err.text,
	    "line 1: Error: GET http://good/: "
	    "scripts may not use the network here");
	script_pool_free(f->pool);
	f->pool = NULL;
	f->host = (struct script_host){ on_http, f };
	r = value(f,
	    "const c = mcUtils.httpClient.New(true, '5s');\n"
	    "const r = c.ExecuteJson('http://good/a', 'post', { H: 'h' },\n"
	    "  { q: 'a b' }, { x: 1 }, 200);\n"
	    "[r.statusCode, r.StatusCode, r.StringBody(), r.headers.X]");
	assert_result(r, "[200,200,\"{\\\"a\\\":\\\"ä\\n\\\"}\",\"y\"]");
	assert_string_equal(f->heard,
	    "POST http://good/a?q=a%20b {\"Content-Type\":\"application/json\","
	    "\"Accept\":\"application/json\",\"H\":\"h\"} {\"x\":1} 1;");
	r = value(f, "mcUtils.httpClient.New().Execute('http://evil/', 'GET')");
	assert_non_null(strstr(r->call.err.text, "this host is not allowed"));
	r = value(f, "mcUtils.httpClient.New().Execute('file:///etc/passwd')");
	assert_non_null(
	    strstr(r->call.err.text, "not an http or https address"));
	r = value(f,
	    "mcUtils.httpClient.New().Execute('http://good/x', 'GET',"
	    "{}, {}, '', 204)");
	assert_non_null(strstr(r->call.err.text, "status 200 instead of 204"));
}

static void
requests_are_bounded(void **state)
{
	struct fixture *f = *state;
	struct run *r, *s;

	f->host = (struct script_host){ on_http, f };
	f->conf.http_max = 2;
	f->conf.http_size = 1000;
	r = value(f,
	    "const c = mcUtils.httpClient.New(); let n = 0;\n"
	    "for (;;) try { c.Execute('http://good/', 'GET'); n++ }\n"
	    "catch (e) { console.log(e.message); break }\n"
	    "n");
	assert_result(r, "2");
	assert_string_equal(
	    r->console, "GET http://good/: too many requests in one call\n");
	r = value(f,
	    "mcUtils.httpClient.New().Execute('http://good/', 'PUT',"
	    "{}, {}, 'x'.repeat(1001))");
	assert_non_null(strstr(r->call.err.text, "the body is too long"));
	f->heard[0] = '\0';
	r = value(f, "mcUtils.httpClient.New().Execute('http://good/long')");
	assert_non_null(strstr(r->call.err.text, "the answer is too long"));
	/* One that waits is over at its deadline; the host may answer later,
	 * and what came behind it is run. */
	r = make(f, "u1",
	    "mcUtils.httpClient.New().Execute('http://good/later')",
	    SCRIPT_VALUE, NULL);
	r->call.timeout_ms = 200;
	start(f, r);
	s = start(f, make(f, "u1", "3", SCRIPT_VALUE, NULL));
	wait_for(f, r);
	assert_int_equal(r->call.end, SCRIPT_TIMEOUT);
	assert_true(f->pending->gone);
	script_http_refuse(f->pending, "too late");
	wait_for(f, s);
	assert_result(s, "3");
}

#define STORY(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		STORY(a_codec_decodes),
		STORY(old_codecs_decode_too),
		STORY(the_last_value_is_the_result),
		STORY(an_error_of_a_shared_realm_is_tried_elsewhere),
		STORY(an_error_names_its_line),
		STORY(the_console_is_kept_and_bounded),
		STORY(helpers_of_node_and_mycontroller_are_there),
		STORY(nothing_stays_from_call_to_call),
		STORY(a_realm_that_cannot_be_cleaned_is_replaced),
		STORY(prototypes_are_as_they_were),
		STORY(members_named_like_inherited_ones_can_be_set),
		STORY(an_endless_loop_is_stopped),
		STORY(a_hostile_expression_is_stopped),
		STORY(a_gibibyte_is_too_much),
		STORY(what_an_earlier_call_left_is_not_blamed_on_the_next),
		STORY(recursion_without_end_fails),
		STORY(a_huge_result_is_refused),
		STORY(there_is_no_way_out),
		STORY(a_helper_is_shut_in),
		STORY(a_crash_costs_one_call),
		STORY(in_a_batch_only_the_endless_one_fails),
		STORY(a_helper_that_is_not_there_is_said),
		STORY(a_helper_that_lies_harms_nobody),
		STORY(the_queue_of_a_group_is_bounded),
		STORY(what_is_no_input_is_refused),
		STORY(calls_of_a_group_end_in_order),
		STORY(many_groups_share_few_processes),
		STORY(a_group_at_work_gives_way),
		STORY(more_sources_than_a_helper_keeps),
		STORY(an_idle_helper_ends),
		STORY(a_call_is_taken_back),
		STORY(a_callback_may_use_the_pool),
		STORY(calls_that_wait_end_with_the_pool),
		STORY(a_pool_that_ends_takes_no_more),
		STORY(a_worker_waits_for_the_answer),
		STORY(requests_are_refused_unless_allowed),
		STORY(requests_are_bounded),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
