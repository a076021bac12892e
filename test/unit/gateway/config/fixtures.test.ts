// Every configuration under test/fixtures/config. A bad one says in its own `# expect:` lines what `config check` prints
// about it: all of it, in that order, and nothing else.
import { readdir, readFile } from 'node:fs/promises'
import path from 'node:path'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { stringify } from 'yaml'
import { formatFault } from '../../../../common/fault.ts'
import { checkGatewayConfig } from '../../../../gateway/config/check.ts'
import { AUTHORITY_AUDIENCE, AUTHORITY_URL } from '../../../../gateway/config/authority.ts'
import { PROXY_PROTOCOL_FROM } from '../../../../gateway/config/listeners.ts'
import { loadGatewayConfig } from '../../../../gateway/config/load.ts'
import {
  CONFIG_FIXTURES,
  type ConfigDirectory,
  createConfigDirectory,
} from '../../../fixtures/config-directory.ts'

let place: ConfigDirectory

beforeAll(async () => {
  place = await createConfigDirectory()
})
afterAll(() => place[Symbol.asyncDispose]())

const yamlOf = async (part: string) =>
  (await readdir(path.join(CONFIG_FIXTURES, part))).filter(
    // A list that a configuration names is none itself.
    (name) => name.endsWith('.yaml') && !name.endsWith('-revoked.yaml'),
  )

/** What is printed, with the test's own directory cut out of it. */
async function check(name: string): Promise<readonly string[]> {
  const { faults, warnings } = await checkGatewayConfig(path.join(place.path, name))
  return [...faults, ...warnings].map((fault) => formatFault(fault).replaceAll(`${place.path}/`, ''))
}

function expectationsIn(text: string): readonly string[] {
  return [...text.matchAll(/^(?:#|\/\/) expect: (.*)$/gm)].map(([, line]) => line ?? '')
}

describe('a bad configuration', async () => {
  test.each(await yamlOf('bad'))(
    '%s: each fault is one line with file, line, key and remedy',
    async (name) => {
      const expected = expectationsIn(await readFile(path.join(CONFIG_FIXTURES, 'bad', name), 'utf8'))
      expect(expected).not.toEqual([])
      expect(await check(name)).toEqual(expected)
    },
  )

  test('that is not there is one fault', async () => {
    expect(await check('nothing.yaml')).toEqual([
      'nothing.yaml: no such file (name a gateway.yaml that can be read)',
    ])
  })
})

describe('a good configuration', async () => {
  test.each(await yamlOf('good'))('%s has neither fault nor warning', async (name) => {
    expect(await check(name)).toEqual([])
  })

  test('holds its defaults when it says least', async () => {
    const loaded = await loadGatewayConfig(path.join(place.path, 'smallest.yaml'))
    if (!loaded.ok) throw new Error(loaded.faults.map(formatFault).join('\n'))
    const [destination] = loaded.config.destinations
    expect(destination).toMatchObject({
      tls: 'originate',
      minVersion: 'TLSv1.2',
      alpn: [],
      startTls: null,
      startTlsDirect: false,
      clientCertificates: [],
      connect: { timeoutMs: 10_000, attempts: 3, confirmMs: null },
      session: { idleTimeoutMs: 3_600_000, halfCloseTimeoutMs: 600_000, maxDurationMs: null },
    })
    expect(loaded.config.dns).toEqual({
      servers: [],
      minTtlMs: 1_000,
      maxTtlMs: 300_000,
      negativeTtlMs: 5_000,
      staleTtlMs: 3_600_000,
    })
    expect(loaded.config.drain).toMatchObject({ delayMs: 15_000, deadlineMs: 100_000 })
    expect(loaded.config.audit).toMatchObject({ onFailure: 'refuse', maxBacklogBytes: 8 * 1024 * 1024 })
  })
})

describe("a map of Linkerd's names", () => {
  const many = Object.fromEntries(
    Array.from({ length: 65 }, (_, index) => [`n${index}.test`, `spiffe://mapped.test/n${index}`]),
  )
  const id = 'spiffe://mapped.test'
  test.each<[string, Readonly<Record<string, string>>, string]>([
    ['is empty', {}, 'map: the map has no entry (add one)'],
    ['is too long', many, 'map: more than 64 entries (let wildcards stand for several)'],
    [
      'has a key in capitals',
      { 'A.test': `${id}/a` },
      'map["A.test"]: not a DNS name with wildcards for whole labels (labels in lower case, each a * or without one, and no dot at the end)',
    ],
    [
      'has a wildcard inside a label',
      { 'a*.test': `${id}/{1}` },
      'map["a*.test"]: not a DNS name with wildcards for whole labels (labels in lower case, each a * or without one, and no dot at the end)',
    ],
    [
      'names no SPIFFE ID',
      { 'a.test': 'https://mapped.test/a' },
      'map["a.test"]: not a SPIFFE ID of at most 2048 bytes: does not begin with spiffe:// (such as spiffe://cluster.local/ns/{2}/sa/{1})',
    ],
    [
      'names an ID without a path',
      { 'a.test': id },
      'map["a.test"]: the SPIFFE ID has no path, which no workload may have (such as spiffe://cluster.local/ns/{2}/sa/{1})',
    ],
    [
      'refers to half a segment',
      { '*.test': `${id}/x{1}` },
      'map["*.test"]: {n} is not a whole segment ({1} is the first wildcard of the name)',
    ],
    [
      'refers to a wildcard that is not there',
      { '*.test': `${id}/{1}/{2}` },
      'map["*.test"]: there is no wildcard 2 in the name ({1} is the first wildcard of the name)',
    ],
    [
      'leaves a wildcard out',
      { '*.*.test': `${id}/{1}` },
      'map["*.*.test"]: {2} is not used, so that two names would be one workload (put {2} into the SPIFFE ID)',
    ],
    [
      'has two entries for one name',
      { '*.test': `${id}/a/{1}`, 'b.test': `${id}/b` },
      'map["b.test"]: some names match *.test too (each name matches one entry)',
    ],
    [
      'has two names for one ID',
      { '*.a.test': `${id}/{1}`, 'b.test': `${id}/b` },
      'map["b.test"]: some SPIFFE IDs come out of *.a.test too, so that two names would be one workload (put a segment of its own into one of them)',
    ],
  ])('that %s is one fault with its line', async (_, map, fault) => {
    const text = stringify({
      version: 1,
      trustDomain: 'example.org',
      identity: {
        files: { certificate: 'pki/gateway.pem', key: 'pki/gateway.key', bundle: 'pki/bundle.pem' },
      },
      policy: { files: ['policy.cedar'] },
      listeners: [{ name: 'l5d', address: '127.0.0.1:0', protocol: 'linkerd' }],
      destinations: [{ name: 'partner-bank', hosts: ['api.bank.example'], ports: [443] }],
      trust: [{ linkerd: { trustAnchors: 'pki/linkerd-root.pem', map } }],
    })
    await place.write('linkerd.yaml', text)
    const [line, ...more] = await check('linkerd.yaml')
    expect(more).toEqual([])
    const key = /^map(?:\["(.*)"\])?/.exec(fault)?.[1]
    const at =
      1 +
      text.split('\n').findIndex((one) =>
        one
          .trimStart()
          .replaceAll('"', '')
          .startsWith(key ?? 'map:'),
      )
    expect(line).toBe(`linkerd.yaml:${at}: trust[0].linkerd.${fault}`)
  })
})

describe(PROXY_PROTOCOL_FROM, () => {
  const load = async (name: string, value: string) => {
    const options = { environment: { [PROXY_PROTOCOL_FROM]: value } }
    return loadGatewayConfig(path.join(place.path, name), options)
  }

  test('wins over the file on every listener that requires a header, and is told', async () => {
    const loaded = await load('everything.yaml', '192.0.2.0/24, 2001:db8:9::/48')
    if (!loaded.ok) throw new Error(loaded.faults.map(formatFault).join('\n'))
    expect(loaded.overridden).toEqual([PROXY_PROTOCOL_FROM])
    const listeners = loaded.config.listeners.filter(({ proxyProtocol }) => proxyProtocol !== null)
    expect(listeners.map(({ name }) => name)).toEqual(['sandboxes', 'raw'])
    for (const { proxyProtocol } of listeners) {
      expect(proxyProtocol?.from('192.0.2.7')).toBe(true)
      expect(proxyProtocol?.from('2001:db8:9::7')).toBe(true)
      // What the file says.
      expect(proxyProtocol?.from('10.0.0.7')).toBe(false)
    }
  })

  test('that is empty is not there', async () => {
    const loaded = await load('everything.yaml', '')
    expect(loaded.ok && loaded.overridden).toEqual([])
    expect(loaded.ok && loaded.config.listeners[2]?.proxyProtocol?.from('10.0.0.7')).toBe(true)
  })

  test('is nothing to tell where no listener requires a header', async () => {
    const loaded = await load('smallest.yaml', '192.0.2.0/24')
    expect(loaded.ok && loaded.overridden).toEqual([])
  })

  test.each<[string, string]>([
    ['10.0.0.0', 'found "10.0.0.0" (set it right or not at all)'],
    ['10.0.0.0/8,', 'found "" (set it right or not at all)'],
    ['10.0.0.0/8 10.1.0.0/16', 'found "10.0.0.0/8 10.1.0.0/16" (set it right or not at all)'],
    ['10.0.0.0/8,10.0.4.1/24', 'found "10.0.4.1/24" (the range of this length is 10.0.4.0/24)'],
  ])('%s is a fault', async (value, found) => {
    for (const name of ['everything.yaml', 'smallest.yaml']) {
      const loaded = await load(name, value)
      const file = path.join(place.path, name)
      expect(loaded.ok ? [] : loaded.faults.map(formatFault)).toEqual([
        `${file}: ${PROXY_PROTOCOL_FROM}: expected ranges such as 10.0.0.0/16,10.1.0.0/16, ${found}`,
      ])
    }
  })
})

describe(AUTHORITY_AUDIENCE, () => {
  const load = (value: string) =>
    loadGatewayConfig(path.join(place.path, 'authority.yaml'), {
      environment: { [AUTHORITY_AUDIENCE]: value },
    })

  test('wins over the file, and is told', async () => {
    const loaded = await load('https://issuer.example.org')
    if (!loaded.ok) throw new Error(loaded.faults.map(formatFault).join('\n'))
    expect(loaded.overridden).toEqual([AUTHORITY_AUDIENCE])
    expect(loaded.authority?.settings.audience).toBe('https://issuer.example.org')
  })

  test('that is empty is not there', async () => {
    const loaded = await load('')
    if (!loaded.ok) throw new Error(loaded.faults.map(formatFault).join('\n'))
    expect([loaded.overridden, loaded.authority?.settings.audience]).toEqual([
      [],
      'https://identity.example.org',
    ])
  })

  test('that is no audience is a fault', async () => {
    const loaded = await load('two words')
    expect(loaded.ok ? [] : loaded.faults.map(formatFault)).toEqual([
      expect.stringMatching(
        /SALLYPORT_AUTHORITY_AUDIENCE: expected an audience of visible ASCII.*found "two words"/,
      ),
    ])
  })
})

describe(AUTHORITY_URL, () => {
  const load = async (name: string, value: string) => {
    const loaded = await loadGatewayConfig(path.join(place.path, name), {
      environment: { [AUTHORITY_URL]: value },
    })
    if (!loaded.ok) throw new Error(loaded.faults.map(formatFault).join('\n'))
    return loaded
  }

  test('wins over the file, and is told', async () => {
    const loaded = await load('authority.yaml', 'https://other.example.org')
    expect(loaded.overridden).toEqual([AUTHORITY_URL])
    expect(loaded.authority?.settings).toEqual({
      url: 'https://other.example.org',
      trustDomain: 'example.org',
      proof: { tokenFile: '/var/run/secrets/sallyport/token' },
      roots: { file: path.join(place.path, 'pki/bundle.pem') },
      audience: 'https://identity.example.org',
      registration: 'gateway',
      ttlSeconds: 86_400,
    })
    expect(loaded.config.material).toBeNull()
    expect((await loaded.readTrust()).faults).toEqual([])
  })

  test('that is empty is not there', async () => {
    const loaded = await load('authority.yaml', '')
    expect([loaded.overridden, loaded.authority?.settings.url]).toEqual([
      [],
      'https://identity.example.org/prod',
    ])
  })

  test('is enough where the file has no URL', async () => {
    await place.write(
      'no-url.yaml',
      (await readFile(path.join(place.path, 'authority.yaml'), 'utf8')).replace(/ +url: .*\n/, ''),
    )
    const loaded = await load('no-url.yaml', 'http://127.0.0.1:8080')
    expect(loaded.authority?.settings.url).toBe('http://127.0.0.1:8080')
  })

  test('is a warning where the identity comes from files', async () => {
    const loaded = await load('smallest.yaml', 'https://identity.example.org')
    expect([loaded.overridden, loaded.authority]).toEqual([[], null])
    expect(loaded.warnings.map(formatFault)).toEqual([
      `${path.join(place.path, 'smallest.yaml')}:4: identity: ${AUTHORITY_URL} is set and not used, since identity.files is (use identity.authority, or unset it)`,
    ])
  })

  test.each<[string, string]>([
    ['http://identity.example.org', 'http is for loopback alone'],
    ['identity.example.org', 'set it right or not at all'],
    ['https://user:secret@identity.example.org', 'set it right or not at all'],
  ])('%s is a fault that does not quote it', async (value, remedy) => {
    const file = path.join(place.path, 'authority.yaml')
    const loaded = await loadGatewayConfig(file, { environment: { [AUTHORITY_URL]: value } })
    expect(loaded.ok ? [] : loaded.faults.map(formatFault)).toEqual([
      `${file}: ${AUTHORITY_URL}: expected the URL of the authority, such as https://identity.example.org (${remedy})`,
    ])
  })
})

test('whatever YAML stands there, there is an answer and every fault is one line of this file', async () => {
  const key = fc.constantFrom('version', 'listeners', 'destinations', 'name', 'hosts', 'policy', 'files', 'x')
  const { value } = fc.letrec<{ value: unknown }>((tie) => ({
    value: fc.oneof(
      { maxDepth: 4 },
      fc.constantFrom(null, 1, -1, 0.5, '', 'connect', '443', '127.0.0.1:0', true, 'spiffe://x/y'),
      fc.array(tie('value'), { maxLength: 3 }),
      fc.dictionary(key, tie('value'), { maxKeys: 5 }),
    ),
  }))
  await fc.assert(
    fc.asyncProperty(value, async (document) => {
      await place.write('any.yaml', stringify(document))
      const lines = await check('any.yaml')
      expect(lines).not.toEqual([])
      for (const line of lines) expect(line).toMatch(/^any\.yaml:[^\n]+$/)
    }),
    { numRuns: 150 },
  )
})
