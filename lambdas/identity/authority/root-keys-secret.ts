// Root keys in a secret of their own, for installations without KMS: `{"keys": [{id, key, createdAt}]}`. Rotation alone
// reads it. A key is there for good before a document names it.
import { randomUUID } from 'node:crypto'
import {
  GetSecretValueCommand,
  PutSecretValueCommand,
  type SecretsManagerClient,
  UpdateSecretVersionStageCommand,
} from '@aws-sdk/client-secrets-manager'
import * as z from '../schema-library.ts'
import { messageOf } from '../log.ts'
import { parseStrictJson } from '../strict-json.ts'
import { generateCaKey, keyIdOf, openCaKey } from './ca-key.ts'
import { AuthorityError, MAX_DOCUMENT_BYTES, UNBORN } from './document.ts'
import type { RootKeys } from './root-keys.ts'

/** A key of a rotation that died before its document was written serves the next try. */
const REUSE_MS = 3_600_000
/** A key that no root has is kept this long, since a rotation under way may be about to name it. */
const KEEP_MS = 7 * 24 * 3_600_000
const NEW_STAGE = 'SALLYPORTNEW'

const VALUE = z.strictObject({
  keys: z.array(
    z.strictObject({
      id: z.string().check(z.regex(/^[0-9a-f]{16}$/)),
      key: z.string(),
      createdAt: z.iso.datetime(),
    }),
  ),
})
type StoredKey = z.infer<typeof VALUE>['keys'][number]

export interface SecretRootKeysOptions {
  readonly secretArn: string
  readonly client: Pick<SecretsManagerClient, 'send'>
  readonly clock: () => Date
}

function parseKeys(text: string): readonly StoredKey[] {
  if (text === UNBORN) return []
  try {
    return VALUE.parse(parseStrictJson(text)).keys
  } catch (error) {
    // The text is keys: nothing of it goes into a message.
    throw new AuthorityError('authority-root-key', 'the secret of the root keys cannot be read', {
      cause: error,
    })
  }
}

async function readKeys({ client, secretArn }: SecretRootKeysOptions) {
  try {
    const command = new GetSecretValueCommand({ SecretId: secretArn, VersionStage: 'AWSCURRENT' })
    const { SecretString = '', VersionId = '' } = await client.send(command)
    return { keys: parseKeys(SecretString), versionId: VersionId }
  } catch (error) {
    if (error instanceof AuthorityError) throw error
    throw new AuthorityError('authority-root-key', `the secret of the root keys: ${messageOf(error)}`)
  }
}

/** Replaces the version that was read, and no other: of two writers at once one fails, and no key is lost. */
async function writeKeys(options: SecretRootKeysOptions, keys: readonly StoredKey[], basedOn: string) {
  const { client, secretArn: SecretId } = options
  const SecretString = JSON.stringify({ keys })
  const token = randomUUID()
  if (Buffer.byteLength(SecretString) > MAX_DOCUMENT_BYTES) {
    throw new AuthorityError('authority-root-key', 'the secret of the root keys is over 48 KiB')
  }
  try {
    const put = { SecretId, SecretString, ClientRequestToken: token, VersionStages: [NEW_STAGE] }
    await client.send(new PutSecretValueCommand(put))
    const move = {
      SecretId,
      VersionStage: 'AWSCURRENT',
      MoveToVersionId: token,
      RemoveFromVersionId: basedOn,
    }
    await client.send(new UpdateSecretVersionStageCommand(move))
  } catch (error) {
    throw new AuthorityError('authority-root-key', `the secret of the root keys: ${messageOf(error)}`)
  }
}

export function createSecretRootKeys(options: SecretRootKeysOptions): RootKeys {
  const prefix = `secretsmanager:${options.secretArn}#`
  const age = ({ createdAt }: StoredKey) => options.clock().getTime() - Date.parse(createdAt)
  return {
    owns: (reference) => reference.startsWith(prefix),
    hasSpare: () => true,
    async create(used) {
      const { keys, versionId } = await readKeys(options)
      const isUsed = ({ id }: StoredKey) => used.includes(`${prefix}${id}`)
      const left = keys.find((key) => !isUsed(key) && age(key) < REUSE_MS)
      if (left !== undefined) {
        return { reference: `${prefix}${left.id}`, signer: await openCaKey(left.key) }
      }
      const { signer, pem } = await generateCaKey()
      const made = { id: keyIdOf(signer.spki), key: pem, createdAt: options.clock().toISOString() }
      const kept = keys.filter((key) => isUsed(key) || age(key) < KEEP_MS)
      await writeKeys(options, [...kept, made], versionId)
      return { reference: `${prefix}${made.id}`, signer }
    },
    async open(reference) {
      const { keys } = await readKeys(options)
      const found = keys.find(({ id }) => reference === `${prefix}${id}`)
      if (found === undefined) throw new AuthorityError('authority-root-key', `there is no key ${reference}`)
      return openCaKey(found.key)
    },
  }
}
