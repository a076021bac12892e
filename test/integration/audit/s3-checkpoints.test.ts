import { expect, test } from 'vitest'
import { createS3Checkpoints, type S3CheckpointOptions } from '../../../gateway/audit/checkpoints/s3.ts'
import type { WrittenCheckpoint } from '../../../gateway/audit/events.ts'
import { type FakeS3, startFakeS3 } from '../../fakes/aws/s3.ts'

const CHECKPOINT: WrittenCheckpoint = {
  chain: '9f'.repeat(16),
  sequence: 42,
  at: '2026-08-01T10:00:00.000Z',
  line: '{"event":"checkpoint"}',
}
const KEY = `gateways/2026-08-01/${'9f'.repeat(16)}/000000000042.json`
const forever = new AbortController().signal

function sinkOn(s3: FakeS3, changes: Partial<S3CheckpointOptions> = {}) {
  const sink = createS3Checkpoints({
    bucket: 'evidence',
    prefix: 'gateways',
    retentionDays: null,
    client: { endpoint: s3.endpoint, region: 'eu-west-1', credentials: s3.credentials },
    retryMs: 1,
    ...changes,
  })
  return Object.assign(sink, { [Symbol.asyncDispose]: () => sink.close() })
}

test('a checkpoint is an object of its own, as the line stands in the log', async () => {
  await using s3 = await startFakeS3({ bucket: 'evidence', objectLock: true })
  await using sink = sinkOn(s3)
  await sink.put(CHECKPOINT, forever)
  await sink.put({ ...CHECKPOINT, sequence: 99 }, forever)
  expect([...s3.objects.keys()]).toEqual([KEY, KEY.replace('042', '099')])
  expect(s3.objects.get(KEY)).toEqual({
    body: '{"event":"checkpoint"}\n',
    contentType: 'application/json',
    lockedUntil: null,
  })
})

test('with a retention it is locked from its own time on; a bucket without object lock refuses it', async () => {
  await using s3 = await startFakeS3({ bucket: 'evidence', objectLock: true })
  await using sink = sinkOn(s3, { retentionDays: 365, prefix: '' })
  await sink.put(CHECKPOINT, forever)
  const stored = s3.objects.get(KEY.replace('gateways/', ''))
  expect(stored?.lockedUntil).toEqual(new Date('2027-08-01T10:00:00.000Z'))
  await using plain = await startFakeS3({ bucket: 'evidence', objectLock: false })
  await using refused = sinkOn(plain, { retentionDays: 365 })
  await expect(refused.put(CHECKPOINT, forever)).rejects.toMatchObject({ name: 'InvalidRequest' })
  expect(plain.requests()).toBe(1)
})

test('what stands there already is never replaced, and is an error', async () => {
  await using s3 = await startFakeS3({ bucket: 'evidence', objectLock: true })
  await using sink = sinkOn(s3)
  await sink.put(CHECKPOINT, forever)
  const other = { ...CHECKPOINT, line: '{"event":"forged"}' }
  await expect(sink.put(other, forever)).rejects.toMatchObject({ name: 'PreconditionFailed' })
  expect(s3.objects.get(KEY)?.body).toBe('{"event":"checkpoint"}\n')
})

test('a failure of the service is tried again, and an answer that was lost is no failure', async () => {
  await using s3 = await startFakeS3({ bucket: 'evidence', objectLock: true })
  await using sink = sinkOn(s3)
  s3.faults.push(503, 500, 'lost')
  await sink.put(CHECKPOINT, forever)
  expect(s3.requests()).toBe(4)
  expect(s3.objects.size).toBe(1)
})

test.each([
  ['a service that stays away', [500, 500, 500, 500], 4],
  ['a refusal', [403], 1],
] as const)('%s is an error after %j', async (_, faults, requests) => {
  await using s3 = await startFakeS3({ bucket: 'evidence', objectLock: true })
  await using sink = sinkOn(s3)
  s3.faults.push(...faults)
  await expect(sink.put(CHECKPOINT, forever)).rejects.toThrow()
  expect(s3.requests()).toBe(requests)
  expect(s3.objects.size).toBe(0)
})

test('a signature by another key is refused, so that the fake checks it', async () => {
  await using s3 = await startFakeS3({ bucket: 'evidence', objectLock: true })
  const credentials = { ...s3.credentials, secretAccessKey: 'another' }
  await using sink = sinkOn(s3, { client: { endpoint: s3.endpoint, region: 'eu-west-1', credentials } })
  await expect(sink.put(CHECKPOINT, forever)).rejects.toMatchObject({ name: 'SignatureDoesNotMatch' })
})

test('one that is asked to stop stops', async () => {
  await using s3 = await startFakeS3({ bucket: 'evidence', objectLock: true })
  await using sink = sinkOn(s3, { retryMs: 60_000 })
  const stop = new AbortController()
  s3.faults.push(500)
  const put = sink.put(CHECKPOINT, stop.signal)
  await expect.poll(() => s3.requests()).toBe(1)
  stop.abort()
  await expect(put).rejects.toThrow()
})
