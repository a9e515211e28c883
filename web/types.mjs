// Fails when the sources type by hand what the API's description has: a type
// whose members are all members of one of lib/schema's, or an object that is
// spelled out where a call says what it answers.
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import ts from 'typescript';

const SOME = 3; // fewer in common say nothing
const parse = (f, text) => ts.createSourceFile(f, text, ts.ScriptTarget.Latest, true);
const names = (n) => n.members.map((m) => m.name?.getText()).filter(Boolean);
const plain = (n) => Object.fromEntries(n.members.map((m) => [m.name?.getText(), new Set(m.type?.getText().match(/\b(?:string|number|boolean)\b/g))]));
const other = (a, b) => a?.size > 0 && b?.size > 0 && ![...a].some((x) => b.has(x)); // a number is no text
const known = [], faults = [];
for (const n of parse('schema.ts', readFileSync('src/lib/schema.ts', 'utf8')).statements) if (ts.isInterfaceDeclaration(n)) known.push([n.name.text, new Set(names(n)), plain(n)]);

function look(f, n) {
	const at = () => `${f}:${n.getSourceFile().getLineAndCharacterOfPosition(n.getStart()).line + 1}`;
	if (ts.isInterfaceDeclaration(n) || ts.isTypeLiteralNode(n)) {
		const has = names(n), like = has.length >= SOME && known.find(([, all, kinds]) => has.every((m) => all.has(m) && !other(plain(n)[m], kinds[m])));
		if (like) faults.push(`${at()}: { ${has.join(', ')} } is typed by hand; use ${like[0]} of lib/schema, or a Pick of it`);
	}
	if (ts.isCallExpression(n) && ['get', 'post', 'patch', 'change', 'undoable'].includes(n.expression.getText()))
		for (const type of n.typeArguments ?? []) if (/\{/.test(type.getText())) faults.push(`${at()}: ${type.getText()} is typed by hand; name a type of lib/schema`);
	ts.forEachChild(n, (c) => look(f, c));
}
let n = 0;
for (const f of readdirSync('src', { recursive: true }).map((x) => join('src', String(x))).filter((x) => /\.(svelte|ts)$/.test(x) && x !== 'src/lib/schema.ts')) {
	const text = readFileSync(f, 'utf8'), script = /\.svelte$/.test(f) ? (/<script lang="ts"[^>]*>([^]*?)<\/script>/.exec(text)?.[1] ?? '') : text;
	look(f, parse(f + '.ts', script));
	n++;
}
for (const f of faults) console.error(f);
console.log(`types: ${known.length} of the API in ${n} sources`);
if (faults.length) process.exit(1);
