// Request, Response and Headers of the Lambda bundle, held against Node's own: what those refuse, these refuse, and what
// those give, these give, as far as Hono and the authority ask.
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import * as light from '../../../../lambdas/identity/lambda-web.ts'

type Outcome = { readonly value: unknown } | { readonly refused: string }

function outcome(make: () => unknown): Outcome {
  try {
    return { value: make() }
  } catch (error) {
    return { refused: error instanceof TypeError ? 'TypeError' : String(error instanceof RangeError) }
  }
}

type AnyHeaders = globalThis.Headers | light.Headers

const NAME = fc.oneof(
  fc.constantFrom('Set-Cookie', 'set-cookie', 'Content-Type', 'X-A', 'x-a', 'authorization'),
  fc.string({ maxLength: 6 }),
)
const VALUE = fc.oneof(fc.string({ maxLength: 12 }), fc.string({ unit: 'binary', maxLength: 6 }), BLANKS())

function BLANKS() {
  return fc
    .array(fc.constantFrom(' ', '\t', '\r', '\n', 'a', '\0', 'é', '€'), { maxLength: 8 })
    .map((all) => all.join(''))
}

const STEP = fc.oneof(
  fc.record({ act: fc.constantFrom('append' as const, 'set' as const), name: NAME, value: VALUE }),
  fc.record({ act: fc.constantFrom('get' as const, 'has' as const, 'delete' as const), name: NAME }),
)

function apply(headers: AnyHeaders, step: { act: string; name: string; value?: string }): Outcome {
  return outcome(() => {
    if (step.act === 'append') return headers.append(step.name, step.value ?? '')
    if (step.act === 'set') return headers.set(step.name, step.value ?? '')
    if (step.act === 'get') return headers.get(step.name)
    return step.act === 'has' ? headers.has(step.name) : headers.delete(step.name)
  })
}

describe('Headers', () => {
  it('do what Node’s do, step by step', () => {
    fc.assert(
      fc.property(fc.array(STEP, { maxLength: 12 }), (steps) => {
        const [own, node] = [new light.Headers(), new globalThis.Headers()]
        for (const step of steps) expect(apply(own, step)).toEqual(apply(node, step))
        expect([...own]).toEqual([...node])
        expect(own.getSetCookie()).toEqual(node.getSetCookie())
        expect([...new light.Headers(own)]).toEqual([...new globalThis.Headers([...node])])
        const visited: string[] = []
        own.forEach((value, name) => visited.push(`${name}: ${value}`))
        expect(visited).toEqual([...node].map(([name, value]) => `${name}: ${value}`))
      }),
      { numRuns: 500 },
    )
  })

  it('trim a megabyte of blanks at once', () => {
    const blanks = ' '.repeat(1_000_000)
    expect(new light.Headers({ a: `x${blanks}y` }).get('a')).toHaveLength(1_000_002)
  })
})

const URLS = [
  'https://a.example/v1/x?y=1',
  'https://a.example/a/../b',
  'https://u:p@a.example/',
  'nothing',
  '',
]
const METHODS = ['GET', 'get', 'Post', 'PATCH', 'patch', 'HEAD', 'TRACE', 'track', 'CONNECT', '', 'G T', 'Ü']

describe('Request', () => {
  it.each(METHODS)('with the method %j is what Node’s is', (method) => {
    for (const url of URLS) {
      for (const body of [undefined, 'text']) {
        const init = { method, headers: { 'x-a': '1' }, ...(body === undefined ? {} : { body }) }
        const see = (made: globalThis.Request | light.Request) => [
          made.url,
          made.method,
          made.headers.get('x-a'),
        ]
        const own = outcome(() => see(new light.Request(url, init)))
        expect(own).toEqual(outcome(() => see(new globalThis.Request(url, init))))
      }
    }
  })

  it('gives its body as it came', async () => {
    const bytes = Buffer.from('{"a":"é"}')
    const request = new light.Request('https://a.example/', { method: 'POST', body: new Uint8Array(bytes) })
    const parts: Uint8Array[] = []
    for await (const part of request.body ?? []) parts.push(part)
    expect(Buffer.concat(parts)).toEqual(bytes)
    expect(new light.Request('https://a.example/').body).toBeNull()
  })
})

async function see(made: globalThis.Response | light.Response) {
  return { status: made.status, headers: [...made.headers], text: await made.text() }
}

describe('Response', () => {
  it.each<[string | null, number, Record<string, string>]>([
    ['text', 201, {}],
    ['{"a":1}', 200, { 'content-type': 'application/json' }],
    [null, 204, { 'cache-control': 'no-store' }],
    ['é€', 404, { 'x-a': 'b' }],
  ])('of %j with status %i is what Node’s is', async (body, status, headers) => {
    const init = { status, headers }
    expect(await see(new light.Response(body, init))).toEqual(await see(new globalThis.Response(body, init)))
    const bytes = await new light.Response(body, init).arrayBuffer()
    expect(bytes).toEqual(await new globalThis.Response(body, init).arrayBuffer())
  })

  it.each([199, 600, Number.NaN])('has no status %s, as Node’s', (status) => {
    expect(() => new light.Response('', { status })).toThrow(RangeError)
    expect(() => new globalThis.Response('', { status })).toThrow(RangeError)
  })

  it('has no body where the status has none', () => {
    expect(() => new light.Response('x', { status: 204 })).toThrow(TypeError)
  })

  it('of JSON is what Node’s is', async () => {
    const init = { status: 201, headers: { 'cache-control': 'no-store' } }
    const [own, node] = [light.Response.json({ a: 'é' }, init), globalThis.Response.json({ a: 'é' }, init)]
    expect(await see(own)).toEqual(await see(node))
  })

  it('takes another one for its settings, as Hono does', async () => {
    const first = new light.Response('body', { status: 202, headers: { 'x-a': '1' } })
    expect(await see(new light.Response(first.body, first))).toMatchObject({ status: 202, text: 'body' })
  })
})
