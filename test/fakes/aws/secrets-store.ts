// Secrets Manager's versions and staging labels, judged as AWS judges them ("Secrets Manager secret versions", and the
// API reference of each action): a token keeps its content, a repeated put does nothing, a label is on one version at a
// time, and moving AWSCURRENT needs the version that has it.
import { randomUUID } from 'node:crypto'

export interface Version {
  value: string | null
  stages: Set<string>
}

export class ServiceError extends Error {
  constructor(name: string, message: string) {
    super(message)
    this.name = name
  }
}

interface GetInput {
  readonly VersionId?: string | undefined
  readonly VersionStage?: string | undefined
}

interface PutInput {
  readonly ClientRequestToken?: string | undefined
  readonly SecretString?: string | undefined
  readonly VersionStages?: readonly string[] | undefined
}

interface MoveInput {
  readonly VersionStage?: string | undefined
  readonly MoveToVersionId?: string | undefined
  readonly RemoveFromVersionId?: string | undefined
}

const MAX_VALUE_BYTES = 65_536

function invalid(message: string): never {
  throw new ServiceError('InvalidParameterException', message)
}

/** Length constraints of the API reference. */
function checkPut(token: string, value: string): void {
  const bytes = Buffer.byteLength(value)
  if (token.length < 32 || token.length > 64) invalid('ClientRequestToken must have 32 to 64 characters.')
  if (bytes < 1 || bytes > MAX_VALUE_BYTES) invalid('SecretString must have 1 to 65536 bytes.')
}

/** One secret. */
export class SecretsStore {
  readonly versions = new Map<string, Version>()
  readonly tags = new Map<string, string>()
  rotationEnabled = true
  /** AWS takes AWSCURRENT where a reading names no stage; our readers are to name theirs. */
  needsStage = true

  constructor(value: string) {
    this.versions.set(randomUUID(), { value, stages: new Set(['AWSCURRENT']) })
  }

  holderOf(stage: string): string | null {
    return [...this.versions].find(([, { stages }]) => stages.has(stage))?.[0] ?? null
  }

  get current(): string {
    return this.versions.get(this.holderOf('AWSCURRENT') ?? '')?.value ?? ''
  }

  /** What RotateSecret does before it calls the function: an empty version that is pending. */
  beginRotation(token: string = randomUUID()): string {
    const pending = this.holderOf('AWSPENDING')
    if (pending !== null && pending !== this.holderOf('AWSCURRENT')) {
      throw new ServiceError('InvalidRequestException', 'A previous rotation isn’t complete.')
    }
    this.versions.set(token, { value: null, stages: new Set() })
    this.#label(token, 'AWSPENDING')
    return token
  }

  describe() {
    const stages = [...this.versions].map(([id, version]) => [id, [...version.stages]] as const)
    return {
      RotationEnabled: this.rotationEnabled,
      VersionIdsToStages: Object.fromEntries(stages.filter(([, labels]) => labels.length > 0)),
      Tags: [...this.tags].map(([Key, Value]) => ({ Key, Value })),
    }
  }

  get(input: GetInput) {
    if (this.needsStage && input.VersionStage === undefined) invalid('The reading names no stage.')
    const id = input.VersionId ?? this.holderOf(input.VersionStage ?? 'AWSCURRENT') ?? ''
    const version = this.versions.get(id)
    const staged = input.VersionStage === undefined || version?.stages.has(input.VersionStage) === true
    if (version === undefined || version.value === null || !staged) {
      throw new ServiceError(
        'ResourceNotFoundException',
        "Secrets Manager can't find the specified secret value.",
      )
    }
    return { SecretString: version.value, VersionId: id, VersionStages: [...version.stages] }
  }

  put(input: PutInput) {
    const id = input.ClientRequestToken ?? randomUUID()
    const value = input.SecretString ?? ''
    checkPut(id, value)
    const known = this.versions.get(id)
    if (known !== undefined && known.value !== null) {
      // "the operation succeeds but does nothing": labels stay where they are.
      if (known.value === value) return { VersionId: id }
      throw new ServiceError(
        'ResourceExistsException',
        'A resource with the ID you requested already exists.',
      )
    }
    this.versions.set(id, { value, stages: known?.stages ?? new Set() })
    for (const stage of input.VersionStages ?? ['AWSCURRENT']) this.#label(id, stage)
    return { VersionId: id }
  }

  move({ VersionStage: stage = '', MoveToVersionId: to, RemoveFromVersionId: from }: MoveInput) {
    const holder = this.holderOf(stage)
    if (to === undefined && from === undefined) invalid('MoveToVersionId or RemoveFromVersionId is missing.')
    if (from !== undefined && holder !== from) {
      invalid(`The staging label ${stage} is not on version ${from}.`)
    }
    if (to !== undefined && holder !== null && holder !== to && from === undefined) {
      invalid(`The staging label ${stage} is on version ${holder}.`)
    }
    if (to === undefined) {
      if (stage === 'AWSCURRENT') invalid('AWSCURRENT can only be moved.')
      this.versions.get(from ?? '')?.stages.delete(stage)
      return {}
    }
    const target = this.versions.get(to)
    if (target === undefined || target.value === null) {
      throw new ServiceError('ResourceNotFoundException', `There is no version ${to}.`)
    }
    this.#label(to, stage)
    return {}
  }

  /** One version has a label; AWSPREVIOUS follows where AWSCURRENT was. */
  #label(id: string, stage: string): void {
    const holder = this.holderOf(stage)
    if (holder === id) return
    if (holder !== null) this.versions.get(holder)?.stages.delete(stage)
    this.versions.get(id)?.stages.add(stage)
    if (stage === 'AWSCURRENT' && holder !== null) this.#label(holder, 'AWSPREVIOUS')
  }
}
