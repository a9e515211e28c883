// Saved changes can be taken back for half a minute.
import { change, post, type Changed } from './api';
import { t, tOr } from './look.svelte';
import { complain, say } from './toast.svelte';

// What a restore or an undo has done.
export interface Restored { versionId: string | null; objectType: string; objectId: string; done: 'changed' | 'restored' | 'deleted' | 'nothing'; kept: string[]; restored: { objectType: string; objectId: string }[]; failed: { objectType: string; objectId: string; code?: string; message?: string }[] }

export async function undo(version: string): Promise<void> {
	const r = await post<Restored>(version + '/undo');
	if (r.failed.length) say(t('versions.failed', { list: r.failed.map((f) => `${tOr('versions.type.' + f.objectType, f.objectType)} ${f.objectId}${f.message || f.code ? ` (${f.message ?? f.code})` : ''}`).join(', ') }), { bad: true });
	else say(t('versions.undone'));
}

// Makes a change, says `text`, and offers Undo, which puts back what was before:
//	await undoable(t('saved'), () => change('PATCH', path, data));
// What it answers is returned; what goes wrong is thrown, and nothing is said.
// `after` runs when it was undone, for a page that does not follow its object.
export async function undoable<T>(text: string, run: () => Promise<Changed<T>>, after?: () => unknown): Promise<T> {
	const { data, version } = await run();
	say(text, version ? { undo: () => undo(version).then(after).catch(complain) } : {});
	return data;
}
export { change };
