// While the server is away the service worker answers with what it said last:
// since when that is, and who may see it.
import type { Tokeninfo } from './schema';

export const away = $state({ since: '' });

const WHO = 'marram.who', KEPT = 'answers:';

export type Who = Pick<Tokeninfo, 'account' | 'name' | 'roles' | 'userId'>;
export function remember(who: Who) {
	localStorage.setItem(WHO, JSON.stringify(who));
	forget(who.userId).catch(() => {});
}
export const remembered = () => JSON.parse(localStorage.getItem(WHO) ?? 'null');

// What others than `userId` were told goes; nobody: all.
export async function forget(userId?: string) {
	if (!userId) {
		localStorage.removeItem(WHO);
		navigator.serviceWorker?.controller?.postMessage('forget');
	}
	for (const k of (await globalThis.caches?.keys()) ?? []) if (k.startsWith(KEPT) && k !== KEPT + userId) await caches.delete(k);
}

// When nothing else is to be done. There are workers on HTTPS and localhost only.
export function install() {
	if (!navigator.serviceWorker || !import.meta.env.PROD) return;
	const begin = () => setTimeout(() => navigator.serviceWorker.register('/sw.js').catch(() => {}), 1500);
	if (document.readyState === 'complete') begin(); else addEventListener('load', begin);
}
