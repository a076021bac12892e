// The gateway's own identity over time, against a real authority in memory: when it asks, what it takes, what it keeps.
import { createHash, type X509Certificate } from 'node:crypto'
import { getEventListeners } from 'node:events'
import { afterEach, describe, expect, test } from 'vitest'
import { tokenFileSource } from '../../../../common/authority/token-file.ts'
import { Secret } from '../../../../common/secret.ts'
import type { AuthoritySettings, AuthoritySource } from '../../../../gateway/config/authority.ts'
import { IdentityKeeper } from '../../../../gateway/identity/keeper.ts'
import { readBundle, writeBundle } from '../../../../spiffe/bundle.ts'
import { createLine, type Line, URL_OF_AUTHORITY } from '../../../fixtures/authority-line.ts'
import { createKeeperClock } from '../../../fixtures/keeper-clock.ts'
import { createState, registration, type RegistrationInput } from '../../lambdas/identity/support.ts'

const POST = '/v1/svid/x509'
const BUNDLE = '/v1/bundle'
const GATEWAY = 'spiffe://example.org/sallyport/gateway'
const SECOND = 1000
const HOUR = 3_600_000

let stack = new AsyncDisposableStack()
afterEach(async () => {
  await stack.disposeAsync()
  stack = new AsyncDisposableStack()
})

const SETTINGS: AuthoritySettings = {
  url: URL_OF_AUTHORITY,
  trustDomain: 'example.org',
  proof: { tokenFile: 'token' },
  roots: 'system',
  audience: null,
  registration: null,
  ttlSeconds: null,
}

async function start(more: RegistrationInput = {}, changes: Partial<AuthoritySettings> = {}) {
  const line = await createLine({
    registrations: [registration({ spiffeId: GATEWAY, reserved: true, ttlSeconds: 86_400, ...more })],
  })
  const { clock } = line.authority
  const time = createKeeperClock()
  const logged: { level: string; facts: Record<string, unknown> }[] = []
  const say = (level: string) => (facts: Record<string, unknown> | string) =>
    void logged.push({ level, facts: typeof facts === 'string' ? { said: facts } : facts })
  const log = { info: say('info'), warn: say('warn'), error: say('error') } as never
  const keeper = stack.use(
    new IdentityKeeper({
      ...{ log, now: clock.now, random: () => 0.5, sleep: time.sleep, fetch: line.fetch },
      pause: async () => {},
    }),
  )
  const token = { read: async () => new Secret(await line.authority.token()) }
  const source: AuthoritySource = {
    settings: { ...SETTINGS, ...changes },
    readRoots: async () => null,
    token: { kind: 'token', read: () => token.read() },
  }
  const asleep = () => expect.poll(() => time.waits().length, { timeout: 10_000 }).toBe(1)
  return {
    ...{ line, clock, keeper, source, token, logged, time, asleep },
    /** Follows, and waits until there is nothing to do for now. */
    async follow() {
      keeper.follow(source)
      await asleep()
    },
    /** So much later, everything that was due is done. */
    async pass(ms: number) {
      clock.advance(ms)
      time.wake()
      await asleep()
    },
    serial: () => keeper.current()?.keyPair.leaf.serialNumber,
    failures: () => logged.filter(({ level }) => level !== 'info'),
  }
}

/** The bundle as the authority serves it from now on. */
function serve(line: Line, change: (json: Record<string, unknown>) => Record<string, unknown>): void {
  line.tamper = (route, answer) =>
    route === BUNDLE
      ? { ...answer, body: JSON.stringify(change(JSON.parse(answer.body) as Record<string, unknown>)) }
      : answer
}

describe('in good times', () => {
  test('it is issued at once, and whoever waits for it is told', async () => {
    const { keeper, source, line, logged, asleep } = await start()
    expect([keeper.current(), keeper.state()]).toEqual([null, null])
    const waiting = keeper.untilIssued()
    keeper.follow(source)
    await waiting
    await asleep()
    const issued = keeper.current()
    expect(issued?.keyPair.leaf.subjectAltName).toBe(`URI:${GATEWAY}`)
    expect(issued?.bundle.jwtAuthorities).not.toEqual([])
    expect(line.sent).toEqual([`POST ${POST}`, `GET ${BUNDLE}`])
    expect(logged).toEqual([
      {
        level: 'info',
        facts: {
          spiffeId: GATEWAY,
          serialNumber: issued?.keyPair.leaf.serialNumber.toLowerCase(),
          notAfter: '2026-11-25T12:00:00.000Z',
          next: '2026-11-25T00:00:00.000Z',
        },
      },
    ])
  })

  test('it is renewed at half life with a key of its own, and not before', async () => {
    const { follow, pass, serial, keeper } = await start()
    await follow()
    const [first, key, stamp] = [serial(), keeper.current()?.keyPair.key.reveal(), keeper.stamp]
    await pass(12 * HOUR - SECOND)
    expect([serial(), keeper.stamp]).toEqual([first, stamp])
    await pass(SECOND)
    expect(serial()).not.toBe(first)
    expect(keeper.current()?.keyPair.key.reveal()).not.toBe(key)
    expect(keeper.stamp).not.toBe(stamp)
  })

  test('a lifetime, a registration and an audience are asked for where they are configured', async () => {
    const { follow, line, keeper } = await start(
      { name: 'gateway' },
      { ttlSeconds: 600, registration: 'gateway', audience: 'https://identity.example.org' },
    )
    await follow()
    expect(JSON.parse(line.requests[0]?.body ?? '')).toMatchObject({
      ttlSeconds: 600,
      registration: 'gateway',
    })
    expect(keeper.current()?.keyPair.leaf.validToDate.toISOString()).toBe('2026-11-24T12:10:00.000Z')
  })

  test.each<[string, number | undefined, number]>([
    ['kept as it is', 120, 120],
    ['30 s where it says less', 1, 30],
    ['an hour where it says more', 86_400, 3600],
    ['five minutes where there is none', undefined, 300],
  ])('a refresh hint is %s', async (_name, hint, seconds) => {
    const { follow, pass, line } = await start()
    serve(line, ({ spiffe_refresh_hint: _hint, ...rest }) => ({
      ...rest,
      ...(hint === undefined ? {} : { spiffe_refresh_hint: hint }),
    }))
    await follow()
    const before = line.sent.length
    await pass(seconds * SECOND - 1)
    expect(line.sent).toHaveLength(before)
    await pass(1)
    expect(line.sent.slice(before)).toEqual([`GET ${BUNDLE}`])
  })

  test('nothing is left on the signal of a process that lives for months', async () => {
    const { follow, pass, time } = await start()
    await follow()
    for (let day = 0; day < 20; day += 1) await pass(12 * HOUR)
    const signal = time.signal()
    // That of the wait itself.
    expect(signal === null ? [] : getEventListeners(signal, 'abort')).toHaveLength(1)
  })

  test('the clock is looked at each minute, so that a machine that slept renews when it wakes', async () => {
    const { follow, time } = await start()
    await follow()
    expect(time.waits()).toEqual([60_000])
  })
})

describe('an authority that is down', () => {
  test('is asked again with growing pauses, and each failure says cause and next attempt', async () => {
    const { follow, pass, line, clock, keeper, failures } = await start()
    line.lose(POST, 1000)
    await follow()
    for (const pause of [5, 10, 20, 40, 60]) await pass(pause * SECOND)
    expect(failures().map(({ level, facts }) => [level, facts.code, facts.failures])).toEqual(
      [1, 2, 3, 4, 5, 6].map((count) => ['error', 'authority-unreachable', count]),
    )
    const waits = failures().map(({ facts }) => Date.parse(String(facts.nextAttempt)))
    expect(waits.slice(1).map((next, index) => (next - (waits[index] ?? 0)) / SECOND)).toEqual([
      ...[10, 20, 40, 60, 60],
    ])
    expect(failures()[0]?.facts.cause).toBe('socket hang up')
    expect(keeper.state()).toMatchObject({
      requests: [{ request: 'svid', result: 'authority-unreachable', count: 6 }],
      ageSeconds: null,
      renewalFailingSeconds: 135,
    })
    line.lose(POST, 0)
    await pass(60 * SECOND)
    expect(keeper.current()).not.toBeNull()
    expect(keeper.state()).toMatchObject({ ageSeconds: 0, renewalFailingSeconds: 0 })
    expect(clock.now().getTime()).toBeGreaterThan(0)
  })

  test('leaves what is at hand: a warning before it has expired, an error after', async () => {
    const { follow, pass, line, serial, failures } = await start()
    await follow()
    const first = serial()
    line.lose(POST, 1000)
    line.lose(BUNDLE, 1000)
    await pass(12 * HOUR)
    expect(failures().at(-1)).toMatchObject({
      level: 'warn',
      facts: { code: 'authority-unreachable', notAfter: '2026-11-25T12:00:00.000Z' },
    })
    await pass(12 * HOUR + SECOND)
    expect(failures().map(({ level }) => level)).toContain('error')
    expect(serial()).toBe(first)
  })

  test('for the bundle alone keeps the bundle, and its renewal is not late for it', async () => {
    const { follow, pass, line, keeper, failures } = await start()
    await follow()
    line.lose(BUNDLE, 1000)
    await pass(300 * SECOND)
    expect(failures()).toMatchObject([{ level: 'warn', facts: { code: 'authority-unreachable' } }])
    expect(keeper.state()).toMatchObject({ ageSeconds: 300, renewalFailingSeconds: 0 })
    line.lose(BUNDLE, 0)
    await pass(5 * SECOND)
    expect(keeper.state()).toMatchObject({ ageSeconds: 0 })
  })
})

describe('what is answered is checked', () => {
  const other = (line: Line) => createState(line.authority.clock.now())
  const table: Record<string, [string, (line: Line) => Promise<Line['tamper']>]> = {
    'an answer that is cut': [
      'answer-malformed',
      async () => (route, answer) =>
        route === POST ? { ...answer, body: answer.body.slice(0, 99) } : answer,
    ],
    'another SPIFFE ID than in the certificate': [
      'answer-untrusted',
      async () => (route, answer) =>
        route === POST ? { ...answer, body: answer.body.replace(GATEWAY, `${GATEWAY}s`) } : answer,
    ],
    'a certificate without its issuing CA': [
      'answer-untrusted',
      async () => (route, answer) => {
        if (route !== POST) return answer
        const json = JSON.parse(answer.body) as { certificateChain: string }
        const [leaf = ''] = json.certificateChain.split(/(?<=-----END CERTIFICATE-----\n)/)
        return { ...answer, body: JSON.stringify({ ...json, certificateChain: leaf }) }
      },
    ],
    'a bundle whose roots are others': [
      'answer-untrusted',
      async (line) => {
        const { bundleText } = await other(line)
        return (route, answer) => (route === BUNDLE ? { ...answer, body: bundleText } : answer)
      },
    ],
    'a bundle without a root': [
      'answer-untrusted',
      async () => (route, answer) => (route === BUNDLE ? { ...answer, body: '{"keys":[]}' } : answer),
    ],
    'a bundle that is none': [
      'answer-untrusted',
      async () => (route, answer) => (route === BUNDLE ? { ...answer, body: '<html>' } : answer),
    ],
    'a redirect': ['answer-malformed', async () => () => ({ status: 302, body: '' })],
  }
  test.each(Object.entries(table))('%s is refused', async (_name, [code, tamper]) => {
    const { follow, pass, line, keeper, failures } = await start()
    line.tamper = await tamper(line)
    await follow()
    expect([keeper.current(), failures()[0]?.facts.code]).toEqual([null, code])
    line.tamper = (_route, answer) => answer
    await pass(5 * SECOND)
    expect(keeper.current()).not.toBeNull()
  })

  test('a certificate for a key of somebody else is refused', async () => {
    const { follow, line, keeper, failures } = await start()
    let first: string | null = null
    line.tamper = (route, answer) => {
      if (route === POST) first ??= answer.body
      return route === POST && first !== null ? { ...answer, body: first } : answer
    }
    await follow()
    const taken = keeper.current()
    expect(failures()).toEqual([])
    const again = await start()
    again.line.tamper = (route, answer) =>
      route === POST && first !== null ? { ...answer, body: first } : answer
    await again.follow()
    expect(again.keeper.current()).toBeNull()
    expect(String(again.failures()[0]?.facts.cause)).toMatch(/does not belong to the certificate/)
    expect(taken).not.toBeNull()
  })

  test('an identity of another trust domain is refused', async () => {
    const { follow, keeper, failures } = await start({}, { trustDomain: 'other.example' })
    await follow()
    expect([keeper.current(), failures()[0]?.facts.code]).toEqual([null, 'answer-untrusted'])
  })
})

describe('the bundle', () => {
  test('is taken when it changes, with the SVID that is at hand', async () => {
    const { follow, pass, line, keeper, serial } = await start()
    await follow()
    const [first, stamp] = [serial(), keeper.stamp]
    const added = readBundle((await createState(line.authority.clock.now())).bundleText, 'example.org')
    serve(line, (json) => ({
      ...json,
      keys: [...(json.keys as unknown[]), ...(JSON.parse(writeBundle(added)) as { keys: unknown[] }).keys],
      spiffe_sequence: 2,
    }))
    await pass(300 * SECOND)
    expect(keeper.current()?.bundle.x509Authorities).toHaveLength(2)
    expect(serial()).toBe(first)
    expect(keeper.stamp).not.toBe(stamp)
  })

  test('that comes as it was is no change', async () => {
    const { follow, pass, keeper } = await start()
    await follow()
    const { stamp } = keeper
    await pass(300 * SECOND)
    expect(keeper.stamp).toBe(stamp)
  })

  test.each<[string, number | undefined]>([
    ['a lower sequence', 4],
    ['none after one', undefined],
  ])('with %s is refused, also with a renewal, which goes on', async (_name, sequence) => {
    const { follow, pass, line, keeper, serial, failures } = await start()
    const at = (value: number | undefined) =>
      serve(line, ({ spiffe_sequence: _was, ...rest }) => ({
        ...rest,
        ...(value === undefined ? {} : { spiffe_sequence: value }),
      }))
    at(5)
    await follow()
    const first = serial()
    at(sequence)
    await pass(300 * SECOND)
    expect(failures()).toMatchObject([{ level: 'warn', facts: { code: 'bundle-went-back' } }])
    expect(keeper.current()?.bundle.sequence).toBe(5)
    await pass(12 * HOUR)
    expect(keeper.current()?.bundle.sequence).toBe(5)
    expect(serial()).not.toBe(first)
    expect(keeper.state()?.requests).toContainEqual({
      ...{ request: 'bundle', result: 'bundle-went-back' },
      count: expect.any(Number),
    })
  })

  test('without any root is refused, whatever its sequence', async () => {
    const { follow, pass, line, keeper, failures } = await start()
    await follow()
    const before = keeper.current()?.bundle
    serve(line, (json) => ({ ...json, keys: [], spiffe_sequence: 99 }))
    await pass(300 * SECOND)
    expect(failures()[0]?.facts).toMatchObject({
      code: 'answer-untrusted',
      cause: expect.stringContaining('holds no X.509 root'),
    })
    expect(keeper.current()?.bundle).toBe(before)
  })

  test('without the root of the own SVID is believed at once, and the SVID renewed at once', async () => {
    const { follow, pass, line, keeper, serial, failures } = await start()
    await follow()
    const first = serial()
    const strange = await createState(line.authority.clock.now())
    line.tamper = (route, answer) =>
      route === BUNDLE
        ? { ...answer, body: strange.bundleText.replace(/"spiffe_sequence":\d+/, '"spiffe_sequence":7') }
        : answer
    await pass(300 * SECOND)
    const sha = (one: X509Certificate | undefined) =>
      createHash('sha256')
        .update(one?.raw ?? '')
        .digest('hex')
    expect(sha(keeper.current()?.bundle.x509Authorities[0])).toBe(
      sha(readBundle(strange.bundleText, 'example.org').x509Authorities[0]),
    )
    // This authority still signs by the other root, so that nothing better can be had.
    expect(failures().map(({ facts }) => facts.code ?? 'leads to no root')).toEqual([
      'leads to no root',
      'answer-untrusted',
    ])
    expect(serial()).toBe(first)
  })
})

describe('what the proof is made of', () => {
  test('a token file is read anew for each proof, and a token that stays keeps its key', async () => {
    const made = await start()
    const texts = [await made.line.authority.token()]
    const reads: string[] = []
    const source = {
      ...made.source,
      token: tokenFileSource('/run/token', 'oidcTokenFile', async (file) => {
        reads.push(file)
        return `${texts.at(-1)}\n`
      }),
    }
    made.keeper.follow(source)
    await made.asleep()
    const key = () => made.keeper.current()?.keyPair.key.reveal()
    const first = key()
    texts.push(
      await made.line.authority.token({ exp: Math.floor(made.clock.now().getTime() / 1000) + 50_000 }),
    )
    await made.pass(12 * HOUR)
    expect(reads).toEqual(['/run/token', '/run/token'])
    expect(key()).not.toBe(first)
    for (const text of texts) expect(JSON.stringify(made.logged)).not.toContain(text)
  })

  test('what cannot be read has its own code', async () => {
    const made = await start()
    made.token.read = () => tokenFileSource('/nowhere/token', 'oidcTokenFile').read()
    await made.follow()
    expect(made.failures()[0]?.facts).toMatchObject({
      code: 'token-unreadable',
      cause: 'oidcTokenFile /nowhere/token: ENOENT',
    })
    const roots = await start()
    const source = { ...roots.source, readRoots: () => Promise.reject(new Error('no such file')) }
    roots.keeper.follow(source)
    await roots.asleep()
    expect(roots.failures()[0]?.facts).toMatchObject({
      code: 'roots-unreadable',
      cause: 'identity.authority.roots: no such file',
    })
  })

  test('a refused proof is told apart from an authority that is away', async () => {
    const made = await start()
    made.token.read = async () => new Secret(await made.line.authority.token({ sub: 'somebody' }))
    await made.follow()
    expect(made.failures()[0]?.facts.code).toBe('registration-refused')
  })

  test('what is no expected failure is one too, and asked again', async () => {
    const made = await start()
    made.token.read = () => Promise.reject(new TypeError('bug'))
    await made.follow()
    expect(made.failures()[0]?.facts).toMatchObject({ code: 'internal-error', err: { message: 'bug' } })
    expect(made.time.waits()).toEqual([5_000])
  })
})

describe('over configurations', () => {
  test('the same settings go on, others ask at once and keep what is there till then', async () => {
    const { follow, keeper, source, line, serial, asleep, time } = await start()
    await follow()
    const first = serial()
    keeper.follow({ ...source, settings: { ...source.settings } })
    expect(line.sent).toHaveLength(2)
    line.lose(POST, 3)
    keeper.follow({ ...source, settings: { ...source.settings, ttlSeconds: 600 } })
    expect(serial()).toBe(first)
    await expect.poll(() => line.sent.length).toBe(5)
    await asleep()
    expect(serial()).toBe(first)
    line.authority.clock.advance(5 * SECOND)
    time.wake()
    await expect.poll(serial).not.toBe(first)
  })

  test('none: nothing is held, and nobody asks any more', async () => {
    const { follow, keeper, time } = await start()
    await follow()
    keeper.follow(null)
    expect([keeper.current(), keeper.state()]).toEqual([null, null])
    time.wake()
    expect(keeper.current()).toBeNull()
  })

  test('a wait ends with the signal, and disposal with a request that is under way', async () => {
    const { keeper, source, line } = await start()
    const stop = new AbortController()
    const waiting = keeper.untilIssued(stop.signal)
    stop.abort(new Error('enough'))
    await expect(waiting).rejects.toThrow('enough')
    line.tamper = () => {
      throw new Error('never')
    }
    keeper.follow({ ...source, readRoots: () => new Promise(() => {}) })
    await keeper[Symbol.asyncDispose]()
    expect(keeper.current()).toBeNull()
  })
})
