// The issuing secret and its versions, as rotation sees them. Each call names the version it means; what Secrets Manager
// refuses is told apart by the name of its error.
import {
  DescribeSecretCommand,
  GetSecretValueCommand,
  PutSecretValueCommand,
  type SecretsManagerClient,
  UpdateSecretVersionStageCommand,
} from '@aws-sdk/client-secrets-manager'

export interface IssuingSecret {
  readonly client: Pick<SecretsManagerClient, 'send'>
  readonly secretId: string
}

export interface SecretVersion {
  readonly text: string
  readonly versionId: string
}

function isNamed(error: unknown, name: string): boolean {
  return error instanceof Error && error.name === name
}

export interface SecretDescription {
  /** Of each version, by version id; null where rotation is switched off. */
  readonly stages: Readonly<Record<string, readonly string[]>> | null
  readonly tags: ReadonlyMap<string, string>
}

export async function describeSecret({ client, secretId }: IssuingSecret): Promise<SecretDescription> {
  const found = await client.send(new DescribeSecretCommand({ SecretId: secretId }))
  return {
    stages: found.RotationEnabled === true ? (found.VersionIdsToStages ?? {}) : null,
    tags: new Map(found.Tags?.map(({ Key = '', Value = '' }) => [Key, Value])),
  }
}

export async function readCurrent({ client, secretId }: IssuingSecret): Promise<SecretVersion> {
  const command = new GetSecretValueCommand({ SecretId: secretId, VersionStage: 'AWSCURRENT' })
  const { SecretString: text = '', VersionId: versionId = '' } = await client.send(command)
  return { text, versionId }
}

/** The value of the pending version; null where it has none yet. */
export async function readPending(secret: IssuingSecret, token: string): Promise<string | null> {
  try {
    const { SecretString: text = null } = await secret.client.send(
      new GetSecretValueCommand({ SecretId: secret.secretId, VersionId: token, VersionStage: 'AWSPENDING' }),
    )
    return text
  } catch (error) {
    if (isNamed(error, 'ResourceNotFoundException')) return null
    throw error
  }
}

/** Gives the version its value, unless an earlier try did: the token then keeps what it has. */
export async function writePending(secret: IssuingSecret, token: string, text: string): Promise<void> {
  try {
    await secret.client.send(
      new PutSecretValueCommand({
        SecretId: secret.secretId,
        ClientRequestToken: token,
        SecretString: text,
        VersionStages: ['AWSPENDING'],
      }),
    )
  } catch (error) {
    if (!isNamed(error, 'ResourceExistsException')) throw error
  }
}

/** Makes the version current in place of `basedOn`; Secrets Manager refuses where that is not current any more. */
export async function makeCurrent(secret: IssuingSecret, token: string, basedOn: string): Promise<void> {
  await secret.client.send(
    new UpdateSecretVersionStageCommand({
      SecretId: secret.secretId,
      VersionStage: 'AWSCURRENT',
      MoveToVersionId: token,
      RemoveFromVersionId: basedOn,
    }),
  )
}

/** Takes AWSPENDING off the version: with it on, Secrets Manager begins no other rotation. */
export async function dropPending(secret: IssuingSecret, token: string): Promise<void> {
  await secret.client.send(
    new UpdateSecretVersionStageCommand({
      SecretId: secret.secretId,
      VersionStage: 'AWSPENDING',
      RemoveFromVersionId: token,
    }),
  )
}
