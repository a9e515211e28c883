// Rules: the sentence and the text in step, tried out, seen in the traces.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { becomes as until, finish, isGood, openPage, Platform, signIn, visit as go } from './platform.mjs';

let platform, page, token, unitId, networkId, deviceId;
const hex = (o) => Buffer.from(JSON.stringify(o)).toString('hex');
const send = (values) => platform.post(`/coremgr/api/v1/network/${networkId}/uldata`, { deviceId, payload: hex(values) }, token);
const stored = (path) => platform.call('GET', '/hub/api/v1/' + path, undefined, token);
const visit = (p, path) => go(p, path, { lose: true });
const field = (name) => `site-net.sensor-1.data.${name}`;
const editor = (p) => p.locator('section:has(> #text) [role=textbox]');
// All of it: the editor draws only the lines that are seen.
async function text(p) {
	await editor(p).click();
	await p.keyboard.press('Control+a');
	await p.keyboard.press('Control+c');
	return JSON.parse(await p.evaluate(() => navigator.clipboard.readText()));
}
async function retype(p, o) {
	await editor(p).click();
	await p.keyboard.press('Control+a');
	await p.keyboard.insertText(typeof o === 'string' ? o : JSON.stringify(o, null, 2));
}
const find = async (p, label, words, choice) => {
	await p.click(`[role=combobox][aria-label="${label}"]`);
	await p.fill(`[role=combobox][aria-label="${label}"]`, words);
	await p.click(`[role=option]:has-text("${choice}")`);
};

before(async () => {
	platform = await Platform.start('--admin-password', 'a long password');
	token = await platform.token();
	unitId = (await platform.post('/coremgr/api/v1/unit', { code: 'site', name: 'Site' }, token)).unitId;
	networkId = (await platform.post('/coremgr/api/v1/network', { code: 'site-net', unitId, hostUri: 'mqtt://localhost' }, token)).networkId;
	await platform.post('/hub/api/v1/profile', { unitId, code: 'probe', codec: 'json', fields: { temperature: { unit: '°C' } } }, token);
	deviceId = (await platform.post('/coremgr/api/v1/device', { unitId, networkId, networkAddr: 'sensor-1', name: 'Hall', profile: 'probe' }, token)).deviceId;
	await send({ temperature: 21, relay: false, other: 5 });
	await until(async () => (await stored(`field/list?unit=${unitId}`)).length === 3);
	page = await openPage(platform);
	await signIn(page, platform, '/rules');
});
after(() => platform?.stop());

test('a task is made by its sentence, tried, saved, and fires', async () => {
	await page.waitForSelector('text=marram task add');
	await isGood(page, 'rules-empty-light');
	await page.click('a:text-is("New task")');
	await find(page, '+ a value', 'temp hall', 'temperature of Hall');
	await page.selectOption('[aria-label="Condition 1: comparison"]', 'gt');
	await page.fill('[aria-label="Condition 1: with what"]', '30');
	assert.deepEqual((await text(page)).eventFilter.filters, { gatewayId: 'site-net', nodeId: 'sensor-1', sourceId: 'data', fieldId: 'temperature' });
	await find(page, '+ a handler', '', 'resource_handler');
	await find(page, 'Which one, for set', 'relay', 'relay of Hall');
	await page.fill('[aria-label="Value of set"]', 'true');
	await page.fill('label:has-text("It is called") input', 'Fan when warm');
	await page.fill('label:has-text("Its id is") input', 'fan');
	await page.click('button:text-is("Try it")');
	await page.waitForSelector('.trial >> text=it is not true now');
	await page.waitForSelector('.trial >> text=resource_handler: set');
	await isGood(page, 'rule-task-light');
	assert.deepEqual(await stored(`trace/list?unit=${unitId}`), []);
	await page.click('button:text-is("Save")');
	await page.waitForSelector('h1:text-is("Fan when warm")');
	await page.click('[role=tab]:text-is("Traces")');
	await page.waitForSelector('text=marram trace list');
	await send({ temperature: 31 });
	await page.waitForSelector('td:has-text("fired")');
	await page.waitForSelector('td:has-text("temperature = 31")');
	await isGood(page, 'rule-traces-light');
	await page.click('button:text-is("Details")');
	await page.waitForSelector('dialog[open] >> text=resource_handler: set');
	assert.equal(await page.getAttribute('dialog[open] dd a', 'href'), '/device/' + deviceId);
	await isGood(page, 'rule-trace-light');
	await page.keyboard.press('Escape');
});

test('traces of all rules, live, by verdict and rule', async () => {
	await visit(page, '/rules?kind=trace');
	await page.waitForSelector('tbody tr:has-text("fan")');
	await send({ temperature: 12 });
	await page.waitForSelector('td:has-text("false")');
	await page.selectOption('label:has-text("Verdict") select', 'fired');
	await until(async () => (await page.locator('tbody tr').count()) === 1);
	await page.waitForSelector('td:has-text("fired")');
	await isGood(page, 'rules-traces-light');
	await page.click('tbody a:text-is("fan")');
	await page.waitForSelector('h1:text-is("Fan when warm")');
});

// Every kind with everything it has, and with what no sentence can say.
const whole = {
	task: { id: 'big', description: 'Everything', labels: { room: 'hall', script_timeout: '2s' }, enabled: false, ignoreDuplicate: true, autoDisable: true, reEnable: true, reEnableDuration: '10m',
		variables: { t: { type: 'resource_by_quick_id', resourceType: 'field', quickId: field('temperature'), keyPath: 'current.value', note: 'mine' }, w: { type: 'string', value: '{{ .t }}' }, l: { type: 'resource_by_labels', resourceType: 'node', labels: { a: 'b' }, keyPath: 'name' }, own: { type: 'map', deep: { x: [1, 2, { y: null }] } } },
		dampening: { type: 'evaluation', occurrences: 2, evaluation: 5, activeDuration: '1m' }, triggerOnEvent: true, eventFilter: { eventTypes: ['updated'], entityTypes: ['field'], filters: { nodeId: 'sensor-1', 'labels.x': 'y' } }, executionInterval: '7m',
		evaluationType: 'rule', evaluationConfig: { rule: { matchAll: false, conditions: [{ variable: 't', operator: 'range_in', value: '[1, 5]' }, { variable: 'w', operator: 'in', value: ['a', 2], why: 'so' }] }, javascript: 'kept', other: { z: 1 } },
		handlerParameters: { on: { type: 'resource_by_quick_id', resourceType: 'field', quickId: field('relay'), payload: 'on', preDelay: '5s', hint: 1 }, mail: { type: 'email', to: ['a@example.org'], subject: 'S', extra: [{ q: 1 }] }, data: { type: 'webhook', data: { a: 1 }, headers: { A: 'b' } } }, handlers: ['resource_handler', 'gone'] },
	schedule: { id: 'late', description: 'Late', labels: { a: 'b' }, enabled: false, type: 'cron', spec: { cronExpression: '30 22 * * mon-fri', zone: 'mine' }, validity: { enabled: true, date: { from: '2026-01-01', to: '2099-12-31' }, time: { from: '08:00', to: '23:00' }, validateTimeEveryday: true },
		variables: { a: { type: 'string', value: 'x', y: 1 } }, customVariableType: 'javascript', customVariableConfig: { javascript: '({b: 1})', more: true }, handlerParameters: { p: { type: 'noop', any: { deep: [1] } } }, handlers: ['resource_handler'] },
	'forward-payload': { id: 'ab', description: 'A to B', labels: { c: 'd' }, enabled: false, srcFieldId: 'field:' + field('temperature'), dstFieldId: 'field:' + field('other') },
	handler: { id: 'mail', description: 'Mail', labels: { to: 'anna' }, enabled: false, type: 'email', spec: { host: 'mail.example.org', port: 25, fromEmail: 'a@example.org', toEmails: ['b@example.org'], security: 'none', extra: { deep: [1] } } },
};
const lefts = { task: ['labels.room', 'variables.t.note', 'variables.own.deep.x.0', 'evaluationConfig.rule.conditions.1.why', 'evaluationConfig.javascript', 'evaluationConfig.other.z', 'handlerParameters.on.hint', 'handlerParameters.mail.extra.0.q', 'handlerParameters.data.data.a'], schedule: ['labels.a', 'spec.zone', 'variables.a.y', 'customVariableConfig.more', 'handlerParameters.p.any.deep'], 'forward-payload': ['labels.c'], handler: ['labels.to', 'spec.extra.deep'] };
for (const [kind, body] of Object.entries(whole))
	test(`${kind}: sentence and text are in step, and nothing is lost`, async () => {
		await platform.post('/hub/api/v1/' + kind, { unitId, ...body }, token);
		const before = await stored(`${kind}/${body.id}`);
		await visit(page, `/rule/${kind}/${body.id}`);
		await page.waitForSelector(`h1:text-is("${body.description}")`);
		await page.waitForSelector('section:has(> #text) .cm-line');
		await page.click('.left summary');
		const left = await page.$$eval('.left code', (all) => all.map((c) => c.textContent));
		for (const p of lefts[kind]) assert.ok(left.includes(p), `${p} in ${left}`);
		const known = left.filter((p) => /^(handlers|spec\.(cronExpression|host)|srcFieldId|dampening)/.test(p));
		assert.deepEqual(known, []);
		await isGood(page, `rule-${kind}-whole`);
		// the sentence changes the text, and only there
		const first = await text(page);
		await page.fill('label:has-text("It is called") input', 'Renamed');
		assert.deepEqual(await text(page), { ...first, description: 'Renamed' });
		if (kind === 'task') await page.fill('[aria-label="Condition 1: with what"]', '7, 9');
		if (kind === 'task') { await page.press('[aria-label="Condition 1: with what"]', 'Tab'); assert.equal((await text(page)).evaluationConfig.rule.conditions[0].value, '[7,9]'); }
		// the text changes the sentence
		await retype(page, { ...first, description: 'Typed' });
		await until(async () => (await page.inputValue('label:has-text("It is called") input')) === 'Typed');
		await page.click('button:text-is("Save")');
		await page.waitForSelector('h1:text-is("Typed")');
		const now = await stored(`${kind}/${body.id}`);
		assert.deepEqual({ ...now, description: 0, modifiedOn: 0, state: 0 }, { ...before, description: 0, modifiedOn: 0, state: 0 });
		await page.click('.toast:has-text("saved") >> text=Undo');
		await page.waitForSelector(`h1:text-is("${body.description}")`);
		await page.click('[role=tab]:text-is("Versions")');
		await page.waitForSelector('ol li:nth-child(3)');
	});

test('text that is no JSON holds the sentence, and is not saved', async () => {
	await visit(page, '/rule/forward-payload/ab');
	await page.waitForSelector('section:has(> #text) .cm-line');
	await retype(page, '{"id": ');
	await page.waitForSelector('text=The text is no JSON');
	assert.ok(await page.isDisabled('label:has-text("It is called") input'));
	assert.ok(await page.isDisabled('button:text-is("Save")'));
	await page.click('button:text-is("Discard changes")');
	await page.waitForSelector('label:has-text("It is called") input:not(:disabled)');
	await page.waitForSelector('section:has(> #sentence) b:text-is("12 °C")');
});

test('what the server finds wrong stands at its place', async () => {
	const p = await (await page.context().browser().newContext({ locale: 'en-GB' })).newPage(); // its console tells of the 400s
	await signIn(p, platform, '/rule/task/fan');
	await p.waitForSelector('section:has(> #text) .cm-line');
	await p.selectOption('[aria-label="How often, or for how long"]', 'active_duration');
	await p.fill('[aria-label="For how long"]', 'soon');
	await p.click('button:text-is("Save")');
	await p.waitForSelector('.part.wrong[data-at=dampening] >> text=is no duration');
	await p.waitForSelector('section:has(> #text) >> text=/Line \\d+: .*is no duration/');
	await isGood(p, 'rule-fault');
	await p.fill('[aria-label="For how long"]', '1m');
	await until(async () => (await p.locator('.part.wrong').count()) === 0);
	await p.evaluate(() => { history.pushState(null, '', '/rule/schedule/new'); dispatchEvent(new PopStateEvent('popstate')); });
	await p.click('dialog[open] button:text-is("Discard the changes")');
	await p.selectOption('[aria-label="When it runs"]', 'cron');
	await p.fill('[aria-label="Cron line"]', 'nonsense');
	await p.waitForSelector('.part.wrong[data-at=type] >> text=spec.cronExpression');
	await p.context().close();
});

test('schedules say when they run next, and run when told to', async () => {
	await visit(page, '/rule/schedule/new');
	await page.selectOption('[aria-label="When it runs"]', 'cron');
	await page.fill('[aria-label="Cron line"]', '*/10 7-9 * * mon-fri');
	await page.waitForSelector('b:has-text("every 10 minutes, in hour 7–9, Mon–Fri")');
	await until(async () => ((await page.textContent('.next')).match(/:/g) ?? []).length > 8);
	await isGood(page, 'rule-schedule-light');
	await page.selectOption('[aria-label="When it runs"]', 'simple');
	for (const d of ['Sat', 'Sun']) await page.click(`.chips button:text-is("${d}")`);
	await page.fill('[aria-label="Time of day"]', '07:30:00');
	assert.deepEqual((await text(page)).spec.dayOfWeek, 'sat,sun');
	await find(page, '+ a handler', '', 'resource_handler');
	await find(page, 'Which one, for set', 'relay', 'relay of Hall');
	await page.fill('[aria-label="Value of set"]', 'toggle');
	await page.fill('label:has-text("Its id is") input', 'weekend');
	await page.click('button:text-is("Save")');
	await page.waitForSelector('h1:text-is("weekend")');
	await page.click('button:text-is("Run now")');
	await page.click('[role=tab]:text-is("Traces")');
	await page.waitForSelector('td:has-text("resource_handler: set")');
});

test('a handler is tested, stage by stage, and keeps its secrets', async () => {
	await visit(page, '/rule/handler/new');
	await page.selectOption('[aria-label="What the handler does"]', 'webhook');
	await page.fill('label:text-is("Server") + input', platform.url);
	await page.fill('label:text-is("Path") + input', '/healthz');
	await page.selectOption('label:text-is("Method") + select', 'GET');
	await page.fill('label:has-text("Its id is") input', 'hook');
	await page.click('button:text-is("Save")');
	await page.waitForSelector('h1:text-is("hook")');
	await page.click('button:text-is("Send a test")');
	await page.waitForSelector('li:has-text("It has sent it") .good');
	await isGood(page, 'rule-handler-light');
	await platform.post('/hub/api/v1/handler', { unitId, id: 'bot', type: 'telegram', enabled: false, spec: { token: '123:hidden', chatIds: ['1'] } }, token);
	await visit(page, '/rule/handler/bot');
	await page.waitForSelector('[placeholder="kept as it is"]');
	assert.ok(!(await page.content()).includes('hidden'.padStart(10, '123:')));
});

test('copy, switch off, delete, each with a way back; a second browser follows', async () => {
	const other = await openPage(platform, { colorScheme: 'dark', locale: 'de-DE' });
	await signIn(other, platform, '/rules');
	await other.waitForSelector('td:has-text("Fan when warm")');
	await isGood(other, 'rules-dark-de');
	await visit(page, '/rule/task/fan');
	await page.click('button:text-is("Disable")');
	await other.waitForSelector('tr:has-text("Fan when warm") >> text=Ausgeschaltet');
	await page.click('.toast:has-text("Fan when warm: Disabled") >> text=Undo');
	await other.waitForSelector('tr:has-text("Fan when warm") >> text=Eingeschaltet');
	await page.click('button:text-is("Make a copy")');
	await page.waitForSelector('label:has-text("Its id is") input');
	await page.fill('label:has-text("Its id is") input', 'fan-2');
	await page.fill('label:has-text("It is called") input', 'Another fan');
	await page.click('button:text-is("Save")');
	await other.waitForSelector('td:has-text("Another fan")');
	await page.waitForSelector('h1:text-is("Another fan")');
	await page.click('button:text-is("Delete")');
	await page.click('dialog[open] button:text-is("Delete")');
	await page.waitForSelector('h1:text-is("Rules")');
	await until(async () => (await other.locator('td:has-text("Another fan")').count()) === 0);
	await page.click('.toast:has-text("deleted") >> text=Undo');
	await page.waitForSelector('h1:text-is("Another fan")');
	await visit(other, '/rule/task/fan');
	await other.waitForSelector('section:has(> #text) .cm-line');
	await isGood(other, 'rule-task-dark-de');
	await other.context().close();
});

test('by keyboard only', async () => {
	await visit(page, '/rule/task/new');
	const into = async (label) => { for (let i = 0; i < 80; i++) { if (await page.evaluate(() => document.activeElement.matches('.cm-content'))) await page.keyboard.press('Escape'); await page.keyboard.press('Tab'); if ((await page.evaluate(() => document.activeElement.getAttribute('aria-label') ?? document.activeElement.textContent)) === label) return; } assert.fail('no way to ' + label); };
	await page.focus('main');
	await into('+ a value');
	await page.keyboard.type('other');
	await page.waitForSelector('[role=option]:has-text("other of Hall")');
	await page.keyboard.press('Enter');
	await page.waitForSelector('[aria-label="Condition 1: with what"]');
	await page.focus('main');
	await into('Condition 1: with what');
	await page.keyboard.type('1');
	await into('Try it');
	await page.keyboard.press('Enter');
	await page.waitForSelector('.trial >> text=it is true now');
});

test('on a phone', async () => {
	for (const colorScheme of ['light', 'dark']) {
		const p = await openPage(platform, { viewport: { width: 360, height: 740 }, colorScheme });
		await signIn(p, platform, '/rules');
		await p.waitForSelector('td:has-text("Fan when warm")');
		await isGood(p, `rules-phone-${colorScheme}`);
		for (const [kind, id] of [['task', 'big'], ['schedule', 'late'], ['forward-payload', 'ab'], ['handler', 'mail']]) {
			await visit(p, `/rule/${kind}/${id}`);
			await p.waitForSelector('section:has(> #text) .cm-line');
			await isGood(p, `rule-${kind}-phone-${colorScheme}`);
		}
		await visit(p, '/rules?kind=trace');
		await p.waitForSelector('td:has-text("fired")');
		await isGood(p, `rules-traces-phone-${colorScheme}`);
		await p.context().close();
	}
});

test('who may only read sees rules, and can not change them', async () => {
	const { userId } = await platform.post('/coremgr/api/v1/user', { account: 'rita', password: 'another long one' }, token);
	await platform.call('PATCH', '/coremgr/api/v1/unit/' + unitId, { memberIds: [userId] }, token);
	const p = await openPage(platform);
	await signIn(p, platform, '/rules', 'rita', 'another long one');
	await p.waitForSelector('td:has-text("Fan when warm")');
	for (const b of ['a:text-is("New task")', 'tbody button']) assert.equal(await p.locator(b).count(), 0, b);
	await p.click('a:text-is("Fan when warm")');
	await p.waitForSelector('text=Only the owner of the unit');
	for (const b of ['Save', 'Try it', 'Delete', 'Disable', 'Make a copy']) assert.equal(await p.locator(`button:text-is("${b}")`).count(), 0, b);
	assert.ok(await p.isDisabled('[aria-label="Condition 1: with what"]'));
	await isGood(p, 'rule-readonly');
	await p.context().close();
});

test('no page had an error or asked another host', finish);
