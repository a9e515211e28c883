import './lib/tokens.css';
import { mount } from 'svelte';
import App from './App.svelte';
import { start } from './lib/auth.svelte';
import { install } from './lib/away.svelte';
import { loadTexts } from './lib/look.svelte';
import { read } from './lib/router.svelte';

install();

// The page is shown once we know who looks at it.
if (await start()) {
	await loadTexts();
	read();
	mount(App, { target: document.getElementById('app')! });
}
