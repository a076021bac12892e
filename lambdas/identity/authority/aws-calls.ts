// How long the authority waits for AWS. A mint at a cold start waits for it, and so does each step of a rotation: the SDK
// itself would wait without end for a connection that nobody answers.

export const AWS_CALLS = {
  maxAttempts: 2,
  requestHandler: {
    /** Milliseconds. */
    connectionTimeout: 1_000,
    requestTimeout: 3_000,
    // Without it the SDK writes a warning and goes on waiting.
    throwOnRequestTimeout: true,
  },
}
