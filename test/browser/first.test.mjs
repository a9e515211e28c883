// The first minute, and what follows it.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { finish, idle, inside, isGood, openPage, Platform, setUp, signIn, until } from './platform.mjs';

let platform, page, line;
const sizes = { wide: { width: 1280, height: 800 }, phone: { width: 360, height: 740 } };
const send = (address, value) => platform.paste(line.replace('sensor-1', address).replace(/"data":"\w+"/, `"data":"${Buffer.from(JSON.stringify({ temperature: value })).toString('hex')}"`).replace(/"time":"[^"]+"/, `"time":"${new Date().toISOString()}"`));

before(async () => { platform = await Platform.start(); });
after(async () => { await platform?.stop(); });

test('the first minute: open, set the password, paste the line, see the value', async () => {
	page = await openPage(platform, { timezoneId: 'Europe/Vienna' });
	await setUp(page, platform);
	await isGood(page, 'first-light');
	await page.click('button:text-is("Go on")');
	await page.waitForSelector('.toast:has-text("hub.timeZone")');
	await page.click('text=Make a unit and a network');
	line = await page.textContent('.copy code');
	await isGood(page, 'overview-first-light');
	platform.paste(line);
	await page.click('nav >> text=Inbox');
	await page.click('button:text-is("Claim")');
	await page.click('nav >> text=Devices');
	await page.click('td a:text-is("sensor-1")');
	send('sensor-1', 22.5);
	await page.waitForSelector('[data-field=temperature]:text-is("22.5")');
	await page.waitForSelector('.plot canvas');
	const points = Number(await page.getAttribute('.plot', 'data-points'));
	send('sensor-1', 23.5);
	await page.waitForSelector('[data-field=temperature]:text-is("23.5")');
	await until(page, (n) => Number(document.querySelector('.plot').dataset.points) > n, points);
});

test('where the site is was proposed, may be skipped, and is asked on a phone, too', async () => {
	const token = await platform.token(), zone = async () => (await platform.call('GET', '/hub/api/v1/setting/hub.timeZone', undefined, token));
	assert.equal((await zone()).value, 'Europe/Vienna');
	const fresh = await Platform.start();
	try {
		const phone = await openPage(fresh, { viewport: sizes.phone, colorScheme: 'dark', locale: 'de-DE', timezoneId: 'Europe/Vienna' });
		await setUp(phone, fresh);
		assert.equal(await phone.inputValue('label:has-text("Zeitzone") input'), 'Europe/Vienna');
		assert.equal(await phone.locator('main button.main').count(), 1);
		await isGood(phone, 'first-phone-dark');
		await phone.click('a:text-is("Überspringen")');
		await phone.waitForSelector('h1:text-is("Übersicht")');
		const { source } = await fresh.call('GET', '/hub/api/v1/setting/hub.timeZone', undefined, await fresh.token());
		assert.equal(source, 'default');
		await phone.context().close();
	} finally { await fresh.stop(); }
});

test('a chart is a table too', async () => {
	await page.click('button:text-is("Table")');
	await page.waitForSelector('.rows td:text-is("23.5")');
	await page.click('button:text-is("Chart")');
	await page.waitForSelector('.plot canvas');
});

test('what is heard shows up in the inbox of two browsers, and goes from both', async () => {
	const other = await openPage(platform);
	await signIn(other, platform, '/inbox');
	await page.click('nav >> text=Inbox');
	await page.waitForSelector('text=Nothing waits');
	send('sensor-2', 5);
	send('sensor-3', 6);
	for (const p of [page, other]) for (const n of [2, 3]) await p.waitForSelector(`td:has-text("sensor-${n}")`);
	await isGood(page, 'inbox-light');
	await page.check('[aria-label="Select all"]');
	await page.click('text=Claim 2');
	for (const p of [page, other]) await p.waitForSelector('text=Nothing waits');
	await other.context().close();
});

test('a reload keeps one signed in, signing out does not', async () => {
	await page.reload();
	await inside(page);
	const [stored] = await page.evaluate(() => [JSON.stringify(localStorage)]);
	assert.ok(!/token/.test(stored));
	const two = await openPage(platform);
	await signIn(two, platform);
	await two.click('[aria-label="Account of admin"]');
	await two.click('text=Sign out');
	await two.waitForSelector('[name=password]');
	await two.goto(platform.url + '/devices');
	await two.waitForSelector('[name=password]');
	await two.context().close();
});

for (const [size, viewport] of Object.entries(sizes))
	for (const colorScheme of ['light', 'dark'])
		test(`every page is good on a ${size} screen, ${colorScheme}`, async () => {
			const p = await openPage(platform, { viewport, colorScheme });
			await signIn(p, platform);
			for (const link of await p.$$eval('nav a.to', (all) => all.map((a) => a.getAttribute('href')))) {
				if (!(await p.isVisible(`nav a.to[href="${link}"]`))) await p.click('nav .open');
				await p.click(`nav a.to[href="${link}"]`);
				await p.waitForSelector(`nav a.to[href="${link}"][aria-current=page]`, { state: 'attached' });
				await p.waitForSelector('main h1');
				await idle(p);
				await isGood(p, `${link.slice(1) || 'overview'}-${size}-${colorScheme}`);
			}
			await p.click('nav .to[href="/devices"]');
			await p.click('a:text-is("sensor-1")');
			await p.waitForSelector('.plot canvas');
			await isGood(p, `device-${size}-${colorScheme}`);
			await p.context().close();
		});

test('German, and by keyboard', async () => {
	await page.click('nav >> text=Settings');
	await page.selectOption('label:has-text("Language") select', 'de');
	await page.waitForSelector('h1:text-is("Einstellungen")');
	await page.keyboard.press('Home');
	await page.focus('nav .brand');
	await page.keyboard.press('Tab');
	await page.keyboard.press('Enter');
	await page.waitForSelector('h1:text-is("Übersicht")');
	await page.keyboard.press('Tab');
	await page.keyboard.press('Enter');
	await page.waitForSelector('h1:text-is("Eingang")');
});

test('a code goes to no host but our own', async () => {
	const ask = (uri) => fetch(`${platform.url}/auth/oauth2/auth?` + new URLSearchParams({ response_type: 'code', client_id: 'public', redirect_uri: uri }), { redirect: 'manual' });
	assert.equal((await ask(platform.url + '/signed-in')).status, 302);
	for (const uri of ['http://evil.example/signed-in', platform.url + '.evil.example/signed-in', platform.url + '/signed-in/../x', platform.url + '/', 'javascript://' + platform.url.slice(7) + '/signed-in'])
		assert.equal((await ask(uri)).status, 400, uri);
});

test('addresses of the API are never the application', async () => {
	for (const path of ['/hub/api/v1/none', '/auth/none', '/data/none']) {
		const r = await fetch(platform.url + path, { headers: { Accept: 'text/html' } });
		assert.notEqual(r.status, 200, path);
	}
	const page = await fetch(platform.url + '/device/x', { headers: { Accept: 'text/html' } });
	assert.match(page.headers.get('content-security-policy'), /script-src 'self';/);
	assert.equal((await fetch(platform.url + '/', { headers: { 'If-None-Match': page.headers.get('etag') } })).status, 304);
});

test('no page had an error or asked another host', async () => {
	await finish();
});
