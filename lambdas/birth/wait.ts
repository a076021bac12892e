// Waits until the issuing secret holds a CA that signs and verifies. Rotation makes it, in its own time: Secrets Manager
// starts the first one when the schedule is made and nobody waits for its end.
import { GetSecretValueCommand, type SecretsManagerClient } from '@aws-sdk/client-secrets-manager'
import { SallyportError } from '../../common/errors.ts'
import { AuthorityError, parseAuthorityDocument } from '../identity/authority/document.ts'
import { messageOf } from '../identity/log.ts'
import type { CheckPending } from '../rotation/rotation.ts'

export interface BirthOptions {
  readonly client: Pick<SecretsManagerClient, 'send'>
  /** ARN or name. */
  readonly secretId: string
  readonly check: CheckPending
  readonly clock: () => Date
  /** Milliseconds. */
  readonly pause: (ms: number) => Promise<void>
  /** Milliseconds from the call on. */
  readonly patience: number
}

const POLL_MS = 5_000

export class BirthError extends SallyportError<'authority-not-born'> {}

async function look({ client, secretId, check, clock }: BirthOptions): Promise<void> {
  const command = new GetSecretValueCommand({ SecretId: secretId, VersionStage: 'AWSCURRENT' })
  const { SecretString: text = '' } = await client.send(command)
  await check(parseAuthorityDocument(text), null, clock())
}

/**
 * Resolves when the current document is a CA whose leaf and token verify. Whatever else is there is waited out, since
 * rotation may be at work; what it was at the end is in the error.
 * @throws BirthError
 */
export async function waitForBirth(options: BirthOptions): Promise<void> {
  const end = options.clock().getTime() + options.patience
  for (;;) {
    try {
      return await look(options)
    } catch (error) {
      if (options.clock().getTime() + POLL_MS <= end) {
        await options.pause(POLL_MS)
        continue
      }
      const code = error instanceof AuthorityError ? `${error.code}: ` : ''
      throw new BirthError(
        'authority-not-born',
        `the issuing secret holds no CA yet (${code}${messageOf(error)}); see the rotation function's log`,
        { cause: error },
      )
    }
  }
}
