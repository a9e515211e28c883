/*
 * plug/script/prelude.js - what a script finds in its world, and how it is
 * called. Run in each new realm, before any script.
 *
 * Realms are of three kinds:
 *
 *   sealed  many thousand calls in one realm. All objects that exist before the
 *           first call are frozen, the global object takes no more members,
 *           and the script's own objects are made anew for each call (it is
 *           the body of a function that is called again, or evaluated again in
 *           one). So there is nothing that could carry anything into the next
 *           call.
 *   open    the same for scripts that assign to variables which they never
 *           declared: the global object takes members, clean() removes them.
 *   once    for scripts that change what the language brings along. Nothing is
 *           frozen; the realm is thrown away after the call.
 *
 * An error is believed only where nothing was forbidden: realm.c tries the next
 * kind first.
 */
(function (native, outputMax, functionHead) {
'use strict';

const { parse, stringify } = JSON;
const { ownKeys, deleteProperty, getPrototypeOf } = Reflect;
const { freeze, isExtensible, defineProperty, getOwnPropertyDescriptor } =
	Object;

for (const name of ['WebAssembly', 'SharedArrayBuffer', 'Atomics', 'WeakRef',
	'FinalizationRegistry', 'ShadowRealm'])
	delete globalThis[name];

function define(name, value, on = globalThis) {
	defineProperty(on, name, { value, writable: true, configurable: true });
}

/* Made when it is first used: a realm of one call mostly needs none of it. */
function lazily(name, make) {
	defineProperty(globalThis, name, {
		get() {
			const value = make();
			define(name, value);
			return value;
		},
		set(value) { define(name, value); },
		configurable: true,
	});
}

/* --- console ------------------------------------------------------------- */

function show(value) {
	if (typeof value === 'string')
		return value;
	if (value instanceof Error)
		return String(value);
	if (typeof value === 'object' && value !== null) {
		try {
			return stringify(value);
		} catch (e) {
			return Object.prototype.toString.call(value);
		}
	}
	return String(value);
}

function log(...values) {
	native.log(values.map(show).join(' ').slice(0, outputMax));
}

const console = {};
for (const name of ['log', 'info', 'warn', 'error', 'debug', 'trace'])
	console[name] = function (...values) { log(...values); };
define('console', console);

/* --- bytes and text ------------------------------------------------------ */

function utf8Encode(text) {
	const out = [];
	for (const ch of text) {
		let c = ch.codePointAt(0);
		if (c >= 0xd800 && c <= 0xdfff)
			c = 0xfffd;
		if (c < 0x80)
			out.push(c);
		else if (c < 0x800)
			out.push(0xc0 | c >> 6, 0x80 | c & 63);
		else if (c < 0x10000)
			out.push(0xe0 | c >> 12, 0x80 | c >> 6 & 63,
				0x80 | c & 63);
		else
			out.push(0xf0 | c >> 18, 0x80 | c >> 12 & 63,
				0x80 | c >> 6 & 63, 0x80 | c & 63);
	}
	return out;
}

function utf8Decode(b) {
	let out = '';
	for (let i = 0; i < b.length;) {
		const c = b[i++];
		let more = c < 0xc2 || c > 0xf4 ? 0 : c < 0xe0 ? 1 :
			c < 0xf0 ? 2 : 3;
		if (c < 0x80) {
			out += String.fromCharCode(c);
			continue;
		}
		let cp = more === 3 ? c & 7 : more === 2 ? c & 15 : c & 31;
		const n = more;
		let j = i;
		for (; more > 0 && (b[j] & 0xc0) === 0x80; more--)
			cp = cp << 6 | b[j++] & 63;
		if (n === 0 || more > 0 || cp > 0x10ffff ||
		    cp >= 0xd800 && cp <= 0xdfff || n === 2 && cp < 0x800 ||
		    n === 3 && cp < 0x10000) {
			out += '\ufffd';
			continue;
		}
		i = j;
		out += String.fromCodePoint(cp);
	}
	return out;
}

const alphabet =
	'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/';
const urlAlphabet = alphabet.slice(0, 62) + '-_';

function base64Encode(b, letters, pad) {
	let out = '';
	for (let i = 0; i < b.length; i += 3) {
		const n = b[i] << 16 | (b[i + 1] || 0) << 8 | (b[i + 2] || 0);
		const have = b.length - i;
		out += letters[n >> 18] + letters[n >> 12 & 63] +
			(have > 1 ? letters[n >> 6 & 63] : pad) +
			(have > 2 ? letters[n & 63] : pad);
	}
	return out;
}

/* Both alphabets; what is no digit is passed over, unless `strict`. */
function base64Decode(text, strict) {
	const out = [];
	let bits = 0, n = 0;
	for (const ch of text) {
		let v = alphabet.indexOf(ch);
		if (v < 0 && !strict)
			v = urlAlphabet.indexOf(ch);
		if (ch === '=')
			break;
		if (v < 0) {
			if (strict && !/[\t\n\f\r ]/.test(ch))
				throw new TypeError('not base64');
			continue;
		}
		bits = (bits << 6 | v) & 0xffffff;
		n += 6;
		if (n >= 8) {
			n -= 8;
			out.push(bits >> n & 255);
		}
	}
	return out;
}

function hexDecode(text) {
	const out = [];
	for (let i = 0; i + 1 < text.length; i += 2) {
		const pair = text.slice(i, i + 2);
		if (!/^[0-9a-fA-F]{2}$/.test(pair))
			break;
		out.push(parseInt(pair, 16));
	}
	return out;
}

function hexEncode(b) {
	let out = '';
	for (let i = 0; i < b.length; i++)
		out += (b[i] < 16 ? '0' : '') + b[i].toString(16);
	return out;
}

function latin1Encode(text) {
	const out = [];
	for (let i = 0; i < text.length; i++)
		out.push(text.charCodeAt(i) & 255);
	return out;
}

function latin1Decode(b) {
	let out = '';
	for (let i = 0; i < b.length; i++)
		out += String.fromCharCode(b[i]);
	return out;
}

function encoding(name) {
	const e = String(name === undefined ? 'utf8' : name).toLowerCase();
	switch (e) {
	case 'utf8': case 'utf-8': return 'utf8';
	case 'hex': case 'base64': case 'base64url': return e;
	case 'ascii': case 'latin1': case 'binary': return 'latin1';
	}
	throw new TypeError('Unknown encoding: ' + e);
}

function toBytes(text, name) {
	switch (encoding(name)) {
	case 'hex': return hexDecode(text);
	case 'base64': case 'base64url': return base64Decode(text, false);
	case 'latin1': return latin1Encode(text);
	}
	return utf8Encode(text);
}

function toText(b, name) {
	switch (encoding(name)) {
	case 'hex': return hexEncode(b);
	case 'base64': return base64Encode(b, alphabet, '=');
	case 'base64url': return base64Encode(b, urlAlphabet, '');
	case 'latin1': return latin1Decode(b);
	}
	return utf8Decode(b);
}

define('btoa', function btoa(text) {
	text = String(text);
	for (let i = 0; i < text.length; i++)
		if (text.charCodeAt(i) > 255)
			throw new TypeError('btoa: character above 255');
	return base64Encode(latin1Encode(text), alphabet, '=');
});
define('atob', function atob(text) {
	return latin1Decode(base64Decode(String(text), true));
});

/* --- Buffer, the part of Node's that codecs use -------------------------- */

function byteAt(b, i) {
	if (!(i >= 0 && i < b.length))
		throw new RangeError('offset ' + i + ' is outside of ' +
			b.length + ' bytes');
	return b[i];
}

function signed(v, n) {
	return v >= 2 ** (8 * n - 1) ? v - 2 ** (8 * n) : v;
}

function makeBuffer() {
	class Buffer extends Uint8Array {
		static from(from, more, length) {
			if (typeof from === 'string')
				from = toBytes(from, more);
			else if (from instanceof ArrayBuffer)
				return new Buffer(from, more || 0,
					length === undefined ?
					from.byteLength - (more || 0) : length);
			else if (from && from.type === 'Buffer' &&
			    Array.isArray(from.data))
				from = from.data;
			else if (typeof from !== 'object' || from === null)
				throw new TypeError(
					'Buffer.from: not text or bytes');
			const b = new Buffer(from.length || 0);
			for (let i = 0; i < b.length; i++)
				b[i] = from[i];
			return b;
		}
		static alloc(n, fill) {
			const b = new Buffer(n);
			return fill === undefined ? b : b.fill(fill);
		}
		static allocUnsafe(n) { return new Buffer(n); }
		static isBuffer(b) { return b instanceof Buffer; }
		static byteLength(b, name) {
			return typeof b === 'string' ? toBytes(b, name).length :
				b.byteLength;
		}
		static concat(list, total) {
			if (total === undefined)
				total = list.reduce((n, b) => n + b.length, 0);
			const out = new Buffer(total);
			let at = 0;
			for (const b of list) {
				const part = b.subarray(0, total - at);
				out.set(part, at);
				at += part.length;
			}
			return out;
		}
		toString(name, from, to) {
			return toText(this.subarray(from || 0,
				to === undefined ? this.length : to), name);
		}
		toJSON() { return { type: 'Buffer', data: Array.from(this) }; }
		slice(from, to) { return this.subarray(from, to); }
		equals(b) {
			if (this.length !== b.length)
				return false;
			for (let i = 0; i < b.length; i++)
				if (this[i] !== b[i])
					return false;
			return true;
		}
		copy(to, at, from, end) {
			const part = this.subarray(from || 0,
				end === undefined ? this.length : end)
				.subarray(0,
					Math.max(to.length - (at || 0), 0));
			to.set(part, at || 0);
			return part.length;
		}
		write(text, at, length, name) {
			const b = toBytes(text, name);
			const n = Math.min(b.length, this.length - (at || 0),
				length === undefined ? Infinity : length);
			for (let i = 0; i < n; i++)
				this[(at || 0) + i] = b[i];
			return n;
		}
		readUIntLE(at, n) {
			let v = 0;
			for (let i = n - 1; i >= 0; i--)
				v = v * 256 + byteAt(this, at + i);
			return v;
		}
		readUIntBE(at, n) {
			let v = 0;
			for (let i = 0; i < n; i++)
				v = v * 256 + byteAt(this, at + i);
			return v;
		}
		readIntLE(at, n) { return signed(this.readUIntLE(at, n), n); }
		readIntBE(at, n) { return signed(this.readUIntBE(at, n), n); }
		writeUIntLE(v, at, n) {
			for (let i = 0; i < n; i++, v = Math.floor(v / 256))
				this[at + i] = v;
			return at + n;
		}
		writeUIntBE(v, at, n) {
			for (let i = n - 1; i >= 0; i--) {
				this[at + i] = v;
				v = Math.floor(v / 256);
			}
			return at + n;
		}
		writeIntLE(v, at, n) { return this.writeUIntLE(v, at, n); }
		writeIntBE(v, at, n) { return this.writeUIntBE(v, at, n); }
	}

	for (const [name, method, size] of [
		['Int8', 'Int8', 1], ['UInt8', 'Uint8', 1],
		['Int16', 'Int16', 2], ['UInt16', 'Uint16', 2],
		['Int32', 'Int32', 4], ['UInt32', 'Uint32', 4],
		['Float', 'Float32', 4], ['Double', 'Float64', 8],
		['BigInt64', 'BigInt64', 8], ['BigUInt64', 'BigUint64', 8]]) {
		const get = DataView.prototype['get' + method];
		const set = DataView.prototype['set' + method];
		for (const little of [true, false]) {
			const tail = size === 1 ? '' : little ? 'LE' : 'BE';
			const view = (b, at) => {
				byteAt(b, at);
				byteAt(b, at + size - 1);
				return new DataView(b.buffer, b.byteOffset,
					b.length);
			};
			const read = function (at = 0) {
				return get.call(view(this, at), at, little);
			};
			const write = function (v, at = 0) {
				set.call(view(this, at), at, v, little);
				return at + size;
			};
			for (const n of [name, name.replace('UInt', 'Uint')]) {
				define('read' + n + tail, read,
					Buffer.prototype);
				define('write' + n + tail, write,
					Buffer.prototype);
			}
		}
	}
	return Buffer;
}
lazily('Buffer', makeBuffer);

/* --- members in any spelling --------------------------------------------- */

const wrappers = new WeakMap();

/* The key of `o` that is `key` but for capitals: nodeId for NodeID. */
function keyOf(o, key) {
	if (typeof key !== 'string' || key in o)
		return key;
	const lower = key.toLowerCase();
	for (const k of Object.keys(o))
		if (k.toLowerCase() === lower)
			return k;
	return key;
}

/* What a proxy must give as it is. */
function isFixed(o, key) {
	const d = getOwnPropertyDescriptor(o, key);
	return d !== undefined && 'value' in d && !d.configurable &&
		!d.writable;
}

const anyCase = {
	get(o, key) {
		const k = keyOf(o, key);
		const v = o[k];
		return isFixed(o, k) ? v : spelled(v);
	},
	set(o, key, value) {
		return Reflect.set(o, keyOf(o, key), value);
	},
	has(o, key) {
		return keyOf(o, key) in o;
	},
	deleteProperty(o, key) {
		return deleteProperty(o, keyOf(o, key));
	},
};

function spelled(v) {
	if (typeof v !== 'object' || v === null)
		return v;
	let w = wrappers.get(v);
	if (w === undefined) {
		w = new Proxy(v, anyCase);
		wrappers.set(v, w);
		wrappers.set(w, w);
	}
	return w;
}

/* --- mcUtils, MyController's helpers ------------------------------------- */

function bytesOf(v) {
	if (typeof v === 'string')
		return utf8Encode(v);
	if (typeof v === 'number' || typeof v === 'boolean')
		return utf8Encode(String(v));
	if (v instanceof ArrayBuffer)
		return new Uint8Array(v);
	if (typeof v !== 'object' || v === null || v.length === undefined)
		throw new TypeError('text or bytes are needed');
	return Array.from(v, (b) => b & 255);
}

function makeCrypto() {
	const crypto = {};
	for (const name of ['MD5', 'Sha1', 'Sha256', 'Sha512']) {
		const hash = (v) => native.hash(name.toLowerCase(),
			latin1Decode(bytesOf(v)));
		crypto[name + 'HexString'] = hash;
		crypto[name + 'Bytes'] = (v) => hexDecode(hash(v));
	}
	return crypto;
}

function wholeHex(v) {
	const text = String(v).replace(/^0x/i, '').replace(/[\s:]/g, '');
	if (!/^([0-9a-fA-F]{2})*$/.test(text))
		throw new TypeError('not hexadecimal: ' + text.slice(0, 40));
	return hexDecode(text);
}

function makeConvert() {
	const convert = {
		ToString(v) {
			return typeof v === 'object' && v !== null &&
				v.length !== undefined ?
				utf8Decode(bytesOf(v)) : show(v);
		},
		ToBytes: (v) => Array.from(bytesOf(v)),
		ToHexString: (v) => hexEncode(bytesOf(v)),
		HexStringToString: (v) => utf8Decode(wholeHex(v)),
		HexStringToBytes: (v) => wholeHex(v),
		ToStringFromBase64: (v) =>
			utf8Decode(base64Decode(String(v), false)),
	};
	for (const [name, method, size] of [
		['Int16', 'getInt16', 2], ['Uint16', 'getUint16', 2],
		['Int32', 'getInt32', 4], ['Uint32', 'getUint32', 4],
		['Int64', 'getBigInt64', 8], ['Uint64', 'getBigUint64', 8]]) {
		for (const order of ['LE', 'BE']) {
			convert['To' + name + order] = (v) => {
				const b = Uint8Array.from(bytesOf(v));
				if (b.length < size)
					throw new RangeError('To' + name +
						order + ' needs ' + size +
						' bytes');
				return Number(new DataView(b.buffer)[method](0,
					order === 'LE'));
			};
		}
	}
	return convert;
}

function milliseconds(v) {
	if (typeof v === 'number')
		return v;
	const units = { ms: 1, s: 1e3, m: 6e4, h: 36e5 };
	let ms = 0;
	const rest = String(v === undefined || v === null ? '' : v)
		.replace(/([0-9.]+)(ms|s|m|h)/g,
			(all, n, unit) => (ms += n * units[unit], ''));
	if (rest.trim() !== '')
		throw new TypeError('not a duration: ' + v);
	return ms;
}

function urlWith(url, query) {
	const parts = [];
	for (const key of Object.keys(query || {}))
		for (const v of [].concat(query[key]))
			parts.push(encodeURIComponent(key) + '=' +
				encodeURIComponent(v));
	url = String(url);
	if (parts.length === 0)
		return url;
	return url + (url.includes('?') ? '&' : '?') + parts.join('&');
}

function request(client, url, method, headers, query, body, expected) {
	const out = {};
	for (const key of Object.keys(headers || {}))
		out[key] = [].concat(headers[key]).join(', ');
	const r = {
		method: String(method || 'GET').toUpperCase(),
		url: urlWith(url, query),
	};
	const answer = parse(native.http(r.method, r.url, stringify(out),
		body === undefined || body === null ? '' : String(body),
		client.insecure, client.timeout));
	if (answer.error !== undefined)
		throw new Error(r.method + ' ' + r.url + ': ' + answer.error);
	if (expected > 0 && answer.status !== expected)
		throw new Error(r.method + ' ' + r.url + ': status ' +
			answer.status + ' instead of ' + expected);
	return spelled({
		method: r.method, url: r.url, statusCode: answer.status,
		headers: answer.headers || {}, body: answer.body,
		stringBody() { return answer.body; },
	});
}

const httpClient = {
	New(insecure, timeout) {
		const client = { insecure: !!insecure,
			timeout: milliseconds(timeout) };
		return spelled({
			execute(url, method, headers, query, body, expected) {
				return request(client, url, method, headers,
					query, body, expected);
			},
			executeJson(url, method, headers, query, body,
			    expected) {
				const all = Object.assign({
					'Content-Type': 'application/json',
					Accept: 'application/json' }, headers);
				return request(client, url, method, all, query,
					body === undefined || body === null ||
					typeof body === 'string' ? body :
					stringify(body), expected);
			},
			updateTimeout(v) { client.timeout = milliseconds(v); },
		});
	},
};

lazily('mcUtils', () => spelled({
	crypto: spelled(makeCrypto()), convert: spelled(makeConvert()),
	httpClient: spelled(httpClient), http: spelled(httpClient),
}));

/* --- calls --------------------------------------------------------------- */

/* A failure to be told in these words, without "Error:" before them. */
class Told {
	constructor(text, code) {
		this.text = text;
		this.code = code || 'param';
	}
}

function told(out, what) {
	if (typeof out !== 'object' || out === null)
		throw new Told(what + ' returned no object');
	if (typeof out.then === 'function')
		throw new Told(what + ' returned a promise');
	const errors = out.errors;
	if (errors !== undefined && errors !== null && errors.length > 0)
		throw new Told(what + ': ' + (typeof errors === 'string' ?
			errors : Array.from(errors, show).join('; ')));
	return out;
}

function dataOf(out, what) {
	told(out, what);
	if (out.data === undefined || out.data === null)
		throw new Told(what + ' returned no data');
	const ret = { data: out.data };
	if (out.warnings !== undefined)
		ret.warnings = out.warnings;
	if (out.requests !== undefined)
		ret.requests = out.requests;
	return ret;
}

function octet(b) {
	const n = Math.trunc(b);
	if (!(n === n) || n === Infinity || n === -Infinity)
		throw new Told('a byte is no number: ' + show(b));
	return n & 255;
}

function bytesFrom(out, what) {
	told(out, what);
	if (typeof out.bytes !== 'object' || out.bytes === null)
		throw new Told(what + ' returned no bytes');
	const bytes = [];
	for (let i = 0; i < out.bytes.length; i++)
		bytes.push(octet(out.bytes[i]));
	const ret = { bytes };
	if (out.fPort !== undefined && out.fPort !== null)
		ret.fPort = octet(out.fPort);
	if (out.warnings !== undefined)
		ret.warnings = out.warnings;
	return ret;
}

/* In the order of enum script_entry. */
const entries = [
	undefined,
	function (f, input) {
		if (typeof input.recvTime === 'string')
			input.recvTime = new Date(input.recvTime);
		if (input.variables === undefined)
			input.variables = {};
		if (f.decodeUplink)
			return dataOf(f.decodeUplink(input), 'decodeUplink');
		if (f.Decode)
			return dataOf({ data: f.Decode(input.fPort, input.bytes,
				input.variables) }, 'Decode');
		if (f.Decoder)
			return dataOf({ data: f.Decoder(input.bytes,
				input.fPort) }, 'Decoder');
		throw new Told('there is no function decodeUplink, Decode or ' +
			'Decoder', 'missing');
	},
	function (f, input) {
		if (f.normalizeUplink)
			return dataOf(f.normalizeUplink(input),
				'normalizeUplink');
		throw new Told('there is no function normalizeUplink',
			'missing');
	},
	function (f, input) {
		if (input.variables === undefined)
			input.variables = {};
		if (f.encodeDownlink)
			return bytesFrom(f.encodeDownlink(input),
				'encodeDownlink');
		if (f.Encode)
			return bytesFrom({ bytes: f.Encode(input.fPort,
				input.data, input.variables) }, 'Encode');
		if (f.Encoder)
			return bytesFrom({ bytes: f.Encoder(input.data,
				input.fPort) }, 'Encoder');
		throw new Told('there is no function encodeDownlink, Encode ' +
			'or Encoder', 'missing');
	},
	function (f, input) {
		if (f.decodeDownlink)
			return dataOf(f.decodeDownlink(input),
				'decodeDownlink');
		throw new Told('there is no function decodeDownlink',
			'missing');
	},
];

/* `before`: lines that the engine puts before the script. */
function lineOf(e, before) {
	const at = /(?:^|@|\n)marram:script:([0-9]+)/.exec(e.stack);
	const line = at !== null ? Number(at[1]) :
		e.sourceURL === 'marram:script' ? Number(e.line) : 0;
	return line > before ? line - before : 0;
}

/* "-code line sentence", for the C side. */
function failure(e, before) {
	if (e instanceof Told)
		return '-' + e.code + ' 0 ' + e.text.slice(0, 1000);
	let text = 'threw what cannot be shown', line = 0;
	try {
		text = show(e).slice(0, 1000);
		if (typeof e === 'object' && e !== null)
			line = lineOf(e, before);
	} catch (again) {
		/* its own toString() or stack threw: the words above remain */
	}
	return '-param ' + line + ' ' + text;
}

function answer(value) {
	if (value instanceof Promise)
		throw new Told('the value is a promise');
	const text = stringify(value);
	if (text === undefined)
		return '+null';
	if (text.length > outputMax)
		throw new Told('the result has ' + text.length +
			' characters, more than ' + outputMax, 'limit');
	return '+' + text;
}

/* Calls a function of a script whose text is the body of `load`. */
function run(load, entry, arg) {
	/(?:)/.exec(''); /* forgets RegExp.lastMatch and its kin */
	try {
		return answer(entries[entry](load(), parse(arg)));
	} catch (e) {
		return failure(e, functionHead);
	}
}

/* The value of the last expression of `source`: `load` evaluates its first
 * argument; the others are variables, which it has as parameters. */
function evaluate(load, source, both, ...texts) {
	/(?:)/.exec('');
	try {
		const values = texts.map((t) => parse(t))
			.map((v) => both ? spelled(v) : v);
		return answer(load(source, ...values));
	} catch (e) {
		return failure(e, 0);
	}
}

/* The answer for a value. */
function value(v) {
	try {
		return answer(v);
	} catch (e) {
		return failure(e, 0);
	}
}

/* What the language brings along, by its names. */
const brought = 'Object|Array|String|Number|Boolean|Function|Date|Math|JSON|' +
	'RegExp|Map|Set|WeakMap|WeakSet|Promise|Symbol|BigInt|Proxy|Reflect|' +
	'Intl|Iterator|ArrayBuffer|DataView|Buffer|console|mcUtils|Error|' +
	'[A-Z][A-Za-z0-9]{0,20}(?:Error|Array)';
/* X.member = , X[member] = , X.prototype.member = , and += and so on */
const assignment = new RegExp('\\b(?:' + brought + ')\\s{0,9}' +
	'(?:\\.\\s{0,9}prototype\\s{0,9})?' +
	'(?:\\.\\s{0,9}\\w{1,60}|\\[[^\\]\\n]{0,60}\\])\\s{0,9}' +
	'[-+|&?*\\/]{0,2}=(?!=)');
const telling = new RegExp('__proto__|setPrototypeOf|__define|' +
	'defineProperty|globalThis|prototype\\s{0,9}[,)\\]]');

/* Whether a script may change what the language brings along: then it gets a
 * realm of its own for each call. Judged by its text; when that is wrong, the
 * change fails or is ignored, as everything is frozen. */
function careful(text, isExpression) {
	/* `this` is the global object: it has the variables of an expression
	 * as members only in a realm of one call. What has asked for HTTP is
	 * not tried twice. */
	return isExpression && /\bthis\b/.test(text) ||
		/httpClient/i.test(text) || telling.test(text) ||
		assignment.test(text);
}

function variable(name, text, both) {
	const v = parse(text);
	define(name, both ? spelled(v) : v);
}

/* --- freezing ------------------------------------------------------------ */

const seen = new Set();

function freezeAll(list) {
	for (let o = list.pop(); o !== undefined; o = list.pop()) {
		if (o === null || o === globalThis || seen.has(o) ||
		    typeof o !== 'object' && typeof o !== 'function')
			continue;
		seen.add(o);
		list.push(getPrototypeOf(o));
		for (const key of ownKeys(o)) {
			const d = getOwnPropertyDescriptor(o, key);
			for (const v of [d.value, d.get, d.set])
				if (v !== undefined)
					list.push(v);
		}
		freeze(o);
	}
}

/* Assigning to a member that a frozen prototype has would fail; these names
 * people do assign. With a setter the assignment makes a member of its own. */
function keepAssignable(proto, keys, hidden) {
	for (const key of keys) {
		const d = getOwnPropertyDescriptor(proto, key);
		if (d === undefined || !('value' in d) || !d.configurable)
			continue;
		const v = d.value;
		hidden.push(v);
		defineProperty(proto, key, {
			get() { return v; },
			set(own) {
				if (this === proto)
					throw new TypeError('cannot change ' +
						'what all scripts share');
				defineProperty(this, key, { value: own,
					writable: true, enumerable: true,
					configurable: true });
			},
			enumerable: d.enumerable, configurable: false,
		});
	}
}

/* One of each kind of object that no global leads to. */
function nameless() {
	const all = [
		[][Symbol.iterator](), ''[Symbol.iterator](),
		new Map().entries(), new Set().values(), ''.matchAll(/x/g),
		function* () {}, (function* () {})(), async function () {},
		async function* () {}, (async function* () {})(), () => {},
		getOwnPropertyDescriptor(function () {
			return arguments;
		}(), 'callee').get,
	];
	if (typeof Iterator === 'function') {
		if (Iterator.from)
			all.push(Iterator.from({ next() {} }));
		if (Iterator.prototype.map)
			all.push([].values().map((x) => x));
	}
	if (typeof Intl === 'object' && Intl.Segmenter) {
		const segments = new Intl.Segmenter().segment('a');
		all.push(segments, segments[Symbol.iterator]());
	}
	return all;
}

let globals;

function freezeRealm(seal) {
	void [globalThis.Buffer, globalThis.mcUtils];
	const errors = [Error, EvalError, RangeError, ReferenceError,
		SyntaxError, TypeError, URIError, AggregateError];
	/* values that only the setters' closures lead to now */
	const hidden = [];
	keepAssignable(Object.prototype, ownKeys(Object.prototype)
		.filter((k) => typeof k === 'string'), hidden);
	for (const e of errors)
		keepAssignable(e.prototype,
			['constructor', 'name', 'message', 'toString'], hidden);
	for (const o of [Function, Array, Number, String, Boolean, Date,
		RegExp, Map, Set, Promise, globalThis.Buffer])
		keepAssignable(o.prototype, ['constructor', 'toString'],
			hidden);
	freezeAll(hidden);
	freezeAll(nameless());
	globals = new Set(ownKeys(globalThis));
	for (const key of globals) {
		const d = getOwnPropertyDescriptor(globalThis, key);
		freezeAll([d.value, d.get, d.set]
			.filter((v) => v !== undefined));
		if (d.configurable)
			defineProperty(globalThis, key, 'value' in d ?
				{ writable: false, configurable: false } :
				{ configurable: false });
	}
	freezeAll([getPrototypeOf(globalThis)]);
	if (seal)
		Object.preventExtensions(globalThis);
}

/* In an open realm, after a call and all that it left to be run: false when it
 * is not as it was and must go. */
function clean() {
	const keys = ownKeys(globalThis);
	if (keys.length === globals.size)
		return isExtensible(globalThis);
	for (const key of keys)
		if (!globals.has(key) && !deleteProperty(globalThis, key))
			return false;
	return ownKeys(globalThis).length === globals.size &&
		isExtensible(globalThis);
}

/* Makes a script's loader unchangeable: it can get hold of it. */
function freezeLoader(load) {
	freeze(load.prototype);
	return freeze(load);
}

return { run, evaluate, value, variable, freezeRealm, freezeLoader, clean,
	failure, careful };
})
