// Lifetimes are ours: the caller may only shorten (attacks 18, 44), and serials are random (attack 45).
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { chooseLifetime, MIN_TTL_SECONDS } from '../../../../../lambdas/identity/mint/lifetime.ts'
import { randomSerial } from '../../../../../lambdas/identity/serial.ts'
import { random } from '../support.ts'

const NOW = new Date('2026-11-24T12:00:00.250Z')
const at = (seconds: number): Date => new Date(NOW.getTime() + seconds * 1000)
const terms = {
  now: NOW,
  ttlSeconds: 3600,
  requestedSeconds: null,
  authority: { notBefore: at(-3600), notAfter: at(86_400) },
  proofEnds: null,
}

describe('chooseLifetime', () => {
  it('gives the registration’s lifetime, from ten seconds ago, in whole seconds', () => {
    expect(chooseLifetime(terms)).toEqual({
      notBefore: new Date('2026-11-24T11:59:50.000Z'),
      notAfter: new Date('2026-11-24T13:00:00.000Z'),
    })
  })

  it('attacks 18, 44: never leaves any of its bounds', () => {
    const seconds = fc.integer({ min: -100, max: 200_000 })
    fc.assert(
      fc.property(
        fc.integer({ min: 60, max: 86_400 }),
        fc.option(fc.integer({ min: 60, max: 86_400 })),
        fc.integer({ min: -100_000, max: 0 }),
        seconds,
        fc.option(seconds),
        (ttlSeconds, requestedSeconds, begin, end, proof) => {
          const authority = { notBefore: at(begin), notAfter: at(end) }
          const proofEnds = proof === null ? null : at(proof)
          let lifetime: ReturnType<typeof chooseLifetime>
          try {
            lifetime = chooseLifetime({ now: NOW, ttlSeconds, requestedSeconds, authority, proofEnds })
          } catch {
            expect(Math.min(end, proof ?? end, ttlSeconds)).toBeLessThan(MIN_TTL_SECONDS + 1)
            return
          }
          const end0 = lifetime.notAfter.getTime()
          expect(end0).toBeLessThanOrEqual(at(ttlSeconds).getTime())
          expect(end0).toBeLessThanOrEqual(at(requestedSeconds ?? ttlSeconds).getTime())
          expect(end0).toBeLessThanOrEqual(authority.notAfter.getTime())
          expect(end0).toBeLessThanOrEqual(proofEnds?.getTime() ?? end0)
          expect(lifetime.notBefore.getTime()).toBeGreaterThanOrEqual(authority.notBefore.getTime())
          expect(lifetime.notBefore.getTime()).toBeGreaterThanOrEqual(at(-11).getTime())
          expect(lifetime.notBefore.getTime()).toBeLessThanOrEqual(NOW.getTime())
        },
      ),
    )
  })

  it('says whose end it is where less than a minute is left', () => {
    expect(() => chooseLifetime({ ...terms, proofEnds: at(59) })).toThrow(
      expect.objectContaining({ code: 'lifetime-proof-ends' }),
    )
    const authority = { notBefore: at(-3600), notAfter: at(59) }
    expect(() => chooseLifetime({ ...terms, authority })).toThrow(
      expect.objectContaining({ code: 'lifetime-authority-ends' }),
    )
  })
})

describe('randomSerial', () => {
  it('attack 45: is in [1, 2^127), two digits a byte, and never twice, in a hundred thousand', () => {
    const serials = Array.from({ length: 100_000 }, () => randomSerial(random))
    expect(new Set(serials).size).toBe(serials.length)
    const odd = serials.filter((serial) => {
      const value = BigInt(`0x${serial}`)
      return !/^(?!00)(?:[0-9a-f]{2}){1,16}$/.test(serial) || value < 1n || value >= 1n << 127n
    })
    expect(odd).toEqual([])
  })

  it('is positive whatever the source of randomness gives', () => {
    expect(randomSerial((bytes) => new Uint8Array(bytes))).toBe('01')
    expect(randomSerial((bytes) => new Uint8Array(bytes).fill(255))).toBe(`7f${'ff'.repeat(15)}`)
  })
})
