// ./dev bench web [--write]: what the web application costs. First load,
// publish to pixel, a large chart, and the server's processor time with idle
// tabs; each beside its bar.
import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

process.env.MARRAM ??= process.argv[2];
const { finish, openPage, Platform, signIn } = await import('../test/browser/platform.mjs');
const page_of = fileURLToPath(new URL('README.md', import.meta.url));
const sleep = (ms) => new Promise((done) => setTimeout(done, ms)); // measuring, not waiting for something
const percentile = (all, p) => [...all].sort((a, b) => a - b)[Math.min(all.length - 1, Math.floor(all.length * p))];
const hex = (s) => Buffer.from(s).toString('hex');
const rows = [];
const say = (what, seen, bar) => { rows.push([what, seen, bar]); console.log(`${what}: ${seen}${bar ? ` (bar: ${bar})` : ''}`); };

const platform = await Platform.start('--admin-password', 'a long password');
const token = await platform.token();
const { unitId } = await platform.post('/coremgr/api/v1/unit', { code: 'bench', name: 'Bench' }, token);
const { networkId, password } = await platform.post('/coremgr/api/v1/network', { code: 'net', unitId, hostUri: 'mqtt://localhost' }, token);
await platform.post('/hub/api/v1/profile', { unitId, code: 'plain', codec: 'json' }, token);
const { deviceId } = await platform.post('/coremgr/api/v1/device', { unitId, networkId, networkAddr: 's1', name: 'Sensor', profile: 'plain' }, token);
const publish = (value) => {
	const r = spawnSync('mosquitto_pub', ['-h', 'localhost', '-p', platform.mqtt, '-u', 'network.bench.net', '-P', password, '-t', 'broker.network.bench.net.uldata', '-m', JSON.stringify({ time: new Date().toISOString(), networkAddr: 's1', data: hex(JSON.stringify({ t: value })) })], { encoding: 'utf8' });
	if (r.status !== 0) throw new Error(r.stderr);
};
publish(1);

// First load: what is transferred until the page can be used, without cache.
{
	const page = await openPage(platform);
	await signIn(page, platform, '/devices');
	const fresh = await page.context().newPage(), cdp = await page.context().newCDPSession(fresh);
	let bytes = 0;
	await cdp.send('Network.enable');
	await cdp.send('Network.setCacheDisabled', { cacheDisabled: true });
	await cdp.send('Network.setBypassServiceWorker', { bypass: true });
	cdp.on('Network.loadingFinished', (e) => { bytes += e.encodedDataLength; });
	const times = [];
	for (let i = 0; i < 7; i++) {
		bytes = 0;
		const begun = performance.now();
		await fresh.goto(platform.url + '/devices');
		await fresh.getByText('Sensor').waitFor();
		times.push(performance.now() - begun);
	}
	say('first load transferred, its API calls too', `${(bytes / 1000).toFixed(0)} kB`, '200 kB');
	say('time until the list is there, loopback, median of 7', `${percentile(times, 0.5).toFixed(0)} ms`, '');
	await page.context().close();
}

// Publish to pixel: mosquitto_pub is begun, connects, signs in and publishes,
// until the text is in the page.
{
	const page = await openPage(platform);
	await signIn(page, platform, '/device/' + deviceId);
	await page.getByText('Sensor').first().waitFor();
	await page.evaluate(() => {
		window.seen = new Map();
		new MutationObserver(() => { for (const m of document.body.innerText.matchAll(/\b7\d\d,?\d{3}\b/g)) { const n = m[0].replace(',', ''); if (!window.seen.has(n)) window.seen.set(n, Date.now()); } }).observe(document.body, { subtree: true, childList: true, characterData: true });
	});
	const times = [];
	for (let i = 0; i < 50; i++) {
		const value = 700_000 + i, begun = Date.now();
		publish(value);
		let at;
		for (let k = 0; at === undefined && k < 200; k++) {
			at = await page.evaluate((v) => window.seen.get(v), String(value));
			if (at === undefined) await sleep(5);
		}
		times.push((at ?? Infinity) - begun);
	}
	say('publish to pixel with start of mosquitto_pub, median of 50', `${percentile(times, 0.5)} ms`, '250 ms');
	say('the same, 95 of 100', `${percentile(times, 0.95)} ms`, '250 ms');
	await page.context().close();
}

// A chart of 100,000 values: until it is drawn, and its frames while a hand
// drags it to and fro for three seconds.
{
	const field = (await platform.call('GET', `/hub/api/v1/field/list?unit=${unitId}&device=${deviceId}`, undefined, token))[0].id;
	const n = 99_000, first = Math.floor(Date.now() / 1000) - 2 * n;
	for (let i = 0; i < n; i += 20_000) {
		const lines = Array.from({ length: Math.min(20_000, n - i) }, (_, k) => `past,id=${field} value=${(i + k) % 97} ${first + (i + k) * 2}000000000`);
		const r = await fetch(`${platform.url}/write?db=bench`, { method: 'POST', headers: { Authorization: 'Token ' + token }, body: lines.join('\n') });
		if (!r.ok) throw new Error(await r.text());
	}
	const page = await openPage(platform);
	await signIn(page, platform);
	const times = [];
	for (let i = 0; i < 5; i++) {
		await page.goto(platform.url + '/help');
		await page.waitForSelector('main h1');
		const begun = performance.now();
		await page.goto(`${platform.url}/explore?f=net.s1.data.t&r=7d&fn=raw`);
		while (!(await page.evaluate((least) => Number(document.querySelector('.plot')?.dataset.points) >= least, n))) await sleep(5);
		times.push(performance.now() - begun);
	}
	say('100,000 values asked for, loaded and drawn, with the page, median of 5', `${percentile(times, 0.5).toFixed(0)} ms`, '');
	await page.focus('.plot');
	await page.keyboard.press('+');
	const box = await (await page.$('.u-over')).boundingBox(), y = box.y + box.height / 2;
	await page.evaluate(() => { window.frames_ = []; let last = performance.now(); (function next() { requestAnimationFrame((at) => { window.frames_.push(at - last); last = at; next(); }); })(); });
	await page.mouse.move(box.x + box.width / 2, y);
	await page.mouse.down();
	for (const end = Date.now() + 3000; Date.now() < end;) await page.mouse.move(box.x + box.width * (0.5 + 0.3 * Math.sin(Date.now() / 300)), y);
	await page.mouse.up();
	const frames = await page.evaluate(() => window.frames_.slice(2));
	say('time between its frames while it is dragged, median', `${percentile(frames, 0.5).toFixed(0)} ms`, 'smooth: 33 ms');
	say('the same, 95 of 100', `${percentile(frames, 0.95).toFixed(0)} ms`, '');
	await page.context().close();
}

// Ten idle tabs: processor time of the server.
{
	const page = await openPage(platform);
	await signIn(page, platform);
	const tabs = [page];
	while (tabs.length < 10) {
		const p = await page.context().newPage();
		await p.goto(platform.url + ['/', '/devices', '/inbox', '/device/' + deviceId, '/networks', '/audit', '/rules'][tabs.length % 7]);
		await p.waitForSelector('main h1');
		tabs.push(p);
	}
	const used = () => { const f = readFileSync(`/proc/${platform.process.pid}/stat`, 'utf8').split(') ')[1].split(' '); return (Number(f[11]) + Number(f[12])) * 10; };
	await sleep(5000);
	const before = used();
	await sleep(30_000);
	say('processor time of the server with ten idle tabs, over 30 s', `${((used() - before) / 300).toFixed(2)} % of a core`, '1 %');
	await page.context().close();
}

await finish().catch((e) => console.error(String(e)));
await platform.stop();
if (process.argv.includes('--write')) {
	const table = ['| | seen | bar |', '|---|---|---|', ...rows.map((r) => `| ${r.join(' | ')} |`)].join('\n');
	writeFileSync(page_of, readFileSync(page_of, 'utf8').replace(/<!-- web -->[\s\S]*?<!-- end -->/, `<!-- web -->\n${table}\n<!-- end -->`));
}
