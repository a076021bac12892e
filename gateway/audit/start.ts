// The audit from its configuration: the sink, the log with its chain, and the checkpoints with their second sink.
import { randomBytes } from 'node:crypto'
import type { Logger } from 'pino'
import type { GatewayConfig, KeyPair } from '../config/types.ts'
import { createAuditLog } from './chain.ts'
import {
  type Checkpointer,
  type CheckpointResult,
  type CheckpointSink,
  startCheckpointer,
} from './checkpointer.ts'
import { createFileCheckpoints } from './checkpoints/file.ts'
import { createS3Checkpoints } from './checkpoints/s3.ts'
import type { AuditLog, ChainEnd, Revision } from './events.ts'
import { lastEventIn } from './last-event.ts'
import { createFileSink, type FileSink, type Sink } from './sink.ts'

type AuditConfig = GatewayConfig['audit']

export interface OpenedSink {
  readonly sink: Sink
  /** The same, where it is a file that can be rotated; else null. */
  readonly file: FileSink | null
  /** Where the log stood before; null where nobody knows. */
  readonly after: ChainEnd | null
}

/** Rejects with the system's error where the file cannot be had. */
export async function openAuditSink({ sink }: AuditConfig, stdout: Sink): Promise<OpenedSink> {
  if (sink.kind === 'stdout') return { sink: stdout, file: null, after: null }
  const after = await lastEventIn(sink.path)
  const file = await createFileSink(sink.path)
  return { sink: file, file, after }
}

export interface AuditOptions {
  readonly config: AuditConfig
  readonly opened: OpenedSink
  readonly revision: () => Revision
  readonly identity: () => KeyPair
  readonly now: () => Date
  readonly log: Pick<Logger, 'error'>
  readonly onCheckpoint: (result: CheckpointResult) => void
  /** Between two checkpoints; undefined = a minute. */
  readonly checkpointMs: number | undefined
}

const FAULTS: Readonly<Partial<Record<CheckpointResult, string>>> = {
  unsigned: 'no checkpoint was written',
  lost: 'the second sink did not keep a checkpoint; the next says all that it said',
}

/** The chain begins here. Rejects where the second sink's file cannot be had. */
export async function startAudit(options: AuditOptions): Promise<{
  readonly audit: AuditLog
  readonly checkpointer: Checkpointer
}> {
  const { config, opened, revision, identity, now, log, onCheckpoint, checkpointMs } = options
  const { onFailure, maxBacklogBytes } = config
  const { sink, after } = opened
  const audit = createAuditLog({
    ...{ sink, after, revision, identity, now, onFailure, maxBacklogBytes },
    random: randomBytes,
    onError: (error) => log.error({ err: error }, 'a record could not be made'),
  })
  const checkpointer = startCheckpointer({
    audit,
    second: await openCheckpoints(config),
    onResult(result, error) {
      onCheckpoint(result)
      if (error !== undefined) log.error({ err: error }, FAULTS[result])
    },
    ...(checkpointMs === undefined ? {} : { intervalMs: checkpointMs }),
  })
  return { audit, checkpointer }
}

async function openCheckpoints({ checkpoints }: AuditConfig): Promise<CheckpointSink | null> {
  if (checkpoints === null) return null
  return checkpoints.kind === 'file'
    ? createFileCheckpoints(checkpoints.path)
    : createS3Checkpoints(checkpoints)
}
