// Lambda on loopback: the Runtime API as it is documented, and one instance of a function at a time that is started from
// its archive by bootstrap.js, answers events one by one, and is started anew after it ended.
// https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html
import { type ChildProcess, spawn } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import path from 'node:path'

const BOOTSTRAP = path.join(import.meta.dirname, 'bootstrap.js')
/** Lambda's own limit of a payload, each way. */
const MAX_PAYLOAD_BYTES = 6 * 1024 * 1024

export interface LambdaOptions {
  readonly name: string
  /** The unpacked archive. */
  readonly folder: string
  /** Such as `identity.handler`. */
  readonly handler: string
  /** The function's own; what Lambda sets comes to it. */
  readonly environment: Readonly<Record<string, string>>
  /** Seconds. */
  readonly timeout: number
  /** Ports on loopback by `host:port`: all that can be reached. */
  readonly hosts: Readonly<Record<string, number>>
  /** A file in PEM: roots for those. */
  readonly roots: string
}

export type Invocation =
  | { readonly ok: true; readonly payload: unknown }
  | { readonly ok: false; readonly errorType: string; readonly errorMessage: string }

interface Waiting {
  readonly id: string
  readonly text: string
  readonly settle: (result: Invocation) => void
}

export interface RunningLambda extends AsyncDisposable {
  readonly arn: string
  invoke(event: unknown): Promise<Invocation>
  /** What it wrote, of all instances. */
  output(): string
}

class Lambda implements RunningLambda {
  readonly arn: string
  readonly #options: LambdaOptions
  readonly #queue: Waiting[] = []
  #server = createServer((request, response) => void this.#serve(request, response))
  #idle: ServerResponse | null = null
  #current: Waiting | null = null
  #process: ChildProcess | null = null
  #output = ''

  constructor(options: LambdaOptions) {
    this.#options = options
    this.arn = `arn:aws:lambda:eu-west-1:111122223333:function:${options.name}`
  }

  async listen(): Promise<void> {
    this.#server.listen(0, '127.0.0.1')
    await once(this.#server, 'listening')
  }

  invoke(event: unknown): Promise<Invocation> {
    const { promise, resolve } = Promise.withResolvers<Invocation>()
    this.#queue.push({ id: randomUUID(), text: JSON.stringify(event), settle: resolve })
    this.#process ??= this.#start()
    this.#hand()
    return promise
  }

  output(): string {
    return this.#output
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#process !== null) {
      const ended = once(this.#process, 'close')
      this.#process.kill('SIGKILL')
      await ended
    }
    this.#server.closeAllConnections()
    await new Promise((resolve) => this.#server.close(resolve))
  }

  #start(): ChildProcess {
    const { hosts, environment, folder, handler, name, roots } = this.#options
    const bound = this.#server.address()
    const port = typeof bound === 'object' && bound !== null ? bound.port : 0
    // No environment but the function's: credentials and proxies of whoever runs this are none of its business.
    const env = {
      ...{ PATH: process.env.PATH ?? '', TZ: ':UTC', LANG: 'en_US.UTF-8', NODE_EXTRA_CA_CERTS: roots },
      ...{ AWS_REGION: 'eu-west-1', AWS_DEFAULT_REGION: 'eu-west-1' },
      ...{ AWS_ACCESS_KEY_ID: 'test', AWS_SECRET_ACCESS_KEY: 'test', AWS_SESSION_TOKEN: 'test' },
      ...{ AWS_LAMBDA_FUNCTION_NAME: name, AWS_EXECUTION_ENV: 'AWS_Lambda_nodejs24.x' },
      ...{ AWS_LAMBDA_RUNTIME_API: `127.0.0.1:${port}`, LAMBDA_TASK_ROOT: folder, _HANDLER: handler },
      ...environment,
    }
    const child = spawn(process.execPath, [BOOTSTRAP, JSON.stringify(hosts)], { env, stdio: 'pipe' })
    for (const stream of [child.stdout, child.stderr]) {
      stream.on('data', (part: Buffer) => (this.#output += part.toString()))
    }
    child.once('close', (code) => this.#ended(code))
    return child
  }

  /** What it was at is lost; what waits gets a new instance, unless this one could not even load. */
  #ended(code: number | null): void {
    this.#process = null
    this.#idle = null
    const message = `RequestId: ${this.#current?.id} Error: Runtime exited with status ${code}`
    this.#settle({ ok: false, errorType: 'Runtime.ExitError', errorMessage: message })
    if (this.#queue.length > 0) this.#process = this.#start()
  }

  #settle(result: Invocation): void {
    const current = this.#current
    this.#current = null
    current?.settle(result)
  }

  #hand(): void {
    if (this.#idle === null || this.#current !== null) return
    const next = this.#queue.shift()
    if (next === undefined) return
    const response = this.#idle
    this.#idle = null
    this.#current = next
    response.writeHead(200, {
      'content-type': 'application/json',
      'lambda-runtime-aws-request-id': next.id,
      'lambda-runtime-deadline-ms': String(Date.now() + this.#options.timeout * 1000),
      'lambda-runtime-invoked-function-arn': this.arn,
    })
    response.end(next.text)
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const [, kind, id, end] =
      /^\/2018-06-01\/runtime\/(invocation|init)\/([^/]+)(?:\/(response|error))?$/.exec(request.url ?? '') ??
      []
    if (request.method === 'GET' && kind === 'invocation' && id === 'next') {
      this.#idle = response
      this.#hand()
      return
    }
    let text = ''
    for await (const part of request) text += String(part)
    const failedToLoad = kind === 'init' && id === 'error'
    const known =
      request.method === 'POST' && (failedToLoad || (end !== undefined && id === this.#current?.id))
    response.writeHead(known ? 202 : 403, { 'content-type': 'application/json' })
    response.end(JSON.stringify({ status: known ? 'OK' : 'Forbidden' }))
    if (!known) return
    if (failedToLoad) this.#current ??= this.#queue.shift() ?? null
    this.#settle(end === 'response' ? answered(text) : failed(text))
  }
}

function answered(text: string): Invocation {
  if (Buffer.byteLength(text) > MAX_PAYLOAD_BYTES) {
    return {
      ok: false,
      errorType: 'Function.ResponseSizeTooLarge',
      errorMessage: `${text.length} characters`,
    }
  }
  return { ok: true, payload: JSON.parse(text) }
}

function failed(text: string): Invocation {
  const { errorType, errorMessage } = JSON.parse(text) as { errorType: string; errorMessage: string }
  return { ok: false, errorType, errorMessage }
}

/** Its first instance starts with its first event. */
export async function startLambda(options: LambdaOptions): Promise<RunningLambda> {
  const lambda = new Lambda(options)
  await lambda.listen()
  return lambda
}
