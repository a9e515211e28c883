// Fails when what a browser fetches before it shows anything is too large.
import { readFileSync } from 'node:fs';
import { gzipSync } from 'node:zlib';

const LIMIT = 200_000;
const page = readFileSync('dist/index.html', 'utf8');
const files = ['index.html', ...[...page.matchAll(/<(?:script|link)[^>]* (?:src|href)="\/([^"]+)"/g)].map((m) => m[1])];
const sizes = files.map((f) => gzipSync(readFileSync(`dist/${f}`), { level: 9 }).length);
const sum = sizes.reduce((a, b) => a + b, 0);

console.log(`first load: ${sum} of ${LIMIT} bytes, compressed (${files.length} files)`);
if (sum > LIMIT) {
	files.forEach((f, i) => console.error(`  ${sizes[i]} ${f}`));
	process.exit(1);
}
