// A page on which nothing happens asks for nothing, or looks once a second at
// what has no events: whoever leaves ten of them open costs the server nothing.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { finish, idle, openPage, Platform, signIn } from './platform.mjs';

const hub = '/hub/api/v1', coremgr = '/coremgr/api/v1', fleet = '/fleet/api/v1';
const WATCHED = 6, MOST = 9; // seconds, and how often one thing may be asked for in them
const AT_ONCE = 10; // pages
let platform, paths;

before(async () => {
	platform = await Platform.start('--admin-password', 'a long password');
	const token = await platform.token(), post = (path, data) => platform.post(path, data, token);
	const { unitId } = await post(coremgr + '/unit', { code: 'home' });
	const { networkId } = await post(coremgr + '/network', { unitId, code: 'wells', hostUri: 'mqtt://localhost' });
	const { applicationId } = await post(coremgr + '/application', { unitId, code: 'archive', hostUri: 'mqtt://localhost' });
	await post(`${hub}/profile`, { unitId, code: 'level', codec: 'json' });
	const { deviceId } = await post(coremgr + '/device', { unitId, networkId, networkAddr: 'north', name: 'North', profile: 'level' });
	await platform.call('POST', `${coremgr}/network/${networkId}/uldata`, { deviceId, payload: Buffer.from('{"level":1}').toString('hex') }, token);
	const gateway = await post(hub + '/gateway', { unitId, code: 'lamps', enabled: false, provider: { type: 'tasmota' }, protocol: { type: 'mqtt' } });
	await post(hub + '/handler', { unitId, id: 'log', enabled: true, type: 'noop', spec: {} });
	await post(hub + '/schedule', { unitId, id: 'evening', enabled: true, type: 'cron', spec: { cronExpression: '30 22 * * *' }, variables: {}, handlerParameters: {}, handlers: ['log'] });
	const dashboard = await post(hub + '/dashboard', { unitId, title: 'Mine' });
	await post(`${fleet}/configuration?unit=${unitId}`, { displayName: 'Pi', deviceType: 'linux' });
	const machine = await post(fleet + '/device', { unitId, name: 'pi', config: 'pi', address: '192.0.2.1' });
	const one = '/device/' + deviceId;
	paths = ['/', '/inbox', '/devices', '/devices?as=cards', ...['', '?tab=live', '?tab=history', '?tab=configuration', '?tab=messages', '?tab=downlink'].map((tab) => one + tab),
		'/dashboards', '/dashboard/' + dashboard.id, '/explore', '/networks', '/network/' + networkId, '/gateways', '/gateway/' + gateway.id, '/applications', '/application/' + applicationId, '/routing', '/profiles', '/rules', '/rule/schedule/evening', '/rule/handler/log', '/messages',
		'/configurations', '/configuration/pi', '/changes', '/deployments', '/machines', '/machine/' + machine.id, '/keep', '/units', '/units/' + unitId, '/users', '/account', '/clients', '/audit', '/backup', '/settings', '/api', '/help'];
});
after(async () => { await platform?.stop(); });

async function watched(context, path) {
	const page = await context.newPage(), asked = new Map();
	await page.goto(platform.url + path);
	await page.waitForSelector('.shell main h1');
	await idle(page);
	page.on('request', (r) => { const what = r.url().slice(platform.url.length); asked.set(what, (asked.get(what) ?? 0) + 1); });
	await new Promise((done) => setTimeout(done, WATCHED * 1000));
	await page.close();
	return [...asked].filter(([, n]) => n > MOST).map(([what, n]) => `${path}: ${what}, ${n} times in ${WATCHED} s`);
}

test('an open page on which nothing happens is quiet', async () => {
	const page = await openPage(platform);
	await signIn(page, platform);
	const loud = [];
	for (let i = 0; i < paths.length; i += AT_ONCE) loud.push(...(await Promise.all(paths.slice(i, i + AT_ONCE).map((path) => watched(page.context(), path)))).flat());
	assert.deepEqual(loud, []);
});

test('no page had an error or asked another host', () => finish());
