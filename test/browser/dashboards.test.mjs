// Dashboards: made by mouse and by keyboard, live, and setting what can be set.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { createInterface } from 'node:readline';
import { becomes as until, finish, idle, isGood, openPage, Platform, signIn, until as sees } from './platform.mjs';

let platform, page, token, unit, device, relay;
const PASSWORD = 'net password', NODE = 'sensors.hall';
const hex = (o) => Buffer.from(typeof o === 'string' ? o : JSON.stringify(o)).toString('hex');
const pub = (o) => platform.paste(`mosquitto_pub -h localhost -p ${platform.mqtt} -u sensors -P '${PASSWORD}' -t broker.network.home.sensors.uldata -m '${JSON.stringify({ time: new Date().toISOString(), networkAddr: 'hall', data: hex(o) })}'`);
const api = (method, path, data) => platform.call(method, '/hub/api/v1/' + path, data, token);
const quick = (f) => `field:${NODE}.data.${f}`;
const box = (p, title) => p.locator(`[aria-label="${title}"][data-widget]`);
const layout = async (id) => Object.fromEntries((await api('GET', 'dashboard/' + id)).widgets.map((w) => [w.title, w.layout]));
const W = (title, type, config, layout = { x: 0, y: 0, w: 25, h: 16 }, more = {}) => ({ id: title, title, showTitle: true, type, layout, config, ...more });
const make = async (title, widgets) => (await api('POST', 'dashboard', { unitId: unit, title, widgets })).id;

before(async () => {
	platform = await Platform.start('--admin-password', 'a long password');
	token = await platform.token();
	const post = (path, data) => platform.post(path, data, token);
	unit = (await post('/coremgr/api/v1/unit', { code: 'home', name: 'Home' })).unitId;
	const network = (await post('/coremgr/api/v1/network', { code: 'sensors', unitId: unit, hostUri: 'mqtt://localhost', name: 'Sensors' })).networkId;
	await platform.call('PATCH', '/coremgr/api/v1/network/' + network, { password: PASSWORD }, token);
	await api('POST', 'profile', { unitId: unit, code: 'probe', codec: 'json', fields: { temperature: { unit: '°C', name: 'Air' }, humidity: { unit: '%', name: 'Humidity' } } });
	device = (await post('/broker/api/v1/device', { unitId: unit, networkId: network, networkAddr: 'hall', name: 'Hall', profile: 'probe' })).deviceId;
	pub({ temperature: 21.5, humidity: 40, relay: false, mode: 'eco', level: 30, rgb: '#112233' });
	await until(async () => (await api('GET', 'field/list?unit=' + unit)).length === 6);
	const field = (await api('GET', 'field/list?unit=' + unit)).find((f) => f.fieldId === 'relay');
	await api('PATCH', 'field/' + field.id, { labels: { writable: 'true', room: 'hall' } });
	// A device that does what it is told, and says so.
	relay = spawn('mosquitto_sub', ['-h', 'localhost', '-p', platform.mqtt, '-u', 'sensors', '-P', PASSWORD, '-t', 'broker.network.home.sensors.dldata', '-q', '1']);
	createInterface({ input: relay.stdout }).on('line', (l) => {
		const told = JSON.parse(Buffer.from(JSON.parse(l).data, 'hex').toString());
		if (told.mode !== 'deaf') pub(told);
	});
	page = await openPage(platform);
	await signIn(page, platform, '/dashboards');
});
after(async () => { relay?.kill(); await platform?.stop(); });

async function drag(p, from, dx, dy) {
	const b = await from.boundingBox();
	await p.mouse.move(b.x + b.width / 2, b.y + b.height / 2);
	await p.mouse.down();
	await p.mouse.move(b.x + b.width / 2 + dx / 2, b.y + b.height / 2 + dy / 2, { steps: 4 });
	await p.mouse.move(b.x + b.width / 2 + dx, b.y + b.height / 2 + dy, { steps: 4 });
	await p.mouse.up();
}
async function add(p, kind, words, option) {
	await p.click('.bar button:text-is("Add a widget")');
	await p.click(`dialog button:has(b:text-is("${kind}"))`);
	if (words) {
		await p.waitForSelector('dialog[open] :is([role=combobox], button:text-is("Add one"))');
		if (await p.isVisible('dialog[open] button:text-is("Add one")')) if (!(await p.isVisible('dialog[open] [role=combobox]'))) await p.click('dialog[open] button:text-is("Add one")');
		await p.fill('dialog[open] [role=combobox]', words);
		await p.click(`dialog[open] [role=option]:has-text("${option}")`);
	}
}
let home;
test('a dashboard is made by mouse: added, dragged, resized, undone, saved at once', async () => {
	await page.waitForSelector('text=A dashboard shows values');
	await isGood(page, 'dashboards-empty-light');
	await page.click('button:text-is("New dashboard")');
	await page.fill('dialog [required]', 'Home');
	await page.click('dialog button:text-is("Make it")');
	await page.waitForURL(/\/dashboard\/.*edit/);
	home = /dashboard\/([^?]+)/.exec(page.url())[1];
	await add(page, 'Value', 'Hall', 'Air');
	await isGood(page, 'dashboard-settings-light');
	await page.click('dialog button:text-is("Add")');
	await box(page, 'Air').locator('[data-value]:text-is("21.5 °C")').waitFor();
	await add(page, 'Value', 'humid', 'Humidity');
	await page.fill('dialog[open] label:has-text("Title") input >> nth=0', 'Damp');
	await page.click('dialog button:text-is("Add")');
	await box(page, 'Damp').locator('[data-value]:text-is("40 %")').waitFor();
	const before = await box(page, 'Damp').boundingBox();
	await drag(page, box(page, 'Damp').locator('h2'), 400, 0);
	await until(async () => (await box(page, 'Damp').boundingBox()).x > before.x + 390);
	const moved = await box(page, 'Damp').boundingBox();
	await drag(page, box(page, 'Damp').locator('.corner'), 120, 60);
	await until(async () => (await box(page, 'Damp').boundingBox()).width > moved.width + 110);
	const larger = await box(page, 'Damp').boundingBox();
	assert.ok(larger.height > moved.height + 40);
	await page.click('button:text-is("Undo")');
	await until(async () => (await box(page, 'Damp').boundingBox()).width < larger.width - 80);
	await page.click('button:text-is("Redo")');
	await until(async () => (await box(page, 'Damp').boundingBox()).width > moved.width + 80);
	await isGood(page, 'dashboard-edit-light');
	const sent = [];
	page.on('request', (r) => { if (r.method() === 'PATCH') sent.push(r.url()); });
	await page.keyboard.press('Control+s');
	await page.waitForSelector('button:text-is("Edit")');
	assert.equal(sent.length, 1);
	assert.ok((await layout(home)).Damp.w > 20);
});

test('by keyboard: moved, resized, locked, each step announced', async () => {
	await page.focus('button:text-is("Edit")');
	await page.keyboard.press('Enter');
	const handle = box(page, 'Damp').locator('.handle');
	await handle.focus();
	const was = (await layout(home)).Damp;
	await page.keyboard.press('ArrowLeft');
	await sees(page, () => /Damp: column \d+ of 100, row \d+/.test(document.querySelector('[data-said]').textContent));
	assert.equal(await page.evaluate(() => document.activeElement.className.includes('handle')), true);
	await page.keyboard.press('Shift+ArrowDown');
	await page.keyboard.press('Control+s');
	await page.waitForSelector('button:text-is("Edit")');
	const now = (await layout(home)).Damp;
	assert.deepEqual([now.x, now.h], [was.x - 5, was.h + 2]);
	await page.click('button:text-is("Edit")');
	await box(page, 'Damp').locator('[aria-label="Lock Damp"]').focus();
	await page.keyboard.press('Enter');
	await handle.focus();
	await page.keyboard.press('ArrowLeft');
	await sees(page, () => /is locked/.test(document.querySelector('[data-said]').textContent));
	await page.keyboard.press('Control+z');
	await page.waitForSelector('[aria-label="Lock Damp"][aria-pressed=false]');
	await page.click('button:text-is("Cancel")');
});

test('by finger, on a phone, which gets a layout of its own', async () => {
	const phone = await openPage(platform, { viewport: { width: 360, height: 740 }, hasTouch: true });
	await signIn(phone, platform, `/dashboard/${home}`);
	const damp = await box(phone, 'Damp').boundingBox();
	assert.ok(damp.width > 300, 'one column');
	await phone.click('button:text-is("Edit")');
	await box(phone, 'Damp').locator('.head').waitFor();
	const first = (await phone.$$eval('[data-widget]', (all) => all.map((x) => x.ariaLabel)))[0];
	const b = await box(phone, first).locator('h2').boundingBox(), cdp = await phone.context().newCDPSession(phone), at = (y) => [{ x: b.x + 20, y }];
	await cdp.send('Input.dispatchTouchEvent', { type: 'touchStart', touchPoints: at(b.y + 8) });
	for (let y = 0; y <= 200; y += 20) await cdp.send('Input.dispatchTouchEvent', { type: 'touchMove', touchPoints: at(b.y + 8 + y) });
	await cdp.send('Input.dispatchTouchEvent', { type: 'touchEnd', touchPoints: [] });
	await until(async () => (await phone.$$eval('[data-widget]', (all) => all.map((x) => x.ariaLabel)))[0] !== first);
	await isGood(phone, 'dashboard-edit-phone-light');
	await phone.click('button:text-is("Save")');
	await phone.waitForSelector('button:text-is("Edit")');
	const { widgets } = await api('GET', 'dashboard/' + home);
	assert.ok(widgets.every((w) => w.layouts.xxs.w <= 10));
	assert.ok(widgets.find((w) => w.title === 'Damp').layout.w > 20, 'that of wide screens is as it was');
	await phone.context().close();
});

let all;
test('every kind of widget shows a value, and a new one', async () => {
	const field = (f) => ({ type: 'field', quickId: quick(f).slice(6), nameKey: 'name' }), one = (f) => ({ ...field(f), filterType: 'quick_id', displayName: true, roundDecimal: 1 });
	let n = 0;
	const spot = (w = 25, h = 16) => ({ x: (n % 4) * 25, y: Math.floor(n++ / 4) * 16, w, h });
	all = await make('All', [
		W('Mixed', 'widget_charts_panel', { subType: 'mixed_chart', chart: { chartType: 'line', duration: '-1h' }, axisYCount: 2, resources: [{ resourceType: 'field', quickId: quick('temperature'), yAxis: 0 }, { resourceType: 'field', quickId: quick('humidity').slice(6), yAxis: 1, chartType: 'area' }] }, { x: 0, y: 0, w: 50, h: 26 }),
		W('Group', 'widget_charts_panel', { subType: 'group_chart', chart: { chartType: 'bar', duration: '-6h', interval: '3m', metricFunction: 'max', stackCharts: true }, resource: { type: 'field', filters: { metricType: 'gauge_float' }, nameKey: 'name', limit: 5 } }, { x: 50, y: 0, w: 50, h: 26 }),
		...[W('Pie', 'widget_charts_panel', { subType: 'pie_chart', chart: {}, resources: [{ quickId: quick('humidity') }, { quickId: quick('level') }] }),
			W('Half', 'widget_utilization_panel', { type: 'circle_size_50', resource: one('temperature'), chart: { maximumValue: 50, thresholds: { 30: '#cc0000' } } }), W('Round', 'widget_utilization_panel', { type: 'circle_size_100', resource: one('temperature'), chart: {} }),
			W('Area', 'widget_utilization_panel', { type: 'spark_area', resource: one('temperature'), metric: { duration: '-1h' } }), W('Bars', 'widget_utilization_panel', { type: 'spark_bar', resource: one('temperature'), metric: { duration: '-1h' } }),
			W('Rows', 'widget_utilization_panel', { type: 'table', resource: { type: 'field', filterType: 'detailed_filter', filter: { nodeId: 'hall' }, nameKey: 'name', limit: 10 }, table: { displayStatusPercentage: true } }),
			W('Value', 'widget_value_panel', { resource: one('temperature') }), W('Mode', 'widget_value_panel', { resource: { type: 'node', quickId: NODE, valueKey: 'state.status' } }),
			W('Shown', 'widget_image_panel', { sourceType: 'image_from_field', field: { id: quick('relay'), type: 'custom_mapping', displayValue: true, custom_mapping: { true: 'icon:fa:FaLightbulb', false: 'icon:fa:FaPowerOff' } } }),
			W('Logo', 'widget_image_panel', { sourceType: 'url', imageURL: '/logo.svg', rotation: 90 }), W('Note', 'widget_text_panel', { text: '# Hall\n\n**Warm** and <b>dry</b>\n\n- one\n- [list](/devices)' }), W('', 'widget_empty_panel', {}), W('Other', 'widget_of_tomorrow', { a: 1 })].map((w) => ({ ...w, layout: { ...spot(), y: 30 + Math.floor((n - 1) / 4) * 16 } })),
	]);
	await page.goto(`${platform.url}/dashboard/${all}`);
	for (const kind of ['Half', 'Round', 'Area', 'Bars', 'Value']) await box(page, kind).locator('[data-value]:text-is("21.5 °C")').waitFor();
	await box(page, 'Rows').locator('td:text-is("eco")').waitFor();
	await box(page, 'Mode').locator('text="up"').waitFor();
	await box(page, 'Shown').locator('svg[aria-label^="FaPowerOff"]').waitFor();
	await box(page, 'Pie').locator('text=57.1 %').waitFor();
	await box(page, 'Note').locator('strong:text-is("Warm")').waitFor();
	await box(page, 'Note').locator('text=<b>dry</b>').waitFor();
	await box(page, 'Other').locator('text=widget_of_tomorrow').waitFor();
	await until(() => box(page, 'Logo').locator('img').evaluate((i) => i.naturalWidth > 0));
	for (const kind of ['Mixed', 'Group']) await box(page, kind).locator('.plot canvas').waitFor();
	await sees(page, () => document.querySelector('[aria-label=Mixed] .plot')?.dataset.points >= 2);
	const points = Number(await box(page, 'Mixed').locator('.plot').getAttribute('data-points'));
	pub({ temperature: 33.25, relay: true, level: 120 });
	for (const kind of ['Half', 'Round', 'Area', 'Bars']) await box(page, kind).locator('[data-value]:text-is("33.3 °C")').waitFor();
	await box(page, 'Rows').locator('td:text-is("33.25 °C")').waitFor();
	await box(page, 'Shown').locator('svg[aria-label^="FaLightbulb"]').waitFor();
	await box(page, 'Pie').locator('text=75 %').waitFor();
	await box(page, 'Half').locator('circle[stroke="#cc0000"]').waitFor();
	await sees(page, (n) => document.querySelector('[aria-label=Mixed] .plot')?.dataset.points > n, points);
	await box(page, 'Group').locator('[data-loaded=true]').waitFor();
	await isGood(page, 'dashboard-all-light');
});

test('one subscription of quick ids for the page', async () => {
	const asked = [];
	page.on('websocket', (ws) => ws.on('framesent', (f) => { const x = JSON.parse(f.payload); if (x.type === 'subscribe') asked.push(x); }));
	await page.reload();
	await box(page, 'Value').locator('[data-value]').waitFor();
	const ids = asked.filter((a) => a.quickIds);
	assert.equal(ids.length, 1, JSON.stringify(asked));
	assert.equal(new Set(ids[0].quickIds).size, ids[0].quickIds.length);
	assert.ok(asked.every((a) => a.quickIds || a.filters || a.entityTypes[0] === 'dashboard'));
});

test('a range for all charts, and zooming one zooms all', async () => {
	await page.selectOption('main select', '-3h');
	await page.waitForURL(/range=-3h/);
	const long = (w) => box(page, w).locator('.plot').evaluate((e) => e.dataset.to - e.dataset.from);
	for (const w of ['Mixed', 'Group']) await until(async () => Math.abs((await long(w)) - 3 * 3600) < 5);
	await box(page, 'Mixed').locator('.plot').focus();
	await page.keyboard.press('+');
	for (const w of ['Mixed', 'Group']) await until(async () => (await long(w)) < 2 * 3600);
	await page.click('button:text-is("Back to now")');
	for (const w of ['Mixed', 'Group']) await until(async () => Math.abs((await long(w)) - 3 * 3600) < 5);
	// also before the answer to what was zoomed to has come
	let release;
	const held = new Promise((done) => { release = done; });
	await page.route('**/hub/api/v1/metric', async (r) => { await held; await r.continue(); });
	await box(page, 'Mixed').locator('.plot').focus();
	await page.keyboard.press('+');
	await page.click('button:text-is("Back to now")');
	release();
	for (const w of ['Mixed', 'Group']) await until(async () => Math.abs((await long(w)) - 3 * 3600) < 5);
	await page.unroute('**/hub/api/v1/metric');
});

test('controls set fields: sent, confirmed, and failed when nobody answers', async () => {
	const of = (kind, f, config = {}, more = {}) => ({ resource: { type: 'field', quickId: quick(f) }, control: { type: kind, config, ...more } });
	const id = await make('Controls', [
		W('Relay', 'widget_control_panel', { type: 'switch_toggle', tableView: true, resource: { type: 'field', filters: { 'labels.room': 'hall' }, nameKey: 'name', limit: 10 } }, { x: 0, y: 0, w: 30, h: 14 }),
		W('Many', 'widget_control_panel', { type: 'mixed_control', resources: [of('switch_button', 'relay'), of('slider', 'level', { slider: { min: 0, max: 100, step: 5 } }), of('options_tab', 'mode', { options: { eco: 'Eco', heat: 'Heat' } }), of('options_select', 'mode', { options: { eco: 'Eco', heat: 'Heat', deaf: 'Deaf' } }), of('input', 'humidity'), of('button_push', 'mode', { payload: 'heat' }, { askConfirmation: true, confirmationMessage: 'Really heat?' })] }, { x: 30, y: 0, w: 40, h: 40 }),
		W('Lamp', 'widget_light_panel', { lightType: 'light_rgbcwww', rgbComponent: 'rgb_color_picker', fieldIds: { power: quick('relay'), brightness: quick('level'), colorTemperature: quick('humidity'), rgb: quick('rgb') } }, { x: 70, y: 0, w: 30, h: 26 }),
	]);
	const other = await openPage(platform);
	await signIn(other, platform, '/dashboard/' + id);
	await page.goto(`${platform.url}/dashboard/${id}`);
	pub({ relay: true, level: 30 });
	await box(page, 'Relay').locator('[role=switch][aria-checked=true]').click();
	await box(page, 'Relay').locator('[data-state=confirmed]').waitFor();
	await box(page, 'Relay').locator('[role=switch][aria-checked=false]').waitFor();
	await box(other, 'Relay').locator('[role=switch][aria-checked=false]').waitFor();
	assert.equal((await api('GET', 'field/list?unit=' + unit)).find((f) => f.fieldId === 'relay').current.value, false);
	const many = box(page, 'Many');
	await many.locator('[type=range]').focus();
	await page.keyboard.press('Home');
	await page.keyboard.press('ArrowRight');
	await many.locator('tr:has([type=range]) output:text-is("5")').waitFor();
	await box(other, 'Many').locator('tr:has([type=range]) output:text-is("5")').waitFor();
	await many.locator('[role=radio]:text-is("Heat")').click();
	await many.locator('[role=radio][aria-checked=true]:text-is("Heat")').waitFor();
	await many.locator('form input').fill('55');
	await many.locator('form input').press('Enter');
	await until(async () => (await api('GET', 'field/list?unit=' + unit)).find((f) => f.fieldId === 'humidity').current.value === 55);
	await many.locator('[role=radio]:text-is("Eco")').click();
	await many.locator('[role=radio][aria-checked=true]:text-is("Eco")').waitFor();
	await many.locator('button:text-is("heat")').click();
	await page.click('dialog:has-text("Really heat?") button:text-is("Set")');
	await many.locator('[role=radio][aria-checked=true]:text-is("Heat")').waitFor();
	await box(page, 'Lamp').locator('[type=color]').fill('#ff8800');
	await until(async () => (await api('GET', 'field/list?unit=' + unit)).find((f) => f.fieldId === 'rgb').current.value === '#ff8800');
	await box(page, 'Lamp').locator('[role=switch]').click();
	await box(other, 'Relay').locator('[role=switch][aria-checked=true]').waitFor();
	await many.locator('select').selectOption('deaf');
	await many.locator('[data-state=sent] >> text=not yet confirmed').waitFor();
	await isGood(page, 'dashboard-controls-light');
	await many.locator('[data-state=failed] >> text=did not confirm').waitFor();
	await other.context().close();
});

test('what another changes is seen, and never overwritten unseen', async () => {
	const other = await openPage(platform);
	await signIn(other, platform, '/dashboard/' + home);
	await page.goto(`${platform.url}/dashboard/${home}`);
	await page.click('button:text-is("Edit")');
	await page.fill('.bar input >> nth=0', 'Mine');
	await page.press('.bar input >> nth=0', 'Tab');
	await other.click('button:text-is("Edit")');
	await box(other, 'Damp').locator('[aria-label="Take away Damp"]').click();
	await other.click('button:text-is("Save")');
	await page.waitForSelector('text=Somebody else saved this dashboard');
	await page.click('button:text-is("Save")');
	await page.waitForSelector('dialog:has-text("Changed by somebody else")');
	assert.equal((await api('GET', 'dashboard/' + home)).title, 'Home');
	await page.click('dialog button:text-is("Save mine over it")');
	await other.waitForSelector('h1:text-is("Mine")');
	await other.context().close();
	// Saved in the very moment in which it is sent: the server says so.
	await page.click('button:text-is("Edit")');
	await page.fill('.bar input >> nth=1', 'mine');
	await page.press('.bar input >> nth=1', 'Tab');
	await page.route('**/hub/api/v1/dashboard/*', async (r) => {
		if (r.request().method() === 'PATCH') await api('PATCH', 'dashboard/' + home, { description: 'theirs' });
		await r.continue();
	});
	const answer = page.waitForResponse((r) => r.request().method() === 'PATCH');
	await page.click('button:text-is("Save")');
	assert.equal((await answer).status(), 412);
	await page.unroute('**/hub/api/v1/dashboard/*');
	await page.click('dialog button:text-is("Take theirs, drop mine")');
	await page.waitForSelector('main >> text="theirs"');
	await until(() => page.faults.length);
	assert.match(page.faults.splice(0).join(), /^[^,]*412[^,]*$/); // Chromium says it too
});

test('leaving with unsaved changes asks', async () => {
	await page.goto(platform.url + '/dashboards');
	await page.click('a:text-is("Mine")');
	const change = async () => {
		await page.click('button:text-is("Edit")');
		await page.fill('.bar input >> nth=0', 'Lost');
		await page.press('.bar input >> nth=0', 'Tab');
	};
	await change();
	await page.click('nav >> text=Devices');
	await page.click('dialog button:text-is("Go on editing")');
	assert.ok(page.url().endsWith(home));
	await page.evaluate(() => history.back());
	await page.waitForSelector('dialog:has-text("unsaved")');
	await until(() => page.url().endsWith(home));
	await page.click('dialog button:text-is("Discard the changes")');
	await page.waitForURL(/\/dashboards$/);
	assert.equal((await api('GET', 'dashboard/' + home)).title, 'Mine');
});

test('a dashboard of MyController opens as it is, and goes out as it came', async () => {
	const theirs = { id: 'main', type: 'desktop', title: 'Old home', description: 'From before', favorite: true, disabled: false, labels: { room: 'hall' }, modifiedOn: '2026-05-01T10:00:00Z', widgets: [
		{ id: '1', title: 'Warm', showTitle: true, scrollbarDisabled: true, static: false, type: 'widget_utilization_panel', layout: { w: 50, h: 20, x: 0, y: 0 }, config: { type: 'circle_size_75', resource: { type: 'field', filterType: 'quick_id', quickId: 'Sensors.HALL.data.temperature', nameKey: 'name', valueKey: 'current.value', oldKey: 7 }, chart: { cornerSmoothing: 2, thresholds: {} } } },
		{ id: '2', title: 'Switches', showTitle: true, type: 'widget_control_panel', layout: { w: 50, h: 20, x: 50, y: 0 }, config: { type: 'switch_toggle', resource: { type: 'field', filters: { metricType: 'binary' }, nameKey: 'name', limit: 10 } } }] };
	const file = join(mkdtempSync(join(tmpdir(), 'marram-dashboard-')), 'main.json');
	writeFileSync(file, JSON.stringify(theirs));
	await page.goto(platform.url + '/dashboards');
	await page.setInputFiles('main input[type=file]', file);
	await page.click('a:text-is("Old home")');
	await box(page, 'Warm').locator('[data-value]').waitFor();
	await box(page, 'Switches').locator('[role=switch]').waitFor();
	await page.click('button:text-is("Edit")');
	await box(page, 'Warm').locator('[aria-label="Settings of Warm"]').click();
	await page.fill('dialog[open] label:has-text("Most") input', '60');
	await page.click('dialog button:text-is("Apply")');
	await page.click('button:text-is("Save")');
	await page.waitForSelector('button:text-is("Edit")'); // it is saved
	await page.click('nav >> text=Dashboards');
	const [download] = await Promise.all([page.waitForEvent('download'), page.click('[aria-label="Export: Old home"]')]);
	const out = JSON.parse(readFileSync(await download.path(), 'utf8')), want = structuredClone(theirs.widgets);
	want[0].config.resource.quickId = NODE + '.data.temperature';
	want[0].config.chart.maximumValue = 60;
	assert.deepEqual(out.widgets, want);
	assert.deepEqual([out.title, out.description, out.favorite, out.labels], ['Old home', 'From before', true, { room: 'hall' }]);
	writeFileSync(file, '{"widgets":5}');
	await page.setInputFiles('main input[type=file]', file);
	await page.waitForSelector('text=main.json is no dashboard');
});

test('the list: favourites first, a copy, deleted and undone, in two browsers', async () => {
	const other = await openPage(platform);
	await signIn(other, platform, '/dashboards');
	await page.click('[aria-label="Mine is a favourite"]');
	await other.waitForSelector('[aria-label="Mine is a favourite"][aria-pressed=true]');
	await page.click('[aria-label="Copy: Mine"]');
	await other.waitForSelector('a:text-is("Mine (copy)")');
	await page.click('[aria-label="Delete: Mine"]');
	await page.click('dialog button:text-is("Delete")');
	await other.waitForSelector('a:text-is("Mine")', { state: 'detached' });
	await page.click('.toast:has-text("Mine was deleted") button:text-is("Undo")');
	await other.click('a:text-is("Mine")');
	await other.waitForURL((u) => u.pathname.endsWith(home)); // it is where it was
	await isGood(page, 'dashboards-light');
	await other.click('button:text-is("Versions")');
	await other.waitForSelector('dialog[open] >> text=Restored');
	await isGood(other, 'dashboard-versions-light');
	await other.context().close();
});

test('one is made from a device', async () => {
	await page.goto(`${platform.url}/device/${device}`);
	await page.click('text=Make a dashboard');
	await page.click('section button:text-is("Make it")');
	await page.waitForURL(/\/dashboard\//);
	await page.waitForSelector('h1:text-is("Hall")');
	await box(page, 'relay').locator('[role=switch]').waitFor();
	await box(page, 'Air').locator('[data-value]').waitFor();
	await page.waitForSelector('[data-type=widget_charts_panel] .plot canvas');
	await isGood(page, 'dashboard-device-light');
});

test('alone on a screen', async () => {
	await page.goto(`${platform.url}/dashboard/${all}?kiosk`);
	await box(page, 'Value').locator('[data-value]').waitFor();
	assert.equal(await page.isVisible('nav'), false);
	await isGood(page, 'dashboard-kiosk-light');
	await page.keyboard.press('Escape');
	await page.waitForSelector('nav >> text=Dashboards');
});

for (const [size, viewport] of Object.entries({ wide: { width: 1280, height: 800 }, phone: { width: 360, height: 740 } }))
	for (const colorScheme of ['light', 'dark'])
		test(`it is good on a ${size} screen, ${colorScheme}`, async () => {
			const p = await openPage(platform, { viewport, colorScheme, locale: size === 'phone' ? 'de-DE' : 'en-GB' });
			await signIn(p, platform, '/dashboard/' + all);
			await box(p, 'Value').locator('[data-value]').waitFor();
			await idle(p);
			await isGood(p, `dashboard-${size}-${colorScheme}`);
			await p.click(size === 'phone' ? 'button:text-is("Bearbeiten")' : 'button:text-is("Edit")');
			await p.waitForSelector('.handle');
			await isGood(p, `dashboard-editing-${size}-${colorScheme}`);
			await box(p, 'Half').locator('.tools button').first().click();
			await p.waitForSelector('dialog[open] fieldset');
			await isGood(p, `dashboard-dialog-${size}-${colorScheme}`);
			await p.context().close();
		});

test('a legend tells values of one name apart by what people call their devices', async () => {
	await page.goto(platform.url + '/settings'); // no chart takes the new field in before it is stored
	const { networkId } = await platform.call('GET', '/broker/api/v1/device/' + device, undefined, token);
	const yard = (await platform.post('/broker/api/v1/device', { unitId: unit, networkId, networkAddr: '00af', name: 'Yard', profile: 'probe' }, token)).deviceId;
	await platform.post(`/coremgr/api/v1/network/${networkId}/uldata`, { deviceId: yard, payload: hex({ temperature: 4 }) }, token);
	await until(async () => (await api('GET', `field/list?unit=${unit}&device=${yard}`)).length === 1);
	const charts = (nameKey) => ({ subType: 'mixed_chart', chart: { chartType: 'line', duration: '-1h' }, resources: [quick('temperature'), 'field:sensors.00af.data.temperature'].map((q) => ({ resourceType: 'field', quickId: q.slice(6), nameKey })) });
	const id = await make('Names', [W('By name', 'widget_charts_panel', charts('name'), { x: 0, y: 0, w: 50, h: 30 }), W('By device', 'widget_charts_panel', charts('nodeId'), { x: 50, y: 0, w: 50, h: 30 })]), p = await openPage(platform);
	await signIn(p, platform, '/dashboard/' + id);
	await box(p, 'By name').locator(':text("Air (Yard)")').first().waitFor();
	await box(p, 'By name').locator(':text("Air (Hall)")').first().waitFor();
	await box(p, 'By device').locator(':text("Yard")').first().waitFor();
	assert.equal(await p.locator('main :text("00af")').count(), 0);
	await isGood(p, 'dashboard-names');
	await p.context().close();
});

test('no page had an error or asked another host', finish);
