// A platform and a browser for the tests; what every page must keep is checked
// for each of them at the end: no error on the console, no other host.
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after } from 'node:test';
import { fileURLToPath } from 'node:url';
import { free } from './ports.mjs';

const root = fileURLToPath(new URL('../..', import.meta.url));
const need = createRequire(join(root, 'web/package.json'));
const { chromium } = need('playwright-core');
const axe = readFileSync(need.resolve('axe-core/axe.min.js'), 'utf8');
const program = process.env.MARRAM ?? join(root, 'build/marram');
export const LIMIT = 60_000; // ms that anything may take before a test gives up

export class Platform {
	static async start(...options) {
		const p = new Platform();
		p.folder = mkdtempSync(join(tmpdir(), 'marram-browser-'));
		p.options = options;
		await p.begin(String(await free()));
		return p;
	}
	// Begins, also anew at the same address.
	async begin(port = new URL(this.url).port) {
		const p = this, options = this.options;
		p.process = spawn(program, ['serve', '--data-dir', p.folder, '--http-port', port, '--mqtt-port', '0', '--mqtt.tls-port', '0', ...options], { stdio: ['ignore', 'pipe', 'ignore'] });
		p.said = '';
		await new Promise((done, fail) => {
			p.process.stdout.on('data', (d) => {
				p.said += d;
				if (/^ready:.*\n/m.test(p.said)) done();
			});
			p.process.on('exit', () => fail(new Error('the server ended: ' + p.said)));
		});
		p.url = 'http://localhost:' + /http:\/\/\S+?:(\d+)/.exec(p.said.slice(p.said.indexOf('ready:')))[1];
		p.mqtt = /mqtt:\/\/\S+?:(\d+)/.exec(p.said)[1];
	}
	async end() {
		this.process.removeAllListeners('exit');
		const ended = new Promise((done) => this.process.once('exit', done));
		this.process.kill();
		await ended;
	}
	async stop() {
		await this.end();
		rmSync(this.folder, { recursive: true, force: true });
	}
	// Somebody's token, for what a test does without the screen.
	async token(account = 'admin', password = 'a long password') {
		const redirect_uri = 'http://localhost:1080/auth/oauth2/redirect', form = { method: 'POST', redirect: 'manual' };
		const sent = async (path, values) => fetch(this.url + path, { ...form, body: new URLSearchParams(values) });
		const query = (r) => Object.fromEntries(new URL(r.headers.get('location'), this.url).searchParams);
		const login = await sent('/auth/oauth2/login', { state: new URLSearchParams({ response_type: 'code', client_id: 'public', redirect_uri }), account, password });
		const { code } = query(await sent('/auth/oauth2/authorize', { ...query(login), allow: 'yes' }));
		return (await (await sent('/auth/oauth2/token', { grant_type: 'authorization_code', code, redirect_uri, client_id: 'public' })).json()).access_token;
	}
	async call(method, path, data, token) {
		const r = await fetch(this.url + path, { method, headers: { Authorization: 'Bearer ' + token, 'Content-Type': 'application/json' }, body: data && JSON.stringify({ data }) });
		assert.ok(r.ok, `${method} ${path}: ${r.status} ${await r.clone().text()}`);
		return r.status === 204 ? undefined : (await r.json()).data;
	}
	post(path, data, token) { return this.call('POST', path, data, token); }
	// Runs a line as somebody pastes it.
	paste(line) {
		const r = spawnSync('/bin/sh', ['-c', line], { encoding: 'utf8', timeout: LIMIT });
		assert.equal(r.status, 0, r.stderr);
	}
}

let chrome;
const watched = [];

// That an answer came after its page was left, where nobody sees it, is Svelte's derived_inert.
const harmless = /^Service Worker registration blocked|svelte\.dev\/e\/derived_inert/;

// Without the service worker, unless a test is about it: it comes a second after
// the page, and what it asks passes by the routes that a test has laid.
export async function openPage(platform, how = {}) {
	chrome ??= await chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', timeout: LIMIT, args: ['--no-sandbox', '--disable-gpu', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'] });
	const context = await chrome.newContext({ locale: 'en-GB', viewport: { width: 1280, height: 800 }, permissions: ['clipboard-read', 'clipboard-write'], serviceWorkers: 'block', ...how });
	const page = await context.newPage();
	page.setDefaultTimeout(LIMIT);
	const faults = [];
	page.on('console', (m) => { if ((m.type() === 'error' || m.type() === 'warning') && !harmless.test(m.text())) faults.push(m.text() + ' ' + m.location().url); });
	page.on('pageerror', (e) => faults.push(String(e)));
	page.on('request', (r) => { if (!r.url().startsWith(platform.url) && !/^(data|blob):/.test(r.url())) faults.push('asked ' + r.url()); });
	watched.push(faults);
	page.faults = faults; // for a test that takes the server away
	return page;
}

export async function signIn(page, platform, path = '/', account = 'admin', password = 'a long password') {
	await page.goto(platform.url + path);
	await page.fill('[name=account]', account);
	await page.fill('[name=password]', password);
	await page.press('[name=password]', 'Enter');
	await inside(page);
}

// A page of the application is there: that where one signs in has a heading, too.
export const inside = (page) => page.waitForSelector('.shell main h1');

// Goes to another page as a link does. What was there before is gone when this has
// run; `lose`: what is unsaved there is given up, if it asks.
export async function visit(page, path, { lose = false } = {}) {
	await page.evaluate((to) => {
		history.pushState(null, '', to);
		dispatchEvent(new PopStateEvent('popstate'));
	}, path);
	const give = page.locator('dialog[open] button:text-is("Discard the changes")');
	if (lose && await give.isVisible()) await give.click();
	await inside(page);
}

// The first start: code and password, signing in; left at the question where
// the site is.
export async function setUp(page, platform, password = 'a long password') {
	await page.goto(platform.url + '/auth/setup');
	await page.fill('[name=code]', /one use: (\w+)/.exec(platform.said)[1]);
	await page.fill('[name=password]', password);
	await page.fill('[name=repeat]', password);
	await page.press('[name=repeat]', 'Enter');
	await page.fill('[name=account]', 'admin');
	await page.fill('[name=password]', password);
	await page.press('[name=password]', 'Enter');
	await page.waitForSelector('.shell main form');
}

// What it gives once that is something: waited for.
export async function becomes(what) {
	for (const end = Date.now() + LIMIT; ; await new Promise((done) => setTimeout(done, 20))) {
		const got = await what();
		if (got) return got;
		assert.ok(Date.now() < end, 'never: ' + what);
	}
}

// Asks the page until it says yes: waitForFunction() evaluates in a way that our
// policy of scripts forbids.
export async function until(page, check, arg) {
	for (const end = Date.now() + LIMIT; !(await page.evaluate(check, arg)); await page.evaluate(() => new Promise(requestAnimationFrame))) assert.ok(Date.now() < end, `never: ${check}`);
}

// Closes what was told: it lies over buttons for as long as it can be undone.
// Each goes by itself, too, at any time.
export async function clear(page) {
	await becomes(() => page.evaluate(() => {
		const all = document.querySelectorAll('.toast');
		for (const t of all) t.querySelector('[aria-label="Dismiss"]')?.click();
		return !all.length;
	}));
}

// Until the page asks for nothing any more; one that looks each second may do so
// without an end where the machine is slow.
export async function idle(page) {
	await page.waitForLoadState('networkidle', { timeout: 5000 }).catch(() => {});
}

// Everybody can use it, and nothing sticks out at the side.
export async function isGood(page, name) {
	await page.evaluate(axe);
	const { violations } = await page.evaluate(() => axe.run(document, { runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa'] }));
	assert.deepEqual(violations.map((v) => `${name}: ${v.id}: ${v.nodes.map((n) => n.target + ' ' + n.any.map((a) => a.message)).join('; ')}`), []);
	const [wide, view] = await page.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
	assert.ok(wide <= view, `${name} is ${wide} wide in ${view}`);
	if (process.env.SCREENSHOTS) await page.screenshot({ path: join(process.env.SCREENSHOTS, name + '.png'), fullPage: true });
}

async function close() {
	await chrome?.close();
	chrome = undefined;
}
// Also where a test failed before its finish(): a browser that runs keeps its file
// from ending, and with it all of them.
if (process.argv[1].endsWith('.test.mjs')) after(close);

// `meant`: what a test wants to go wrong.
export async function finish({ meant } = {}) {
	await close();
	assert.deepEqual(watched.flat().filter((f) => !meant?.test(f)), []);
}
