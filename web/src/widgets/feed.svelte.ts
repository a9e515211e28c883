// The history of a widget's fields, kept up to date. What came as it is, is
// appended; what is aggregated is asked for again, not too often.
import { untrack } from 'svelte';
import type { Desk } from './desk.svelte';
import { history, seconds, spanOf, windowFor, type Part, type Span } from './history';
import { toNumber } from './values.svelte';

const SOON = 1000, AGAIN = 5000, TICK = 10_000, MAX = 20_000; // ms; points that are appended
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
				if (this.step) this.later(a);
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
		this.parts = { ...this.parts, [quick]: { ...p, at: [...p.at.slice(cut), at], value: [...p.value.slice(cut), toNumber(e.current.value)] } };
		this.move();
	}
	private async load(a: Ask) {
		const me = ++this.asked, span = this.desk.range ? { ...this.desk.range } : spanOf(a.duration ?? '-6h', Date.now() / 1000);
		if (span.live) { const long = span.to - span.from; span.to = Date.now() / 1000; span.from = span.to - long; }
		this.last = Date.now();
		if (a.quicks.length === 0) { this.parts = {}; this.span = span; return; }
		const window = windowFor(span, a.interval);
		try {
			const parts = await history(this.desk.unit, a.quicks, span, window, a.fn || 'mean');
			if (me !== this.asked) return;
			for (const q of a.quicks) { // came while we asked
				const p = parts[q], now = this.desk.values.get(q)?.current, at = Date.parse(now?.timestamp) / 1000;
				if (p && !p.step && !window && span.live && at > (p.at.at(-1) ?? 0) && at >= span.from) { p.at.push(at); p.value.push(toNumber(now.value)); }
			}
			this.parts = parts;
			this.span = span;
			this.step = Math.max(0, ...Object.values(parts).map((p) => p.step), window ? seconds(window) : 0);
			this.fault = '';
			this.loaded = true;
		} catch (e) { if (me === this.asked) this.fault = (e as Error).message; }
	}
}
