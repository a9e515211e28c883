// Networks, gateways, applications, and the routes between them.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { becomes as until, finish, isGood, openPage, Platform, signIn, visit } from './platform.mjs';

let platform, page, token, unitId;
const api = (method, path, data) => platform.call(method, path, data, token);
const post = (path, data) => platform.post(path, data, token);
const broker = '/broker/api/v1', hub = '/hub/api/v1', coremgr = '/coremgr/api/v1';
const seen = (text, p = page) => p.waitForSelector(`text=${text}`);
const tab = (name, p = page) => p.click(`[role=tab]:text-is("${name}")`);
// The pictures and the checks of each page, in light and dark, wide and narrow.
async function pictures(path, name, ready) {
	for (const [theme, viewport] of [['light', { width: 1280, height: 800 }], ['dark', { width: 360, height: 740 }]]) {
		const p = await openPage(platform, { viewport, colorScheme: theme });
		await signIn(p, platform, path);
		await p.waitForSelector(ready);
		await isGood(p, `${name}-${theme}-${viewport.width === 360 ? 'phone' : 'desktop'}`);
		await p.context().close();
	}
}

before(async () => {
	platform = await Platform.start('--admin-password', 'a long password');
	token = await platform.token();
	unitId = (await post(coremgr + '/unit', { code: 'farm', name: 'Farm' })).unitId;
	page = await openPage(platform);
	await signIn(page, platform);
});
after(() => platform?.stop());

test('a network is added, its password shown once, and its line works', async () => {
	await visit(page, '/networks');
	await seen('marram network add');
	await isGood(page, 'networks-empty-light');
	await page.click('button:text-is("Add a network")');
	await page.fill('dialog input[type=text] >> nth=0', 'wells');
	await page.click('dialog button:text-is("Add")');
	await page.click('text=Open it');
	await page.waitForSelector('h1:text-is("wells")');
	await page.click('button:text-is("New password")');
	await page.click('dialog button:text-is("New password")');
	await seen('Ready to be pasted');
	const line = await page.textContent('.copy code');
	assert.match(line, /^mosquitto_pub .* -t broker\.network\.farm\.wells\.uldata /);
	platform.paste(line);
	await seen('nobody connected');
	await page.waitForSelector('dt:text-is("Received") + dd:has-text("1")');
	await until(async () => (await api('GET', `${hub}/inbox/list?unit=${unitId}`)).length === 1);
});

test('the test of its connection shows each stage, good and bad', async () => {
	await tab('Test');
	await page.click('button:text-is("Test the connection")');
	await seen('It gets through.');
	await seen('A message went and came back');
	await isGood(page, 'network-test-light');
	await page.fill('input[type=password]', 'wrong');
	await page.click('button:text-is("Test the connection")');
	await seen('It does not get through.');
	await seen('Are user name and password right?');
	await isGood(page, 'network-test-failed-light');
});

test('queues: what waits is seen while it changes, and limits are set', async () => {
	const { applicationId } = await post(coremgr + '/application', { code: 'erp', name: 'ERP', unitId, hostUri: 'mqtt://localhost' });
	const [{ networkId }] = await api('GET', `${broker}/network/list?unit=${unitId}`);
	const { deviceId } = await post(coremgr + '/device', { unitId, networkId, networkAddr: 'well-1', name: 'North well' });
	await post(coremgr + '/device', { unitId, networkId, networkAddr: 'well-2', name: 'South well' });
	await post(coremgr + '/network-route', { networkId, applicationId });
	await visit(page, '/applications');
	await page.click('a:text-is("ERP")');
	await tab('Queues');
	await page.waitForSelector('tr:has-text("what devices send") >> text="0"');
	await post(`${coremgr}/network/${networkId}/uldata`, { deviceId, payload: '00' });
	await page.waitForSelector('tr:has-text("what devices send") td:nth-child(2):has-text("1")');
	await page.fill('input[type=number] >> nth=1', '7');
	await page.click('button:text-is("Save")');
	await until(async () => (await api('GET', `${coremgr}/application/${applicationId}`)).length === 7);
	await isGood(page, 'application-queues-light');
});

test('an application sends to a device, and sees what is on its way', async () => {
	await tab('Send');
	await page.fill('input[list]', 'North');
	const option = await page.waitForSelector('datalist option[value*="North well"]', { state: 'attached' });
	await page.fill('input[list]', await option.getAttribute('value'));
	await page.fill('textarea', 'on');
	await page.click('form button:text-is("Send")');
	await seen('Sent to North well');
	await until(async () => (await api('GET', `${broker}/dldata-buffer/count?unit=${unitId}`)).count === 1); // it is on its way
	await isGood(page, 'application-send-light');
	await tab('On the way');
	await page.waitForSelector('td:has-text("well-1")');
	await page.click('button:text-is("Drop")');
	await seen('Nothing is on the way');
});

test('routing: cells say what is, keys move, a click changes, undo takes it back', async () => {
	await post(coremgr + '/application', { code: 'map', name: 'Map', unitId, hostUri: 'mqtt://localhost' });
	await post(coremgr + '/network', { code: 'barn', name: 'Barn', unitId, hostUri: 'mqtt://localhost' });
	await visit(page, '/routing');
	await page.waitForSelector('[aria-label="wells → ERP: routed"]');
	await page.click('[aria-label="Devices: wells"]');
	await page.waitForSelector('[aria-label="North well → ERP: routed by its network"][aria-disabled=false]');
	await page.focus('[aria-label="wells → ERP: routed"]');
	await page.keyboard.press('ArrowDown');
	await page.keyboard.press('ArrowRight');
	await page.keyboard.press('Enter');
	await page.waitForSelector('[aria-label="North well → Map: has a route of its own"][aria-pressed=true]');
	await page.waitForSelector('[aria-label="wells → Map: 1 of its devices routed"]');
	await page.click('.toast:has-text("North well now goes to Map") >> text=Undo');
	await page.waitForSelector('[aria-label="North well → Map: not routed"]');
	await page.press('[aria-label="North well → Map: not routed"][aria-disabled=false]', 'Enter');
	await page.waitForSelector('[aria-label="North well → Map: has a route of its own"]');
	await page.waitForSelector('[aria-label="wells → Map: 1 of its devices routed"]');
	await isGood(page, 'routing-light');
	await page.press('[aria-label="North well → Map: has a route of its own"][aria-disabled=false]', 'Enter');
	await page.waitForSelector('[aria-label="North well → Map: not routed"]');
	await page.click('[aria-label="All networks to: Map"]');
	await page.waitForSelector('[aria-label="Barn → Map: routed"]');
	await until(async () => (await api('GET', `${broker}/network-route/list?unit=${unitId}`)).length === 3);
	await pictures('/routing', 'routing', 'text=Barn');
});

test('a gateway: its connection is tried before it is added; the list sees it live', async () => {
	await visit(page, '/gateways');
	await seen('marram gateway add');
	await page.click('button:text-is("Add a gateway")');
	await page.selectOption('dialog select >> nth=0', 'genericMqtt');
	await page.fill('dialog label:has-text("Code") input', 'attic');
	await page.fill('dialog label:has-text("MQTT server") input', 'tcp://localhost:1');
	await page.click('button:text-is("Test this connection")');
	await seen('It does not get through.');
	await isGood(page, 'gateway-add-light');
	await page.fill('dialog label:has-text("MQTT server") input', `tcp://localhost:${platform.mqtt}`);
	await page.click('dialog button:text-is("Add")');
	await page.waitForSelector('h1:text-is("attic")');
	await seen('not authorized');
	await isGood(page, 'gateway-down-light');
	const other = await openPage(platform);
	await signIn(other, platform, '/networks');
	await other.waitForSelector('tr:has-text("attic") >> text=not connected');
	await page.click('button:text-is("Disable")');
	await other.waitForSelector('tr:has-text("attic") >> text=Disabled');
	await other.context().close();
});

test('a gateway on our own server shows the console line of its devices', async () => {
	const { id } = await post(hub + '/gateway', { unitId, code: 'lamps', description: 'Lamps', provider: { type: 'tasmota', protocol: { type: 'mqtt' } } });
	await visit(page, '/gateway/' + id);
	await page.waitForSelector('h1:text-is("Lamps")');
	await page.waitForSelector('.status:text-is("connected")'); // and not "not connected"
	await page.click('button:text-is("Look for devices")');
	await seen('Look for devices: done.');
	await tab('Topics');
	await page.click('button:text-is("New password")');
	await page.click('dialog button:text-is("New password")');
	await page.waitForSelector('.copy code:has-text("FullTopic marram/farm/gateway/lamps/%prefix%/%topic%/")');
	await isGood(page, 'gateway-topics-light');
	for (const name of ['Messages', 'Sleeping', 'Devices', 'Routes']) {
		await tab(name);
		await page.waitForSelector('main .copy, main h2');
	}
	await tab('Test');
	await page.click('button:text-is("Test the connection")');
	await seen('It gets through.');
	await page.click('button:text-is("Edit")');
	await page.fill('dialog label:has-text("Description") input', 'Lamps at home');
	await page.click('dialog button:text-is("Save")');
	await page.waitForSelector('h1:text-is("Lamps at home")');
	assert.deepEqual((await api('GET', `${hub}/gateway/${id}`)).provider.type, 'tasmota');
	await page.click('button:text-is("Delete")');
	await seen('its queues, with what waits in them');
	await page.click('dialog button:text-is("Delete")');
	await seen('Lamps at home was deleted.');
	assert.equal((await api('GET', `${hub}/gateway/list?unit=${unitId}`)).length, 1);
});

test('each page, light and dark, wide and narrow', async () => {
	const { networkId } = (await api('GET', `${broker}/network/list?unit=${unitId}`)).find((n) => n.code === 'wells');
	const [{ id }] = await api('GET', `${hub}/gateway/list?unit=${unitId}`);
	await pictures('/networks', 'networks', 'tr:has-text("attic")');
	await pictures('/network/' + networkId, 'network', 'text=mosquitto_pub');
	await pictures('/gateways', 'gateways', 'tr:has-text("attic")');
	await pictures('/gateway/' + id, 'gateway', 'h2:text-is("Counted")');
	await pictures('/applications', 'applications', 'tr:has-text("ERP")');
});

test('a network goes with its devices and routes, which are named', async () => {
	const { networkId } = (await api('GET', `${broker}/network/list?unit=${unitId}`)).find((n) => n.code === 'wells');
	await visit(page, '/network/' + networkId);
	await page.click('button:text-is("Delete")');
	await seen('2 devices, with their values and history');
	await seen('2 routes');
	await page.click('dialog button:text-is("Delete")');
	await seen('wells was deleted.');
	assert.equal((await api('GET', `${broker}/device/list?unit=${unitId}`)).length, 0);
});

test('German, and what was changed can be looked at and taken back', async () => {
	const { applicationId } = (await api('GET', `${broker}/application/list?unit=${unitId}`)).find((a) => a.code === 'erp');
	await visit(page, '/application/' + applicationId);
	await page.click('button:text-is("Edit")');
	await page.fill('dialog input', 'ERP 2');
	await page.click('dialog button:text-is("Save")');
	await page.waitForSelector('h1:text-is("ERP 2")');
	await tab('Versions');
	await page.waitForSelector('text=ERP 2');
	await page.click('.toast:has-text("erp was saved") >> text=Undo');
	await page.waitForSelector('h1:text-is("ERP")');
	const p = await openPage(platform, { locale: 'de-DE' });
	await signIn(p, platform, '/networks');
	await p.waitForSelector('button:text-is("Netz hinzufügen")');
	await isGood(p, 'networks-german-light');
	await p.context().close();
});

test('no page complained', finish);
