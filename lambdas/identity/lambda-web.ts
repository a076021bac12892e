// Request, Response and Headers in the Lambda bundle, in place of Node's: those are part of a whole HTTP client (undici),
// whose loading is a fifth of a cold start, for requests that arrive whole and answers that are one text. The build puts
// them in for the globals (scripts/bundles.ts); on a socket and in tests Node's own serve. Trusts nothing of an event:
// what Node's refuse (a header with a line break, a method of another kind) is refused here in the same way. Only what
// Hono and the authority use is there.

const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/
/** Those that the fetch standard writes in upper case however they come. */
const METHODS = /^(?:DELETE|GET|HEAD|OPTIONS|POST|PUT)$/i
const FORBIDDEN_METHODS = /^(?:CONNECT|TRACE|TRACK)$/i
const COOKIE = 'set-cookie'
const NO_BODY = new Set([101, 204, 205, 304])

function headerName(name: unknown): string {
  const text = String(name)
  if (!TOKEN.test(text)) throw new TypeError('Headers: an invalid header name')
  return text.toLowerCase()
}

/** Without the blanks around it (Fetch §2.2.2). By index: a pattern would take quadratic time over many blanks. */
function headerValue(value: unknown): string {
  const text = String(value)
  const isBlank = (index: number) => '\t\n\r '.includes(text.charAt(index))
  let start = 0
  let end = text.length
  while (start < end && isBlank(start)) start += 1
  while (end > start && isBlank(end - 1)) end -= 1
  const trimmed = text.slice(start, end)
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what must not be there
  if (/[\0\r\n]|[^\0-\xff]/.test(trimmed)) throw new TypeError('Headers: an invalid header value')
  return trimmed
}

type HeadersInput = Headers | Iterable<readonly [string, string]> | Readonly<Record<string, string>>

export class Headers {
  readonly #values = new Map<string, string[]>()

  constructor(input: HeadersInput = {}) {
    const entries = Symbol.iterator in input ? input : Object.entries(input)
    for (const [name, value] of entries) this.append(name, value)
  }

  append(name: string, value: string): void {
    const key = headerName(name)
    this.#values.set(key, [...(this.#values.get(key) ?? []), headerValue(value)])
  }

  set(name: string, value: string): void {
    this.#values.set(headerName(name), [headerValue(value)])
  }

  get(name: string): string | null {
    return this.#values.get(headerName(name))?.join(', ') ?? null
  }

  has(name: string): boolean {
    return this.#values.has(headerName(name))
  }

  delete(name: string): void {
    this.#values.delete(headerName(name))
  }

  getSetCookie(): string[] {
    return [...(this.#values.get(COOKIE) ?? [])]
  }

  /** By name; cookies one by one, since a comma may be part of one. */
  *entries(): Generator<[string, string]> {
    for (const [name, values] of [...this.#values].toSorted(([a], [b]) => (a < b ? -1 : 1))) {
      if (name === COOKIE) for (const value of values) yield [name, value]
      else yield [name, values.join(', ')]
    }
  }

  [Symbol.iterator](): Generator<[string, string]> {
    return this.entries()
  }

  forEach(visit: (value: string, name: string, headers: Headers) => void): void {
    for (const [name, value] of this) visit(value, name, this)
  }
}

type Body = string | Uint8Array | AsyncIterable<Uint8Array> | null

async function* oneOf(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes
}

class Message {
  readonly headers: Headers
  readonly #body: Body

  constructor(body: Body, headers: HeadersInput = {}) {
    this.headers = new Headers(headers)
    this.#body = body
    if (typeof body === 'string' && !this.headers.has('content-type')) {
      this.headers.set('content-type', 'text/plain;charset=UTF-8')
    }
  }

  get body(): AsyncIterable<Uint8Array> | null {
    const body = this.#body
    if (typeof body === 'string') return oneOf(Buffer.from(body))
    return body instanceof Uint8Array ? oneOf(body) : body
  }

  async arrayBuffer(): Promise<ArrayBuffer> {
    const parts: Uint8Array[] = []
    for await (const part of this.body ?? []) parts.push(part)
    return new Uint8Array(Buffer.concat(parts)).buffer
  }

  async text(): Promise<string> {
    return typeof this.#body === 'string' ? this.#body : new TextDecoder().decode(await this.arrayBuffer())
  }
}

export class Request extends Message {
  readonly url: string
  readonly method: string

  constructor(
    url: string,
    init: { readonly method?: string | number; readonly headers?: HeadersInput; readonly body?: Body } = {},
  ) {
    super(init.body ?? null, init.headers)
    const parsed = new URL(url)
    // An event that is forged may hold a number there.
    const method = String(init.method ?? 'GET')
    if (parsed.username !== '' || parsed.password !== '')
      throw new TypeError('Request: a URL with a password')
    if (!TOKEN.test(method) || FORBIDDEN_METHODS.test(method)) throw new TypeError('Request: no such method')
    this.url = parsed.href
    this.method = METHODS.test(method) ? method.toUpperCase() : method
    const empty = this.method === 'GET' || this.method === 'HEAD'
    if (empty && this.body !== null) throw new TypeError(`Request: ${this.method} has no body`)
  }
}

export class Response extends Message {
  readonly status: number

  constructor(
    body: Body = null,
    init: { readonly status?: number | undefined; readonly headers?: HeadersInput } = {},
  ) {
    super(body, init.headers)
    const { status = 200 } = init
    if (!Number.isInteger(status) || status < 200 || status > 599) throw new RangeError('Response: a status')
    if (body !== null && NO_BODY.has(status)) throw new TypeError(`Response: ${status} has no body`)
    this.status = status
  }

  static json(data: unknown, init: { readonly status?: number; readonly headers?: HeadersInput } = {}) {
    const headers = new Headers(init.headers)
    if (!headers.has('content-type')) headers.set('content-type', 'application/json')
    return new Response(JSON.stringify(data), { ...init, headers })
  }
}
