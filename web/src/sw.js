// The service worker: the application and what the server said last stay
// readable while the server is away. vite.config.ts writes the list of files
// and their version in front of this.
//
//    files of a version   kept whole; the version before too, for open pages
//    pages                from the network, else the application itself
//    GET of the API       from the network, else the last answer, which says
//                         its age; apart for each user (X-Marram), and gone
//                         when the user signs out
/* global FILES, VERSION */
const ANSWERS = 200, LARGEST = 1 << 20, PAGE_MS = 4000, ANSWER_MS = 15_000;
const files = 'files:' + VERSION;

addEventListener('install', (e) => e.waitUntil(caches.open(files).then((c) => c.addAll(FILES)).then(() => skipWaiting())));

addEventListener('activate', (e) => e.waitUntil((async () => {
	const old = (await caches.keys()).filter((k) => k.startsWith('files:') && k !== files);
	await Promise.all(old.slice(0, -1).map((k) => caches.delete(k)));
	await clients.claim();
})()));

async function file(request) {
	const kept = await caches.match(request, { ignoreVary: true });
	if (kept) return kept;
	const r = await fetch(request);
	if (r.ok) await (await caches.open(files)).put(request, r.clone());
	return r;
}

// A proxy that has no server behind it is no server.
async function ask(request, ms) {
	const r = await Promise.race([fetch(request), new Promise((_, fail) => setTimeout(() => fail(new Error('too late')), ms))]);
	if (r.status === 502 || r.status === 504) throw new Error('the server is away');
	return r;
}

async function page(request) {
	try {
		return await ask(request, PAGE_MS);
	} catch {
		return (await caches.match('/', { ignoreVary: true })) ?? Response.error();
	}
}

// What was asked before somebody signed out is not kept after that.
let turn = 0;
addEventListener('message', (e) => { if (e.data === 'forget') turn++; });

async function keep(user, began, request, r) {
	const body = await r.arrayBuffer();
	if (body.byteLength > LARGEST || began !== turn) return;
	const cache = await caches.open('answers:' + user);
	const headers = new Headers({ 'Content-Type': r.headers.get('Content-Type'), 'X-Marram-Old': new Date().toISOString() });
	await cache.delete(request.url);
	await cache.put(request.url, new Response(body, { headers }));
	const all = await cache.keys();
	await Promise.all(all.slice(0, Math.max(0, all.length - ANSWERS)).map((k) => cache.delete(k)));
	if (began !== turn) await caches.delete('answers:' + user);
}

async function answer(e, user) {
	const began = turn;
	try {
		const r = await ask(e.request, ANSWER_MS);
		if (r.ok && /json/.test(r.headers.get('Content-Type') ?? '')) e.waitUntil(keep(user, began, e.request, r.clone()).catch(() => {}));
		return r;
	} catch (why) {
		const kept = await (await caches.open('answers:' + user)).match(e.request.url);
		if (kept) return kept;
		throw why;
	}
}

addEventListener('fetch', (e) => {
	const { request } = e, url = new URL(request.url), user = request.headers.get('X-Marram');
	if (request.method !== 'GET' || url.origin !== location.origin) return;
	if (FILES.includes(url.pathname) && url.pathname !== '/') e.respondWith(file(request));
	else if (url.pathname.startsWith('/assets/')) e.respondWith(file(request));
	else if (request.mode === 'navigate' && !/^\/(auth|broker|coremgr|data|hub|plain|signed-in)(\/|$)/.test(url.pathname) && !url.pathname.includes('.')) e.respondWith(page(request));
	else if (user && /^\/(auth|broker|coremgr|data|hub)\/api\//.test(url.pathname)) e.respondWith(answer(e, user));
});
