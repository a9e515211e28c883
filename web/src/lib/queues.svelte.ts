// Figures of queues, asked for every few seconds while somebody looks.
import { get } from './api';
import { complain } from './toast.svelte';
import type { QueueEnd } from './schema';

export type Figures = QueueEnd & { rate?: number /* received in a second, between two looks */ }
const EVERY = 3000;

// For a component: what is asked for follows `ids`.
export function watchQueues(unit: () => string | null, ids: () => string[]): Record<string, Figures> {
	const all = $state<Record<string, Figures>>({});
	const before = new Map<string, { at: number; n: number }>();
	$effect(() => {
		const asked = ids(), u = unit();
		if (!asked.length) return;
		let told = false;
		async function look() {
			if (document.hidden) return;
			try {
				const rows = await get<Figures[]>('/coremgr/api/v1/queue/list', { unit: u ?? undefined, ids: asked.join(',') }), at = performance.now();
				for (const f of rows) {
					const was = before.get(f.id);
					if (was && f.received >= was.n) f.rate = ((f.received - was.n) / (at - was.at)) * 1000;
					before.set(f.id, { at, n: f.received });
					all[f.id] = f;
				}
			} catch (e) { if (!told) complain(e); told = true; }
		}
		look();
		const timer = setInterval(look, EVERY);
		return () => clearInterval(timer);
	});
	return all;
}
export const waiting = (f?: Figures) => f?.queues.reduce((n, q) => n + q.messages, 0) ?? 0;
export const lost = (f?: Figures) => f?.queues.reduce((n, q) => n + q.refused + q.expired, 0) ?? 0;
// Who of an application or network listens to its first queue.
export const listeners = (f?: Figures) => f?.queues[0]?.consumers ?? 0;
export const last = (f?: Figures) => [f?.lastReceived, ...(f?.queues.map((q) => q.last) ?? [])].filter((x) => x).sort().at(-1) ?? null;
