// One WebSocket for all that changes. It comes back by itself, and what was
// subscribed then is subscribed again.
import { accessToken } from './auth.svelte';
import type { EventFilter } from './schema';

export interface LiveEvent { type: EventFilter['eventTypes'][number]; entityType: string; entityId: string; entityQuickId: string; entity: any }
interface Wanted { ask: Record<string, unknown>; hear: (e: LiveEvent) => void; frame?: (f: any) => void }

export const link = $state({ up: false, tried: false });
const wanted = new Map<string, Wanted>();
let ws: WebSocket | undefined, next = 1, wait = 500, timer: number | undefined, refused: string | undefined;

const send = (o: unknown) => { if (ws?.readyState === WebSocket.OPEN) ws.send(JSON.stringify(o)); };
const fits = (w: Wanted, e: LiveEvent) => {
	const types = w.ask.entityTypes as string[] | undefined, ids = w.ask.quickIds as string[] | undefined, filters = (w.ask.filters ?? {}) as Record<string, string>;
	const at = (path: string) => path.split('.').reduce((o, k) => o?.[k], e.entity);
	return (!types || types.includes(e.entityType)) && (!ids || ids.includes(e.entityQuickId)) && Object.entries(filters).every(([k, v]) => !e.entity || String(at(k)) === v);
};

function again() {
	link.up = false;
	link.tried = true;
	timer ??= setTimeout(open, wait) as unknown as number;
	wait = Math.min(wait * 2, 15_000);
}

async function open() {
	timer = undefined;
	const address = location.origin.replace(/^http/, 'ws') + '/ws';
	let token: string;
	try {
		token = await accessToken(refused);
	} catch {
		return again();
	}
	refused = undefined;
	ws = new WebSocket(address, ['marram.v1', token]);
	ws.onopen = () => {
		link.up = link.tried = true;
		wait = 500;
		for (const [id, w] of wanted) send({ type: 'subscribe', id, ...w.ask });
	};
	ws.onmessage = (m) => {
		const f = JSON.parse(m.data);
		if (f.id) wanted.get(f.id)?.frame?.(f);
		if (f.type === 'event') for (const w of wanted.values()) if (fits(w, f.data)) w.hear(f.data);
		if (f.type === 'lagged') for (const [id, w] of wanted) { send({ type: 'unsubscribe', id }); send({ type: 'subscribe', id, ...w.ask }); }
	};
	ws.onclose = (e) => {
		if (e.code === 4401) refused = token;
		again();
	};
}

// Returns what ends the subscription, as $effect wants it.
export function follow(ask: Record<string, unknown>, hear: (e: LiveEvent) => void, frame?: (f: any) => void): () => void {
	const id = String(next++);
	wanted.set(id, { ask, hear, frame });
	if (!ws && timer === undefined) timer = setTimeout(open, 0) as unknown as number;
	send({ type: 'subscribe', id, ...ask });
	return () => {
		wanted.delete(id);
		send({ type: 'unsubscribe', id });
	};
}

// The same for a page that loads itself again: many events, one load. `put`
// may take an event as it is; false: load. It also loads when the subscription
// stands, again too: what happened before that, nobody has told.
export function watch(ask: Record<string, unknown>, load: () => unknown, put: (e: LiveEvent) => boolean = () => false): () => void {
	let soon: number | undefined;
	const again = () => { soon ??= setTimeout(() => { soon = undefined; load(); }, 300) as unknown as number; };
	const end = follow(ask, (e) => { if (!put(e)) again(); }, (f) => { if (f.type === 'subscribed') again(); });
	return () => { clearTimeout(soon); end(); };
}

// What passes the MQTT server: messages of topics, and how many more were not
// shown. Not to be had: says why.
export interface Passing { topic: string; time: string; qos: number; retain: boolean; held: boolean; size: number; payload?: string; base64?: string }
export function topics(ask: { unit?: string; topics: string[]; initial?: boolean }, hear: (all: Passing[], left: number) => void, fault: (why: string) => void): () => void {
	return follow(ask, () => {}, (f) => {
		if (f.type === 'messages') hear(f.data, f.left);
		else if (f.type === 'error') fault(f.message ?? f.code);
	});
}
