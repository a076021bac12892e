// identity.yaml: what is wrong with it, each fault with its line, key and remedy.
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { stringify } from 'yaml'
import { formatFault } from '../../../../common/fault.ts'
import { readIdentityConfig } from '../../../../lambdas/identity/config.ts'
import { readIdentityEnvironment } from '../../../../lambdas/identity/environment.ts'

const GOOD = `version: 1
trustDomain: example.org
issuer: https://identity.example.org
authority: {files: {directory: ca}}
proofs:
  oidc:
    - {name: main, issuer: "https://issuer.example", maxTokenAge: 10m}
registrations:
  - name: workload
    spiffeId: "spiffe://example.org/{team}/api"
    match: {oidc: main, claims: {kind: workload}}
    x509: {ttl: 1h}
issuances: {store: "file:issuances.jsonl"}
`

function read(text: string, env: Record<string, string> = {}) {
  return readIdentityConfig({ file: 'identity.yaml', text, environment: readIdentityEnvironment(env) })
}

function faultsOf(text: string, env: Record<string, string> = {}): readonly string[] {
  const result = read(text, env)
  return result.ok ? [] : result.faults.map(formatFault)
}

describe('a good file', () => {
  test('may give tokens for half a day where it says bearer, and is warned', () => {
    const text = GOOD.replace('    x509:', '    bearer: true\n    jwt: {audiences: [x], ttl: 12h}\n    x509:')
    const result = read(text)
    if (!result.ok) throw new Error(result.faults.map(formatFault).join('\n'))
    expect(result.value.registrations[0]?.jwt.ttlSeconds).toBe(12 * 3600)
    expect(result.warnings.map(formatFault)).toEqual([
      expect.stringMatching(/^identity\.yaml:12: registrations\[0\]\.bearer: whoever reads .* 720 minutes/),
    ])
  })

  test('gives its values, with paths from its own directory and the issuer as audience', () => {
    const result = read(GOOD)
    if (!result.ok) throw new Error(result.faults.map(formatFault).join('\n'))
    expect(result.value).toMatchObject({
      trustDomain: 'example.org',
      audience: 'https://identity.example.org',
      authority: { directory: `${process.cwd()}/ca` },
      issuances: { file: `${process.cwd()}/issuances.jsonl` },
      dev: false,
    })
    expect(result.value.providers[0]).toMatchObject({ maxTokenAgeMs: 600_000, reuse: 'sameKey' })
    expect(result.value.registrations[0]?.x509.ttlSeconds).toBe(3600)
  })

  test('the environment wins and is named', () => {
    const result = read(GOOD, { SALLYPORT_ISSUER: 'https://other.example.org' })
    expect(result).toMatchObject({
      ok: true,
      value: { issuer: 'https://other.example.org', overridden: ['SALLYPORT_ISSUER'] },
    })
  })
})

test('attack 47: the environment decides whether used proofs are in memory of one of many', () => {
  const secret = { SALLYPORT_ISSUING_SECRET: 'issuing' }
  expect(faultsOf(GOOD, secret)).toEqual([expect.stringContaining('replay: memory is for one process')])
  expect(faultsOf(GOOD, { ...secret, SALLYPORT_REPLAY_TABLE: 'replay' })).toEqual([])
  const inMemory = GOOD.replace('issuances:', 'replay: {store: memory}\nissuances:')
  expect(faultsOf(inMemory)).toEqual([])
  expect(faultsOf(inMemory, secret)).toHaveLength(1)
})

describe('a bad file', () => {
  const cases: Record<string, [change: [string, string], line: RegExp]> = {
    'an unknown key': [
      ['issuances:', 'isuances: {}\nissuances:'],
      /^identity\.yaml:13: isuances: .*issuances/,
    ],
    'a wrong version': [['version: 1', 'version: 2'], /^identity\.yaml:1: version: /],
    'an issuer without TLS': [
      ['https://identity.example.org', 'http://identity.example.org'],
      /^identity\.yaml:3: issuer: .*https/,
    ],
    'an issuer of proofs without TLS': [
      ['https://issuer.example', 'http://issuer.example'],
      /^identity\.yaml:7: proofs\.oidc\[0\]\.issuer: .*https/,
    ],
    'an audience that is a bare word': [
      ['authority:', 'audience: sallyport\nauthority:'],
      /^identity\.yaml:4: audience: /,
    ],
    'attack 31: an audience of another service': [
      ['authority:', 'audience: https://kubernetes.default.svc\nauthority:'],
      /^identity\.yaml:4: audience: is another service/,
    ],
    'attack 31: an audience of another service for one provider': [
      ['maxTokenAge: 10m', 'audience: api://AzureADTokenExchange'],
      /^identity\.yaml:7: proofs\.oidc\[0\]\.audience: is another service/,
    ],
    'a provider that is not there': [
      ['oidc: main, claims', 'oidc: mian, claims'],
      /^identity\.yaml:11: registrations\[0\]\.match\.oidc: there is no provider mian \(known: main\)/,
    ],
    'no claims': [
      ['claims: {kind: workload}', 'claims: {}'],
      /^identity\.yaml:11: registrations\[0\]\.match: claims is missing or empty: every token/,
    ],
    'a SPIFFE ID of another trust domain': [
      ['spiffe://example.org/', 'spiffe://other.org/'],
      /^identity\.yaml:10: registrations\[0\]\.spiffeId: is not in the trust domain example\.org/,
    ],
    'a template in the trust domain': [
      ['spiffe://example.org/', 'spiffe://{team}/'],
      /^identity\.yaml:10: registrations\[0\]\.spiffeId: /,
    ],
    'a reserved path that is not marked': [
      ['example.org/{team}/api', 'example.org/sallyport/gateway'],
      /^identity\.yaml:10: registrations\[0\]\.spiffeId: .*reserved: true/,
    ],
    'a mark for a path that is not reserved': [
      ['    x509:', '    reserved: true\n    x509:'],
      /^identity\.yaml:12: registrations\[0\]\.reserved: true is for a spiffeId under \/sallyport\/ alone/,
    ],
    'a mark for a path that only begins like it': [
      ['{team}/api"\n', 'sallyport-x/api"\n    reserved: true\n'],
      /^identity\.yaml:11: registrations\[0\]\.reserved: true is for/,
    ],
    'a lifetime over a day': [
      ['ttl: 1h', 'ttl: 25h'],
      /^identity\.yaml:12: registrations\[0\]\.x509\.ttl: .*1m to 24h/,
    ],
    'untilExpiry without an age': [
      ['maxTokenAge: 10m', 'reuse: untilExpiry'],
      /^identity\.yaml:7: proofs\.oidc\[0\]\.maxTokenAge: is required where reuse is untilExpiry/,
    ],
    'a CA in two places': [
      ['{files: {directory: ca}}', '{files: {directory: ca}, secretsManager: {issuing: s}}'],
      /^identity\.yaml:4: authority: expected either files or secretsManager/,
    ],
    'attack 47: used proofs in memory where several instances read one secret': [
      ['{files: {directory: ca}}', '{secretsManager: {issuing: s}}'],
      /^identity\.yaml: replay: memory is for one process: .*SALLYPORT_REPLAY_TABLE/,
    ],
    'AWS proofs that accept nothing': [
      ['  oidc:\n', '  aws: {accounts: {"111122223333": {}}}\n  oidc:\n'],
      /^identity\.yaml:6: proofs\.aws: accepts no proof/,
    ],
    'an account id that YAML made a number': [
      ['  oidc:\n', '  aws: {webIdentity: true, accounts: {12: {}}}\n  oidc:\n'],
      /^identity\.yaml:6: proofs\.aws\.accounts/,
    ],
    'a region that AWS does not have': [
      ['  oidc:\n', '  aws: {sigv4: {regions: [eu-west-9]}, accounts: {"111122223333": {}}}\n  oidc:\n'],
      /^identity\.yaml:6: proofs\.aws\.sigv4\.regions\[0\]: there is no region eu-west-9 .*eu-west-1/,
    ],
    "an STS of one's own outside development": [
      [
        '  oidc:\n',
        '  aws: {sigv4: {regions: [eu-west-1], stsEndpoint: "http://127.0.0.1:1"}, accounts: {"111122223333": {}}}\n  oidc:\n',
      ],
      /^identity\.yaml:6: proofs\.aws\.sigv4\.stsEndpoint: is for development/,
    ],
    "an issuer that is not AWS's": [
      [
        '  oidc:\n',
        '  aws: {webIdentity: true, accounts: {"111122223333": {issuer: "https://tokens.sts.global.api.aws.evil.example"}}}\n  oidc:\n',
      ],
      /^identity\.yaml:6: proofs\.aws\.accounts\.111122223333\.issuer: expected https:\/\/<uuid>/,
    ],
    'a provider named aws': [
      ['name: main', 'name: aws'],
      /^identity\.yaml:7: proofs\.oidc\[0\]\.name: aws is/,
    ],
    'Entra for every tenant': [
      ['https://issuer.example', 'https://login.microsoftonline.com/common/v2.0'],
      /^identity\.yaml:7: proofs\.oidc\[0\]\.issuer: tokens of every tenant/,
    ],
    'an Okta org server': [
      ['https://issuer.example', 'https://dev-1.okta.com'],
      /^identity\.yaml:7: proofs\.oidc\[0\]\.issuer: .*custom authorization server/,
    ],
    'our own issuer with a slash at its end': [
      ['https://identity.example.org', 'https://identity.example.org/'],
      /^identity\.yaml:3: issuer: write it as https:\/\/identity\.example\.org$/,
    ],
    'our own issuer with a path and a slash': [
      ['https://identity.example.org', 'https://example.org/identity/'],
      /^identity\.yaml:3: issuer: write it as https:\/\/example\.org\/identity$/,
    ],
    'our own issuer as proof': [
      ['https://issuer.example', 'https://identity.example.org'],
      /^identity\.yaml:7: proofs\.oidc\[0\]\.issuer: is this authority, which does not take its own SVIDs/,
    ],
    'our own issuer as proof, by a slash more': [
      ['https://issuer.example', 'https://identity.example.org/'],
      /^identity\.yaml:7: proofs\.oidc\[0\]\.issuer: is this authority/,
    ],
    'JWT-SVIDs for our own issuer': [
      ['    x509:', '    jwt: {audiences: [x, "https://identity.example.org"]}\n    x509:'],
      /^identity\.yaml:12: registrations\[0\]\.jwt\.audiences\[1\]: is this authority's own audience/,
    ],
    'JWT-SVIDs for our own audience, bound to a key': [
      ['    x509:', '    jwt: {audiences: ["https://identity.example.org#x509:abc"]}\n    x509:'],
      /^identity\.yaml:12: registrations\[0\]\.jwt\.audiences\[0\]: is this authority's own audience/,
    ],
    'our own trust domain as proof': [
      ['issuer: "https://issuer.example"', 'trustDomain: example.org, bundle: "https://b.example/b"'],
      /^identity\.yaml:7: proofs\.oidc\[0\]\.trustDomain: an authority does not take its own SVIDs/,
    ],
    'a trust domain without a bundle': [
      ['issuer: "https://issuer.example"', 'trustDomain: partner.example'],
      /^identity\.yaml:7: proofs\.oidc\[0\]\.bundle: missing/,
    ],
    'attack 39: a rule that everybody at GitHub meets': [
      ['https://issuer.example', 'https://token.actions.githubusercontent.com'],
      /^identity\.yaml:11: registrations\[0\]\.match\.claims: matches everybody: .*repository_owner_id/,
    ],
    'attack 39: a rule for nobody in particular': [
      ['match: {oidc: main, claims: {kind: workload}}', 'match: {keyBound: true}'],
      /^identity\.yaml:11: registrations\[0\]\.match: oidc is missing, or aws/,
    ],
    'a JWT that lives for hours': [
      ['    x509:', '    jwt: {audiences: [x], ttl: 2h}\n    x509:'],
      /^identity\.yaml:12: registrations\[0\]\.jwt\.ttl: more than 1h .*bearer: true/,
    ],
    'a bearer token that lives for days': [
      ['    x509:', '    bearer: true\n    jwt: {audiences: [x], ttl: 13h}\n    x509:'],
      /^identity\.yaml:13: registrations\[0\]\.jwt\.ttl: .*with bearer: true to 12h/,
    ],
    'bearer tokens for nobody': [
      ['    x509:', '    bearer: true\n    x509:'],
      /^identity\.yaml:12: registrations\[0\]\.bearer: is about JWT-SVIDs/,
    ],
    'a replay store in two places': [
      ['issuances:', 'replay: {store: memory, dynamodb: {table: tokens}}\nissuances:'],
      /^identity\.yaml:13: replay: expected either/,
    ],
    'a DNS name with a wildcard': [
      ['ttl: 1h', 'ttl: 1h, dnsNames: ["*.example.org"]'],
      /^identity\.yaml:12: registrations\[0\]\.x509\.dnsNames\[0\]: expected a DNS name/,
    ],
  }
  test.each(Object.entries(cases))('%s', (_name, [[from, to], expected]) => {
    const text = GOOD.replace(from, to)
    expect(text).not.toBe(GOOD)
    const faults = faultsOf(text)
    expect(faults).toHaveLength(1)
    expect(faults[0]).toMatch(expected)
  })

  test('JWT-SVIDs for an audience of our own that is not the issuer', () => {
    const text = GOOD.replace('authority:', 'audience: identity.internal\nauthority:').replace(
      '    x509:',
      '    jwt: {audiences: [identity.internal]}\n    x509:',
    )
    expect(faultsOf(text)).toEqual([expect.stringMatching(/jwt\.audiences\[0\]: is this authority's own/)])
  })

  test.each<[string, string, RegExp]>([
    ['without TLS', 'http://other.example.org', /^environment: SALLYPORT_ISSUER: expected an https URL/],
    ['with a slash', 'https://other.example.org/', /^environment: SALLYPORT_ISSUER: write it as https:/],
    ['that is none', 'other', /^environment: SALLYPORT_ISSUER: expected a URL, found other$/],
  ])('an issuer of the environment %s, by the name of the variable', (_name, value, expected) => {
    expect(faultsOf(GOOD, { SALLYPORT_ISSUER: value })).toEqual([expect.stringMatching(expected)])
  })

  test('a trust domain in capitals, and with it every SPIFFE ID that is not in it', () => {
    const faults = faultsOf(GOOD.replace('trustDomain: example.org', 'trustDomain: Example.org'))
    expect(faults[0]).toMatch(/^identity\.yaml:2: trustDomain: /)
    expect(faults[1]).toMatch(/^identity\.yaml:10: registrations\[0\]\.spiffeId: /)
  })

  test('all faults are told at once', () => {
    const text = GOOD.replace('https://issuer.example', 'ftp://x').replace('oidc: main', 'oidc: x')
    expect(faultsOf(text)).toHaveLength(2)
  })

  test('SALLYPORT_DEV lets http issuers in on loopback and nowhere else', () => {
    const loopback = GOOD.replace('https://issuer.example', 'http://127.0.0.1:8080')
    expect(faultsOf(loopback)).toHaveLength(1)
    expect(faultsOf(loopback, { SALLYPORT_DEV: '1' })).toEqual([])
    const elsewhere = GOOD.replace('https://issuer.example', 'http://issuer.example')
    expect(faultsOf(elsewhere, { SALLYPORT_DEV: '1' })).toHaveLength(1)
  })
})

test('whatever YAML stands there, there is an answer and every fault is one line of this file', () => {
  const key = fc.constantFrom(
    'version',
    'issuer',
    'proofs',
    'oidc',
    'registrations',
    'name',
    'match',
    'claims',
    'x',
  )
  const { value } = fc.letrec<{ value: unknown }>((tie) => ({
    value: fc.oneof(
      { maxDepth: 4 },
      fc.constantFrom(null, 1, -1, 0.5, '', 'main', 'https://x.example', true, 'spiffe://x/{y}'),
      fc.array(tie('value'), { maxLength: 3 }),
      fc.dictionary(key, tie('value'), { maxKeys: 5 }),
    ),
  }))
  fc.assert(
    fc.property(value, (document) => {
      const faults = faultsOf(stringify(document))
      expect(faults).not.toEqual([])
      for (const fault of faults) expect(fault).toMatch(/^identity\.yaml[:\d]*: [^\n]+$/)
    }),
    { numRuns: 300 },
  )
})
