// Gateways: how each kind is begun, and its provider as a flat form.
import { bodySchema, type Schema } from './api';
import type { Gateway } from './schema';

export type { Gateway };
export interface Start { id: string; type: string; protocol: string; start: Record<string, any>; first: string[] /* what is asked for at once */; actions?: string[] }
const mqtt = ['protocol.broker', 'protocol.username', 'protocol.password'];
export const starts: Start[] = [
	{ id: 'tasmota', type: 'tasmota', protocol: 'mqtt', start: { protocol: { qos: 1 } }, first: mqtt, actions: ['discover_nodes'] },
	{ id: 'mysensorsSerial', type: 'mysensors_v2', protocol: 'serial', start: { protocol: { portname: '/dev/ttyUSB0', baudrate: 115200 } }, first: ['protocol.portname', 'protocol.baudrate'], actions: ['discover_nodes'] },
	{ id: 'mysensorsEthernet', type: 'mysensors_v2', protocol: 'ethernet', start: { protocol: { server: 'tcp://192.168.1.20:5003' } }, first: ['protocol.server'], actions: ['discover_nodes'] },
	{ id: 'mysensorsMqtt', type: 'mysensors_v2', protocol: 'mqtt', start: { protocol: { subscribe: 'mygateway1-out/#', publish: 'mygateway1-in' } }, first: [...mqtt, 'protocol.subscribe', 'protocol.publish'], actions: ['discover_nodes'] },
	{ id: 'marramEdge', type: 'marram_edge', protocol: 'mqtt', start: {}, first: [] },
	{ id: 'chirpstack', type: 'chirpstack', protocol: 'mqtt', start: { protocol: { broker: 'tcp://localhost:1883', qos: 1 } }, first: [...mqtt, 'provider.applicationId', 'provider.fPort'] },
	{ id: 'ttn', type: 'generic_mqtt', protocol: 'mqtt', first: [...mqtt, 'protocol.subscribe', 'provider.script.onReceive'],
		start: { protocol: { broker: 'tls://eu1.cloud.thethings.network:8883', username: 'APPLICATION@ttn', subscribe: 'v3/+/devices/+/up', qos: 1 }, script: { onReceive: `const up = JSON.parse(dataIn);
({ dataOut: [{ nodeId: up.end_device_ids.device_id, sourceId: 'decoded', payloads:
	Object.entries(up.uplink_message.decoded_payload || {}).filter(([, v]) => typeof v !== 'object')
		.map(([key, value]) => ({ key, value })) }] })` } } },
	{ id: 'genericMqtt', type: 'generic_mqtt', protocol: 'mqtt', first: [...mqtt, 'protocol.subscribe', 'protocol.publish', 'provider.script.onReceive'],
		start: { protocol: { broker: 'tcp://localhost:1883', subscribe: 'sensors/#' }, script: { onReceive: `({ dataOut: [{ nodeId: topicIn.split('/')[1], sourceId: 'air', payloads: [
	{ key: 'temp', value: JSON.parse(dataIn).t, metricType: 'gauge_float', unit: '°C' }] }] })` } } },
	{ id: 'genericHttp', type: 'generic_http', protocol: 'http', first: ['protocol.endpoints', 'provider.script.onReceive'],
		start: { protocol: { endpoints: { now: { url: 'http://192.168.1.20/now', executionInterval: '10m' } } }, script: { onReceive: `const d = JSON.parse(dataIn);
({ dataOut: [{ nodeId: 'station', sourceId: 'out', payloads: [
	{ key: 'temp', value: d.t, metricType: 'gauge_float', unit: '°C' }] }] })` } } },
];
const spellings: Record<string, string> = { tcp: 'ethernet' };
const isTtn = (g: Gateway) => String(g.provider.protocol?.broker ?? '').includes('.thethings.');
export const startOf = (g: Gateway) => starts.find((s) => s.type === g.provider.type && s.protocol === (spellings[g.provider.protocol?.type ?? ''] ?? g.provider.protocol?.type) && (s.id !== 'ttn' || isTtn(g)))
	?? starts.find((s) => s.type === g.provider.type) ?? starts.find((s) => s.id === 'genericMqtt')!;

const common = ['description', 'enabled', 'claim'], rare = ['reconnectDelay', 'queueFailedMessage', 'messageLogger', 'labels'];
const claims = ['auto', 'inbox'];

export interface Flat { schema: Schema; members: string[]; all: string[] }
// The call's schema with the members of this provider and protocol beside it.
export async function flatSchema(s: Start, isNew: boolean): Promise<Flat> {
	const body = await bodySchema(isNew ? 'post' : 'patch', '/hub/api/v1/gateway' + (isNew ? '' : '/{id}'));
	const properties: Record<string, Schema> = {}, named = (all: Schema[] | undefined, title: string) => all?.find((x) => x.title === title)?.properties ?? {};
	for (const m of ['code', 'password', ...common, ...rare]) if (body.properties?.[m]) properties[m] = body.properties[m];
	properties.claim = { ...properties.claim, enum: claims };
	const provider = body.properties!.provider, protocol = provider.properties?.protocol;
	for (const [k, v] of Object.entries(named(provider.anyOf, s.type)))
		if (k === 'script') properties['provider.script.onReceive'] = { type: 'string', description: v.description, contentMediaType: 'text/javascript' };
		else properties['provider.' + k] = v;
	for (const [k, v] of Object.entries(named(protocol?.anyOf, s.protocol))) properties['protocol.' + k] = v;
	if (isNew) properties.code = { ...properties.code };
	const first = [...(isNew ? ['code'] : []), ...common, ...s.first].filter((m) => m in properties);
	return { schema: { type: 'object', properties, required: isNew ? ['code'] : [] }, members: first, all: [...first, ...Object.keys(properties).filter((m) => !first.includes(m) && (isNew || m !== 'code'))] };
}
const lists = (v: unknown) => (typeof v === 'string' ? v.split(',') : v);
export function flatStart(provider: Record<string, any>): Record<string, any> {
	const { protocol = {}, script = {}, ...rest } = provider, flat: Record<string, any> = {};
	for (const [k, v] of Object.entries(rest)) flat['provider.' + k] = v;
	for (const [k, v] of Object.entries(protocol)) flat['protocol.' + k] = k === 'subscribe' ? lists(v) : v;
	if (script?.onReceive) flat['provider.script.onReceive'] = script.onReceive;
	return flat;
}
// And back; members of `was` that the form does not have stay.
export function nested(s: Start, flat: Record<string, any>, was: Record<string, any> = {}): Record<string, any> {
	const rest: Record<string, any> = {}, provider: Record<string, any> = { ...was, type: s.type }, protocol: Record<string, any> = { ...was.protocol, type: was.protocol?.type ?? s.protocol };
	const put = (o: Record<string, any>, k: string, v: any) => { if (v === '' || v === null || (Array.isArray(v) && !v.length)) delete o[k]; else o[k] = v; };
	for (const [k, v] of Object.entries(flat))
		if (k === 'provider.script.onReceive') put(provider, 'script', v ? { ...was.script, onReceive: v } : null);
		else if (k.startsWith('provider.')) put(provider, k.slice(9), v);
		else if (k.startsWith('protocol.')) put(protocol, k.slice(9), v);
		else rest[k] = v;
	return { ...rest, provider: { ...provider, protocol } };
}
