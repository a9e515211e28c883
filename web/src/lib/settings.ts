// The platform's settings, as they are and as they are to be; null: as it started.
import { change, get } from './api';
import { t } from './look.svelte';
import type { Setting } from './schema';
import { together } from './undo';

const path = '/hub/api/v1/setting';
export const loadSettings = () => get<Setting[]>(path + '/list', { limit: 0 });
// Several at once go together, and come back together.
export const putSettings = (to: Record<string, string | null>, after?: () => unknown) =>
	together(t('changed', { name: Object.keys(to).join(', ') }), async (keep) => { for (const [id, v] of Object.entries(to)) await keep(v === null ? change('DELETE', `${path}/${id}`) : change('PATCH', `${path}/${id}`, { value: v })); }, after);
