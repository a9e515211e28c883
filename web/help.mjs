// The guide as pages of the application: docs/guide/*.md and what they link to,
// rendered when it is built. Each page is a chunk of its own; the module
// "virtual:help" lists them. HTML in a page is shown as text. A link that leads
// nowhere fails the build.
import { readFileSync, readdirSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import MarkdownIt from 'markdown-it';

const root = resolve(import.meta.dirname ?? dirname(new URL(import.meta.url).pathname), '..');
const slug = (s) => s.toLowerCase().replace(/[^\p{L}\p{N}\s_-]/gu, '').trim().replace(/\s/g, '-');

// Every page: name, file, group.
const named = (f) => f.replace(/\.md$/, '');
const files = [
	{ name: 'first-steps', file: 'README.md', group: 'guide' },
	...readdirSync(join(root, 'docs/guide')).filter((f) => f.endsWith('.md')).sort().map((f) => ({ name: named(f), file: 'docs/guide/' + f, group: 'guide' })),
	{ name: 'glossary', file: 'docs/glossary.md', group: 'reference' },
	...readdirSync(join(root, 'docs/reference')).filter((f) => f.endsWith('.md')).sort().map((f) => ({ name: 'reference-' + named(f), file: 'docs/reference/' + f, group: 'reference' })),
];

// Of the README what somebody begins with.
function source({ name, file }) {
	const s = readFileSync(join(root, file), 'utf8');
	if (name !== 'first-steps') return s;
	const parts = s.split(/^(?=## )/m);
	return '# First steps\n\n' + parts.filter((p) => /^## (Two commands|The first ten minutes)/.test(p)).join('');
}

function render(page, faults) {
	const md = new MarkdownIt({ html: false }), toc = [], used = new Map();
	const tokens = md.parse(source(page), {});
	let title = page.name;
	const targets = [];
	for (const [i, k] of tokens.entries()) {
		if (k.type === 'heading_open') {
			const text = tokens[i + 1].children.filter((c) => c.type === 'text' || c.type === 'code_inline').map((c) => c.content).join('');
			const n = used.get(slug(text)) ?? 0, id = slug(text) + (n ? '-' + n : '');
			used.set(slug(text), n + 1);
			if (k.tag === 'h1') title = text;
			else k.attrSet('id', id);
			if (k.tag === 'h2' || k.tag === 'h3') toc.push({ id, text, deep: k.tag === 'h3' });
		}
		if (k.type === 'inline') k.children = rewritten(k.children, page, targets);
	}
	const around = (open, close) => (t, i, o, e, self) => open + self.renderToken(t, i, o) + close;
	md.renderer.rules.table_open = around('<div class="wide" tabindex="0">', '');
	md.renderer.rules.table_close = around('', '</div>');
	md.renderer.rules.fence = (t, i) => `<div class="code"><pre tabindex="0"><code>${md.utils.escapeHtml(t[i].content)}</code></pre></div>\n`;
	for (const x of targets) if (!x.ok) faults.push(`${page.file}: the link to ${x.href} leads nowhere`);
	const html = md.renderer.render(tokens, md.options, {});
	return { title, html, toc, targets, ids: new Set([...used].flatMap(([s, n]) => Array.from({ length: n }, (_, k) => s + (k ? '-' + k : '')))), text: html.replace(/<[^>]+>/g, ' ').replace(/&(lt|gt|quot|amp);/g, (_, e) => ({ lt: '<', gt: '>', quot: '"', amp: '&' })[e]).replace(/\s+/g, ' ') };
}

// Links between pages are ours; to others they leave; to files that are no
// pages there is none.
function rewritten(children, page, targets) {
	let dead = 0;
	return children.filter((c) => {
		if (c.type === 'link_close' && dead) { dead--; return false; }
		if (c.type !== 'link_open') return true;
		const href = c.attrGet('href');
		if (/^https?:/.test(href)) { c.attrSet('target', '_blank'); c.attrSet('rel', 'noreferrer'); return true; }
		if (href.startsWith('/')) return true; // a page of the application
		const [file, at] = href.split('#');
		const to = file ? files.find((f) => f.file === relative(root, resolve(root, dirname(page.file), file))) : page;
		if (!to) { dead++; return false; }
		targets.push({ href, name: to.name, at, ok: true });
		c.attrSet('href', `/help/${to.name}${at ? '#' + at : ''}`);
		return true;
	});
}

export function help() {
	const LIST = 'virtual:help', PAGE = 'virtual:help/';
	let pages;
	function all() {
		const faults = [];
		const made = new Map(files.map((f) => [f.name, { ...f, ...render(f, faults) }]));
		for (const p of made.values()) for (const x of p.targets) if (x.at && !made.get(x.name).ids.has(x.at)) faults.push(`${p.file}: the link to ${x.href} leads nowhere`);
		for (const [, to] of readFileSync(join(root, 'web/src/lib/pages.ts'), 'utf8').matchAll(/help: '([^']+)'/g)) { const [name, at] = to.split('#'); if (!made.has(name) || (at && !made.get(name).ids.has(at))) faults.push(`pages.ts: there is no help ${to}`); }
		if (faults.length) throw new Error(faults.join('\n'));
		return made;
	}
	return {
		name: 'help',
		buildStart() { pages = all(); for (const f of files) this.addWatchFile(join(root, f.file)); },
		watchChange() { pages = all(); },
		resolveId: (id) => (id.startsWith(LIST) ? '\0' + id : undefined),
		load(id) {
			if (id === '\0' + LIST) return `export const pages = ${JSON.stringify([...pages.values()].map(({ name, title, group }) => ({ name, title, group })))};\nexport const load = {${files.map((f) => `${JSON.stringify(f.name)}: () => import(${JSON.stringify(PAGE + f.name)})`)}};`;
			if (!id.startsWith('\0' + PAGE)) return;
			const { title, html, toc, text } = pages.get(id.slice(PAGE.length + 1));
			return `export default ${JSON.stringify({ title, html, toc, text })};`;
		},
	};
}
