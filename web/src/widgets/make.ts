// Dashboards that are made for somebody: from a device, and from a file.
import type { Dashboard as Shown } from '../lib/schema';
import { place, type Widget } from './grid';
import { quickOf, truth, type Entity } from './values.svelte';
import { kindOf, starts, type Config } from './widgets';

export const newId = () => Array.from(crypto.getRandomValues(new Uint8Array(10)), (b) => b.toString(16).padStart(2, '0')).join('');

// One of what "Add" offers, for a field or still for none.
export function widget(all: Widget[], text: string, title = '', quick = '', more: (c: Config) => void = () => {}): Widget {
	const s = starts.find((x) => x.text === text)!, config = structuredClone(s.config);
	if (quick) s.field?.(config, quick);
	more(config);
	return { id: newId(), title, showTitle: true, scrollbarDisabled: false, static: false, type: s.type, layout: place(all, s.size ?? kindOf(s.type)!.size), config };
}

const numeric = ['gauge', 'gauge_float', 'counter'], CHARTED = 6;
// What is sensible for each field: its value, a switch for what can be set, and
// a chart for what has the same unit.
export function fromFields(fields: Entity[]): Widget[] {
	const tiles: Widget[] = [], charts: Widget[] = [], units = new Map<string, Entity[]>(), named = (f: Entity) => f.name || f.fieldId;
	for (const f of fields) {
		if (f.metricType === 'geo') continue;
		const settable = f.metricType === 'binary' && truth(f.labels?.writable);
		tiles.push(widget([], settable ? 'switch' : 'value', named(f), quickOf('field', f)));
		if (numeric.includes(f.metricType)) units.set(f.unit ?? '', [...(units.get(f.unit ?? '') ?? []), f]);
	}
	for (const [, of] of units)
		for (let i = 0; i < of.length; i += CHARTED) {
			const some = of.slice(i, i + CHARTED);
			charts.push(widget([], 'chart', some.map(named).join(', '), '', (c) => { c.resources = some.map((f) => ({ resourceType: 'field', quickId: quickOf('field', f) })); }));
		}
	return [...rows(tiles, 5, 10, 0), ...rows(charts, 2, 27, Math.ceil(tiles.length / 5) * 10)];
}
// In rows of about as many each, without a hole at the end.
function rows(all: Widget[], most: number, h: number, y: number): Widget[] {
	const n = Math.ceil(all.length / Math.max(1, Math.ceil(all.length / most)));
	return all.map((w, i) => {
		const of = Math.min(n, all.length - Math.floor(i / n) * n), x = Math.round((i % n) * (100 / of));
		return { ...w, layout: { w: Math.round(((i % n) + 1) * (100 / of)) - x, h, x, y: y + Math.floor(i / n) * h } };
	});
}

// Networks and addresses are written in lower case here, as an import on the
// server does it; what follows them is kept as devices say it.
function lowered(quick: string): string {
	const m = /^(?:(field|source|node|gateway):)?([^.:\s]+)(?:\.([^.\s]+))?((?:\.[^.\s]+)*)$/i.exec(quick);
	return m ? (m[1] ? m[1].toLowerCase() + ':' : '') + m[2].toLowerCase() + (m[3] ? '.' + m[3].toLowerCase() : '') + m[4] : quick;
}
function changed(v: unknown, key = '', dotted = false): unknown {
	if (typeof v === 'string') return /quickid$/i.test(key) || dotted || /^(field|source|node):/i.test(v) ? (v.includes('.') ? lowered(v) : v) : v;
	if (Array.isArray(v)) return v.map((x) => changed(x, key));
	if (v !== null && typeof v === 'object') return Object.fromEntries(Object.entries(v).map(([k, x]) => [k, changed(x, k, key === 'fieldIds' || (key === 'field' && k === 'id'))]));
	return v;
}
// A dashboard as it is stored, and what of it a file has.
export type Dashboard = Omit<Shown, 'widgets'> & { widgets: Widget[] };
export type Stored = Omit<Dashboard, 'id' | 'unitId' | 'modifiedOn'>;
// One dashboard or a list of them, of MyController or of ours.
export function read(text: string): Stored[] {
	const json = JSON.parse(text), found: any[] = Array.isArray(json) ? json : Array.isArray(json?.data) ? json.data : Array.isArray(json?.dashboards) ? json.dashboards : [json?.data ?? json];
	if (found.length === 0 || found.some((d) => !d || typeof d !== 'object' || !Array.isArray(d.widgets))) throw new Error();
	return found.map((d) => ({
		title: String(d.title || d.name || d.id || '').slice(0, 256), description: String(d.description ?? ''), type: String(d.type || 'desktop'), favorite: !!d.favorite, disabled: !!d.disabled, labels: d.labels ?? {},
		widgets: (changed(d.widgets) as any[]).map((w) => ({ ...w, id: String(w.id || newId()), title: String(w.title ?? ''), showTitle: w.showTitle ?? true, layout: w.layout ?? place([], { w: 30, h: 16 }), config: w.config ?? {} })),
	}));
}
export const written = (d: Record<string, any>) => JSON.stringify({ id: d.id, type: d.type, title: d.title, description: d.description, favorite: d.favorite, disabled: d.disabled, labels: d.labels, widgets: d.widgets, modifiedOn: d.modifiedOn }, null, 2);
