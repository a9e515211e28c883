import { onDestroy } from 'svelte';

// What is done when the hand that types rests for so many milliseconds; never
// where the page it was typed into is gone: it would change the next one.
export function resting(ms: number): (run: () => void) => void {
	let timer: ReturnType<typeof setTimeout>;
	onDestroy(() => clearTimeout(timer));
	return (run) => {
		clearTimeout(timer);
		timer = setTimeout(run, ms);
	};
}
