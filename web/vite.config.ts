import { fileURLToPath, URL } from 'node:url'

import vue from '@vitejs/plugin-vue'
import { defineConfig } from 'vitest/config'

/** Where `npm run dev` finds the API; the built console is served by the API's own origin. */
const apiOrigin = process.env.REMOTEGPU_SERVER_URL ?? 'http://127.0.0.1:8080'

export default defineConfig({
  base: '/',
  plugins: [vue()],
  resolve: { alias: { '@': fileURLToPath(new URL('./src', import.meta.url)) } },
  define: {
    __VUE_OPTIONS_API__: 'false',
    __VUE_I18N_LEGACY_API__: 'false',
    __VUE_I18N_FULL_INSTALL__: 'false',
    __INTLIFY_PROD_DEVTOOLS__: 'false',
  },
  server: {
    host: '127.0.0.1',
    proxy: { '/api': { target: apiOrigin, ws: true } },
  },
  build: {
    target: 'es2022',
    // Chunks are cached for ever by their hash; the lazily loaded charts and the terminal are the large ones.
    chunkSizeWarningLimit: 700,
    // A data: URL would need `data:` in the Content-Security-Policy's img-src and font-src.
    assetsInlineLimit: 0,
  },
  test: {
    environment: 'node', // what needs a page says so in its first line
    include: ['tests/**/*.test.ts'],
    restoreMocks: true,
  },
})
