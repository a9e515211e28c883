// Saved changes can be taken back for half a minute.
import { change, post, type Changed } from './api';
import { number, t, tOr } from './look.svelte';
import type { VersionRestored } from './schema';
import { complain, say } from './toast.svelte';

type Failed = VersionRestored['failed'];
const NAMED = 20;

// Says what could not come back; false: all is back.
export function failed({ failed: all }: { failed: Failed }): boolean {
	const list = all.slice(0, NAMED).map((f) => `${tOr('versions.type.' + f.objectType, f.objectType)} ${f.objectId}${f.message || f.code ? ` (${f.message ?? tOr(`error.${f.code}`, f.code!)})` : ''}`);
	if (all.length > NAMED) list.push(t('versions.others', { n: number(all.length - NAMED) }));
	if (all.length) say(t('versions.failed', { list: list.join(', ') }), { bad: true });
	return all.length > 0;
}
// The last is taken back first, and one that is refused keeps none of the others.
async function undo(versions: string[]): Promise<void> {
	const left: Failed = [];
	let refused = false;
	for (const v of versions.reverse()) try { left.push(...(await post<VersionRestored>(v + '/undo')).failed); } catch (e) { refused = true; complain(e); }
	if (!failed({ failed: left }) && !refused) say(t('versions.undone'));
}

// Several calls that are one change to who makes it: each goes through `keep`,
// which gives what it answers. Undo takes all of them back; also when one goes
// wrong, which is thrown.
export type Keep = <T>(call: Promise<Changed<T>>) => Promise<T>;
export async function together<T>(text: string | ((made: T) => string), run: (keep: Keep) => Promise<T>, after?: () => unknown): Promise<T> {
	const versions: string[] = [];
	const tell = (what: string) => say(what, versions.length ? { undo: () => undo([...versions]).then(after).catch(complain) } : {});
	let made: T;
	try {
		made = await run(async (call) => {
			const { data, version } = await call;
			if (version) versions.push(version);
			return data;
		});
	} catch (e) {
		if (versions.length) tell(t('versions.partly'));
		throw e;
	}
	tell(typeof text === 'string' ? text : text(made));
	return made;
}

// Makes a change, says `text`, and offers Undo, which puts back what was before:
//	await undoable(t('saved'), () => change('PATCH', path, data));
// What it answers is returned; what goes wrong is thrown, and nothing is said.
// `after` runs when it was undone, for a page that does not follow its object.
export const undoable = <T>(text: string, run: () => Promise<Changed<T>>, after?: () => unknown): Promise<T> => together(text, (keep) => keep(run()), after);
export { change };
