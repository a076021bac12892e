// AppConfig's data API on loopback, for the real SDK client, as strict as the service: a token is good once, no sooner than the
// session's interval allows; an empty body says that nothing is new; a new session begins with the whole document.
import { randomUUID } from 'node:crypto'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { AppConfigDataClient } from '@aws-sdk/client-appconfigdata'

export interface FakeAppConfig extends AsyncDisposable {
  readonly endpoint: string
  readonly client: () => Promise<AppConfigDataClient>
  /** By `application/environment/profile`. */
  readonly documents: Map<string, { readonly text: string; readonly versionLabel?: string }>
  /** Seconds that the service tells to wait; also the least between two polls of a session. */
  interval: number
  /** While set, each request is answered with this error. */
  failing: string | null
  /** Names of the actions, and `refused` for each that was. */
  readonly requests: string[]
}

interface Session {
  readonly key: string
  readonly minimumMs: number
  readonly seen: object | null
  readonly notBefore: number
}

/** `monotonic` is the service's clock, in milliseconds. */
export async function startFakeAppConfig(monotonic = () => performance.now()): Promise<FakeAppConfig> {
  const documents: FakeAppConfig['documents'] = new Map()
  const sessions = new Map<string, Session>()
  const requests: string[] = []
  const fake = { interval: 15, failing: null as string | null }
  const refuse = (response: ServerResponse, status: number, name: string, message: string) => {
    requests.push('refused')
    response.writeHead(status, { 'content-type': 'application/json', 'x-amzn-errortype': name })
    response.end(JSON.stringify({ Message: message }))
  }
  const begin = (text: string, response: ServerResponse) => {
    requests.push('StartConfigurationSession')
    const input = JSON.parse(text) as Record<string, string | number | undefined>
    const { ApplicationIdentifier: a, EnvironmentIdentifier: e, ConfigurationProfileIdentifier: p } = input
    const minimum = Number(input.RequiredMinimumPollIntervalInSeconds ?? 15)
    if (minimum < 15 || minimum > 86_400) {
      return refuse(response, 400, 'BadRequestException', 'RequiredMinimumPollIntervalInSeconds')
    }
    const key = `${a}/${e}/${p}`
    if (!documents.has(key)) return refuse(response, 404, 'ResourceNotFoundException', key)
    const token = randomUUID()
    sessions.set(token, { key, minimumMs: minimum * 1000, seen: null, notBefore: 0 })
    response.writeHead(201, { 'content-type': 'application/json' })
    response.end(JSON.stringify({ InitialConfigurationToken: token }))
  }
  const latest = (token: string, response: ServerResponse) => {
    requests.push('GetLatestConfiguration')
    const session = sessions.get(token)
    sessions.delete(token)
    if (session === undefined) return refuse(response, 400, 'BadRequestException', 'token')
    if (monotonic() < session.notBefore) return refuse(response, 400, 'BadRequestException', 'too soon')
    const document = documents.get(session.key) ?? null
    if (document === null) return refuse(response, 404, 'ResourceNotFoundException', session.key)
    const next = randomUUID()
    const wait = Math.max(session.minimumMs, fake.interval * 1000)
    sessions.set(next, { ...session, seen: document, notBefore: monotonic() + wait })
    const fresh = document !== session.seen
    response.writeHead(200, {
      'content-type': fresh ? 'application/json' : 'application/octet-stream',
      'next-poll-configuration-token': next,
      'next-poll-interval-in-seconds': String(wait / 1000),
      ...(fresh && document.versionLabel !== undefined ? { 'version-label': document.versionLabel } : {}),
    })
    response.end(fresh ? document.text : '')
  }
  const server = createServer((request: IncomingMessage, response) => {
    let text = ''
    request.on('data', (part: Buffer) => {
      text += part.toString()
    })
    request.on('end', () => {
      if (fake.failing !== null) return refuse(response, 500, fake.failing, 'x')
      const url = new URL(request.url ?? '/', 'http://fake')
      if (request.method === 'POST' && url.pathname === '/configurationsessions') return begin(text, response)
      return latest(url.searchParams.get('configuration_token') ?? '', response)
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const bound = server.address()
  const endpoint = `http://127.0.0.1:${typeof bound === 'object' && bound !== null ? bound.port : 0}`
  return {
    endpoint,
    documents,
    requests,
    get interval() {
      return fake.interval
    },
    set interval(seconds) {
      fake.interval = seconds
    },
    get failing() {
      return fake.failing
    },
    set failing(name) {
      fake.failing = name
    },
    client: async () =>
      new AppConfigDataClient({
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
  }
}
