// What the widgets of one page share: values, the range somebody chose for all
// charts, and how a control is done and confirmed.
import { getContext, setContext } from 'svelte';
import { post } from '../lib/api';
import type { Span } from './history';
import { at, keyFor, toNumber, truth, typeOf, type Values } from './values.svelte';

export class Desk {
	range = $state<Span>(); // none: each chart its own
	editing = $state(false);
	constructor(public unit: string, public values: Values) {}
}
export const setDesk = (d: Desk) => setContext('desk', d);
export const desk = () => getContext<Desk>('desk');

const words = /^(true|false|on|off|enable|disable)$/i;
export const same = (v: unknown, payload: string) =>
	String(v) === payload || (words.test(payload) && v !== null && v !== undefined && truth(v) === truth(payload)) || (toNumber(v) !== null && toNumber(v) === toNumber(payload));

const CONFIRM = 10_000; // ms that a device has to answer
// One control: sent, then confirmed by what the device reports, or not.
export class Deed {
	state = $state<'' | 'sent' | 'confirmed' | 'failed'>('');
	why = $state('');
	private end: (() => void) | undefined;
	private timer: ReturnType<typeof setTimeout> | undefined;
	private mine = 0;
	constructor(private desk: Desk) {}

	async send(quick: string, payload: string, keyPath = '') {
		const me = ++this.mine, over = (state: typeof this.state, ms: number, why = '') => {
			if (me !== this.mine) return;
			this.stop();
			this.state = state;
			this.why = why;
			if (ms) this.timer = setTimeout(() => { this.state = ''; this.why = ''; }, ms);
		};
		this.stop();
		this.state = 'sent';
		this.why = '';
		const path = keyPath && typeOf(quick) !== 'data_repository' ? keyPath : keyFor(typeOf(quick));
		this.end = this.desk.values.hear((q, e) => { if (q === quick && (payload === 'toggle' || typeOf(quick) !== 'field' || same(at(e, path), payload))) over('confirmed', 3000); });
		try {
			await post('/hub/api/v1/action', { unitId: this.desk.unit, resource: quick, payload, ...(keyPath && typeOf(quick) === 'data_repository' ? { keyPath } : {}) });
			if (me === this.mine && this.state === 'sent') this.timer = setTimeout(() => over(typeOf(quick) === 'field' ? 'failed' : '', typeOf(quick) === 'field' ? 0 : 1), CONFIRM);
		} catch (e) { over('failed', 0, (e as Error).message); }
	}
	stop() { clearTimeout(this.timer); this.end?.(); this.end = undefined; }
}
