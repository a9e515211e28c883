// Units, users, clients and tokens, what people did, backups, settings, the
// API's reference, the guide.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { becomes, clear, finish, idle, isGood, openPage, Platform, signIn, until, visit as open } from './platform.mjs';

const root = fileURLToPath(new URL('../..', import.meta.url));
let platform, page, token, north, south, ann;
const call = async (method, path, data, by = token) => {
	const r = await fetch(platform.url + path, { method, headers: { Authorization: 'Bearer ' + by, ...(data ? { 'Content-Type': 'application/json' } : {}) }, body: data ? JSON.stringify({ data }) : undefined });
	return r.status === 200 ? (await r.json()).data : r.status;
};
const row = (text) => `tr:has-text("${text}")`;
const dialog = 'dialog[open] ';

before(async () => { platform = await Platform.start('--admin-password', 'a long password'); });
after(async () => { await platform?.stop(); });

test('a unit is made, named, and lists what it holds', async () => {
	page = await openPage(platform);
	await signIn(page, platform, '/units');
	await page.waitForSelector('text=marram unit add');
	await isGood(page, 'units-empty');
	for (const code of ['north', 'south']) {
		await page.click('button:text-is("Add a unit")');
		await page.fill(dialog + 'label:has-text("code") input', code);
		await page.click(dialog + 'button:text-is("Save")');
		await page.waitForSelector(`h1:text-is("${code}")`);
		if (code === 'north') north = page.url().split('/').pop(); else south = page.url().split('/').pop();
		await open(page, '/units');
	}
	await page.click('a:text-is("north")');
	await page.click('button:text-is("Edit")');
	await page.fill(dialog + 'label:has-text("name") input', 'North side');
	await page.click(dialog + 'button:text-is("Save")');
	await page.waitForSelector('h1:text-is("North side")');
	await isGood(page, 'unit');
});

test('a service token is shown once, works, and ends when it is revoked', async () => {
	await open(page, '/clients');
	await page.waitForSelector('text=marram service-token add');
	const add = async (name, also) => {
		await page.click('button:text-is("Add a token")');
		await page.fill(dialog + 'label:has-text("Name") input', name);
		await also?.();
		await page.selectOption(dialog + 'select', '');
		await page.click(dialog + 'button:text-is("Save")');
		const secret = await page.textContent(dialog + '.copy code');
		assert.match(secret, /^marram_pat_/);
		await page.click(dialog + 'button:text-is("I have kept it")');
		await page.waitForSelector(row(name));
		assert.ok(!(await page.textContent('main')).includes(secret));
		return secret;
	};
	token = await add('script', () => page.check(dialog + 'label:text-is("Never") input'));
	assert.equal((await call('GET', '/broker/api/v1/unit/list')).length, 2);
	const less = await add('less', async () => {
		await isGood(page, 'token-new');
		await page.fill(dialog + '[aria-label^="Search"]', 'unit.get');
		await page.check(dialog + 'label:text-is("unit.get") input');
	});
	assert.equal((await call('GET', '/broker/api/v1/unit/list', undefined, less)).length, 2);
	assert.equal(await call('GET', '/broker/api/v1/device/list', undefined, less), 403);
	await page.waitForSelector(`${row('less')} >> text=unit.get`);
	await page.click('[aria-label="Revoke: less"]');
	await page.click(dialog + 'button:text-is("Revoke")');
	await page.waitForSelector(row('less'), { state: 'detached' });
	assert.equal(await call('GET', '/broker/api/v1/unit/list', undefined, less), 401);
	await isGood(page, 'tokens');
});

test('a client gets its secret once, and a new one', async () => {
	await page.click('[role=tab]:text-is("Clients")');
	await page.click('button:text-is("Add a client")');
	await page.fill(dialog + 'label:has-text("Name") input', 'shop');
	await page.fill(dialog + 'textarea', 'https://shop.example/back\nhttps://shop.example/other');
	await page.fill(dialog + '[aria-label="Another scope"]', 'orders');
	await page.press(dialog + '[aria-label="Another scope"]', 'Enter');
	await isGood(page, 'client-new');
	await page.click(dialog + 'button:text-is("Save")');
	const secret = await page.textContent(dialog + '.copy >> nth=1 >> code');
	assert.match(secret, /^\w{16}$/);
	await page.click(dialog + 'button:text-is("I have kept it")');
	await page.waitForSelector(`${row('shop')} >> text=orders`);
	assert.ok(!(await page.textContent('main')).includes(secret));
	const [made] = (await call('GET', '/auth/api/v1/client/list')).filter((c) => c.name === 'shop');
	assert.deepEqual([made.redirectUris.length, made.clientSecret], [2, secret]);
	await page.click('[aria-label="New secret: shop"]');
	await page.click(dialog + 'button:text-is("New secret")');
	await page.waitForSelector('dialog[open] >> text=It is shown only now');
	assert.notEqual(await page.textContent(dialog + '.copy >> nth=1 >> code'), secret);
	await page.click(dialog + 'button:text-is("I have kept it")');
});

test('a user is added, becomes a member by search, and the owner', async () => {
	await open(page, '/users');
	await page.click('button:text-is("Add a user")');
	await page.fill(dialog + 'label:has-text("account") input', 'ann');
	await page.fill(dialog + 'label:has-text("password") input', 'another long one');
	await page.click(dialog + 'button:text-is("Save")');
	await page.waitForSelector('h1:text-is("ann")');
	ann = page.url().split('/').pop();
	await page.check('label:has-text("dev") input');
	await page.waitForSelector('text=ann was saved');
	await isGood(page, 'user');
	await open(page, '/units/' + north);
	await page.fill('[type=search]', 'an');
	await page.click('li button:text-is("ann")');
	await page.click('[aria-label="Make owner: ann"]');
	await page.waitForSelector('li:has-text("ann") .tag:text-is("Owner")');
	assert.equal((await call('GET', '/broker/api/v1/unit/' + north)).ownerId, ann);
});

test('a user is disabled and undone, and what goes with one is said', async () => {
	await open(page, '/users/' + ann);
	await page.click('button:text-is("Disable")');
	await page.waitForSelector('dd:has-text("disabled")');
	await page.click('.toast >> nth=-1 >> text=Undo');
	await page.waitForSelector('dd:has-text("active")');
	await call('POST', '/auth/api/v1/user', { account: 'bob', password: 'bobs password' });
	await open(page, '/users');
	await page.click('a:text-is("ann")');
	await page.click('button:text-is("Delete")');
	await page.waitForSelector('dialog[open] >> text=Units that stay without their owner: 1 (north)');
	await page.click(dialog + 'button:text-is("Cancel")');
	// a password that is set signs the user out
	await page.click('button:text-is("Set the password")');
	await page.fill(dialog + 'input', 'another long one');
	await page.click(dialog + 'button:text-is("Save")');
	await page.waitForSelector('text=ann has a new password');
});

test('another user sees the own unit, not the other, and no pages of administrators', async () => {
	await call('POST', '/broker/api/v1/application', { unitId: south, code: 'secret-app', hostUri: 'mqtt://localhost' });
	const p = await openPage(platform);
	await signIn(p, platform, '/units', 'ann', 'another long one');
	await p.waitForSelector('a:text-is("north")');
	assert.equal(await p.isVisible('a:text-is("south")'), false);
	assert.equal(await p.isVisible('nav a[href="/users"]'), false);
	for (const path of ['/users', '/users/admin', '/backup']) {
		await open(p, path);
		await p.waitForSelector('text=This page is for administrators');
	}
	// what is not hers is not there, and the console says so
	const faults = [];
	p.removeAllListeners('console');
	p.on('console', (m) => faults.push(m.text()));
	await open(p, '/units/' + south);
	await p.waitForSelector('text=There is no such unit');
	assert.ok(faults.every((x) => /404/.test(x)), faults.join());
	await open(p, '/units/' + north);
	await p.waitForSelector('text=An administrator or manager adds members');
	await open(p, '/settings');
	assert.equal(await p.isVisible('h2:text-is("Platform")'), false);
	await open(p, '/audit');
	await p.waitForSelector('text=Nothing was changed yet');
	await open(p, '/units');
	await p.click('button:text-is("Add a unit")');
	await p.fill(dialog + 'label:has-text("code") input', 'hers');
	await p.click(dialog + 'button:text-is("Save")');
	await p.waitForSelector('h1:text-is("hers")');
	await open(p, '/audit');
	await p.waitForSelector(row('/broker/api/v1/unit'));
	assert.equal(await p.locator('tbody tr').count(), 1);
	await isGood(p, 'audit-own');
	// she may delete her own; it names what goes
	await open(p, '/units');
	await p.click('[aria-label="Delete: hers"]');
	await p.click(dialog + 'button:text-is("Delete")');
	await p.waitForSelector('a:text-is("hers")', { state: 'detached' });
	await p.context().close();
});

test('deleting a unit names what goes with it, counted by the server', async () => {
	await open(page, '/units/' + south);
	await page.click('button:text-is("Delete")');
	await page.waitForSelector(dialog + 'li:has-text("Applications: 1 (secret-app)")');
	await isGood(page, 'unit-delete');
	await page.click(dialog + 'button:text-is("Delete")');
	await page.waitForSelector('h1:text-is("Units")');
	await page.waitForSelector('a:text-is("south")', { state: 'detached' });
	assert.equal(await call('GET', '/broker/api/v1/unit/' + south), 404);
	await page.click('.toast:has-text("south was deleted") >> text=Undo');
	await page.waitForSelector('.toast:has-text("It is undone")');
	await page.waitForSelector('a:text-is("south")');
	assert.equal((await call('GET', '/broker/api/v1/application/list?unit=' + south))[0].code, 'secret-app');
});

test('what people did is there at once, is filtered, and saved as CSV', async () => {
	await open(page, '/audit');
	await page.waitForSelector(row('/broker/api/v1/unit'));
	const what = 'PATCH /broker/api/v1/unit/' + north, before = await page.locator(row(what)).count();
	await call('PATCH', '/broker/api/v1/unit/' + north, { name: 'By a script' });
	await until(page, ([text, n]) => [...document.querySelectorAll('tbody tr')].filter((r) => r.textContent.includes(text)).length === n + 1, [what, before]);
	await page.fill('label:has-text("Path contains") input', '/auth/api/v1/user');
	await until(page, () => document.querySelector('tbody tr') && [...document.querySelectorAll('tbody tr')].every((r) => r.textContent.includes('/auth/api/v1/user')));
	await page.selectOption('label:has-text("Method") select', 'POST');
	await until(page, () => document.querySelectorAll('tbody tr').length === 2);
	await page.click('tbody tr >> nth=-1 >> button');
	const body = await page.textContent(dialog + '.copy code');
	assert.equal(JSON.parse(body).data.password, '');
	await isGood(page, 'audit-one');
	await page.click(dialog + 'button:text-is("Close")');
	const [file] = await Promise.all([page.waitForEvent('download'), page.click('button:text-is("Save as CSV")')]);
	const text = readFileSync(await file.path(), 'utf8');
	assert.equal(text.trim().split('\n').length, 3);
	assert.match(text, /dataId,reqTime/);
	await page.click('button:text-is("Show all")');
	await page.fill('[type=search] >> nth=-1', 'ann');
	await page.click('li button:text-is("ann")');
	await until(page, () => new URLSearchParams(location.search).get('user') && document.querySelector('tbody tr') && [...document.querySelectorAll('tbody tr')].every((r) => r.textContent.includes('ann')));
	await page.click('button:text-is("Show all")');
	await page.click(`${row('PATCH /broker/api/v1/unit/' + north)} >> nth=0 >> button`);
	await page.click(dialog + 'button:text-is("Its versions")');
	await page.click(dialog + 'ol .what >> nth=0');
	await page.waitForSelector(dialog + 'ins:text-is("By a script")');
	await isGood(page, 'audit-versions');
	await page.click(dialog + 'button:text-is("Close")');
	await page.click(`${row('PATCH /broker/api/v1/unit/' + north)} >> nth=0 >> a`);
	await page.waitForSelector('h1:text-is("By a script")');
});

test('a backup is made, downloaded as it is, uploaded, compared and restored', async () => {
	await open(page, '/backup');
	await page.waitForSelector('text=marram backup run');
	await isGood(page, 'backup-empty');
	await page.click('header ~ main button:text-is("Make a backup")');
	await page.fill(dialog + 'label:has-text("Prefix") input', 'mine');
	await page.click(dialog + 'button:text-is("Make a backup")');
	await page.waitForSelector(row('mine'));
	const folder = join(platform.folder, readdirSync(platform.folder).find((f) => /backup/.test(f)));
	const name = readdirSync(folder).find((f) => /^mine.*zip$/.test(f));
	const [file] = await Promise.all([page.waitForEvent('download'), page.click(`[aria-label="Download: ${name}"]`)]);
	assert.equal(file.suggestedFilename(), name);
	const bytes = readFileSync(await file.path());
	assert.ok(bytes.equals(readFileSync(join(folder, name))));
	await page.setInputFiles('[type=file]', { name: 'copy of it.zip', mimeType: 'application/zip', buffer: bytes });
	await page.waitForSelector(row('copy_of_it.zip'));
	assert.ok(readFileSync(join(folder, 'copy_of_it.zip')).equals(bytes));
	await page.click('[aria-label="Delete: copy_of_it.zip"]');
	await page.click(dialog + 'button:text-is("Delete")');
	await page.waitForSelector(row('copy_of_it.zip'), { state: 'detached' });

	await call('PATCH', '/broker/api/v1/unit/' + north, { name: 'After' });
	await call('DELETE', '/broker/api/v1/unit/' + south);
	await page.click(`[aria-label="Restore: ${name}"]`);
	await page.waitForSelector(dialog + 'tr:has-text("broker.unit") >> text=south');
	await isGood(page, 'backup-restore');
	page.removeAllListeners('console'); // whoever asks meanwhile is told to sign in
	await page.click(dialog + 'button:text-is("Restore now")');
	await page.click(dialog + 'button:text-is("Sign in again")');
	await page.fill('[name=account]', 'admin');
	await page.fill('[name=password]', 'a long password');
	await page.press('[name=password]', 'Enter');
	await page.waitForSelector('.toast:has-text("was restored")');
	assert.equal((await call('GET', '/broker/api/v1/unit/' + north)).name, 'By a script');
	assert.equal((await call('GET', '/broker/api/v1/unit/' + south)).code, 'south');
	await page.waitForSelector(row('before_restore'));
});

test('a backup of MyController is looked at, then taken into a unit', async () => {
	const made = spawnSync('/usr/bin/python3', ['-c', 'import sys; sys.path.insert(0, sys.argv[1]); import import_test; sys.stdout.buffer.write(import_test.mycontroller("json"))', join(root, 'test/e2e')], { maxBuffer: 1 << 24 });
	assert.equal(made.status, 0, String(made.stderr));
	await page.setInputFiles('[type=file]', { name: 'mc.zip', mimeType: 'application/zip', buffer: made.stdout });
	await page.click('[aria-label="Import: mc.zip"]');
	await page.waitForSelector(dialog + 'dd:has-text("mycontroller")');
	await page.selectOption(dialog + 'select', south);
	await page.fill(dialog + '[type=password]', 'my-secret');
	await page.click(dialog + 'button:text-is("Look what would come")');
	await page.waitForSelector('dialog[open] >> text=What can not be taken');
	assert.deepEqual(await call('GET', '/hub/api/v1/task/list?unit=' + south), []);
	await isGood(page, 'backup-import');
	await page.click(dialog + 'button:text-is("Import")');
	await page.waitForSelector('.toast:has-text("mc was imported")');
	assert.deepEqual((await call('GET', '/hub/api/v1/task/list?unit=' + south)).map((x) => x.id), ['fan_on']);
	// one that is no backup is refused with the reason
	page.removeAllListeners('console');
	await page.setInputFiles('[type=file]', { name: 'no.zip', mimeType: 'application/zip', buffer: Buffer.from('no zip') });
	await page.waitForSelector('.toast.bad');
});

test('backups come by themselves when that is planned', async () => {
	await page.fill('label:has-text("Every day at") input', '04:30');
	await page.click('button:text-is("Plan it")');
	await page.waitForSelector('.plans >> text=every day, 04:30');
	const unit = await page.evaluate(() => JSON.parse(localStorage['marram.look']).unit);
	const [s] = await call('GET', '/hub/api/v1/schedule/list?unit=' + unit);
	assert.deepEqual([s.spec.time, s.enabled, s.handlers], ['04:30', true, ['nightly-backup']]);
	await isGood(page, 'backup');
});

test('settings: the place, a change that is marked, undone and reset', async () => {
	await page.context().grantPermissions(['geolocation', 'clipboard-read', 'clipboard-write']);
	await page.context().setGeolocation({ latitude: 52.5, longitude: 13.4 });
	await open(page, '/settings');
	await clear(page);
	await page.click('button:text-is("Use this browser\'s location")');
	await until(page, () => document.querySelector('form input').value === '52.5000');
	await page.click('form button:text-is("Save")');
	await page.waitForSelector('text=hub.latitude, hub.longitude');
	assert.equal((await call('GET', '/hub/api/v1/setting/hub.longitude')).value, '13.4000');
	await page.fill('[type=search]', 'log.level');
	await until(page, () => document.querySelectorAll('[data-setting]').length === 1);
	await page.click('[aria-label="Set log.level"]');
	await page.selectOption(dialog + 'select', 'warn');
	await page.click(dialog + 'button:text-is("Save")');
	await page.waitForSelector('[data-setting="log.level"].changed:has-text("changed here")');
	await page.click('.toast >> nth=-1 >> text=Undo');
	await page.waitForSelector('[data-setting="log.level"]:not(.changed)');
	await clear(page);
	await page.fill('[type=search]', '');
	await page.check('text=Only those that were changed');
	await page.click('[aria-label="Reset: hub.latitude"]');
	await page.waitForSelector('[data-setting="hub.latitude"]', { state: 'detached' });
	await clear(page);
	// one that does not fit is refused with the reason
	page.removeAllListeners('console');
	await page.click('[aria-label="Set hub.longitude"]');
	await page.fill(dialog + 'input', 'far');
	await page.click(dialog + 'button:text-is("Save")');
	await page.waitForSelector(dialog + '[role=alert]:has-text("hub.longitude")');
	await isGood(page, 'setting');
	await page.click(dialog + 'button:text-is("Cancel")');
	await page.fill('[type=search]', 'retention');
});

test('the API: found, linked, tried', async () => {
	const p = await openPage(platform);
	await signIn(p, platform, '/api');
	await p.fill('[type=search]', 'broker unit list');
	await p.click('.op:has(code:text-is("/broker/api/v1/unit/list"))');
	await p.waitForSelector('.more >> text=unit.get');
	await p.waitForSelector('.more code:text-is("memberIds")');
	await p.fill('.more label:has-text("contains") input', 'nor');
	await p.click('.more button:text-is("Send")');
	await p.waitForSelector('.more [role=status]:has-text("200")');
	const answer = JSON.parse(await p.textContent('form .copy code'));
	assert.deepEqual(answer.data.map((u) => u.code), ['north']);
	const line = await p.textContent('.more .copy code >> nth=0');
	assert.match(line, /^curl [^]*Authorization: Bearer \$TOKEN[^]*contains=nor/);
	await isGood(p, 'api-operation');
	const link = await p.evaluate(() => location.href);
	assert.match(link, /#./);
	await p.goto(link.replace(/\?[^#]*/, ''));
	await p.waitForSelector('.more code:text-is("memberIds")');
	// one that changes something has an example and no button
	await p.fill('[type=search]', 'POST /broker/api/v1/unit');
	await p.click('.op:has(code:text-is("/broker/api/v1/unit"))');
	// it stays open when the list has become what was searched for
	await until(p, () => new URLSearchParams(location.search).get('search')?.startsWith('POST'));
	await p.waitForSelector('.more >> text=-X POST');
	assert.match(await p.textContent('.more .copy code'), /"code":/);
	assert.equal(await p.isVisible('.more button:text-is("Send")'), false);
	await p.context().close();
});

test('the guide: searched, linked, copied from', async () => {
	const p = await openPage(platform);
	await signIn(p, platform, '/help/backup#by-a-rule');
	await p.waitForSelector('h1:text-is("Backup and restore")');
	await until(p, () => Math.abs(document.getElementById('by-a-rule').getBoundingClientRect().top) < 300);
	await p.click('article a:text-is("handler")');
	await p.waitForSelector('h1:text-is("Handlers")');
	assert.match(p.url(), /\/help\/handler$/);
	await p.fill('[type=search]', 'safety copy');
	await p.click('.found a:has-text("Backup and restore")');
	await p.waitForSelector('h1:text-is("Backup and restore")');
	await p.click('.code button >> nth=0');
	await p.waitForSelector('.code button:text-is("Copied")');
	assert.match(await p.evaluate(() => navigator.clipboard.readText()), /^marram login/);
	await p.click('.toc a:text-is("From MyController")');
	await until(p, () => document.getElementById('from-mycontroller').getBoundingClientRect().top < innerHeight);
	await open(p, '/help/users#the-api');
	await p.click('article a:text-is("its reference")');
	await p.waitForSelector('h1:text-is("API")');
	await open(p, '/help/none');
	await p.waitForSelector('text=There is no such page in the guide');
	// the guide is in English, and says so to others
	await p.evaluate(() => localStorage.setItem('marram.look', JSON.stringify({ language: 'de', theme: 'light', unit: '' })));
	await p.goto(platform.url + '/help/mqtt');
	await p.waitForSelector('text=Die Anleitung ist auf Englisch');
	await p.context().close();
});

test('the own account: name, password, everywhere signed out', async () => {
	const [one, two] = [await openPage(platform), await openPage(platform)];
	for (const p of [one, two]) p.removeAllListeners('console'); // a sign-in that has ended is told to the console
	await signIn(one, platform, '/account', 'ann', 'another long one');
	await signIn(two, platform, '/account', 'ann', 'another long one');
	await one.fill('label:has-text("Name") input', 'Ann Example');
	await one.click('form button:text-is("Save")');
	await one.waitForSelector('text=ann was saved');
	assert.equal((await call('GET', '/auth/api/v1/user/' + ann)).name, 'Ann Example');
	await isGood(one, 'account');
	await one.fill('label:has-text("New password") input', 'the third one');
	await one.fill('label:has-text("Once more") input', 'the fourth');
	await one.click('button:text-is("Set the password")');
	await one.waitForSelector('[role=alert]:has-text("not the same")');
	await one.click('button:text-is("Sign out everywhere")');
	await one.click(dialog + 'button:text-is("Sign out everywhere")');
	await one.waitForSelector('[name=password]');
	await two.reload().catch(() => {}); // unless it is on its way there by itself
	await two.waitForSelector('[name=password]');
	await signIn(one, platform, '/account', 'ann', 'another long one');
	await one.fill('label:has-text("New password") input', 'the third one');
	await one.fill('label:has-text("Once more") input', 'the third one');
	await one.click('button:text-is("Set the password")');
	await one.waitForSelector('[name=password]');
	await signIn(one, platform, '/account', 'ann', 'the third one');
	await one.context().close();
	await two.context().close();
});

test('by keyboard alone: a unit is made, found and deleted', async () => {
	const p = await openPage(platform);
	await signIn(p, platform, '/units');
	const tabTo = async (name) => {
		for (let i = 0; i < 120; i++) {
			await p.keyboard.press('Tab');
			const at = await p.evaluate(() => { const e = document.activeElement; return e.getAttribute('aria-label') || e.labels?.[0]?.textContent || e.textContent; });
			if (at.trim().toLowerCase().startsWith(name.toLowerCase())) return;
		}
		assert.fail('no way to ' + name);
	};
	await tabTo('Add a unit');
	await p.keyboard.press('Enter');
	await p.waitForSelector(dialog + 'form');
	await tabTo('code');
	await p.keyboard.type('keys');
	await p.keyboard.press('Enter');
	await p.waitForSelector('h1:text-is("keys")');
	await tabTo('Delete');
	await p.keyboard.press('Enter');
	await p.waitForSelector(dialog + 'button.bad');
	await tabTo('Delete');
	await p.keyboard.press('Enter');
	await p.waitForSelector('h1:text-is("Units")');
	await p.waitForSelector('a:text-is("keys")', { state: 'detached' });
	await p.context().close();
});

for (const [size, viewport] of Object.entries({ wide: { width: 1280, height: 800 }, phone: { width: 360, height: 740 } }))
	for (const colorScheme of ['light', 'dark'])
		test(`its pages are good on a ${size} screen, ${colorScheme}`, async () => {
			const p = await openPage(platform, { viewport, colorScheme });
			await signIn(p, platform, '/units');
			for (const path of ['/units', '/units/' + north, '/users', '/users/' + ann, '/account', '/clients', '/clients?tab=clients', '/audit', '/backup', '/settings', '/api', '/help', '/help/gateway', '/help/reference-settings']) {
				await open(p, path);
				await idle(p);
				await isGood(p, `admin${path.replace(/\W+/g, '-').replace(north, 'one').replace(ann, 'one')}-${size}-${colorScheme}`);
			}
			await p.context().close();
		});

test('no page had an error or asked another host', async () => {
	await finish();
});
