// Addresses of pages: /devices, /device/ID. A click on a link of ours changes
// the page without loading anything.
export const route = $state({ path: location.pathname, query: new URLSearchParams(location.search) });

// Looks at the address anew.
export function read() {
	route.path = location.pathname;
	route.query = new URLSearchParams(location.search);
	scrollTo(0, 0);
}

export function go(path: string) {
	history.pushState(null, '', path);
	read();
}

addEventListener('popstate', read);
addEventListener('click', (e) => {
	const a = (e.target as Element).closest?.('a');
	if (!a || e.defaultPrevented || e.button || e.ctrlKey || e.metaKey || e.shiftKey || a.target || a.hasAttribute('data-load')) return;
	const url = new URL(a.href);
	if (url.origin !== location.origin) return;
	e.preventDefault();
	go(url.pathname + url.search);
});
