// Every page: where it is, what it is called, and what loads it. A page is
// given the parts of the address behind its own: /device/ID is parts[0] === ID.
import type { Component } from 'svelte';
import { who } from './auth.svelte';
import { choose, look } from './look.svelte';
import { go, leave, route } from './router.svelte';

export interface Page {
	path: string;
	text: string; // its name, in the texts
	load: () => Promise<{ default: Component<any> }>;
	group?: 'watch' | 'connect' | 'act' | 'fleet' | 'manage'; // where the menu has it; none: not in the menu
	icon?: string;
	of?: string; // the page of the menu it belongs to
	phone?: boolean; // in the bar of a phone, others behind "More"
	help?: string; // its page of the guide: NAME or NAME#section
	role?: 'admin' | 'manager'; // who may open it; none: everybody
}

export const pages: Page[] = [
	{ path: '/', text: 'overview', group: 'watch', phone: true, icon: 'M3 11 12 4l9 7v9H3z', help: 'first-steps', load: () => import('../pages/Overview.svelte') },
	{ path: '/inbox', text: 'inbox', group: 'watch', phone: true, icon: 'M3 13h5l2 3h4l2-3h5M5 5h14l2 8v6H3v-6z', help: 'values#the-inbox', load: () => import('../pages/Inbox.svelte') },
	{ path: '/devices', text: 'devices', group: 'watch', phone: true, icon: 'M6 4h12v16H6zM10 17h4', help: 'values#devices', load: () => import('../pages/Devices.svelte') },
	{ path: '/device', text: 'device', of: '/devices', help: 'values#devices', load: () => import('../pages/Device.svelte') },
	{ path: '/dashboards', text: 'dashboards', group: 'watch', phone: true, icon: 'M4 4h7v9H4zM13 4h7v5h-7zM4 15h7v5H4zM13 11h7v9h-7z', help: 'values#history', load: () => import('../pages/Dashboards.svelte') },
	{ path: '/dashboard', text: 'dashboards', of: '/dashboards', help: 'values#history', load: () => import('../pages/Dashboard.svelte') },
	{ path: '/explore', text: 'explore', group: 'watch', icon: 'M4 4v16h16M7 15l4-5 3 3 5-7', help: 'values#history', load: () => import('../pages/Explore.svelte') },

	{ path: '/networks', text: 'networks', group: 'connect', icon: 'M12 3v5M5 21v-5M19 21v-5M5 16v-2h14v2M12 8v6M9 3h6v5H9z', help: 'first-steps', load: () => import('../pages/Networks.svelte') },
	{ path: '/network', text: 'network', of: '/networks', help: 'first-steps', load: () => import('../pages/Network.svelte') },
	{ path: '/gateways', text: 'gateways', group: 'connect', icon: 'M4 14h16v6H4zM8 17h.01M12 14V9M8 6a5.6 5.6 0 0 1 8 0M5.5 3.5a9 9 0 0 1 13 0', help: 'gateway', load: () => import('../pages/Gateways.svelte') },
	{ path: '/gateway', text: 'gateway', of: '/gateways', help: 'gateway#working-with-it', load: () => import('../pages/Gateway.svelte') },
	{ path: '/applications', text: 'applications', group: 'connect', icon: 'M4 5h16v14H4zM4 9h16M7 7h.01', help: 'first-steps', load: () => import('../pages/Applications.svelte') },
	{ path: '/application', text: 'application', of: '/applications', help: 'first-steps', load: () => import('../pages/Application.svelte') },
	{ path: '/routing', text: 'routing', group: 'connect', icon: 'M4 6h5l6 12h5M4 18h5l2-4M13 10l2-4h5M18 4l2 2-2 2M18 16l2 2-2 2', help: 'first-steps', load: () => import('../pages/Routing.svelte') },
	{ path: '/profiles', text: 'profiles', group: 'connect', icon: 'M8 8l-4 4 4 4M16 8l4 4-4 4M13 5l-2 14', help: 'values#from-a-payload-to-a-field', load: () => import('../pages/Profiles.svelte') },
	{ path: '/profile', text: 'profile', of: '/profiles', help: 'scripts#codecs', load: () => import('../pages/Profile.svelte') },

	{ path: '/rules', text: 'rules', group: 'act', icon: 'M6 4v6a4 4 0 0 0 4 4h8M15 10l4 4-4 4M6 14v6', help: 'values#rules', load: () => import('../pages/Rules.svelte') },
	{ path: '/rule', text: 'rule', of: '/rules', help: 'values#rules', load: () => import('../pages/Rule.svelte') },
	{ path: '/messages', text: 'messages', group: 'act', icon: 'M4 5h16v11H9l-5 4z', help: 'messages', load: () => import('../pages/Messages.svelte') },

	{ path: '/configurations', text: 'fleet.configurations', group: 'fleet', icon: 'M4 6h16M4 12h16M4 18h10M8 4v4M15 10v4M10 16v4', help: 'fleet', load: () => import('../pages/fleet/Configurations.svelte') },
	{ path: '/configuration', text: 'fleet.configuration', of: '/configurations', help: 'fleet', load: () => import('../pages/fleet/Configuration.svelte') },
	{ path: '/changes', text: 'fleet.changes', group: 'fleet', icon: 'M6 3v12M6 21a3 3 0 1 0 0-6 3 3 0 0 0 0 6zM18 9a3 3 0 1 0 0-6 3 3 0 0 0 0 6zM18 9c0 6-6 6-9.5 7', help: 'fleet', load: () => import('../pages/fleet/Changes.svelte') },
	{ path: '/deployments', text: 'fleet.deployments', group: 'fleet', icon: 'M12 16V4M7 9l5-5 5 5M4 16v4h16v-4', help: 'fleet-deploy', load: () => import('../pages/fleet/Deployments.svelte') },
	{ path: '/deployment', text: 'fleet.deployment', of: '/deployments', help: 'fleet-deploy', load: () => import('../pages/fleet/Deployment.svelte') },
	{ path: '/machines', text: 'fleet.machines', group: 'fleet', icon: 'M4 4h16v7H4zM4 13h16v7H4zM8 7.5h.01M8 16.5h.01', help: 'fleet-agents', load: () => import('../pages/fleet/Machines.svelte') },
	{ path: '/machine', text: 'fleet.machine', of: '/machines', help: 'fleet-agents', load: () => import('../pages/fleet/Machine.svelte') },
	{ path: '/keep', text: 'fleet.keep', group: 'fleet', icon: 'M5 11h14v10H5zM8 11V7a4 4 0 0 1 8 0v4', help: 'fleet-agents', load: () => import('../pages/fleet/Keep.svelte') },

	{ path: '/units', text: 'units', group: 'manage', icon: 'M3 20V9l6-4 6 4v11M15 12h6v8M7 12h4M7 16h4', help: 'users#units', load: () => import('../pages/Units.svelte') },
	{ path: '/users', text: 'users', group: 'manage', role: 'admin', icon: 'M9 11a4 4 0 1 0 0-8 4 4 0 0 0 0 8zM2 21c0-4 3-7 7-7s7 3 7 7M16 3.5a4 4 0 0 1 0 7M19 14.5c2 1 3 3.5 3 6.5', help: 'users#users', load: () => import('../pages/Users.svelte') },
	{ path: '/account', text: 'admin.myAccount', help: 'users#your-own-account', load: () => import('../pages/Account.svelte') },
	{ path: '/clients', text: 'clientsTokens', group: 'manage', icon: 'M8 15a5 5 0 1 1 4.6-7H22v4h-3v3h-4v-3h-2.4A5 5 0 0 1 8 15zM8 10h.01', help: 'users#programs', load: () => import('../pages/Clients.svelte') },
	{ path: '/audit', text: 'audit', group: 'manage', icon: 'M6 3h9l4 4v14H6zM9 12h7M9 16h7M9 8h3', help: 'users#what-people-did', load: () => import('../pages/Audit.svelte') },
	{ path: '/backup', text: 'backup', group: 'manage', role: 'admin', icon: 'M4 7c0-2 16-2 16 0v10c0 2-16 2-16 0zM4 7c0 2 16 2 16 0M4 12c0 2 16 2 16 0', help: 'backup', load: () => import('../pages/Backup.svelte') },
	{ path: '/first', text: 'first.title', role: 'admin', help: 'first-steps', load: () => import('../pages/First.svelte') },
	{ path: '/settings', text: 'settings', group: 'manage', icon: 'M4 7h9M17 7h3M4 17h3M11 17h9M13 5v4h4V5zM7 15v4h4v-4z', help: 'settings', load: () => import('../pages/Settings.svelte') },
	{ path: '/api', text: 'api', group: 'manage', icon: 'M8 4C5 4 6 11 4 12c2 1 1 8 4 8M16 4c3 0 2 7 4 8-2 1-1 8-4 8', help: 'users#the-api', load: () => import('../pages/Api.svelte') },
	{ path: '/help', text: 'help', group: 'manage', icon: 'M9 9a3 3 0 1 1 4 3c-1 .5-1 1-1 2M12 18h.01M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18z', load: () => import('../pages/Help.svelte') },
];
export const pageNow = () => pages.find((p) => p.path === '/' + route.path.split('/')[1]);
// Another unit was picked. What is open is of the one before: its list is of the
// new one. Nothing unsaved is lost without a question.
export function toUnit(at: HTMLSelectElement) {
	const unit = at.value, of = pageNow()?.of;
	at.value = look.unit;
	leave(() => { choose({ unit }); if (of) go(of); });
}
export const groups = ['watch', 'connect', 'act', 'fleet', 'manage'] as const;
export const mayOpen = (p: Page) => !p.role || !!who.roles.admin || (p.role === 'manager' && !!who.roles.manager);
