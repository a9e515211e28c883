// The values that a dashboard shows: asked for once, and followed by as few
// subscriptions as there are kinds of questions.
import { get } from '../lib/api';
import { follow, type LiveEvent } from '../lib/live.svelte';
import { value as shown } from '../lib/look.svelte';
import { deviceName } from '../lib/metric';

export type Entity = Record<string, any>;
export type Filters = Record<string, string>;
export interface Want { quick?: string; type?: string; filters?: Filters }

// keyPath of MyController: case does not count.
export function at(o: any, path: string): any {
	let v = o;
	for (const part of path.split('.')) {
		if (v === null || typeof v !== 'object') return undefined;
		v = part in v ? v[part] : v[Object.keys(v).find((k) => k.toLowerCase() === part.toLowerCase()) ?? ''];
	}
	return v;
}
export const isNo = (v: unknown) => v === null || v === undefined || v === '';
export const truth = (v: unknown) => (typeof v === 'string' ? ['true', '1', 'on', 'enable', 'yes'].includes(v.toLowerCase()) : !!v);
export const toNumber = (v: unknown) => (typeof v === 'boolean' ? Number(v) : isNo(v) || Number.isNaN(Number(v)) ? (v === 'true' ? 1 : v === 'false' ? 0 : null) : Number(v));
export const quickOf = (type: string, e: Entity) =>
	type === 'field' ? `field:${e.gatewayId}.${e.nodeId}.${e.sourceId}.${e.fieldId}`
	: type === 'source' ? `source:${e.gatewayId}.${e.nodeId}.${e.sourceId}`
	: type === 'node' ? `node:${e.gatewayId}.${e.nodeId}` : `${type}:${e.id}`;
export const typeOf = (quick: string) => quick.slice(0, quick.indexOf(':')).toLowerCase();
// "gw.node.source.field" of a resource of a known type, or with the type before it.
export const quickId = (type = 'field', quick = '') => (quick.includes(':') ? quick : quick ? `${type}:${quick}` : '');
export const nameOf = (e: Entity | undefined, quick: string, key = 'name') =>
	String((e && (at(e, key || 'name') || e.name || e.fieldId || e.sourceId || e.nodeId || e.id)) || quick.split(/[:.]/).at(-1) || quick);
export const keyFor = (type: string) => (type === 'field' ? 'current.value' : type === 'node' || type === 'gateway' ? 'state.status' : type === 'data_repository' ? 'data' : 'enabled');

// Number with so many digits, unit behind it.
export function text(v: unknown, unit = '', digits?: number): string {
	const n = typeof v === 'number' ? v : digits !== undefined && !isNo(v) ? toNumber(v) : null;
	return shown(n !== null && digits !== undefined ? Number(n.toFixed(Math.max(0, Math.min(10, digits)))) : v, unit);
}

// Filters are a map; a list of {k, o, v} is read as well.
export function filtersOf(r: any): Filters {
	const f = r?.filters ?? r?.filter ?? r?.selectors ?? {};
	const pairs: [string, unknown][] = Array.isArray(f) ? f.map((x) => [x.k ?? x.key, x.v ?? x.value]) : Object.entries(f);
	return Object.fromEntries(pairs.filter(([k, v]) => k && !isNo(v)).map(([k, v]) => [k, String(v)]));
}
const passes = (e: Entity, f: Filters) => Object.entries(f).every(([k, v]) => String(at(e, k) ?? '') === v);
const keyOf = (type: string, f: Filters) => `${type} ${JSON.stringify(Object.entries(f).sort())}`;

const paths: Record<string, string> = { task: 'task', schedule: 'schedule', handler: 'handler', data_repository: 'data-repository', forward_payload: 'forward-payload', gateway: 'gateway', node: 'node', source: 'source', field: 'field' };
const LIST_MAX = 1000;

export class Values {
	rows = $state<Record<string, Entity>>({});
	late = $state(false); // what is not there by now is not known
	private ids = $state<Record<string, string>>({}); // quick ids of fields that are named by their id
	private devices = $state<Record<string, string>>({});
	private asked = new Set<string>();
	private hearers = new Set<(quick: string, e: Entity) => void>();
	private loaded = new Set<string>();

	constructor(private unit: string) {}

	get(quick: string): Entity | undefined { return this.rows[this.name(quick)]; }
	// A quick id, also of a field that is given by its id.
	name(of: string): string {
		if (of.includes(':') || !of) return of;
		return of.includes('.') ? `field:${of}` : (this.ids[of] ?? '');
	}
	// Of the device that it is of, as people call it; until that is known, the address.
	device(e: Entity): string {
		const id = e.deviceId ?? e.id;
		if (id && !this.asked.has(id)) {
			this.asked.add(id);
			deviceName(id).then((name) => (this.devices[id] = name));
		}
		return this.devices[id] || e.nodeId;
	}
	// What a value is called: by its device where that would be an address.
	label(quick: string, key?: string): string {
		const e = this.get(quick), name = nameOf(e, quick, key);
		return e?.nodeId && name === e.nodeId ? this.device(e) : name;
	}
	list(type: string, filters: Filters, limit = 10): { quick: string; e: Entity }[] {
		return Object.entries(this.rows).filter(([q, e]) => typeOf(q) === type && passes(e, filters)).sort(([a], [b]) => (a < b ? -1 : 1)).slice(0, Math.max(1, limit || 10)).map(([quick, e]) => ({ quick, e }));
	}
	hear(fn: (quick: string, e: Entity) => void): () => void {
		this.hearers.add(fn);
		return () => this.hearers.delete(fn);
	}
	private take(quick: string, e: Entity, tell = true) {
		this.rows[quick] = e;
		if (tell) for (const h of this.hearers) h(quick, e);
	}
	private on = (e: LiveEvent) => {
		if (e.type === 'deleted') delete this.rows[e.entityQuickId];
		else if (e.entity) this.take(e.entityQuickId, e.entity, e.type !== 'requested');
	};

	// Follows all of this until the returned function is called.
	follow(wants: Want[]): () => void {
		const quicks = new Set<string>(), lists = new Map<string, { type: string; filters: Filters }>(), ends: (() => void)[] = [];
		for (const w of wants) {
			if (w.type) lists.set(keyOf(w.type, w.filters ?? {}), { type: w.type, filters: w.filters ?? {} });
			else if (w.quick && !w.quick.includes(':') && !w.quick.includes('.')) this.find(w.quick);
			if (w.quick && this.name(w.quick)) quicks.add(this.name(w.quick));
		}
		if (quicks.size) {
			const all = [...quicks];
			ends.push(follow({ unit: this.unit, quickIds: all, initial: true }, this.on));
			for (const q of all) if (typeOf(q) !== 'field') this.once(q, () => this.load(q));
		}
		for (const [key, l] of lists) {
			ends.push(follow({ unit: this.unit, entityTypes: [l.type], filters: l.filters, initial: l.type === 'field' }, this.on));
			if (l.type !== 'field' && paths[l.type]) this.once(key, async () => {
				for (const e of await get<Entity[]>(`/hub/api/v1/${paths[l.type]}/list`, { unit: this.unit, limit: LIST_MAX })) if (passes(e, l.filters)) this.take(quickOf(l.type, e), e, false);
			});
		}
		const wait = setTimeout(() => (this.late = true), 2500);
		return () => { clearTimeout(wait); for (const end of ends) end(); };
	}
	// What is not there is no fault of the page: the widget says so.
	private once(key: string, load: () => Promise<unknown>) {
		if (this.loaded.has(key)) return;
		this.loaded.add(key);
		load().catch(() => this.loaded.delete(key));
	}
	private async load(quick: string) {
		const type = typeOf(quick), id = quick.slice(type.length + 1), path = `/hub/api/v1/${paths[type]}`;
		if (!paths[type]) return;
		if (type === 'node' || type === 'source') {
			const [gatewayId, nodeId, sourceId] = id.split('.'), [e] = await get<Entity[]>(path + '/list', { unit: this.unit, gatewayId, nodeId, sourceId, limit: 1 });
			if (e) this.take(quick, e, false);
		} else this.take(quick, await get<Entity>(`${path}/${encodeURIComponent(id)}`), false);
	}
	private find(id: string) {
		this.once(`id ${id}`, async () => {
			const e = await get<Entity>('/hub/api/v1/field/' + encodeURIComponent(id)), quick = quickOf('field', e);
			this.ids[id] = quick;
			this.take(quick, e, false);
		});
	}
}
