// A device, as the tabs of its page see it.
import type { Picked } from './metric';
import { bytesOf, textOf } from './payload';
import type { Device, Gateway, NetworkDldata, NetworkUldata, Node, Operation, Profile } from './schema';

export type { Device, Gateway, Node, Profile };
// As it came up or went down.
export type Message = Pick<NetworkUldata, 'dataId' | 'proc' | 'data' | 'profile' | 'extension'> & Partial<Pick<NetworkUldata, 'time'> & Pick<NetworkDldata, 'pub' | 'resp' | 'status'>>;
export interface Of { device: Device; node?: Node; fields: Picked[]; gateway?: Gateway; profile?: Profile; load: () => Promise<void> }

// How a payload is shown.
export type Look = 'text' | 'hex' | 'json';
export function shownAs(hex: string, as: Look): string {
	if (as === 'hex') return hex.replace(/(..)(?=.)/g, '$1 ');
	if (as === 'json') try { return JSON.stringify(JSON.parse(new TextDecoder().decode(bytesOf(hex))), null, 2); } catch { /* it is none */ }
	return textOf(hex);
}
// Downlinks: what became of one.
export const result = (m: Message) => ((m.status ?? -1) < 0 ? 'waiting' : m.status === 0 ? 'ok' : 'error');
export const lamp = (m: Message) => ({ waiting: '', ok: 'up', error: 'error' })[result(m)];

// "lat;lon[;alt]", as a field of the type geo has it.
export function placeOf(fields: Picked[]): { lat: number; lon: number; alt?: number } | undefined {
	const f = fields.find((x) => x.metricType === 'geo'), p = String(f?.current?.value ?? '').split(';').map(Number);
	return p.length >= 2 && p.every(Number.isFinite) && f?.current?.value ? { lat: p[0], lon: p[1], alt: p[2] } : undefined;
}
// What a node can be told, by who speaks to it.
const usual = ['refresh_node_info', 'heartbeat_request', 'reboot', 'firmware_update', 'reset'];
export const actionsOf: Record<string, string[]> = { mysensors_v2: usual, tasmota: usual, marram_edge: ['refresh_node_info', 'heartbeat_request', 'reboot'] };

// What a Linux device has, and what it is told to do.
export type { Operation };
export interface Module { type: string; name: string; version: string }
// Why it failed: what its device says of each package, too.
export const whyOf = (o: Operation): string[] => [o.reason, ...((o.result as any)?.failures ?? []).flatMap((l: any) => (l.modules ?? []).map((m: any) => (m.reason ? `${m.name}: ${m.reason}` : '')))].filter(Boolean);
// What an operation is about, in one line.
export function shownOperation(o: Operation): string {
	const p = o.payload as any;
	if (o.operation === 'software_update') return (p?.updateList ?? []).flatMap((l: any) => (l.modules ?? []).map((m: any) => `${m.action === 'remove' ? '−' : '+'} ${m.name}${m.version ? ' ' + m.version : ''} (${l.type})`)).join(', ');
	return [p?.type, p?.remoteUrl].filter(Boolean).join(' ');
}

// Whether a field can be set: 'yes' where its label `writable`, the kind of its
// value at the gateway, or the encoder of the profile says so; 'maybe' where
// nobody knows, but something would be sent.
const actuators: Record<string, RegExp> = {
	mysensors_v2: /^V_(STATUS|PERCENTAGE|ARMED|SCENE_ON|SCENE_OFF|HVAC_SPEED|HVAC_SETPOINT_COOL|HVAC_SETPOINT_HEAT|HVAC_FLOW_STATE|HVAC_FLOW_MODE|UP|DOWN|STOP|IR_SEND|LOCK_STATUS|RGB|RGBW|TEXT|VAR[1-5])$/,
	tasmota: /^(POWER|Fade|Dimmer|White|CT|Speed|HSBColor)\d*$/,
};
export function maySet(f: Picked, gateway?: Gateway, profile?: Profile): 'yes' | 'maybe' | 'no' {
	if (f.labels?.writable === 'true') return 'yes';
	if (profile?.codec === 'javascript') {
		const from = profile.script.indexOf('encodeDownlink');
		if (from >= 0) return new RegExp(`\\b${f.fieldId.replace(/[^\w]/g, '\\$&')}\\b`).test(profile.script.slice(from)) ? 'yes' : 'maybe';
		if (!gateway) return 'no';
	}
	if (gateway) return actuators[gateway.provider?.type ?? '']?.test(f.fieldId) ? 'yes' : 'maybe';
	return profile?.codec === 'json' ? 'maybe' : 'no';
}
