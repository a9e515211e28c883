// Ports for servers that must know theirs before they start, or that come back
// on the one they had: see test/e2e/ports.py, which does the same, with which
// these are shared.
import { readFileSync } from 'node:fs';
import { createServer } from 'node:net';

const COUNT = 12_000, low = Number(readFileSync('/proc/sys/net/ipv4/ip_local_port_range', 'utf8').split(/\s/)[0]);
const first = low > COUNT + 1024 ? low - COUNT : 20_000;
const listening = (where) => new Promise((done) => { const s = createServer().once('error', () => done()).listen(where, () => done(s)); });

export async function free() {
	for (;;) {
		const port = first + Math.floor(Math.random() * COUNT);
		const name = await listening(`\0marram-test-port-${port}`.padEnd(108, '\0'));
		const s = name && (await listening({ port, host: '0.0.0.0' }));
		if (!s) { name?.close(); continue; }
		name.unref(); // it lasts as long as the process
		await new Promise((done) => s.close(done));
		return port;
	}
}
