import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  LinkerdMapError,
  type LinkerdMapErrorCode,
  parseLinkerdMap,
} from '../../../../gateway/listeners/linkerd-map.ts'
import { errorOf } from '../../spiffe/errors.ts'

const KEY = '*.*.serviceaccount.identity.linkerd.cluster.local'
const ID = 'spiffe://cluster.local/ns/{2}/sa/{1}'
const SUFFIX = '.serviceaccount.identity.linkerd.cluster.local'

describe('the map of the example', () => {
  const map = parseLinkerdMap({ [KEY]: ID })

  test('gives namespace and service account, and its trust domain', () => {
    expect(map.trustDomains).toEqual(['cluster.local'])
    expect(map.toSpiffeId(`cart.shop${SUFFIX}`)).toEqual({
      trustDomain: 'cluster.local',
      path: '/ns/shop/sa/cart',
      uri: 'spiffe://cluster.local/ns/shop/sa/cart',
    })
  })

  const none: Record<string, string> = {
    'another suffix': 'cart.shop.serviceaccount.identity.linkerd.cluster.test',
    'a label less': `shop${SUFFIX}`,
    'a label more, as of a service account with a dot': `a.cart.shop${SUFFIX}`,
    'an empty label': `.shop${SUFFIX}`,
    'a dot at the end': `cart.shop${SUFFIX}.`,
    capitals: `Cart.shop${SUFFIX}`,
    'capitals in the suffix': `cart.shop${SUFFIX.toUpperCase()}`,
    'a wildcard': `*.shop${SUFFIX}`,
    'an underscore': `a_b.shop${SUFFIX}`,
    'a slash': `a/b.shop${SUFFIX}`,
    'dots as a label': `...shop${SUFFIX}`,
    'a hyphen at an end': `a-.shop${SUFFIX}`,
    NUL: `a\0.shop${SUFFIX}`,
    'what looks like a reference': `{2}.shop${SUFFIX}`,
    'a label of 64 characters': `${'a'.repeat(64)}.shop${SUFFIX}`,
    'a character beyond ASCII': `é.shop${SUFFIX}`,
    nothing: '',
  }
  test.each(Object.entries(none))('gives nothing for %s', (_, name) => {
    expect(map.toSpiffeId(name)).toBeNull()
  })

  test('two different names never give one ID', () => {
    const name = fc
      .array(fc.oneof(fc.stringMatching(/^[a-z0-9-]{1,4}$/), fc.string({ maxLength: 4 })), {
        minLength: 2,
        maxLength: 3,
      })
      .map((labels) => `${labels.join('.')}${SUFFIX}`)
    fc.assert(
      fc.property(name, name, (one, other) => {
        const [left, right] = [map.toSpiffeId(one), map.toSpiffeId(other)]
        if (one !== other && left !== null) expect(right?.uri).not.toBe(left.uri)
      }),
    )
  })
})

describe('a map that is taken', () => {
  const cases: Record<string, readonly [map: Record<string, string>, name: string, uri: string | null]> = {
    'a name without wildcard': [{ 'a.test': 'spiffe://td/a' }, 'a.test', 'spiffe://td/a'],
    'a wildcard twice in the ID': [{ '*.test': 'spiffe://td/{1}/{1}' }, 'a.test', 'spiffe://td/a/a'],
    'a wildcard in the middle': [{ 'a.*.test': 'spiffe://td/{1}' }, 'a.b.test', 'spiffe://td/b'],
    'several entries': [{ 'a.*': 'spiffe://td/a/{1}', 'b.*': 'spiffe://td/b/{1}' }, 'b.c', 'spiffe://td/b/c'],
    'the same path in two trust domains': [
      { 'a.*': 'spiffe://a/{1}', 'b.*': 'spiffe://b/{1}' },
      'b.c',
      'spiffe://b/c',
    ],
    'a segment that no label can be': [
      { 'a.*': 'spiffe://td/{1}', b: 'spiffe://td/B' },
      'b',
      'spiffe://td/B',
    ],
    'ten wildcards': [
      { '*.*.*.*.*.*.*.*.*.*': 'spiffe://td/{10}/{9}/{8}/{7}/{6}/{5}/{4}/{3}/{2}/{1}' },
      'a.b.c.d.e.f.g.h.i.j',
      'spiffe://td/j/i/h/g/f/e/d/c/b/a',
    ],
  }
  test.each(Object.entries(cases))('%s', (_, [map, name, uri]) => {
    expect(parseLinkerdMap(map).toSpiffeId(name)?.uri ?? null).toBe(uri)
  })
})

describe('a map that is refused', () => {
  const cases: Record<
    string,
    readonly [map: Record<string, string>, code: LinkerdMapErrorCode, entry: string | null]
  > = {
    'no entry': [{}, 'empty', null],
    '65 entries': [
      Object.fromEntries(Array.from({ length: 65 }, (_, n) => [`n${n}.test`, `spiffe://td/${n}`])),
      'too-many',
      null,
    ],
    'an empty name': [{ '': 'spiffe://td/a' }, 'name', ''],
    'a wildcard inside a label': [{ 'a*.test': 'spiffe://td/{1}' }, 'name', 'a*.test'],
    'a wildcard for several labels': [{ '**.test': 'spiffe://td/{1}' }, 'name', '**.test'],
    capitals: [{ 'A.test': 'spiffe://td/a' }, 'name', 'A.test'],
    'a dot at the end': [{ 'a.test.': 'spiffe://td/a' }, 'name', 'a.test.'],
    'a URI': [{ 'https://a.test': 'spiffe://td/a' }, 'name', 'https://a.test'],
    'a name of 254 characters': [
      { [`${'a.'.repeat(126)}ab`]: 'spiffe://td/a' },
      'name',
      `${'a.'.repeat(126)}ab`,
    ],
    'no SPIFFE ID': [{ 'a.test': 'https://td/a' }, 'id', 'a.test'],
    nothing: [{ 'a.test': '' }, 'id', 'a.test'],
    'a scheme alone': [{ 'a.test': 'spiffe:' }, 'id', 'a.test'],
    'a trust domain alone': [{ 'a.test': 'spiffe://td' }, 'id', 'a.test'],
    'a slash at the end': [{ 'a.test': 'spiffe://td/a/' }, 'id', 'a.test'],
    'a dot segment': [{ 'a.test': 'spiffe://td/../a' }, 'id', 'a.test'],
    'a trust domain out of the name': [{ '*.test': 'spiffe://{1}/a' }, 'id', '*.test'],
    'a query': [{ 'a.test': 'spiffe://td/a?b' }, 'id', 'a.test'],
    'an ID that a long name would make too long': [
      { '*.test': `spiffe://td/${Array.from({ length: 40 }, () => '{1}').join('/')}` },
      'id',
      '*.test',
    ],
    'a reference beside other text': [{ '*.*': 'spiffe://td/{1}-{2}' }, 'reference', '*.*'],
    'a reference with a prefix': [{ '*.test': 'spiffe://td/sa-{1}' }, 'reference', '*.test'],
    'a reference to wildcard 0': [{ '*.test': 'spiffe://td/{0}' }, 'reference', '*.test'],
    'a reference to a wildcard that is not there': [
      { '*.test': 'spiffe://td/{1}/{2}' },
      'reference',
      '*.test',
    ],
    'a reference without wildcards': [{ 'a.test': 'spiffe://td/{1}' }, 'reference', 'a.test'],
    'a reference by name': [{ '*.test': 'spiffe://td/{sa}' }, 'reference', '*.test'],
    'half a reference': [{ '*.test': 'spiffe://td/{1' }, 'reference', '*.test'],
    'a wildcard that is not used': [{ '*.*.test': 'spiffe://td/{1}' }, 'unused', '*.*.test'],
    'no wildcard used': [{ '*.test': 'spiffe://td/all' }, 'unused', '*.test'],
    'names that match two entries': [
      { '*.test': 'spiffe://td/a/{1}', 'x.test': 'spiffe://td/x' },
      'overlap',
      'x.test',
    ],
    'names that match two entries crosswise': [
      { '*.b': 'spiffe://td/a/{1}', 'a.*': 'spiffe://td/b/{1}' },
      'overlap',
      'a.*',
    ],
    'one ID for two names': [{ 'a.test': 'spiffe://td/x', 'b.test': 'spiffe://td/x' }, 'overlap', 'b.test'],
    'one ID for the names of two clusters': [
      { '*.one.test': 'spiffe://td/{1}', '*.two.test': 'spiffe://td/{1}' },
      'overlap',
      '*.two.test',
    ],
    'an ID that a wildcard of another entry can be': [
      { '*.one.test': 'spiffe://td/{1}', admin: 'spiffe://td/admin' },
      'overlap',
      'admin',
    ],
  }
  test.each(Object.entries(cases))('%s', (_, [map, code, entry]) => {
    const error = errorOf(() => parseLinkerdMap(map), LinkerdMapError)
    expect({ code: error.code, entry: error.entry }).toEqual({ code, entry })
  })
})

describe('any map', () => {
  const label = fc.constantFrom('*', '*', 'a', 'b')
  const key = fc.array(label, { minLength: 1, maxLength: 3 }).map((labels) => labels.join('.'))
  const segment = fc.constantFrom('{1}', '{1}', '{2}', '{3}', 'a', 'b', 'X')
  const id = fc
    .tuple(fc.constantFrom('td', 'other'), fc.array(segment, { minLength: 1, maxLength: 3 }))
    .map(([trustDomain, segments]) => `spiffe://${trustDomain}/${segments.join('/')}`)
  const labels = ['a', 'b', 'c']
  const names = [1, 2, 3].flatMap((depth) =>
    Array.from({ length: 3 ** depth }, (_, n) =>
      Array.from({ length: depth }, (_unused, place) => labels[Math.floor(n / 3 ** place) % 3]).join('.'),
    ),
  )

  test('that is taken gives each of all names another ID, and gives one to every name that a key matches', () => {
    let taken = 0
    fc.assert(
      fc.property(fc.dictionary(key, id, { minKeys: 1, maxKeys: 3 }), (entries) => {
        let map: ReturnType<typeof parseLinkerdMap>
        try {
          map = parseLinkerdMap(entries)
        } catch (error) {
          expect(error).toBeInstanceOf(LinkerdMapError)
          return
        }
        taken += 1
        const ids = names.map((name) => map.toSpiffeId(name)).filter((one) => one !== null)
        expect(new Set(ids.map(({ uri }) => uri)).size).toBe(ids.length)
        expect(ids.every(({ trustDomain }) => map.trustDomains.includes(trustDomain))).toBe(true)
        const matching = names.filter((name) =>
          Object.keys(entries).some((one) =>
            new RegExp(`^${one.replaceAll('.', '\\.').replaceAll('*', '[^.]+')}$`).test(name),
          ),
        )
        expect(ids).toHaveLength(matching.length)
      }),
      { numRuns: 2000 },
    )
    expect(taken).toBeGreaterThan(100)
  })
})
