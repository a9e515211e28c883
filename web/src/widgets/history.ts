// Ranges and intervals of MyController's charts, and what is asked for with them.
import { secondsOf } from '../lib/metric';

// Each range with the interval that goes with it.
export const ranges: [string, string][] = [
	['-30m', '1m'], ['-1h', '1m'], ['-3h', '2m'], ['-6h', '3m'], ['-12h', '5m'], ['-24h', '10m'], ['-48h', '15m'], ['-72h', '30m'],
	['-168h', '1h'], ['-336h', '3h'], ['-720h', '6h'], ['-2160h', '24h'], ['-4320h', '24h'], ['-8760h', '24h'],
];
export const intervals = ['1m', '2m', '3m', '5m', '10m', '15m', '30m', '1h', '3h', '6h', '24h'];
export const refreshes = [0, 5000, 10000, 15000, 30000, 45000, 60000, 300000, 900000, 1800000]; // ms

export interface Span { from: number; to: number; live: boolean } // s
export const spanOf = (duration: string, now: number): Span => ({ from: now - (secondsOf(duration) || 6 * 3600), to: now, live: true });
// As they came, where that is not too much to look at.
const RAW = 2 * 3600, MANY = 3000;
export function windowFor(span: Span, interval: string | undefined): string {
	const long = span.to - span.from;
	if (interval && secondsOf(interval) && long / secondsOf(interval) <= MANY) return interval;
	return long <= RAW ? '' : (ranges.find(([d]) => secondsOf(d) >= long - 1) ?? ranges.at(-1)!)[1];
}
