// Which addresses the authority may call for an issuer's keys (attacks 25, 26).
import { describe, expect, it } from 'vitest'
import { isFetchable } from '../../../../../lambdas/identity/proofs/addresses.ts'

const REFUSED: Record<string, string> = {
  'the metadata service': '169.254.169.254',
  'the ECS credentials endpoint': '169.254.170.2',
  'the metadata service over IPv6': 'fd00:ec2::254',
  'a private address': '10.0.0.1',
  'another private address': '192.168.1.1',
  'a third private address': '172.16.0.1',
  'carrier-grade NAT': '100.100.100.200',
  'this network': '0.0.0.0',
  'IPv6 unspecified': '::',
  'link-local IPv6': 'fe80::1',
  'unique local IPv6': 'fc00::1',
  multicast: '224.0.0.1',
  broadcast: '255.255.255.255',
  'a mapped private address': '::ffff:10.0.0.1',
  'a mapped metadata address': '::ffff:169.254.169.254',
  'a NAT64 metadata address': '64:ff9b::a9fe:a9fe',
  'a 6to4 private address': '2002:a00:1::',
  'a compatible loopback address': '::7f00:1',
  'a compatible loopback address in dots': '::127.0.0.1',
  'a compatible metadata address': '::a9fe:a9fe',
  'a compatible global address': '::808:808',
  'a compatible global address in dots': '::8.8.8.8',
  'a compatible address written in full': '0:0:0:0:0:0:8.8.8.8',
  'the last compatible address': '::ffff:ffff',
  "Azure's wire server": '168.63.129.16',
  "Azure's wire server, mapped": '::ffff:168.63.129.16',
  "Azure's wire server, mapped in hexadecimal": '::ffff:a83f:8110',
  'a Teredo address': '2001:0:4136:e378:8000:63bf:3fff:fdd2',
  'no address': 'issuer.example',
}

describe('isFetchable', () => {
  it.each(Object.entries(REFUSED))('attacks 25, 26: refuses %s, in development too', (_name, address) => {
    expect(isFetchable(address, { loopback: false })).toBe(false)
    expect(isFetchable(address, { loopback: true })).toBe(false)
  })

  it.each(['127.0.0.1', '127.8.8.8', '::1', '::ffff:127.0.0.1'])(
    'allows %s in development alone',
    (address) => {
      expect(isFetchable(address, { loopback: false })).toBe(false)
      expect(isFetchable(address, { loopback: true })).toBe(true)
    },
  )

  it.each([
    '93.184.215.14',
    '168.63.129.15',
    '168.63.129.17',
    '2606:2800:21f:cb07:6820:80da:af6b:8b2c',
    '::ffff:8.8.8.8',
  ])('allows %s', (address) => {
    expect(isFetchable(address, { loopback: false })).toBe(true)
  })
})
