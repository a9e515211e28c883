// The unit somebody works in.
import { get } from './api';
import { choose, look } from './look.svelte';
import { hexOf } from './payload';

export interface Unit { unitId: string; code: string; name: string }
export const site = $state({ units: [] as Unit[], loaded: false, line: '' /* that sends a first value */ });

export async function loadUnits() {
	site.units = await get<Unit[]>('/broker/api/v1/unit/list', { limit: 200 });
	if (!site.units.some((u) => u.unitId === look.unit)) choose({ unit: site.units[0]?.unitId ?? '' });
	site.loaded = true;
}
export const unit = () => site.units.find((u) => u.unitId === look.unit);

// What sends a value of a device on a network, to be pasted into a terminal.
export function uplinkLine(network: string, password: string, addr = 'sensor-1'): string {
	const port = 1883; // unless the platform was told another
	return `mosquitto_pub -h ${location.hostname} -p ${port} -u ${network} -P ${password} -t broker.network.${unit()?.code ?? 'UNIT'}.${network}.uldata -m '{"time":"${new Date().toISOString()}","networkAddr":"${addr}","data":"${hexOf('{"temperature":21.5}')}"}'`;
}
