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
	// From the page of the setup code: its next question.
	if (location.pathname === '/' && new URLSearchParams(location.search).has('first')) history.replaceState(null, '', '/first');
	read();
	mount(App, { target: document.getElementById('app')! });
}
