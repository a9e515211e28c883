import { svelte } from '@sveltejs/vite-plugin-svelte';
import { defineConfig } from 'vite';

export default defineConfig({
	plugins: [svelte()],
	build: { target: 'es2022', assetsInlineLimit: 0, modulePreload: { polyfill: false } },
	server: { proxy: { '/auth': 'http://localhost:1080', '/hub': 'http://localhost:1080' } },
});
