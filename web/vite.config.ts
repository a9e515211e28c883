import { svelte } from '@sveltejs/vite-plugin-svelte';
import { defineConfig } from 'vite';
import { help } from './help.mjs';
import { worker } from './worker.mjs';

export default defineConfig({
	plugins: [svelte(), help(), worker()],
	build: { target: 'es2022', assetsInlineLimit: 0, modulePreload: { polyfill: false } },
	server: { proxy: { '/auth': 'http://localhost:1080', '/hub': 'http://localhost:1080' } },
});
