// Charts, Explore, the list of devices and the page of one.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { becomes as until, finish, idle, isGood, openPage, Platform, signIn, visit } from './platform.mjs';

const unit = 'farm';
let platform, page, token, unitId, networkId, barn, fields;
const hex = (o) => Buffer.from(JSON.stringify(o)).toString('hex');
const device = async (networkAddr, more = {}) => (await platform.post('/coremgr/api/v1/device', { unitId, networkId, networkAddr, profile: 'probe', ...more }, token)).deviceId;
const send = (deviceId, values) => platform.post(`/coremgr/api/v1/network/${networkId}/uldata`, { deviceId, payload: hex(values) }, token);
const fieldsOf = (deviceId) => platform.call('GET', `/hub/api/v1/field/list?unit=${unitId}&device=${deviceId}`, undefined, token);
// History, as if it had come then: [s since 1970, value].
async function past(fieldId, points) {
	const r = await fetch(`${platform.url}/write?db=${unit}`, { method: 'POST', headers: { Authorization: 'Token ' + token }, body: points.map(([at, v]) => `past,id=${fieldId} value=${v} ${Math.round(at * 1000)}000000`).join('\n') });
	assert.equal(r.status, 204, await r.text());
}
// As waitForFunction, which the CSP forbids once it has to wait.
const sees = (p, what, arg) => until(() => p.evaluate(what, arg));
const plot = (p, k) => p.getAttribute('.plot', 'data-' + k).then(Number);
const explore = (names, more = '') => `/explore?f=${names.map((n) => encodeURIComponent(encodeURIComponent(`wells.${n}`))).join(',')}${more}`;

before(async () => {
	platform = await Platform.start('--admin-password', 'a long password');
	token = await platform.token();
	unitId = (await platform.post('/coremgr/api/v1/unit', { code: unit, name: 'Farm' }, token)).unitId;
	networkId = (await platform.post('/coremgr/api/v1/network', { code: 'wells', unitId, hostUri: 'mqtt://localhost', name: 'Wells' }, token)).networkId;
	await platform.post('/hub/api/v1/profile', { unitId, code: 'probe', codec: 'json', fields: { temperature: { unit: '°C', name: 'Water' }, level: { unit: 'm', name: 'Level' }, mode: { name: 'Mode' }, pump: { name: 'Pump' } } }, token);
	barn = await device('well-1', { name: 'North well' });
	await device('well-2', { name: 'South well' });
	await send(barn, { temperature: 11.5, level: 3.2, mode: 'auto', pump: true });
	fields = Object.fromEntries((await until(async () => { const all = await fieldsOf(barn); return all.length === 4 && all; })).map((f) => [f.fieldId, f]));
	page = await openPage(platform);
	await signIn(page, platform);
});
after(() => platform?.stop());

test('fields are found by their device, and are drawn; a second browser sees the same by the address', async () => {
	const now = Date.now() / 1000, each = [];
	for (let k = 1; k <= 3 * 288; k++) if (k % 288 > 20) each.push([now - k * 300, (12 + 3 * Math.sin(k / 46)).toFixed(2)]);
	await past(fields.temperature.id, each);
	await past(fields.level.id, each.map(([at], i) => [at, (3 + Math.cos(i / 90)).toFixed(2)]));
	await past(fields.mode.id, [[now - 40000, '"off"'], [now - 30000, '"auto"'], [now - 9000, '"manual"']]);
	await past(fields.pump.id, [[now - 40000, 'false'], [now - 30000, 'true'], [now - 9000, 'false']]);
	await page.click('nav >> text=Explore');
	await page.waitForSelector('text=marram metric show');
	await isGood(page, 'explore-empty-light');
	await page.fill('[role=combobox]', 'north water');
	await page.click('[role=option]:has-text("North well · Water")');
	await page.fill('[role=combobox]', 'north');
	for (const n of ['Level', 'Mode', 'Pump']) await page.click(`[role=option]:has-text("· ${n}")`);
	await page.keyboard.press('Escape');
	await page.waitForSelector('.legend li:nth-child(4)');
	await until(async () => (await plot(page, 'points')) > 100 && (await plot(page, 'gaps')) > 0);
	assert.match(await page.textContent('figcaption'), /Each point stands for 5 minutes; the band goes from least to most/);
	await page.selectOption('label:has-text("Compare") select', 'day');
	await page.waitForSelector('.legend >> text=North well · Water, 1 day earlier');
	await isGood(page, 'explore-light');
	const other = await openPage(platform, { locale: 'de-DE', colorScheme: 'dark' });
	await signIn(other, platform, page.url().slice(platform.url.length));
	await other.waitForSelector('.legend >> text=North well · Water, 1 Tag früher');
	await isGood(other, 'explore-dark-de');
	await other.selectOption('label:has-text("Diagramme") select', '1');
	await sees(other, () => document.querySelectorAll('.plot').length === 4);
	await isGood(other, 'explore-apart-dark-de');
	await other.context().close();
});

test('100,000 values are drawn as they came, with their gaps, and finer where one zooms', async () => {
	const n = 99_990, many = await device('well-9', { name: 'Busy' });
	await send(many, { temperature: 1 });
	const f = (await until(async () => { const all = await fieldsOf(many); return all.length && all; }))[0], first = Math.floor(Date.now() / 1000) - 400_000;
	const points = Array.from({ length: n }, (_, i) => [first + i * 2 + Math.floor(i / 20_000) * 3600, i % 97]);
	for (let i = 0; i < n; i += 20_000) await past(f.id, points.slice(i, i + 20_000));
	await visit(page, explore(['well-9.data.temperature'], '&r=7d&fn=raw'));
	await sees(page, (all) => Number(document.querySelector('.plot')?.dataset.points) >= all, n + 1);
	assert.equal(await plot(page, 'points'), n + 1);
	assert.equal(await plot(page, 'gaps'), 5); // four, and before the last value
	await isGood(page, 'explore-many-light');
	await visit(page, explore(['well-9.data.temperature'], '&r=7d'));
	await page.waitForSelector('figcaption:has-text("Each point stands for")');
	await page.focus('.plot');
	const wide = (await plot(page, 'to')) - (await plot(page, 'from'));
	for (let i = 0; i < 8; i++) await page.keyboard.press('+');
	await page.waitForSelector('figcaption:has-text("Values as they came")');
	assert.ok(Math.abs(((await plot(page, 'to')) - (await plot(page, 'from'))) / wide - 1 / 256) < 0.001);
	await page.waitForURL(/z=/);
	const from = await plot(page, 'from');
	await page.keyboard.press('Shift+ArrowLeft');
	await sees(page, (x) => Number(document.querySelector('.plot').dataset.from) < x, from);
	await page.keyboard.press('ArrowRight');
	await sees(page, () => /Busy · Water/.test(document.querySelector('.chart output').textContent));
	await page.click('text=Whole range');
	await page.waitForSelector('figcaption:has-text("Each point stands for")');
});

test('a chart is moved by mouse: wheel, drag, a part with Shift, and back', async () => {
	const box = await page.locator('.u-over').boundingBox(), x = box.x + box.width / 2, y = box.y + box.height / 2;
	const from = await plot(page, 'from');
	await page.mouse.click(x, y);
	await page.mouse.wheel(0, -400);
	await sees(page, (a) => Number(document.querySelector('.plot').dataset.from) > a, from);
	const zoomed = await plot(page, 'from');
	await page.mouse.move(x, y);
	await page.mouse.down();
	await page.mouse.move(x + 100, y, { steps: 4 });
	await page.mouse.up();
	await sees(page, (a) => Number(document.querySelector('.plot').dataset.from) < a, zoomed);
	const long = (await plot(page, 'to')) - (await plot(page, 'from'));
	await page.keyboard.down('Shift');
	await page.mouse.move(x, y);
	await page.mouse.down();
	await page.mouse.move(x + box.width / 4, y, { steps: 4 });
	await page.mouse.up();
	await page.keyboard.up('Shift');
	await sees(page, (l) => { const d = document.querySelector('.plot').dataset; return d.to - d.from < l / 2; }, long);
	await page.mouse.dblclick(x, y);
	await sees(page, (l) => { const d = document.querySelector('.plot').dataset; return d.to - d.from > l; }, long);
});

test('what is shown can be taken along as CSV, and is a table', async () => {
	await visit(page, explore(['well-1.data.temperature', 'well-1.data.mode'], '&r=24h'));
	await page.waitForSelector('.legend >> text=North well · Mode');
	await page.click('button:text-is("Table")');
	await page.waitForSelector('.rows td:has-text("11.5")');
	await page.click('.rows th button:has-text("Water (°C)")');
	await isGood(page, 'explore-table-light');
	const [file] = await Promise.all([page.waitForEvent('download'), page.click('.chart button:text-is("CSV")')]);
	const chunks = [];
	for await (const c of await file.createReadStream()) chunks.push(c);
	const rows = Buffer.concat(chunks).toString().trim().split('\r\n');
	assert.equal(rows[0], 'time,North well · Water [°C],"North well · Water, least [°C]","North well · Water, most [°C]",North well · Mode');
	assert.ok(rows.length > 200 && rows.some((r) => r.endsWith(',manual')));
	await page.click('button:text-is("Chart")');
});

test('the page of a device: its values as they come, its history, its messages read', async () => {
	await visit(page, '/device/' + barn);
	await page.waitForSelector('h1:text-is("North well")');
	await page.waitForSelector('[data-field=temperature]:text-is("11.5 °C")');
	await page.waitForSelector('.plot canvas');
	await isGood(page, 'device-overview-light');
	await page.click('[role=tab]:text-is("Live")');
	await page.waitForSelector('text=Listening');
	await send(barn, { temperature: 12.25, level: 3.3, mode: 'manual', pump: false });
	await page.waitForSelector('.came li:has-text("12.25 °C")');
	await page.waitForSelector('pre:has-text("12.25")');
	await isGood(page, 'device-live-light');
	await page.click('[role=tab]:text-is("History")');
	await sees(page, () => document.querySelectorAll('.plot').length === 4);
	await page.uncheck('label:has-text("Pump") input');
	await sees(page, () => document.querySelectorAll('.plot').length === 3);
	await isGood(page, 'device-history-light');
	await page.click('[role=tab]:text-is("Messages")');
	await page.waitForSelector('td:has-text("manual") >> .. >> .values:has-text("Water 12.25 °C")');
	// one that comes late stands where it belongs, however it was stored
	const password = 'net password';
	await platform.call('PATCH', '/coremgr/api/v1/network/' + networkId, { password }, token);
	platform.paste(`mosquitto_pub -h localhost -p ${platform.mqtt} -u network.${unit}.wells -P '${password}' -q 1 -t broker.network.${unit}.wells.uldata -m '${JSON.stringify({ time: new Date(Date.now() - 3600_000).toISOString(), networkAddr: 'well-1', data: hex({ temperature: 9.75 }) })}'`);
	await until(async () => (await platform.call('GET', `/data/api/v1/network-uldata/list?unit=${unitId}&device=${barn}&limit=5&sort=proc:desc`, undefined, token)).some((m) => m.data === hex({ temperature: 9.75 })));
	await page.reload(); // what is older than the value makes no event
	await page.waitForSelector('td:has-text("9.75")');
	const times = await page.$$eval('.payload', (all) => all.map((x) => x.textContent));
	assert.ok(times[0].includes('12.25') && times.at(-1).includes('9.75'), times.join());
	await page.selectOption('label:has-text("Shown as") select', 'hex');
	await page.waitForSelector('.payload:has-text("7b 22")');
	await isGood(page, 'device-messages-light');
	await page.goBack();
	await sees(page, () => document.querySelectorAll('.plot').length >= 3);
});

test('its configuration is changed, and can be taken back; a second browser sees it', async () => {
	const other = await openPage(platform, { viewport: { width: 360, height: 740 }, colorScheme: 'dark' });
	await signIn(other, platform, `/device/${barn}?tab=configuration`);
	await visit(page, `/device/${barn}?tab=configuration`);
	await page.waitForSelector('text=Nobody: no route');
	await platform.post('/coremgr/api/v1/application', { code: 'hall', unitId, hostUri: 'mqtt://localhost', name: 'Hall' }, token);
	await page.reload();
	await page.selectOption('#to', { label: 'Hall' });
	await page.click('form:has(#to) button');
	await page.waitForSelector('li:has-text("its own route")');
	await page.click('[aria-label="Change: Water"], [aria-label="Edit: Water"]');
	await page.fill('dialog label:has-text("Name") input', 'Ground water');
	await page.check('dialog label:has-text("Keep this unit") input');
	await isGood(page, 'device-field-light');
	await page.click('dialog button:text-is("Save")');
	for (const p of [page, other]) await p.waitForSelector('td:has-text("Ground water")');
	await page.click('.toast:has-text("Ground water") button:text-is("Undo")');
	for (const p of [page, other]) await p.waitForSelector('td:text-is("Water")');
	await isGood(other, 'device-configuration-phone-dark');
	await isGood(page, 'device-configuration-light');
	await other.context().close();
});

test('what can be set has a button; what perhaps can, a menu; what can not, neither', async () => {
	const at = async (id, values) => { await send(id, values); await until(async () => (await fieldsOf(id)).length === Object.keys(values).length); await visit(page, '/device/' + id); await page.waitForSelector('.field >> nth=1'); };
	const buttons = (p) => p.$$eval('.field .set', (all) => all.map((b) => b.getAttribute('aria-label'))), menus = (p) => p.locator('.field .more').count();
	// JSON: everything would be sent, and nobody knows what is done with it
	await visit(page, '/device/' + barn);
	await page.waitForSelector('[aria-label="More of Pump"]');
	await until(async () => (await menus(page)) === 4);
	assert.deepEqual(await buttons(page), []);
	await page.click('[aria-label="More of Pump"]');
	await isGood(page, 'device-set-menu');
	await page.click('.menu >> text=Set the value');
	await page.waitForSelector('dialog[open]:has-text("Set Pump") select');
	await page.click('dialog[open] button:text-is("Cancel")');
	await platform.call('PATCH', '/hub/api/v1/field/' + fields.pump.id, { labels: { writable: 'true' } }, token);
	await page.waitForSelector('[aria-label="Set Pump"].set');
	await until(async () => (await menus(page)) === 3);
	// a profile that encodes one of its fields, and one that encodes none
	const profile = (code, script) => platform.post('/hub/api/v1/profile', { unitId, code, codec: 'javascript', script: 'function decodeUplink(i) { return { data: JSON.parse(String.fromCharCode(...i.bytes)) }; }\n' + script }, token);
	await profile('valve', 'function encodeDownlink(i) { return { bytes: [i.data.open ? 1 : 0] }; }');
	await profile('gauge', '');
	const valve = await device('valve-1', { profile: 'valve' }), gauge = await device('gauge-1', { profile: 'gauge' });
	await at(valve, { open: true, flow: 2 });
	await page.waitForSelector('[aria-label="Set open"].set');
	assert.deepEqual([await buttons(page), await menus(page)], [['Set open'], 1]);
	await page.click('[role=tab]:text-is("Downlink")');
	assert.equal((await page.textContent('section[aria-labelledby=ds] option >> nth=0')), 'open');
	await at(gauge, { deep: 1, high: 2 });
	await page.waitForSelector('h1:text-is("gauge-1")');
	await page.waitForSelector('[data-field=deep]');
	assert.deepEqual([await buttons(page), await menus(page)], [[], 0]);
	const phone = await openPage(platform, { viewport: { width: 360, height: 740 }, colorScheme: 'dark', locale: 'de-DE' });
	await signIn(phone, platform, '/device/' + barn);
	await phone.click('[aria-label="Mehr zu Mode"]');
	await isGood(phone, 'device-set-phone-dark');
	await phone.context().close();
	await visit(page, '/device/' + barn); // what is gone is not asked for
	await page.waitForSelector('h1:text-is("North well")');
	await idle(page);
	for (const id of [valve, gauge]) await platform.call('DELETE', '/coremgr/api/v1/device/' + id, undefined, token);
});

test('it is told something, and what became of it is shown', async () => {
	await page.click('[role=tab]:text-is("Downlink")');
	await page.fill('textarea', 'no hex');
	await page.click('button:text-is("Send")');
	await page.waitForSelector('.error:has-text("Hex is pairs")');
	await page.fill('textarea', '01 00 ff');
	await page.click('button:text-is("Send")');
	await page.waitForSelector('li:has-text("0100ff"):has-text("waiting")');
	await isGood(page, 'device-downlink-light');
	await page.click('[role=tab]:text-is("Messages")');
	await page.selectOption('label:has-text("Direction") select', 'down');
	await page.waitForSelector('td:has-text("waiting")');
});

test('the list of devices: search, filters, columns and views, which are kept on the server', async () => {
	const other = await openPage(platform, { viewport: { width: 360, height: 740 } });
	await page.click('nav >> text=Devices');
	await page.waitForSelector('td:has-text("South well")');
	await isGood(page, 'devices-list-light');
	await page.fill('input[type=search]', 'south');
	await page.waitForSelector('td:has-text("North well")', { state: 'detached' });
	await page.fill('input[type=search]', 'well-9');
	await page.waitForSelector('td a:text-is("Busy")');
	await page.fill('input[type=search]', '');
	await page.waitForSelector('td:has-text("South well")');
	await page.selectOption('label:has-text("State") select', 'up');
	await page.waitForSelector('td:has-text("South well")', { state: 'detached' });
	await page.click('.cols summary');
	await page.uncheck('.sheet label:has-text("Profile") input');
	await page.click('.cols summary');
	await page.click('th button:has-text("Last heard")');
	await page.click('text=Save view');
	await page.fill('dialog input', 'Awake');
	await page.click('dialog button:text-is("Save")');
	await page.waitForSelector('.toast:has-text("The view Awake was saved")');
	await signIn(other, platform, '/devices');
	await other.selectOption('label:has-text("View") select', { label: 'Awake' });
	await other.waitForSelector('td:has-text("North well")');
	await other.waitForSelector('td:has-text("South well")', { state: 'detached' });
	await other.selectOption('label:has-text("Shown as") select', 'cards');
	await other.waitForSelector('.cards dd:has-text("12.25 °C")');
	await isGood(other, 'devices-cards-phone-light');
	await send(barn, { temperature: 13.5 });
	await other.waitForSelector('.cards dd:has-text("13.5 °C")');
	await other.context().close();
});

test('devices are added by a list, changed and deleted many at once, with a way back', async () => {
	await visit(page, '/devices');
	await page.click('button:has-text("Add")');
	await page.click('text=Paste a list');
	await page.fill('dialog textarea', 'address,name,profile\nvat-1,"Vat, north"\nvat-2,Vat 2,probe\nvat-3');
	await isGood(page, 'devices-paste-light');
	await page.click('dialog button:text-is("Add 3")');
	await page.waitForSelector('td:has-text("Vat, north")');
	await page.fill('input[type=search]', 'vat');
	await sees(page, () => document.querySelectorAll('tbody tr').length === 3 && [...document.querySelectorAll('tbody tr')].every((r) => r.textContent.includes('vat-')));
	await page.check('[aria-label="Select all"]');
	await page.click('.many >> text=Set profile');
	await page.selectOption('dialog select', 'probe');
	await page.click('dialog button:text-is("Save")');
	await page.waitForSelector('tr:has-text("Vat, north"):has(td:text-is("probe"))');
	await page.click('.toast:has-text("3 changed") >> button:text-is("Undo")');
	await page.waitForSelector('tr:has-text("Vat, north"):has(td:text-is("probe"))', { state: 'detached' });
	await page.check('[aria-label="Select all"]');
	await page.click('.many >> text=Route');
	await page.click('dialog button:text-is("Route")');
	await page.waitForSelector('.toast:has-text("3 routed")');
	await page.check('[aria-label="Select all"]');
	await page.click('.many >> text=Delete');
	await page.waitForSelector('dialog li:has-text("Vat, north")');
	await page.click('dialog button:text-is("Delete")');
	await page.waitForSelector('text=Nothing fits the search.');
});

test('by keyboard alone: a device, its tabs, and its chart', async () => {
	await visit(page, '/devices');
	await page.focus('td a:text-is("North well")');
	await page.keyboard.press('Enter');
	await page.waitForSelector('[role=tab]');
	await page.focus('[role=tab][aria-selected=true]');
	await page.keyboard.press('ArrowRight');
	await page.waitForSelector('text=The last 15 minutes');
	await page.keyboard.press('ArrowRight');
	await page.waitForSelector('.plot');
	await page.focus('.plot');
	await page.keyboard.press('End');
	await sees(page, () => /\d/.test(document.querySelector('.chart output').textContent));
});

test('a device is deleted; what goes with it is said', async () => {
	await page.click('main button:text-is("Delete")');
	await page.waitForSelector('dialog li:has-text("4 fields")');
	await isGood(page, 'device-delete-light');
	await page.click('dialog button:text-is("Delete")');
	await page.waitForURL(/devices/);
	await page.waitForSelector('td:has-text("South well")');
	assert.equal(await page.locator('td:has-text("North well")').count(), 0);
	await page.click('.toast:has-text("North well was deleted") >> button:text-is("Undo")');
	await until(() => platform.call('GET', `/broker/api/v1/device/count?unit=${unitId}&addr=well-1`, undefined, token).then((r) => r.count === 1));
	await visit(page, `/device/${barn}?tab=versions`);
	await page.waitForSelector('h1:text-is("North well")');
	await isGood(page, 'device-versions-light');
});

// A chart may ask for a field at the moment it goes, or before it is kept: that is
// answered with 404, and asked again.
test('no page had an error or asked another host', () => finish({ meant: /404 .*\/hub\/api\/v1\/metric$/ }));
