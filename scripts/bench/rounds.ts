// Rounds in which the products take turns, so that whatever else the machine does in that time meets all of them.
import type { Client } from './client.ts'
import type { Rounds } from './figures.ts'
import { startSallyport, type Sallyport } from './gateway.ts'
import { download, echo, idleMemory, newSessions, newTunnels, upload } from './jobs.ts'
import { type Partner, startHaproxy, startNginx } from './peers.ts'
import type { Pki } from './pki.ts'
import type { Product } from './product.ts'
import type { Programs } from './programs.ts'
import type { Amounts, Sizes } from './sizes.ts'

export interface Place {
  readonly programs: Programs
  readonly pki: Pki
  readonly partner: Partner
  readonly client: Client
  readonly sizes: Sizes
  /** Told what is being done. */
  readonly say: (text: string) => void
}

/** What is measured; each lower is better. */
export const MEASURES = [
  'download',
  'upload',
  'session',
  'originate',
  'passthrough',
  'memory',
  'median',
  'p99',
] as const

export type Measure = (typeof MEASURES)[number]

/** Of each measure, one value a round by product. */
export type Measured = Readonly<Record<Measure, Rounds>>

class Book {
  readonly #values = new Map<Measure, Map<string, number[]>>()

  add(measure: Measure, product: string, value: number): void {
    const byProduct = this.#values.get(measure) ?? new Map<string, number[]>()
    this.#values.set(measure, byProduct)
    byProduct.set(product, [...(byProduct.get(product) ?? []), value])
  }

  all(): Measured {
    const of = (measure: Measure) => Object.fromEntries(this.#values.get(measure) ?? [])
    return Object.fromEntries(MEASURES.map((measure) => [measure, of(measure)])) as unknown as Measured
  }
}

/** The same products over all rounds, each beginning once; before the first, unmeasured, everybody warms up. */
export async function measureRounds(place: Place): Promise<Measured> {
  const { programs, pki, partner, sizes, say } = place
  const book = new Book()
  {
    await using nginx = await startNginx(programs, pki, partner)
    await using haproxy = await startHaproxy(programs, pki, partner)
    await using own = await startSallyport(pki, partner)
    const products: readonly (Product | Sallyport)[] = [own, nginx, haproxy]
    say('warming up')
    for (const product of products) await doJobs(place, product, sizes.warmUp, () => {})
    for (let round = 0; round < sizes.rounds; round++) {
      for (const product of inTurn(products, round)) {
        say(`round ${round + 1} of ${sizes.rounds}: ${product.name}`)
        await doJobs(place, product, sizes, (measure, value) => book.add(measure, product.name, value))
      }
    }
  }
  for (let round = 0; round < sizes.rounds; round++) await measureMemory(place, round, book)
  return book.all()
}

/** Who begins changes with each round. */
function inTurn<T>(products: readonly T[], round: number): readonly T[] {
  const first = round % products.length
  return [...products.slice(first), ...products.slice(0, first)]
}

/** All but memory, which wants new processes. */
export async function doJobs(
  { client }: Pick<Place, 'client'>,
  product: Product | Sallyport,
  { mib, sessions, tunnels, echoSessions, echoSeconds }: Amounts,
  note: (measure: Measure, value: number) => void,
): Promise<void> {
  note('download', await download(client, product, mib))
  note('upload', await upload(client, product, mib))
  note('session', await newSessions(client, product, sessions))
  if ('throughTarget' in product) {
    note('originate', await newTunnels(client, product, 'originate', tunnels))
    note('passthrough', await newTunnels(client, product, 'passthrough', tunnels))
  }
  const { median, p99 } = await echo(client, product, { count: echoSessions, seconds: echoSeconds })
  note('median', median)
  note('p99', p99)
}

async function measureMemory(place: Place, round: number, book: Book): Promise<void> {
  const { programs, pki, partner, client, sizes, say } = place
  const starts = [
    () => startSallyport(pki, partner),
    () => startNginx(programs, pki, partner),
    () => startHaproxy(programs, pki, partner),
  ]
  for (const start of inTurn(starts, round)) {
    await using product: Product = await start()
    say(`memory, round ${round + 1} of ${sizes.rounds}: ${product.name}`)
    book.add('memory', product.name, await idleMemory(client, product, sizes.idle))
  }
}
