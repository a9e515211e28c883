// Profiles with the editor and its trial, messages as they pass, the simulator.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { becomes as until, finish, isGood, openPage, Platform, signIn, visit } from './platform.mjs';

let platform, page, token, unitId, networkId;
const hex = (s) => Buffer.from(s).toString('hex');
const sees = (p, text) => until(async () => (await p.textContent('main')).includes(text));
const looks = async (p, name) => {
	await isGood(p, name + '-light');
	await p.emulateMedia({ colorScheme: 'dark' });
	await isGood(p, name + '-dark');
	await p.emulateMedia({ colorScheme: 'light' });
	await p.setViewportSize({ width: 360, height: 740 });
	await isGood(p, name + '-phone');
	await p.setViewportSize({ width: 1280, height: 800 });
};
// Replaces what is in the editor, as somebody at the keyboard does.
async function write(p, text) {
	await p.click('.cm-content');
	await p.keyboard.press('Control+A');
	await p.keyboard.insertText(text);
}

before(async () => {
	platform = await Platform.start('--admin-password', 'a long password');
	token = await platform.token();
	page = await openPage(platform);
	await signIn(page, platform);
});
after(() => platform?.stop());

test('from nothing to live messages by one press', async () => {
	await visit(page, '/messages');
	await sees(page, 'Nothing has passed yet');
	await looks(page, 'messages-empty');
	await page.click('text=Start the simulator');
	await page.waitForSelector('.tree .leaf');
	unitId = (await platform.call('GET', '/coremgr/api/v1/unit/list', undefined, token))[0].unitId;
	await page.click('.leaf:has-text("uldata") >> nth=0');
	await page.waitForSelector('ol li pre');
	await page.selectOption('.view select', 'json');
	await until(async () => (await page.textContent('ol li pre')).includes('"networkAddr": "de0000'));
	await looks(page, 'messages');
	// what a device measures is on its page
	await visit(page, '/devices');
	await sees(page, 'Living room');
	await visit(page, '/messages');
	await page.click('text=Pause');
	await page.waitForSelector('.state:has-text("paused")');
	await page.click('text=Go on');
});

test('a message is published by hand, and is seen by another browser', async () => {
	const other = await openPage(platform);
	await signIn(other, platform, '/messages');
	await other.waitForSelector('.tree, .card');
	await visit(page, '/messages');
	await page.click('text=Publish');
	await page.fill('dialog input', 'marram/home/greeting');
	await page.fill('dialog textarea', 'hello there');
	await page.check('dialog input[type=checkbox]');
	await isGood(page, 'messages-publish');
	await page.click('dialog .main');
	await sees(other, 'hello there');
	await other.fill('.tools input[type=search]', 'greeting');
	await other.click('.leaf:has-text("greeting")');
	await sees(other, 'The last 1 of 1');
	// what is not of the unit is refused, and it is said what is
	await page.click('text=Publish');
	await page.fill('dialog input', 'house/lamp');
	await page.click('dialog .main');
	await page.waitForSelector('dialog .error:has-text("marram/home/")');
	await page.keyboard.press('Escape');
	// nothing that was there before is missed: it is retained
	await other.reload();
	await sees(other, 'hello there');
	await other.close();
});

test('stored messages are listed, narrowed to a device, and looked at', async () => {
	await visit(page, '/messages?tab=stored');
	await page.waitForSelector('tbody tr');
	await page.selectOption('.tools select >> nth=1', { label: 'Cellar' });
	await until(async () => { const all = await page.$$eval('tbody td a', (x) => x.map((a) => a.textContent)); return all.length && all.every((x) => x === 'Cellar'); });
	await page.click('tbody button >> nth=0');
	await page.waitForSelector('dialog pre');
	assert.match(await page.textContent('dialog pre'), /^01 67 /);
	await isGood(page, 'messages-stored-one');
	await page.keyboard.press('Escape');
	await looks(page, 'messages-stored');
});

test('a profile is made, its codec tried on a stored message, mended, and saved', async () => {
	networkId = (await platform.post('/coremgr/api/v1/network', { code: 'wells', unitId, hostUri: 'mqtt://localhost' }, token)).networkId;
	const deviceId = (await platform.post('/coremgr/api/v1/device', { unitId, networkId, networkAddr: 'well-1', name: 'Well', profile: 'well' }, token)).deviceId;
	await platform.post(`/coremgr/api/v1/network/${networkId}/uldata`, { deviceId, payload: '00e7' }, token);
	await until(async () => (await platform.call('GET', `/data/api/v1/network-uldata/count?unit=${unitId}&device=${deviceId}`, undefined, token)).count === 1);
	await visit(page, '/profiles');
	await sees(page, 'demo-climate');
	await looks(page, 'profiles');
	await page.click('text=Add a profile');
	await page.fill('dialog input[maxlength="128"]', 'well');
	await page.check('dialog [value=javascript]');
	await isGood(page, 'profile-add');
	await page.click('dialog .main');
	await page.waitForSelector('.cm-content');
	await until(async () => (await page.inputValue('.try select')) === 'stored');
	// an error names its line, which is marked
	await write(page, 'function decodeUplink(input) {\n  console.log("len", input.bytes.length);\n  return input.a.b;\n}');
	await page.click('.try .main');
	await page.waitForSelector('.try .error:has-text("line 3")');
	await page.waitForSelector('.cm-fault:has-text("input.a.b")');
	await sees(page, 'len 2');
	await write(page, 'function decodeUplink(input) {\n  return { data: { level: (input.bytes[0] << 8 | input.bytes[1]) / 100 }, warnings: ["old firmware"] };\n}\nfunction encodeDownlink(input) {\n  return { bytes: [input.data.pump ? 1 : 0], fPort: 7 };\n}');
	await page.click('.try .main');
	await sees(page, 'It was read.');
	await sees(page, 'old firmware');
	assert.match(await page.textContent('.fields'), /level.*2\.31/s);
	await page.click('[aria-label="Add level to the table"]');
	await page.fill('td [aria-label=Unit]', 'm');
	await page.click('.try .main');
	await until(async () => /2\.31 m/.test(await page.textContent('.fields')));
	await looks(page, 'profile');
	// the way down
	await page.click('[role=tab]:has-text("Downlink")');
	await page.fill('.try textarea', '{"pump": true}');
	await page.click('.try .main');
	await until(async () => /01/.test(await page.textContent('.facts')) && /7/.test(await page.textContent('.facts')));
	// nothing was saved until now
	const before = (await platform.call('GET', '/hub/api/v1/profile/list?unit=' + unitId, undefined, token)).find((p) => p.code === 'well');
	assert.ok(!before.script.includes('old firmware'));
	await page.click('button:text-is("Save")');
	await page.waitForSelector('.toast:has-text("was saved")');
	const saved = await platform.call('GET', '/hub/api/v1/profile/' + before.id, undefined, token);
	assert.deepEqual(saved.fields, { level: { metricType: 'gauge_float', unit: 'm' } });
	assert.ok(saved.script.includes('old firmware'));
	await page.click('.toast:has-text("was saved") >> text=Undo');
	await until(async () => !(await platform.call('GET', '/hub/api/v1/profile/' + before.id, undefined, token)).script.includes('old firmware'));
	await sees(page, 'Versions');
});

test('every codec of the platform reads its own example', async () => {
	await page.click('[role=tab]:has-text("Uplink")');
	for (const [codec, field] of [['json', 'humidity'], ['cayenne', 'temperature_1'], ['thin_edge_json', 'L2'], ['javascript', 'led']]) {
		await page.selectOption('#codec ~ .grid select', codec);
		if (codec === 'javascript') {
			await page.waitForSelector('.cm-content');
			await write(page, ' ');
			await page.selectOption('#codec ~ .grid select', 'none');
			await page.selectOption('#codec ~ .grid select', codec);
		}
		await page.click('text=Take the example');
		await page.click('.try .main');
		await until(async () => (await page.$('.fields')) && (await page.textContent('.fields')).includes(field));
		assert.equal(await page.$('.try .error'), null);
	}
	// what is typed wrongly is said before it is sent
	await page.fill('.try textarea', 'xyz');
	await page.click('.try .main');
	await sees(page, 'must be hexadecimal');
});

test('the editor is left by the keyboard, and is shared by everybody who looks', async () => {
	await page.focus('.cm-content');
	await page.keyboard.press('Tab');
	assert.ok(await page.$eval('.cm-content', (e) => e === document.activeElement));
	await page.keyboard.press('Escape');
	await page.keyboard.press('Tab');
	assert.ok(await page.$eval('.cm-content', (e) => e !== document.activeElement));
	// a change from elsewhere does not overwrite what is not saved
	const well = (await platform.call('GET', '/hub/api/v1/profile/list?unit=' + unitId, undefined, token)).find((p) => p.code === 'well');
	await platform.call('PATCH', '/hub/api/v1/profile/' + well.id, { name: 'Well (new)' }, token);
	await sees(page, 'changed elsewhere');
	await page.click('text=Show that, drop mine');
	await until(async () => (await page.textContent('h1')) === 'Well (new)');
});

test('the simulator is taken away, naming what goes', async () => {
	await platform.post('/hub/api/v1/simulator/stop', { unitId }, token);
	await visit(page, '/messages');
	await sees(page, 'greeting');
	await page.fill('.tools input', 'nobody/is/here');
	await page.click('text=Take it away');
	await page.waitForSelector('dialog li:has-text("Greenhouse")');
	await isGood(page, 'simulator-remove');
	await page.click('dialog .bad');
	await until(async () => (await platform.call('GET', '/coremgr/api/v1/network/list?unit=' + unitId, undefined, token)).every((n) => n.code !== 'simulator'));
	await finish({ meant: /403 .*topic\/publish/ });
});
