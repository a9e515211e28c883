// One platform and three devices that really run marram-edge, from the key to
// what is seen on their pages. Nothing is imitated.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { Edge } from './device.mjs';
import { becomes as until, finish, isGood, openPage, Platform, signIn, visit as go } from './platform.mjs';

let platform, page, token, unitId, gatewayId, key, mail;
const names = ['gw01', 'gw02', 'gw03'], edges = {}, ids = {}, heard = [];
const hub = '/hub/api/v1';
const api = (method, path, data) => platform.call(method, path, data, token);
const visit = (path) => go(page, path);
const tab = (name) => page.click(`[role=tab]:text-is("${name}")`);
const software = async (name) => { await visit(`/device/${ids[name]}?tab=software`); await page.waitForSelector(`h1:has-text("${name}")`); };
const operation = (...texts) => page.waitForSelector('section[aria-labelledby=so] tr' + texts.map((x) => `:has-text("${x}")`).join(''));
async function install(name, version = '') {
	await page.click('button:text-is("Install"):enabled');
	await page.fill('dialog[open] label:has-text("Name") input', name);
	await page.fill('dialog[open] label:has-text("Version") input', version);
	await page.keyboard.press('Enter');
	await page.waitForSelector('dialog[open]', { state: 'detached' });
}

before(async () => {
	platform = await Platform.start('--admin-password', 'a long password');
	token = await platform.token();
	unitId = (await platform.post('/coremgr/api/v1/unit', { code: 'farm', name: 'Farm' }, token)).unitId;
	page = await openPage(platform);
	await signIn(page, platform);
});
after(async () => {
	mail?.kill();
	for (const e of Object.values(edges)) await e.stop();
	await platform?.stop();
});

test('three devices enrol by the lines that the page shows', async () => {
	await visit('/gateways');
	await page.click('button:text-is("Add a gateway")');
	await page.selectOption('dialog select >> nth=0', 'marramEdge');
	await page.fill('dialog input[type=text] >> nth=0', 'fleet');
	await page.click('dialog button:text-is("Add")');
	await page.waitForSelector('h1:text-is("fleet")');
	await tab('Enrolment');
	await page.click('button:text-is("New key")');
	await page.click('dialog[open] button:text-is("New key")');
	const lines = await until(async () => { const all = await page.$$eval('.copy code', (c) => c.map((x) => x.textContent)); return all.find((x) => /--key \w{20}$/.test(x)); });
	key = /--key (\w+)/.exec(lines)[1];
	// what stands there, without sudo
	const set = [...lines.matchAll(/tedge config set (\S+) (\S+)/g)].map(([, k, v]) => [k, v]);
	assert.deepEqual(set.map(([k]) => k), ['marram.url', 'marram.unit', 'marram.gateway']);
	gatewayId = (await api('GET', `${hub}/gateway/list?unit=${unitId}`))[0].id;
	const app = await platform.post('/coremgr/api/v1/application', { code: 'app', unitId, hostUri: 'mqtt://localhost' }, token);
	await platform.call('PATCH', '/coremgr/api/v1/application/' + app.applicationId, { password: 'a password' }, token);
	await platform.post('/broker/api/v1/network-route', { networkId: gatewayId, applicationId: app.applicationId }, token);
	mail = spawn('mosquitto_sub', ['-h', 'localhost', '-p', platform.mqtt, '-u', 'application.farm.app', '-P', 'a password', '-i', 'app', '-q', '1', '-t', 'broker.application.farm.app.uldata'], { stdio: ['ignore', 'pipe', 'inherit'] });
	let rest = '';
	mail.stdout.on('data', (d) => { const all = (rest + d).split('\n'); rest = all.pop(); heard.push(...all.map((x) => JSON.parse(x))); });
	for (const name of names) {
		edges[name] = await Edge.make(name, Object.fromEntries(set));
		edges[name].tedge('connect', 'marram', '--key', key);
		await page.waitForSelector(`section td:has-text("${name}")`); // the page follows
	}
	await page.waitForSelector('tr:has-text("gw02"):has-text("its own secret")');
	await isGood(page, 'fleet-enrolled');
});

test('they are claimed in the inbox, all at once', async () => {
	await visit('/inbox');
	for (const name of names) await page.waitForSelector(`tr:has-text("${name}")`);
	await isGood(page, 'fleet-inbox');
	await page.check('thead input[type=checkbox]');
	await page.click('button.main:has-text("Claim")');
	await until(async () => !(await api('GET', `${hub}/inbox/list?unit=${unitId}`)).length);
	for (const d of await api('GET', `/broker/api/v1/device/list?unit=${unitId}`)) ids[d.networkAddr] = d.deviceId;
	assert.deepEqual(Object.keys(ids).sort(), names);
});

test('what they measure becomes fields, and reaches the application', async () => {
	names.forEach((name, i) => edges[name].tedge('mqtt', 'pub', 'te/device/main///m/env', JSON.stringify({ temperature: 20.5 + i })));
	for (const [i, name] of names.entries()) {
		await until(async () => (await api('GET', `${hub}/field/list?unit=${unitId}&gatewayId=fleet&nodeId=${name}&sourceId=env`)).some((f) => f.fieldId === 'temperature' && f.current?.value === 20.5 + i));
		await visit('/device/' + ids[name]);
		await page.waitForSelector(`h1:has-text("${name}")`);
		await page.waitForSelector(`text=${20.5 + i}`);
	}
	await until(() => names.every((name, i) => heard.some((m) => m.networkAddr === name && m.extension.topic === 'm/env' && JSON.parse(Buffer.from(m.data, 'hex')).temperature === 20.5 + i)));
});

test('software is updated by order of the page, well and badly', async () => {
	await software('gw02');
	await page.waitForSelector('td:has-text("rolldice")');
	await page.waitForSelector('dt:text-is("tedge-agent") + dd:has-text("up")');
	await install('tree', '2.1');
	await operation('+ tree 2.1 (dice)', 'successful');
	await page.waitForSelector('section[aria-labelledby=si] tr:has-text("tree"):has-text("2.1")');
	assert.equal(edges.gw02.read('store/tree'), '2.1\n');
	await install('broken');
	await operation('+ broken (dice)', 'failed', 'no such package: broken');
	await isGood(page, 'fleet-software');
	await page.click('button[aria-label="Uninstall: rolldice"]');
	await page.click('dialog[open] button:text-is("Uninstall")');
	await operation('− rolldice 1.16 (dice)', 'successful');
	await page.waitForSelector('section[aria-labelledby=si] tr:has-text("rolldice")', { state: 'detached' });
	assert.ok(!edges.gw02.has('store/rolldice') && edges.gw01.has('store/rolldice'));
});

test('an order waits for a device that is away', async () => {
	await edges.gw03.end();
	await software('gw03');
	await page.waitForSelector('dl.facts dd:has-text("down")');
	await install('later');
	await operation('+ later (dice)', 'waiting for the device');
	await edges.gw03.start();
	await operation('+ later (dice)', 'successful');
	await page.waitForSelector('dl.facts dd:has-text("up")');
	assert.equal(edges.gw03.read('store/later'), '1.0\n');
});

test('it is restarted, which has ended when the device is back', async () => {
	await software('gw01');
	await page.click('button:text-is("Restart"):enabled');
	await page.click('dialog[open] button:text-is("Restart")');
	await until(() => edges.gw01.has('rebooted'));
	await operation('Restart', 'running');
	await edges.gw01.end('SIGKILL'); // as the machine does
	assert.ok(edges.gw01.has('tmp/tedge_agent_restart'));
	(await import('node:fs')).rmSync(edges.gw01.folder + '/tmp/tedge_agent_restart'); // it was in memory
	await edges.gw01.start();
	await operation('Restart', 'successful');
});

test('a configuration is fetched, and saved as a file', async () => {
	await page.selectOption('#sc', 'lamp');
	await page.click('button:text-is("Fetch configuration"):enabled');
	await operation('Fetch configuration', 'successful');
	const [file] = await Promise.all([page.waitForEvent('download'), page.click('tr:has-text("Fetch configuration") button:text-is("Save file")')]);
	assert.equal(file.suggestedFilename(), 'gw01-lamp');
	assert.equal(readFileSync(await file.path(), 'utf8'), 'lamp = on\n');
});

test('a device is blocked on its gateway\'s page, and let in again', async () => {
	const blocked = 'section td:has-text("gw03"):has-text("blocked")';
	await visit(`/gateway/${gatewayId}?tab=enrolment`);
	await page.click('button[aria-label="Block: gw03"]');
	await page.waitForSelector('dialog[open]');
	await isGood(page, 'fleet-block');
	await page.click('dialog[open] button:text-is("Block")');
	await page.waitForSelector(blocked);
	await until(async () => (await api('GET', `${hub}/node/list?unit=${unitId}&nodeId=gw03`))[0].state.status === 'down');
	await page.click('button[aria-label="Let in again: gw03"]');
	await page.waitForSelector(blocked, { state: 'detached' });
	await until(async () => (await api('GET', `${hub}/node/list?unit=${unitId}&nodeId=gw03`))[0].state.status === 'up');
});

test('nothing was wrong on any page', () => finish());
