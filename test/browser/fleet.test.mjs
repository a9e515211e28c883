// The pages of the fleet: a configuration is made, modules are set, what
// changed is read and committed, taken back, and brought to a device.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { becomes as until, finish, isGood, openPage, Platform, signIn, visit as go } from './platform.mjs';

let platform, page, token, unitId;
const fleet = '/fleet/api/v1', FILES = 'marram.TextFiles';
const api = (method, path, data) => platform.call(method, fleet + path, data, token);
const ofUnit = (path) => `${path}?unit=${unitId}`;
const visit = (path) => go(page, path);
const tab = (name) => page.click(`[role=tab]:text-is("${name}")`);
const saved = () => page.waitForSelector('[role=status]:text-is("Everything is saved")');
const settings = async (type) => (await api('GET', ofUnit('/configuration/pump'))).modules.find((m) => m.type === type)?.settings;

before(async () => {
	platform = await Platform.start('--admin-password', 'a long password');
	token = await platform.token();
	unitId = (await platform.post('/coremgr/api/v1/unit', { code: 'farm', name: 'Farm' }, token)).unitId;
	page = await openPage(platform);
	await signIn(page, platform);
});
after(() => platform?.stop());

test('a configuration is made, and modules are set in it', async () => {
	await page.click('nav a:has-text("Configurations")');
	await page.waitForSelector('code:has-text("marram fleet configuration add")');
	await isGood(page, 'fleet-configurations-empty');
	await page.click('button:text-is("New configuration")');
	await page.fill('dialog[open] input', 'Pump');
	await page.selectOption('dialog[open] select', 'linux');
	await page.keyboard.press('Enter');
	await page.waitForSelector('h1:text-is("Pump")');

	// a text, which goes by Tab
	await page.fill('[role=group][aria-label="Host name"] input', 'pump-house');
	await page.keyboard.press('Tab');
	await saved();
	assert.equal((await until(async () => { const s = await settings('thymis_controller.modules.thymis.ThymisDevice'); return s.device_name === 'pump-house' && s; })).device_type, 'linux');

	// a module, found by a word, with a list of rows
	await page.click('button:text-is("Add a module")');
	await page.fill('dialog[open] [type=search]', 'text');
	await page.click('dialog[open] li button:has-text("Text files")');
	const card = page.locator('section[aria-label="Text files"]');
	await card.locator('button:has-text("Add:")').first().click();
	await page.waitForSelector('[role=alert]:has-text("path")'); // what is missing is said
	await card.locator('input[aria-label="File 1: Path"]').fill('/etc/motd');
	await card.locator('textarea').fill('"${water}"\n');
	await page.keyboard.press('Tab');
	await until(async () => { const [f] = (await settings(FILES))?.files ?? []; return f?.path === '/etc/motd' && f.text === '"${water}"\n'; });
	await page.waitForSelector('[role=alert]', { state: 'detached' });
	await isGood(page, 'fleet-configuration');
});

test('what another person has set is said, and neither is lost', async () => {
	await page.click('section[aria-label="Device"] button[aria-expanded=false]');
	const kind = 'thymis_controller.modules.thymis.ThymisDevice', host = page.locator('[role=group][aria-label="Host name"] input');
	await host.waitFor();
	// another setting: both stay
	const said = page.waitForSelector('text=Somebody else has changed: Name'); // for some seconds, whenever it is seen
	await api('PUT', ofUnit(`/configuration/pump/module/${FILES}`), { settings: {} });
	await api('PATCH', ofUnit('/configuration/pump'), { displayName: 'Pump 1' });
	await host.fill('first');
	await page.keyboard.press('Tab');
	await said;
	await until(async () => (await settings(kind)).device_name === 'first');
	assert.equal((await api('GET', ofUnit('/configuration/pump'))).displayName, 'Pump 1');
	await page.waitForSelector('h1:text-is("Pump 1")');
});

test('what one types is not lost to what another sets there meanwhile', async () => {
	const kind = 'thymis_controller.modules.thymis.ThymisDevice', host = page.locator('[role=group][aria-label="Host name"] input');
	// what was saved before is read again meanwhile, with theirs in it
	let release, put = false;
	const held = new Promise((done) => { release = done; }), own = /\/configuration\/pump\?/;
	page.on('response', (r) => { put ||= r.request().method() === 'PUT' && r.ok(); });
	await page.route(own, async (r) => { if (put) await held; await r.continue(); });
	await host.fill('second');
	await page.keyboard.press('Tab');
	await until(() => put);
	await host.click();
	await page.keyboard.press('End');
	await page.keyboard.type('-and-more');
	const seen = page.waitForResponse((r) => own.test(r.url()) && r.request().method() === 'GET');
	await api('PUT', ofUnit(`/configuration/pump/module/${kind}`), { settings: { device_name: 'theirs' } });
	release();
	await seen;
	await page.unroute(own);
	await page.waitForResponse((r) => r.url().includes('/configuration/pump?') && r.request().method() === 'GET'); // which has seen it
	assert.equal(await host.inputValue(), 'second-and-more');
	await page.keyboard.press('Tab');
	const dialog = page.locator('dialog[open]');
	await dialog.locator('pre:text-is("theirs")').waitFor();
	assert.equal((await settings(kind)).device_name, 'theirs');
	await dialog.locator('button.main').click();
	await until(async () => (await settings(kind)).device_name === 'second-and-more');
});

test('a tag gives what is not set, and the mark says so', async () => {
	await api('POST', ofUnit('/tag'), { displayName: 'Site' });
	const type = 'thymis_controller.modules.localization.LocalizationModule', all = await api('GET', ofUnit('/module/list') + '&lang=en&limit=0');
	const [key, zone] = Object.entries(all.find((m) => m.type === type).settings).find(([, k]) => /zone/i.test(k.displayName));
	await api('PUT', ofUnit(`/tag/site/module/${type}`), { settings: { [key]: 'Europe/Vienna' } });
	await visit('/configuration/pump?tab=more');
	await page.check('label:has-text("Site") input');
	await saved();
	await until(async () => (await api('GET', ofUnit('/configuration/pump'))).tags.includes('site'));
	await api('PUT', ofUnit(`/configuration/pump/module/${type}`), { settings: {} });
	await tab('Modules');
	await page.click('section[aria-label="Localization & Time"] button[aria-expanded=false]');
	const group = page.locator(`[role=group][aria-label="${zone.displayName}"]`);
	await group.locator('text=from Site').waitFor();
	// set here, it wins; cleared, it is the tag's again
	await group.locator('input, select').first().evaluate((e) => { e.value = 'Europe/Berlin'; e.dispatchEvent(new Event('change', { bubbles: true })); });
	await group.locator('text=set here').waitFor();
	await until(async () => (await settings(type))[key] === 'Europe/Berlin');
	await group.locator('button:text-is("Clear")').click();
	await group.locator('text=from Site').waitFor();
	await until(async () => !(key in (await settings(type))));
});

test('what is not committed is read, committed, and taken back', async () => {
	await visit('/changes');
	await page.waitForSelector('h3:has-text("Pump 1")');
	// what is new is told part by part, in words
	await page.waitForSelector('section:has(h3:has-text("Site")) li:has(strong:has-text("Localization & Time › ")) ins:has-text("Europe/Vienna")');
	for (const said of await page.locator('ins').allTextContents()) assert.ok(!said.includes('":'), said); // no JSON
	await isGood(page, 'fleet-changes');
	await page.fill('form input', 'a pump');
	await page.keyboard.press('Enter');
	await page.waitForSelector('text=Everything is committed.');
	assert.equal((await api('GET', ofUnit('/repository/history')))[0].message.trim(), 'a pump');

	await visit('/configuration/pump?tab=more');
	await page.fill('main label:has-text("Name") input', 'Well');
	await page.keyboard.press('Tab');
	await page.waitForSelector('h1:text-is("Well")');
	await saved();
	await visit('/changes');
	await page.waitForSelector('li:has(strong:text-is("Name")) ins:has-text("Well")');
	await page.fill('form input', 'another name');
	await page.keyboard.press('Enter');
	await page.waitForSelector('text=Everything is committed.');
	await tab('History');
	await page.click('li:has-text("another name") button[aria-expanded]');
	await page.waitForSelector('li ins:has-text("Well")');
	await isGood(page, 'fleet-history');
	await page.click('li:has-text("another name") button:text-is("Revert")');
	await page.click('dialog[open] button:text-is("Revert")');
	await until(async () => (await api('GET', ofUnit('/configuration/pump'))).displayName === 'Pump 1');
});

test('a device is added, and a deployment to it says why it does not come about', async () => {
	await visit('/machines');
	await page.waitForSelector('text=There are no machines.');
	await isGood(page, 'fleet-machines-empty');
	await page.click('button:text-is("New token")');
	await page.fill('dialog[open] label:has-text("Name") input', 'workshop');
	await page.click('dialog[open] button.main');
	await page.waitForSelector('code:has-text("sudo tedge fleet enroll")');
	await page.waitForSelector('td:has-text("workshop")');
	const { id } = await api('POST', '/device', { unitId, name: 'pump-1', address: '127.0.0.1', sshPort: 9, sshUser: 'root', config: 'pump', sshPublicKey: 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl' });
	await visit('/machine/' + id);
	await page.waitForSelector('h1:text-is("pump-1")');
	await isGood(page, 'fleet-machine');
	if ((await api('GET', '/device/' + id)).state === 'waiting') await page.click('button:text-is("Approve")');
	await until(async () => (await api('GET', '/device/' + id)).state !== 'waiting');

	await visit('/deployments');
	await page.waitForSelector('text=Nothing was deployed yet');
	await page.click('button:text-is("New deployment")');
	await page.check('dialog[open] label:has-text("pump-1") input');
	await page.fill('dialog[open] label:has-text("What it is for") input', 'first try');
	await page.click('dialog[open] button:text-is("Plan")');
	await page.waitForSelector('h1:text-is("first try")');
	await page.waitForSelector('section[aria-label="pump-1"]');
	await page.waitForSelector('section[aria-label="pump-1"] :text("can not be reached")');
	assert.equal(await page.locator('text=Nothing changes').count(), 0); // nobody knows
	await isGood(page, 'fleet-deployment');
	await page.click('button:text-is("Stop") >> nth=0');
	await page.click('dialog[open] button:text-is("Stop")');
	await page.waitForSelector('section[aria-live] :text-is("stopped")');
});

test('on a phone, and in the dark', async () => {
	const phone = await openPage(platform, { viewport: { width: 360, height: 740 }, colorScheme: 'dark' });
	phone.setDefaultTimeout(60_000);
	await signIn(phone, platform);
	const device = (await api('GET', ofUnit('/device/list')))[0].id;
	for (const [name, path, seen] of [['configurations', '/configurations', 'td:has-text("Pump 1")'], ['configuration', '/configuration/pump', 'h1:text-is("Pump 1")'], ['history', '/changes?tab=history', 'li:has-text("a pump")'], ['machines', '/machines', 'td:has-text("pump-1")'], ['machine', '/machine/' + device, 'h1:text-is("pump-1")'], ['deployments', '/deployments', 'td:has-text("first try")'], ['keep', '/keep', 'text=There are no secrets.']]) {
		await phone.goto(platform.url + path);
		await phone.waitForSelector(seen);
		await isGood(phone, `fleet-phone-${name}`);
	}
	await finish({ meant: /status of 412/ });
});
