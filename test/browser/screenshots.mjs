// ./dev screenshots [NAME...]: a picture of each page into docs/screenshots/,
// light and dark, desktop and phone, from a platform that is filled here. The
// pages are those of web/src/lib/pages.ts: one that is missing below is an error.
import assert from 'node:assert/strict';
import { mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { finish, openPage, Platform, signIn } from './platform.mjs';

const root = fileURLToPath(new URL('../..', import.meta.url)), folder = process.env.SCREENSHOTS ?? join(root, 'docs/screenshots');
const only = process.argv.slice(2), QUALITY = 65, MAX = 6_000_000;
const hub = '/hub/api/v1', coremgr = '/coremgr/api/v1', password = 'a long password';
const platform = await Platform.start('--admin-password', password), fresh = await Platform.start();
const token = await platform.token();
const get = (path) => platform.call('GET', path, undefined, token), post = (path, data) => platform.post(path, data, token), patch = (path, data) => platform.call('PATCH', path, data, token);
const hex = (v) => Buffer.from(JSON.stringify(v)).toString('hex');
async function wait(what, check) {
	for (const end = Date.now() + 15_000; ;) {
		const r = await check();
		if (r) return r;
		assert.ok(Date.now() < end, 'never: ' + what);
		await new Promise((done) => setTimeout(done, 50));
	}
}

// What there is to see. The simulator makes a unit, its devices and their past.
const { unitId } = await post(hub + '/simulator/start', {});
const devices = await wait('devices', async () => { const d = await get(`/broker/api/v1/device/list?unit=${unitId}`); return d.length > 3 && d; });
const fields = await wait('values', async () => { const f = await get(`${hub}/field/list?unit=${unitId}&limit=100`); return new Set(f.map((x) => x.nodeId)).size >= devices.length && f; });
const quick = (f) => `${f.gatewayId}.${f.nodeId}.${f.sourceId}.${f.fieldId}`, named = (name) => fields.filter((f) => f.fieldId.startsWith(name));
const climate = devices.find((d) => named('temperature').some((f) => f.nodeId === d.networkAddr)) ?? devices[0];
const relay = fields.find((f) => f.labels?.writable === 'true') ?? named('relay')[0];
const warm = fields.filter((f) => /temperature/.test(f.fieldId)), damp = fields.filter((f) => /humidity/.test(f.fieldId));
const workshop = (await post(coremgr + '/user', { account: 'workshop', password: 'another long one' })).userId;
await post(coremgr + '/user', { account: 'office', password: 'another long one' });
await patch(coremgr + '/unit/' + unitId, { memberIds: [workshop] });
const second = (await post(coremgr + '/unit', { code: 'greenhouse', name: 'Greenhouse' })).unitId;
await post(coremgr + '/network', { code: 'beds', unitId: second, hostUri: 'mqtt://localhost', name: 'Beds' });
const networkId = (await post(coremgr + '/network', { code: 'wells', unitId, hostUri: 'mqtt://localhost', name: 'Wells' })).networkId;
const well = `// Level in centimetres, two bytes; then the battery in tenths of a volt.
function decodeUplink(input) {
	const b = input.bytes;
	return { data: { level: ((b[0] << 8) | b[1]) / 100, battery: b[2] / 10 } };
}`;
const profile = (await post(hub + '/profile', { unitId, code: 'well', name: 'Well', codec: 'javascript', script: well, fields: { level: { name: 'Level', unit: 'm' }, battery: { name: 'Battery', unit: 'V' } } })).id;
const wells = [];
for (const [addr, name] of [['well-1', 'North well'], ['well-2', 'South well']]) wells.push((await post(coremgr + '/device', { unitId, networkId, networkAddr: addr, name, profile: 'well' })).deviceId);
const send = (deviceId, payload) => post(`${coremgr}/network/${networkId}/uldata`, { deviceId, payload });
for (let i = 0; i < 12; i++) for (const [k, d] of wells.entries()) await send(d, (180 + 30 * k + i).toString(16).padStart(4, '0') + '24');
await patch(hub + '/profile/' + profile, { name: 'Well level' });
const applications = [];
for (const [code, name] of [['dashboard', 'Dashboard'], ['archive', 'Archive']]) applications.push((await post(coremgr + '/application', { code, unitId, hostUri: 'mqtt://localhost', name })).applicationId);
await post(coremgr + '/network-route', { networkId, applicationId: applications[0] });
for (const d of devices.slice(0, 2)) await post(coremgr + '/device-route', { deviceId: d.deviceId, applicationId: applications[1] });
const gateway = (await post(hub + '/gateway', { unitId, code: 'lamps', description: 'Lamps', provider: { type: 'tasmota', protocol: { type: 'mqtt' } } })).id;
// Heard, and nobody's.
const secret = 'a password of wells';
await patch(coremgr + '/network/' + networkId, { password: secret });
const unit = await get(coremgr + '/unit/' + unitId);
for (const [addr, v] of [['meter-7', { energy: 1284.5, power: 412 }], ['meter-8', { energy: 977.1, power: 35 }], ['0a1b2c3d', { temperature: 18.4 }]])
	platform.paste(`mosquitto_pub -h localhost -p ${platform.mqtt} -u network.${unit.code}.wells -P '${secret}' -q 1 -t broker.network.${unit.code}.wells.uldata -m '${JSON.stringify({ time: new Date().toISOString(), networkAddr: addr, data: hex(v) })}'`);
await wait('the inbox', async () => (await get(`${hub}/inbox/list?unit=${unitId}`)).length >= 3);
// Rules.
const level = await wait('levels', async () => (await get(`${hub}/field/list?unit=${unitId}&device=${wells[0]}`)).find((f) => f.fieldId === 'level'));
await post(hub + '/handler', { unitId, id: 'log', description: 'Write it down', enabled: true, type: 'noop', spec: {} });
await post(hub + '/task', { unitId, id: 'well_high', description: 'The north well is full', enabled: true, triggerOnEvent: true, eventFilter: { eventTypes: ['updated'], entityTypes: ['field'], filters: { nodeId: 'well-1' } },
	variables: { level: { type: 'resource_by_quick_id', resourceType: 'field', quickId: quick(level), keyPath: 'current.value' } }, evaluationType: 'rule', evaluationConfig: { rule: { matchAll: true, conditions: [{ variable: 'level', operator: 'gt', value: 1.9 }] } }, handlerParameters: {}, handlers: ['log'] });
await post(hub + '/schedule', { unitId, id: 'evening', description: 'Every evening', enabled: true, type: 'cron', spec: { cronExpression: '30 22 * * *' }, variables: {}, handlerParameters: {}, handlers: ['log'] });
for (let i = 0; i < 4; i++) await send(wells[0], (188 + i).toString(16).padStart(4, '0') + '24');
await wait('traces', async () => (await get(`${hub}/trace/list?unit=${unitId}`)).length > 0);
// A dashboard.
let n = 0;
const W = (title, type, layout, config) => ({ id: 'w' + ++n, title, showTitle: true, type, layout, config }), one = (f) => ({ type: 'field', quickId: quick(f), nameKey: 'name', valueKey: 'current.value', unit: f.unit });
const chart = (list) => ({ subType: 'mixed_chart', chart: { chartType: 'line', duration: '-24h' }, resources: list.slice(0, 3).map((f) => ({ resourceType: 'field', quickId: quick(f) })) });
const dashboard = (await post(hub + '/dashboard', { unitId, title: 'House', favorite: true, widgets: [
	W('Temperature', 'widget_charts_panel', { x: 0, y: 0, w: 60, h: 30 }, chart(warm)),
	W('Now', 'widget_value_panel', { x: 60, y: 0, w: 20, h: 14 }, { resource: one(warm[0]) }),
	W('Humidity', 'widget_utilization_panel', { x: 80, y: 0, w: 20, h: 14 }, { type: 'circle_size_50', resource: one(damp[0]), chart: { maximumValue: 100 } }),
	...(relay ? [W('Switch', 'widget_control_panel', { x: 60, y: 14, w: 40, h: 16 }, { type: 'mixed_control', resources: [{ resource: one(relay), control: { type: 'switch_toggle' } }] })] : []),
	W('Damp', 'widget_charts_panel', { x: 0, y: 30, w: 60, h: 26 }, chart(damp)),
	W('Wells', 'widget_utilization_panel', { x: 60, y: 30, w: 40, h: 26 }, { type: 'table', resource: { type: 'field', filterType: 'detailed_filter', filter: { fieldId: 'level' }, nameKey: 'nodeId', limit: 10 }, table: { displayStatusPercentage: true } }),
] })).id;
await post(hub + '/dashboard', { unitId, title: 'Wells', widgets: [] });
await post(hub + '/backup', { prefix: 'weekly', storageExportType: 'json', history: false, metrics: false });
await wait('a backup', async () => (await get(hub + '/backup/list')).length > 0);
await post('/auth/api/v1/service-token', { name: 'grafana', neverExpire: true });
await post('/auth/api/v1/client', { name: 'shop', redirectUris: ['https://shop.example.org/callback'], scopes: [] });
const network = devices[0].networkId;
// A fleet: two configurations, tags, something that is not committed, a device that is away.
const fleet = '/fleet/api/v1', ofUnit = (path) => `${fleet}${path}?unit=${unitId}`, put = (path, data) => platform.call('PUT', path, data, token);
const TEXT = 'marram.TextFiles', note = (text) => ({ settings: { files: [{ path: '/etc/motd', text }] } });
for (const name of ['Pump house', 'Weather mast']) await post(ofUnit('/configuration'), { displayName: name, deviceType: 'linux' });
for (const [name, priority] of [['Site', 90], ['Night', 95]]) await post(ofUnit('/tag'), { displayName: name, priority });
await put(ofUnit('/tag/site/module/thymis_controller.modules.localization.LocalizationModule'), { settings: { timezone: 'Europe/Vienna' } });
await patch(ofUnit('/configuration/pump-house'), { tags: ['site'] });
await put(ofUnit(`/configuration/pump-house/module/${TEXT}`), note('The pump runs at night.\n'));
await post(ofUnit('/repository/commit'), { message: 'A pump house and a mast' });
await put(ofUnit(`/configuration/pump-house/module/${TEXT}`), note('The pump runs in the morning.\n'));
await post(ofUnit('/repository/commit'), { message: 'The pump runs in the morning' });
await post(fleet + '/secret', { unitId, name: 'Wi-Fi', secret: 'a long password' });
const machine = (await post(fleet + '/device', { unitId, name: 'Pump 1', address: '127.0.0.1', sshPort: 9, config: 'pump-house', sshPublicKey: 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl' })).id;
const deployment = (await post(ofUnit('/plan'), { devices: [machine], message: 'In the morning' })).id;
await wait('the plan', async () => (await get(`${fleet}/deployment-device/list?unit=${unitId}&deployment=${deployment}`))[0]?.reason);
await put(ofUnit('/configuration/weather-mast/module/marram.Packages'), { settings: { packages: [{ package: 'lm-sensors' }] } });

// What is pictured: name, what it shows, address, what is done first. `page`: the
// row of pages.ts it is for, when that is not the first part of the address.
const D = '/device/' + climate.deviceId, at = (page) => page.waitForTimeout(500); // charts ease in
const shots = [
	['overview', 'Overview', '/'], ['inbox', 'Inbox', '/inbox'], ['devices', 'Devices', '/devices'],
	['device', 'A device', D], ...['live', 'history', 'configuration', 'messages', 'downlink', 'versions'].map((x) => ['device-' + x, 'A device: ' + x, D + '?tab=' + x]),
	['dashboards', 'Dashboards', '/dashboards'], ['dashboard', 'A dashboard', '/dashboard/' + dashboard], ['dashboard-edit', 'A dashboard is changed', `/dashboard/${dashboard}?edit`],
	['explore', 'Explore', '/explore?r=24h&f=' + warm.slice(0, 2).map(quick).map(encodeURIComponent).join(',')],
	['networks', 'Networks', '/networks'], ['network', 'A network', '/network/' + networkId], ['network-simulated', 'Its queue', '/network/' + network],
	['gateways', 'Gateways', '/gateways'], ['gateway', 'A gateway', '/gateway/' + gateway], ['applications', 'Applications', '/applications'], ['application', 'An application', '/application/' + applications[0]],
	['routing', 'Routing', '/routing'], ['profiles', 'Profiles', '/profiles'], ['profile', 'A profile, tried out', '/profile/' + profile], ['profile-versions', 'Its versions', '/profile/' + profile, (page) => page.getByRole('tab', { name: 'Versions' }).click()],
	['rules', 'Rules', '/rules?kind=task'], ['rules-traces', 'Traces of rules', '/rules?kind=trace'], ['rule', 'A rule', '/rule/task/well_high'], ['schedule', 'A schedule', '/rule/schedule/evening'],
	['messages', 'Messages', '/messages'], ['messages-stored', 'Messages that were kept', '/messages?tab=stored'],
	['fleet', 'The fleet: configurations', '/configurations'], ['fleet-tags', 'Tags, in their order', '/configurations?tab=tags'], ['fleet-configuration', 'A configuration', '/configuration/pump-house'],
	['fleet-changes', 'What is not committed', '/changes'], ['fleet-history', 'History', '/changes?tab=history', (page) => page.locator('main button[aria-expanded]').first().click()],
	['fleet-deployments', 'Deployments', '/deployments'], ['fleet-deployment', 'A deployment', '/deployment/' + deployment], ['fleet-machines', 'Machines', '/machines'], ['fleet-machine', 'A machine', '/machine/' + machine], ['fleet-keep', 'Secrets and files', '/keep'],
	['units', 'Units', '/units'], ['unit', 'A unit', '/units/' + unitId], ['users', 'Users', '/users'], ['account', 'One’s own account', '/account'], ['clients', 'Clients and tokens', '/clients'],
	['audit', 'What people did', '/audit'], ['backup', 'Backup', '/backup'], ['first', 'The first start: where the site is', '/first'], ['settings', 'Settings', '/settings'], ['api', 'The API', '/api'], ['help', 'Help', '/help'],
	['palette', 'Everything, by Ctrl-K', '/', async (page) => { await page.keyboard.press('Control+k'); await page.keyboard.type('well'); }],
];
const outside = [['first-start', 'The first start', fresh, '/auth/setup'], ['sign-in', 'Sign in', platform, '/devices']];
const main = ['overview', 'inbox', 'devices', 'device', 'dashboard', 'explore', 'rules', 'routing'];
const rows = [...readFileSync(join(root, 'web/src/lib/pages.ts'), 'utf8').matchAll(/\{ path: '([^']+)'/g)].map((m) => m[1]);
const missing = rows.filter((p) => !shots.some(([, , path]) => '/' + path.split(/[/?]/)[1] === p));
assert.deepEqual(missing, [], 'pages without a picture');

const ways = [['desktop', 'light', 1280, 800], ['phone', 'dark', 360, 740], ['desktop', 'dark', 1280, 800], ['phone', 'light', 360, 740]];
const wanted = (name) => !only.length || only.includes(name);
mkdirSync(folder, { recursive: true });
if (!only.length) for (const f of readdirSync(folder)) if (f.endsWith('.jpg')) rmSync(join(folder, f));
const file = (name, device, theme) => `${name}-${device}-${theme}.jpg`;
const take = async (page, name, device, theme) => {
	await at(page);
	const [wide, view] = await page.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
	if (wide > view) throw new Error(`${name} is ${wide} wide in ${view}`);
	await page.screenshot({ path: join(folder, file(name, device, theme)), type: 'jpeg', quality: QUALITY });
};
for (const [device, theme, width, height] of ways) {
	const how = { viewport: { width, height }, colorScheme: theme, reducedMotion: 'reduce', ...(device === 'phone' ? { hasTouch: true, isMobile: true } : {}) };
	const also = (name) => wanted(name) && (process.env.ALL || ways.findIndex((w) => w[0] === device && w[1] === theme) < 2 || main.includes(name));
	for (const [name, , of, path] of outside) {
		if (!also(name)) continue;
		const page = await openPage(of, how);
		await page.goto(of.url + path);
		await page.waitForSelector('[name=password]');
		await take(page, name, device, theme);
		await page.context().close();
	}
	const page = await openPage(platform, how);
	await page.addInitScript((unit) => localStorage.setItem('marram.look', JSON.stringify({ language: 'en', theme: 'system', unit })), unitId);
	await signIn(page, platform);
	for (const [name, , path, first] of shots) {
		if (!also(name)) continue;
		try {
			await page.goto(platform.url + path);
			await page.waitForSelector('main h1');
			await page.waitForTimeout(400);
			await first?.(page);
			await take(page, name, device, theme);
		} catch (e) { throw new Error(`${name}, ${device}, ${theme}: ${e.message}`); }
	}
	await page.context().close();
}
await finish({ meant: /./ });
await platform.stop();
await fresh.stop();

const there = new Set(readdirSync(folder)), size = [...there].reduce((n, f) => n + statSync(join(folder, f)).size, 0);
console.log(`${[...there].filter((f) => f.endsWith('.jpg')).length} pictures, ${(size / 1e6).toFixed(1)} MB, in ${folder}`);
assert.ok(size < MAX, 'they are too large');
if (!only.length && !process.env.ALL) {
	const cell = (name, device, theme) => { const f = file(name, device, theme); return `<a href="${f}"><img src="${f}" alt="${device}, ${theme}" width="${device === 'phone' ? 110 : 380}"></a>`; };
	const more = (name) => (main.includes(name) ? `[dark](${file(name, 'desktop', 'dark')}), [light phone](${file(name, 'phone', 'light')})` : '');
	const lines = [...outside, ...shots].map(([name, what]) => `| ${what} | ${cell(name, 'desktop', 'light')} | ${cell(name, 'phone', 'dark')} | ${more(name)} |`);
	writeFileSync(join(folder, 'README.md'), `# The pages of the web application\n\nMade by \`./dev screenshots\`, from a platform with simulated devices.\n\n| Page | Desktop, light | Phone, dark | Also |\n|---|---|---|---|\n${lines.join('\n')}\n`);
}
