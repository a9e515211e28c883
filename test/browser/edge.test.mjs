// A Linux device on its page: software, operations while they run, services,
// alarms; and how it gets to its gateway. The device is mosquitto_pub and
// mosquitto_sub, which say what marram-edge says.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { after, before, test } from 'node:test';
import { becomes as until, finish, isGood, openPage, Platform, signIn, visit } from './platform.mjs';

let platform, page, token, unitId, key, ear, deviceId;
const told = [];
const hub = '/hub/api/v1', root = 'marram/farm/gateway/fleet/gw01/';
const api = (method, path, data) => platform.call(method, path, data, token);
const seen = (text, p = page) => p.waitForSelector(`text=${text}`);
const tab = (name, p = page) => p.click(`[role=tab]:text-is("${name}")`);
const secret = 'a secret of thirty-two letters, x';
const account = () => ['-h', 'localhost', '-p', platform.mqtt, '-u', 'edge.farm.fleet.gw01', '-P', secret.replaceAll(' ', '-').replaceAll(',', '') + ':' + key];
const quote = (s) => `'${s.replaceAll("'", "'\\''")}'`;
function says(rest, payload, device = 'main', service = '-') {
	platform.paste(['mosquitto_pub', ...account(), '-q', '1', '-t', `${root}up/${device}/${service}/${rest}`, '-m', typeof payload === 'string' ? payload : JSON.stringify(payload)].map(quote).join(' '));
}
const order = (op) => until(() => { const i = told.findIndex((x) => x[0].includes(`/cmd/${op}/`)); return i >= 0 && told.splice(i, 1)[0]; });
const state = ([topic], status, more = {}) => says('cmd/' + topic.split('/cmd/')[1], { status, ...more });
async function pictures(path, name, ready) {
	for (const [colorScheme, viewport] of [['light', { width: 1280, height: 800 }], ['dark', { width: 360, height: 740 }]]) {
		const p = await openPage(platform, { viewport, colorScheme });
		await signIn(p, platform, path);
		await p.waitForSelector(ready);
		await isGood(p, `${name}-${colorScheme}-${viewport.width === 360 ? 'phone' : 'desktop'}`);
		await p.context().close();
	}
}

before(async () => {
	platform = await Platform.start('--admin-password', 'a long password');
	token = await platform.token();
	unitId = (await platform.post('/coremgr/api/v1/unit', { code: 'farm', name: 'Farm' }, token)).unitId;
	page = await openPage(platform);
	await signIn(page, platform);
});
after(async () => { ear?.kill(); await platform?.stop(); });

test('a gateway gives out a key, and says what to type', async () => {
	await visit(page, '/gateways');
	await page.click('button:text-is("Add a gateway")');
	await page.selectOption('dialog select >> nth=0', 'marramEdge');
	await page.fill('dialog input[type=text] >> nth=0', 'fleet');
	await page.click('dialog button:text-is("Add")');
	await page.waitForSelector('h1:text-is("fleet")');
	await tab('Enrolment');
	await seen('No device has enrolled yet.');
	await isGood(page, 'enrolment-empty');
	await page.click('button:text-is("New key")');
	await page.click('dialog button:text-is("New key")');
	key = await until(async () => { const k = await page.textContent('.copy code'); return /^\w{20}$/.test(k) && k; });
	await seen('tedge connect marram --key ' + key);
	const [gateway] = await api('GET', `${hub}/gateway/list?unit=${unitId}`);
	assert.equal(gateway.claim, 'inbox');
});

test('a device enrols, is claimed, and says what it has', async () => {
	ear = spawn('stdbuf', ['-oL', 'mosquitto_sub', ...account(), '-i', 'ear', '-q', '1', '-F', '%t %p', '-d', '-t', root + 'down/#'], { stdio: ['ignore', 'pipe', 'inherit'] });
	let rest = '', listens = false; // -d says when
	ear.stdout.on('data', (d) => { const all = (rest + d).split('\n'); rest = all.pop(); for (const x of all) if (x.startsWith(root)) told.push([x.slice(0, x.indexOf(' ')), x.slice(x.indexOf(' ') + 1)]); else listens ||= /^Subscribed/.test(x); });
	await until(() => listens);
	says('m/', { temperature: 20 });
	await seen('gw01');
	await isGood(page, 'enrolment');
	await visit(page, '/inbox');
	const item = await until(async () => (await api('GET', `${hub}/inbox/list?unit=${unitId}`))[0]);
	deviceId = (await platform.post(hub + '/inbox/claim', { ids: [item.id] }, token))[0].deviceId;
	await until(() => told.some((x) => x[0].endsWith('/sync')));
	says('m/', { temperature: 21 });
	await until(async () => (await api('GET', `${hub}/node/list?unit=${unitId}`)).length);
	await visit(page, `/device/${deviceId}?tab=software`);
	await seen('The device does not say that it can list its software');
	await seen('Nothing was ordered yet.');
	await seen('No service has told of its health yet.');
	await isGood(page, 'device-software-empty');
	assert.equal(await page.isDisabled('button:text-is("Restart")'), true);
	for (const [op, of] of [['restart', {}], ['software_list', {}], ['software_update', { types: ['apt', 'docker'] }], ['config_snapshot', { types: ['nginx.conf'] }]]) says('cmd/' + op, of);
	says('status/health', { status: 'up' }, 'main', 'tedge-agent');
	says('status/health', { status: 'down' }, 'main', 'nginx');
	says('a/hot', { text: 'Too hot in here', severity: 'critical' });
	says('software/0/2', [{ type: 'apt', name: 'curl', version: '7.88.1' }, { type: 'apt', name: 'tree', version: '2.1.0' }]);
	says('software/1/2', [{ type: 'docker', name: 'nginx', version: '1.25' }]);
	await page.waitForSelector('td:has-text("tree")');
	await seen('Too hot in here');
	await page.waitForSelector('dt:text-is("nginx") + dd:has-text("down")');
});

test('what is installed is looked through', async () => {
	const names = async () => (await page.$$('section[aria-labelledby=si] tbody tr')).length;
	await until(async () => (await names()) === 3);
	await page.fill('input[type=search]', '2.1');
	await until(async () => (await names()) === 1);
	await page.fill('input[type=search]', '');
	await page.selectOption('#stype', 'docker');
	await until(async () => (await names()) === 1);
	await page.selectOption('#stype', '');
	await pictures(`/device/${deviceId}?tab=software`, 'device-software', 'td:has-text("tree")');
});

test('software is installed by the keyboard alone, and it is seen how far it is', async () => {
	await page.focus('button:text-is("Install")');
	await page.keyboard.press('Enter');
	await page.waitForSelector('dialog[open]');
	await isGood(page, 'device-software-form');
	await page.fill('dialog label:has-text("Name") input', 'hello');
	await page.keyboard.press('Enter');
	const o = await order('software_update');
	assert.deepEqual(JSON.parse(o[1]), { updateList: [{ type: 'apt', modules: [{ name: 'hello', action: 'install' }] }] });
	await page.waitForSelector('tr:has-text("+ hello (apt)"):has-text("waiting for the device")');
	state(o, 'executing');
	await page.waitForSelector('tr:has-text("+ hello (apt)"):has-text("running")');
	state(o, 'failed', { reason: 'no package hello' });
	await page.waitForSelector('tr:has-text("+ hello (apt)"):has-text("failed"):has-text("no package hello")');
	await isGood(page, 'device-software-failed');
});

test('software is removed, and the list follows', async () => {
	await page.click('button[aria-label="Uninstall: tree"]');
	await page.click('dialog[open] button:text-is("Uninstall")');
	const o = await order('software_update');
	assert.deepEqual(JSON.parse(o[1]).updateList[0].modules, [{ name: 'tree', version: '2.1.0', action: 'remove' }]);
	state(o, 'successful');
	says('software/0/1', [{ type: 'apt', name: 'curl', version: '7.88.1' }]);
	await page.waitForSelector('td:has-text("tree"):not(:has-text("tree 2.1.0"))', { state: 'detached' });
	await page.waitForSelector('tr:has-text("− tree 2.1.0 (apt)"):has-text("successful")');
});

test('it is restarted when somebody is sure', async () => {
	await page.click('button:text-is("Restart")');
	await page.click('dialog[open] button:text-is("Restart")');
	state(await order('restart'), 'successful');
	await page.waitForSelector('tr:has-text("Restart"):has-text("successful")');
});

test('a list that was asked for before, and comes late, sets nothing back', async () => {
	const p = await openPage(platform);
	await signIn(p, platform, `/device/${deviceId}?tab=software`);
	await seen('nginx', p);
	const rows = async (...texts) => (await p.$$('section[aria-labelledby=so] tbody tr' + texts.map((x) => `:has-text("${x}")`).join(''))).length;
	await until(async () => (await rows('Restart', 'successful')) === 1);
	const before = await rows();
	let old, release;
	const released = new Promise((r) => { release = r; });
	await p.route('**/operation/list?*', async (route) => {
		const { pathname, search } = new URL(route.request().url());
		const data = await api('GET', pathname + search);
		if (!old && data[0].status === 'pending') { // the first after it was ordered
			old = data;
			await released;
		}
		await route.fulfill({ json: { data } }).catch(() => {}); // the page may have been closed
	});
	await p.click('button:text-is("Restart")');
	await p.click('dialog[open] button:text-is("Restart")');
	await until(() => old);
	// what happens meanwhile is told by events: one goes on, another comes
	state(await order('restart'), 'successful');
	await until(async () => (await rows('Restart', 'successful')) === 2);
	await platform.post(hub + '/operation', { unitId, deviceId, operation: 'software_list' }, token);
	await until(async () => (await rows()) === before + 2);
	const late = p.waitForEvent('requestfinished', (r) => r.url().includes('/operation/list?'));
	release();
	await late;
	await p.evaluate(() => new Promise((r) => requestAnimationFrame(() => requestAnimationFrame(r))));
	assert.deepEqual([await rows('Restart', 'successful'), await rows('Restart', 'waiting'), await rows()], [2, 0, before + 2]);
	state(await order('software_list'), 'successful');
	await p.context().close();
});

test('a configuration is fetched, and saved as a file', async () => {
	await page.click('button:text-is("Fetch configuration")');
	const o = await order('config_snapshot'), { type, tedgeUrl } = JSON.parse(o[1]);
	assert.equal(type, 'nginx.conf');
	assert.equal((await fetch(tedgeUrl, { method: 'PUT', body: 'worker 1;\n' })).status, 204);
	state(o, 'successful', { tedgeUrl });
	const [file] = await Promise.all([page.waitForEvent('download'), page.click('tr:has-text("Fetch configuration") button:text-is("Save file")')]);
	assert.equal(file.suggestedFilename(), 'gw01-nginx.conf');
	assert.equal((await import('node:fs')).readFileSync(await file.path(), 'utf8'), 'worker 1;\n');
	assert.equal((await fetch(tedgeUrl, { method: 'PUT', body: 'late' })).status, 404);
});

test('it is forgotten on its gateway\'s page', async () => {
	const [gateway] = await api('GET', `${hub}/gateway/list?unit=${unitId}`);
	await visit(page, `/gateway/${gateway.id}?tab=enrolment`);
	await page.click('button[aria-label="Forget: gw01"]');
	await page.click('dialog[open] button:text-is("Forget")');
	await seen('No device has enrolled yet.');
});

test('in German, too', async () => {
	const p = await openPage(platform, { locale: 'de-DE' });
	await signIn(p, platform, `/device/${deviceId}?tab=software`);
	await seen('Installierte Software', p);
	await isGood(p, 'device-software-de');
	await p.context().close();
});

test('nothing was wrong on any page', () => finish());
