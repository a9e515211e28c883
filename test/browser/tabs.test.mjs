// What holds a sign-in together: no token where scripts look, tabs that do not
// sign each other out, and an end for all of them.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { becomes as until, finish, inside, openPage, Platform, signIn } from './platform.mjs';

let platform;
before(async () => { platform = await Platform.start('--admin-password', 'a long password'); });
after(async () => { await finish(); await platform.stop(); });

test('scripts find no token', async () => {
	const page = await openPage(platform);
	const answers = [];
	page.on('response', (r) => { if (/oauth2\/(token|refresh)/.test(r.url())) answers.push(r.text()); });
	await signIn(page, platform);
	await page.reload();
	await inside(page);
	await until(() => answers.length === 2);
	for (const a of await Promise.all(answers)) assert.ok(!a.includes('refresh_token') && a.includes('access_token'), a);
	const found = await page.evaluate(() => document.cookie + JSON.stringify(Object.entries(sessionStorage)) + JSON.stringify(Object.entries(localStorage)));
	const cookies = (await page.context().cookies()).filter((c) => c.name.startsWith('marram_refresh'));
	const [cookie] = await page.context().cookies(platform.url + '/auth/oauth2/refresh').then((all) => all.filter((c) => c.name.startsWith('marram_refresh')));
	assert.equal(cookies.length, 1);
	assert.ok(cookie.httpOnly && cookie.sameSite === 'Strict' && cookie.path === '/auth/oauth2/refresh');
	assert.ok(!found.includes(cookie.value) && !found.includes('marram_refresh'));
	assert.ok(!/[A-Za-z0-9_-]{32,}/.test(found), found);
	await page.context().close();
});

test('tabs that load at the same time stay signed in', async () => {
	const page = await openPage(platform);
	await signIn(page, platform);
	const others = [await page.context().newPage(), await page.context().newPage()];
	for (let i = 0; i < 5; i++) await Promise.all([page.reload(), ...others.map((p) => p.goto(platform.url + '/devices'))]);
	for (const p of [page, ...others]) await inside(p);
	// The one that has the last token is not the only one that can go on.
	for (const p of [page, ...others]) {
		await p.reload();
		await inside(p);
	}
	page.faults.splice(0, Infinity, ...page.faults.filter((f) => !f.includes('401'))); // the token of before, asked anew
	await page.context().close();
});

test('tabs without locks, as on a page without TLS, stay signed in', async () => {
	const page = await openPage(platform);
	await page.context().addInitScript(() => Object.defineProperty(Navigator.prototype, 'locks', { value: undefined }));
	await signIn(page, platform);
	const other = await page.context().newPage();
	for (let i = 0; i < 5; i++) await Promise.all([page.reload(), other.goto(platform.url + '/devices')]);
	await inside(page);
	await inside(other);
	page.faults.splice(0, Infinity, ...page.faults.filter((f) => !f.includes('401')));
	await page.context().close();
});

test('signing out ends every tab', async () => {
	const page = await openPage(platform);
	await signIn(page, platform);
	const other = await page.context().newPage();
	await other.goto(platform.url + '/devices');
	await inside(other);
	await page.getByRole('button', { name: 'admin' }).click();
	await page.getByRole('button', { name: 'Sign out' }).click();
	await page.waitForSelector('[name=password]');
	await other.waitForSelector('[name=password]');
	assert.deepEqual((await page.context().cookies(platform.url + '/auth/oauth2/refresh')).filter((c) => c.name.startsWith('marram_refresh')), []);
	await page.context().close();
});
