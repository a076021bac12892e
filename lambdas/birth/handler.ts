// The function that a deployment waits for before anything relies on the authority. It reads the issuing secret and
// nothing else. Its event says nothing.
import { randomBytes } from 'node:crypto'
import { setTimeout } from 'node:timers/promises'
import { SecretsManagerClient } from '@aws-sdk/client-secrets-manager'
import { parseTrustDomain } from '../../spiffe/id.ts'
import { AWS_CALLS } from '../identity/authority/aws-calls.ts'
import { createLambdaLog } from '../identity/lambda-log.ts'
import { messageOf } from '../identity/log.ts'
import { createCheck } from '../rotation/check.ts'
import { waitForBirth } from './wait.ts'

/** Below the function's time-out of ten minutes, so that the deployment gets a reason and not a time-out. */
const PATIENCE_MS = 9 * 60_000

/** @throws BirthError, which fails the deployment */
export async function handler(): Promise<void> {
  const { log } = createLambdaLog()
  try {
    await waitForBirth({
      client: new SecretsManagerClient(AWS_CALLS),
      secretId: process.env.SALLYPORT_ISSUING_SECRET ?? '',
      check: createCheck({
        trustDomain: parseTrustDomain(process.env.SALLYPORT_TRUST_DOMAIN ?? ''),
        random: (bytes) => randomBytes(bytes),
      }),
      clock: () => new Date(),
      pause: (ms) => setTimeout(ms),
      patience: PATIENCE_MS,
    })
    log({ event: 'birth.seen', level: 'info' })
  } catch (error) {
    log({ event: 'birth.failed', level: 'error', reason: messageOf(error) })
    throw error
  }
}
