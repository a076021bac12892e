import { compactVerify, decodeProtectedHeader } from 'jose'
import { describe, expect, test } from 'vitest'
import { hashOf } from '../../../../gateway/audit/chain.ts'
import { CHECKPOINT_TYPE } from '../../../../gateway/audit/checkpoint.ts'
import { lastEventOf } from '../../../../gateway/audit/last-event.ts'
import { MAX_RECORD_BYTES } from '../../../../gateway/audit/record.ts'
import { verifyChain } from '../../../fixtures/audit-chain.ts'
import { attempt } from '../../../fixtures/audit-facts.ts'
import { createSigningWorld, startSignedLog } from '../../../fixtures/signed-log.ts'

describe('a checkpoint', () => {
  test.each([
    ['P-256', 'ES256'],
    ['P-384', 'ES384'],
    ['RSA-2048', 'RS256'],
  ] as const)(
    'by a key of %s is a JWS with %s that jose verifies, over chain, sequence and hash',
    async (key, alg) => {
      const world = await createSigningWorld()
      const identity = await world.identity('/sallyport/gateway', { key })
      const log = startSignedLog(() => identity)
      log.sessions(1)
      log.checkpoint()
      const event = verifyChain(log.lines).at(-1)
      if (event?.event !== 'checkpoint') throw new Error('no checkpoint')
      const header = decodeProtectedHeader(event.jws)
      expect(header).toMatchObject({ alg, typ: CHECKPOINT_TYPE })
      // The leaf and the issuing CA, without the root.
      expect(header.x5c?.[0]).toBe(identity.leaf.raw.toString('base64'))
      expect(header.x5c).toHaveLength(2)
      const { payload } = await compactVerify(event.jws, identity.leaf.publicKey)
      expect(JSON.parse(Buffer.from(payload).toString())).toEqual({
        chain: event.chain,
        sequence: 2,
        hash: hashOf(log.lines[1] ?? ''),
        at: event.at,
        after: null,
        dropped: 0,
        final: false,
      })
      expect(Buffer.byteLength(log.lines.at(-1) ?? '')).toBeLessThan(MAX_RECORD_BYTES)
    },
  )

  test('there is none of an empty chain', async () => {
    const world = await createSigningWorld()
    const identity = await world.identity('/sallyport/gateway')
    const log = startSignedLog(() => identity)
    log.checkpoint(true)
    expect(log.lines).toEqual([])
  })

  test('a key that cannot sign leaves the chain as it was', () => {
    const log = startSignedLog(() => {
      throw new Error('no key')
    })
    log.sessions(1)
    expect(() => log.checkpoint()).toThrow('no key')
    log.sessions(1)
    expect(verifyChain(log.lines)).toHaveLength(4)
  })

  test('the last one stands behind the records that were to come soon', async () => {
    const world = await createSigningWorld()
    const identity = await world.identity('/sallyport/gateway')
    const log = startSignedLog(() => identity)
    const outcome = { code: 'policy-denied', by: 'gateway', detail: null } as const
    for (let n = 0; n < 50; n += 1) log.log.closedSoon(attempt(), outcome, { sent: 1, received: 2 })
    log.checkpoint(true)
    await new Promise((resolve) => setImmediate(resolve))
    const events = verifyChain(log.lines)
    expect(events).toHaveLength(51)
    expect(events.at(-1)).toMatchObject({ event: 'checkpoint', sequence: 51 })
  })

  test('is signed by the key in force at its time', async () => {
    const world = await createSigningWorld()
    const [first, second] = [
      await world.identity('/sallyport/gateway'),
      await world.identity('/sallyport/gateway'),
    ]
    let identity = first
    const log = startSignedLog(() => identity)
    log.sessions(1)
    log.checkpoint()
    identity = second
    log.checkpoint()
    const leaves = log.checkpoints.map(({ line }) => decodeProtectedHeader(JSON.parse(line).jws).x5c?.[0])
    expect(leaves).toEqual([first, second].map(({ leaf }) => leaf.raw.toString('base64')))
  })
})

describe('the last event of a log', () => {
  const event = (sequence: number) =>
    `{"event":"session","chain":"${'ab'.repeat(16)}","sequence":${sequence}}`
  const cases: Record<string, readonly [string, number | null]> = {
    'is its last line': [`${event(1)}\n${event(2)}\n`, 2],
    'stands before a torn line': [`${event(1)}\n{"event":"sess`, 1],
    'stands before a torn line that was ended since': [`${event(1)}\n{"event":"sess\n`, 1],
    'stands before start lines': [`${event(7)}\n{"event":"ready"}\n`, 7],
    'stands behind the rest of a line that began before': [`:1}\n${event(7)}\n`, 7],
    'is none in an empty file': ['', null],
    'is none where nothing is an event': ['\n\nhello\n{"chain":"x","sequence":1}\n', null],
  }
  test.each(Object.entries(cases))('%s', (_, [text, sequence]) => {
    const found = lastEventOf(Buffer.from(text))
    expect(found?.sequence ?? null).toBe(sequence)
    if (sequence !== null) expect(found?.hash).toBe(hashOf(event(sequence)))
  })
})
