// The service worker, src/sw.js, with the list of files it keeps. Pages of the
// reference are large and seldom read: they are kept once they were opened.
import { createHash } from 'node:crypto';
import { readFileSync, readdirSync } from 'node:fs';

export function worker() {
	return {
		name: 'service-worker',
		apply: 'build',
		enforce: 'post',
		generateBundle: {
			order: 'post',
			handler(_, bundle) {
				const files = ['/', ...readdirSync('public').filter((f) => /\.(svg|webmanifest)$|icon-192/.test(f)).map((f) => '/' + f),
					...Object.keys(bundle).filter((f) => f.startsWith('assets/') && !f.includes('/reference-')).map((f) => '/' + f)].sort();
				const source = readFileSync('src/sw.js', 'utf8');
				const version = createHash('sha256').update(source + files.join()).digest('hex').slice(0, 12);
				this.emitFile({ type: 'asset', fileName: 'sw.js', source: `const VERSION = '${version}';\nconst FILES = ${JSON.stringify(files)};\n${source}` });
			},
		},
	};
}
