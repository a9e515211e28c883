// The accounts behind user ids, for those who may read them; others see their
// own.
import { get } from './api';
import { who } from './auth.svelte';
import type { User } from './schema';

export type { User };
export const readsUsers = () => !!(who.roles.admin || who.roles.manager);
const known = $state<Record<string, string>>({}), asked = new Set<string>();

export function account(id: string): string {
	if (id === who.userId) return who.account;
	if (readsUsers() && id && !asked.has(id)) {
		asked.add(id);
		get<User>('/auth/api/v1/user/' + encodeURIComponent(id)).then((u) => (known[id] = u.account), () => {});
	}
	return known[id] ?? id;
}
export const findUsers = (contains: string) => get<User[]>('/auth/api/v1/user/list', { contains, limit: 8 });
