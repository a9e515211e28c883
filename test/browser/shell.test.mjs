// What is around every page: the palette, the menus, the address.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { finish, isGood, openPage, Platform, signIn } from './platform.mjs';

let platform, page;
before(async () => {
	platform = await Platform.start('--admin-password', 'a long password');
	page = await openPage(platform);
	await signIn(page, platform);
});
after(() => platform?.stop());

test('the palette finds pages, objects and actions by keyboard', async () => {
	const token = await platform.token();
	const unit = (await platform.post('/coremgr/api/v1/unit', { code: 'barn', name: 'Barn' }, token)).unitId;
	await platform.post('/coremgr/api/v1/network', { code: 'milking', unitId: unit, hostUri: 'mqtt://localhost', name: 'Milking robots' }, token);
	await page.reload();
	await page.waitForSelector('main h1');
	await page.keyboard.press('Control+k');
	await page.waitForSelector('dialog [role=option]');
	await isGood(page, 'palette-light');
	await page.keyboard.type('milking');
	await page.waitForSelector('[role=option]:has-text("Milking robots")');
	await page.keyboard.press('Enter');
	await page.waitForURL(/\/network\//);
	await page.keyboard.press('Control+k');
	await page.keyboard.type('colours dark');
	await page.waitForSelector('[role=option]:has-text("Colours: Dark")');
	await page.keyboard.press('Enter');
	await page.waitForSelector('html[data-theme=dark]');
	await page.keyboard.press('Control+k');
	await page.waitForSelector('dialog [role=option]');
	await page.keyboard.type('set');
	await page.waitForSelector('[role=option][aria-selected=true]:has-text("Settings")');
	await page.keyboard.press('Enter');
	await page.waitForURL(/\/settings/);
	await page.keyboard.press('Control+k');
	await page.keyboard.type('no such thing');
	await page.waitForSelector('text=Nothing fits the search.');
	await page.keyboard.press('Escape');
	assert.equal(await page.isVisible('dialog'), false);
});

test('a phone has every page behind "More"', async () => {
	const p = await openPage(platform, { viewport: { width: 360, height: 740 } });
	await signIn(p, platform);
	assert.equal(await p.isVisible('nav a:has-text("Audit")'), false);
	await p.click('nav >> text=More');
	await isGood(p, 'more-phone-light');
	await p.click('nav a:has-text("Audit")');
	await p.waitForSelector('h1:text-is("Audit")');
	await p.waitForSelector('nav a:has-text("Audit")', { state: 'hidden' });
	await p.context().close();
});

test('an address that is no page says so', async () => {
	await page.goto(platform.url + '/no-such-page');
	await page.waitForSelector('h1:has-text("page")');
	await isGood(page, 'not-found');
});

test('no page had an error or asked another host', finish);
