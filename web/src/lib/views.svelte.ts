// Views that somebody gave a name: kept in the unit, for this user alone; in
// this browser where the user may not write there.
import { change, get, type Changed } from './api';
import { who } from './auth.svelte';
import { look } from './look.svelte';
import type { DataRepository } from './schema';

export interface View { name: string; query: string }
export const views = $state({ all: [] as View[], here: false, loaded: '' });
const key = (page: string) => `views-${page}-${look.unit}-${who.userId}`.slice(0, 128);
let known = false;

export async function loadViews(page: string, again = false) {
	const id = key(page);
	if (views.loaded === id && !again) return;
	const found = (await get<DataRepository[]>('/hub/api/v1/data-repository/list', { unit: look.unit, contains: id, limit: 5 }).catch(() => [])).find((r) => r.id === id);
	known = !!found;
	views.here = !found;
	views.all = found?.data.views ?? JSON.parse(localStorage.getItem('marram.' + id) ?? '[]');
	views.loaded = id;
}
export async function keepViews(page: string, all: View[]): Promise<Changed> {
	const id = key(page), data = { views: all };
	let made: Changed = { data: undefined };
	try {
		if (known) made = await change('PATCH', '/hub/api/v1/data-repository/' + encodeURIComponent(id), { data });
		else made = await change('POST', '/hub/api/v1/data-repository', { id, unitId: look.unit, description: `Views of ${who.account}: ${page}`, readOnly: true, labels: { kind: 'views' }, data });
		known = true;
		views.here = false;
		localStorage.removeItem('marram.' + id);
	} catch (e) {
		if ((e as { status?: number }).status !== 403) throw e;
		localStorage.setItem('marram.' + id, JSON.stringify(all));
		views.here = true;
	}
	views.all = all;
	return made;
}
