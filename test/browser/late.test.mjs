// Answers that come in another order than they were asked for: shown is the one
// that was asked for last.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { becomes, finish, openPage, Platform, signIn } from './platform.mjs';

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

test('a network', async () => {
	const { networkId } = await call('POST', coremgr + '/network', { code: 'lakes', name: 'Old lakes', unitId, hostUri: 'mqtt://localhost' });
	const own = coremgr + '/network/' + networkId;
	assert.deepEqual(await headings('/network/' + networkId, own, 'Old lakes', 'New lakes',
		() => call('PATCH', own, { name: 'New lakes' }), []), ['New lakes']);
});

test('a unit', async () => {
	const { unitId: id } = await call('POST', coremgr + '/unit', { code: 'hills', name: 'Old hills' });
	assert.deepEqual(await headings('/units/' + id, '/broker/api/v1/unit/' + id, 'Old hills', 'New hills',
		() => call('PATCH', coremgr + '/unit/' + id, { name: 'New hills' }), []), ['New hills']);
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

test('a list that is told of a change while it is read', async () => {
	const { id } = await call('POST', hub + '/gateway', { unitId, code: 'loft', provider: { type: 'marram_edge', protocol: { type: 'mqtt' } } });
	const page = await openPage(platform);
	let socket, late, release;
	const held = new Promise((done) => { release = done; });
	await page.routeWebSocket(/\/ws$/, (ws) => { ws.connectToServer(); socket = ws; });
	await signIn(page, platform, '/gateways');
	await page.waitForSelector('tr:has-text("loft")');
	await page.waitForLoadState('networkidle'); // the answer that is held is of no load of before
	await page.route('**' + hub + '/gateway/list?*', async (r) => {
		if (late) return r.continue();
		late = r.request();
		const answer = await r.fetch();
		await call('PATCH', hub + '/gateway/' + id, { enabled: false });
		await held;
		await r.fulfill({ response: answer });
	});
	socket.send(JSON.stringify({ type: 'lagged', dropped: 1 }));
	await page.waitForSelector('tr:has-text("loft") >> text=Disabled');
	release();
	await (await late.response()).finished();
	await page.evaluate(settled);
	assert.ok(await page.isVisible('tr:has-text("loft") >> text=Disabled'));
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

test('a rule that one has begun to change is kept when it is read anew', async () => {
	await call('POST', hub + '/task', { unitId, id: 'watch', description: 'Old rule', enabled: false, evaluationType: 'javascript', evaluationConfig: { javascript: 'true' } });
	const page = await openPage(platform), name = 'label:has-text("It is called") input';
	let asked, release, follows, id;
	const isAsked = new Promise((done) => { asked = done; }), held = new Promise((done) => { release = done; }), followed = new Promise((done) => { follows = done; });
	page.on('websocket', (ws) => {
		ws.on('framesent', (f) => { const m = JSON.parse(f.payload); if (m.type === 'subscribe' && m.entityTypes?.[0] === 'task') id = m.id; });
		ws.on('framereceived', (f) => { const m = JSON.parse(f.payload); if (m.type === 'subscribed' && m.id === id) follows(); });
	});
	await signIn(page, platform, '/rule/task/watch');
	await page.waitForSelector('h1:text-is("Old rule")');
	await followed;
	await page.route(/\/hub\/api\/v1\/task\/watch/, async (r) => { asked(); await held; await r.continue(); });
	await call('PATCH', hub + '/task/watch?unit=' + unitId, { description: 'New rule' });
	await isAsked;
	await page.fill(name, 'Mine');
	release();
	await page.waitForSelector('text=It was changed elsewhere while it was edited here.');
	assert.equal(await page.inputValue(name), 'Mine');
	await page.context().close();
});

test('a message is tried when it is here', async () => {
	const { id } = await call('POST', hub + '/profile', { unitId, code: 'pond', codec: 'json' });
	const { networkId } = await call('POST', coremgr + '/network', { code: 'ponds', unitId, hostUri: 'mqtt://localhost' });
	const { deviceId } = await call('POST', coremgr + '/device', { unitId, networkId, networkAddr: 'pond-1', profile: 'pond' });
	await call('POST', `${coremgr}/network/${networkId}/uldata`, { deviceId, payload: Buffer.from('{"level":3}').toString('hex') });
	await becomes(async () => (await call('GET', `/data/api/v1/network-uldata/count?unit=${unitId}&device=${deviceId}`)).count === 1);
	const page = await openPage(platform);
	let release;
	const held = new Promise((done) => { release = done; });
	await page.route('**/network-uldata/list?*', async (r) => { await held; await r.continue(); });
	await signIn(page, platform, '/profile/' + id);
	await page.waitForSelector('.try .main:disabled');
	release();
	await page.click('.try .main');
	await page.waitForSelector('.try .fields:has-text("level")');
	await page.context().close();
});

test('what goes is asked for no more, and what was asked for before is answered first', async () => {
	const { networkId } = await call('POST', coremgr + '/network', { code: 'brooks', unitId, hostUri: 'mqtt://localhost' });
	const { deviceId } = await call('POST', coremgr + '/device', { unitId, networkId, networkAddr: 'brook-1', name: 'Brook' });
	await call('POST', `${coremgr}/network/${networkId}/uldata`, { deviceId, payload: '00' });
	await becomes(async () => (await call('GET', `${hub}/node/list?unit=${unitId}&nodeId=brook-1`)).length);
	const page = await openPage(platform), asked = [];
	const gate = () => { let open; const is = new Promise((done) => { open = done; }); return { is, open }; };
	const answer = gate(), deleted = gate();
	let socket, told = false;
	await page.routeWebSocket(/\/ws$/, (ws) => {
		ws.connectToServer().onMessage((m) => {
			ws.send(m);
			const { type, data } = JSON.parse(m);
			if (type === 'event' && data.type === 'deleted' && data.entityId === deviceId) told = true;
		});
		socket = ws;
	});
	await signIn(page, platform, '/device/' + deviceId);
	await page.waitForSelector('h1:text-is("Brook")');
	// it is read anew, which takes its time; to delete it does, too
	await page.route('**/broker/api/v1/device/' + deviceId, async (r) => {
		asked.push('GET');
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
	await becomes(() => asked.length);
	await page.click('main button:text-is("Delete")');
	await page.click('dialog[open] button.bad');
	await page.evaluate(settled);
	assert.ok(!asked.includes('DELETE'));
	answer.open();
	await becomes(() => told);
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
