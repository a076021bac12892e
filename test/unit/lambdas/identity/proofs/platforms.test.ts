// Tokens as the platforms really send them, each to a registration as its documentation here advises, with its refresh
// behaviour (attacks 31 to 34). The claims follow each platform's own documentation.
import { X509Certificate } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import type { OidcProvider } from '../../../../../lambdas/identity/proofs/proof.ts'
import { createFakeIssuer, type FakeIssuer, fetchOf } from '../../../../fakes/oidc-issuer.ts'
import {
  AUDIENCE,
  createCsr,
  createTestAuthority,
  provider,
  type RegistrationInput,
  registration,
} from '../support.ts'

interface Platform {
  readonly issuer: string
  readonly algorithm?: string
  /** Of the token's header. */
  readonly header?: Readonly<Record<string, unknown>>
  readonly provider?: Partial<OidcProvider>
  readonly registration: RegistrationInput
  readonly claims: Readonly<Record<string, unknown>>
  /** In seconds from when the token is handed out; the least that the platform's documentation and its users name. */
  readonly lifetime: number
  /** How many seconds before that its `iat` and `nbf` are. */
  readonly issuedBack?: number
  readonly notBeforeBack?: number
  readonly spiffeId: string
  /** Changes to the claims with which the token is another caller's. */
  readonly strangers: Readonly<Record<string, Readonly<Record<string, unknown>>>>
  /** Whether a second key may show the same token, as where a platform hands one out many times. */
  readonly secondKey: boolean
}

const GITHUB = {
  repository: 'acme/app',
  repository_id: '700',
  repository_owner: 'acme',
  repository_owner_id: '42',
  repository_visibility: 'private',
  ref: 'refs/heads/main',
  ref_type: 'branch',
  ref_protected: 'true',
  sha: '0123456789abcdef0123456789abcdef01234567',
  environment: 'production',
  workflow_ref: 'acme/app/.github/workflows/deploy.yml@refs/heads/main',
  job_workflow_ref: 'acme/app/.github/workflows/deploy.yml@refs/heads/main',
  event_name: 'push',
  actor: 'mona',
  actor_id: '9',
  run_id: '1',
  run_number: '10',
  run_attempt: '1',
  runner_environment: 'github-hosted',
  head_ref: '',
  base_ref: '',
}
const github = (sub: string): Platform => ({
  issuer: 'https://token.actions.githubusercontent.com',
  algorithm: 'RS256',
  provider: { maxTokenAgeMs: 600_000 },
  registration: {
    spiffeId: 'spiffe://example.org/ci/{repository_id}/{environment}',
    claims: { repository_owner_id: '42', ref_protected: 'true' },
  },
  claims: { ...GITHUB, sub },
  lifetime: 300,
  notBeforeBack: 600,
  spiffeId: 'spiffe://example.org/ci/700/production',
  strangers: {
    'attack 32: an owner of the same name, made anew': { repository_owner_id: '43' },
    'attack 32: an unprotected branch': { ref_protected: 'false', ref: 'refs/heads/x' },
    'attack 37: a job without an environment': { environment: undefined },
  },
  secondKey: false,
})

const KUBERNETES = {
  'kubernetes.io': {
    namespace: 'payments',
    node: { name: 'ip-10-0-0-1', uid: 'b1' },
    pod: { name: 'api-1', uid: 'c1' },
    serviceaccount: { name: 'api', uid: 'd1' },
    warnafter: 1_700_000_000,
  },
  sub: 'system:serviceaccount:payments:api',
  aud: [AUDIENCE],
}
const kubernetes = (issuer: string): Platform => ({
  issuer,
  algorithm: 'RS256',
  header: { typ: undefined },
  provider: { reuse: 'untilExpiry', maxTokenAgeMs: 3_600_000 },
  registration: {
    spiffeId: 'spiffe://example.org/ns/{kubernetes.io:namespace}/sa/{kubernetes.io:serviceaccount:name}',
    claims: { 'kubernetes.io:namespace': 'payments' },
  },
  claims: { ...KUBERNETES, jti: undefined },
  lifetime: 3600,
  spiffeId: 'spiffe://example.org/ns/payments/sa/api',
  strangers: {
    'another namespace': { 'kubernetes.io': { namespace: 'orders', serviceaccount: { name: 'api' } } },
    'attack 34: a legacy token without exp': { exp: undefined },
    'attack 34: a legacy token without aud': { aud: undefined },
    'a claim that only looks like the namespace': {
      'kubernetes.io': { serviceaccount: { name: 'api' } },
      'kubernetes.io:namespace': 'orders',
    },
  },
  // The kubelet replaces the file at 80 % of the token's life, so renewals show one token with new keys.
  secondKey: true,
})

/** 60 to 90 minutes for applications, at random; a day for managed identities. */
const entra = (lifetime: number, maxTokenAgeMs: number): Platform => ({
  issuer: 'https://login.microsoftonline.com/72f988bf-86f1-41af-91ab-2d7cd011db47/v2.0',
  algorithm: 'RS256',
  provider: {
    audience: '0c1f7b1e-0000-4000-8000-000000000001',
    reuse: 'untilExpiry',
    maxTokenAgeMs,
  },
  registration: { spiffeId: 'spiffe://example.org/entra/{oid}', claims: { azp: 'f00d', roles: 'svid' } },
  claims: {
    aud: '0c1f7b1e-0000-4000-8000-000000000001',
    azp: 'f00d',
    azpacr: '2',
    oid: 'a1b2',
    rh: '0.x',
    roles: ['svid'],
    sub: 'a1b2',
    tid: '72f988bf-86f1-41af-91ab-2d7cd011db47',
    uti: 'u',
    ver: '2.0',
    jti: undefined,
  },
  lifetime,
  issuedBack: 300,
  notBeforeBack: 300,
  spiffeId: 'spiffe://example.org/entra/a1b2',
  strangers: {
    'attack 31: another application': { azp: 'beef' },
    'attack 31: without the role': { roles: [] },
    'attack 24: of another tenant': { iss: 'https://login.microsoftonline.com/other/v2.0' },
  },
  secondKey: true,
})

const PLATFORMS: Readonly<Record<string, Platform>> = {
  'GitHub Actions, sub of names': github('repo:acme/app:environment:production'),
  'GitHub Actions, sub with ids': github('repo:acme@42/app@700:environment:production'),
  'GitLab CI': {
    issuer: 'https://gitlab.com',
    algorithm: 'RS256',
    provider: { maxTokenAgeMs: 3_600_000 },
    registration: {
      spiffeId: 'spiffe://example.org/gitlab/{project_id}',
      claims: { project_id: '77', ref_protected: 'true', pipeline_source: 'push' },
    },
    claims: {
      sub: 'project_path:acme/app:ref_type:branch:ref:main',
      namespace_id: '72',
      namespace_path: 'acme',
      project_id: '77',
      project_path: 'acme/app',
      user_id: '1',
      user_login: 'sample',
      pipeline_id: '574',
      pipeline_source: 'push',
      job_id: '302',
      ref: 'main',
      ref_type: 'branch',
      ref_protected: 'true',
      ci_config_ref_uri: 'gitlab.com/acme/app//.gitlab-ci.yml@refs/heads/main',
      runner_environment: 'gitlab-hosted',
    },
    // That of the job, which by default may take an hour.
    lifetime: 3600,
    notBeforeBack: 5,
    spiffeId: 'spiffe://example.org/gitlab/77',
    strangers: {
      'attack 33: the merge request of a fork': { pipeline_source: 'merge_request_event', project_id: '78' },
      'attack 33: an unprotected ref': { ref_protected: 'false' },
      'attack 33: a boolean instead of text': { ref_protected: true },
    },
    secondKey: false,
  },
  'Okta custom authorization server': {
    issuer: 'https://dev-1.okta.com/oauth2/default',
    algorithm: 'RS256',
    header: { typ: undefined },
    provider: { audience: 'api://default', reuse: 'untilExpiry', maxTokenAgeMs: 3_600_000 },
    registration: { spiffeId: 'spiffe://example.org/okta/{cid}', claims: { cid: '0oa1b2', scp: 'svid' } },
    claims: { ver: 1, jti: 'AT.abc', aud: 'api://default', sub: '0oa1b2', cid: '0oa1b2', scp: ['svid'] },
    lifetime: 3600,
    spiffeId: 'spiffe://example.org/okta/0oa1b2',
    strangers: {
      'attack 31: another client with the same sub': { cid: '0oa9z9' },
      'attack 31: without the scope': { scp: ['other'] },
      'attack 31: for another API': { aud: 'api://other' },
    },
    // Clients keep an access token until it ends, and so renew with one token and new keys.
    secondKey: true,
  },
  'Entra ID v2, an application': entra(90 * 60, 90 * 60_000),
  'Entra ID v2, a managed identity': entra(24 * 3600, 24 * 3_600_000),
  'Google metadata': {
    issuer: 'https://accounts.google.com',
    algorithm: 'RS256',
    provider: {
      jwksUri: 'https://accounts.google.com/keys',
      reuse: 'untilExpiry',
      maxTokenAgeMs: 3_600_000,
    },
    registration: {
      spiffeId: 'spiffe://example.org/gce/{sub}',
      claims: { email_verified: true, 'google:compute_engine:project_id': 'acme' },
    },
    claims: {
      azp: '1',
      sub: '117',
      email: 'a@acme.iam.gserviceaccount.com',
      email_verified: true,
      google: { compute_engine: { project_id: 'acme', instance_id: '55', zone: 'europe-west1-b' } },
      jti: undefined,
    },
    lifetime: 3600,
    spiffeId: 'spiffe://example.org/gce/117',
    strangers: {
      'another project': { google: { compute_engine: { project_id: 'evil' } } },
      'a token without its instance': { google: undefined },
      'an address that nobody verified': { email_verified: false },
    },
    secondKey: true,
  },
  Kubernetes: kubernetes('https://kubernetes.example'),
  EKS: kubernetes('https://oidc.eks.eu-west-1.amazonaws.com/id/0123456789ABCDEF0123456789ABCDEF'),
}

/** A token as the platform makes it: its claims over the plain ones. */
async function tokenOf(
  platform: Platform,
  issuer: FakeIssuer,
  now: Date,
  more: object = {},
): Promise<string> {
  const seconds = Math.floor(now.getTime() / 1000)
  const plain = {
    iss: platform.issuer,
    aud: AUDIENCE,
    sub: 's',
    iat: seconds - (platform.issuedBack ?? 0),
    nbf: seconds - (platform.notBeforeBack ?? 0),
    exp: seconds + platform.lifetime,
    jti: crypto.randomUUID(),
  }
  const merged = Object.entries({ ...plain, ...platform.claims, ...more })
  return issuer.sign(Object.fromEntries(merged.filter(([, value]) => value !== undefined)), {
    ...(platform.header === undefined ? {} : { header: platform.header }),
  })
}

async function setUp(platform: Platform) {
  const issuer = await createFakeIssuer(platform.issuer, { algorithm: platform.algorithm ?? 'RS256' })
  const authority = await createTestAuthority({
    providers: [provider({ issuer: platform.issuer, ...platform.provider })],
    registrations: [registration(platform.registration)],
    fetch: fetchOf(issuer),
  })
  return { authority, token: (more?: object) => tokenOf(platform, issuer, authority.clock.now(), more) }
}

describe.each(Object.entries(PLATFORMS))('%s', (_name, platform) => {
  test('gets the SPIFFE ID of its lasting claims', async () => {
    const { authority, token } = await setUp(platform)
    const answer = await authority.post({ csr: await createCsr() }, await token())
    expect(authority.log.map(({ reason }) => reason)).toEqual([undefined])
    expect(answer.status).toBe(201)
    const body = (await answer.json()) as { spiffeId: string; certificateChain: string }
    expect(body.spiffeId).toBe(platform.spiffeId)
    expect(new X509Certificate(body.certificateChain).subjectAltName).toBe(`URI:${platform.spiffeId}`)
  })

  test.each(Object.entries(platform.strangers))('refuses %s', async (_case, more) => {
    const { authority, token } = await setUp(platform)
    const answer = await authority.post({ csr: await createCsr() }, await token(more))
    expect([401, 403]).toContain(answer.status)
  })

  const again = `shown again, at once and at 80 % of its life: the same key always, another ${platform.secondKey ? 'too' : 'never'}`
  test(again, async () => {
    const { authority, token } = await setUp(platform)
    const text = await token()
    const csr = await createCsr()
    expect((await authority.post({ csr }, text)).status).toBe(201)
    for (const wait of [0, 0.8 * platform.lifetime * 1000]) {
      authority.clock.advance(wait)
      expect((await authority.post({ csr }, text)).status).toBe(201)
      const other = await authority.post({ csr: await createCsr() }, text)
      expect(other.status).toBe(platform.secondKey ? 201 : 401)
    }
  })

  test('what it gets does not outlive a token that may be shown many times', async () => {
    const { authority, token } = await setUp(platform)
    const text = await token()
    authority.clock.advance(0.8 * platform.lifetime * 1000)
    const answer = await authority.post({ csr: await createCsr() }, text)
    const { expiresAt } = (await answer.json()) as { expiresAt: string }
    const seconds = (Date.parse(expiresAt) - authority.clock.now().getTime()) / 1000
    expect(seconds).toBe(platform.secondKey ? Math.min(3600, 0.2 * platform.lifetime) : 3600)
  })

  test('is refused once its life is over', async () => {
    const { authority, token } = await setUp(platform)
    const text = await token()
    authority.clock.advance((platform.lifetime + 30) * 1000)
    expect((await authority.post({ csr: await createCsr() }, text)).status).toBe(401)
  })
})
