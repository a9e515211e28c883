// Calls of our API. What goes wrong is an ApiError whose text says what, where
// and, as the server does, what to do.
import { accessToken, leaving, who } from './auth.svelte';
import { away } from './away.svelte';
import { tOr } from './look.svelte';
import type { Counted } from './schema';

export class ApiError extends Error {
	constructor(public status: number, public code: string, message: string, public where: string) {
		super(message);
	}
}

// What an answer with an error says; many have a code alone.
export const refused = (status: number, e: { code?: string; message?: string }, or: string, where: string) =>
	new ApiError(status, e.code ?? String(status), e.message ?? tOr(`error.${e.code}`, or || `HTTP ${status}`), where);

const METRIC = '/hub/api/v1/metric';
export type Query = Record<string, string | number | undefined>;

export const withQuery = (path: string, query: Query = {}) => {
	const q = new URLSearchParams();
	for (const [k, v] of Object.entries(query)) if (v !== undefined && v !== '') q.set(k, String(v));
	return String(q) ? path + (path.includes('?') ? '&' : '?') + q : path;
};

// `version`: where the version lies that a change has made, for lib/undo.
// `mark`: the ETag, for If-Match.
export interface Changed<T = any> { data: T; version?: string; mark?: string }

// Devices and gateways have their versions beside the networks.
const home = (path: string) => (/^\/hub\/api\/v1\/(gateway|inbox)\b/.test(path) ? '/broker/api/v1' : path.split('/').slice(0, 4).join('/'));

// What is deleted on its own page is not asked for there any more, nor its
// history, though others tell that it has changed: nobody would be there to
// answer; of a unit, nothing that it held either. What was asked for before is
// answered first, if that does not take long.
const PATIENCE = 3000; // ms
const asking = new Set<{ path: string; answer: Promise<unknown> }>();
const sole = (path: string) => path.replace(/^\/coremgr\//, '/broker/'); // one object, by two ways
let deleted: { path: string; unit?: string; page: string } | undefined;
function isDeleted(asked: string): boolean {
	if (deleted?.page !== location.pathname) return false;
	const [at, query] = asked.split('?'), path = sole(at);
	return (path === METRIC && deleted.path.includes('/device/')) || (path + '/').startsWith(deleted.path + '/') || (!!deleted.unit && new URLSearchParams(query).get('unit') === deleted.unit);
}
async function deleting(path: string): Promise<Changed> {
	deleted = { path: sole(path), unit: /\/unit\/([^/]+)$/.exec(path)?.[1], page: location.pathname };
	await Promise.race([Promise.allSettled([...asking].filter((a) => isDeleted(a.path)).map((a) => a.answer)), new Promise((done) => setTimeout(done, PATIENCE))]);
	try { return await whole('DELETE', path); } catch (e) { deleted = undefined; throw e; }
}

async function whole(method: string, path: string, body?: Record<string, unknown>, ifMatch?: string): Promise<Changed> {
	if (path.endsWith('/undo')) deleted = undefined;
	if (method !== 'GET' && path !== METRIC) return send(method, path, body, ifMatch);
	if (isDeleted(path)) throw refused(404, { code: 'err_not_found' }, '', path);
	const mine = { path, answer: send(method, path, body, ifMatch) };
	asking.add(mine);
	try { return await mine.answer; } finally { asking.delete(mine); }
}
async function send(method: string, path: string, body?: Record<string, unknown>, ifMatch?: string, bad?: string): Promise<Changed> {
	// Away: the service worker may have an answer of before.
	const token = await accessToken(bad).catch(() => '');
	const headers: Record<string, string> = { Authorization: 'Bearer ' + token, 'X-Marram': who.userId };
	if (body !== undefined) headers['Content-Type'] = 'application/json';
	if (ifMatch) headers['If-Match'] = `"${ifMatch}"`;
	let r: Response;
	try {
		r = await fetch(path, { method, headers, body: body === undefined ? undefined : JSON.stringify(body), signal: leaving.signal });
	} catch {
		if (leaving.signal.aborted) return new Promise(() => {});
		throw new ApiError(0, 'away', 'The server does not answer. Is it running, and is the network up?', path);
	}
	if (r.status === 401 && bad === undefined) return send(method, path, body, ifMatch, token);
	const text = await r.text();
	let json: any;
	try { json = text ? JSON.parse(text) : {}; } catch { json = {}; }
	if (!r.ok) throw refused(r.status, json, r.statusText, `${method} ${path.split('?')[0]}`);
	away.since = r.headers.get('X-Marram-Old') ?? away.since;
	const version = r.headers.get('X-Marram-Version');
	return { data: json.data, version: version ? `${home(path)}/version/${encodeURIComponent(version)}` : undefined, mark: r.headers.get('ETag')?.replaceAll('"', '') };
}
const call = async (method: string, path: string, body?: Record<string, unknown>, ifMatch?: string) => (await whole(method, path, body, ifMatch)).data;

export const get = <T>(path: string, query?: Query): Promise<T> => call('GET', withQuery(path, query));
// `beside`: what stands next to "data".
export const post = <T>(path: string, data?: unknown, beside?: object): Promise<T> => call('POST', path, { data, ...beside });
// `asOf`: the modifiedOn that was read; who changed it since is not overwritten (412).
export const patch = <T>(path: string, data?: unknown, beside?: object, asOf?: string): Promise<T> => call('PATCH', path, { data, ...beside }, asOf);
export const del = (path: string): Promise<void> => call('DELETE', path);
// A body that is no JSON: the bytes of a file.
export async function ofBytes(method: 'PUT', path: string, body: Blob): Promise<void> {
	const r = await fetch(path, { method, headers: { Authorization: 'Bearer ' + (await accessToken()), 'X-Marram': who.userId, 'Content-Type': 'application/octet-stream' }, body });
	if (!r.ok) throw refused(r.status, await r.json().catch(() => ({})), r.statusText, `${method} ${path.split('?')[0]}`);
}
// What is read together with its mark, and put under one.
export const marked = <T = any>(path: string, query?: Query): Promise<Changed<T>> => whole('GET', withQuery(path, query));
export const under = <T = any>(mark: string, method: 'PUT' | 'PATCH' | 'DELETE', path: string, data?: unknown): Promise<Changed<T>> => whole(method, path, data === undefined ? undefined : { data }, mark);
// A change together with the version it has made: `undoable(text, () => change('PATCH', path, data))`.
export const change = <T = any>(method: 'POST' | 'PATCH' | 'DELETE', path: string, data?: unknown, beside?: object, asOf?: string): Promise<Changed<T>> => method === 'DELETE' ? deleting(path) : whole(method, path, { data, ...beside }, asOf);
export const count = async (path: string, query?: Query) => (await get<Counted>(path + '/count', query)).count;

// The schema of what a call takes, for forms.
let doc: Promise<any> | undefined;
export interface Schema { type: string | string[]; description?: string; default?: unknown; properties?: Record<string, Schema>; items?: Schema; enum?: unknown[]; required?: string[]; minimum?: number; maximum?: number; maxLength?: number; contentMediaType?: string; title?: string; anyOf?: Schema[] }
export const openapi = () => (doc ??= fetch('/openapi.json').then((r) => r.json()));
export async function bodySchema(method: string, path: string): Promise<Schema> {
	return (await openapi()).paths[path][method].requestBody.content['application/json'].schema.properties.data;
}
