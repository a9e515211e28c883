// The history of fields, as charts of a dashboard want it.
import { post } from '../lib/api';
import type { Series } from '../lib/series';
import { toNumber } from './values.svelte';

// MyController's ranges, each with the interval that goes with it.
export const ranges: [string, string][] = [
	['-30m', '1m'], ['-1h', '1m'], ['-3h', '2m'], ['-6h', '3m'], ['-12h', '5m'], ['-24h', '10m'], ['-48h', '15m'], ['-72h', '30m'],
	['-168h', '1h'], ['-336h', '3h'], ['-720h', '6h'], ['-2160h', '24h'], ['-4320h', '24h'], ['-8760h', '24h'],
];
export const intervals = ['1m', '2m', '3m', '5m', '10m', '15m', '30m', '1h', '3h', '6h', '24h'];
export const functions = ['mean', 'min', 'max', 'median', 'sum', 'count', 'percentile_50', 'percentile_75', 'percentile_95', 'percentile_99', 'first', 'last', 'increase', 'rate'];
export const refreshes = [0, 5000, 10000, 15000, 30000, 45000, 60000, 300000, 900000, 1800000]; // ms

export const seconds = (d: string) => [...d.matchAll(/(\d+(?:\.\d+)?)(h|m|s)/g)].reduce((n, [, x, u]) => n + Number(x) * { h: 3600, m: 60, s: 1 }[u]!, 0);
export interface Span { from: number; to: number; live: boolean } // s
// Of a widget, or of the page where somebody chose one there.
export const spanOf = (duration: string, now: number): Span => ({ from: now - (seconds(duration) || 6 * 3600), to: now, live: true });
// As they came, where that is not too much to look at.
const RAW = 2 * 3600;
export function windowFor(span: Span, interval: string | undefined): string {
	const long = span.to - span.from;
	if (interval && long / seconds(interval) <= 3000) return interval;
	return long <= RAW ? '' : (ranges.find(([d]) => seconds(d) >= long - 1) ?? ranges.at(-1)!)[1];
}

export type Part = Pick<Series, 'low' | 'high'> & { at: number[]; value: (number | null)[]; step: number };
// One question for all of a widget.
export async function history(unit: string, quicks: string[], span: Span, window: string, fn: string): Promise<Record<string, Part>> {
	const out: Record<string, Part> = {}, band = fn === 'mean';
	for (let i = 0; i < quicks.length; i += 100) {
		const queries = quicks.slice(i, i + 100).map((quickId) => ({
			quickId, window, start: new Date(span.from * 1000).toISOString(), stop: new Date(span.to * 1000).toISOString(), functions: band ? ['mean', 'min', 'max'] : [fn],
		}));
		const data = await post<Record<string, { timestamp: string; metric: Record<string, any> }[]>>('/hub/api/v1/metric', { unitId: unit, queries });
		for (const [quick, points] of Object.entries(data)) {
			const p: Part = { at: [], value: [], step: 0 }, raw = points.some((x) => 'value' in x.metric);
			if (!raw) p.step = seconds(window);
			if (!raw && band) { p.low = []; p.high = []; }
			for (const x of points) {
				p.at.push(Date.parse(x.timestamp) / 1000);
				p.value.push(toNumber(x.metric[raw ? 'value' : fn]));
				if (p.low) { p.low.push(toNumber(x.metric.min)); p.high!.push(toNumber(x.metric.max)); }
			}
			out[quick] = p;
		}
	}
	return out;
}
