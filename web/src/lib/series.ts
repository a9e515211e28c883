// What a chart draws, and how it is laid out for uPlot. Long series are plain
// arrays ($state.raw): 100,000 proxies are slow.
import uPlot from 'uplot';

export type Kind = 'line' | 'area' | 'bar' | 'step' | 'scatter' | 'state';
export type Value = number | string | boolean | null;
export interface Series {
	name: string;
	unit?: string;
	at: number[]; // s, ascending
	value: Value[]; // texts are drawn as a band of states
	low?: (number | null)[]; // of what a point stands for
	high?: (number | null)[];
	color?: string;
	axis?: 0 | 1;
	kind?: Kind;
	dashed?: boolean;
	gap?: number; // s of silence, where it is another than the chart's
}
export interface Run { from: number; until: number; text: string }

export const isState = (s: Series) => s.kind === 'state' || s.value.some((v) => typeof v === 'string');
export const isBinary = (s: Series) => (s.value.length > 0 || s.kind === 'step') && s.value.every((v) => v === null || typeof v === 'boolean');
export const kindOf = (s: Series): Kind => s.kind ?? (isBinary(s) ? 'step' : 'line');
const numeric = (v: Value) => (typeof v === 'boolean' ? Number(v) : (v as number | null));

// The index of the last sample at or before `x`; -1: none.
export function before(at: number[], x: number): number {
	let lo = 0, hi = at.length;
	while (lo < hi) {
		const mid = (lo + hi) >> 1;
		if (at[mid] <= x) lo = mid + 1; else hi = mid;
	}
	return lo - 1;
}
export function nearest(at: number[], x: number): number {
	const i = before(at, x);
	return i < 0 ? (at.length ? 0 : -1) : i + 1 < at.length && at[i + 1] - x < x - at[i] ? i + 1 : i;
}

// One series as columns: times, value, low, high. A silence that is too long
// has a null; what changes by steps holds until `hold`.
function columns(s: Series, gap: number, hold: number): { table: (number | null)[][]; gaps: number } {
	const quiet = s.gap ?? gap, step = kindOf(s) === 'step', band = !!s.low && !!s.high, table: (number | null)[][] = band ? [[], [], [], []] : [[], []];
	const put = (x: number, v: number | null, low: number | null, high: number | null) => {
		table[0].push(x);
		table[1].push(v);
		if (band) { table[2].push(low); table[3].push(high); }
	};
	let gaps = 0;
	for (let i = 0; i < s.at.length; i++) {
		if (i > 0 && s.at[i] <= s.at[i - 1]) continue; // two of one time: the first
		if (i > 0 && quiet > 0 && !step && s.at[i] - s.at[i - 1] > quiet) { put((s.at[i - 1] + s.at[i]) / 2, null, null, null); gaps++; }
		put(s.at[i], numeric(s.value[i]), s.low?.[i] ?? null, s.high?.[i] ?? null);
	}
	const n = s.at.length;
	if (step && n && hold > s.at[n - 1]) put(hold, numeric(s.value[n - 1]), null, null);
	return { table, gaps };
}

// All of them over the same times, as uPlot wants it.
export function align(all: Series[], gap: number, hold: number): { data: uPlot.AlignedData; gaps: number } {
	const parts = all.map((s) => columns(s, gap, hold));
	const gaps = parts.reduce((n, p) => n + p.gaps, 0), tables = parts.map((p) => p.table) as uPlot.AlignedData[];
	if (tables.length === 0) return { data: [[]], gaps };
	return { data: tables.length === 1 ? tables[0] : uPlot.join(tables, tables.map((x) => x.map(() => 2))), gaps };
}

// Equal texts, one after the other, are one run.
export function runs(s: Series, hold: number): Run[] {
	const out: Run[] = [];
	for (let i = 0; i < s.at.length; i++) {
		const text = s.value[i] === null ? '' : String(s.value[i]), last = out.at(-1);
		if (last) last.until = s.at[i];
		if (last?.text !== text) out.push({ from: s.at[i], until: s.at[i], text });
	}
	if (out.length) out.at(-1)!.until = Math.max(out.at(-1)!.until, hold);
	return out.filter((r) => r.text);
}

export const least = (all: Series[]) => all.reduce((m, s) => (s.at.length ? Math.min(m, s.at[0]) : m), Infinity);
export const most = (all: Series[]) => all.reduce((m, s) => (s.at.length ? Math.max(m, s.at[s.at.length - 1]) : m), -Infinity);

// What a point stands for, where nobody says: the least distance of two.
export function widthOf(all: Series[]): number {
	let width = Infinity;
	for (const s of all) for (let i = 1; i < Math.min(s.at.length, 50); i++) if (s.at[i] > s.at[i - 1]) width = Math.min(width, s.at[i] - s.at[i - 1]);
	return Number.isFinite(width) ? width : 0;
}

// A table of what is between `from` and `to`: a row for each time.
export interface Row { at: number; cells: (Value | undefined)[] }
export function rowsOf(all: Series[], from: number, to: number): Row[] {
	const rows = new Map<number, Row>(), wide = all.map((s) => (s.low && s.high ? 3 : 1)), width = wide.reduce((a, b) => a + b, 0);
	let first = 0;
	all.forEach((s, k) => {
		for (let i = before(s.at, from - 1e-9) + 1; i < s.at.length && s.at[i] <= to; i++) {
			let r = rows.get(s.at[i]);
			if (!r) rows.set(s.at[i], (r = { at: s.at[i], cells: new Array(width).fill(undefined) }));
			r.cells[first] = s.value[i];
			if (wide[k] === 3) { r.cells[first + 1] = s.low![i]; r.cells[first + 2] = s.high![i]; }
		}
		first += wide[k];
	});
	return [...rows.values()].sort((a, b) => a.at - b.at);
}

const csvText = (v: unknown) => {
	const s = v === null || v === undefined ? '' : String(v);
	return /[",\n\r]/.test(s) ? `"${s.replace(/"/g, '""')}"` : /^[=+@]/.test(s) ? `'${s}` : s; // no formula for a spreadsheet
};
export function save(name: string, text: string, type = 'text/csv') {
	const a = document.createElement('a');
	a.href = URL.createObjectURL(new Blob([text], { type }));
	a.download = name;
	a.click();
	setTimeout(() => URL.revokeObjectURL(a.href), 10_000);
}
// Times as ISO has them, numbers with a point, whatever the language.
export function csvOf(all: Series[], from: number, to: number, names: { least: (n: string) => string; most: (n: string) => string }): string {
	const head = ['time', ...all.flatMap((s) => [s.name, ...(s.low && s.high ? [names.least(s.name), names.most(s.name)] : [])].map((n) => (s.unit ? `${n} [${s.unit}]` : n)))];
	return [head, ...rowsOf(all, from, to).map((r) => [new Date(r.at * 1000).toISOString(), ...r.cells])].map((r) => r.map(csvText).join(',')).join('\r\n') + '\r\n';
}
