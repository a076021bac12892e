// Which registration a proof falls under (attacks 37 to 40).
import { describe, expect, it } from 'vitest'
import type { Proof } from '../../../../../lambdas/identity/proofs/proof.ts'
import {
  expandSpiffeId,
  selectRegistration,
} from '../../../../../lambdas/identity/registrations/registration.ts'
import { registration } from '../support.ts'

function proof(claims: Record<string, string>, name = 'main'): Proof {
  return {
    kind: 'oidc',
    provider: name,
    issuer: 'https://issuer.example',
    subject: 's',
    tokenId: 't',
    claims: new Map(Object.entries(claims)),
    issuedAt: new Date(),
    expiresAt: new Date(),
    reuse: 'sameKey',
    endsAt: null,
    binding: null,
    aws: null,
  }
}

const payments = registration({ name: 'payments', claims: { team: 'payments' } })
const api = registration({ name: 'api', claims: { team: 'payments', service: 'api' } })

describe('selectRegistration', () => {
  it('gives the one that matches', () => {
    expect(selectRegistration([payments, api], proof({ team: 'payments' }), null)).toBe(payments)
  })

  it('attack 39: names all that match where the request names none, whatever their order', () => {
    for (const registrations of [
      [payments, api],
      [api, payments],
    ]) {
      expect(() =>
        selectRegistration(registrations, proof({ team: 'payments', service: 'api' }), null),
      ).toThrow(
        expect.objectContaining({
          code: 'registration-ambiguous',
          names: registrations.map(({ name }) => name),
        }),
      )
    }
  })

  it('gives the one that the request names among those that match', () => {
    expect(selectRegistration([payments, api], proof({ team: 'payments', service: 'api' }), 'api')).toBe(api)
  })

  it('refuses a name that does not match, known or not', () => {
    for (const name of ['api', 'unknown', 'toString']) {
      expect(() => selectRegistration([payments, api], proof({ team: 'payments' }), name)).toThrow(
        expect.objectContaining({ code: 'registration-not-matching' }),
      )
    }
  })

  const none: Record<string, Proof> = {
    'another value': proof({ team: 'payment' }),
    'another case': proof({ team: 'Payments' }),
    'a longer value': proof({ team: 'payments ' }),
    'the claim missing': proof({}),
    'another provider': proof({ team: 'payments' }, 'other'),
  }
  it.each(Object.entries(none))('attacks 37, 38: matches nothing with %s', (_name, found) => {
    expect(() => selectRegistration([payments, api], found, null)).toThrow(
      expect.objectContaining({ code: 'registration-none' }),
    )
  })
})

describe('expandSpiffeId', () => {
  it('refuses where a claim of the template is missing', () => {
    const withClaim = registration({ spiffeId: 'spiffe://example.org/{team}' })
    expect(() => expandSpiffeId(withClaim, proof({}))).toThrow(
      expect.objectContaining({ code: 'registration-unusable' }),
    )
  })

  it('attack 40: refuses a reserved ID that a claim spells', () => {
    const open = registration({ spiffeId: 'spiffe://example.org/{team}/{service}' })
    expect(() => expandSpiffeId(open, proof({ team: 'sallyport', service: 'gateway' }))).toThrow(
      expect.objectContaining({ code: 'registration-reserved' }),
    )
    expect(expandSpiffeId(open, proof({ team: 'Sallyport', service: 'gateway' })).uri).toBe(
      'spiffe://example.org/Sallyport/gateway',
    )
  })

  it('gives a reserved ID where the registration says so', () => {
    const own = registration({ spiffeId: 'spiffe://example.org/sallyport/gateway', reserved: true })
    expect(expandSpiffeId(own, proof({})).uri).toBe('spiffe://example.org/sallyport/gateway')
  })
})
