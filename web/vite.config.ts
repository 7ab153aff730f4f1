import { svelte } from '@sveltejs/vite-plugin-svelte';
import { defineConfig } from 'vitest/config';
import { shellList } from './vite-shell.ts';

// For `npm run dev`: a gateway that runs beside it. It sees the page's own host, as its check of origins asks.
const gateway = { target: 'http://127.0.0.1:8080', changeOrigin: false };

export default defineConfig(({ command }) => ({
  base: command === 'serve' ? '/' : '/static/',
  plugins: [svelte(), shellList()],
  build: {
    target: ['es2022', 'safari17.5', 'chrome123', 'firefox120'],
    modulePreload: { polyfill: false },
    // A data: URL would need a wider content security policy than the app's.
    assetsInlineLimit: 0,
    rolldownOptions: {
      input: { index: 'index.html', sw: 'src/sw.ts' },
      output: {
        hashCharacters: 'hex',
        entryFileNames: ({ name }) => (name === 'sw' ? 'sw.js' : 'assets/[name]-[hash:10].js'),
        chunkFileNames: 'assets/[name]-[hash:10].js',
        assetFileNames: 'assets/[name]-[hash:10][extname]',
      },
    },
  },
  server: {
    proxy: {
      '/api': gateway,
      '/oauth': gateway,
      '/ws': { ...gateway, ws: true },
    },
  },
  test: {
    include: ['test/**/*.test.ts'],
    testTimeout: 60_000,
  },
}));
