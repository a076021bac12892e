// How a profile of AppConfig is named and asked: sessions, tokens that are good once, intervals and patience. The service
// here is a script; test/integration/gateway/appconfig.test.ts has the real SDK and the wire.
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  AppConfigPoller,
  type AppConfigProfile,
  parseAppConfig,
} from '../../../../gateway/config/appconfig.ts'

const NAME = 'appconfig:sallyport/production/gateway'

describe('a name of a profile', () => {
  test('has three parts', () => {
    expect(parseAppConfig(NAME)).toEqual({
      name: NAME,
      application: 'sallyport',
      environment: 'production',
      profile: 'gateway',
    })
  })

  test.for(['appconfig:a/b', 'appconfig:a/b/c/d', 'appconfig:a//c', 'appconfig:', 'a/b/c', `${NAME}/`])(
    '%s is none',
    (name) => {
      expect(parseAppConfig(name)).toBeNull()
    },
  )

  test('is read back from its parts', () => {
    const part = fc.string({ minLength: 1, maxLength: 64 }).filter((text) => !/[/\0\n]/.test(text))
    fc.assert(
      fc.property(part, part, part, (application, environment, profile) => {
        const name = `appconfig:${application}/${environment}/${profile}`
        expect(parseAppConfig(name)).toEqual({ name, application, environment, profile })
      }),
    )
  })
})

interface Answer {
  readonly text?: string
  readonly seconds?: number
  readonly error?: string
}

/** Answers each GetLatestConfiguration in turn, and notes what was sent. */
function scene(answers: readonly Answer[]) {
  let now = 0
  let tokens = 0
  const sent: string[] = []
  const queue = [...answers]
  const send = async (command: { readonly input: { readonly ConfigurationToken?: string } }) => {
    const { ConfigurationToken: token } = command.input
    if (token === undefined) {
      sent.push('start')
      tokens += 1
      return { InitialConfigurationToken: `t${tokens}` }
    }
    sent.push(token)
    const { text = '', seconds = 15, error } = queue.shift() ?? {}
    if (error !== undefined) throw Object.assign(new Error('no'), { name: error })
    tokens += 1
    return {
      NextPollConfigurationToken: `t${tokens}`,
      NextPollIntervalInSeconds: seconds,
      Configuration: Buffer.from(text),
      VersionLabel: '',
    }
  }
  const poller = new AppConfigPoller(parseAppConfig(NAME) as AppConfigProfile, {
    client: async () => ({ send }),
    monotonic: () => now,
    random: () => 1,
  })
  return {
    poller,
    sent,
    /** What a poll after so many seconds gives: the text, `none`, `-` where nothing was asked, or the problem. */
    async after(seconds: number, force = false) {
      now += seconds * 1000
      const { contact, document, problem } = await poller.poll(force)
      if (problem !== null) return problem
      if (document !== null) return Buffer.from(document.content).toString()
      return contact ? 'none' : '-'
    },
  }
}

test('a session is begun once, each token is shown once, and the service says when to come again', async () => {
  const { after, sent } = scene([{ text: 'one' }, {}, { text: 'two', seconds: 60 }, {}])
  expect(await after(0)).toBe('one')
  expect(await after(14.9)).toBe('-')
  expect(await after(0.1)).toBe('none')
  expect(await after(15)).toBe('two')
  expect(await after(59)).toBe('-')
  expect(await after(1)).toBe('none')
  expect(sent).toEqual(['start', 't1', 't2', 't3', 't4'])
})

test('a token that is refused begins a new session at once', async () => {
  const { after, sent } = scene([{ text: 'one' }, { error: 'BadRequestException' }, { text: 'two' }])
  await after(0)
  expect(await after(15)).toBe('two')
  expect(sent).toEqual(['start', 't1', 't2', 'start', 't3'])
})

test('patience grows where it does not answer, up to two minutes, and is forgotten when it does', async () => {
  const down: Answer = { error: 'InternalServerException' }
  const { after, sent } = scene([...Array.from({ length: 7 }, () => down), { text: 'one' }, down, {}])
  expect(await after(0)).toBe(`${NAME}: InternalServerException: no`)
  for (const seconds of [5, 10, 20, 40, 80, 120]) {
    expect(await after(seconds - 0.1)).toBe('-')
    expect(await after(0.1)).toMatch(/InternalServerException/)
  }
  expect(await after(120)).toBe('one')
  expect(await after(15)).toMatch(/InternalServerException/)
  expect(await after(5)).toBe('none')
  // What became of a token that got no answer, nobody knows: each attempt begins anew.
  expect(sent.filter((one) => one === 'start')).toHaveLength(9)
})

test('force asks at once, by a session of its own, for the whole document', async () => {
  const { after, sent } = scene([{ text: 'one' }, { text: 'one' }])
  await after(0)
  expect(await after(1, true)).toBe('one')
  expect(sent).toEqual(['start', 't1', 'start', 't3'])
})
