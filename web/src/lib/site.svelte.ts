// The unit somebody works in.
import { get } from './api';
import { who } from './auth.svelte';
import { inOrder } from './beat';
import { choose, look } from './look.svelte';
import { hexOf } from './payload';
import type { Site, Unit } from './schema';

export const site = $state({ units: [] as Unit[], info: undefined as Site | undefined, loaded: false, line: '' /* that sends a first value */ });

const began = inOrder();
export async function loadUnits() {
	const isNew = began(), got = await Promise.all([get<Unit[]>('/broker/api/v1/unit/list', { limit: 200 }), get<Site>('/hub/api/v1/site')]);
	if (!isNew()) return;
	[site.units, site.info] = got;
	if (!site.units.some((u) => u.unitId === look.unit)) choose({ unit: site.units[0]?.unitId ?? '' });
	site.loaded = true;
}
// Who may change: the owner of the unit, and those who manage the platform.
export const mayChange = (unitId: string) => !!who.roles.admin || !!who.roles.manager || site.units.some((u) => u.unitId === unitId && u.ownerId === who.userId);
export const unit = () => site.units.find((u) => u.unitId === look.unit);

// Where the MQTT server is, as seen from this browser: in clear where that can
// be reached, else by TLS.
const isHere = /^(localhost|127\.|\[::1\])/.test(location.hostname);
export function mqttServer(): { host: string; port: number; tls: boolean; options: string } {
	const reached = (site.info?.listeners ?? []).filter((l) => l.scheme.startsWith('mqtt'));
	const best = [...reached].sort((a, b) => Number(a.local && !isHere) - Number(b.local && !isHere) || a.scheme.length - b.scheme.length)[0];
	const host = best?.local ? 'localhost' : best?.host || location.hostname, port = best?.port ?? 1883, tls = best?.scheme === 'mqtts';
	return { host, port, tls, options: `-h ${host} -p ${port}${tls ? ' --tls-use-os-certs' : ''}` };
}

// What sends a value of a device on a network, to be pasted into a terminal.
export function uplinkLine(network: string, password: string, addr = 'sensor-1'): string {
	return `mosquitto_pub ${mqttServer().options} -u ${network} -P ${password} -t broker.network.${unit()?.code ?? 'UNIT'}.${network}.uldata -m '{"time":"${new Date().toISOString()}","networkAddr":"${addr}","data":"${hexOf('{"temperature":21.5}')}"}'`;
}
