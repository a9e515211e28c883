// A device for the tests: the real marram-edge, with folders and ports of its
// own. Software is a file for each package in a folder; "broken" is none.
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { free } from './ports.mjs';

const root = fileURLToPath(new URL('../..', import.meta.url));
const beside = process.env.MARRAM && join(dirname(process.env.MARRAM), 'marram-edge');
const program = process.env.MARRAM_EDGE ?? (beside && existsSync(beside) ? beside : join(root, 'build/src/app/marram-edge'));
const LIMIT = 90_000;

const plugin = (store) => `#!/bin/sh
store=${store}
case "$1" in
list) for f in "$store"/*; do [ -e "$f" ] && printf '%s\\t%s\\n' "$(basename "$f")" "$(cat "$f")"; done; exit 0 ;;
prepare|finalize) exit 0 ;;
install) [ "$2" = broken ] && { echo "no such package: $2" >&2; exit 5; }
  echo "\${4:-1.0}" >"$store/$2" ;;
remove) rm "$store/$2" ;;
*) exit 1 ;;
esac
`;

export class Edge {
	static async make(name, settings) {
		const e = new Edge();
		e.name = name;
		e.folder = mkdtempSync(join(tmpdir(), 'edge-')); // paths of sockets are short
		for (const d of ['data', 'run', 'log', 'tmp', 'store', 'etc/sm-plugins', 'etc/plugins', 'etc/device']) mkdirSync(join(e.folder, d), { recursive: true });
		const [mqtt, http, proxy] = [await free(), await free(), await free()];
		const all = { 'device.id': name, 'sudo.enable': false, 'mqtt.bind.port': mqtt, 'http.bind.port': http, 'c8y.proxy.bind.port': proxy, 'data.path': join(e.folder, 'data'), 'run.path': join(e.folder, 'run'), 'logs.path': join(e.folder, 'log'), 'tmp.path': join(e.folder, 'tmp'), 'mqtt.bridge.reconnect_policy.initial_interval': '1s', 'mqtt.bridge.reconnect_policy.maximum_interval': '1s', ...settings };
		e.put('etc/tedge.toml', Object.entries(all).map(([k, v]) => `${k} = ${JSON.stringify(v)}\n`).join(''));
		e.put('reboot', `#!/bin/sh\ntouch ${join(e.folder, 'rebooted')}\n`, 0o755);
		e.put('etc/system.toml', ['[init]', 'name = "none"', ...['is_available', 'restart', 'stop', 'enable', 'disable', 'is_active'].map((k) => `${k} = ["false"]`), '[system]', `reboot = [${JSON.stringify(join(e.folder, 'reboot'))}]`, ''].join('\n'));
		e.put('data/parts', 'tedge-agent\n');
		e.put('etc/sm-plugins/dice', plugin(join(e.folder, 'store')), 0o755);
		e.put('store/rolldice', '1.16\n');
		e.put('lamp.conf', 'lamp = on\n');
		e.put('etc/plugins/tedge-configuration-plugin.toml', `files = [{ path = ${JSON.stringify(join(e.folder, 'lamp.conf'))}, type = "lamp" }]\n`);
		await e.start();
		return e;
	}
	put(path, text, mode = 0o644) {
		writeFileSync(join(this.folder, path), text);
		chmodSync(join(this.folder, path), mode);
	}
	has(path) { return existsSync(join(this.folder, path)); }
	read(path) { return readFileSync(join(this.folder, path), 'utf8'); }
	async start() {
		this.said = '';
		this.process = spawn(program, ['--config-dir', join(this.folder, 'etc'), 'run'], { cwd: this.folder, stdio: ['ignore', 'ignore', 'pipe'] });
		this.process.stderr.on('data', (d) => { this.said += d; });
		for (const end = Date.now() + LIMIT; !this.has('run/marram-edge.sock'); await new Promise((r) => setTimeout(r, 10))) {
			assert.equal(this.process.exitCode, null, this.said);
			assert.ok(Date.now() < end, 'it does not start: ' + this.said);
		}
	}
	async end(how = 'SIGTERM') {
		if (!this.process || this.process.exitCode !== null || this.process.signalCode) return;
		const ended = new Promise((done) => this.process.once('exit', done));
		this.process.kill(how);
		await ended;
		rmSync(join(this.folder, 'run/marram-edge.sock'), { force: true });
	}
	async stop() {
		await this.end();
		assert.doesNotMatch(this.said, /Sanitizer/);
		rmSync(this.folder, { recursive: true, force: true });
	}
	tedge(...words) {
		const r = spawnSync(program, ['--config-dir', join(this.folder, 'etc'), ...words], { encoding: 'utf8', cwd: this.folder, timeout: 120_000 });
		assert.equal(r.status, 0, `tedge ${words.join(' ')}: ${r.stderr}${this.said}`);
		return r.stdout;
	}
}
