// The codecs of the platform, each with a payload that it reads: what somebody
// starts from.
import type { Form } from './payload';
import type { Profile } from './schema';

export interface Codec { id: Profile['codec']; form: Form; payload: string; port?: number; script?: string; encodes?: string }
export const codecs: Codec[] = [
	{ id: 'json', form: 'json', payload: '{"temperature": 21.5, "air": {"humidity": 48}, "open": true}', encodes: '{"relay": true}' },
	{ id: 'cayenne', form: 'hex', payload: '01 67 00 e7 02 68 60 03 02 01 4a' },
	{ id: 'thin_edge_json', form: 'json', payload: '{"time": "2026-01-01T12:00:00Z", "temperature": 25, "current": {"L1": 9.5, "L2": 1.3}}' },
	{
		id: 'javascript', form: 'hex', payload: '00 e7 60 01', port: 1, encodes: '{"led": true}',
		script: `// What a device has sent: input.bytes, input.fPort, input.recvTime.
function decodeUplink(input) {
	const b = input.bytes;
	if (b.length < 3) return { errors: ['too short'] };
	return {
		data: {
			temperature: ((b[0] << 24 >> 16) | b[1]) / 10,
			humidity: b[2] / 2,
			led: b[3] === 1,
		},
	};
}

// What it is to be sent when a field is set.
function encodeDownlink(input) {
	return { bytes: [input.data.led ? 1 : 0], fPort: 2 };
}
`,
	},
	{ id: 'none', form: 'hex', payload: '' },
];
export const codecOf = (id: string) => codecs.find((c) => c.id === id) ?? codecs[0];
