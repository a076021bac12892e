// How Sallyport's own figures change with what it carries: live sessions that wait, and policies.
import type http2 from 'node:http2'
import type { Duplex } from 'node:stream'
import { setTimeout as sleep } from 'node:timers/promises'
import { ask, tunnel } from './client.ts'
import { spread } from './figures.ts'
import { startSallyport, type Sallyport } from './gateway.ts'
import { pool } from './pool.ts'
import { cpuSeconds, residentKib } from './proc.ts'
import { doJobs, type Measure, type Place } from './rounds.ts'

export interface Grown {
  /** `1,000 live sessions`, `100 policies`. */
  readonly with: string
  /** Medians of the rounds. `memory` is of a live session, and missing where none is held. */
  readonly figures: Readonly<Partial<Record<Measure, number>>>
  /** Milliseconds of CPU in a second in which nothing happens. */
  readonly idleCpu: number
}

export async function measureGrowth(place: Place): Promise<readonly Grown[]> {
  const { live, policies } = place.sizes.growth
  const grown: Grown[] = []
  for (const count of live) grown.push(await withLive(place, count))
  for (const count of policies) grown.push(await withPolicies(place, count))
  return grown
}

const number = new Intl.NumberFormat('en')

async function withPolicies(place: Place, count: number): Promise<Grown> {
  await using gateway = await startSallyport(place.pki, place.partner, { policies: count })
  const name = `${number.format(count)} policies`
  const { figures } = await measure(place, gateway, name)
  return { with: name, figures, idleCpu: await idleCpu(gateway) }
}

async function withLive(place: Place, count: number): Promise<Grown> {
  await using gateway = await startSallyport(place.pki, place.partner)
  const name = `${number.format(count)} live sessions`
  await doJobs(place, gateway, place.sizes.growth.amounts, () => {})
  const before = await residentKib(gateway.pids)
  place.say(`growth: opening ${name}`)
  await using held = await hold(place, gateway, count)
  await sleep(SETTLE_MS)
  const memory = ((await residentKib(gateway.pids)) - before) / held.count
  const quiet = await idleCpu(gateway)
  const { figures } = await measure(place, gateway, name)
  return { with: name, figures: { ...figures, memory }, idleCpu: quiet }
}

const SETTLE_MS = 2_000
const OPENING = 16
/** Streams of one HTTP/2 connection. */
const STREAMS = 100

interface Held extends AsyncDisposable {
  readonly count: number
}

/**
 * Half of them over HTTP/1, each a connection of its own, half over HTTP/2, a hundred to a connection. All over HTTP/1
 * would need 20,000 open files of the gateway, as many as a process often may have.
 */
async function hold({ client }: Place, gateway: Sallyport, count: number): Promise<Held> {
  const sessions: Duplex[] = []
  const connections: http2.ClientHttp2Session[] = []
  const half = Math.floor(count / 2)
  await pool(half, OPENING, async () => void sessions.push(await client.open(gateway)))
  for (let left = count - half; left > 0; left -= STREAMS) {
    const connection = await client.connectH2(gateway)
    connections.push(connection)
    await pool(Math.min(STREAMS, left), OPENING, async () => {
      sessions.push(await tunnel(connection, gateway.target))
    })
  }
  await pool(count, OPENING, async (index) => {
    const session = sessions[index]
    if (session !== undefined) await ask(session, '/resumed')
  })
  return {
    count,
    async [Symbol.asyncDispose]() {
      for (const session of sessions) session.destroy()
      for (const connection of connections) connection.destroy()
    },
  }
}

async function measure(place: Place, gateway: Sallyport, name: string) {
  const { growth } = place.sizes
  const values = new Map<Measure, number[]>()
  // The first is for the compiler.
  for (let round = 0; round <= growth.rounds; round++) {
    place.say(`growth: ${name}, ${round === 0 ? 'warming up' : `round ${round} of ${growth.rounds}`}`)
    await doJobs(place, gateway, growth.amounts, (of, value) => {
      if (round > 0) values.set(of, [...(values.get(of) ?? []), value])
    })
  }
  const figures = Object.fromEntries([...values].map(([of, all]) => [of, spread(all).median]))
  return { figures: figures as Partial<Record<Measure, number>> }
}

const IDLE_MS = 3_000

async function idleCpu({ pids }: Sallyport): Promise<number> {
  const before = await cpuSeconds(pids)
  await sleep(IDLE_MS)
  return (((await cpuSeconds(pids)) - before) * 1_000_000) / IDLE_MS
}
