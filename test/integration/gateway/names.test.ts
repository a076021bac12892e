// Every spelling of a host through every listener: what was checked is what is resolved, matched, decided about, put in SNI
// and recorded; and what is refused reaches neither DNS nor anybody.
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createScene, HOST, INNER, type Scene, type Way, WAYS } from './names-scene.ts'

let scene: Scene
beforeAll(async () => {
  scene = await createScene()
})
afterAll(() => scene[Symbol.asyncDispose]())

const NAMED: readonly Way[] = WAYS.filter((way) => way !== 'passthrough')

describe.each(NAMED)('%s: one host in whatever spelling', (way) => {
  test.each([HOST, 'API.BANK.TEST', 'Api.Bank.Test', 'api.bank.test.', 'API.bank.TEST.'])(
    '%s',
    async (text) => {
      const { record, queries, serverNames } = await scene.outcome(() => scene.asks[way](text))
      expect(record).toMatchObject({
        requested: { host: HOST, port: scene.partner.port },
        destination: 'partner',
        decision: { result: 'allow', policies: ['one spelling'] },
        upstream: { address: `127.0.0.1:${scene.partner.port}`, serverName: HOST, nameProof: 'certificate' },
      })
      expect(queries.toSorted()).toEqual([`A ${HOST}`, `AAAA ${HOST}`])
      expect(serverNames).toEqual([HOST])
    },
  )
})

describe('passthrough: one server name in whatever spelling', () => {
  test.each([INNER, 'WEB.Bank.TEST'])('%s', async (text) => {
    const { record, queries, serverNames } = await scene.outcome(() => scene.speak(text))
    expect(record).toMatchObject({
      requested: { host: INNER, port: scene.partner.port, serverName: INNER },
      destination: 'inner',
      decision: { policies: ['inner'] },
      upstream: { serverName: INNER, nameProof: 'client-hello' },
      outcome: { code: 'closed' },
    })
    expect(queries.toSorted()).toEqual([`A ${INNER}`, `AAAA ${INNER}`])
    // The client's own bytes.
    expect(serverNames).toEqual([text])
  })
})

describe('sni: one server name in whatever spelling', () => {
  test.each(['bank.egress.test', 'BANK.egress.TEST'])('%s', async (text) => {
    const { record, queries, serverNames } = await scene.outcome(() => scene.dialName(text))
    expect(record).toMatchObject({
      requested: { host: HOST, serverName: 'bank.egress.test' },
      destination: 'partner',
      upstream: { serverName: HOST },
    })
    expect(queries.toSorted()).toEqual([`A ${HOST}`, `AAAA ${HOST}`])
    expect(serverNames).toEqual([HOST])
  })
})

const REFUSED: Readonly<Record<string, string>> = {
  'octal IPv4': '0177.0.0.1',
  'octal in each part': '0177.00.00.01',
  'one octal number': '017700000001',
  'short IPv4': '127.1',
  'three parts': '127.0.1',
  'one number': '2130706433',
  'hexadecimal IPv4': '0x7f.1',
  'one hexadecimal number': '0x7f000001',
  'hexadecimal in capitals': '0X7F.0.0.1',
  'IPv4 with a trailing dot': '127.0.0.1.',
  'IPv4 with a leading zero': '127.0.0.01',
  'a number beyond 32 bits': '4294967297',
  'full-width digits': '１２７.0.0.1',
  'circled digits': '①②⑦.①',
  'ideographic full stops': '127。0。0。1',
  'a full-width letter': 'ａpi.bank.test',
  'a soft hyphen': 'api.ba\u00adnk.test',
  'a zero-width space': 'api\u200b.bank.test',
  'the Kelvin sign': 'api.ban\u212a.test',
  'a Unicode name': 'bücher.test',
  'Punycode that does not decode': 'xn--99999999.test',
  'Punycode of a full-width digit': 'xn--8g7c.test',
  'Punycode of a soft hyphen': 'xn--bank-rga.test',
  'an empty label': 'api..test',
  'two trailing dots': 'api.bank.test..',
  'a leading dot': '.api.bank.test',
  'a label of 64': `${'a'.repeat(64)}.test`,
  'a name of 254': `${'a.'.repeat(125)}test`,
  'an underscore': 'api_v1.bank.test',
  'a hyphen at the start of a label': '-api.bank.test',
  NUL: 'api.bank.test\0.evil.test',
  'a percent sign': 'api%2ebank.test',
  userinfo: 'user@api.bank.test',
  'a path': 'api.bank.test/x',
  'a wildcard': '*.bank.test',
  'a comma': 'api.bank.test,evil.test',
  'IPv6 without brackets': '::1',
  'IPv6 with a zone': '[fe80::1%eth0]',
  'IPv6 with an encoded zone': '[fe80::1%25lo]',
  'loopback with a zone': '[::1%lo]',
  'IPv4 in brackets': '[127.0.0.1]',
  'mapped octal IPv4': '[::ffff:0177.0.0.1]',
}

const CODES: Readonly<Record<Way, RegExp>> = {
  'HTTP/1.1 CONNECT': /^request-(?:target|malformed)$/,
  'HTTP/2 CONNECT': /^request-target$/,
  hbone: /^request-target$/,
  linkerd: /^request-target$/,
  passthrough: /^client-hello-malformed$/,
}

describe.each(WAYS)('%s: refused', (way) => {
  test.each(Object.entries(REFUSED))('%s', async (_name, text) => {
    const before = scene.gateway.records().length
    const { queries, seen } = { queries: scene.dns.queries.length, seen: scene.partner.accepted() }
    // HTTP/2 itself knows what an authority is, and then there is no request (docs/limits.md).
    const asked = await scene.asks[way](text)
    if (/^[\w.-]+$/.test(text)) expect(asked).toBe('asked')
    if (asked === 'asked') {
      expect((await scene.gateway.closed(before + 1))[before]).toMatchObject({
        outcome: { code: expect.stringMatching(CODES[way]) },
        ...{ requested: null, destination: null, decision: null, upstream: null },
      })
    }
    expect([scene.dns.queries.length, scene.partner.accepted()]).toEqual([queries, seen])
  })
})

test.each(['HTTP/1.1 CONNECT', 'linkerd', 'passthrough'] as const)(
  '%s: the record of a Unicode name has its Punycode as a hint',
  async (way) => {
    const { record } = await scene.outcome(() => scene.asks[way]('bücher.test'))
    expect(JSON.stringify(record)).toContain('not ASCII: write xn--bcher-kva.test')
  },
)

describe.each(['HTTP/1.1 CONNECT', 'HTTP/2 CONNECT', 'hbone'] as const)('%s: an IP literal', (way) => {
  test.each(['127.0.0.1', '[::ffff:127.0.0.1]', '[::FFFF:7f00:1]', '[0:0:0:0:0:ffff:7f00:0001]'])(
    '%s is the address that a destination lists',
    async (text) => {
      const { record, queries } = await scene.outcome(() => scene.asks[way](text))
      expect(record).toMatchObject({
        requested: { host: '127.0.0.1', port: scene.partner.port },
        destination: 'literal',
        upstream: { address: `127.0.0.1:${scene.partner.port}`, serverName: null },
      })
      expect(queries).toEqual([])
    },
  )

  test.each(['127.0.0.2', '[::1]', '[::7f00:1]', '[::ffff:127.0.0.2]'])(
    '%s is no name, which * would cover',
    async (text) => {
      const { record, queries } = await scene.outcome(() => scene.asks[way](text))
      expect(record).toMatchObject({ destination: null, outcome: { code: 'destination-unknown' } })
      expect(queries).toEqual([])
    },
  )

  test('a name that no other destination has is covered by *', async () => {
    const { record, queries } = await scene.outcome(() => scene.asks[way]('Other.TEST.'))
    expect(record).toMatchObject({ requested: { host: 'other.test' }, destination: 'wide' })
    expect(queries.toSorted()).toEqual(['A other.test', 'AAAA other.test'])
  })
})
