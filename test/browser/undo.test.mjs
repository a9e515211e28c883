// Each kind of change offers a way back, and that takes back all of it: of one
// call that did much, and of many calls that are one to who makes them.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { becomes as until, clear, finish, isGood, openPage, Platform, signIn, visit as go } from './platform.mjs';

const BROKER = '/broker/api/v1/', HUB = '/hub/api/v1/', PASSWORD = 'net password';
let platform, page, token, unit, nets, app, devices;
const call = (method, path, data) => platform.call(method, path, data, token);
const all = (of, more = '') => call('GET', `${of}/list?unit=${unit}&limit=0${more}`);
const hex = (o) => Buffer.from(typeof o === 'string' ? o : JSON.stringify(o)).toString('hex');
const hear = (addr, data) => platform.paste(`mosquitto_pub -h localhost -p ${platform.mqtt} -u network.home.hall -P '${PASSWORD}' -q 1 -t broker.network.home.hall.uldata -m '${JSON.stringify({ time: new Date().toISOString(), networkAddr: addr, data })}'`);
const visit = (path) => go(page, path);
// Takes back what this toast is about, and waits until it says so.
async function undo(text) {
	await page.click(`.toast:has-text("${text}") button:text-is("Undo")`);
	await page.waitForSelector('.toast:has-text("It is undone")');
	await clear(page);
}
const names = async () => (await all(BROKER + 'device')).map((d) => d.networkAddr).sort();
const routes = async () => (await all(BROKER + 'device-route')).map((r) => r.networkAddr).sort();

before(async () => {
	platform = await Platform.start('--admin-password', 'a long password');
	token = await platform.token();
	const post = (path, data) => platform.post(path, data, token);
	unit = (await post(BROKER + 'unit', { code: 'home', name: 'Home' })).unitId;
	nets = [];
	for (const code of ['hall', 'yard']) nets.push((await post(BROKER + 'network', { unitId: unit, code, hostUri: 'mqtt://localhost' })).networkId);
	await call('PATCH', '/coremgr/api/v1/network/' + nets[0], { password: PASSWORD });
	app = (await post(BROKER + 'application', { unitId: unit, code: 'log', name: 'Log', hostUri: 'mqtt://localhost' })).applicationId;
	await post(HUB + 'profile', { unitId: unit, code: 'probe', codec: 'json' });
	devices = {};
	for (const [i, addr] of [[0, '01'], [0, '02'], [1, '03']]) devices[addr] = (await post(BROKER + 'device', { unitId: unit, networkId: nets[i], networkAddr: addr, name: 'Lamp ' + addr })).deviceId;
	page = await openPage(platform);
	await signIn(page, platform, '/devices');
});
after(() => platform?.stop());

test('many devices of two networks: routed, ended, given a profile, deleted', async () => {
	const choose = async (what) => { await page.check('[aria-label="Select all"]'); await page.click('.many >> text=' + what); };
	await choose('Route');
	await isGood(page, 'devices-route');
	await page.click('dialog button:text-is("Route")');
	await page.waitForSelector('.toast:has-text("3 routed")');
	assert.deepEqual(await routes(), ['01', '02', '03']);
	await undo('3 routed');
	assert.deepEqual(await routes(), []);

	await choose('Route');
	await page.click('dialog button:text-is("Route")');
	await page.waitForSelector('.toast:has-text("3 routed")');
	await choose('Route');
	await page.click('dialog button:text-is("End the route")');
	await page.waitForSelector('.toast:has-text("Routes of 3 ended")');
	assert.deepEqual(await routes(), []);
	await undo('Routes of 3 ended');
	assert.deepEqual(await routes(), ['01', '02', '03']);

	await choose('Set profile');
	await page.selectOption('dialog select', 'probe');
	await page.click('dialog button:text-is("Save")');
	await page.waitForSelector('tr:has-text("Lamp 03"):has-text("probe")');
	await undo('3 changed');
	assert.deepEqual((await all(BROKER + 'device')).map((d) => d.profile), ['', '', '']);

	await choose('Delete');
	await page.click('dialog[open] button.bad');
	await page.waitForSelector('.toast:has-text("3 deleted")');
	assert.deepEqual(await names(), []);
	await undo('3 deleted');
	await page.waitForSelector('td:has-text("Lamp 03")');
	assert.deepEqual((await all(BROKER + 'device')).map((d) => d.deviceId).sort(), Object.values(devices).sort());
	assert.deepEqual(await routes(), ['01', '02', '03']);
});

test('a list that is pasted, a range, and a single one', async () => {
	const add = async (what) => { await page.click('[aria-label="Add devices"]'); await page.click('.menu >> text=' + what); };
	await add('Paste a list');
	await page.selectOption('dialog[open] select >> nth=0', { label: 'yard' });
	await page.fill('dialog textarea', '11\n12\n13,Door\n14,Gate,probe');
	await page.click('dialog button:text-is("Add 4")');
	await page.waitForSelector('.toast:has-text("4 added")');
	assert.equal((await names()).length, 7);
	await undo('4 added');
	assert.deepEqual(await names(), ['01', '02', '03']);

	await add('A range of addresses');
	await page.selectOption('dialog[open] select >> nth=0', { label: 'yard' });
	await page.fill('dialog[open] [id$=startAddr]', '20');
	await page.fill('dialog[open] [id$=endAddr]', '2f');
	await page.click('dialog[open] button.main');
	await page.waitForSelector('.toast:has-text("The range was added")');
	assert.equal((await names()).length, 19);
	await undo('The range was added');
	assert.deepEqual(await names(), ['01', '02', '03']);

	await add('One device');
	await page.selectOption('dialog[open] select >> nth=0', { label: 'yard' });
	await page.fill('dialog[open] [id$=networkAddr]', '30');
	await page.click('dialog[open] button.main');
	await page.waitForSelector('.toast:has-text("1 added")');
	await undo('1 added');
	assert.deepEqual(await names(), ['01', '02', '03']);
});

test('many that are claimed, with the profiles that were made for them', async () => {
	hear('a1', hex({ t: 1 }));
	hear('a2', hex({ t: 2 }));
	hear('a3', '0167011001670110');
	await until(async () => (await all(HUB + 'inbox')).length === 3);
	const profiles = (await all(HUB + 'profile')).length;
	await visit('/inbox');
	await page.waitForSelector('td:has-text("a3")');
	await page.check('[aria-label="Select all"]');
	await page.click('text=Claim 3');
	await page.waitForSelector('.toast:has-text("3 claimed")');
	assert.equal((await names()).length, 6);
	assert.ok((await all(HUB + 'profile')).length > profiles);
	await undo('3 claimed');
	assert.deepEqual(await names(), ['01', '02', '03']);
	assert.equal((await all(HUB + 'profile')).length, profiles);
	// a device that nobody has is heard anew
	hear('a1', hex({ t: 3 }));
	await page.waitForSelector('td:has-text("a1")');
	await page.click('[aria-label="Claim: a1"]');
	await page.waitForSelector('.toast:has-text("1 claimed")');
	await undo('1 claimed');
	assert.deepEqual(await names(), ['01', '02', '03']);
});

test('when one of many calls fails, those before it can be taken back', async () => {
	await visit('/devices');
	await page.route('**/device/' + devices['03'], (r) => (r.request().method() === 'PATCH' ? r.abort() : r.continue()));
	await page.check('[aria-label="Select all"]');
	await page.click('.many >> text=Set profile');
	await page.selectOption('dialog select', 'probe');
	await page.click('dialog button:text-is("Save")');
	await page.waitForSelector('.toast.bad:has-text("does not answer")');
	await page.unroute('**/device/' + devices['03']);
	await page.click('dialog[open] button:text-is("Cancel")');
	assert.equal((await all(BROKER + 'device', '&profile=probe')).length, 2);
	await page.evaluate(() => document.querySelector('.toast.bad [aria-label="Dismiss"]')?.click()); // unless it has gone
	await undo('Only a part of it was done');
	assert.equal((await all(BROKER + 'device', '&profile=probe')).length, 0);
});

test('what somebody has changed since stays, and is named', async () => {
	const before = await routes();
	await page.check('[aria-label="Select all"]');
	await page.click('.many >> text=Set profile');
	await page.selectOption('dialog select', 'probe');
	await page.click('dialog button:text-is("Save")');
	await page.waitForSelector('.toast:has-text("3 changed")');
	await call('PATCH', BROKER + 'device/' + devices['02'], { name: 'Mine' });
	await page.click('.toast:has-text("3 changed") button:text-is("Undo")');
	await page.waitForSelector('.toast.bad:has-text("it has been changed since")');
	await until(async () => (await all(BROKER + 'device', '&profile=probe')).length === 1);
	assert.equal((await call('GET', BROKER + 'device/' + devices['02'])).name, 'Mine');
	assert.deepEqual(await routes(), before);
	await clear(page);
	page.faults.splice(0).forEach((f) => assert.match(f, /409|ERR_FAILED/)); // Chromium says it too
});

test('a device: its facts, its labels, a field, a route that is made and ended', async () => {
	const id = devices['01'], at = BROKER + 'device/' + id;
	await call('PATCH', at, { profile: 'probe' });
	await call('POST', `/coremgr/api/v1/network/${nets[0]}/uldata`, { deviceId: id, payload: hex({ t: 1 }) });
	const field = await until(async () => (await all(HUB + 'field'))[0]);
	await visit(`/device/${id}?tab=configuration`);
	await page.click('section[aria-labelledby=cd] button:text-is("Edit")');
	await page.fill('dialog[open] label:has-text("Name") input >> nth=0', 'Renamed');
	await page.click('dialog[open] button.main');
	await page.waitForSelector('h1:text-is("Renamed")');
	await undo('was saved');
	await page.waitForSelector('h1:text-is("Lamp 01")');

	await page.click('[aria-label="Edit: Labels"]');
	await page.fill('dialog[open] textarea', '{"room":"hall"}');
	await page.click('dialog[open] button.main');
	await page.waitForSelector('dt:text-is("room")');
	await undo('was saved');
	await page.waitForSelector('dt:text-is("room")', { state: 'detached' });

	await page.click('[aria-label="Edit: t"]');
	await page.fill('dialog[open] label:has-text("Name") input >> nth=0', 'Heat');
	await page.click('dialog[open] button.main');
	await page.waitForSelector('td:has-text("Heat")');
	await undo('was saved');
	await page.waitForSelector('td:text-is("t")');
	assert.equal((await call('GET', HUB + 'field/' + field.id)).name, field.name);

	const own = async () => (await all(BROKER + 'device-route', '&device=' + id)).length;
	await page.click('[aria-label="Remove: log"], [aria-label="Delete: log"]');
	await page.waitForSelector('.toast:has-text("Lamp 01 no longer goes to log")');
	assert.equal(await own(), 0);
	await page.selectOption('#to', { label: 'Log' });
	await page.click('form:has(#to) button');
	await page.waitForSelector('.toast:has-text("Lamp 01 now goes to Log")');
	assert.equal(await own(), 1);
	await undo('now goes to');
	assert.equal(await own(), 0);
	await page.waitForSelector('#to');
});

test('the routing matrix: a cell, and a whole column', async () => {
	const whole = async () => (await all(BROKER + 'network-route')).length;
	await visit('/routing');
	await page.click('[data-cell="0 0"]');
	await page.waitForSelector('.toast:has-text("now goes to Log")');
	assert.equal(await whole(), 1);
	await undo('now goes to Log');
	assert.equal(await whole(), 0);
	await page.waitForSelector('[data-cell="0 0"][aria-pressed=false]'); // the page knows it, too
	await page.click('thead button.whole');
	await page.waitForSelector('.toast:has-text("2 routes changed")');
	assert.equal(await whole(), 2);
	await undo('2 routes changed');
	assert.equal(await whole(), 0);
	await page.waitForSelector('[data-cell="0 0"][aria-pressed=false]');
});

test('settings that were saved together come back together', async () => {
	const value = async (id) => (await call('GET', HUB + 'setting/' + id)).source;
	await visit('/settings');
	await page.fill('label:has-text("Latitude") input', '48.2');
	await page.fill('label:has-text("Longitude") input', '16.4');
	await page.fill('label:has-text("Time zone") input', 'Europe/Vienna');
	await page.click('section[aria-labelledby=p] button.main');
	await page.waitForSelector('.toast:has-text("hub.latitude, hub.longitude, hub.timeZone")');
	assert.equal(await value('hub.timeZone'), 'runtime');
	await undo('hub.latitude');
	for (const id of ['hub.latitude', 'hub.longitude', 'hub.timeZone']) assert.notEqual(await value(id), 'runtime', id);
	await until(() => page.inputValue('label:has-text("Time zone") input').then((v) => v === ''));
});

test('dashboards, networks, units and views that were made or changed', async () => {
	await visit('/dashboards');
	await page.click('button:text-is("New dashboard")');
	await page.fill('dialog [required]', 'House');
	await page.click('dialog button:text-is("Make it")');
	await page.waitForURL(/\/dashboard\//);
	await visit('/dashboards');
	await page.click('button.star');
	await page.waitForSelector('.toast:has-text("House is a favourite")');
	await undo('House is a favourite');
	assert.equal((await all(HUB + 'dashboard'))[0].favorite, false);
	await visit('/network/' + nets[1]);
	await page.click('main button:text-is("Edit")');
	await page.fill('dialog[open] input >> nth=0', 'Yard');
	await page.click('dialog[open] button.main');
	await page.waitForSelector('h1:text-is("Yard")');
	await undo('yard was saved');
	await page.waitForSelector('h1:text-is("yard")');
	await visit('/networks');
	await page.click('main button.main');
	await page.fill('dialog[open] input >> nth=0', 'attic');
	await page.click('dialog[open] button.main');
	await page.click('dialog[open] >> text=Open it');
	await page.waitForSelector('h1:text-is("attic")');
	await undo('added');
	assert.equal((await all(BROKER + 'network')).length, 2);
	await visit('/units/' + unit);
	await page.click('main button:text-is("Edit")');
	await page.fill('dialog[open] input >> nth=0', 'House');
	await page.click('dialog[open] button.main');
	await page.waitForSelector('h1:text-is("House")');
	await undo('home was saved');
	await page.waitForSelector('h1:text-is("Home")');
	await visit('/devices?search=lamp');
	await page.click('text=Save view');
	await page.fill('dialog[open] input', 'Lamps');
	await page.click('dialog[open] button.main');
	await undo('The view Lamps was saved');
	await page.waitForSelector('label:has-text("View") select', { state: 'detached' });
});

test('in German, on a phone', async () => {
	const phone = await openPage(platform, { viewport: { width: 360, height: 740 }, locale: 'de-DE', colorScheme: 'dark' });
	await signIn(phone, platform, '/devices');
	await phone.waitForSelector('td.tick input >> nth=2');
	for (const tick of await phone.$$('td.tick input')) await tick.check();
	await phone.click('.many >> text=Verbinden');
	await isGood(phone, 'devices-route-phone');
	await phone.click('dialog button:text-is("Route beenden")');
	await phone.waitForSelector('.toast:has-text("Routen von 3 beendet")');
	await isGood(phone, 'devices-undo-phone');
	await phone.click('.toast button:text-is("Rückgängig")');
	await phone.waitForSelector('.toast:has-text("Rückgängig gemacht")');
	await phone.context().close();
});

// The page of a network that is undone asks once more, if it is still there by then.
test('no fault, no other host', () => finish({ meant: /404 .*\/coremgr\/api\/v1\/network\// }));
