// The kinds of objects that can be looked for: where they are listed, what
// they are called, and the page of each.
import { get } from './api';
import { mayOpen, pages } from './pages';

interface Kind { text: string; path: string; page: string; href: (r: any) => string; name: (r: any) => string; ofUnit?: boolean; by?: string /* what the call looks into names with; none: it does not */ }
const ruled = (text: string, kind: string): Kind => ({ text, path: '/hub/api/v1/' + kind, page: '/rules', ofUnit: true, href: (r) => `/rule/${kind}/${encodeURIComponent(r.id)}`, name: (r) => r.description || r.id });

export const kinds: Kind[] = [
	{ text: 'device', path: '/broker/api/v1/device', page: '/devices', ofUnit: true, href: (r) => '/device/' + r.deviceId, name: (r) => r.name || r.networkAddr },
	{ text: 'network', path: '/broker/api/v1/network', page: '/networks', ofUnit: true, href: (r) => '/network/' + r.networkId, name: (r) => r.name || r.code },
	{ text: 'gateway', path: '/hub/api/v1/gateway', page: '/gateways', ofUnit: true, href: (r) => '/gateway/' + r.id, name: (r) => r.code },
	{ text: 'application', path: '/broker/api/v1/application', page: '/applications', ofUnit: true, href: (r) => '/application/' + r.applicationId, name: (r) => r.name || r.code },
	{ text: 'dashboards', path: '/hub/api/v1/dashboard', page: '/dashboards', ofUnit: true, href: (r) => '/dashboard/' + r.id, name: (r) => r.title },
	{ text: 'profile', path: '/hub/api/v1/profile', page: '/profiles', ofUnit: true, href: (r) => '/profile/' + r.id, name: (r) => r.name || r.code },
	ruled('task', 'task'), ruled('schedule', 'schedule'), ruled('handler', 'handler'), ruled('forward', 'forward-payload'),
	{ text: 'fleet.machine', path: '/fleet/api/v1/device', page: '/machines', ofUnit: true, by: 'name', href: (r) => '/machine/' + r.id, name: (r) => r.name || r.id },
	{ text: 'fleet.configuration', path: '/fleet/api/v1/configuration', page: '/configurations', ofUnit: true, by: '', href: (r) => '/configuration/' + r.identifier, name: (r) => r.displayName },
	{ text: 'fleet.tag', path: '/fleet/api/v1/tag', page: '/configurations', ofUnit: true, by: '', href: (r) => '/configuration/tag/' + r.identifier, name: (r) => r.displayName },
	{ text: 'unit', path: '/broker/api/v1/unit', page: '/units', href: (r) => '/units?search=' + encodeURIComponent(r.code), name: (r) => r.name || r.code },
	{ text: 'user', path: '/auth/api/v1/user', page: '/users', href: (r) => '/users?search=' + encodeURIComponent(r.account), name: (r) => r.name || r.account },
	{ text: 'setting', path: '/hub/api/v1/setting', page: '/backup', href: (r) => '/settings?search=' + encodeURIComponent(r.id), name: (r) => r.id },
];

export interface Found { kind: string; name: string; href: string }

// What of all kinds has this in its name; at most a few of each.
export async function lookFor(words: string, unit: string, each = 5): Promise<Found[]> {
	const asked = kinds.filter((k) => (k.ofUnit ? unit : true) && mayOpen(pages.find((p) => p.path === k.page)!));
	const low = words.toLowerCase();
	const found = await Promise.allSettled(asked.map(async (k) => {
		const all = await get<any[]>(k.path + '/list', { unit: k.ofUnit ? unit : undefined, ...(k.by === '' ? { limit: 0 } : { [k.by ?? 'contains']: words, limit: each }) });
		return all.map((r) => ({ kind: k.text, name: k.name(r), href: k.href(r) })).filter((f) => k.by !== '' || f.name.toLowerCase().includes(low)).slice(0, each);
	}));
	return found.flatMap((f) => (f.status === 'fulfilled' ? f.value : []));
}
