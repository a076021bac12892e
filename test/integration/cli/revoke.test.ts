// `sallyport revoke` on a file and on AppConfig's control API: what it writes, what it waits for, and what it leaves alone.
import { mkdtemp, readdir, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import { describe, expect, test } from 'vitest'
import { runRevoke, type RevokeOptions } from '../../../cli/revoke/run.ts'
import { type FakeAppConfigControl, startFakeAppConfigControl } from '../../fakes/aws/appconfig-control.ts'
import { runSallyport } from '../../fixtures/sallyport.ts'

const NAME = 'appconfig:sallyport-prod-revocations/gateway/revocations'
const ALICE = 'spiffe://example.org/payments/alice'
const OTHER = '- { serialNumber: "5f0a91", reason: key found } # by Bob\n'

async function run(options: Partial<RevokeOptions>, aws: FakeAppConfigControl | null = null) {
  let [out, err] = ['', '']
  const code = await runRevoke(
    { timeout: '30s', ...options },
    {
      env: {},
      pollMs: 1,
      now: () => new Date('2026-11-26T12:00:00Z'),
      client: aws?.client ?? (() => Promise.reject(new Error('not asked for'))),
      stdout: { write: (text) => void (out += text) },
      stderr: { write: (text) => void (err += text) },
    },
  )
  return { code, out, err }
}

const alice = (changes: Partial<RevokeOptions> = {}) => ({ workload: ALICE, reason: 'INC-7', ...changes })
const asked = (changes: Partial<RevokeOptions> = {}) => alice({ revocations: NAME, ...changes })
const LINE = `- { workload: "${ALICE}", reason: "INC-7" }\n`

async function file(stack: AsyncDisposableStack, text: string) {
  const directory = await mkdtemp(path.join(os.tmpdir(), 'sallyport-revoke-'))
  stack.defer(() => rm(directory, { recursive: true, force: true }))
  const name = path.join(directory, 'revocations.yaml')
  await writeFile(name, text, { mode: 0o640 })
  return { directory, name, text: () => readFile(name, 'utf8') }
}

describe('a list in a file', () => {
  test('gets the entry, keeps its mode, and is a whole file at any time', async () => {
    await using stack = new AsyncDisposableStack()
    const list = await file(stack, OTHER)
    const before = await stat(list.name)
    const { code, out } = await run(alice({ revocations: list.name }))
    expect({ code, text: await list.text() }).toEqual({ code: 0, text: `${OTHER}${LINE}` })
    expect(out).toBe(`revoked workload ${ALICE}: INC-7\n  in file:${list.name}\n`)
    const after = await stat(list.name)
    expect(after.mode & 0o777).toBe(0o640)
    // Another file by the same name: who reads meanwhile reads the old one to its end.
    expect(after.ino).not.toBe(before.ino)
    expect(await readdir(list.directory)).toEqual(['revocations.yaml'])
  })

  test('through a link, which stays one', async () => {
    await using stack = new AsyncDisposableStack()
    const list = await file(stack, '[]\n')
    const link = path.join(list.directory, 'link.yaml')
    await symlink('revocations.yaml', link)
    expect((await run(alice({ revocations: `file:${link}` }))).code).toBe(0)
    expect(await list.text()).toBe(LINE)
    expect((await readdir(list.directory)).toSorted()).toEqual(['link.yaml', 'revocations.yaml'])
  })

  test('what is revoked already is said, and nothing is written', async () => {
    await using stack = new AsyncDisposableStack()
    const list = await file(stack, LINE)
    const { code, err } = await run(alice({ revocations: list.name, reason: 'again' }))
    expect({ code, err }).toEqual({ code: 1, err: `sallyport: ${ALICE} is revoked already: INC-7\n` })
    expect(await list.text()).toBe(LINE)
  })

  test('is shown, and given back an entry', async () => {
    await using stack = new AsyncDisposableStack()
    const past = '- { destination: old, reason: x, until: 2026-01-01T00:00:00Z }\n'
    const list = await file(stack, `${OTHER}${past}`)
    expect((await run({ list: true, revocations: list.name })).out).toBe(
      `file:${list.name}: 2 entries\nserialNumber 5f0a91: key found\n(past) destination old until 2026-01-01T00:00:00.000Z: x\n`,
    )
    const { code, out } = await run({ remove: true, serial: '5f0a91', revocations: list.name, json: true })
    expect(code).toBe(0)
    expect(JSON.parse(out)).toMatchObject({ ok: true, removed: [{ value: '5f0a91' }], deployment: null })
    expect(await list.text()).toBe(past)
    expect((await run({ remove: true, serial: '5f0a91', revocations: list.name })).code).toBe(1)
  })

  test('that is not there is not made, and one that is broken is not touched', async () => {
    await using stack = new AsyncDisposableStack()
    const list = await file(stack, 'revocations: []\n')
    const missing = await run(alice({ revocations: `${list.name}.none` }))
    expect(missing).toMatchObject({ code: 1, err: expect.stringMatching(/no such file.*\[\] in it/) })
    expect((await run(alice({ revocations: list.name }))).code).toBe(1)
    expect(await list.text()).toBe('revocations: []\n')
    expect(await readdir(list.directory)).toHaveLength(1)
  })
})

describe('wrong use', () => {
  test.for<[string, Partial<RevokeOptions>, RegExp]>([
    ['no source', alice(), /--revocations or SALLYPORT_REVOCATIONS/],
    ['nothing named', { reason: 'x', revocations: 'f' }, /name one of/],
    ['two named', asked({ serial: '01' }), /name one of/],
    ['no reason', { workload: ALICE, revocations: 'f' }, /--reason/],
    ['no name of a profile', asked({ revocations: 'appconfig:one/two' }), /appconfig:<application>/],
    ['no duration', asked({ timeout: 'soon' }), /--timeout/],
    ['a strategy for a file', alice({ revocations: 'f', strategy: 'x' }), /--strategy/],
    ['a reason to remove', asked({ remove: true }), /--remove/],
    ['two commands in one', { list: true, remove: true, revocations: 'f' }, /one of them/],
    ['a value of another form', asked({ workload: 'alice' }), /--workload: expected/],
  ])('%s', async ([, options, message]) => {
    const { code, err, out } = await run(options)
    expect({ code, out }).toEqual({ code: 2, out: '' })
    expect(err).toMatch(message)
  })
})

describe('a list in AppConfig', () => {
  test('gets the entry over its newest version, and the new one is deployed', async () => {
    await using aws = await startFakeAppConfigControl(OTHER)
    const { code, out } = await run(asked(), aws)
    expect(code).toBe(0)
    expect(out).toBe(`revoked workload ${ALICE}: INC-7\n  in ${NAME}, version 2, deployment 2 COMPLETE\n`)
    expect(aws.deployed()).toBe(`${OTHER}${LINE}`)
    expect(aws.profile.versions[1]).toMatchObject({
      ...{ description: `revoked: workload ${ALICE}: INC-7`, contentType: 'application/x-yaml' },
    })
    const removed = await run({ remove: true, workload: ALICE, revocations: NAME }, aws)
    expect(removed.code).toBe(0)
    expect(aws.deployed()).toBe(OTHER)
  })

  test('one that another operator changes meanwhile loses nothing', async () => {
    await using aws = await startFakeAppConfigControl(OTHER)
    const bob = '- { tokenId: bob, reason: x }\n'
    aws.before = (what) => {
      if (!what.startsWith('POST hosted')) return
      aws.before = null
      aws.write(`${OTHER}${bob}`)
    }
    expect((await run(asked(), aws)).code).toBe(0)
    expect(aws.deployed()).toBe(`${OTHER}${bob}${LINE}`)
  })

  test('waits for a deployment that is running, and deploys what is newest then', async () => {
    await using aws = await startFakeAppConfigControl(OTHER)
    aws.steps = 3
    aws.begin(1)
    const { code, out } = await run(asked({ json: true }), aws)
    expect(code).toBe(0)
    expect(JSON.parse(out)).toMatchObject({ version: 2, deployment: { number: 3, state: 'COMPLETE' } })
    expect(aws.deployed()).toContain(ALICE)
  })

  test('an older list is not left in force over a newer one', async () => {
    await using aws = await startFakeAppConfigControl('[]\n')
    const bob = '- { tokenId: bob, reason: x }\n'
    aws.before = (what) => {
      if (what !== 'POST deployments') return
      aws.before = null
      // Bob reads ours, writes his over it, and his deployment is over before ours begins.
      aws.steps = 0
      aws.begin(aws.write(`${LINE}${bob}`))
    }
    const { code, out } = await run(asked({ json: true }), aws)
    expect({ code, version: (JSON.parse(out) as { version: number }).version }).toEqual({
      code: 0,
      version: 3,
    })
    expect(aws.deployed()).toBe(`${LINE}${bob}`)
  })

  test('a newer list without the entry is no success', async () => {
    await using aws = await startFakeAppConfigControl('[]\n')
    aws.before = (what) => {
      if (what !== 'POST deployments') return
      aws.before = null
      aws.write('[]\n')
    }
    const { code, err } = await run(asked(), aws)
    expect(code).toBe(1)
    expect(err).toContain('version 2 is written, and version 3, which somebody else wrote without it')
  })

  test('what was written and not deployed is deployed by the same command', async () => {
    await using aws = await startFakeAppConfigControl('[]\n')
    aws.steps = 1_000_000
    aws.begin(1)
    const first = await run(asked({ timeout: '0s' }), aws)
    expect(first).toMatchObject({
      code: 1,
      err: expect.stringMatching(/version 2 is written and not deployed/),
    })
    for (const one of aws.deployments) one.state = 'COMPLETE'
    aws.steps = 1
    expect((await run(asked(), aws)).code).toBe(0)
    expect({ versions: aws.profile.versions.length, deployed: aws.deployed() }).toEqual({
      ...{ versions: 2, deployed: LINE },
    })
    const third = await run(asked(), aws)
    expect(third).toMatchObject({ code: 1, err: expect.stringContaining('is revoked already') })
  })

  test('a deployment that is undone is no success', async () => {
    await using aws = await startFakeAppConfigControl('[]\n')
    aws.ending = 'ROLLED_BACK'
    const { code, err } = await run(asked(), aws)
    expect(code).toBe(1)
    expect(err).toContain('version 2 is written, and its deployment 2 is ROLLED_BACK')
  })

  test.for<[string, Partial<RevokeOptions>, RegExp]>([
    [
      'application',
      { revocations: 'appconfig:none/gateway/revocations' },
      /no application none \(known here: alpha, beta, gamma, sallyport-prod-revocations\)/,
    ],
    ['environment', { revocations: NAME.replace('gateway', 'none') }, /no environment none/],
    ['profile', { revocations: `${NAME}2` }, /no configuration profile revocations2/],
    ['strategy', { strategy: 'none' }, /no deployment strategy none .*--strategy takes another/],
  ])('an %s that is not there is said', async ([, options, message]) => {
    await using aws = await startFakeAppConfigControl()
    expect(await run(asked(options), aws)).toMatchObject({ code: 1, err: expect.stringMatching(message) })
  })

  test('two of one name are told apart by their ids alone', async () => {
    await using aws = await startFakeAppConfigControl('[]\n', 'gateway')
    aws.strategies.push({ Id: 'str5678', Name: 'sallyport-prod-revocations', FinalBakeTimeInMinutes: 0 })
    const ids = 'appconfig:app1234/env1234/pro1234'
    expect(
      await run(asked({ revocations: ids.replace('app1234', 'sallyport-prod-revocations') }), aws),
    ).toMatchObject({
      ...{ code: 1, err: expect.stringContaining('2 have the name or id') },
    })
    expect((await run(asked({ revocations: ids, strategy: 'str5678' }), aws)).code).toBe(0)
  })

  test('what AWS refuses is said in its words, and a profile without a version too', async () => {
    await using aws = await startFakeAppConfigControl('')
    expect((await run(asked(), aws)).err).toMatch(/has no version: deploy the list without an entry/)
    aws.failing = 'AccessDeniedException'
    expect(await run(asked({ json: true }), aws)).toMatchObject({
      code: 1,
      out: expect.stringMatching(/^{"ok":false,"code":"appconfig-refused","message":".*AccessDenied/),
    })
  })
})

test('as a command, by the environment', async () => {
  await using aws = await startFakeAppConfigControl('[]\n')
  aws.steps = 1
  const env = {
    SALLYPORT_REVOCATIONS: NAME,
    AWS_ENDPOINT_URL_APPCONFIG: aws.endpoint,
    AWS_ACCESS_KEY_ID: 'test',
    AWS_SECRET_ACCESS_KEY: 'test',
    AWS_REGION: 'eu-west-1',
    AWS_CONFIG_FILE: '/nonexistent',
    AWS_SHARED_CREDENTIALS_FILE: '/nonexistent',
  }
  const done = await runSallyport(['revoke', '--workload', ALICE, '--reason', 'INC-7', '--json'], { env })
  expect(done).toMatchObject({ code: 0, stderr: '' })
  expect(JSON.parse(done.stdout)).toMatchObject({
    ...{ ok: true, source: NAME, version: 2, revoked: { selector: 'workload', value: ALICE, until: null } },
  })
  expect(aws.deployed()).toBe(LINE)
  const wrong = await runSallyport(['revoke', '--workload', ALICE], { env })
  expect(wrong).toMatchObject({ code: 2, stdout: '', stderr: expect.stringContaining('--reason') })
})
