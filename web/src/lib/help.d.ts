// Made by help.mjs from docs/.
declare module 'virtual:help' {
	export interface HelpPage { title: string; html: string; toc: { id: string; text: string; deep: boolean }[]; text: string }
	export const pages: { name: string; title: string; group: 'guide' | 'reference' }[];
	export const load: Record<string, () => Promise<{ default: HelpPage }>>;
}
