// Several units, and users of them: what is asked, hidden and said.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { becomes, finish, idle, isGood, openPage, Platform, signIn, until } from './platform.mjs';

const EVIL = '<img src=x onerror="document.title=\'EVIL\'">', HUB = '/hub/api/v1/', BROKER = '/broker/api/v1/';
let platform, page, token, unit, other, dashboard, device;
before(async () => {
	platform = await Platform.start('--admin-password', 'a long password');
	token = await platform.token();
	const post = (path, data) => platform.post(path, data, token);
	const { userId } = await post('/auth/api/v1/user', { account: 'reader', password: 'a long password' });
	unit = (await post(BROKER + 'unit', { code: 'first', name: EVIL })).unitId;
	other = (await post(BROKER + 'unit', { code: 'second', name: 'Second' })).unitId;
	await platform.call('PATCH', BROKER + 'unit/' + unit, { memberIds: [userId] }, token);
	const { networkId } = await post(BROKER + 'network', { unitId: unit, code: 'net', hostUri: 'mqtt://localhost', name: EVIL });
	device = (await post(BROKER + 'device', { unitId: unit, networkId, networkAddr: '01', name: EVIL.repeat(3), info: { note: EVIL } })).deviceId;
	dashboard = (await post(HUB + 'dashboard', { unitId: unit, title: EVIL, description: EVIL, widgets: [{ id: 'a', title: EVIL, showTitle: true, type: 'widget_text_panel', layout: { x: 0, y: 0, w: 50, h: 20 }, config: { text: `${EVIL} [here](javascript:document.title='EVIL') **${EVIL}**` } }] })).id;
	await post(HUB + 'task', { unitId: unit, id: 'rule', description: EVIL, evaluationType: 'rule', handlers: ['resource_handler'] });
	page = await openPage(platform);
	await signIn(page, platform);
	await page.selectOption('.pick select', unit);
});
after(() => platform.stop());

test('names are text, whatever is in them, and too long ones stay within the page', async () => {
	for (const path of ['/', '/devices', '/device/' + device, '/dashboards', '/dashboard/' + dashboard, '/rules', '/rule/task/rule', '/networks', '/routing', '/units', '/units/' + unit, '/audit', '/explore', '/messages']) {
		await page.goto(platform.url + path);
		await page.waitForSelector('main h1');
		await until(page, () => !document.querySelector('main')?.textContent.includes('Loading'));
		assert.equal(await page.locator('main img[src=x]').count(), 0, path);
		assert.equal(await page.locator('a[href^="javascript"]').count(), 0, path);
		assert.notEqual(await page.title(), 'EVIL', path);
		const [wide, view] = await page.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
		assert.ok(wide <= view, `${path} is ${wide} wide in ${view}`);
	}
});

test('another unit is not gone to over unsaved changes', async () => {
	await page.goto(platform.url + '/dashboard/' + dashboard);
	await page.click('button:text-is("Edit")');
	await page.fill('.bar input >> nth=0', 'Changed');
	await page.press('.bar input >> nth=0', 'Tab');
	await page.selectOption('.pick select', other);
	await page.click('dialog button:text-is("Go on editing")');
	assert.equal(await page.inputValue('.pick select'), unit);
	assert.equal(await page.inputValue('.bar input >> nth=0'), 'Changed');
	await page.selectOption('.pick select', other);
	await page.click('dialog button:text-is("Discard the changes")');
	await page.waitForURL(/\/dashboards$/); // what was open is of the unit before
	assert.equal(await page.inputValue('.pick select'), other);
	// a link to it leads into its unit
	await page.goto(platform.url + '/dashboard/' + dashboard);
	await page.waitForSelector('button:text-is("Edit")');
	assert.equal(await page.inputValue('.pick select'), unit);
});

test('nor over an unsaved place, from the settings', async () => {
	await page.goto(platform.url + '/settings');
	await page.fill('label:has-text("Time zone") input', 'Europe/Vienna');
	const pick = 'section[aria-labelledby=b] label:has-text("Unit") select', was = await page.inputValue(pick), to = was === unit ? other : unit;
	await page.selectOption(pick, to);
	await page.click('dialog button:text-is("Go on editing")');
	assert.equal(await page.inputValue(pick), was);
	assert.equal(await page.inputValue('label:has-text("Time zone") input'), 'Europe/Vienna');
	await page.selectOption(pick, to);
	await page.click('dialog button:text-is("Discard the changes")');
	await until(page, (u) => document.querySelector('.pick select').value === u, to);
	await until(page, () => document.querySelector('main input[list]')?.value === '');
	await page.selectOption(pick, unit);
});

test('a rule that is changed and not saved is not lost by a click', async () => {
	await page.goto(platform.url + '/rule/task/rule');
	await page.fill('label:has-text("It is called") input', 'Other');
	await page.click('nav >> text=Devices');
	await page.waitForSelector('dialog[open]:has-text("unsaved")');
	await page.click('dialog button:text-is("Discard the changes")');
	await page.waitForURL(/\/devices$/);
});

test('a refusal says what to do, also where the server gives a code alone', async () => {
	await page.goto(platform.url + '/units');
	await page.click('main button.main');
	await page.fill('dialog[open] input >> nth=0', 'second');
	await page.click('dialog[open] button.main');
	await page.waitForSelector('dialog[open] .error:has-text("choose another")');
	await becomes(() => page.faults.length);
	assert.match(page.faults.splice(0).join(), /^[^,]*400[^,]*$/); // Chromium says it too
});

test('who may only read is not offered what would be refused', async () => {
	const p = await openPage(platform);
	await signIn(p, platform, '/dashboard/' + dashboard, 'reader');
	await p.waitForSelector('button:text-is("Versions")');
	assert.equal(await p.locator('button:text-is("Edit")').count(), 0);
	await p.goto(platform.url + '/dashboards');
	await p.waitForSelector('main td');
	assert.equal(await p.locator('main button:text-is("Remove"), main button:text-is("Copy"), main button.star:enabled').count(), 0);
	await isGood(p, 'dashboards-reader');
	// every button of these pages that changes something, in a list that is not empty
	const { networkId } = await platform.post(BROKER + 'network', { unitId: unit, code: 'heard', hostUri: 'mqtt://localhost' }, token), password = 'net password';
	await platform.call('PATCH', '/coremgr/api/v1/network/' + networkId, { password }, token);
	const gateway = (await platform.post(HUB + 'gateway', { unitId: unit, code: 'gw', enabled: false, provider: { type: 'tasmota', protocol: { type: 'mqtt' } } }, token)).id;
	const profile = (await platform.post(HUB + 'profile', { unitId: unit, code: 'probe', codec: 'json' }, token)).id;
	await platform.post('/coremgr/api/v1/application', { unitId: unit, code: 'app', hostUri: 'mqtt://localhost' }, token);
	platform.paste(`mosquitto_pub -h localhost -p ${platform.mqtt} -u network.first.heard -P '${password}' -q 1 -t broker.network.first.heard.uldata -m '${JSON.stringify({ time: new Date().toISOString(), networkAddr: '02', data: '00' })}'`);
	const CHANGES = ['Add', 'Edit', 'Delete', 'Remove', 'Set', 'Claim', 'Forget', 'Route', 'Enable', 'Disable', 'Save', 'New password', 'Add route', 'End', 'Send', 'Restore', 'Claim as', 'All'], found = async (q) => [...new Set(await q.$$eval('main button', (all, words) => all.filter((b) => !b.disabled && b.getAttribute('aria-disabled') !== 'true' && (b.matches('.main') || words.some((w) => b.textContent.trim() === w || b.textContent.trim().startsWith(w + ' ')))).map((b) => b.textContent.trim()), CHANGES))];
	const pages = ['/devices', '/device/' + device, `/device/${device}?tab=configuration`, `/device/${device}?tab=downlink`, `/device/${device}?tab=versions`, '/networks', '/network/' + networkId, `/network/${networkId}?tab=queues`, `/network/${networkId}?tab=routes`, '/gateways', '/gateway/' + gateway, '/profiles', '/profile/' + profile, '/inbox', '/applications', '/routing'];
	for (const path of pages) {
		const there = {};
		for (const [who, q] of [['admin', page], ['reader', p]]) {
			await q.goto(platform.url + path);
			await q.waitForSelector('main h1');
			await until(q, () => !document.querySelector('main')?.textContent.includes('Loading'));
			await idle(q);
			there[who] = who === 'admin' ? await becomes(async () => { const all = await found(q); return all.length && all; }) : await found(q);
		}
		assert.deepEqual(there.reader, [], path);
		assert.equal(await p.locator('main td.tick').count(), 0, path);
	}
	await isGood(p, 'routing-reader');
	await p.setViewportSize({ width: 360, height: 740 });
	await p.goto(platform.url + '/devices');
	await p.waitForSelector('main td');
	await isGood(p, 'devices-reader-phone');
});

test('no page had an error or asked another host', finish);
