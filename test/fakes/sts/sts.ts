// AWS STS on loopback: GetCallerIdentity and GetWebIdentityToken, for roles that a test made, judged by the signature
// and nothing else, and answered as AWS answers. It misbehaves on demand. Connect to it by its port and name the real
// host in `Host`, as a client with `stsEndpoint` or AWS_ENDPOINT_URL_STS does.
import { randomBytes, randomUUID } from 'node:crypto'
import { createServer, type ServerResponse } from 'node:http'
import { type RunningFakeIssuer, startFakeOidcIssuer } from '../oidc-issuer.ts'
import { type Answer, failure, success } from './answers.ts'
import { type Credentials, judge, type SignedHttpRequest } from './sigv4.ts'

export interface RoleInput {
  readonly account?: string
  readonly role: string
  /** `/` or `/team/`. */
  readonly path?: string
  readonly session?: string
  readonly partition?: string
  readonly tags?: Readonly<Record<string, string>>
  readonly lambdaFunction?: string
  /** From then on the credentials are refused as expired. Default: never. */
  readonly sessionEnds?: Date
  /** Instead of a role session: the ARN and id of another principal. */
  readonly principal?: { readonly arn: string; readonly userId: string }
}

export interface RoleCredentials extends Credentials {
  readonly sessionToken: string
  readonly account: string
  readonly arn: string
  readonly roleArn: string
  readonly userId: string
  readonly input: RoleInput
}

export type StsMisbehaviour =
  | { readonly kind: 'answer'; readonly answer: Answer }
  | { readonly kind: 'redirect'; readonly status: number; readonly to: string }
  | { readonly kind: 'grow' }
  | { readonly kind: 'drip' }
  | { readonly kind: 'stall' }

export interface FakeSts extends AsyncDisposable {
  /** `http://127.0.0.1:port`, without a slash at the end. */
  readonly endpoint: string
  /** The outbound issuer of its account. */
  readonly issuer: RunningFakeIssuer
  readonly requests: readonly SignedHttpRequest[]
  addRole(input: RoleInput): RoleCredentials
  /** Whether GetWebIdentityToken is switched on for the account. */
  outboundFederation: boolean
  misbehave(how: StsMisbehaviour | null): void
}

export interface FakeStsOptions {
  readonly clock?: () => Date
  readonly account?: string
  readonly port?: number
}

const HOST =
  /^sts(?:-fips)?\.([a-z]{2}(?:-[a-z]+)+-\d)\.(?:amazonaws\.com(?:\.cn)?|api\.aws|api\.amazonwebservices\.com\.cn)$/
const OUTBOUND = 'OutboundWebIdentityFederationDisabled'

/**
 * The real names, and this server's own address as eu-west-1: an SDK client with an endpoint of its own signs for that
 * endpoint's host, and says in the scope alone which region it means. The authority names the real host always.
 */
function regionOfHost(host: string, own: string): string | null {
  return host === own ? 'eu-west-1' : (HOST.exec(host)?.[1] ?? null)
}

function readForm(body: string): ReadonlyMap<string, string> {
  return new Map(new URLSearchParams(body))
}

class Sts {
  readonly credentials = new Map<string, RoleCredentials>()
  readonly requests: SignedHttpRequest[] = []
  outboundFederation = true
  misbehaviour: StsMisbehaviour | null = null
  own = ''
  readonly #options: FakeStsOptions
  readonly #issuer: RunningFakeIssuer

  constructor(issuer: RunningFakeIssuer, options: FakeStsOptions) {
    this.#issuer = issuer
    this.#options = options
  }

  now(): Date {
    return this.#options.clock?.() ?? new Date()
  }

  addRole(input: RoleInput): RoleCredentials {
    const account = input.account ?? this.#options.account ?? '111122223333'
    const partition = input.partition ?? 'aws'
    const session = input.session ?? 'session'
    const suffix = randomBytes(16)
      .toString('base64')
      .replaceAll(/[^A-Za-z0-9]/g, 'A')
      .toUpperCase()
      .slice(0, 16)
    const roleId = `AROA${suffix}A`
    const made: RoleCredentials = {
      accessKeyId: `ASIA${suffix}`,
      secretAccessKey: randomBytes(30).toString('base64'),
      sessionToken: randomBytes(120).toString('base64'),
      account,
      arn: input.principal?.arn ?? `arn:${partition}:sts::${account}:assumed-role/${input.role}/${session}`,
      userId: input.principal?.userId ?? `${roleId}:${session}`,
      roleArn:
        input.principal?.arn ?? `arn:${partition}:iam::${account}:role${input.path ?? '/'}${input.role}`,
      input,
    }
    this.credentials.set(made.accessKeyId, made)
    return made
  }

  async answer(request: SignedHttpRequest, json: boolean): Promise<Answer> {
    const judged = judge(request, {
      find: (id) => this.credentials.get(id),
      now: this.now(),
      hasExpired: ({ input }) => input.sessionEnds !== undefined && input.sessionEnds <= this.now(),
      regionOfHost: (host) => regionOfHost(host, this.own),
    })
    if (typeof judged === 'string') return failure(json, 403, judged, 'The request signature was refused.')
    const form = readForm(request.body)
    if (request.method !== 'POST' || form.get('Version') !== '2011-06-15') {
      return failure(json, 400, 'InvalidAction', 'Could not find operation')
    }
    if (form.get('Action') === 'GetCallerIdentity') {
      const { userId, account, arn } = judged
      return success(json, 'GetCallerIdentity', { Arn: arn, UserId: userId, Account: account })
    }
    if (form.get('Action') === 'GetWebIdentityToken') return this.#token(form, judged, json)
    return failure(json, 400, 'InvalidAction', 'Could not find operation')
  }

  async #token(form: ReadonlyMap<string, string>, of: RoleCredentials, json: boolean): Promise<Answer> {
    if (!this.outboundFederation) return failure(json, 400, OUTBOUND, 'Outbound federation is disabled.')
    const seconds = Number(form.get('DurationSeconds') ?? 300)
    const audiences = [...form]
      .filter(([name]) => name.startsWith('Audience.member.'))
      .map(([, value]) => value)
    const right = seconds >= 60 && seconds <= 3600 && audiences.length >= 1 && audiences.length <= 10
    if (!right || form.get('SigningAlgorithm') !== 'ES384') {
      return failure(json, 400, 'ValidationError', 'A parameter is out of its range.')
    }
    const now = Math.floor(this.now().getTime() / 1000)
    const ends = of.input.sessionEnds ?? new Date((now + 3600) * 1000)
    if (ends.getTime() / 1000 < now + seconds) {
      return failure(json, 403, 'SessionDurationEscalation', 'The token would outlive the session.')
    }
    const token = await this.#issuer.sign({
      aud: audiences.length === 1 ? audiences[0] : audiences,
      sub: of.roleArn,
      iss: this.#issuer.issuer,
      iat: now,
      exp: now + seconds,
      jti: randomUUID(),
      'https://sts.amazonaws.com/': {
        aws_account: of.account,
        source_region: 'eu-west-1',
        org_id: 'o-0123456789',
        principal_id: of.roleArn,
        original_session_exp: ends.toISOString(),
        ...(of.input.tags === undefined ? {} : { principal_tags: of.input.tags }),
        ...(of.input.lambdaFunction === undefined
          ? {}
          : { lambda_source_function_arn: of.input.lambdaFunction }),
      },
    })
    const Expiration = new Date((now + seconds) * 1000).toISOString()
    return success(json, 'GetWebIdentityToken', { WebIdentityToken: token, Expiration })
  }
}

function write(response: ServerResponse, { status, contentType, body }: Answer): void {
  response.writeHead(status, { 'content-type': contentType }).end(body)
}

function writeBadly(response: ServerResponse, how: Exclude<StsMisbehaviour, { kind: 'answer' }>): void {
  if (how.kind === 'redirect') {
    response.writeHead(how.status, { location: how.to }).end()
    return
  }
  if (how.kind === 'stall') return
  response.writeHead(200, { 'content-type': 'application/json' })
  if (how.kind === 'drip') {
    const timer = setInterval(() => response.write(' '), 20)
    response.on('close', () => clearInterval(timer))
    return
  }
  const pump = (): void => {
    while (!response.destroyed && response.write(' '.repeat(64 * 1024))) continue
  }
  response.on('drain', pump)
  pump()
}

/** Starts STS, and the outbound issuer of its account. */
export async function startFakeSts(options: FakeStsOptions = {}): Promise<FakeSts> {
  const issuer = await startFakeOidcIssuer({ algorithm: 'ES384', kid: 'ES_1' })
  const sts = new Sts(issuer, options)
  const server = createServer((request, response) => {
    const parts: Buffer[] = []
    request.on('data', (part: Buffer) => parts.push(part))
    request.on('end', () => {
      const { method = '', url = '', rawHeaders } = request
      const found = { method, url, rawHeaders, body: Buffer.concat(parts).toString() }
      sts.requests.push(found)
      const how = sts.misbehaviour
      const json = request.headers.accept?.includes('application/json') === true
      if (how === null) void sts.answer(found, json).then((answer) => write(response, answer))
      else if (how.kind === 'answer') write(response, how.answer)
      else writeBadly(response, how)
    })
  })
  await new Promise<void>((resolve) => server.listen(options.port ?? 0, '127.0.0.1', resolve))
  const bound = server.address()
  sts.own = typeof bound === 'object' && bound !== null ? `127.0.0.1:${bound.port}` : ''
  return {
    endpoint: `http://${sts.own}`,
    issuer,
    requests: sts.requests,
    addRole: (input) => sts.addRole(input),
    get outboundFederation() {
      return sts.outboundFederation
    },
    set outboundFederation(on) {
      sts.outboundFederation = on
    },
    misbehave: (how) => {
      sts.misbehaviour = how
    },
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
      await issuer[Symbol.asyncDispose]()
    },
  }
}
