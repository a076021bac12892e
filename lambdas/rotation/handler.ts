// The rotation function of the issuing secret, as Secrets Manager calls it, once for each step. Its environment says
// where root keys are: SALLYPORT_ROOT_KEYS (KMS key ARNs, by commas) or SALLYPORT_ROOT_SECRET. It alone may use them.
import { randomBytes } from 'node:crypto'
import { SecretsManagerClient } from '@aws-sdk/client-secrets-manager'
import { AWS_CALLS } from '../identity/authority/aws-calls.ts'
import { createCaTools, type RootKeys } from '../identity/authority/root-keys.ts'
import { createLambdaLog } from '../identity/lambda-log.ts'
import { type AuthorityLog, messageOf } from '../identity/log.ts'
import * as z from '../identity/schema-library.ts'
import { parseTrustDomain } from '../../spiffe/id.ts'
import { createCheck } from './check.ts'
import { RotationError, type RotationOptions } from './rotation.ts'
import { createSecret, finishSecret, setSecret, testSecret } from './steps.ts'

const EVENT = z.object({
  Step: z.enum(['createSecret', 'setSecret', 'testSecret', 'finishSecret']),
  SecretId: z.string().check(z.minLength(1), z.maxLength(2048)),
  /** Secrets Manager API: 32 to 64 characters. */
  ClientRequestToken: z.string().check(z.minLength(32), z.maxLength(64)),
})
const STEPS = { createSecret, setSecret, testSecret, finishSecret }
const KEY_ARN = /^arn:aws[a-z-]*:kms:[a-z0-9-]+:\d{12}:key\/[A-Za-z0-9-]+$/
const SECRET_ARN = /^arn:aws[a-z-]*:secretsmanager:[a-z0-9-]+:\d{12}:secret:[^#]+$/

function wrong(message: string): never {
  throw new RotationError('rotation-environment', message)
}

function readKeyArns(value: string, log: AuthorityLog): readonly string[] {
  const keyArns = value.split(',').map((arn) => arn.trim())
  const bad = keyArns.find((arn) => !KEY_ARN.test(arn))
  // An alias could be pointed at another key, and the document would not notice.
  if (bad !== undefined) return wrong(`SALLYPORT_ROOT_KEYS: expected ARNs of KMS keys, found ${bad}`)
  // It would be taken for a spare key, and found out when the root needs its successor.
  if (new Set(keyArns).size < keyArns.length) return wrong('SALLYPORT_ROOT_KEYS: one key stands there twice')
  if (keyArns.length === 1) {
    const reason = 'SALLYPORT_ROOT_KEYS has one key: a root gets no successor without a second'
    log({ event: 'rotation.no-spare-key', level: 'warn', reason })
  }
  return keyArns
}

async function openRootKeys(
  env: NodeJS.ProcessEnv,
  client: SecretsManagerClient,
  log: AuthorityLog,
): Promise<RootKeys> {
  const keys = env.SALLYPORT_ROOT_KEYS ?? ''
  const secretArn = env.SALLYPORT_ROOT_SECRET ?? ''
  if ((keys === '') === (secretArn === ''))
    return wrong('set either SALLYPORT_ROOT_KEYS or SALLYPORT_ROOT_SECRET')
  if (secretArn !== '') {
    if (!SECRET_ARN.test(secretArn))
      return wrong(`SALLYPORT_ROOT_SECRET: expected an ARN, found ${secretArn}`)
    const { createSecretRootKeys } = await import('../identity/authority/root-keys-secret.ts')
    return createSecretRootKeys({ client, secretArn, clock: () => new Date() })
  }
  const keyArns = readKeyArns(keys, log)
  const [{ KMSClient }, { createKmsRootKeys }] = await Promise.all([
    import('@aws-sdk/client-kms'),
    import('../identity/authority/root-keys-kms.ts'),
  ])
  return createKmsRootKeys({ client: new KMSClient(AWS_CALLS), keyArns })
}

async function buildOptions(env: NodeJS.ProcessEnv): Promise<Omit<RotationOptions, 'token' | 'secretId'>> {
  const trustDomain = parseTrustDomain(env.SALLYPORT_TRUST_DOMAIN ?? '')
  const client = new SecretsManagerClient(AWS_CALLS)
  const random = (bytes: number): Uint8Array => randomBytes(bytes)
  const { log } = createLambdaLog()
  return {
    client,
    tools: createCaTools({ trustDomain, random, rootKeys: await openRootKeys(env, client, log) }),
    check: createCheck({ trustDomain, random }),
    clock: () => new Date(),
    log,
  }
}

/** @throws whatever stops the step, so that Secrets Manager sees the rotation fail */
export async function handler(event: unknown): Promise<void> {
  const parsed = EVENT.safeParse(event)
  if (!parsed.success) throw new RotationError('rotation-event', 'not an event of Secrets Manager')
  const { Step: step, SecretId: secretId, ClientRequestToken: token } = parsed.data
  const options = await buildOptions(process.env)
  try {
    await STEPS[step]({ ...options, secretId, token })
    options.log({ event: 'rotation.step', level: 'info', step })
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : 'unexpected'
    options.log({ event: 'rotation.failed', level: 'error', step, code, reason: messageOf(error) })
    throw error
  }
}
