// `sallyport dev`: the story as a stranger runs it, in a directory of its own, and the curl command that it prints.
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import { describe, expect, test } from 'vitest'
import { runSallyport, startSallyport } from '../../fixtures/sallyport.ts'

async function emptyDirectory() {
  const directory = await mkdtemp(path.join(os.tmpdir(), 'sallyport-dev-'))
  return {
    directory,
    file: (name: string) => path.join(directory, '.sallyport', name),
    [Symbol.asyncDispose]: () => rm(directory, { recursive: true, force: true }),
  }
}

const STEPS = [
  'authority',
  'gateway',
  'payments gets an identity',
  'payments reaches the partner',
  'reports gets an identity',
  'reports is refused',
  'agent gets an identity',
  'agent is kept from instance credentials',
  'audit records',
]

interface Report {
  readonly steps: readonly { readonly name: string; readonly ok: boolean; readonly detail: string }[]
  readonly auditRecords: number
}

describe('sallyport dev', () => {
  test('--once --json tells the story with its evidence, twice in one directory with one CA', async () => {
    await using place = await emptyDirectory()
    const rootOf = () => readFile(place.file('pki/bundle.pem'), 'utf8')
    let root = ''
    for (const run of [1, 2]) {
      const { code, stdout } = await runSallyport(['dev', '--once', '--json'], { cwd: place.directory })
      const { steps, auditRecords } = JSON.parse(stdout) as Report
      expect(steps.filter(({ ok }) => !ok)).toEqual([])
      expect(steps.map(({ name }) => name)).toEqual(STEPS)
      expect({ code, auditRecords, lines: stdout.trimEnd().split('\n').length }).toEqual({
        code: 0,
        auditRecords: 3,
        lines: 1,
      })
      const detail = (name: string) => steps.find((step) => step.name === name)?.detail
      expect(detail('payments reaches the partner')).toContain('CN=acme-payments')
      expect(detail('reports is refused')).toContain('policy-denied')
      expect(detail('agent is kept from instance credentials')).toContain('address-metadata')
      if (run === 2) expect(await rootOf()).toBe(root)
      root = await rootOf()
    }
    // The workload has its own key and certificate; the partner's key is elsewhere, and nobody else can read either.
    for (const name of ['workloads/payments-api.key', 'pki/bank-payments.key'])
      expect((await stat(place.file(name))).mode & 0o077).toBe(0)
  })

  test('stays up, prints the addresses, and ends with 0 on SIGTERM', async () => {
    await using place = await emptyDirectory()
    await using dev = startSallyport(['dev'], { cwd: place.directory })
    await expect.poll(dev.stdout, { timeout: 20_000 }).toContain('Ctrl-C')
    expect(dev.stdout()).toContain('curl --proxytunnel --proxy https://localhost:')
    const metrics = /http:\/\/127\.0\.0\.1:\d+\/metrics/.exec(dev.stdout())?.[0] ?? ''
    expect(await (await fetch(metrics)).text()).toContain('sallyport_sessions_total')
    dev.signal('SIGTERM')
    expect(await dev.exited).toBe(0)
    expect(dev.stderr()).toBe('')
  })

  test('where it cannot start, that is a failed step, and the exit status is 1', async () => {
    await using place = await emptyDirectory()
    const file = path.join(place.directory, 'file')
    await writeFile(file, '')
    const args = ['dev', '--once', '--directory', path.join(file, 'below')]
    const asJson = await runSallyport([...args, '--json'])
    expect(asJson).toMatchObject({ code: 1, stderr: '' })
    expect(JSON.parse(asJson.stdout)).toEqual({
      steps: [{ name: 'start', ok: false, detail: expect.stringContaining('ENOTDIR') }],
      auditRecords: 0,
    })
    expect(await runSallyport(args)).toMatchObject({
      code: 1,
      stdout: expect.stringMatching(/✗ start\n  ENOTDIR/),
      stderr: '',
    })
  })

  test('with every port of the example taken it moves to others', async () => {
    await using first = await emptyDirectory()
    await using second = await emptyDirectory()
    await using dev = startSallyport(['dev'], { cwd: first.directory })
    await expect.poll(dev.stdout, { timeout: 20_000 }).toContain('Ctrl-C')
    const { code, stdout } = await runSallyport(['dev', '--once', '--json'], { cwd: second.directory })
    expect((JSON.parse(stdout) as Report).steps.filter(({ ok }) => !ok)).toEqual([])
    expect(code).toBe(0)
  })

  test('several that start in one moment give way to each other', async () => {
    await using places = new AsyncDisposableStack()
    const directories: string[] = []
    for (const _ of [1, 2, 3]) directories.push(places.use(await emptyDirectory()).directory)
    const runs = directories.map(async (cwd) => runSallyport(['dev', '--once', '--json'], { cwd }))
    const failures = (await Promise.all(runs)).flatMap(({ stdout }) =>
      (JSON.parse(stdout) as Report).steps.filter(({ ok }) => !ok),
    )
    expect(failures).toEqual([])
  })
})
