// For what has no events: looks each second, while the page is seen, whether
// the answer of `ask` has become another one. The first is another one, too:
// what the page has read itself may be older. Returns what ends it, as $effect
// wants it.
export function beat(ask: () => Promise<unknown>, changed: () => unknown, every = 1000): () => void {
	let known: string | undefined, timer: number, ended = false;
	async function look() {
		if (!document.hidden) {
			try {
				const now = JSON.stringify(await ask());
				if (now !== known && !ended) changed();
				known = now;
			} catch { /* who asks for the page is told; the next look may go well */ }
		}
		if (!ended) timer = setTimeout(look, every) as unknown as number;
	}
	look();
	return () => { ended = true; clearTimeout(timer); };
}

// Of several loads under way the last one counts: an answer that comes late is
// older than what is shown. `const began = newest()` for a page; in a load
// `const isNew = began()`, and after each wait `if (!isNew()) return`.
export function newest(): () => () => boolean {
	let last = 0;
	return () => { const me = ++last; return () => me === last; };
}

// The same for what is asked for all the time, where a last one may never be: an
// answer counts unless one that was asked for later is shown.
export function inOrder(): () => () => boolean {
	let last = 0, shown = 0;
	return () => {
		const me = ++last;
		return () => {
			if (me < shown) return false;
			shown = me;
			return true;
		};
	};
}

// What events tell while something is asked for is newer than the answer: the
// load numbered `asked` takes it from here.
export class Told<T> {
	private all = new Map<string, { since: number; what: T }>();
	put(id: string, since: number, what: T) { this.all.set(id, { since, what }); }
	get(id: string, asked: number): T | undefined {
		const x = this.all.get(id);
		return x && x.since >= asked ? x.what : undefined;
	}
}
