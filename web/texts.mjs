// Fails when a text that is asked for is missing in a language, is said twice,
// or is never asked for.
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';

const files = (dir, end) => readdirSync(dir, { recursive: true }).map(String).filter((f) => end.test(f)).map((f) => join(dir, f));
const root = 'src/lib/texts', faults = [], texts = {};
for (const language of readdirSync(root, { withFileTypes: true }).filter((d) => d.isDirectory()).map((d) => d.name)) {
	texts[language] = {};
	for (const f of files(join(root, language), /\.json$/))
		for (const [k, v] of Object.entries(JSON.parse(readFileSync(f, 'utf8')))) {
			if (k in texts[language]) faults.push(`${f}: ${k} is there already`);
			if (!v) faults.push(`${f}: ${k} is empty`);
			texts[language][k] = v;
		}
}
const all = new Set(Object.values(texts).flatMap(Object.keys));
for (const [language, has] of Object.entries(texts)) for (const k of all) if (!(k in has)) faults.push(`${language}: ${k} is missing`);
for (const k of all) {
	const holes = Object.values(texts).map((x) => [...new Set((x[k] ?? '').match(/\{\w+\}/g))].sort().join());
	if (new Set(holes).size > 1) faults.push(`${k}: not the same {…} in each language`);
}

// t('name') must be there. What is put together, `area.${x}`, 'area.' + x or
// `${x}Text`, counts for all that begin or end so.
const sources = files('src', /\.(svelte|ts)$/).filter((f) => !f.startsWith(root)).map((f) => [f, readFileSync(f, 'utf8')]);
for (const [f, s] of sources) for (const m of s.matchAll(/\bt\(\s*'([^']+)'\s*[,)]/g)) if (!all.has(m[1])) faults.push(`${f}: no text "${m[1]}"`);
const everything = sources.map(([, s]) => s).join('\n'), found = (what) => [...new Set([...everything.matchAll(what)].map((m) => m[1]))];
const quoted = new Set(found(/['"`]([\w.-]+)['"`]/g)), begins = found(/[`'"]([\w-]+\.(?:[\w-]+\.)*)(?:\$\{|['"])/g), ends = found(/`\$\{[^}`]+\}([\w.-]+)`/g);
for (const k of all) if (!quoted.has(k) && !begins.some((b) => k.startsWith(b)) && !ends.some((e) => k.endsWith(e))) faults.push(`"${k}" is never asked for`);
for (const f of faults) console.error(f);
console.log(`texts: ${all.size} in ${Object.keys(texts).join(', ')}`);
if (faults.length) process.exit(1);
