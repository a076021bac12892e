// The package as a stranger gets it: packed, installed elsewhere without a registry, and used.
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { run } from '../../fixtures/process.ts'
import { REPOSITORY } from '../../fixtures/sallyport.ts'

const NPM = ['--offline', '--no-audit', '--no-fund', '--loglevel=error'] as const

let elsewhere = ''
/** The installed command's own file: on a test's Node, which is the pinned one. */
let command = ''

async function npm(...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await run('npm', args)
  expect(code, `npm ${args.join(' ')}: ${stderr}`).toBe(0)
  return stdout
}

beforeAll(async () => {
  elsewhere = await mkdtemp(path.join(os.tmpdir(), 'sallyport-package-'))
  await npm('pack', REPOSITORY, '--pack-destination', elsewhere, '--silent')
  const [tarball = ''] = await readdir(elsewhere)
  await npm('install', '--prefix', elsewhere, ...NPM, path.join(elsewhere, tarball))
  command = path.join(elsewhere, 'node_modules/sallyport/bin/sallyport.js')
})

afterAll(() => rm(elsewhere, { recursive: true, force: true }))

const sallyport = (...args: string[]) => run(process.execPath, [command, ...args])

describe('the package', () => {
  test('brings no dependency and no source or test', async () => {
    expect(
      (await readdir(path.join(elsewhere, 'node_modules'))).filter((name) => !name.startsWith('.')),
    ).toEqual(['sallyport'])
    expect((await readdir(path.join(elsewhere, 'node_modules/sallyport'))).sort()).toEqual(
      [
        ...['bin', 'dist', 'docs', 'examples', 'package.json'],
        ...['CHANGELOG.md', 'LICENSE', 'README.md', 'SECURITY.md'],
      ].sort(),
    )
  })

  test('its sallyport helps, and says 2 to a wrong command', async () => {
    const help = await sallyport('--help')
    expect(help).toMatchObject({ code: 0, stderr: '' })
    for (const name of ['dev', 'gateway', 'authority', 'identity', 'config'])
      expect(help.stdout).toContain(name)
    expect(await sallyport('gatway')).toMatchObject({ code: 2, stdout: '' })
  })

  test('its sallyport dev tells the whole story', async () => {
    const directory = path.join(elsewhere, 'run')
    const { code, stdout } = await sallyport('dev', '--once', '--json', '--directory', directory)
    const { steps } = JSON.parse(stdout) as { steps: { ok: boolean }[] }
    expect({ code, failed: steps.filter(({ ok }) => !ok), count: steps.length }).toEqual({
      code: 0,
      failed: [],
      count: 9,
    })
    const check = await sallyport('config', 'check', path.join(directory, 'gateway.yaml'))
    expect(check).toMatchObject({ code: 0, stderr: '' })
  })

  test('its gateway bundle, the one for the image, starts on its own', async () => {
    const gateway = path.join(elsewhere, 'node_modules/sallyport/dist/gateway.js')
    const wrong = await run(process.execPath, [gateway])
    expect(wrong).toMatchObject({ code: 2, stdout: '' })
    const missing = await run(process.execPath, [gateway, '--config', 'nothing.yaml'])
    expect(missing).toMatchObject({ code: 1, stderr: expect.stringMatching(/^nothing\.yaml: no such file/) })
  })

  test('its Lambda bundle answers an HTTP API 2.0 event', async () => {
    const bundle = path.join(elsewhere, 'node_modules/sallyport/dist/identity.js')
    const event = {
      version: '2.0',
      rawPath: '/v1/nothing',
      rawQueryString: '',
      headers: { host: 'identity.example.org' },
      requestContext: { domainName: 'identity.example.org', http: { method: 'GET', path: '/v1/nothing' } },
      isBase64Encoded: false,
    }
    const script = `import(${JSON.stringify(bundle)}).then(async ({ handler }) =>
      process.stdout.write(JSON.stringify(await handler(${JSON.stringify(event)}, {}))))`
    const env = { ...process.env, SALLYPORT_IDENTITY_CONFIG: '' }
    const { stdout } = await run(process.execPath, ['--input-type=module', '--eval', script], env)
    // Its log stands before the answer. Without configuration it answers, and says no more than that.
    expect(JSON.parse(stdout.split('\n').at(-1) ?? '')).toMatchObject({
      statusCode: 503,
      headers: { 'content-type': expect.stringContaining('application/problem+json') },
    })
  })
})
