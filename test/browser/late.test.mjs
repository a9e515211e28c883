// Answers that come in another order than they were asked for: shown is the one
// that was asked for last.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { finish, openPage, Platform, signIn } from './platform.mjs';

let platform, token, unitId;
const hub = '/hub/api/v1', coremgr = '/coremgr/api/v1';
const visit = (page, path) => page.evaluate((x) => { history.pushState(null, '', x); dispatchEvent(new PopStateEvent('popstate')); }, path);
// What is asked for now is answered behind all that was.
const settled = () => fetch('/').then((r) => r.text()).then(() => new Promise(requestAnimationFrame));
const call = (method, path, data) => platform.call(method, path, data, token);

before(async () => {
	platform = await Platform.start('--admin-password', 'a long password');
	token = await platform.token();
	unitId = (await call('POST', coremgr + '/unit', { code: 'farm', name: 'Farm' })).unitId;
});
after(async () => { await finish(); await platform?.stop(); });

// Opens a page that asks for `own` when it comes, and again when it hears live.
// The first answer is kept until the second, of what `change` has made of it, is
// shown; then it comes, and `follows` of it. Gives all headings that were seen.
async function headings(path, own, before, now, change, follows) {
	const page = await openPage(platform);
	await signIn(page, platform);
	let release, changed, late;
	const held = new Promise((done) => { release = done; }), isNew = new Promise((done) => { changed = done; });
	await page.route('**' + own, async (r) => {
		if (late) return isNew.then(() => r.continue());
		late = r.request();
		const answer = await r.fetch();
		assert.match(await answer.text(), new RegExp(before));
		await change();
		changed();
		await held;
		await r.fulfill({ response: answer });
	});
	await page.evaluate(() => {
		window.seen = [];
		new MutationObserver(() => {
			const text = document.querySelector('main h1')?.textContent;
			if (text && text !== window.seen.at(-1)) window.seen.push(text);
		}).observe(document.body, { subtree: true, childList: true, characterData: true });
	});
	await visit(page, path);
	await page.waitForSelector(`h1:text-is("${now}")`);
	const asked = follows.map((f) => page.waitForResponse((r) => r.url().includes(f)).then((r) => r.finished()));
	release();
	await Promise.all(asked);
	await (await late.response()).finished();
	await page.evaluate(settled);
	const seen = await page.evaluate(() => window.seen);
	await page.context().close();
	return seen.slice(seen.indexOf(now));
}

test('a device', async () => {
	const { networkId } = await call('POST', coremgr + '/network', { code: 'wells', name: 'Wells', unitId, hostUri: 'mqtt://localhost' });
	const { deviceId } = await call('POST', coremgr + '/device', { unitId, networkId, networkAddr: 'well-1', name: 'Old well' });
	const own = coremgr + '/device/' + deviceId;
	assert.deepEqual(await headings('/device/' + deviceId, '/broker/api/v1/device/' + deviceId, 'Old well', 'New well',
		() => call('PATCH', own, { name: 'New well' }), ['/gateway/list', '/node/list']), ['New well']);
});

test('a gateway', async () => {
	const { id } = await call('POST', hub + '/gateway', { unitId, code: 'attic', description: 'Old attic', provider: { type: 'marram_edge', protocol: { type: 'mqtt' } } });
	const own = hub + '/gateway/' + id;
	assert.deepEqual(await headings('/gateway/' + id, own, 'Old attic', 'New attic',
		() => call('PATCH', own, { description: 'New attic' }), []), ['New attic']);
});

// It asks again each three seconds, however long an answer takes.
test('a gateway is shown though all that is asked for later is answered never', async () => {
	const { id } = await call('POST', hub + '/gateway', { unitId, code: 'barn', description: 'Far barn', provider: { type: 'marram_edge', protocol: { type: 'mqtt' } } });
	const page = await openPage(platform);
	await signIn(page, platform);
	let n = 0, release;
	const second = new Promise((done) => { release = done; });
	await page.route('**' + hub + '/gateway/' + id, async (r) => {
		if (n++ > 0) return release();
		await second;
		await r.continue();
	});
	await visit(page, '/gateway/' + id);
	await page.waitForSelector('h1:text-is("Far barn")');
	await page.context().close();
});

test('who sleeps behind a gateway', async () => {
	const { id } = await call('POST', hub + '/gateway', { unitId, code: 'shed', provider: { type: 'marram_edge', protocol: { type: 'mqtt' } } });
	const page = await openPage(platform);
	await signIn(page, platform);
	const held = [], row = (nodeId) => ({ nodeId, data: '', extension: {}, since: '2026-01-01T00:00:00Z', until: null });
	const answer = (r, nodeId) => r.fulfill({ json: { data: [row(nodeId)] } });
	let seen;
	const three = new Promise((done) => { seen = done; }); // the third is never answered
	await page.route('**/gateway/' + id + '/sleeping', (r) => { if (held.push(r) === 3) seen(); });
	await visit(page, '/gateway/' + id + '?tab=sleeping');
	await three;
	await answer(held[1], 'later');
	await page.waitForSelector('td:text-is("later")');
	await answer(held[0], 'sooner');
	await (await held[0].request().response()).finished();
	await page.evaluate(settled);
	assert.equal(await page.textContent('tbody td >> nth=0'), 'later');
	await page.context().close();
});

// It is read anew when others change it, and each second.
test('what is typed stays when the object comes anew', async () => {
	const { unitId: id } = await call('POST', coremgr + '/unit', { code: 'typed', name: 'Before' });
	const page = await openPage(platform);
	await signIn(page, platform, '/units/' + id);
	await page.click('main button:text-is("Edit")');
	const name = page.locator('dialog[open] label:has-text("Name") input');
	await name.fill('Typed');
	await call('PATCH', coremgr + '/unit/' + id, { name: 'Meanwhile' });
	await page.waitForSelector('h1:text-is("Meanwhile")');
	await page.evaluate(settled);
	assert.equal(await name.inputValue(), 'Typed');
	await page.click('dialog[open] button:text-is("Save")');
	await page.waitForSelector('h1:text-is("Typed")');
	await page.context().close();
});

test('what goes is asked for no more, and what was asked for before is answered first', async () => {
	const { networkId } = await call('POST', coremgr + '/network', { code: 'brooks', unitId, hostUri: 'mqtt://localhost' });
	const { deviceId } = await call('POST', coremgr + '/device', { unitId, networkId, networkAddr: 'brook-1', name: 'Brook' });
	const page = await openPage(platform), asked = [];
	const gate = () => { let open; const is = new Promise((done) => { open = done; }); return { is, open }; };
	const told = gate(), again = gate(), answer = gate(), deleted = gate();
	let socket;
	await page.routeWebSocket(/\/ws$/, (ws) => {
		ws.connectToServer().onMessage((m) => {
			ws.send(m);
			const { type, data } = JSON.parse(m);
			if (type === 'event' && data.type === 'deleted' && data.entityId === deviceId) told.open();
		});
		socket = ws;
	});
	await signIn(page, platform, '/device/' + deviceId);
	await page.waitForSelector('h1:text-is("Brook")');
	// it is read anew, which takes its time; to delete it does, too
	await page.route('**/broker/api/v1/device/' + deviceId, async (r) => {
		asked.push('GET');
		again.open();
		await answer.is;
		await r.continue();
	});
	await page.route('**' + coremgr + '/device/' + deviceId, async (r) => {
		asked.push(r.request().method());
		const gone = await r.fetch();
		await deleted.is;
		await r.fulfill({ response: gone });
	});
	socket.send(JSON.stringify({ type: 'lagged', dropped: 1 }));
	await again.is;
	await page.click('main button:text-is("Delete")');
	await page.click('dialog[open] button.bad');
	await page.evaluate(settled);
	assert.ok(!asked.includes('DELETE'));
	answer.open();
	await told.is;
	await page.evaluate(() => new Promise((done) => setTimeout(done, 350))); // behind what an event sets off, which is after 300 ms
	await page.evaluate(settled);
	deleted.open();
	await page.waitForSelector('h1:text-is("Devices")');
	assert.equal(asked.indexOf('DELETE'), asked.length - 1);
	await page.context().close();
});

test('a unit goes when it is told what goes with it, and not before', async () => {
	const made = await call('POST', coremgr + '/unit', { code: 'gone', name: 'Gone' });
	const page = await openPage(platform);
	await signIn(page, platform, '/units/' + made.unitId);
	await page.waitForSelector('h1:text-is("Gone")');
	const gone = [];
	page.on('request', (r) => { if (r.method() === 'DELETE') gone.push(r.url()); });
	let asked, release;
	const isAsked = new Promise((done) => { asked = done; }), held = new Promise((done) => { release = done; });
	await page.locator('main button:text-is("Delete")').waitFor();
	await page.waitForLoadState('networkidle');
	await page.route('**/device/count?unit=' + made.unitId, async (r) => { asked(); await held; await r.continue(); });
	await page.click('main button:text-is("Delete")');
	await page.click('dialog[open] button.bad');
	await isAsked;
	await page.evaluate(settled);
	assert.deepEqual(gone, []);
	release();
	await page.waitForSelector('h1:text-is("Units")');
	assert.equal(gone.length, 1);
	await page.context().close();
});
