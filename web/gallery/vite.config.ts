// Builds the gallery as the app is built, for measuring: `vite build -c gallery/vite.config.ts`.
import { svelte } from '@sveltejs/vite-plugin-svelte';
import { defineConfig } from 'vite';

export default defineConfig({
  root: new URL('.', import.meta.url).pathname,
  base: './',
  plugins: [svelte()],
  build: { outDir: '../node_modules/.gallery', emptyOutDir: true, target: 'es2022' },
});
