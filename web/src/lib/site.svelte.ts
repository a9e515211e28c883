// The unit somebody works in.
import { get } from './api';
import { choose, look } from './look.svelte';

export interface Unit { unitId: string; code: string; name: string }
export const site = $state({ units: [] as Unit[], loaded: false, line: '' /* that sends a first value */ });

export async function loadUnits() {
	site.units = await get<Unit[]>('/broker/api/v1/unit/list', { limit: 200 });
	if (!site.units.some((u) => u.unitId === look.unit)) choose({ unit: site.units[0]?.unitId ?? '' });
	site.loaded = true;
}
export const unit = () => site.units.find((u) => u.unitId === look.unit);
