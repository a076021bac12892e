// AppConfig's control API on loopback, for the real SDK client, as strict as the service: ids and never names, one deployment
// at a time in an environment, a new version only over the latest one where the caller says which that is. Its time is
// requests: a deployment goes on by one step each time that its environment is asked for anything.
// https://docs.aws.amazon.com/appconfig/2019-10-09/APIReference/API_Operations_Amazon_AppConfig.html
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { AppConfigClient } from '@aws-sdk/client-appconfig'

interface Version {
  readonly text: string
  readonly description: string | null
  readonly contentType: string
}

interface FakeDeployment {
  readonly profileId: string
  readonly version: number
  state: string
  /** Until it is complete. */
  steps: number
}

export interface Profile {
  readonly id: string
  readonly name: string
  readonly versions: Version[]
}

export interface FakeAppConfigControl extends AsyncDisposable {
  readonly endpoint: string
  readonly client: () => Promise<AppConfigClient>
  readonly profile: Profile
  readonly deployments: FakeDeployment[]
  /** Of AWS's own and of one named as the application: at once, without baking. */
  readonly strategies: { Id: string; Name: string; FinalBakeTimeInMinutes: number }[]
  /** Steps of the next deployments. */
  steps: number
  /** What becomes of the next deployments. */
  ending: 'COMPLETE' | 'ROLLED_BACK'
  /** Called before a request is answered, by `METHOD last-part-of-path`; may change anything. */
  before: ((what: string) => void) | null
  /** While set, each request is refused with it. */
  failing: string | null
  readonly requests: string[]
  /** Another operator's version. */
  write(text: string): number
  /** Another operator's deployment. */
  begin(version: number): void
  /** Of the newest complete deployment; null where there is none. */
  deployed(): string | null
}

const APPLICATION = { Id: 'app1234', Name: 'sallyport-prod-revocations' }
const ENVIRONMENT = { Id: 'env1234', Name: 'gateway' }
/** Many, so that lists come in pages. */
const OTHERS = ['alpha', 'beta', 'gamma'].map((Name, index) => ({ Id: `oth123${index}`, Name }))
const PAGE = 2
const ID = /^[a-z0-9]{4,7}$/
const MAX_CONTENT = 2 * 1024 * 1024
const RUNNING = new Set(['DEPLOYING', 'BAKING', 'VALIDATING'])

class Refusal extends Error {
  readonly status: number
  constructor(status: number, name: string, message: string) {
    super(message)
    this.name = name
    this.status = status
  }
}

const notFound = (what: string) => new Refusal(404, 'ResourceNotFoundException', `Could not find ${what}`)
const bad = (what: string) => new Refusal(400, 'BadRequestException', what)
const conflict = (what: string) => new Refusal(409, 'ConflictException', what)

interface Request {
  readonly method: string
  readonly path: readonly string[]
  readonly query: URLSearchParams
  readonly headers: IncomingMessage['headers']
  readonly body: string
}

interface Answer {
  readonly status?: number
  readonly headers?: Readonly<Record<string, string>>
  readonly body: string
}

export async function startFakeAppConfigControl(
  initial = '[]\n',
  name = 'revocations',
): Promise<FakeAppConfigControl> {
  const profile: Profile = { id: 'pro1234', name, versions: [] }
  const deployments: FakeDeployment[] = []
  const strategies: FakeAppConfigControl['strategies'] = [
    { Id: 'AppConfig.AllAtOnce', Name: 'AppConfig.AllAtOnce', FinalBakeTimeInMinutes: 10 },
    { Id: 'AppConfig.Canary10Percent20Minutes', Name: 'x', FinalBakeTimeInMinutes: 10 },
    { Id: 'str1234', Name: APPLICATION.Name, FinalBakeTimeInMinutes: 0 },
  ]
  const requests: string[] = []
  const write = (text: string, description: string | null = null, contentType = 'application/x-yaml') =>
    profile.versions.push({ text, description, contentType })
  const state = {
    steps: 2,
    ending: 'COMPLETE' as FakeAppConfigControl['ending'],
    before: null as FakeAppConfigControl['before'],
    failing: null as string | null,
  }
  const begin = (version: number, ending = state.ending): FakeDeployment => {
    const deployment = { profileId: profile.id, version, state: 'DEPLOYING', steps: state.steps }
    deployments.push(deployment)
    endings.set(deployment, ending)
    return deployment
  }
  const endings = new Map<FakeDeployment, string>()
  const step = () => {
    for (const one of deployments) {
      if (!RUNNING.has(one.state)) continue
      one.steps -= 1
      if (one.steps <= 0) one.state = endings.get(one) ?? 'COMPLETE'
    }
  }
  if (initial !== '') {
    write(initial)
    deployments.push({ profileId: profile.id, version: 1, state: 'COMPLETE', steps: 0 })
  }

  const page = (items: readonly object[], query: URLSearchParams): Answer => {
    const from = Number(query.get('next_token') ?? 0)
    const next = from + PAGE < items.length ? { NextToken: String(from + PAGE) } : {}
    return { body: JSON.stringify({ Items: items.slice(from, from + PAGE), ...next }) }
  }
  const versionsOf = ({ method, path, query, headers, body }: Request): Answer => {
    const [profileId = '', , number] = path
    if (!ID.test(profileId)) throw bad(`ConfigurationProfileId ${profileId}`)
    if (profileId !== profile.id) throw notFound(`ConfigurationProfile ${profileId}`)
    if (number !== undefined) {
      const found = profile.versions[Number(number) - 1]
      if (found === undefined) throw notFound(`version ${number}`)
      return { headers: { 'content-type': found.contentType, 'version-number': number }, body: found.text }
    }
    if (method === 'GET') {
      const items = profile.versions.map((one, index) => ({
        VersionNumber: index + 1,
        Description: one.description,
      }))
      return page(items.toReversed(), query)
    }
    const latest = headers['latest-version-number']
    if (latest !== undefined && Number(latest) !== profile.versions.length) {
      throw conflict(`latest version is ${profile.versions.length}`)
    }
    if (headers['content-type'] === undefined) throw bad('ContentType')
    if (body.length > MAX_CONTENT) throw new Refusal(413, 'PayloadTooLargeException', 'content')
    const description = headers['description']
    write(body, typeof description === 'string' ? description : null, headers['content-type'])
    return { status: 201, headers: { 'version-number': String(profile.versions.length) }, body }
  }
  const shown = (one: FakeDeployment) => ({
    DeploymentNumber: deployments.indexOf(one) + 1,
    ConfigurationName: profile.name,
    ConfigurationProfileId: one.profileId,
    ConfigurationVersion: String(one.version),
    State: one.state,
  })
  const deploymentsOf = ({ method, path, query, body }: Request): Answer => {
    const [environmentId = '', , number] = path
    if (!ID.test(environmentId)) throw bad(`EnvironmentId ${environmentId}`)
    if (environmentId !== ENVIRONMENT.Id) throw notFound(`Environment ${environmentId}`)
    step()
    if (number !== undefined) {
      const found = deployments[Number(number) - 1]
      if (found === undefined) throw notFound(`deployment ${number}`)
      return { body: JSON.stringify(shown(found)) }
    }
    if (method === 'GET') {
      // A summary has no profile's id.
      const items = deployments.map((one) => ({ ...shown(one), ConfigurationProfileId: undefined }))
      return page(items.toReversed(), query)
    }
    const input = JSON.parse(body) as Record<string, string | undefined>
    if (!strategies.some(({ Id }) => Id === input['DeploymentStrategyId'])) throw notFound('strategy')
    if (input['ConfigurationProfileId'] !== profile.id) throw notFound('profile')
    const version = Number(input['ConfigurationVersion'])
    if (profile.versions[version - 1] === undefined) throw notFound(`version ${version}`)
    if (deployments.some((one) => RUNNING.has(one.state))) throw conflict('a deployment is in progress')
    return { status: 201, body: JSON.stringify(shown(begin(version))) }
  }
  const route = (request: Request): Answer => {
    const [first, applicationId, part, ...rest] = request.path
    if (first === 'deploymentstrategies') return page(strategies, request.query)
    if (applicationId === undefined) return page([...OTHERS, APPLICATION], request.query)
    if (!ID.test(applicationId)) throw bad(`ApplicationId ${applicationId}`)
    if (applicationId !== APPLICATION.Id) throw notFound(`Application ${applicationId}`)
    if (part === 'environments' && rest.length === 0) return page([...OTHERS, ENVIRONMENT], request.query)
    if (part === 'environments') return deploymentsOf({ ...request, path: rest })
    if (rest.length === 0) return page([{ Id: profile.id, Name: profile.name }], request.query)
    return versionsOf({ ...request, path: rest })
  }

  const server = createServer((request: IncomingMessage, response: ServerResponse) => {
    const chunks: Buffer[] = []
    request.on('data', (chunk: Buffer) => chunks.push(chunk))
    request.on('end', () => {
      const url = new URL(request.url ?? '/', 'http://fake')
      const path = url.pathname.split('/').slice(1).map(decodeURIComponent)
      const { method = '', headers } = request
      const what = `${method} ${path.findLast((part) => !/\d/.test(part)) ?? ''}`
      requests.push(what)
      state.before?.(what)
      try {
        if (state.failing !== null) throw new Refusal(403, state.failing, 'not authorized')
        const body = Buffer.concat(chunks).toString('utf8')
        const answer = route({ method, path, query: url.searchParams, headers, body })
        response.writeHead(answer.status ?? 200, { 'content-type': 'application/json', ...answer.headers })
        response.end(answer.body)
      } catch (error) {
        const { status, name, message } =
          error instanceof Refusal ? error : new Refusal(500, 'InternalServerException', String(error))
        response.writeHead(status, { 'content-type': 'application/json', 'x-amzn-errortype': name })
        response.end(JSON.stringify({ Message: message }))
      }
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const bound = server.address()
  const endpoint = `http://127.0.0.1:${typeof bound === 'object' && bound !== null ? bound.port : 0}`
  return Object.assign(state, {
    endpoint,
    profile,
    deployments,
    strategies,
    requests,
    write: (text: string) => write(text),
    begin: (version: number) => void begin(version),
    deployed: () => {
      const last = deployments.findLast((one) => one.state === 'COMPLETE')
      return last === undefined ? null : (profile.versions[last.version - 1]?.text ?? null)
    },
    client: async () =>
      new AppConfigClient({
        endpoint,
        region: 'eu-west-1',
        credentials: { accessKeyId: 'AKIAIOSFODNN7EXAMPLE', secretAccessKey: 'secret' },
        maxAttempts: 1,
      }),
    async [Symbol.asyncDispose]() {
      const closed = new Promise((resolve) => server.close(resolve))
      server.closeAllConnections()
      await closed
    },
  })
}
