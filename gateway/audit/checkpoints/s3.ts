// Checkpoints into S3, an object each, that is never replaced (`If-None-Match: *`) and, with a retention, locked in
// compliance mode, which not even the account's root can lift. Needs `s3:PutObject`, and `s3:PutObjectRetention` with a
// retention; nothing to read, list or delete.
import { setTimeout as sleep } from 'node:timers/promises'
import type { PutObjectCommand, PutObjectCommandInput, S3Client, S3ClientConfig } from '@aws-sdk/client-s3'
import type { CheckpointSink } from '../checkpointer.ts'
import type { WrittenCheckpoint } from '../events.ts'

export interface S3CheckpointOptions {
  readonly bucket: string
  /** Without a slash at either end; empty = none. */
  readonly prefix: string
  /** Null = what the bucket's own default says. A bucket without object lock refuses one. */
  readonly retentionDays: number | null
  /** For the SDK's client; default: what the SDK finds by itself. */
  readonly client?: S3ClientConfig
  /** Between two tries; doubles. */
  readonly retryMs?: number
}

const TRIES = 4
const RETRY_MS = 500
const DAY_MS = 86_400_000

/** `prefix/2026-08-01/<chain>/000000000042.json`: by day, so that an auditor fetches what is asked about. */
export function keyOf(prefix: string, { at, chain, sequence }: WrittenCheckpoint): string {
  const name = `${String(sequence).padStart(12, '0')}.json`
  return [...(prefix === '' ? [] : [prefix]), at.slice(0, 10), chain, name].join('/')
}

/** The SDK is loaded at the first checkpoint: most gateways have no use for it. */
export function createS3Checkpoints(options: S3CheckpointOptions): CheckpointSink {
  let loaded: Promise<Sdk> | null = null
  return {
    async put(checkpoint, signal) {
      loaded ??= load(options)
      // A failure to load is told, and tried again at the next.
      const sdk = await loaded.catch((error: unknown) => {
        loaded = null
        throw error
      })
      await putWithRetries(sdk, inputOf(options, checkpoint), options.retryMs ?? RETRY_MS, signal)
    },
    async close() {
      const sdk = await loaded?.catch(() => null)
      sdk?.client.destroy()
    },
  }
}

interface Sdk {
  readonly client: S3Client
  readonly PutObjectCommand: new (input: PutObjectCommandInput) => PutObjectCommand
}

async function load({ client }: S3CheckpointOptions): Promise<Sdk> {
  const { PutObjectCommand, S3Client } = await import('@aws-sdk/client-s3')
  const requestHandler = { connectionTimeout: 2_000, requestTimeout: 5_000, throwOnRequestTimeout: true }
  // Retries are ours: only who counts them knows whether an object that is there already is the one just sent.
  return { client: new S3Client({ requestHandler, ...client, maxAttempts: 1 }), PutObjectCommand }
}

function inputOf(options: S3CheckpointOptions, checkpoint: WrittenCheckpoint): PutObjectCommandInput {
  const { bucket, prefix, retentionDays } = options
  return {
    Bucket: bucket,
    Key: keyOf(prefix, checkpoint),
    Body: Buffer.from(`${checkpoint.line}\n`),
    ContentType: 'application/json',
    IfNoneMatch: '*',
    ...(retentionDays === null
      ? {}
      : {
          ObjectLockMode: 'COMPLIANCE' as const,
          ObjectLockRetainUntilDate: new Date(Date.parse(checkpoint.at) + retentionDays * DAY_MS),
        }),
  }
}

async function putWithRetries(
  { client, PutObjectCommand }: Sdk,
  input: PutObjectCommandInput,
  retryMs: number,
  signal: AbortSignal,
): Promise<void> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      await client.send(new PutObjectCommand(input), { abortSignal: signal })
      return
    } catch (error) {
      // Of an answer that was lost; the chain's id is random, so it can be nobody else's.
      if (attempt > 1 && nameOf(error) === 'PreconditionFailed') return
      if (attempt === TRIES || signal.aborted || !mayPass(error)) throw error
      await sleep(retryMs * 2 ** (attempt - 1), null, { signal })
    }
  }
}

function nameOf(error: unknown): string {
  return error instanceof Error ? error.name : ''
}

/** Whether another try may do: no answer, or one of the server's own failures (5xx), or that it is asked too often. */
function mayPass(error: unknown): boolean {
  const status = (error as { $metadata?: { httpStatusCode?: number } }).$metadata?.httpStatusCode
  // 409 ConditionalRequestConflict: another request for the same key is under way, as after a time-out of ours.
  return status === undefined || status >= 500 || status === 429 || status === 409
}
