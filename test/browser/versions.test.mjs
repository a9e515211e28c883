// What an object was, and back again; what was changed is taken back.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { finish, isGood, openPage, Platform, signIn, until, visit } from './platform.mjs';

let platform, page, token, unit, profile;
const row = (n) => `section[aria-label="Versions"] li:has(.no:text-is("${n}"))`;
const api = '/hub/api/v1/profile/';

before(async () => {
	platform = await Platform.start('--admin-password', 'a long password');
	token = await platform.token();
	unit = (await platform.post('/broker/api/v1/unit', { code: 'home', name: 'Home' }, token)).unitId;
	profile = (await platform.post('/hub/api/v1/profile', { unitId: unit, code: 'probe', name: 'Probe' }, token)).id;
	page = await openPage(platform);
	await signIn(page, platform, '/profile/' + profile);
});
after(async () => { await platform?.stop(); });

test('a change elsewhere is there by itself, with who and what', async () => {
	await page.click('[role=tab]:text-is("Versions")');
	await page.waitForSelector(row(1));
	await platform.call('PATCH', api + profile, { name: 'Sensor', script: 'x', fields: { t: { unit: '°C' } } }, token);
	await page.waitForSelector(row(2) + ' :text("admin")');
	await page.click(row(2) + ' .what');
	await page.waitForSelector(row(2) + ' tr:has(th:text-is("name")) del:text-is("Probe")');
	await page.waitForSelector(row(2) + ' tr:has(th:text-is("name")) ins:text-is("Sensor")');
	await page.waitForSelector(row(2) + ' tr:has(th:text-is("fields.t"))');
	await isGood(page, 'versions');
});

test('two versions are compared', async () => {
	await platform.call('PATCH', api + profile, { name: 'Third' }, token);
	await page.waitForSelector(row(3));
	await page.click(row(3) + ' .what');
	await page.waitForSelector(row(3) + ' del:text-is("Sensor")');
	await page.selectOption(row(3) + ' select', { index: 2 });
	await page.waitForSelector(row(3) + ' del:text-is("Probe")');
});

test('a restore says what it changes, and can be undone', async () => {
	await page.click(row(1) + ' button:text-is("Restore")');
	await page.waitForSelector('dialog[open] li:has-text("name: Third → Probe")');
	await isGood(page, 'versions-restore');
	await page.click('dialog[open] button:text-is("Restore")');
	await page.waitForSelector(row(4) + ':has-text("Restored")');
	await page.waitForSelector('h1:text-is("Probe")');
	await page.click('.toast button:text-is("Undo")');
	await page.waitForSelector('.toast:has-text("It is undone")'); // for some seconds
	await page.waitForSelector(row(5));
	await page.waitForSelector('h1:text-is("Third")');
});

test('what was saved and deleted here is taken back', async () => {
	await page.click('[role=tab]:text-is("Codec")');
	await page.fill('label:has-text("Name") input', 'Mine');
	await page.click('button:text-is("Save")');
	await page.waitForSelector('h1:text-is("Mine")');
	await page.click('.toast:has-text("Mine") button:text-is("Undo")');
	await page.waitForSelector('h1:text-is("Third")');
	await page.click('main button:text-is("Delete")');
	await page.click('dialog[open] button.bad');
	await page.waitForSelector('h1:text-is("Profiles")');
	await page.click('.toast:has-text("Third") button:text-is("Undo")');
	await page.waitForSelector('h1:text-is("Third")');
	assert.equal((await platform.call('GET', api + profile, undefined, token)).id, profile);
});

test('a change that somebody else has changed since is not undone', async () => {
	await page.fill('label:has-text("Name") input', 'Fourth');
	await page.click('button:text-is("Save")');
	await page.waitForSelector('h1:text-is("Fourth")');
	await platform.call('PATCH', api + profile, { name: 'Fifth' }, token);
	await page.click('.toast:has-text("Fourth") button:text-is("Undo")');
	await page.waitForSelector('.toast.bad:has-text("it has been changed since")');
	assert.equal((await platform.call('GET', api + profile, undefined, token)).name, 'Fifth');
});

test('a unit comes back with all that went with it', async () => {
	const network = (await platform.post('/broker/api/v1/network', { code: 'net', unitId: unit, hostUri: 'mqtt://localhost' }, token)).networkId;
	const device = (await platform.post('/broker/api/v1/device', { unitId: unit, networkId: network, networkAddr: '0a' }, token)).deviceId;
	await visit(page, '/units/' + unit);
	await page.waitForSelector(row(1));
	await isGood(page, 'versions-unit');
	await page.click('main button:text-is("Delete")');
	await page.click('dialog[open] button.bad');
	await page.waitForSelector('.toast:has-text("home") button:text-is("Undo")');
	await page.waitForSelector('.toast:has-text("It is undone")', { state: 'detached' }); // of the test before
	await page.click('.toast:has-text("home") button:text-is("Undo")');
	await page.waitForSelector('.toast:has-text("It is undone")');
	assert.equal((await platform.call('GET', '/broker/api/v1/device/' + device, undefined, token)).networkId, network);
	await page.waitForSelector('a:text-is("home")');
});

test('a setting has versions, of no unit', async () => {
	await platform.call('PATCH', '/hub/api/v1/setting/hub.traceMax', { value: '500' }, token);
	await visit(page, '/settings');
	await page.click('[data-setting="hub.traceMax"] button[aria-label*="hub.traceMax"]:last-child');
	await page.click('dialog[open] summary');
	await page.click(row(1) + ' button:text-is("Restore")');
	await page.click('dialog[open] button.main:text-is("Restore")');
	await until(page, () => document.querySelector('.toasts')?.textContent.includes('Version 1 is restored'));
	assert.notEqual((await platform.call('GET', '/hub/api/v1/setting/hub.traceMax', undefined, token)).source, 'runtime');
});

test('on a phone, in the dark, in German', async () => {
	const phone = await openPage(platform, { viewport: { width: 360, height: 740 }, locale: 'de-DE', colorScheme: 'dark' });
	await signIn(phone, platform, '/units/' + unit);
	const first = 'section[aria-label="Versionen"] li:has(.no:text-is("1"))';
	await phone.click(first + ' .what');
	await phone.waitForSelector(first + ' ins:text-is("Home")');
	await isGood(phone, 'versions-phone');
});

test('no fault, no other host', () => finish({ meant: /409 .*\/undo/ }));
