// `npm run test:real`: foreign servers and clients, real programs all. What is missing fails by name.
import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    name: 'real',
    include: ['test/real/**/*.test.ts'],
    testTimeout: 120_000,
    hookTimeout: 120_000,
    expect: { poll: { timeout: 5_000 } },
    fileParallelism: false,
  },
})
