// {"30": "orange", "60": "#c00"}: the colour from that value on.
import { toNumber } from './values.svelte';

export function colorFor(thresholds: Record<string, string> | undefined, v: unknown): string | undefined {
	const n = toNumber(v), all = Object.entries(thresholds ?? {}).map(([k, c]) => [Number(k), c] as const).filter(([k]) => !Number.isNaN(k)).sort((a, b) => a[0] - b[0]);
	return n === null ? undefined : all.filter(([k]) => n >= k).at(-1)?.[1];
}
export const palette = (i: number) => `var(--series-${(i % 8) + 1})`;
