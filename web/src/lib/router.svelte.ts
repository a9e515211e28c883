// Addresses of pages: /devices, /device/ID. A click on a link of ours changes
// the page without loading anything.
export const route = $state({ path: location.pathname, query: new URLSearchParams(location.search), hash: location.hash });

// Looks at the address anew.
export function read() {
	if (route.path !== location.pathname) scrollTo(0, 0);
	route.path = location.pathname;
	route.query = new URLSearchParams(location.search);
	route.hash = location.hash;
}

// A page with something unsaved is asked before it is left, and given what leaves.
let held: ((leave: () => void) => void) | undefined;
export function hold(ask: (leave: () => void) => void): () => void {
	held = ask;
	return () => { if (held === ask) held = undefined; };
}
// Does what takes the page away; at once where nothing is unsaved.
export function leave(run: () => void) {
	if (!held) return run();
	held(() => { held = undefined; run(); });
}
function asked(path: string): boolean {
	if (!held || new URL(path, location.href).pathname === route.path) return false;
	leave(() => go(path));
	return true;
}

export function go(path: string) {
	if (asked(path)) return;
	history.pushState(null, '', path);
	read();
}

// Other values behind the "?" of this page; undefined takes one away.
export function replace(query: Record<string, string | undefined>) {
	const q = new URLSearchParams(route.query);
	for (const [k, v] of Object.entries(query)) if (v === undefined || v === '') q.delete(k); else q.set(k, v);
	history.replaceState(null, '', location.pathname + (String(q) ? '?' + q : '') + location.hash);
	read();
}

addEventListener('popstate', () => {
	const to = location.pathname + location.search + location.hash, query = String(route.query);
	if (asked(to)) history.pushState(null, '', route.path + (query ? '?' + query : ''));
	else read();
});
addEventListener('click', (e) => {
	const a = (e.target as Element).closest?.('a');
	if (!a || e.defaultPrevented || e.button || e.ctrlKey || e.metaKey || e.shiftKey || a.target || a.hasAttribute('download') || a.hasAttribute('data-load')) return;
	const url = new URL(a.href);
	if (url.origin !== location.origin) return;
	e.preventDefault();
	go(url.pathname + url.search + url.hash);
});
