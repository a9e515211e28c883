// What somebody chose for this browser: language, colours, unit. And the texts.
import { languages, textsOf } from './texts';

const saved = JSON.parse(localStorage.getItem('marram.look') ?? '{}');
export const look = $state({
	language: (saved.language in languages ? saved.language : navigator.language.startsWith('de') ? 'de' : 'en') as string,
	theme: (saved.theme ?? 'system') as 'system' | 'light' | 'dark',
	unit: (saved.unit ?? '') as string,
});
let texts = $state.raw<Record<string, string>>({});

export async function choose(change: Partial<typeof look>) {
	if (change.language) texts = await textsOf(change.language);
	Object.assign(look, change);
	localStorage.setItem('marram.look', JSON.stringify(look));
	paint();
}

const dark = matchMedia('(prefers-color-scheme: dark)');
function paint() {
	document.documentElement.dataset.theme = look.theme === 'system' ? (dark.matches ? 'dark' : 'light') : look.theme;
	document.documentElement.lang = look.language;
}
dark.addEventListener('change', paint);
paint();
export const loadTexts = () => choose({ language: look.language });

const filled = (text: string, values: Record<string, string | number>) => text.replace(/\{(\w+)\}/g, (_, k) => String(values[k] ?? ''));
// A text by its name; {x} stands for a value.
export const t = (key: string, values: Record<string, string | number> = {}): string => filled(texts[key] ?? key, values);
// The same where there may be none: what else is said then.
export const tOr = (key: string, or: string): string => texts[key] ?? or;

const locale = () => (navigator.languages.find((l) => l.startsWith(look.language)) ?? look.language);
export const number = (n: number, digits = 3) => new Intl.NumberFormat(locale(), { maximumFractionDigits: digits }).format(n);
export const time = (iso?: string | null) => (iso ? new Intl.DateTimeFormat(locale(), { dateStyle: 'medium', timeStyle: 'medium' }).format(new Date(iso)) : '–');
export const day = (when: Date, how: Intl.DateTimeFormatOptions) => new Intl.DateTimeFormat(locale(), how).format(when);
export function bytes(n: number): string {
	const steps = ['byte', 'kilobyte', 'megabyte', 'gigabyte', 'terabyte'];
	let i = 0;
	for (; n >= 1000 && i < steps.length - 1; i++) n /= 1000;
	return new Intl.NumberFormat(locale(), { style: 'unit', unit: steps[i], unitDisplay: 'short', maximumFractionDigits: n < 10 && i ? 1 : 0 }).format(n);
}
export const value = (v: unknown, unit = ''): string => {
	if (v === null || v === undefined || v === '') return '–';
	const s = typeof v === 'number' ? number(v) : typeof v === 'object' ? JSON.stringify(v) : String(v);
	return unit ? `${s} ${unit}` : s;
};
// A length of time in its largest unit: 300 is "5 minutes".
export function lasting(s: number): string {
	const [unit, of] = ([['day', 86400], ['hour', 3600], ['minute', 60], ['second', 1]] as const).find(([, n]) => s >= n && Math.abs(s / n - Math.round(s / n)) < 0.01) ?? ['second', 1];
	return new Intl.NumberFormat(locale(), { style: 'unit', unit, unitDisplay: 'long', maximumFractionDigits: 1 }).format(s / of);
}
