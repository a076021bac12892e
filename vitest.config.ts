// Two projects: `unit` mirrors the source tree and touches no socket; `integration` runs real sockets and TLS on loopback.
import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    // On two cores Vitest would leave one to nobody; its own process has little to do.
    maxWorkers: '100%',
    projects: [
      { test: { name: 'unit', include: ['test/unit/**/*.test.ts'], testTimeout: 20_000 } },
      {
        test: {
          name: 'integration',
          include: ['test/integration/**/*.test.ts'],
          testTimeout: 40_000,
          hookTimeout: 60_000,
          // What is polled for comes at once, but a busy machine may stand still for a second.
          expect: { poll: { timeout: 5_000 } },
        },
      },
    ],
  },
})
