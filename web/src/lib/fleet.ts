// The fleet: what its pages share.
import { get, marked, under } from './api';
import { look, tOr, value } from './look.svelte';
import type { FleetArtifact, FleetChange, FleetChanged, FleetModule, FleetModuleSettings, FleetSecret, FleetState, FleetTag } from './schema';

export const FLEET = '/fleet/api/v1', DEVICE_MODULE = 'thymis_controller.modules.thymis.ThymisDevice';
export const ofUnit = (path: string) => `${FLEET}${path}?unit=${encodeURIComponent(look.unit)}`;

// A setting as a module has it; of a list, each row has such.
export interface Kind { displayName: string; type: string | Record<string, any>; description?: string | null; default?: unknown; example?: string | null; order?: number; required?: boolean; merge?: unknown }
export const typeOf = (k: Kind): string => (typeof k.type === 'string' ? k.type : k.type.type);
export const more = (k: Kind): Record<string, any> => (typeof k.type === 'string' ? {} : k.type);
export const inOrder = (kinds: Record<string, Kind>) => Object.entries(kinds).sort(([a, x], [b, y]) => (x.order ?? 0) - (y.order ?? 0) || a.localeCompare(b));

// What secrets and artifacts a setting may have.
export interface Stock { secrets: FleetSecret[]; artifacts: FleetArtifact[] }
export async function stock(): Promise<Stock> {
	const [secrets, artifacts] = await Promise.all([get<FleetSecret[]>(FLEET + '/secret/list', { unit: look.unit, limit: 0 }).catch(() => []), get<FleetArtifact[]>(FLEET + '/artifact/list', { unit: look.unit, limit: 0 }).catch(() => [])]);
	return { secrets, artifacts };
}
export const modules = () => get<FleetModule[]>(FLEET + '/module/list', { unit: look.unit, lang: look.language, limit: 0 });

const STATES: Record<string, string> = { done: 'up', active: 'up', failed: 'down', rolledBack: 'down', missed: 'down' };
export const lamp = (state: string) => STATES[state] ?? 'none';
export const stateText = (state: string) => tOr('fleet.state.' + state, state);
export const ended = (state: string) => ['done', 'failed', 'rolledBack', 'cancelled', 'superseded', 'missed'].includes(state);

// Changes the state as a whole; who was faster is not overwritten (412).
export async function change(edit: (s: FleetState) => void): Promise<FleetChanged> {
	const { data, mark } = await marked<FleetState>(ofUnit('/state'));
	edit(data);
	return (await under<FleetChanged>(mark!, 'PATCH', ofUnit('/state'), data)).data;
}

// Tags, sorted by their weight, when one of them is put at another place: who is
// above weighs less. Others keep their numbers where that can be, and those that
// weigh the same still do; nobody gets above a configuration's own by that.
export const OWN = 80;
const over = (n: number) => (n + 1 === OWN ? n + 2 : n + 1);
export function moved(sorted: FleetTag[], from: number, to: number): FleetTag[] {
	const was = [...sorted], [it] = was.splice(from, 1);
	was.splice(to, 0, it);
	const next = was.map((x) => ({ ...x })), above = was[to - 1]?.priority, below = was[to + 1]?.priority;
	if (above === undefined) next[to].priority = it.priority < below! ? it.priority : below! - 1 === OWN ? below! : below! - 1;
	else if (it.priority <= above || (below !== undefined && it.priority >= below)) next[to].priority = over(above);
	for (let i = to + 1; i < next.length; i++) {
		const least = i > to + 1 && was[i].priority === was[i - 1].priority ? next[i - 1].priority : over(next[i - 1].priority);
		if (next[i].priority < least) next[i].priority = least; else if (i > to + 1) break;
	}
	return next;
}

// A step of a plan, or of what was found changed on a device.
export interface Step { action: 'add' | 'change' | 'remove' | 'run'; kind: string; name: string; from?: string; to?: string; diff?: string }

// A change of state in words: which setting, of what.
export function whatChanged(c: FleetChange, all: FleetModule[]): string {
	const m = all.find((x) => x.type === c.module);
	return [m?.displayName ?? c.module, (c.setting && (m?.settings[c.setting]?.displayName ?? tOr('fleet.part.' + c.setting, c.setting))) || undefined].filter(Boolean).join(' › ');
}
// All of a thing that is new or gone: its parts, one by one.
export function inParts(c: FleetChange): FleetChange[] {
	const whole = c.to ?? c.from;
	if (c.setting || !has(whole)) return [c];
	const side = (part: Partial<FleetChange>, v: unknown): FleetChange => ({ ...c, ...part, from: c.from === null ? null : v, to: c.to === null ? null : v });
	if (c.module) return Object.entries(whole).map(([setting, v]) => side({ setting }, v));
	const { modules = [], ...rest } = whole as { modules?: FleetModuleSettings[] };
	return [...Object.entries(rest).filter(([, v]) => v !== null && (typeof v !== 'object' || has(v))).map(([setting, v]) => side({ setting }, v)),
		...modules.flatMap((m) => inParts(side({ module: m.type }, m.settings)))];
}
const has = (v: unknown): v is object => typeof v === 'object' && v !== null && Object.keys(v).length > 0;
// A value as people read it: what is in a list or an object line by line.
export const inWords = (v: unknown): string => (has(v) ? lines(v, '').join('\n') : typeof v === 'object' && v !== null ? value(null) : value(v));
const lines = (v: object, pad: string): string[] =>
	Object.entries(v).flatMap(([k, x]) => {
		const head = pad + (Array.isArray(v) ? '–' : k + ':');
		if (has(x)) return [head, ...lines(x, pad + '  ')];
		return [`${head} ${inWords(x).replaceAll('\n', `\n${pad}  `)}`];
	});
