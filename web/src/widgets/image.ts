// Which picture stands for a value.
import { toNumber } from './values.svelte';

// {"0": "icon:…", "50": "/x.svg"}: the one of this value, or with thresholds the
// highest one that it has reached.
export function same(mapping: Record<string, string>, v: unknown, thresholds = false): string | undefined {
	if (!thresholds) return mapping[String(v)] ?? Object.entries(mapping).find(([k]) => k.toLowerCase() === String(v).toLowerCase())?.[1];
	const n = toNumber(v);
	return n === null ? undefined : Object.entries(mapping).filter(([k]) => Number(k) <= n).sort(([a], [b]) => Number(a) - Number(b)).at(-1)?.[1];
}
// A field that is a picture: an address, or its bytes as base64.
export function at(v: unknown): string {
	const s = String(v ?? '').trim();
	if (!s || /^(data:image\/|https?:|\/)/.test(s) && !s.startsWith('/9j/')) return s;
	const type = s.startsWith('/9j/') ? 'jpeg' : s.startsWith('iVBOR') ? 'png' : s.startsWith('R0lG') ? 'gif' : s.startsWith('UklG') ? 'webp' : '';
	return type && /^[A-Za-z0-9+/=\s]+$/.test(s) ? `data:image/${type};base64,${s.replace(/\s/g, '')}` : '';
}
