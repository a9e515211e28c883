// Saved changes can be taken back for half a minute.
import { change, post, type Changed } from './api';
import { t, tOr } from './look.svelte';
import type { VersionRestored } from './schema';
import { complain, say } from './toast.svelte';

// Says what could not come back; false: all is back.
export function failed({ failed: all }: VersionRestored): boolean {
	if (all.length) say(t('versions.failed', { list: all.map((f) => `${tOr('versions.type.' + f.objectType, f.objectType)} ${f.objectId}${f.message || f.code ? ` (${f.message ?? tOr(`error.${f.code}`, f.code!)})` : ''}`).join(', ') }), { bad: true });
	return all.length > 0;
}
export async function undo(version: string): Promise<void> {
	if (!failed(await post<VersionRestored>(version + '/undo'))) say(t('versions.undone'));
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
