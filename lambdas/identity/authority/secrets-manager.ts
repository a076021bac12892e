// The CA document in Secrets Manager, read only: rotation alone writes it. The stage is always named, since without one
// the answer may be any version's.
import { GetSecretValueCommand, type SecretsManagerClient } from '@aws-sdk/client-secrets-manager'
import { type AuthorityLog, messageOf } from '../log.ts'
import { createCachedAuthority } from './cached.ts'
import { type AuthorityDocument, AuthorityError, parseAuthorityDocument } from './document.ts'
import type { Authority } from './state.ts'

export interface SecretsManagerAuthorityOptions {
  /** ARN or name. */
  readonly secretId: string
  readonly client: Pick<SecretsManagerClient, 'send'>
  readonly trustDomain: string
  readonly clock: () => Date
  readonly log: AuthorityLog
}

async function read({ client, secretId }: SecretsManagerAuthorityOptions): Promise<AuthorityDocument> {
  let text: string | undefined
  try {
    const command = new GetSecretValueCommand({ SecretId: secretId, VersionStage: 'AWSCURRENT' })
    text = (await client.send(command)).SecretString
  } catch (error) {
    throw new AuthorityError('authority-unreadable', `the issuing secret: ${messageOf(error)}`, {
      cause: error,
    })
  }
  return parseAuthorityDocument(text ?? '')
}

/** The authority of an issuing secret. Nothing is read before the first `current()`. */
export function createSecretsManagerAuthority(options: SecretsManagerAuthorityOptions): Authority {
  return createCachedAuthority({ ...options, read: () => read(options) })
}
