// What the authority issues, judged by OpenSSL's own command line: CSRs that openssl made, and `openssl verify` in its
// strictest mode over leaf, issuing CA and root.
import { readFile } from 'node:fs/promises'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { needProgram, run } from '../fixtures/process.ts'
import { createWorld, type World } from '../fixtures/world.ts'
import { type BothWays, startBothWays } from '../integration/authority/both-ways.ts'

let authority: BothWays
let world: World
let openssl = ''

beforeAll(async () => {
  openssl = await needProgram('openssl')
  world = await createWorld()
  authority = await startBothWays()
})
afterAll(async () => {
  await authority[Symbol.asyncDispose]()
  await world[Symbol.asyncDispose]()
})

const file = (name: string) => path.join(world.directory, name)

/** A key and CSR by openssl, as a workload in any language makes them; files of the chain that they bought. */
async function buy(name: string, algorithm: readonly string[]): Promise<void> {
  const made = await run(openssl, [
    ...['req', '-new', '-newkey', ...algorithm, '-nodes', '-subj', '/CN=ignored'],
    ...['-keyout', file(`${name}.key`), '-out', file(`${name}.csr`)],
  ])
  expect(made.code, made.stderr).toBe(0)
  const csr = await readFile(file(`${name}.csr`), 'utf8')
  const answer = await authority.post('socket', { csr }, await authority.token())
  expect(answer.status, answer.body).toBe(201)
  const { certificateChain, bundle } = JSON.parse(answer.body) as { certificateChain: string; bundle: string }
  const [leaf = '', ...rest] = certificateChain.split(/(?=-----BEGIN)/)
  await world.file(`${name}.pem`, leaf)
  await world.file(`${name}-chain.pem`, rest.join(''))
  await world.file(`${name}-bundle.pem`, bundle)
}

describe.each<[string, readonly string[]]>([
  ['ec', ['ec', '-pkeyopt', 'ec_paramgen_curve:P-256']],
  ['rsa', ['rsa:2048']],
])('an SVID for a key by openssl (%s)', (name, algorithm) => {
  beforeAll(() => buy(name, algorithm))

  test.each(['sslclient', 'sslserver'])('holds for %s under -x509_strict', async (purpose) => {
    const { code, stdout, stderr } = await run(openssl, [
      ...[
        'verify',
        '-x509_strict',
        '-check_ss_sig',
        '-purpose',
        purpose,
        '-CAfile',
        file(`${name}-bundle.pem`),
      ],
      ...['-untrusted', file(`${name}-chain.pem`), file(`${name}.pem`)],
    ])
    expect({ code, stdout, stderr }).toEqual({ code: 0, stdout: `${file(`${name}.pem`)}: OK\n`, stderr: '' })
  })

  test('does not hold without the issuing CA, nor under another root', async () => {
    const without = await run(openssl, ['verify', '-CAfile', file(`${name}-bundle.pem`), file(`${name}.pem`)])
    expect(without.code).not.toBe(0)
    const other = await run(openssl, [
      ...['verify', '-CAfile', file('pki/partner-ca.pem'), '-untrusted', file(`${name}-chain.pem`)],
      file(`${name}.pem`),
    ])
    expect(other.code).not.toBe(0)
  })

  test('reads as the X.509-SVID standard wants it', async () => {
    const { stdout } = await run(openssl, ['x509', '-in', file(`${name}.pem`), '-noout', '-text'])
    // No subject, so the SAN is critical (RFC 5280 §4.2.1.6); one URI and no other name.
    expect(stdout).toMatch(
      /X509v3 Subject Alternative Name: critical\s+URI:spiffe:\/\/example\.org\/payments\/api\n/,
    )
    expect(stdout).toMatch(/X509v3 Basic Constraints: critical\s+CA:FALSE/)
    expect(stdout).toMatch(/X509v3 Key Usage: critical\s+Digital Signature\n/)
    expect(stdout).toMatch(
      /X509v3 Extended Key Usage:\s+TLS Web Server Authentication, TLS Web Client Authentication/,
    )
    expect(stdout).toContain('X509v3 Authority Key Identifier')
    expect(stdout).toContain('X509v3 Subject Key Identifier')
    expect(stdout).not.toContain('ignored')
  })
})
