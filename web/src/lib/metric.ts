// The history of fields: what they are, how it is asked for, and as series.
import { get, post } from './api';
import type { Device, Field, MetricPoint } from './schema';
import type { Series, Value } from './series';

export type { Field };
export type Picked = Field & { device?: string; made?: number /* ms: it was new then */ };

const places = ['gatewayId', 'nodeId', 'sourceId', 'fieldId'] as const;
export const quickOf = (f: Field) => places.map((p) => f[p]).join('.');
export const nameOf = (f: Picked, device = true) => (device && f.device ? `${f.device} · ` : '') + (f.name || f.fieldId);
export const hasHistory = (f: Field) => f.metricType !== 'none' && f.metricType !== 'geo';
export const isNumber = (f: Field) => ['gauge', 'gauge_float', 'counter'].includes(f.metricType);

// Its field by a quick id: NETWORK.ADDRESS.SOURCE.FIELD. The last may have dots.
export async function fieldBy(unit: string, quick: string): Promise<Picked | undefined> {
	const parts = quick.replace(/^field:/, '').split('.');
	if (parts.length < 4) return undefined;
	const q = Object.fromEntries(places.map((p, i) => [p, i < 3 ? parts[i] : parts.slice(3).join('.')]));
	return (await withDevices(await get<Field[]>('/hub/api/v1/field/list', { unit, ...q, limit: 1 })))[0];
}
const names = new Map<string, Promise<string>>();
export const deviceName = (id: string) => {
	if (!names.has(id)) names.set(id, get<Device>('/broker/api/v1/device/' + id).then((d) => d.name || d.networkAddr).catch(() => (names.delete(id), '')));
	return names.get(id)!;
};
export const withDevices = (fields: Field[]): Promise<Picked[]> => Promise.all(fields.map(async (f) => ({ ...f, device: (await deviceName(f.deviceId)) || f.nodeId })));

// Fields by words: their own name, or that of their device.
export async function findFields(unit: string, words: string): Promise<Picked[]> {
	const list = (q: Record<string, string | number>) => get<Field[]>('/hub/api/v1/field/list', { unit, limit: 25, ...q });
	if (!words) return withDevices(await list({ sort: 'lastSeen:desc' }));
	const low = words.toLowerCase().split(/\s+/).slice(0, 4), devices = (await Promise.all(low.map((w) => get<Device[]>('/broker/api/v1/device/list', { unit, contains: w, limit: 5 })))).flat();
	const found = (await Promise.all([list({ contains: words }), ...low.flatMap((w) => [list({ contains: w }), list({ fieldId: w })]), ...[...new Set(devices.map((d) => d.deviceId))].map((d) => list({ device: d }))])).flat();
	const all = await withDevices([...new Map(found.map((f) => [f.id, f])).values()]);
	return all.filter((f) => low.every((w) => `${f.device} ${f.name} ${quickOf(f)}`.toLowerCase().includes(w))).slice(0, 40);
}

const widths: [string, number][] = [['10s', 10], ['30s', 30], ['1m', 60], ['5m', 300], ['15m', 900], ['30m', 1800], ['1h', 3600], ['3h', 10800], ['6h', 21600], ['12h', 43200], ['24h', 86400], ['168h', 604800]];
export const windows = widths.map(([w]) => w);
// Of "5m", "-6h", "1h30m"; 0: of nothing.
export const secondsOf = (w: string) => [...w.matchAll(/(\d+(?:\.\d+)?)([hms])/g)].reduce((n, [, x, u]) => n + Number(x) * { h: 3600, m: 60, s: 1 }[u]!, 0);
// A step that gives about a point for two pixels; "": each value as it came.
export function windowFor(span: number, px: number): string {
	if (span <= 2 * 3600) return '';
	return (widths.find(([, s]) => s >= (span * 2) / Math.max(px, 200)) ?? widths[widths.length - 1])[0];
}
export const functions = ['mean', 'min', 'max', 'median', 'sum', 'count', 'first', 'last', 'increase', 'rate', 'percentile_50', 'percentile_75', 'percentile_95', 'percentile_99'] as const;
export const RAW_MAX = 100_000; // the server gives no more of one field

export interface Stats { min: number | null; mean: number | null; max: number | null; last: Value; count: number }
export interface Asked { field: Picked; series: Series; step: number; stats: Stats; cut: boolean }

const bars = ['sum', 'count', 'increase'];
const real = (f: Field, v: any): Value => (v === null || v === undefined ? null : f.metricType === 'binary' ? (typeof v === 'number' ? v !== 0 : v === true || v === 'true') : isNumber(f) ? (Number.isFinite(Number(v)) ? Number(v) : null) : typeof v === 'object' ? JSON.stringify(v) : v);
export const valueNow = (f: Field): Value => real(f, f.current?.value);

// One question for all of them. `fn` "": the mean, with a band.
export async function history(unit: string, fields: Picked[], o: { from: number; to: number; window: string; fn: string; shift?: number }): Promise<Asked[]> {
	if (fields.length === 0) return [];
	const iso = (s: number) => new Date((s - (o.shift ?? 0)) * 1000).toISOString(), fn = o.fn || 'mean';
	// One that was just made is told before it is stored; its first value is all.
	const old = fields.filter((f) => !f.made || Date.now() - f.made > 5000);
	const windowed = (f: Field) => !!o.window && isNumber(f);
	const data: Record<string, MetricPoint[]> = old.length === 0 ? {} : await post('/hub/api/v1/metric', {
		unitId: unit,
		queries: old.map((f) => ({ name: f.id, quickId: 'field:' + quickOf(f), start: iso(o.from), stop: iso(o.to), window: windowed(f) ? o.window : '', functions: windowed(f) ? [...new Set([fn, 'mean', 'min', 'max', 'count'])] : [] })),
	});
	return fields.map((f) => {
		const points = inOrder(data[f.id] ?? []), step = windowed(f) ? secondsOf(o.window) : 0, at = points.map((p) => Date.parse(p.timestamp) / 1000 + (o.shift ?? 0));
		const of = (k: string) => points.map((p) => real(f, p.metric[k]));
		const value = of(step ? fn : 'value'), band = step > 0 && !o.fn;
		const series: Series = {
			name: nameOf(f), unit: fn === 'count' && step ? '' : fn === 'rate' && step && f.unit ? `${f.unit}/s` : f.unit, at, value, gap: Math.max(step * 1.5, silence(at)),
			low: band ? (of('min') as (number | null)[]) : undefined, high: band ? (of('max') as (number | null)[]) : undefined,
			kind: f.metricType === 'binary' ? 'step' : f.metricType === 'string' ? 'state' : step && bars.includes(fn) ? 'bar' : 'line',
		};
		return { field: f, series, step, cut: !step && points.length >= RAW_MAX, stats: statsOf(series, points, step) };
	});
}
// A field that had another unit once has several series, one behind the other.
function inOrder(points: MetricPoint[]): MetricPoint[] {
	for (let i = 1; i < points.length; i++) if (points[i].timestamp < points[i - 1].timestamp) return points.sort((a, b) => (a.timestamp < b.timestamp ? -1 : 1));
	return points;
}
function statsOf(s: Series, points: MetricPoint[], step: number): Stats {
	let min: number | null = null, max: number | null = null, sum = 0, n = 0;
	const add = (low: any, high: any, mean: any, count: number) => {
		if (typeof mean !== 'number' || typeof low !== 'number' || typeof high !== 'number') return;
		min = min === null ? low : Math.min(min, low);
		max = max === null ? high : Math.max(max, high);
		sum += mean * count;
		n += count;
	};
	if (step) for (const p of points) add(p.metric.min, p.metric.max, p.metric.mean, p.metric.count ?? 1);
	else for (const v of s.value) add(v, v, v, 1);
	return { min, max, mean: n ? sum / n : null, last: s.value.at(-1) ?? null, count: step ? n : s.at.length };
}
export const statsAnew = (s: Series) => statsOf(s, [], 0);

// As long as five of the usual distances between two values is a silence.
export function silence(at: number[]): number {
	if (at.length < 3) return 900;
	const some: number[] = [], each = Math.max(1, Math.floor(at.length / 500));
	for (let i = 1; i < at.length; i += each) some.push(at[i] - at[i - 1]);
	return Math.max(60, some.sort((a, b) => a - b)[some.length >> 1] * 5);
}

// Ranges: a length that ends now, or from and to.
export const spans: Record<string, number> = { '15m': 900, '1h': 3600, '6h': 21600, '24h': 86400, '7d': 604800, '30d': 2592000, '90d': 7776000, '365d': 31536000 };
export interface Span { r: string; from?: number; to?: number } // r "own": from, to (s)
export const spanOf = (q: URLSearchParams, usual = '24h'): Span => {
	const from = Date.parse(q.get('from') ?? '') / 1000, to = Date.parse(q.get('to') ?? '') / 1000, r = q.get('r') ?? '';
	return Number.isFinite(from) && Number.isFinite(to) && to > from ? { r: 'own', from, to } : { r: r in spans ? r : usual };
};
export const spanQuery = (s: Span, usual = '24h'): Record<string, string | undefined> =>
	s.r === 'own' ? { r: undefined, from: new Date(s.from! * 1000).toISOString(), to: new Date(s.to! * 1000).toISOString() } : { r: s.r === usual ? undefined : s.r, from: undefined, to: undefined };
