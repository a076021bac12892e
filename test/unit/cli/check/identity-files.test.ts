// `config check` of an identity.yaml reads what it refers to, and says by line and key what is wrong there.
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { formatFault } from '../../../../common/fault.ts'
import { checkIdentityFiles } from '../../../../cli/check/identity-files.ts'
import { readIdentityConfig } from '../../../../lambdas/identity/config.ts'
import { readIdentityEnvironment } from '../../../../lambdas/identity/environment.ts'
import { createFakeIssuer } from '../../../fakes/oidc-issuer.ts'
import { createRoot } from '../../../fixtures/pki.ts'

const TEXT = `version: 1
trustDomain: example.org
issuer: https://identity.example.org
tls:
  certificate: file:tls.pem
  key: file:tls.key
authority: {files: {directory: ca}}
proofs:
  oidc:
    - {name: plain, issuer: "https://plain.example"}
    - name: cluster
      issuer: https://cluster.example
      jwks: file:jwks.json
    - name: partner
      trustDomain: partner.example
      bundle: file:bundle.json
registrations:
  - {name: one, spiffeId: spiffe://example.org/one, match: {oidc: plain, claims: {sub: a}}}
`

let directory: string
/** What is right, by name. */
const good = new Map<string, string>()
const other = new Map<string, string>()

beforeAll(async () => {
  directory = await mkdtemp(path.join(os.tmpdir(), 'sallyport-check-'))
  const root = await createRoot({ name: 'internal CA' })
  const [tls, another] = [await root.issue({ cn: 'identity' }), await root.issue({ cn: 'other' })]
  const old = await root.issue({ cn: 'old', notAfter: new Date(Date.now() - 60_000) })
  const { jwk } = await createFakeIssuer('https://cluster.example')
  good.set('tls.pem', tls.chainPem).set('tls.key', tls.keyPem)
  good.set('jwks.json', JSON.stringify({ keys: [jwk] }))
  good.set('bundle.json', JSON.stringify({ keys: [{ ...jwk, use: 'jwt-svid' }] }))
  other.set('another key', another.keyPem).set('old', old.chainPem).set('old key', old.keyPem)
  other.set('root', root.pem).set('private', JSON.stringify({ keys: [{ ...jwk, d: 'AAAA' }] }))
})
afterAll(() => rm(directory, { recursive: true, force: true }))

/** Checks with these files in the place of the good ones; null = not there. */
async function check(changes: Readonly<Record<string, string | null>>) {
  for (const [name, text] of [...good, ...Object.entries(changes)]) {
    const file = path.join(directory, name)
    await rm(file, { force: true })
    if (text !== null) await writeFile(file, text, { mode: 0o600 })
  }
  return judge()
}

async function judge() {
  const file = path.join(directory, 'identity.yaml')
  const result = readIdentityConfig({ file, text: TEXT, environment: readIdentityEnvironment({}) })
  if (!result.ok) throw new Error(result.faults.map(formatFault).join('\n'))
  const { faults, warnings } = await checkIdentityFiles({
    file,
    text: TEXT,
    config: result.value,
    lineOf: result.lineOf,
  })
  const short = (lines: typeof faults) =>
    lines.map((line) => formatFault(line).replaceAll(`${directory}/`, ''))
  return { faults: short(faults), warnings: short(warnings) }
}

test('good files have neither fault nor warning', async () => {
  expect(await check({})).toEqual({ faults: [], warnings: [] })
})

const wrong: Record<string, [() => Readonly<Record<string, string | null>>, RegExp]> = {
  'a certificate that is not there': [
    () => ({ 'tls.pem': null }),
    /^identity\.yaml:5: tls\.certificate: tls\.pem: no such file/,
  ],
  'a key of another certificate': [
    () => ({ 'tls.key': other.get('another key') ?? '' }),
    /^identity\.yaml:6: tls\.key: tls\.key: does not belong to the certificate/,
  ],
  'a certificate that has expired': [
    () => ({ 'tls.pem': other.get('old') ?? '', 'tls.key': other.get('old key') ?? '' }),
    /^identity\.yaml:5: tls\.certificate: tls\.pem: .*expired at/,
  ],
  'a key that is no PEM': [
    () => ({ 'tls.key': 'secret' }),
    /^identity\.yaml:6: tls\.key: tls\.key: no PEM private key in it/,
  ],
  'a key set that is not there': [
    () => ({ 'jwks.json': null }),
    /^identity\.yaml:13: proofs\.oidc\[1\]\.jwks: jwks\.json: no such file/,
  ],
  'a key set that is no JSON': [
    () => ({ 'jwks.json': '{' }),
    /^identity\.yaml:13: .*jwks: jwks\.json: cannot be read as a key set \(JWKS\): not JSON/,
  ],
  'a key set of another form': [
    () => ({ 'jwks.json': '{"kty":"EC"}' }),
    /jwks: jwks\.json: cannot be read as a key set \(JWKS\) \(name/,
  ],
  'a key set without a usable key': [
    () => ({ 'jwks.json': '{"keys":[]}' }),
    /jwks: jwks\.json: no key in it can verify/,
  ],
  'a key set with a private key': [
    () => ({ 'jwks.json': other.get('private') ?? '' }),
    /jwks: jwks\.json: .*private key/,
  ],
  'a bundle in PEM': [
    () => ({ 'bundle.json': other.get('root') ?? '' }),
    /^identity\.yaml:16: proofs\.oidc\[2\]\.bundle: bundle\.json: cannot be read/,
  ],
  'a bundle without keys for JWT-SVIDs': [
    () => ({ 'bundle.json': good.get('jwks.json') ?? '' }),
    /bundle: bundle\.json: no key in it is for JWT-SVIDs/,
  ],
}
test.each(Object.entries(wrong))('%s is one fault, by line and key', async (_name, [changes, expected]) => {
  const { faults } = await check(changes())
  expect(faults).toEqual([expect.stringMatching(expected)])
})

test('a key that everybody may read is a warning', async () => {
  await check({})
  await chmod(path.join(directory, 'tls.key'), 0o644)
  expect(await judge()).toEqual({
    faults: [],
    warnings: [expect.stringMatching(/^identity\.yaml:6: tls\.key: tls\.key: every user .*chmod 600/)],
  })
})
