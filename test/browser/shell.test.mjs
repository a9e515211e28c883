// What is around every page: the palette, the menus, the address.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { becomes, finish, inside, isGood, openPage, Platform, signIn } from './platform.mjs';

let platform, page;
before(async () => {
	platform = await Platform.start('--admin-password', 'a long password');
	page = await openPage(platform);
	await signIn(page, platform);
});
after(() => platform?.stop());

test('the palette finds pages, objects and actions by keyboard', async () => {
	const token = await platform.token();
	const unit = (await platform.post('/coremgr/api/v1/unit', { code: 'barn', name: 'Barn' }, token)).unitId;
	await platform.post('/coremgr/api/v1/network', { code: 'milking', unitId: unit, hostUri: 'mqtt://localhost', name: 'Milking robots' }, token);
	await page.reload();
	await inside(page);
	await page.keyboard.press('Control+k');
	await page.waitForSelector('dialog [role=option]');
	await isGood(page, 'palette-light');
	await page.keyboard.type('milking');
	await page.waitForSelector('[role=option]:has-text("Milking robots")');
	await page.keyboard.press('Enter');
	await page.waitForURL(/\/network\//);
	await page.keyboard.press('Control+k');
	await page.waitForSelector('dialog [role=option]');
	await page.keyboard.type('colours dark');
	await page.waitForSelector('[role=option]:has-text("Colours: Dark")');
	await page.keyboard.press('Enter');
	await page.waitForSelector('html[data-theme=dark]');
	await page.keyboard.press('Control+k');
	await page.waitForSelector('dialog [role=option]');
	await page.keyboard.type('set');
	await page.waitForSelector('[role=option][aria-selected=true]:has-text("Settings")');
	await page.keyboard.press('Enter');
	await page.waitForURL(/\/settings/);
	await page.keyboard.press('Control+k');
	await page.waitForSelector('dialog [role=option]');
	await page.keyboard.type('no such thing');
	await page.waitForSelector('text=Nothing fits the search.');
	await page.keyboard.press('Escape');
	await page.waitForSelector('dialog [role=combobox]', { state: 'detached' });
});

// A page that has just been loaded does not know its unit yet; nor may what was
// asked before stand for what is typed now.
test('the palette waits for what comes late', async () => {
	let release;
	const held = new Promise((done) => { release = done; });
	await page.route('**/unit/list?*limit=200*', async (r) => { await held; await r.continue(); });
	await page.evaluate(() => { for (const k of Object.keys(localStorage)) if (k === 'marram.look') localStorage[k] = JSON.stringify({ ...JSON.parse(localStorage[k]), unit: '' }); });
	await page.reload();
	await page.waitForSelector('nav');
	await page.keyboard.press('Control+k');
	await page.waitForSelector('dialog [role=combobox]');
	await page.keyboard.type('milking');
	await page.waitForSelector('text=Nothing fits the search.');
	release();
	await page.waitForSelector('[role=option]:has-text("Milking robots")');
	await page.unroute('**/unit/list?*limit=200*');
	// an answer to older words
	let late;
	const slow = new Promise((done) => { late = done; });
	await page.route('**/network/list?*contains=mil&*', async (r) => { await slow; await r.continue(); });
	await page.fill('dialog [role=combobox]', '');
	const asked = page.waitForRequest('**/network/list?*contains=mil&*');
	await page.keyboard.type('mil');
	await asked;
	const answer = page.waitForResponse('**/network/list?*contains=mil&*');
	await page.fill('dialog [role=combobox]', 'settings');
	late();
	await answer;
	await page.waitForSelector('[role=option][aria-selected=true]:has-text("Settings")');
	assert.equal(await page.isVisible('[role=option]:has-text("Milking robots")'), false);
	await page.fill('dialog [role=combobox]', 'nothing of all this');
	await page.waitForSelector('text=Nothing fits the search.');
	await page.unroute('**/network/list?*contains=mil&*');
	await page.keyboard.press('Escape');
	await page.waitForSelector('dialog [role=combobox]', { state: 'detached' });
});

test('the palette that is opened while it closes stays open', async () => {
	await page.keyboard.press('Control+k');
	await page.waitForSelector('dialog [role=combobox]');
	// closed and opened before the browser has told that it was closed
	await page.evaluate(async () => {
		const press = () => window.dispatchEvent(new KeyboardEvent('keydown', { key: 'k', ctrlKey: true, bubbles: true }));
		press();
		for (let i = 0; i < 20; i++) await Promise.resolve();
		press();
		for (let i = 0; i < 20; i++) await Promise.resolve();
	});
	await page.evaluate(() => new Promise((done) => setTimeout(done, 0)));
	await page.keyboard.type('settings');
	await page.waitForSelector('[role=option][aria-selected=true]:has-text("Settings")');
	await page.keyboard.press('Escape');
	await page.waitForSelector('dialog [role=combobox]', { state: 'detached' });
});

test('what a list was not told of it loads: before it is followed, and when too much came at once', async () => {
	const token = await platform.token(), p = await openPage(platform);
	const unitId = (await platform.call('GET', '/coremgr/api/v1/unit/list', undefined, token))[0].unitId;
	const add = (id) => platform.post('/hub/api/v1/task', { id, unitId, evaluationType: 'javascript', evaluationConfig: { javascript: 'true' } }, token);
	let held = [], deaf = false, socket;
	await p.routeWebSocket(/\/ws$/, (ws) => {
		const server = ws.connectToServer();
		ws.onMessage((m) => (held && JSON.parse(m).type === 'subscribe' ? held.push(() => server.send(m)) : server.send(m)));
		server.onMessage((m) => { if (!deaf || JSON.parse(m).type !== 'event') ws.send(m); });
		socket = ws;
	});
	await signIn(p, platform, '/rules');
	await p.waitForSelector('text=None yet: make one here');
	await becomes(() => held.length);
	await add('early');
	const late = held;
	held = undefined;
	for (const f of late) f();
	await p.waitForSelector('td:has-text("early")');
	deaf = true;
	await add('unheard');
	deaf = false;
	socket.send(JSON.stringify({ type: 'lagged', dropped: 1 }));
	await p.waitForSelector('td:has-text("unheard")');
	await p.context().close();
});

test('a phone has every page behind "More"', async () => {
	const p = await openPage(platform, { viewport: { width: 360, height: 740 } });
	await signIn(p, platform);
	assert.equal(await p.isVisible('nav a:has-text("Audit")'), false);
	await p.click('nav >> text=More');
	await isGood(p, 'more-phone-light');
	await p.click('nav a:has-text("Audit")');
	await p.waitForSelector('h1:text-is("Audit")');
	await p.waitForSelector('nav a:has-text("Audit")', { state: 'hidden' });
	await p.context().close();
});

test('an address that is no page says so', async () => {
	await page.goto(platform.url + '/no-such-page');
	await page.waitForSelector('h1:has-text("page")');
	await isGood(page, 'not-found');
});

test('no page had an error or asked another host', finish);
