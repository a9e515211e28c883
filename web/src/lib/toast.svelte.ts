// Short messages at the edge, some with a way back.
export interface Toast { id: number; text: string; bad: boolean; undo?: () => unknown }
export const toasts = $state<Toast[]>([]);
let next = 1;

export function dismiss(id: number) {
	const i = toasts.findIndex((x) => x.id === id);
	if (i >= 0) toasts.splice(i, 1);
}
export function say(text: string, more: { bad?: boolean; undo?: () => unknown } = {}) {
	const id = next++;
	toasts.push({ id, text, bad: more.bad ?? false, undo: more.undo });
	setTimeout(() => dismiss(id), more.undo ? 30_000 : more.bad ? 15_000 : 5_000);
}
export const complain = (e: unknown) => say(e instanceof Error ? e.message + ('where' in e ? ` (${e.where})` : '') : String(e), { bad: true });
