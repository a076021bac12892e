// The jobs of the bench: each is done with one product and gives one figure. What is counted is the CPU time of the
// product's processes alone, but for memory and the round trip.
import type { Duplex } from 'node:stream'
import { setTimeout as sleep } from 'node:timers/promises'
import { ask, type Client, tunnel } from './client.ts'
import { percentile } from './figures.ts'
import type { Sallyport } from './gateway.ts'
import { BLOB_BYTES } from './peers.ts'
import { PARTNER } from './pki.ts'
import { pool } from './pool.ts'
import { cpuSeconds, residentKib } from './proc.ts'
import type { Product } from './product.ts'

const GIB = 1024 ** 3
/** Sessions that move bytes side by side. */
const STREAMS = 4
/** Sessions that are opened side by side. */
const OPENING = 16
const CHUNK = Buffer.alloc(256 * 1024, 'x')
const ECHO_BYTES = 1024

/** Seconds of CPU that `product` uses while `work` runs. */
async function cpuOf(product: Product, work: () => Promise<unknown>): Promise<number> {
  const before = await cpuSeconds(product.pids)
  await work()
  return (await cpuSeconds(product.pids)) - before
}

async function withSessions<T>(
  client: Client,
  product: Product,
  count: number,
  use: (sessions: readonly Duplex[]) => Promise<T>,
): Promise<T> {
  const sessions: Duplex[] = []
  try {
    await pool(count, OPENING, async () => void sessions.push(await client.open(product)))
    return await use(sessions)
  } finally {
    await Promise.all(sessions.map(closed))
  }
}

/** Ends it and waits until it is gone, so that no job pays for the end of the one before. */
async function closed(stream: Duplex): Promise<void> {
  if (stream.destroyed) return
  const gone = new Promise((resolve) => stream.once('close', resolve))
  stream.end()
  stream.resume()
  await gone
}

/** Seconds of CPU for a GiB from the partner to the client. */
export async function download(client: Client, product: Product, mib: number): Promise<number> {
  const blobs = Math.max(1, Math.round((mib * 1024 * 1024) / BLOB_BYTES / STREAMS))
  return withSessions(client, product, STREAMS, async (sessions) => {
    const cpu = await cpuOf(product, () =>
      Promise.all(sessions.map(async (stream) => readBlobs(stream, blobs))),
    )
    return (cpu * GIB) / (STREAMS * blobs * BLOB_BYTES)
  })
}

async function readBlobs(stream: Duplex, blobs: number): Promise<void> {
  const request = (end: string) => `GET /blob HTTP/1.1\r\nHost: ${PARTNER}\r\n${end}\r\n`
  await new Promise<void>((resolve, reject) => {
    let received = 0
    stream.on('data', (chunk: Buffer) => {
      received += chunk.length
    })
    stream.once('end', () => {
      if (received < blobs * BLOB_BYTES) reject(new Error(`a download ended after ${received} bytes`))
      else resolve()
    })
    stream.once('close', () => reject(new Error('a download was cut')))
    stream.write(request('').repeat(blobs - 1) + request('Connection: close\r\n'))
    stream.resume()
  })
}

/** Seconds of CPU for a GiB from the client to the partner. */
export async function upload(client: Client, product: Product, mib: number): Promise<number> {
  const chunks = Math.max(1, Math.round((mib * 1024 * 1024) / CHUNK.length / STREAMS))
  return withSessions(client, product, STREAMS, async (sessions) => {
    const cpu = await cpuOf(product, () =>
      Promise.all(sessions.map(async (stream) => writeChunks(stream, chunks))),
    )
    return (cpu * GIB) / (STREAMS * chunks * CHUNK.length)
  })
}

async function writeChunks(stream: Duplex, chunks: number): Promise<void> {
  // The answer to the request behind it comes when all of it was read.
  const ended = new Promise<string>((resolve, reject) => {
    let said = ''
    stream.on('data', (chunk: Buffer) => {
      said += chunk.toString('latin1')
    })
    stream.once('end', () => resolve(said))
    stream.once('close', () => reject(new Error('an upload was cut')))
    stream.resume()
  })
  stream.write(`POST /sink HTTP/1.1\r\nHost: ${PARTNER}\r\nContent-Length: ${chunks * CHUNK.length}\r\n\r\n`)
  for (let sent = 0; sent < chunks; sent++) {
    if (!stream.write(CHUNK)) await new Promise((resolve) => stream.once('drain', resolve))
  }
  stream.write(`GET /resumed HTTP/1.1\r\nHost: ${PARTNER}\r\nConnection: close\r\n\r\n`)
  const said = await ended
  if (!/^HTTP\/1\.1 204 .*HTTP\/1\.1 200 /s.test(said)) throw new Error(`an upload was answered by ${said}`)
}

/** Milliseconds of CPU for a session: a full handshake in, the way out, one small request, the end. */
export async function newSessions(client: Client, product: Product, count: number): Promise<number> {
  const cpu = await cpuOf(product, () =>
    pool(count, OPENING, async () => {
      const session = await client.open(product)
      await ask(session, '/resumed')
      await closed(session)
    }),
  )
  return (cpu * 1000) / count
}

/** The same over one HTTP/2 connection; to the destination that the gateway speaks TLS with, or the client itself. */
export async function newTunnels(
  client: Client,
  gateway: Sallyport,
  kind: 'originate' | 'passthrough',
  count: number,
): Promise<number> {
  const connection = await client.connectH2(gateway)
  const target = kind === 'originate' ? gateway.target : gateway.throughTarget
  const cpu = await cpuOf(gateway, () =>
    pool(count, OPENING, async () => {
      const stream = await tunnel(connection, target)
      const session = kind === 'originate' ? stream : await client.secureInside(stream)
      await ask(session, '/resumed')
      await closed(session)
    }),
  )
  await new Promise<void>((resolve) => connection.close(resolve))
  return (cpu * 1000) / count
}

/** What the opening left behind has this long to go. */
const SETTLE_MS = 2_000

/** Kibibytes of resident memory for each of `count` sessions that were used once and wait. */
export async function idleMemory(client: Client, product: Product, count: number): Promise<number> {
  await withSessions(client, product, OPENING, async (sessions) => {
    for (const session of sessions) await ask(session, '/resumed')
  })
  const before = await settled(product)
  return withSessions(client, product, count, async (sessions) => {
    await pool(count, OPENING, async (index) => {
      const session = sessions[index]
      if (session !== undefined) await ask(session, '/resumed')
    })
    return ((await settled(product)) - before) / count
  })
}

async function settled({ pids }: Product): Promise<number> {
  await sleep(SETTLE_MS)
  return residentKib(pids)
}

export interface RoundTrip {
  /** Milliseconds. */
  readonly median: number
  readonly p99: number
}

const ECHO = `x-echo: ${'e'.repeat(ECHO_BYTES)}\r\n`
/** Between two round trips of one session, in milliseconds. */
const PACE_MS = 200

/** Round trips of a KiB over `count` sessions, each of which asks five times a second for `seconds`. */
export async function echo(
  client: Client,
  product: Product,
  { count, seconds }: { readonly count: number; readonly seconds: number },
): Promise<RoundTrip> {
  return withSessions(client, product, count, async (sessions) => {
    const times: number[] = []
    const rounds = Math.max(1, Math.round((seconds * 1000) / PACE_MS))
    await Promise.all(
      sessions.map(async (session, index) => {
        await ask(session, '/echo', ECHO)
        // Spread evenly, so that they do not all ask at once.
        await sleep((index * PACE_MS) / count)
        for (let round = 0; round < rounds; round++) {
          const startedAt = performance.now()
          const body = await ask(session, '/echo', ECHO)
          const took = performance.now() - startedAt
          if (body.length !== ECHO_BYTES) throw new Error(`an echo of ${body.length} bytes`)
          times.push(took)
          await sleep(Math.max(0, PACE_MS - took))
        }
      }),
    )
    return { median: percentile(times, 0.5), p99: percentile(times, 0.99) }
  })
}
