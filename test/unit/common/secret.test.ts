import { format, inspect } from 'node:util'
import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { Secret } from '../../../common/secret.ts'

const VALUE = 'hunter2-correct-horse'

/** Every way in which a value may find its way into a log, a record or an answer. */
const WAYS: Record<string, (secret: Secret<string | Uint8Array>) => string> = {
  String: (secret) => String(secret),
  'a template': (secret) => `<${secret as unknown as string}>`,
  'adding it to text': (secret) => ''.concat(secret as unknown as string),
  'JSON of itself': (secret) => JSON.stringify(secret),
  'JSON of what holds it': (secret) => JSON.stringify({ key: { pem: [secret] } }),
  'inspect, as console.log does': (secret) => inspect(secret),
  'inspect with all that there is to see': (secret) =>
    inspect({ secret }, { showHidden: true, depth: null, getters: true, customInspect: true }),
  'inspect without custom printing': (secret) =>
    inspect({ secret }, { customInspect: false, showHidden: true, depth: null }),
  'format with %s': (secret) => format('%s', secret),
  'format with %o': (secret) => format('%o', secret),
  'format with %j': (secret) => format('%j', secret),
  'its own keys': (secret) => Reflect.ownKeys(secret).join(),
  'a copy by spread': (secret) => JSON.stringify({ ...(secret as object) }),
  'a structured clone': (secret) => JSON.stringify(structuredClone({ ...(secret as object) })),
  'the message of an error': (secret) =>
    inspect(new Error(`bad: ${secret as unknown as string}`, { cause: secret })),
  'a list joined': (secret) => [secret].join(','),
}

describe('a secret is not shown', () => {
  test.each(Object.entries(WAYS))('by %s', (_, print) => {
    const text = print(new Secret(VALUE))
    expect(text).not.toContain('hunter2')
  })

  test.each(Object.entries(WAYS))('as bytes, by %s', (_, print) => {
    const text = print(new Secret(Buffer.from(VALUE)))
    expect(text).not.toContain('hunter2')
    // Text and bytes are the same to who reads the log.
    expect(text).not.toMatch(/68,?\s*75,?\s*6e|104,\s*117,\s*110/)
  })

  test('what is shown says that something is there', () => {
    const secret = new Secret(VALUE)
    expect([String(secret), JSON.stringify(secret), inspect(secret)]).toEqual([
      '[redacted]',
      '"[redacted]"',
      '[redacted]',
    ])
  })

  test('property: two secrets are printed alike, whatever they are', () => {
    fc.assert(
      fc.property(fc.string(), fc.string(), (one, other) => {
        for (const print of Object.values(WAYS)) {
          // A stack names the line, not the value: cut to what is above it.
          const lines = [one, other].map((value) => print(new Secret(value)).split('\n    at ')[0])
          expect(lines[0]).toBe(lines[1])
        }
      }),
      { numRuns: 30 },
    )
  })
})

describe('reveal', () => {
  test('gives the text', () => {
    expect(new Secret(VALUE).reveal()).toBe(VALUE)
  })

  test('gives the bytes themselves and no copy, so that they can be wiped', () => {
    const bytes = new Uint8Array([1, 2, 3])
    expect(new Secret(bytes).reveal()).toBe(bytes)
  })
})
