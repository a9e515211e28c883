// What passes through the platform, measured while somebody looks.
const names = {
	uplinks: ['route_uplink_total'], routed: ['route_uplink_routed_total'], values: ['hub_readings_total'], fired: ['hub_fired_total'], clients: ['mqtt_connections'],
	troubles: ['data_failed_total', 'route_uplink_failed_total', 'hub_failed_total', 'mqtt_journal_troubles_total', 'hub_actions_failed_total'],
};
type Name = keyof typeof names;
export const figures = $state({} as Partial<Record<Name, number>>);
export const rates = $state<number[]>([]); // uplinks in a second, oldest first
let before = { at: 0, n: 0 };

const sum = (text: string, name: string) =>
	[...text.matchAll(new RegExp(`^marram_${name}(?:\\{.*?\\})? (\\S+)`, 'gm'))].reduce((a, m) => a + Number(m[1]), 0);

async function measure() {
	if (document.hidden) return;
	const text = await (await fetch('/metrics')).text(), now = performance.now();
	for (const [k, all] of Object.entries(names)) figures[k as Name] = all.reduce((a, n) => a + sum(text, n), 0);
	const n = figures.uplinks!;
	if (before.at && now - before.at < 60_000 && n >= before.n) rates.push(((n - before.n) / (now - before.at)) * 1000);
	if (rates.length > 60) rates.shift();
	before = { at: now, n };
}

// Measures until it is told to end.
export function measuring(every = 5000): () => void {
	const m = () => measure().catch(() => {});
	m();
	const timer = setInterval(m, every);
	return () => clearInterval(timer);
}
