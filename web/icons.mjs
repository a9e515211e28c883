// Draws the icons of the installed application from public/logo.svg. Run when
// the logo changes; what it makes is kept beside it.
import { readFileSync, writeFileSync } from 'node:fs';
import { chromium } from 'playwright-core';

const logo = readFileSync('public/logo.svg', 'utf8');
const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args: ['--no-sandbox', '--disable-gpu'] });
// A maskable icon may be cut to a circle of four fifths.
for (const [name, size, part, round] of [['icon-192', 192, 0.72, 22], ['icon-512', 512, 0.72, 22], ['icon-maskable-512', 512, 0.56, 0]]) {
	const page = await browser.newPage({ viewport: { width: size, height: size } });
	await page.setContent(`<style>body{margin:0}div{width:${size}px;height:${size}px;display:grid;place-items:center;background:#eef3e8;border-radius:${round}%}svg{width:${size * part}px;height:${size * part}px}</style><div>${logo}</div>`);
	writeFileSync(`public/${name}.png`, await page.screenshot({ omitBackground: true }));
	await page.close();
}
await browser.close();
