// Where the widgets of a dashboard are. The layout of MyController, of 100
// columns, is that of wide screens; another width has its own in `layouts`, or
// is made from it: scaled on tablets, one column in reading order on phones.
export interface Box { x: number; y: number; w: number; h: number }
export type Width = 'lg' | 'md' | 'sm' | 'xs' | 'xxs';
export interface Widget {
	id: string; title: string; showTitle: boolean; type: string; layout: Box; config: Record<string, any>;
	static?: boolean; scrollbarDisabled?: boolean; layouts?: Partial<Record<Width, Box>>;
}
export interface Item extends Box { id: string; static?: boolean }

export const widths: { name: Width; from: number; columns: number }[] = [
	{ name: 'lg', from: 1200, columns: 100 }, { name: 'md', from: 996, columns: 80 }, { name: 'sm', from: 768, columns: 50 },
	{ name: 'xs', from: 480, columns: 25 }, { name: 'xxs', from: 0, columns: 10 },
];
export const ROW = 12; // px
const BELOW = 10_000; // rows: under all that has its place
export const widthFor = (px: number) => widths.find((w) => px >= w.from)!;
export const columnsOf = (w: Width) => widths.find((x) => x.name === w)!.columns;
export const isPhone = (w: Width) => w === 'xs' || w === 'xxs';

const whole = (n: unknown, or: number) => (Number.isFinite(Number(n)) ? Math.round(Number(n)) : or);
export function clip(b: Partial<Box> | undefined, columns: number): Box {
	const w = Math.min(columns, Math.max(1, whole(b?.w, 30))), h = Math.max(2, whole(b?.h, 12));
	return { w, h, x: Math.min(columns - w, Math.max(0, whole(b?.x, 0))), y: Math.max(0, whole(b?.y, 0)) };
}
const meet = (a: Item, b: Item) => a.id !== b.id && a.x < b.x + b.w && b.x < a.x + a.w && a.y < b.y + b.h && b.y < a.y + a.h;
export const inOrder = <T extends Box>(all: T[]) => [...all].sort((a, b) => a.y - b.y || a.x - b.x);

// As high up as there is room, below what is already placed.
function settle(item: Item, placed: Item[]): Item {
	const i = { ...item };
	while (i.y > 0 && !placed.some((p) => meet({ ...i, y: i.y - 1 }, p))) i.y--;
	for (let hit; (hit = placed.find((p) => meet(i, p))); ) i.y = hit.y + hit.h;
	return i;
}
export function compact(all: Item[]): Item[] {
	const placed = all.filter((i) => i.static);
	for (const i of inOrder(all.filter((x) => !x.static))) placed.push(settle(i, placed));
	return placed;
}
// One item goes somewhere, or is of another size; others make room.
export function put(all: Item[], id: string, to: Box): Item[] {
	const me: Item = { ...to, id }, fixed = all.filter((i) => i.static && i.id !== id);
	for (let hit; (hit = fixed.find((f) => meet(me, f))); ) me.y = hit.y + hit.h;
	const placed = [...fixed, me];
	for (const i of inOrder(all.filter((x) => !x.static && x.id !== id))) {
		const rest = placed.filter((p) => p !== me), up = settle(i, rest);
		placed.push(meet(up, me) ? settle({ ...i, y: Math.max(i.y, me.y + me.h) }, placed) : up);
	}
	return compact(placed.map((p) => ({ ...p, static: all.find((a) => a.id === p.id)?.static })));
}

export const hasOwn = (all: Widget[], width: Width) => width === 'lg' || all.some((w) => w.layouts?.[width]);
export function layout(all: Widget[], width: Width): Item[] {
	const columns = columnsOf(width), wide = all.map((w) => ({ id: w.id, static: w.static, ...clip(w.layout, 100) }));
	if (width === 'lg') return compact(wide);
	if (!hasOwn(all, width) && isPhone(width)) {
		let y = 0;
		return inOrder(compact(wide)).map((i) => { const r = { ...i, x: 0, w: columns, y }; y += i.h; return r; });
	}
	return compact(wide.map((i) => {
		const own = all.find((w) => w.id === i.id)!.layouts?.[width], part = columns / 100, x = Math.round(i.x * part);
		return { id: i.id, static: i.static, ...clip(own ?? (isPhone(width) ? { ...i, x: 0, w: columns, y: i.y + BELOW } : { ...i, x, w: Math.max(1, Math.round((i.x + i.w) * part) - x) }), columns) };
	}));
}
// Widgets that lie as the items do, at that width.
export function laid(all: Widget[], items: Item[], width: Width): Widget[] {
	return all.map((w) => {
		const i = items.find((x) => x.id === w.id);
		if (!i) return w;
		const box = { w: i.w, h: i.h, x: i.x, y: i.y };
		return width === 'lg' ? { ...w, layout: { ...w.layout, ...box } } : { ...w, layouts: { ...w.layouts, [width]: box } };
	});
}
// A free place for one more: below all.
export function place(all: Widget[], size: { w: number; h: number }): Box {
	const items = layout(all, 'lg'), bottom = Math.max(0, ...items.map((i) => i.y + i.h));
	return clip(compact([...items, { id: ' ', x: freeX(items, size.w), y: bottom, ...size }]).find((i) => i.id === ' '), 100);
}
function freeX(items: Item[], w: number): number {
	const last = inOrder(items).at(-1);
	return last && last.x + last.w + w <= 100 ? last.x + last.w : 0;
}
