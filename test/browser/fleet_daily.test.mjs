// What is done with a fleet day by day: tags are put in order, one configuration is
// taken back, the repository is pushed, modules come from elsewhere, secrets are
// shown to those who may, logs are read, and all of it is found.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { becomes as until, finish, isGood, openPage, Platform, signIn, visit as go } from './platform.mjs';

let platform, page, token, unitId, folder, workshop;
const fleet = '/fleet/api/v1', KEY = 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl';
const api = (method, path, data) => platform.call(method, fleet + path, data, token);
const ofUnit = (path) => `${path}?unit=${unitId}`;
const git = (where, ...words) => execFileSync('git', ['-C', where, '-c', 'user.name=Test', '-c', 'user.email=test@example.org', ...words], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] }).trim();
const visit = (path) => go(page, path);
const commit = (message) => api('POST', ofUnit('/repository/commit'), { message });
const TEXT = 'marram.TextFiles', put = (config, text) => api('PUT', ofUnit(`/configuration/${config}/module/${TEXT}`), { settings: { files: [{ path: '/etc/note', text }] } });
const noteOf = async (config) => (await api('GET', ofUnit('/configuration/' + config))).modules.find((m) => m.type === TEXT).settings.files[0].text;

before(async () => {
	folder = mkdtempSync(join(tmpdir(), 'marram-daily-'));
	platform = await Platform.start('--admin-password', 'a long password', '--fleet.remote.local', 'true', '--fleet.nix.localInputs', 'true', '--fleet.nix.nixpkgs', 'path:' + fileURLToPath(new URL('../../src/core/fleet/nixpkgs', import.meta.url)));
	token = await platform.token();
	const user = (await platform.post('/coremgr/api/v1/user', { account: 'workshop', password: 'another long one' }, token)).userId;
	unitId = (await platform.post('/coremgr/api/v1/unit', { code: 'farm', name: 'Farm' }, token)).unitId;
	await platform.call('PATCH', '/coremgr/api/v1/unit/' + unitId, { memberIds: [user] }, token);
	for (const name of ['Pump', 'Well']) await api('POST', ofUnit('/configuration'), { displayName: name, deviceType: 'linux' });
	for (const name of ['Site', 'Night', 'Test']) await api('POST', ofUnit('/tag'), { displayName: name });
	page = await openPage(platform);
	page.setDefaultTimeout(60_000);
	await signIn(page, platform);
});
after(async () => {
	try { await finish({ meant: /status of 502 .*\/push$/ }); } finally {
		await platform?.stop();
		rmSync(folder, { recursive: true, force: true });
	}
});

const weights = async () => Object.fromEntries((await api('GET', ofUnit('/tag/list'))).map((x) => [x.identifier, x.priority]));
const names = () => page.locator('ol[aria-label=Tags] .name a').allInnerTexts();

test('tags are put in order by the keyboard, and by dragging', async () => {
	await visit('/configurations?tab=tags');
	await page.waitForSelector('ol[aria-label=Tags]');
	await isGood(page, 'fleet-tags');
	assert.deepEqual(await names(), ['Site', 'Night', 'Test']);
	const moved = (n) => page.waitForSelector(`.toast:has-text("Test has priority ${n} now")`); // the next can be moved then
	await page.focus('button[aria-label="Move Test"]');
	await page.keyboard.press('ArrowUp');
	await moved(91);
	await page.waitForSelector('li:has-text("Test") >> text=priority 91');
	// the key goes on from there
	await until(async () => page.evaluate(() => document.activeElement?.getAttribute('aria-label') === 'Move Test'));
	assert.deepEqual(await names(), ['Site', 'Test', 'Night']);
	assert.deepEqual(await weights(), { site: 90, test: 91, night: 92 });
	await page.keyboard.press('ArrowUp');
	await moved(89);
	await page.waitForSelector('li:has-text("Test") >> text=priority 89');
	assert.deepEqual(await weights(), { site: 90, test: 89, night: 92 });

	const box = async (name) => page.locator(`button[aria-label="Move ${name}"]`).boundingBox();
	const from = await box('Test'), to = await box('Night');
	await page.mouse.move(from.x + 5, from.y + 5);
	await page.mouse.down();
	await page.mouse.move(to.x + 5, to.y + to.height, { steps: 8 });
	await until(async () => (await names()).join() === 'Site,Night,Test'); // it is seen where it falls
	await page.mouse.up();
	await page.waitForSelector('li:has-text("Test") >> text=priority 93');
	assert.deepEqual(await weights(), { site: 90, test: 93, night: 92 });
});

test('one configuration is taken back, and the other stays', async () => {
	await put('pump', 'old');
	await put('well', 'old');
	await commit('both old');
	await put('pump', 'new');
	await put('well', 'new');
	await commit('both new');
	await visit('/changes?tab=history');
	await page.click('li:has-text("both new") button:text-is("Revert")');
	await page.selectOption('dialog[open] select', 'pump');
	await isGood(page, 'fleet-revert');
	await page.click('dialog[open] button.main');
	await until(async () => (await noteOf('pump')) === 'old');
	assert.equal(await noteOf('well'), 'new');
	await page.click('li:has-text("both old") button:text-is("Restore")');
	await page.selectOption('dialog[open] select', { label: 'Only the configuration “Well”' });
	await page.click('dialog[open] button.main');
	await until(async () => (await noteOf('well')) === 'old');
});

test('the repository is pushed to another place, and what goes wrong there is said', async () => {
	const there = join(folder, 'there.git');
	git(folder, 'init', '-q', '--bare', '-b', 'master', there);
	await visit('/changes?tab=remotes');
	await page.waitForSelector('text=There are no remotes.');
	await page.waitForSelector('code:has-text("ssh-ed25519 ")');
	await isGood(page, 'fleet-remotes-empty');
	await page.click('button:text-is("New remote")');
	await page.fill('dialog[open] label:has-text("Address") input', 'file://' + join(folder, 'none.git'));
	await page.click('dialog[open] button.main');
	const card = page.locator('section[aria-label=origin]');
	await card.locator('button:text-is("Push")').click();
	await card.locator('[role=alert]').waitFor();
	await card.locator('button:text-is("Edit")').click();
	await page.fill('dialog[open] label:has-text("Address") input', 'file://' + there);
	await page.click('dialog[open] button.main');
	await card.locator('button:text-is("Test")').click();
	await card.locator('text=it is empty: push').waitFor();
	await card.locator('button:text-is("Push")').click();
	await card.locator('text=both have the same').waitFor();
	await card.locator('[role=alert]').waitFor({ state: 'detached' });
	const [{ commit: head }] = await api('GET', ofUnit('/repository/history'));
	assert.equal(git(there, 'rev-parse', 'master'), head);
	// somebody pushes there, and it is pulled
	git(folder, 'clone', '-q', there, 'work');
	writeFileSync(join(folder, 'work/artifacts-note'), 'x');
	git(join(folder, 'work'), 'add', '-A');
	git(join(folder, 'work'), 'commit', '-q', '-m', 'by somebody else');
	git(join(folder, 'work'), 'push', '-q');
	await card.locator('button:text-is("Test")').click();
	await card.locator('text=it has more: pull').waitFor();
	await isGood(page, 'fleet-remotes');
	await card.locator('button:text-is("Pull")').click();
	await card.locator('text=both have the same').waitFor();
	await page.click('[role=tab]:text-is("History")');
	await page.waitForSelector('li:has-text("by somebody else")');
	await page.click('[role=tab]:text-is("Remotes")');
	await card.locator('button:text-is("Delete")').click();
	await page.click('dialog[open] button.bad');
	await page.waitForSelector('text=There are no remotes.');
});

test('modules come from a repository of one’s own', async (t) => {
	try { execFileSync('nix', ['--version'], { stdio: 'ignore' }); } catch { return t.skip('nix is not here'); }
	const own = join(folder, 'modules');
	mkdirSync(join(own, 'marram-modules'), { recursive: true });
	writeFileSync(join(own, 'flake.nix'), '{ outputs = { self }: { }; }');
	writeFileSync(join(own, 'README.md'), 'This contains thymis modules.\n');
	writeFileSync(join(own, 'marram-modules/greeting.json5'), '{ type: "own.Greeting", name: { en: "Greeting", de: "Gruß" }, targets: ["linux"], settings: { text: { name: "Text", type: "string" } }, linux: { files: [{ path: "/etc/greeting", text: "{{text}}" }] } }');
	git(own, 'init', '-q');
	git(own, 'add', '-A');
	git(own, 'commit', '-q', '-m', 'first');
	await visit('/changes?tab=inputs');
	await page.waitForSelector('text=There are no module repositories.');
	await isGood(page, 'fleet-inputs-empty');
	const add = async (name, url) => {
		await page.click('button:text-is("Add a repository")');
		await page.fill('dialog[open] label:has-text("Name") input', name);
		await page.fill('dialog[open] label:has-text("Address") input', url);
		await page.click('dialog[open] button.main');
		await page.waitForSelector('dialog[open]', { state: 'detached' });
	};
	await add('own', 'git+file://' + own);
	const card = page.locator('section[aria-label=own]');
	await card.locator('text=Brings: Greeting').waitFor();
	await card.locator('button:text-is("Test")').click();
	await card.locator('text=It can be reached.').waitFor();
	await isGood(page, 'fleet-inputs');
	await visit('/configuration/pump');
	await page.click('button:text-is("Add a module")');
	await page.click('dialog[open] li button:has-text("Greeting")');
	await page.waitForSelector('section[aria-label=Greeting]');
	await page.waitForSelector('[role=status]:text-is("Everything is saved")');
	await visit('/changes?tab=inputs');
	await card.locator('button:text-is("Delete")').click();
	await page.click('dialog[open] button.bad');
	await page.waitForSelector('[role=alert]:has-text("own.Greeting")'); // who uses it is told
	await api('DELETE', ofUnit('/configuration/pump/module/own.Greeting'));
	await commit('without it');
});

test('a secret is shown to who may change, after it was asked for', async () => {
	await visit('/keep');
	await page.click('button:text-is("New secret")');
	await page.fill('dialog[open] label:has-text("Name") input', 'word');
	await page.fill('dialog[open] input[type=password]', 'open sesame');
	await page.click('dialog[open] button.main');
	await page.click('tr:has-text("word") button:text-is("Show")');
	await page.waitForSelector('dialog[open] :text("is recorded")');
	assert.equal(await page.locator('text=open sesame').count(), 0);
	await page.click('dialog[open] button:text-is("Show")');
	await page.waitForSelector('dialog[open] code:text-is("open sesame")');
	await isGood(page, 'fleet-secret');
	await page.click('dialog[open] button:text-is("Close")');
	assert.equal(await page.locator('text=open sesame').count(), 0);
	await page.click('tr:has-text("word") button:text-is("Edit")');
	await page.fill('dialog[open] label:has-text("Name") input', 'password');
	await page.click('dialog[open] button.main');
	await page.waitForSelector('td:text-is("password")');
	const [secret] = await api('GET', '/secret/list?unit=' + unitId);
	assert.equal((await api('POST', `/secret/${secret.id}/reveal`)).secret, 'open sesame'); // only its name has changed

	// a member of the unit sees that there is one, and no more
	const other = await openPage(platform);
	await signIn(other, platform, '/keep', 'workshop', 'another long one');
	await other.waitForSelector('td:text-is("password")');
	assert.equal(await other.locator('button:text-is("Show")').count(), 0);
	const theirs = await platform.token('workshop', 'another long one');
	const r = await fetch(`${platform.url}${fleet}/secret/${secret.id}/reveal`, { method: 'POST', headers: { Authorization: 'Bearer ' + theirs } });
	assert.ok([403, 404].includes(r.status), String(r.status));
	await other.context().close();
});

test('logs are read page by page', async () => {
	const { id } = await api('POST', '/device', { unitId, name: 'pump-1', address: '127.0.0.1', sshPort: 9, sshUser: 'root', config: 'pump', sshPublicKey: KEY });
	workshop = id;
	const line = (i) => ({ id: String(i), unitId, deviceId: id, timestamp: new Date(Date.UTC(2026, 0, 1) - i * 1000).toISOString(), message: `line ${i}`, host: 'pump', program: i % 2 ? 'sshd' : 'pumpd', tag: '', facility: 3, severity: i === 3 ? 3 : 6 });
	const all = Array.from({ length: 150 }, (_, i) => line(i));
	await page.route('**/log/list?*', (route) => { // a device that has an agent would have sent them
		const q = new URL(route.request().url()).searchParams, of = all.filter((l) => l.severity <= Number(q.get('severity') ?? 7) && l.message.includes(q.get('contains') ?? '') && (!q.get('program') || l.program === q.get('program')));
		const at = Number(q.get('offset') ?? 0);
		return route.fulfill({ json: { data: of.slice(at, at + Number(q.get('limit'))) } });
	});
	await visit(`/machine/${id}?tab=logs`);
	await page.waitForSelector('li:has(code:text-is("line 99"))');
	assert.equal(await page.locator('code:text-is("line 100")').count(), 0);
	await isGood(page, 'fleet-logs');
	await page.click('button:text-is("Older ones")');
	await page.waitForSelector('code:text-is("line 149")');
	await page.click('button:text-is("Newer ones")');
	await page.waitForSelector('code:text-is("line 0")');
	await page.selectOption('select[aria-label="How severe"]', '3');
	await page.waitForSelector('code:text-is("line 4")', { state: 'detached' });
	assert.deepEqual(await page.locator('main ol code').allInnerTexts(), ['line 3']);
	await page.unroute('**/log/list?*');
});

test('an answer that was old when it came is followed by the one that is new', async () => {
	const { id } = await api('POST', ofUnit('/plan'), { devices: [workshop], message: 'away' });
	const rows = () => api('GET', `/deployment-device/list?unit=${unitId}&deployment=${id}`);
	await until(async () => (await rows())[0]?.reason.includes('can not be reached'));
	let n = 0;
	await page.route('**/deployment-device/list?*', async (route) => {
		const r = await route.fetch(), json = await r.json();
		if (n++ === 0) Object.assign(json.data[0], { state: 'plan', reason: '' }); // as it was a moment before
		return route.fulfill({ response: r, json });
	});
	await visit('/deployment/' + id);
	await page.waitForSelector('section[aria-label="pump-1"] :text("can not be reached")');
	assert.ok(n > 1);
	await page.unroute('**/deployment-device/list?*');
	await api('POST', `/deployment/${id}/cancel`);
});

test('what the fleet has is found by a few letters', async () => {
	for (const [words, name, kind, where] of [['pump-', 'pump-1', 'Machine', '/machine/'], ['well', 'Well', 'Configuration', '/configuration/well'], ['nig', 'Night', 'Tag', '/configuration/tag/night']]) {
		await page.keyboard.press('Control+k');
		await page.waitForSelector('dialog [role=combobox]:focus');
		await page.keyboard.type(words);
		await page.click(`[role=option]:has-text("${name}"):has(small:text-is("${kind}"))`);
		await page.waitForURL((u) => u.pathname.startsWith(where));
	}
});

test('in German, on a phone, and in the dark', async () => {
	const phone = await openPage(platform, { viewport: { width: 360, height: 740 }, colorScheme: 'dark', locale: 'de-AT' });
	phone.setDefaultTimeout(60_000);
	await signIn(phone, platform);
	for (const [name, path, seen] of [['tags', '/configurations?tab=tags', 'li:has-text("Night")'], ['remotes', '/changes?tab=remotes', 'text=Es gibt keine Gegenstellen.'], ['inputs', '/changes?tab=inputs', 'text=Es gibt keine Modul-Repositorys.'], ['machine', '/machine/' + workshop, 'h1:text-is("pump-1")'], ['keep', '/keep', 'td:has-text("password")'], ['logs', `/machine/${workshop}?tab=logs`, 'text=Es hat kein Protokoll gesendet.']]) {
		await phone.goto(platform.url + path);
		await phone.waitForSelector(seen);
		await isGood(phone, 'fleet-de-' + name);
	}
});
