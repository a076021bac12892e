// A configuration in one document: what is a bundle, and what a path in it means.
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { formatFault } from '../../../../common/fault.ts'
import { parseBundle, readFromBundle } from '../../../../gateway/config/bundle.ts'

const parse = (value: unknown) =>
  parseBundle('b', Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)))
const OK = { 'gateway.yaml': 'version: 1' }
const FORM = '(expected {"files": {"gateway.yaml": "…", "policy.cedar": "…"}})'

test('a bundle is a mapping of plain relative paths to text', () => {
  const files = { ...OK, 'policy.cedar': 'x', 'pki/roots.pem': '-----BEGIN CERTIFICATE-----' }
  expect(parse({ files })).toEqual({ ok: true, files })
})

describe('no bundle is', () => {
  const named = (name: string, text = '') => ({ files: { ...OK, [name]: text } })
  const path = (name: string) =>
    `b: files["${name}"]: not a plain relative path (such as policy.cedar or pki/roots.pem)`
  const key = '-----BEGIN EC PRIVATE KEY-----\nMIG'
  const told =
    'holds a private key, which everybody has seen who may read the bundle (replace this key, and name it as secretsmanager:<arn>#<field> or by an absolute path)'
  test.for<[string, unknown, string]>([
    ['text that is no JSON', '{', `b: not JSON ${FORM}`],
    ['a document of another form', { 'gateway.yaml': '' }, `b: not a bundle of files ${FORM}`],
    ['one with more in it', { files: OK, more: 1 }, `b: not a bundle of files ${FORM}`],
    ['a file that is no text', { files: { ...OK, x: 1 } }, `b: not a bundle of files ${FORM}`],
    ['one without gateway.yaml', { files: {} }, `b: files: has no gateway.yaml ${FORM}`],
    ['an absolute path', named('/etc/passwd'), path('/etc/passwd')],
    ['a way out of it', named('../x'), path('../x')],
    ['a detour', named('a/../x'), path('a/../x')],
    ['an empty name', named(''), path('')],
    ['a private key', named('bank.key', key), `b: files["bank.key"]: ${told}`],
    [
      'a private key in gateway.yaml itself',
      { files: { 'gateway.yaml': `# ${key}` } },
      `b: files["gateway.yaml"]: ${told}`,
    ],
    [
      'a key in PKCS #8, encrypted',
      named('k', '-----BEGIN ENCRYPTED PRIVATE KEY-----'),
      `b: files["k"]: ${told}`,
    ],
    ['a key as a JWK', named('k', '{"kty":"EC","d": "c2VjcmV0"}'), `b: files["k"]: ${told}`],
    ['a key of OpenSSH', named('k', '-----BEGIN OPENSSH PRIVATE KEY-----'), `b: files["k"]: ${told}`],
  ])('%s', ([, value, fault]) => {
    const result = parse(value)
    expect(result.ok ? [] : result.faults.map(formatFault)).toEqual([fault])
  })
})

test('a relative path is a file of the bundle and none of the disk', async () => {
  const read = readFromBundle({ ...OK, 'package.json': 'mine' })
  expect(Buffer.from((await read('./package.json')).bytes).toString()).toBe('mine')
  for (const name of ['README.md', '../package.json', 'constructor', '__proto__']) {
    await expect(read(name)).rejects.toMatchObject({ code: 'missing' })
  }
  expect((await read(import.meta.filename)).bytes.length).toBeGreaterThan(0)
})

test('whatever the document is, there is an answer', () => {
  const document = fc.oneof(
    fc.string(),
    fc.record({ files: fc.dictionary(fc.string(), fc.oneof(fc.string(), fc.integer())) }),
    fc.jsonValue(),
  )
  fc.assert(
    fc.property(document, (value) => {
      const result = parse(value)
      if (!result.ok) expect(result.faults).toHaveLength(1)
    }),
  )
})
