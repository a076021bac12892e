// The way out, as far as it can be judged before a connection: nothing is dialled in these tests.
import { describe, expect, it } from 'vitest'
import {
  createGuardedFetch,
  type FetchAnswer,
  type GuardedFetchOptions,
} from '../../../../../lambdas/identity/proofs/guarded-fetch.ts'

function get(url: string, options: Partial<GuardedFetchOptions> = {}): Promise<FetchAnswer> {
  const fetch = createGuardedFetch({ loopback: false, ...options })
  return fetch(url, { redirect: 'manual', headers: {}, signal: AbortSignal.timeout(2_000) })
}

const answering =
  (...addresses: readonly string[]): NonNullable<GuardedFetchOptions['lookup']> =>
  (_hostname, callback) =>
    callback(
      null,
      addresses.map((address) => ({ address, family: address.includes(':') ? 6 : 4 })),
    )

describe('createGuardedFetch', () => {
  it.each([
    'https://169.254.169.254/keys',
    'https://[fd00:ec2::254]/keys',
    'https://[::ffff:10.0.0.1]/keys',
    'https://0177.0.0.1/keys',
    'https://2130706433/keys',
    'https://127.1/keys',
    'https://127.0.0.1:9/keys',
  ])('refuses the literal address of %s', async (url) => {
    await expect(get(url)).rejects.toMatchObject({ code: 'address-refused' })
  })

  it.each(['http://issuer.example/keys', 'file:///etc/passwd', 'ftp://issuer.example/'])(
    'refuses %s',
    async (url) => {
      await expect(get(url)).rejects.toMatchObject({ code: 'scheme-refused' })
    },
  )

  it('attack 26: refuses a name that resolves inwards', async () => {
    const inwards = answering('10.0.0.5', '169.254.169.254', '::1', 'fd00::1')
    await expect(get('https://issuer.example/keys', { lookup: inwards })).rejects.toMatchObject({
      code: 'address-refused',
    })
  })

  it('refuses a name without an address', async () => {
    await expect(get('https://issuer.example/keys', { lookup: answering() })).rejects.toMatchObject({
      code: 'address-refused',
    })
  })

  it('passes the resolver’s own failure on', async () => {
    const failing: GuardedFetchOptions['lookup'] = (_hostname, callback) =>
      callback(new Error('no such name'), [])
    await expect(get('https://issuer.example/keys', { lookup: failing })).rejects.toThrow('no such name')
  })
})
