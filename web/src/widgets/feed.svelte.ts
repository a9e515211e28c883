// The history of a widget's fields, kept up to date. What came as it is, is
// appended; what is aggregated is asked for again, not too often.
import { untrack } from 'svelte';
import type { Desk } from './desk.svelte';
import { history, valueNow, type Field } from '../lib/metric';
import type { Series } from '../lib/series';
import { spanOf, windowFor, type Span } from './history';

export type Part = Series & { step: number };
const SOON = 1000, AGAIN = 5000, TICK = 10_000, MAX = 20_000, QUERIES = 100; // ms; points that are appended; in one question
export interface Ask { quicks: string[]; duration?: string; interval?: string; fn?: string; refresh?: number | string }

export class Feed {
	parts = $state.raw<Record<string, Part>>({});
	span = $state.raw<Span>({ from: Date.now() / 1000 - 3600, to: Date.now() / 1000, live: true });
	step = $state(0);
	loaded = $state(false);
	fault = $state('');
	private asked = 0;
	private last = 0;
	private soon: ReturnType<typeof setTimeout> | undefined;

	constructor(private desk: Desk, ask: () => Ask) {
		let key = '';
		$effect(() => {
			const a = ask(), range = desk.range, now = JSON.stringify([a, range]);
			if (now !== key) { key = now; untrack(() => this.load(a)); }
		});
		$effect(() => {
			const every = Number(ask().refresh) || 0;
			const end = desk.values.hear((quick, e) => {
				const a = untrack(ask);
				if (!a.quicks.includes(quick) || !this.span.live) return;
				if (this.parts[quick]?.step) this.later(a);
				else this.append(quick, e);
			});
			const tick = setInterval(() => { if (this.span.live && !document.hidden) this.move(); }, TICK);
			const again = every ? setInterval(() => { if (this.span.live && !document.hidden) void this.load(untrack(ask)); }, Math.max(AGAIN, every)) : undefined;
			return () => { end(); clearInterval(tick); clearInterval(again); clearTimeout(this.soon); };
		});
	}
	private later(a: Ask) {
		this.soon ??= setTimeout(() => { this.soon = undefined; void this.load(a); }, Math.max(SOON, Math.min(AGAIN, this.step * 100) - (Date.now() - this.last))) as ReturnType<typeof setTimeout>;
	}
	private move() {
		const long = this.span.to - this.span.from, to = Date.now() / 1000;
		this.span = { from: to - long, to, live: true };
	}
	private append(quick: string, e: any) {
		const at = Date.parse(e.current?.timestamp) / 1000, p = this.parts[quick];
		if (!p || !(at > (p.at.at(-1) ?? 0))) return;
		const cut = p.at.length > MAX ? p.at.length - MAX : 0;
		this.parts = { ...this.parts, [quick]: { ...p, at: [...p.at.slice(cut), at], value: [...p.value.slice(cut), valueNow(e)], low: undefined, high: undefined } };
		this.move();
	}
	private async load(a: Ask) {
		const me = ++this.asked, span = this.desk.range ? { ...this.desk.range } : spanOf(a.duration ?? '-6h', Date.now() / 1000);
		if (span.live) { const long = span.to - span.from; span.to = Date.now() / 1000; span.from = span.to - long; }
		this.last = Date.now();
		if (a.quicks.length === 0) { this.parts = {}; this.span = span; return; }
		const window = windowFor(span, a.interval);
		try {
			const parts: Record<string, Part> = {}, known = a.quicks.filter((q) => this.desk.values.get(q));
			for (let i = 0; i < known.length; i += QUERIES) {
				const some = known.slice(i, i + QUERIES), got = await history(this.desk.unit, some.map((q) => this.desk.values.get(q) as Field), { ...span, window, fn: !a.fn || a.fn === 'mean' ? '' : a.fn });
				got.forEach((x, k) => { parts[some[k]] = { ...x.series, step: x.step }; });
			}
			if (me !== this.asked) return;
			for (const q of known) { // came while we asked
				const p = parts[q], f = this.desk.values.get(q) as Field, at = Date.parse(f?.current?.timestamp ?? '') / 1000;
				if (!p.step && span.live && at > (p.at.at(-1) ?? 0) && at >= span.from) { p.at.push(at); p.value.push(valueNow(f)); }
			}
			this.parts = parts;
			this.span = span;
			this.step = Math.max(0, ...Object.values(parts).map((p) => p.step));
			this.fault = '';
			this.loaded = true;
		} catch (e) { if (me === this.asked) this.fault = (e as Error).message; }
	}
}
