// Payloads come as hex; most are text.
export const bytesOf = (hex: string) => Uint8Array.from(hex.match(/../g) ?? [], (h) => parseInt(h, 16));
export const hexOf = (text: string) => Array.from(new TextEncoder().encode(text), (b) => b.toString(16).padStart(2, '0')).join('');
export function textOf(hex: string): string {
	try { return new TextDecoder('utf-8', { fatal: true }).decode(bytesOf(hex)).replace(/[\x00-\x1f]/g, '·'); }
	catch { return hex; }
}

// What somebody types, in one of these forms, as hex; what is wrong is thrown.
export type Form = 'hex' | 'base64' | 'text' | 'json';
const join = (b: Iterable<number>) => Array.from(b, (x) => x.toString(16).padStart(2, '0')).join('');
export function toHex(form: Form, text: string): string {
	if (form === 'text') return hexOf(text);
	if (form === 'json') return hexOf(JSON.stringify(JSON.parse(text)));
	if (form === 'base64') return join(Uint8Array.from(atob(text.trim().replace(/-/g, '+').replace(/_/g, '/')), (c) => c.charCodeAt(0)));
	const hex = text.replace(/0x|[\s,:;-]/gi, '').toLowerCase();
	if (!/^([0-9a-f]{2})*$/.test(hex)) throw new Error('hex');
	return hex;
}
export const hexOfBase64 = (s: string) => toHex('base64', s);
// Bytes to be looked at, eight in a line, with what is text in them.
const plain = (l: string) => Array.from(bytesOf(l), (b) => (b > 0x1f && b < 0x7f ? String.fromCharCode(b) : '·')).join('');
export const hexLines = (hex: string) => (hex.match(/.{1,16}/g) ?? []).map((l) => l.match(/../g)!.join(' ').padEnd(25) + plain(l)).join('\n');
