// Every kind of widget, once: its type in MyController's dashboards or ours, how
// it is called, how large a new one is, what can be set, what it shows, and what
// draws it. `start` is what "Add" offers: one type may be offered more than once.
import type { Component } from 'svelte';
import { functions } from '../lib/metric';
import { intervals, ranges, refreshes } from './history';
import { filtersOf, quickId, type Want } from './values.svelte';

export type Config = Record<string, any>;
export interface Row {
	key: string; // path in the config
	kind: 'text' | 'area' | 'number' | 'bool' | 'choice' | 'color' | 'field' | 'map' | 'colors' | 'list' | 'picture';
	text?: string; // its name in the texts, where it is not the last part of the path
	options?: (string | number)[]; // each "set.opt.…" in the texts
	group?: string; // a heading before it
	def?: unknown; min?: number; max?: number; step?: number;
	of?: Row[]; // of each in a list
	if?: (c: Config) => boolean;
}
export interface Kind {
	type: string; text: string; size: { w: number; h: number };
	rows: Row[]; wants: (c: Config) => Want[];
	load: () => Promise<{ default: Component<any> }>;
}
export interface Start { text: string; type: string; icon: string; config: Config; size?: { w: number; h: number }; field?: (c: Config, quick: string) => void }

const types = ['field', 'node', 'source', 'gateway', 'task', 'schedule', 'handler', 'data_repository'];
const choice = (key: string, options: (string | number)[], def: unknown, more: Partial<Row> = {}): Row => ({ key, kind: 'choice', options, def, ...more });
const bool = (key: string, def = false, more: Partial<Row> = {}): Row => ({ key, kind: 'bool', def, ...more });
const num = (key: string, def: number | undefined, min?: number, max?: number, more: Partial<Row> = {}): Row => ({ key, kind: 'number', def, min, max, ...more });
const field = (key: string, more: Partial<Row> = {}): Row => ({ key, kind: 'field', text: 'quickId', ...more });
// Whatever fits: resource type, filters, name and limit.
const filtered = (of: string, filters: string, when: Row['if']): Row[] => [
	choice(`${of}.type`, types, 'field', { text: 'resourceType', group: 'source', if: when }), { key: `${of}.${filters}`, kind: 'map', text: 'filters', if: when },
	{ key: `${of}.nameKey`, kind: 'text', def: 'name', if: when }, num(`${of}.limit`, 10, 1, 100, { if: when }),
];
const metric = (of: string, when: Row['if'] = () => true): Row[] => [
	choice(`${of}.duration`, ranges.map(([d]) => d), '-6h', { group: 'history', if: when }), choice(`${of}.interval`, ['', ...intervals], '', { if: when }),
	choice(`${of}.metricFunction`, [...functions], 'mean', { if: when }), choice(`${of}.refreshInterval`, refreshes, 0, { if: when }),
];
const listWants = (r: any, or: Record<string, string> = {}): Want[] => {
	const f = filtersOf(r), filters = Object.keys(f).length ? f : or;
	return [{ type: r?.type || 'field', filters }];
};
const quickWants = (quick: string | undefined, type = 'field'): Want[] => (quick ? [{ quick: type === 'field' && !quick.includes('.') ? quick : quickId(type, quick) }] : []);
export const binary = { metricType: 'binary' };

const isGroup = (c: Config) => (c.subType ?? 'group_chart') === 'group_chart', isPie = (c: Config) => c.subType === 'pie_chart';
const isMixed = (c: Config) => c.type === 'mixed_control';
const control = (...of: string[]) => (c: Config) => of.includes(c.control?.type ?? 'switch_toggle');
const isSpark = (c: Config) => /^spark/.test(c.type ?? ''), isTable = (c: Config) => c.type === 'table', isCircle = (c: Config) => !isSpark(c) && !isTable(c);
export const isListed = (r: Config | undefined) => r?.filterType === 'detailed_filter' || (!r?.filterType && !r?.quickId && !!Object.keys(filtersOf(r)).length);
const manyOf = (c: Config) => isTable(c) && !!c.resource?.isMixedResources;
const colour = (c: Config) => /rgb/.test(c.lightType ?? '');

export const kinds: Kind[] = [
	{
		type: 'widget_charts_panel', text: 'chart', size: { w: 50, h: 27 }, load: () => import('./Charts.svelte'),
		rows: [
			choice('subType', ['mixed_chart', 'group_chart', 'pie_chart'], 'group_chart', { text: 'shows' }),
			{ key: 'resources', kind: 'list', if: (c) => !isGroup(c), of: [
				field('quickId'), { key: 'name', kind: 'text', text: 'title' }, choice('chartType', ['', 'line', 'area', 'bar', 'scatter'], ''), choice('yAxis', [0, 1], 0),
				{ key: 'style.color', kind: 'color', text: 'color' }, { key: 'unit', kind: 'text' }, bool('disabled'),
			] },
			...filtered('resource', 'filters', isGroup), { key: 'resource.unit', kind: 'text', text: 'unit', if: isGroup },
			choice('chart.chartType', ['line', 'area', 'bar', 'scatter'], 'area', { group: 'look', if: (c) => !isPie(c) }),
			choice('chart.interpolation', ['linear', 'stepAfter'], 'linear', { if: (c) => !isPie(c) && ['line', 'area', undefined].includes(c.chart?.chartType) }),
			bool('chart.stackCharts', false, { if: (c) => !isPie(c) }), num('chart.roundDecimal', 1, 0, 10, { if: isPie }),
			...metric('chart', (c) => !isPie(c)),
		],
		wants: (c) => (isGroup(c) ? listWants(c.resource) : (c.resources ?? []).flatMap((r: any) => quickWants(r.quickId, r.resourceType))),
	},
	{
		type: 'widget_control_panel', text: 'control', size: { w: 25, h: 14 }, load: () => import('./Controls.svelte'),
		rows: [
			choice('type', ['switch_toggle', 'switch_button', 'mixed_control'], 'switch_toggle', { text: 'controlType' }),
			{ key: 'resources', kind: 'list', if: isMixed, of: [
				field('resource.quickId'), { key: 'resource.name', kind: 'text', text: 'title' },
				choice('control.type', ['switch_toggle', 'switch_button', 'button_push', 'options_select', 'options_tab', 'input', 'slider'], 'switch_toggle', { text: 'controlType' }),
				{ key: 'control.config.payloadOn', kind: 'text', def: 'true', if: control('switch_toggle', 'switch_button') },
				{ key: 'control.config.payloadOff', kind: 'text', def: 'false', if: control('switch_toggle', 'switch_button') },
				{ key: 'control.config.payload', kind: 'text', if: control('button_push') },
				{ key: 'control.config.button.text', kind: 'text', text: 'buttonText', if: control('button_push') },
				choice('control.config.button.type', ['primary', 'secondary', 'warning', 'danger'], 'primary', { text: 'buttonType', if: control('button_push') }),
				{ key: 'control.config.options', kind: 'map', text: 'options', if: control('options_select', 'options_tab') },
				num('control.config.slider.min', 0, undefined, undefined, { text: 'min', if: control('slider') }),
				num('control.config.slider.max', 100, undefined, undefined, { text: 'max', if: control('slider') }),
				num('control.config.slider.step', 1, 0, undefined, { text: 'step', if: control('slider') }),
				bool('control.askConfirmation'), { key: 'control.confirmationMessage', kind: 'text', if: (c) => !!c.control?.askConfirmation },
			] },
			...filtered('resource', 'filters', (c) => !isMixed(c)),
			{ key: 'onText', kind: 'text', group: 'look', if: (c) => !isMixed(c) }, { key: 'offText', kind: 'text', if: (c) => !isMixed(c) },
			choice('onButtonType', ['primary', 'secondary', 'warning', 'danger'], 'primary', { text: 'buttonType', if: (c) => c.type === 'switch_button' }),
			bool('tableView', true), bool('hideHeader', false, { if: (c) => c.tableView ?? true }), bool('hideBorder'), num('minWidth', 140, 60, 600, { if: (c) => !(c.tableView ?? true) }),
		],
		wants: (c) => (isMixed(c) ? (c.resources ?? []).flatMap((r: any) => quickWants(r.resource?.quickId, r.resource?.type)) : c.resource?.quickId ? quickWants(c.resource.quickId, c.resource.type) : listWants(c.resource, binary)),
	},
	{
		type: 'widget_light_panel', text: 'light', size: { w: 25, h: 20 }, load: () => import('./Light.svelte'),
		rows: [
			choice('lightType', ['light_single', 'light_cw_ww', 'light_rgb', 'light_rgbcw', 'light_rgbcwww'], 'light_single'),
			choice('rgbComponent', ['rgb_color_picker', 'hue_slider'], 'rgb_color_picker', { if: colour }),
			field('fieldIds.power', { text: 'power', group: 'source' }), field('fieldIds.brightness', { text: 'brightness' }),
			field('fieldIds.colorTemperature', { text: 'colorTemperature', if: (c) => /cw/.test(c.lightType ?? '') }),
			field('fieldIds.rgb', { text: 'rgb', if: (c) => colour(c) && c.rgbComponent !== 'hue_slider' }),
			field('fieldIds.hue', { text: 'hue', if: (c) => colour(c) && c.rgbComponent === 'hue_slider' }), field('fieldIds.saturation', { text: 'saturation', if: colour }),
		],
		wants: (c) => Object.values(c.fieldIds ?? {}).flatMap((q) => quickWants(String(q ?? ''))),
	},
	{
		type: 'widget_utilization_panel', text: 'gauge', size: { w: 20, h: 18 }, load: () => import('./Utilization.svelte'),
		rows: [
			choice('type', ['circle_size_50', 'circle_size_75', 'circle_size_100', 'spark_area', 'spark_line', 'spark_bar', 'table'], 'circle_size_75', { text: 'shape' }),
			bool('resource.isMixedResources', false, { group: 'source', if: isTable }),
			{ key: 'resource.resources', kind: 'list', text: 'resources', if: manyOf, of: [field('quickId'), { key: 'name', kind: 'text', text: 'title' }, { key: 'unit', kind: 'text' }, num('roundDecimal', undefined, 0, 10)] },
			choice('resource.filterType', ['quick_id', 'detailed_filter'], 'quick_id', { if: (c) => !manyOf(c) }),
			field('resource.quickId', { if: (c) => !manyOf(c) && !isListed(c.resource) }),
			...filtered('resource', 'filter', (c) => !manyOf(c) && isListed(c.resource)).map((r) => ({ ...r, group: undefined })),
			{ key: 'resource.unit', kind: 'text', text: 'unit', if: (c) => !manyOf(c) }, num('resource.roundDecimal', 1, 0, 10, { if: (c) => !manyOf(c) }), bool('resource.displayName', true, { if: (c) => !isTable(c) }),
			num('chart.minimumValue', 0, undefined, undefined, { group: 'look', if: isCircle }), num('chart.maximumValue', 100, undefined, undefined, { if: isCircle }), num('chart.thickness', 20, 4, 60, { if: isCircle }),
			bool('table.hideValueColumn', false, { if: isTable }), bool('table.hideStatusColumn', false, { if: isTable }), bool('table.displayStatusPercentage', true, { if: isTable }),
			num('table.minimumValue', 0, undefined, undefined, { if: isTable }), num('table.maximumValue', 100, undefined, undefined, { if: isTable }),
			{ key: 'table.thresholds', kind: 'colors', text: 'thresholds', if: isTable }, { key: 'chart.thresholds', kind: 'colors', text: 'thresholds', if: (c) => !isTable(c) },
			{ key: 'chart.color', kind: 'color', if: (c) => !isTable(c) }, ...metric('metric', isSpark),
		],
		wants: (c) => (manyOf(c) ? (c.resource.resources ?? []).flatMap((r: any) => quickWants(r.quickId, r.type ?? r.resourceType)) : isListed(c.resource) ? listWants(c.resource) : quickWants(c.resource?.quickId, c.resource?.type)),
	},
	{
		type: 'widget_value_panel', text: 'value', size: { w: 20, h: 10 }, load: () => import('./Value.svelte'),
		rows: [
			field('resource.quickId'), { key: 'resource.valueKey', kind: 'text' }, { key: 'resource.unit', kind: 'text', text: 'unit' }, num('resource.roundDecimal', undefined, 0, 10),
			bool('showTimestamp', true), { key: 'thresholds', kind: 'colors' },
		],
		wants: (c) => quickWants(c.resource?.quickId, c.resource?.type),
	},
	{
		type: 'widget_image_panel', text: 'image', size: { w: 25, h: 20 }, load: () => import('./Image.svelte'),
		rows: [
			choice('sourceType', ['url', 'image_from_field'], 'url', { text: 'imageFrom' }),
			{ key: 'imageURL', kind: 'picture', if: (c) => c.sourceType !== 'image_from_field' }, choice('refreshInterval', refreshes, 0, { if: (c) => c.sourceType !== 'image_from_field' }),
			field('field.id', { if: (c) => c.sourceType === 'image_from_field' }), choice('field.type', ['image', 'custom_mapping'], 'image', { text: 'fieldType', if: (c) => c.sourceType === 'image_from_field' }),
			{ key: 'field.custom_mapping', kind: 'map', text: 'mapping', if: (c) => c.sourceType === 'image_from_field' && c.field?.type === 'custom_mapping' },
			bool('field.thresholdMode', false, { if: (c) => c.sourceType === 'image_from_field' && c.field?.type === 'custom_mapping' }), bool('field.displayValue', false, { if: (c) => c.sourceType === 'image_from_field' }),
			choice('rotation', [0, 90, 180, -90], 0),
		],
		wants: (c) => (c.sourceType === 'image_from_field' ? quickWants(c.field?.id) : []),
	},
	{ type: 'widget_text_panel', text: 'text', size: { w: 25, h: 12 }, load: () => import('./Text.svelte'), rows: [{ key: 'text', kind: 'area' }], wants: () => [] },
	{ type: 'widget_empty_panel', text: 'empty', size: { w: 25, h: 6 }, load: () => import('./Empty.svelte'), rows: [], wants: () => [] },
];
export const kindOf = (type: string) => kinds.find((k) => k.type === type);

const one = (c: Config, quick: string) => { c.resource = { ...c.resource, type: 'field', filterType: 'quick_id', quickId: quick }; };
const listed = (c: Config, quick: string) => { c.resources = [{ resourceType: 'field', quickId: quick }]; };
export const starts: Start[] = [
	{ text: 'chart', type: 'widget_charts_panel', icon: 'M4 4v16h16M7 15l4-5 3 3 5-7', config: { subType: 'mixed_chart', chart: { chartType: 'line', duration: '-1h', interval: '', metricFunction: 'mean' }, resources: [] }, field: listed },
	{ text: 'value', type: 'widget_value_panel', icon: 'M5 7v10M9 7h4v5H9v5h4M17 7h3v10h-3M17 12h3', config: { resource: { type: 'field' }, showTimestamp: true }, field: one },
	{ text: 'gauge', type: 'widget_utilization_panel', icon: 'M5 18a9 9 0 1 1 14 0M12 14l4-5', config: { type: 'circle_size_75', resource: { type: 'field', filterType: 'quick_id', displayName: true, roundDecimal: 1 }, chart: { minimumValue: 0, maximumValue: 100, thickness: 20, thresholds: {} } }, field: one },
	{ text: 'spark', type: 'widget_utilization_panel', icon: 'M3 16l5-6 4 3 4-7 5 5', size: { w: 25, h: 14 }, config: { type: 'spark_area', resource: { type: 'field', filterType: 'quick_id', displayName: true, roundDecimal: 1 }, chart: {}, metric: { duration: '-6h', metricFunction: 'mean' } }, field: one },
	{ text: 'switch', type: 'widget_control_panel', icon: 'M8 7h8a5 5 0 0 1 0 10H8A5 5 0 0 1 8 7zM16 10a2 2 0 1 0 0 4 2 2 0 0 0 0-4z', config: { type: 'mixed_control', tableView: true, hideHeader: true, resources: [] }, size: { w: 25, h: 10 }, field: (c, q) => { c.resources = [{ resource: { type: 'field', quickId: q }, control: { type: 'switch_toggle', config: { payloadOn: 'true', payloadOff: 'false' } } }]; } },
	{ text: 'control', type: 'widget_control_panel', icon: 'M5 4v16M12 4v16M19 4v16M3 9h4M10 15h4M17 8h4', config: { type: 'switch_toggle', tableView: true, resource: { type: 'field', filters: { ...binary }, nameKey: 'name', limit: 10 } }, size: { w: 30, h: 20 } },
	{ text: 'table', type: 'widget_utilization_panel', icon: 'M4 5h16v14H4zM4 10h16M4 15h16M10 5v14', size: { w: 40, h: 20 }, config: { type: 'table', resource: { type: 'field', filterType: 'detailed_filter', filter: {}, nameKey: 'name', limit: 10, roundDecimal: 2 }, table: { hideStatusColumn: true, minimumValue: 0, maximumValue: 100, displayStatusPercentage: true } } },
	{ text: 'light', type: 'widget_light_panel', icon: 'M9 18h6M10 21h4M12 3a6 6 0 0 0-4 10c1 1 1 2 1 3h6c0-1 0-2 1-3a6 6 0 0 0-4-10z', config: { lightType: 'light_single', fieldIds: {} }, field: (c, q) => { c.fieldIds = { power: q }; } },
	{ text: 'pie', type: 'widget_charts_panel', icon: 'M12 3v9h9a9 9 0 1 1-9-9zM15 3.5A9 9 0 0 1 20.500 9H15z', size: { w: 30, h: 20 }, config: { subType: 'pie_chart', chart: { roundDecimal: 1 }, resources: [] }, field: listed },
	{ text: 'image', type: 'widget_image_panel', icon: 'M4 5h16v14H4zM4 16l5-5 4 4 3-3 4 4M15 9h.01', config: { sourceType: 'url', imageURL: '', rotation: 0, refreshInterval: 0 } },
	{ text: 'text', type: 'widget_text_panel', icon: 'M5 6h14M12 6v13M9 19h6', config: { text: '' } },
	{ text: 'empty', type: 'widget_empty_panel', icon: 'M4 12h16', config: {} },
];
