// What the authority says of its configuration when it starts.
import { mkdtemp, rm } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import { expect, test } from 'vitest'
import { buildIdentityApp } from '../../../../lambdas/identity/build.ts'
import { loadIdentityConfig } from '../../../../lambdas/identity/config.ts'
import { readIdentityEnvironment } from '../../../../lambdas/identity/environment.ts'
import type { LogRecord } from '../../../../lambdas/identity/log.ts'

const TEXT = `version: 1
trustDomain: example.org
issuer: https://identity.example.org
authority: {files: {directory: ca}}
proofs: {oidc: [{name: main, issuer: "https://issuer.example"}]}
registrations:
  - {name: one, spiffeId: spiffe://example.org/one, match: {oidc: main, claims: {email: a@example.org}}}
  - {name: two, spiffeId: spiffe://example.org/two, match: {oidc: main, claims: {sub: a}}}
`

test('each warning of the linter is a record, as are the development switch and what the environment overrides', async () => {
  const directory = await mkdtemp(path.join(os.tmpdir(), 'sallyport-build-'))
  try {
    const env = { SALLYPORT_DEV: '1', SALLYPORT_ISSUER: 'https://other.example.org' }
    const config = loadIdentityConfig({
      file: path.join(directory, 'identity.yaml'),
      text: TEXT,
      environment: readIdentityEnvironment(env),
    })
    const log: LogRecord[] = []
    const aws = () => Promise.reject(new Error('nothing here is on AWS'))
    await buildIdentityApp({ config, log: (record) => log.push(record), aws })
    expect(log.map(({ event }) => event)).toEqual([
      ...['dev-mode', 'config.overridden', 'config.warning', 'config.warning'],
      'authority.created',
    ])
    const [mutable, overlap] = log.filter(({ event }) => event === 'config.warning')
    expect(mutable).toEqual({
      ...{ event: 'config.warning', level: 'warn', file: config.warnings[0]?.file, line: 7 },
      key: 'registrations[0].match.claims.email',
      reason: 'email may mean somebody else tomorrow',
      remedy: 'match sub',
    })
    expect(overlap).toMatchObject({ line: 8, key: 'registrations[1].match', remedy: null })
  } finally {
    await rm(directory, { recursive: true })
  }
})
