// Rules: what kinds there are, what of an object its sentence can say, and what
// a sentence chooses from.
import { get, type Schema } from './api';
import { t, tOr } from './look.svelte';
import type { HandlerType as Shown } from './schema';
import { findFields, nameOf, quickOf, type Picked } from './metric';

export type Rule = Record<string, any>;
export interface Kind { id: string; entity: string; text: string; members: string[]; start: () => Rule; command: (unit: string) => string }

const task = 'description labels enabled ignoreDuplicate autoDisable reEnable reEnableDuration variables dampening triggerOnEvent eventFilter executionInterval evaluationType evaluationConfig handlerParameters handlers';
const schedule = 'description enabled labels validity type spec variables customVariableType customVariableConfig handlerParameters handlers';
export const kinds: Kind[] = [
	{ id: 'task', entity: 'task', text: 'tasks', members: task.split(' '), command: (u) => `task add --id fan_on --unitid ${u} --evaluationtype rule`,
		start: () => ({ enabled: true, triggerOnEvent: true, eventFilter: { eventTypes: ['created', 'updated'], entityTypes: ['field'], filters: {} }, variables: {}, evaluationType: 'rule', evaluationConfig: { rule: { matchAll: true, conditions: [] } }, dampening: { type: 'none' }, handlers: [], handlerParameters: {} }) },
	{ id: 'schedule', entity: 'schedule', text: 'schedules', members: schedule.split(' '), command: (u) => `schedule add --id night --unitid ${u} --type cron --spec '{"cronExpression":"0 22 * * *"}'`,
		start: () => ({ enabled: true, type: 'simple', spec: { frequency: 'daily', dayOfWeek: '', time: '07:00' }, validity: { enabled: false }, variables: {}, customVariableType: 'none', customVariableConfig: {}, handlers: [], handlerParameters: {} }) },
	{ id: 'forward-payload', entity: 'forward_payload', text: 'forwards', members: ['srcFieldId', 'dstFieldId', 'description', 'enabled', 'labels'], command: (u) => `forward-payload add --id a_to_b --unitid ${u} --srcfieldid FIELD --dstfieldid FIELD`,
		start: () => ({ enabled: true, srcFieldId: '', dstFieldId: '' }) },
	{ id: 'handler', entity: 'handler', text: 'handlers', members: ['type', 'description', 'enabled', 'labels', 'spec'], command: (u) => `handler add --id log --unitid ${u} --type noop`,
		start: () => ({ enabled: true, type: 'email', spec: {} }) },
];
export const kindOf = (id: string) => kinds.find((k) => k.id === id || k.entity === id);
export const pathOf = (k: Kind, id: string) => `/hub/api/v1/${k.id}/${encodeURIComponent(id)}`;
export const ruleHref = (kind: string, id: string) => `/rule/${kindOf(kind)?.id ?? kind}/${encodeURIComponent(id)}`;

export const isMap = (v: unknown): v is Rule => typeof v === 'object' && v !== null && !Array.isArray(v);
export const map = (v: unknown): Rule => (isMap(v) ? v : {});
export const texts = (v: unknown): string[] => (Array.isArray(v) ? v.map(String) : typeof v === 'string' && v ? v.split(',').map((x) => x.trim()) : []);
export const same = (a: unknown, b: unknown) => JSON.stringify(a) === JSON.stringify(b);

// --- what there is to choose from

export const operators = ['eq', 'ne', 'gt', 'gte', 'lt', 'lte', 'in', 'nin', 'range_in', 'range_not_in', 'regex', 'exists'];
export const resources = ['field', 'data_repository', 'node', 'gateway', 'task', 'schedule', 'handler'];
export interface Found { value: string; text: string; note?: string }
export type HandlerType = Omit<Shown, 'spec' | 'parameter'> & Record<'spec' | 'parameter', Schema | null>;
let asked: Promise<HandlerType[]> | undefined;
export const handlerTypes = () => (asked ??= get<HandlerType[]>('/hub/api/v1/handler-type/list').catch((e) => { asked = undefined; throw e; }));

export const BUILT_IN = 'resource_handler';
export async function findHandlers(unit: string, words: string): Promise<Found[]> {
	const all = await get<Rule[]>('/hub/api/v1/handler/list', { unit, contains: words, limit: 20 });
	const found = all.map((h) => ({ value: h.id as string, text: h.description || h.id, note: tOr(`rule.type.${h.type}`, h.type) }));
	if (!all.some((h) => h.id === BUILT_IN) && (BUILT_IN.includes(words) || !words)) found.unshift({ value: BUILT_IN, text: BUILT_IN, note: t('rule.type.resource') });
	return found;
}

export const placeOf = (quick: string): Rule => {
	const parts = quick.replace(/^field:/, '').split('.'), places = ['gatewayId', 'nodeId', 'sourceId', 'fieldId'];
	return parts.length < 4 ? {} : Object.fromEntries(places.map((p, i) => [p, i < 3 ? parts[i] : parts.slice(3).join('.')]));
};
export const fieldText = (f: Picked) => t('rule.fieldOf', { field: nameOf(f, false), device: f.device ?? f.nodeId });

// Things by their kind, for what acts on them; without the kind.
export async function findThings(unit: string, kind: string, words: string): Promise<Found[]> {
	if (kind === 'field') return (await findFields(unit, words)).map((f) => ({ value: quickOf(f), text: fieldText(f), note: quickOf(f) }));
	const path = { data_repository: 'data-repository', forward_payload: 'forward-payload' }[kind] ?? kind;
	const all = await get<Rule[]>(`/hub/api/v1/${path}/list`, { unit, contains: words || undefined, limit: 20 });
	return all.map((x) => {
		const value = kind === 'node' ? `${x.gatewayId}.${x.nodeId}` : kind === 'source' ? `${x.gatewayId}.${x.nodeId}.${x.sourceId}` : (x.code ?? x.id);
		return { value, text: x.name || x.description || value, note: value };
	});
}

// --- what a sentence says, and what is left

// Members of a parameter by its type: what is acted on, or what a handler takes.
export const resourceMembers = ['type', 'resourceType', 'quickId', 'labels.*', 'payload', 'keyPath', 'preDelay', 'disabled'];
const variableMembers: Record<string, string[]> = {
	string: ['value'], resource_by_quick_id: ['resourceType', 'quickId', 'keyPath'], resource_by_labels: ['resourceType', 'labels.*', 'keyPath'],
	webhook: ['server', 'method', 'headers.*', 'queryParameters.*', 'data', 'keyPath', 'responseCode', 'insecure'],
};
export const variableTypes = Object.keys(variableMembers);
const ofSchema = (s: Schema | null | undefined) => Object.entries(s?.properties ?? {}).flatMap(([m, p]) => ([p.type].flat().includes('object') ? [m, m + '.*'] : [m]));

function saidBy(kind: string, r: Rule, types: HandlerType[]): string[] {
	const said = ['id', 'unitId', 'description', 'enabled'];
	const web = (p: string) => ['url', 'method', 'headers.*', 'queryParameters.*', 'insecure', 'includeConfig'].map((m) => `${p}.webhook.${m}`);
	if (kind === 'forward-payload') return [...said, 'srcFieldId', 'dstFieldId'];
	if (kind === 'handler') return [...said, 'type', ...ofSchema(types.find((x) => x.type === r.type)?.spec).map((m) => 'spec.' + m)];
	said.push('handlers');
	for (const [n, v] of Object.entries(map(r.variables))) said.push(...['type', ...(variableMembers[map(v).type] ?? [])].map((m) => `variables.${n}.${m}`));
	for (const [n, v] of Object.entries(map(r.handlerParameters))) {
		const type = String(map(v).type ?? '');
		said.push(...(type.startsWith('resource_by_') ? resourceMembers : ['type', 'disabled', ...ofSchema(types.find((x) => x.takes === type)?.parameter)]).map((m) => `handlerParameters.${n}.${m}`));
	}
	if (kind === 'schedule') {
		const spec: Record<string, string[]> = { repeat: ['interval', 'repeatCount'], cron: ['cronExpression'] };
		const days = { weekly: ['dayOfWeek'], monthly: ['dateOfMonth'], on_date: ['date'] }[String(map(r.spec).frequency ?? '')] ?? ['dayOfWeek'];
		said.push('type', 'customVariableType', ...(spec[r.type] ?? ['frequency', ...days, r.type === 'simple' ? 'time' : 'offset']).map((m) => 'spec.' + m));
		said.push(...['enabled', 'validateTimeEveryday', 'date.from', 'date.to', 'time.from', 'time.to'].map((m) => 'validity.' + m));
		if (r.customVariableType === 'javascript') said.push('customVariableConfig.javascript');
		if (r.customVariableType === 'webhook') said.push(...web('customVariableConfig'));
		return said;
	}
	said.push('ignoreDuplicate', 'autoDisable', 'reEnable', 'reEnableDuration', 'triggerOnEvent', 'evaluationType', 'dampening.type', 'dampening.occurrences', 'dampening.evaluation', 'dampening.activeDuration', 'eventFilter.eventTypes', 'eventFilter.entityTypes', 'eventFilter.filters.*', 'executionInterval');
	if (r.evaluationType === 'javascript') said.push('evaluationConfig.javascript');
	else if (r.evaluationType === 'webhook') said.push(...web('evaluationConfig'));
	else said.push('evaluationConfig.rule.matchAll', ...['variable', 'operator', 'value'].map((m) => `evaluationConfig.rule.conditions.*.${m}`));
	return said;
}

const nothing = (v: unknown) => v === null || v === '' || v === false || v === 0 || (Array.isArray(v) && v.length === 0) || (isMap(v) && Object.keys(v).length === 0);
// A list of texts or numbers is one value; one of objects is looked into.
function leaves(v: unknown, path: string[], put: (path: string[]) => void) {
	if (nothing(v)) return;
	if (isMap(v)) for (const [k, x] of Object.entries(v)) leaves(x, [...path, k], put);
	else if (Array.isArray(v) && v.some((x) => typeof x === 'object')) v.forEach((x, i) => leaves(x, [...path, String(i)], put));
	else put(path);
}
// What the sentence can not say, by path. Names of members may hold dots, so
// paths are compared part by part; "*" is any one.
export function unsaid(kind: string, r: Rule, types: HandlerType[]): string[] {
	const said = new Set(saidBy(kind, r, types)), left: string[] = [];
	const fits = (p: string[]) => said.has(p.join('.')) || p.some((_, i) => said.has([...p.slice(0, i), '*', ...p.slice(i + 1)].join('.')));
	const shown = Object.fromEntries(Object.entries(r).filter(([k]) => k !== 'state' && k !== 'modifiedOn'));
	leaves(shown, [], (p) => { if (!fits(p)) left.push(p.join('.')); });
	return left;
}

// --- what is sent

// The object as people write it: without what the server keeps of it.
export const written = (r: Rule): Rule => Object.fromEntries(Object.entries(r).filter(([m]) => m !== 'state' && m !== 'modifiedOn'));
export const unknown = (k: Kind, r: Rule) => Object.keys(r).filter((m) => !k.members.includes(m) && m !== 'id' && m !== 'unitId');

// Where a sentence of the server says that something is wrong: the path, as far
// as it is one of this object.
export function faultAt(k: Kind, message: string): string {
	const m = /^`?([A-Za-z][\w-]*(?:\.[\w-]+)*)`?[\s:]/.exec(message) ?? /missing `(\w+)`/.exec(message);
	return m && [...k.members, 'id', 'unitId', 'quickId'].includes(m[1].split('.')[0]) ? m[1] : '';
}
// Its line in the text: of each part of the path in turn.
export function lineOf(text: string, path: string): number {
	let at = 0;
	for (const part of path.split('.')) {
		const i = text.indexOf(JSON.stringify(part) + ':', at);
		if (i < 0) break;
		at = i;
	}
	return text.slice(0, at).split('\n').length;
}

// --- in a few words, for lists

export function inShort(k: Kind, r: Rule): string {
	if (k.id === 'forward-payload') return `${String(r.srcFieldId).replace(/^field:/, '')} → ${String(r.dstFieldId).replace(/^field:/, '')}`;
	if (k.id === 'handler') return tOr(`rule.type.${r.type}`, r.type);
	if (k.id === 'schedule') return scheduleWords(r);
	if (r.evaluationType === 'javascript') return t('rule.byScript');
	if (r.evaluationType === 'webhook') return t('rule.byWeb');
	const rule = map(map(r.evaluationConfig).rule), all: Rule[] = Array.isArray(rule.conditions) ? rule.conditions : [];
	return all.length ? all.map((c) => `${map(c).variable} ${t(`rule.op.${map(c).operator || 'eq'}`)} ${map(c).operator === 'exists' ? '' : typeof map(c).value === 'string' ? map(c).value : JSON.stringify(map(c).value)}`.trim()).join(rule.matchAll ? ` ${t('rule.and')} ` : ` ${t('rule.or')} `) : t('rule.always');
}
export const weekdays = ['mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun'];
const dayNames = (s: unknown) => texts(s).map((d) => tOr(`rule.day.${d.toLowerCase()}`, d)).join(', ');
export function scheduleWords(r: Rule): string {
	const s = map(r.spec);
	if (r.type === 'repeat') return t('rule.everyIt', { interval: s.interval ?? '' }) + (Number(s.repeatCount) > 0 ? ', ' + t('rule.timesIt', { n: s.repeatCount }) : '');
	if (r.type === 'cron') return cronWords(String(s.cronExpression ?? ''));
	const days = s.frequency === 'monthly' ? t('rule.onDayOfMonth', { n: s.dateOfMonth ?? '' }) : s.frequency === 'on_date' ? t('rule.onDate', { date: s.date ?? '' }) : texts(s.dayOfWeek).length ? dayNames(s.dayOfWeek) : t('rule.everyDay');
	return r.type === 'simple' ? `${days}, ${s.time ?? ''}` : `${days}, ${t(`rule.when.${r.type}`)}${s.offset ? ' ' + s.offset : ''}`;
}

// A cron expression in words; '' when it is none.
export function cronWords(text: string): string {
	const named: Record<string, string> = { '@yearly': '0 0 0 1 1 *', '@annually': '0 0 0 1 1 *', '@monthly': '0 0 0 1 * *', '@weekly': '0 0 0 * * 0', '@daily': '0 0 0 * * *', '@midnight': '0 0 0 * * *', '@hourly': '0 0 * * * *' };
	const low = text.trim().toLowerCase();
	if (low.startsWith('@every ')) return t('rule.everyIt', { interval: low.slice(7) });
	let f = (named[low] ?? low).split(/\s+/);
	if (f.length === 5) f = ['0', ...f];
	if (f.length !== 6) return '';
	const [second, minute, hour, dom, month, dow] = f.map((x) => (x === '?' ? '*' : x)), digit = /^\d+$/, two = (x: string) => x.padStart(2, '0');
	const each = (x: string) => /^(?:\*|0)\/(\d+)$/.exec(x)?.[1];
	const list = (x: string, name: (n: string) => string) => x.split(',').map((p) => p.split('/').map((q, i) => (i ? t('rule.cronStep', { n: q }) : q === '*' ? t('rule.cronAny') : q.split('-').map(name).join('–'))).join(' ')).join(', ');
	let time: string;
	if (digit.test(minute) && /^[\d,]+$/.test(hour) && digit.test(second)) time = t('rule.cronAt', { time: hour.split(',').map((h) => `${two(h)}:${two(minute)}${second === '0' ? '' : ':' + two(second)}`).join(', ') });
	else {
		const unit = (x: string, name: string) => (x === '*' ? t(`rule.cronEach.${name}`) : each(x) ? t(`rule.cronEvery.${name}`, { n: each(x)! }) : t(`rule.cronAt.${name}`, { list: list(x, (n) => n) }));
		const said = [second === '0' ? '' : unit(second, 'second'), minute === '*' && second !== '0' ? '' : unit(minute, 'minute'), hour === '*' ? '' : unit(hour, 'hour')];
		time = said.filter(Boolean).join(', ');
	}
	const days = ['sun', ...weekdays], months = ['jan', 'feb', 'mar', 'apr', 'may', 'jun', 'jul', 'aug', 'sep', 'oct', 'nov', 'dec'];
	const dayName = (n: string) => tOr(`rule.day.${digit.test(n) ? days[Number(n) % 7] : n}`, n), monthName = (n: string) => tOr(`rule.month.${digit.test(n) ? months[Number(n) - 1] : n}`, n);
	const onDom = dom === '*' ? '' : t('rule.onDayOfMonth', { n: list(dom, (n) => n) }), onDow = dow === '*' ? '' : list(dow, dayName);
	return [time, onDom && onDow ? `${onDom} ${t('rule.or')} ${onDow}` : onDom || onDow || (month === '*' && /^\d/.test(time.split(' ').pop()!) ? t('rule.everyDay') : ''), month === '*' ? '' : t('rule.cronIn', { list: list(month, monthName) })].filter(Boolean).join(', ');
}
