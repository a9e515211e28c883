// What somebody chose for this browser: language, colours, unit. And the texts.
import de from './texts/de.json';
import en from './texts/en.json';

type Texts = Record<keyof typeof en, string>;
const all: Record<string, Texts> = { en, de };
export const languages = Object.keys(all);
const saved = JSON.parse(localStorage.getItem('marram.look') ?? '{}');

export const look = $state({
	language: (saved.language ?? (navigator.language.startsWith('de') ? 'de' : 'en')) as string,
	theme: (saved.theme ?? 'system') as 'system' | 'light' | 'dark',
	unit: (saved.unit ?? '') as string,
});

export function choose(change: Partial<typeof look>) {
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

// A text by its name; {x} stands for a value.
export function t(key: keyof Texts, values: Record<string, string | number> = {}): string {
	return all[look.language][key].replace(/\{(\w+)\}/g, (_, k) => String(values[k] ?? ''));
}

const locale = () => (navigator.languages.find((l) => l.startsWith(look.language)) ?? look.language);
export const number = (n: number, digits = 3) => new Intl.NumberFormat(locale(), { maximumFractionDigits: digits }).format(n);
export const time = (iso?: string | null) => (iso ? new Intl.DateTimeFormat(locale(), { dateStyle: 'medium', timeStyle: 'medium' }).format(new Date(iso)) : '–');
export const value = (v: unknown, unit = ''): string => {
	if (v === null || v === undefined || v === '') return '–';
	const s = typeof v === 'number' ? number(v) : typeof v === 'object' ? JSON.stringify(v) : String(v);
	return unit ? `${s} ${unit}` : s;
};
