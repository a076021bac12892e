import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { orderEndpoints } from '../../../../gateway/upstream/endpoint-order.ts'

const NOW = 1_000
const ADDRESSES = ['192.0.2.1', '192.0.2.2', '192.0.2.3', '2001:db8::1', '2001:db8::2', '2001:db8::3']

/** Takes one address after the other from what is left, by the rules as they are told. */
function model(
  addresses: readonly string[],
  until: ReadonlyMap<string, number>,
  turn: number,
): readonly string[] {
  const asideUntil = (address: string) => until.get(address) ?? 0
  const left = new Set(addresses)
  const taken: string[] = []
  const familyOf = (six: boolean) => addresses.filter((a) => a.includes(':') === six && asideUntil(a) <= NOW)
  const queues = [false, true].map((six) => {
    const family = familyOf(six)
    return family.map((_, index) => family[(index + turn) % family.length] ?? '')
  })
  while (queues.some((queue) => queue.length > 0)) {
    for (const queue of queues) {
      const next = queue.shift()
      if (next === undefined) continue
      taken.push(next)
      left.delete(next)
    }
  }
  while (left.size > 0) {
    let soonest: string | null = null
    for (const address of left) {
      if (soonest === null || asideUntil(address) < asideUntil(soonest)) soonest = address
    }
    taken.push(soonest ?? '')
    left.delete(soonest ?? '')
  }
  return taken
}

test('the order is the model’s', () => {
  fc.assert(
    fc.property(
      fc.shuffledSubarray(ADDRESSES),
      fc.array(fc.tuple(fc.constantFrom(...ADDRESSES), fc.integer({ min: NOW - 3, max: NOW + 5 }))),
      fc.nat(2 ** 20),
      (addresses, aside, turn) => {
        const until = new Map(aside)
        const order = orderEndpoints({ addresses, asideUntil: (a) => until.get(a) ?? 0, now: NOW, turn })
        expect(order).toEqual(model(addresses, until, turn))
      },
    ),
  )
})
