// Payloads come as hex; most are text.
export const bytesOf = (hex: string) => Uint8Array.from(hex.match(/../g) ?? [], (h) => parseInt(h, 16));
export const hexOf = (text: string) => Array.from(new TextEncoder().encode(text), (b) => b.toString(16).padStart(2, '0')).join('');
export function textOf(hex: string): string {
	try { return new TextDecoder('utf-8', { fatal: true }).decode(bytesOf(hex)).replace(/[\x00-\x1f]/g, '·'); }
	catch { return hex; }
}
