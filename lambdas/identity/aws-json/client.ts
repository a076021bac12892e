// A client of one AWS service that speaks JSON (AWS JSON 1.0 and 1.1), as the Lambda bundle has it in place of the SDK's:
// the same constructor and `send`, as far as the authority uses them. The SDK is half of that bundle, a quarter of its
// cold start and of the CPU time of a mint, for four operations whose input is the JSON that is sent. On a server the SDK
// itself is used; the same tests are run with both.
import { setTimeout } from 'node:timers/promises'
import { type AwsServiceName, hostOf } from './endpoint.ts'
import { createHttpClient, type HttpAnswer, type HttpClient } from './http.ts'
import { type AwsCredentials, createSigner, type Sign } from './signature.ts'

/** Of the SDK's settings those that are not fixed here; `maxAttempts` is at most 2 here. */
export interface AwsJsonConfig {
  readonly region: string
  readonly credentials: () => Promise<AwsCredentials>
  readonly endpoint?: string
  readonly useFipsEndpoint: boolean
  readonly useDualstackEndpoint: boolean
  readonly maxAttempts: number
  readonly requestHandler: { readonly connectionTimeout: number; readonly requestTimeout: number }
}

export interface AwsService {
  readonly name: AwsServiceName
  /** What stands before the operation in X-Amz-Target. */
  readonly target: string
  readonly version: '1.0' | '1.1'
}

export interface AwsJsonCommand {
  readonly operation: string
  /** Exactly as it is sent. */
  readonly input: object
}

/** What the service answered; its name is the service's code, as in the SDK. */
export class AwsServiceError extends Error {
  readonly status: number

  constructor(name: string, message: string, status: number) {
    super(message)
    this.name = name
    this.status = status
  }
}

const THROTTLED = /Throttl|ThroughputExceeded|LimitExceeded|SlowDown|TooManyRequests/
const RETRY_WAIT_MS = 50

function parseObject(text: string): Readonly<Record<string, unknown>> {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null ? { ...value } : {}
  } catch {
    return {}
  }
}

/** The code stands after `#` in the body, and before a colon in the header. */
function toError({ status, errorType, text }: HttpAnswer): AwsServiceError {
  const body = parseObject(text)
  const type = typeof body.__type === 'string' ? body.__type : errorType
  const name = /^(?:.*#)?([A-Za-z]+)/.exec(type)?.[1] ?? 'UnknownError'
  const message = body.message ?? body.Message
  return new AwsServiceError(name, typeof message === 'string' ? message : `HTTP ${status}`, status)
}

/** What may be another answer in a moment; whatever is no answer at all may. */
function mayRetry(error: unknown): boolean {
  return !(error instanceof AwsServiceError) || error.status >= 500 || THROTTLED.test(error.name)
}

export class AwsJsonClient {
  readonly #config: AwsJsonConfig
  readonly #service: AwsService
  readonly #url: URL
  readonly #http: HttpClient
  readonly #sign: Sign

  constructor(config: AwsJsonConfig, service: AwsService) {
    const { region, useFipsEndpoint: fips, useDualstackEndpoint: dualstack } = config
    this.#config = config
    this.#service = service
    this.#url = new URL(config.endpoint ?? `https://${hostOf(service.name, region, { fips, dualstack })}`)
    this.#http = createHttpClient(new URL('/', this.#url), config.requestHandler)
    this.#sign = createSigner(region, service.name)
  }

  /** @throws AwsServiceError, or whatever kept it from an answer */
  async send(command: AwsJsonCommand): Promise<Readonly<Record<string, unknown>>> {
    const body = JSON.stringify(command.input)
    try {
      return await this.#try(command.operation, body, false)
    } catch (error) {
      if (this.#config.maxAttempts < 2 || !mayRetry(error)) throw error
      await setTimeout(Math.random() * RETRY_WAIT_MS)
      return this.#try(command.operation, body, true)
    }
  }

  destroy(): void {
    this.#http.destroy()
  }

  async #try(operation: string, body: string, fresh: boolean) {
    const headers = this.#sign({
      credentials: await this.#config.credentials(),
      headers: {
        'content-type': `application/x-amz-json-${this.#service.version}`,
        host: this.#url.host,
        'x-amz-target': `${this.#service.target}.${operation}`,
      },
      body,
      now: new Date(),
    })
    const length = { 'content-length': String(Buffer.byteLength(body)) }
    const answer = await this.#http.post({ ...headers, ...length }, body, fresh)
    if (answer.status !== 200) throw toError(answer)
    return parseObject(answer.text)
  }
}
