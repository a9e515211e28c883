// From nothing to a machine that runs what was declared for it, and back: all by
// the pages, to a real one, which is reached by SSH (target.py).
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { finish, isGood, openPage, Platform, signIn } from './platform.mjs';

const LONG = 120_000, FILE = '/etc/pump.conf';
let platform, page, folder, target;

// The machine: answers come in the order of what it is told.
class Target {
	static async start(key) {
		const t = new Target();
		writeFileSync(join(folder, 'key.pub'), key + '\n');
		t.process = spawn('/usr/bin/python3', [fileURLToPath(new URL('target.py', import.meta.url)), folder, join(folder, 'key')], { stdio: ['pipe', 'pipe', 'inherit'] });
		t.ended = new Promise((done) => t.process.once('exit', done));
		t.lines = createInterface({ input: t.process.stdout })[Symbol.asyncIterator]();
		Object.assign(t, await t.heard());
		return t;
	}
	async heard() {
		const { value, done } = await this.lines.next();
		assert.ok(!done, 'the machine has ended');
		return JSON.parse(value);
	}
	async run(script) {
		this.process.stdin.write(JSON.stringify(script) + '\n');
		return this.heard();
	}
	async sh(script) {
		const r = await this.run(script);
		assert.equal(r.status, 0, `${script}: ${r.out}${r.err}`);
		return r.out;
	}
	async stop() {
		this.process.stdin.end();
		await this.ended;
	}
}

before(async () => {
	folder = mkdtempSync(join(tmpdir(), 'marram-target-'));
	platform = await Platform.start('--admin-password', 'a long password', '--fleet.deploy.check-time', '15s');
	await platform.post('/coremgr/api/v1/unit', { code: 'farm', name: 'Farm' }, await platform.token());
	page = await openPage(platform);
	page.setDefaultTimeout(LONG);
	await signIn(page, platform);
});
after(async () => {
	try { await finish(); } finally {
		await target?.stop();
		await platform?.stop();
		rmSync(folder, { recursive: true, force: true });
	}
});

const menu = (name) => page.click(`nav a:has-text("${name}")`);
const card = (name) => page.locator(`section[aria-label="${name}"]`);
const saved = () => page.waitForSelector('[role=status]:text-is("Everything is saved")');
async function module(name, find) {
	await page.click('button:text-is("Add a module")');
	await page.fill('dialog[open] [type=search]', find);
	await page.click(`dialog[open] li button:has(strong:text-is("${name}"))`);
	await card(name).waitFor();
}
async function set(label, text) {
	await page.fill(`:is(input, textarea)[aria-label="${label}"]`, text);
	await page.keyboard.press('Tab');
}
async function configuration() {
	await menu('Configurations');
	await page.click('td a:text-is("Pump")');
	await page.waitForSelector('h1:text-is("Pump")');
}
async function commit(message) {
	await menu('Changes');
	await page.fill('form input', message);
	await page.keyboard.press('Enter');
	await page.waitForSelector('text=Everything is committed.');
}
// Chosen, planned, and shown: the page of the deployment is open then.
async function plan(message) {
	await menu('Deployments');
	await page.click('button:text-is("New deployment")');
	await page.check('dialog[open] label:has-text("pump-1") input');
	await page.fill('dialog[open] label:has-text("What it is for") input', message);
	await page.click('dialog[open] button:text-is("Plan")');
	await page.waitForSelector(`h1:text-is("${message}")`);
	await state('planned');
}
const state = (text) => page.waitForSelector(`section[aria-live] :text-is("${text}")`);
const start = () => page.click('button:text-is("Start")');

// Each goes on where the one before has ended.
let broken = false;
const step = (name, run) => test(name, async (t) => {
	if (broken) return t.skip('what is before it did not come about');
	broken = true;
	broken = (await run(t)) === false;
});

step('a machine is declared, and entered', async (t) => {
	await menu('Machines');
	await page.click('button:text-is("Add by address")');
	target = await Target.start(await page.locator('dialog[open] code:has-text("ssh-ed25519 ")').innerText());
	if (target.missing) {
		t.skip('needs ' + target.missing);
		return false;
	}
	await page.click('dialog[open] button:text-is("Cancel")');

	await menu('Configurations');
	await page.click('button:text-is("New configuration")');
	await page.fill('dialog[open] input', 'Pump');
	await page.selectOption('dialog[open] select', 'linux');
	await page.keyboard.press('Enter');
	await page.waitForSelector('h1:text-is("Pump")');
	await set('Host name', 'pump-house');
	await module('Text files', 'text');
	await page.click('button:has-text("Add: File")');
	await set('File 1: Path', FILE);
	await set('File 1: Text', 'level = 3\n');
	await module('Package sources', 'source');
	await page.click('button:has-text("Add: Source")');
	await set('Source 1: Name', 'shop');
	await set('Source 1: Line', 'deb [trusted=yes] file:/srv/shop ./');
	await module('Packages', 'packages');
	await page.click('button:has-text("Add: Package")');
	await set('Package 1: Name', 'marram-pump');
	await saved();

	await menu('Changes');
	await page.waitForSelector(`section:has(h3 a:text-is("Pump")) ins:has-text("level = 3")`);
	await commit('a pump');

	await menu('Machines');
	await page.click('button:text-is("Add by address")');
	for (const [label, text] of [['Name', 'pump-1'], ['Address', '127.0.0.1'], ['SSH port', String(target.port)], ['Host key', target.key]])
		await page.locator('dialog[open]').getByLabel(label).first().fill(text);
	await page.selectOption('dialog[open] select', 'pump');
	await page.click('dialog[open] button.main');
	await page.waitForSelector('h1:text-is("pump-1")');
});

step('it is planned, deployed, and watched while it runs', async () => {
	await plan('the first time');
	const of = card('pump-1');
	await of.locator(`li:has-text("${FILE}")`).waitFor();
	await of.locator('li:has-text("marram-pump")').waitFor();
	assert.notEqual((await target.run('cat ' + FILE)).status, 0); // nothing is done yet
	await isGood(page, 'fleet-target-plan');
	await start();
	const output = of.locator('pre:has-text("the pump is looked for")');
	await output.waitFor(); // while it waits
	assert.equal(await of.locator('pre:has-text("the pump is there")').count(), 0);
	await isGood(page, 'fleet-target-runs');
	await target.sh('touch /srv/pump');
	await state('done');
	await of.locator('button[aria-expanded]:has-text("Apply")').click();
	await of.locator('pre:has-text("the pump is there")').waitFor();
	assert.equal(await target.sh('cat ' + FILE), 'level = 3\n');
	assert.equal(await target.sh('cat /etc/hostname'), 'pump-house\n');
	await isGood(page, 'fleet-target-done');
});

step('what breaks it comes back by itself, and is tried again', async () => {
	await configuration();
	await page.click('section[aria-label="Text files"] button[aria-expanded=false]');
	await set('File 1: Text', 'level = 4\n');
	await module('Health checks', 'health');
	await page.click('button:has-text("Add: Check")');
	await set('Check 1: Program', '/usr/bin/test');
	for (const [i, x] of ['-e', '/srv/well'].entries()) {
		await page.click('button:has-text("Add: Argument")');
		await set(`Argument ${i + 1}: Argument`, x);
	}
	await saved();
	await commit('higher');
	await plan('higher');
	const of = card('pump-1');
	await of.locator(`li:has-text("${FILE}")`).waitFor();
	await start();
	await state('taken back');
	await of.locator('.error:has-text("/usr/bin/test")').waitFor(); // which check
	await of.locator('li:has-text("Take back") :text-is("done")').waitFor();
	assert.equal(await target.sh('cat ' + FILE), 'level = 3\n');
	await isGood(page, 'fleet-target-back');

	// what was missing is there now
	await target.sh('touch /srv/well');
	const was = page.url();
	await page.click('button:text-is("Try again") >> nth=0'); // the deployment's
	await page.waitForURL((u) => u.href !== was);
	await state('done');
	assert.equal(await target.sh('cat ' + FILE), 'level = 4\n');
});

step('what somebody changes on the machine is seen, and put right', async () => {
	await menu('Machines');
	await page.click('td a:text-is("pump-1")');
	const drift = page.locator('section:has(h2:text-is("Changed on the device"))');
	await drift.locator('text=it is as it was deployed').waitFor();
	await target.sh(`echo by hand >${FILE}`);
	await drift.locator('button:text-is("Compare now")').click();
	await drift.locator(`li:has-text("${FILE}"):has-text("by hand")`).waitFor();
	await isGood(page, 'fleet-target-drift');
	await menu('Machines');
	await page.waitForSelector('td:has-text("was changed on the device")');
	await page.click('td a:text-is("pump-1")');
	await drift.locator('button:text-is("Put right")').click();
	await state('planned');
	await start();
	await state('done');
	assert.equal(await target.sh('cat ' + FILE), 'level = 4\n');
	await menu('Machines');
	await page.waitForSelector('td:has-text("pump-1")');
	await page.waitForSelector('td:has-text("was changed on the device")', { state: 'detached' });
});
