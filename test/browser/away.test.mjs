// The server goes away and comes back: what it said last stays readable, says
// its age, and goes with the user.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { finish, inside, isGood, LIMIT, openPage, Platform, signIn } from './platform.mjs';

let platform;
before(async () => { platform = await Platform.start('--admin-password', 'a long password'); });
after(async () => { await finish(); await platform.stop(); });

// The page's own rules forbid what waitForFunction() does.
async function until(page, check) {
	for (const end = Date.now() + LIMIT; !(await page.evaluate(check)); await new Promise((done) => setTimeout(done, 50))) assert.ok(Date.now() < end, String(check));
}
const kept = (page) => page.evaluate(async () => (await caches.keys()).filter((k) => k.startsWith('answers:')));

test('it can be installed', async () => {
	const page = await openPage(platform, { serviceWorkers: 'allow' });
	await signIn(page, platform);
	const manifest = await page.evaluate(async () => (await fetch(document.querySelector('link[rel=manifest]').href)).json());
	for (const icon of manifest.icons) {
		const r = await fetch(platform.url + icon.src);
		assert.equal(r.status, 200);
		assert.equal(r.headers.get('content-type'), icon.type);
	}
	assert.ok(manifest.icons.some((i) => i.purpose === 'maskable') && manifest.start_url === '/' && manifest.display === 'standalone');
	const worker = await fetch(platform.url + '/sw.js');
	assert.equal(worker.headers.get('content-type'), 'text/javascript');
	assert.equal(worker.headers.get('cache-control'), 'no-cache');
	await page.context().close();
});

test('what was seen stays readable while the server is away', async () => {
	const page = await openPage(platform, { serviceWorkers: 'allow', viewport: { width: 360, height: 720 } });
	const token = await platform.token();
	const { unitId } = await platform.post('/coremgr/api/v1/unit', { code: 'farm', name: 'Farm' }, token);
	const { networkId } = await platform.post('/coremgr/api/v1/network', { code: 'lora', unitId, hostUri: 'mqtt://localhost' }, token);
	await platform.post('/coremgr/api/v1/device', { unitId, networkId, networkAddr: '01', name: 'Barn door' }, token);
	await signIn(page, platform);
	await page.evaluate(() => navigator.serviceWorker.ready);
	await until(page, () => navigator.serviceWorker.controller);
	await page.goto(platform.url + '/devices');
	await page.getByText('Barn door').waitFor();
	await until(page, async () => {
		const name = (await caches.keys()).find((k) => k.startsWith('answers:'));
		return name && (await (await caches.open(name)).keys()).some((r) => r.url.includes('/device/list'));
	});

	await platform.end();
	await page.reload();
	await page.getByText('Barn door').waitFor();
	await page.getByText('The server is away: this is what it said last').waitFor();
	await isGood(page, 'away-phone-light');
	await page.goto(platform.url + '/');
	await inside(page);
	await page.goto(platform.url + '/devices');
	await page.getByText('Barn door').waitFor();

	await platform.begin();
	await page.locator('.away').waitFor({ state: 'detached' });
	await platform.post('/coremgr/api/v1/device', { unitId, networkId, networkAddr: '02', name: 'Barn gate' }, await platform.token());
	await page.goto(platform.url + '/devices');
	await page.getByText('Barn gate').waitFor();
	page.faults.length = 0;
	await page.context().close();
});

test('signing out takes what was kept', async () => {
	const page = await openPage(platform, { serviceWorkers: 'allow' });
	await signIn(page, platform);
	await page.evaluate(() => navigator.serviceWorker.ready);
	await until(page, () => navigator.serviceWorker.controller);
	await page.reload();
	await until(page, async () => (await caches.keys()).some((k) => k.startsWith('answers:')));
	assert.equal((await kept(page)).length, 1);
	await page.getByRole('button', { name: 'admin' }).click();
	await page.getByRole('button', { name: 'Sign out' }).click();
	await page.waitForSelector('[name=password]');
	await until(page, async () => !(await caches.keys()).some((k) => k.startsWith('answers:')));
	assert.equal(await page.evaluate(() => localStorage.getItem('marram.who')), null);
	await page.context().close();
});
