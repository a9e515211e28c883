// All texts: texts/LANGUAGE/AREA.json. Only the language that is chosen is
// loaded. texts.mjs, part of the build, sees to it that every text that is
// asked for is there, in every language.
export const languages: Record<string, string> = { en: 'English', de: 'Deutsch' };
const load: Record<string, () => Promise<{ default: Record<string, string> }>> = {
	en: () => import('./en'),
	de: () => import('./de'),
};
export const textsOf = async (language: string) => (await load[language]()).default;
