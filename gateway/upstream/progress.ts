// What one way out has reached so far. It is filled as the stages go, so that a failure's record holds it too.
import type { UpstreamFacts, UpstreamTimings, UpstreamTrace } from './types.ts'

export interface Progress {
  readonly facts: UpstreamFacts
  readonly timings: UpstreamTimings
  readonly trace: UpstreamTrace
  /** Runs a stage and keeps how long it took, also where it fails. */
  timed<T>(key: keyof UpstreamTimings, work: () => Promise<T>): Promise<T>
}

/** `now` is monotonic, in milliseconds. */
export function createProgress(now: () => number): Progress {
  const timings: UpstreamTimings = { resolveMs: null, connectMs: null, tlsMs: null }
  return {
    facts: {
      address: null,
      serverName: null,
      nameProof: null,
      tlsVersion: null,
      cipher: null,
      resumed: null,
      certificateSha256: null,
      clientCertificateSha256: null,
      attempts: 0,
    },
    timings,
    trace: { resolution: null, found: [], permitted: [], attempts: [] },
    async timed(key, work) {
      const start = now()
      try {
        return await work()
      } finally {
        timings[key] = now() - start
      }
    },
  }
}
