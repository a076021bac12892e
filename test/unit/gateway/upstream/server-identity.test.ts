import { X509Certificate } from 'node:crypto'
import * as fc from 'fast-check'
import { beforeAll, describe, expect, test } from 'vitest'
import { judgeServerCertificate, spkiPin } from '../../../../gateway/upstream/server-identity.ts'
import { type Ca, createRoot, type LeafOptions } from '../../../fixtures/pki.ts'

let ca: Ca
beforeAll(async () => {
  ca = await createRoot({ name: 'server-ca' })
})

async function parse(options: LeafOptions): Promise<X509Certificate> {
  return new X509Certificate((await ca.issue(options)).pem)
}

async function judge(name: string, options: LeafOptions, pins: readonly string[] = []) {
  return judgeServerCertificate({ name, pins }, (await parse(options)).toLegacyObject())
}

const MATCHES: Record<string, { name: string; leaf: LeafOptions; matches: boolean }> = {
  'the same name': { name: 'api.bank.example', leaf: { dns: ['api.bank.example'] }, matches: true },
  'another case': { name: 'api.bank.example', leaf: { dns: ['API.Bank.Example'] }, matches: true },
  'one of several': { name: 'b.example', leaf: { dns: ['a.example', 'b.example'] }, matches: true },
  'a wildcard': { name: 'a.bank.example', leaf: { dns: ['*.bank.example'] }, matches: true },
  'a wildcard two labels deep': {
    name: 'x.a.bank.example',
    leaf: { dns: ['*.bank.example'] },
    matches: false,
  },
  'a wildcard and its apex': { name: 'bank.example', leaf: { dns: ['*.bank.example'] }, matches: false },
  'a wildcard for a whole TLD': { name: 'bank.example', leaf: { dns: ['*.example'] }, matches: false },
  'another name': { name: 'evil.example', leaf: { dns: ['api.bank.example'] }, matches: false },
  'a longer name': {
    name: 'bank.example',
    leaf: { dns: ['bank.example.evil.example'] },
    matches: false,
  },
  'CN alone': { name: 'api.bank.example', leaf: { cn: 'api.bank.example' }, matches: false },
  'CN beside a SAN of another kind': {
    name: 'api.bank.example',
    leaf: { cn: 'api.bank.example', uris: ['spiffe://example.org/bank'] },
    matches: false,
  },
  'CN beside an IP SAN': {
    name: 'api.bank.example',
    leaf: { cn: 'api.bank.example', ips: ['192.0.2.1'] },
    matches: false,
  },
  'no name at all': { name: 'api.bank.example', leaf: { cn: 'x' }, matches: false },
  'an IPv4 literal': { name: '192.0.2.1', leaf: { ips: ['192.0.2.1'] }, matches: true },
  'another IPv4 literal': { name: '192.0.2.1', leaf: { ips: ['192.0.2.2'] }, matches: false },
  'an IPv4 literal as DNS name': { name: '192.0.2.1', leaf: { dns: ['192.0.2.1'] }, matches: false },
  'an IPv4 literal as CN': { name: '192.0.2.1', leaf: { cn: '192.0.2.1' }, matches: false },
  'an IPv6 literal': { name: '2001:db8::1', leaf: { ips: ['2001:db8::1'] }, matches: true },
  'another IPv6 literal': { name: '2001:db8::1', leaf: { ips: ['2001:db8::2'] }, matches: false },
  'an IPv4 address in a form that Node would normalise': {
    name: '127.1',
    leaf: { dns: ['127.0.0.1'], ips: ['127.0.0.1'] },
    matches: false,
  },
  'full-width letters that Node would normalise': {
    name: 'ｂank.example',
    leaf: { dns: ['bank.example'] },
    matches: false,
  },
  'a name with an underscore': { name: 'a_b.example', leaf: { dns: ['a_b.example'] }, matches: true },
}

describe('judgeServerCertificate', () => {
  for (const [name, { name: host, leaf, matches }] of Object.entries(MATCHES)) {
    test(name, async () => {
      const error = await judge(host, leaf)
      expect(error?.code).toBe(matches ? undefined : 'upstream-tls-name-mismatch')
    })
  }

  test('the detail lists the names that the certificate has', async () => {
    const error = await judge('evil.example', { dns: ['a.example', 'b.example'], ips: ['192.0.2.1'] })
    expect(error?.message).toBe(
      'evil.example: the certificate is for DNS:a.example, DNS:b.example, IP Address:192.0.2.1',
    )
  })

  test('the detail of a certificate with hundreds of names is cut', async () => {
    const dns = Array.from({ length: 200 }, (_, index) => `host-${index}.example`)
    const error = await judge('evil.example', { dns })
    expect(error?.message.length).toBeLessThan(400)
  })

  test('a pin of the key passes, among others too', async () => {
    const certificate = await parse({ dns: ['a.example'] })
    const pin = spkiPin(certificate)
    const peer = certificate.toLegacyObject()
    expect(judgeServerCertificate({ name: 'a.example', pins: ['AAAA', pin] }, peer)).toBeUndefined()
  })

  test('another key is a pin mismatch that shows the pin found', async () => {
    const certificate = await parse({ dns: ['a.example'] })
    const other = spkiPin(await parse({ dns: ['a.example'] }))
    const error = judgeServerCertificate({ name: 'a.example', pins: [other] }, certificate.toLegacyObject())
    expect(error?.code).toBe('upstream-tls-pin-mismatch')
    expect(error?.message).toContain(`sha256/${spkiPin(certificate)}`)
  })

  test('a pin does not stand in for the name', async () => {
    const certificate = await parse({ dns: ['a.example'] })
    const expected = { name: 'b.example', pins: [spkiPin(certificate)] }
    const error = judgeServerCertificate(expected, certificate.toLegacyObject())
    expect(error?.code).toBe('upstream-tls-name-mismatch')
  })

  test('a certificate for one name passes for no other', async () => {
    const peer = (await parse({ dns: ['api.bank.example'] })).toLegacyObject()
    fc.assert(
      fc.property(fc.oneof(fc.domain(), fc.ipV4(), fc.ipV6()), (name) => {
        if (name === 'api.bank.example') return
        const error = judgeServerCertificate({ name, pins: [] }, peer)
        expect(error?.code).toBe('upstream-tls-name-mismatch')
      }),
    )
  })
})
