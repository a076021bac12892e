// git clones through the gateway with its own proxy settings: the repository lies on an nginx with TLS, as plain files
// (git's "dumb" protocol). Debian's git has a libcurl on GnuTLS, so a third TLS library is behind it.
import { mkdir, readFile } from 'node:fs/promises'
import path from 'node:path'
import { describe, expect, test } from 'vitest'
import { toLoopback } from '../fixtures/partner.ts'
import { freePort, needProgram, type Ran, run, startProgram } from '../fixtures/process.ts'
import { createWorld, startTestGateway, type World } from '../fixtures/world.ts'
import { bareEnvironment, opaqueDestination, partnerRoots, type SvidFiles, svidFiles } from './front-door.ts'

/** With nothing of the machine's or the user's configuration. */
async function git(world: World, args: readonly string[]): Promise<Ran> {
  const identity = {
    GIT_AUTHOR_NAME: 'a',
    GIT_AUTHOR_EMAIL: 'a@example.org',
    GIT_COMMITTER_NAME: 'a',
    GIT_COMMITTER_EMAIL: 'a@example.org',
  }
  const env = { GIT_CONFIG_NOSYSTEM: '1', GIT_TERMINAL_PROMPT: '0', ...identity }
  return run(
    await needProgram('git'),
    ['-C', world.directory, ...args],
    bareEnvironment(world.directory, env),
  )
}

async function good(ran: Promise<Ran>): Promise<string> {
  const { code, stdout, stderr } = await ran
  expect(code, stderr).toBe(0)
  return stdout.trim()
}

/** A bare repository of one commit at `site/repo.git`; the commit's name. */
async function makeRepository(world: World): Promise<string> {
  await good(git(world, ['init', '--quiet', '--initial-branch=main', 'work']))
  await world.file('work/README', 'hello from git\n')
  await good(git(world, ['-C', 'work', 'add', 'README']))
  await good(git(world, ['-C', 'work', 'commit', '--quiet', '--message', 'first']))
  await mkdir(path.join(world.directory, 'site'))
  await good(git(world, ['clone', '--quiet', '--bare', 'work', 'site/repo.git']))
  await good(git(world, ['-C', 'site/repo.git', 'update-server-info']))
  return good(git(world, ['-C', 'work', 'rev-parse', 'HEAD']))
}

async function startNginx(world: World) {
  const port = await freePort()
  const { chainPem, keyPem } = await world.partnerCa.issue({ cn: 'git.test', dns: ['git.test'] })
  const certificate = await world.file('nginx.pem', chainPem)
  const key = await world.file('nginx.key', keyPem)
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi']
  const config = await world.file(
    'nginx.conf',
    `daemon off; master_process off; pid ${world.directory}/nginx.pid; error_log stderr warn;
events { worker_connections 64; }
http {
  access_log off;
  ${temporary.map((name) => `${name}_temp_path ${world.directory}/${name};`).join(' ')}
  server {
    listen 127.0.0.1:${port} ssl;
    ssl_certificate ${certificate}; ssl_certificate_key ${key};
    root ${world.directory}/site;
  }
}
`,
  )
  const running = await startProgram(await needProgram('nginx'), ['-c', config, '-e', 'stderr'], port)
  return { port, [Symbol.asyncDispose]: () => running[Symbol.asyncDispose]() }
}

async function scene() {
  await using stack = new AsyncDisposableStack()
  const world = stack.use(await createWorld())
  const commit = await makeRepository(world)
  const { port } = stack.use(await startNginx(world))
  const gateway = stack.use(
    await startTestGateway(world, {
      destinations: opaqueDestination(port, 'git.test'),
      policy: '@id("p") permit (principal in Path::"spiffe://example.org/build", action, resource);',
      resolve: toLoopback,
    }),
  )
  const clone = (files: SvidFiles) => {
    const settings = {
      'http.proxy': `https://localhost:${gateway.port}`,
      'http.proxySSLCert': files.certificate,
      'http.proxySSLKey': files.key,
      'http.proxySSLCAInfo': files.bundle,
      'http.sslCAInfo': partnerRoots(world),
    }
    const given = Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`])
    return git(world, [...given, 'clone', `https://git.test:${port}/repo.git`, 'clone'])
  }
  const held = stack.move()
  return { world, commit, port, gateway, clone, [Symbol.asyncDispose]: () => held.disposeAsync() }
}

describe('git through the gateway', () => {
  test('clones with its SVID', async () => {
    await using s = await scene()
    await good(s.clone(await svidFiles(s.world, await s.world.svid('/build/ci'))))
    expect(await good(git(s.world, ['-C', 'clone', 'rev-parse', 'HEAD']))).toBe(s.commit)
    expect(await readFile(path.join(s.world.directory, 'clone/README'), 'utf8')).toBe('hello from git\n')
    const [record] = await s.gateway.closed(1)
    expect(record).toMatchObject({
      workload: 'spiffe://example.org/build/ci',
      requested: { host: 'git.test', port: s.port },
      decision: { result: 'allow', policies: ['p'] },
      outcome: { code: 'closed' },
    })
  })

  test('says 403 where policy does not name it', async () => {
    await using s = await scene()
    const { code, stderr } = await s.clone(await svidFiles(s.world, await s.world.svid('/reports')))
    expect(code).toBe(128)
    expect(stderr).toMatch(/CONNECT.* 403/)
    expect((await s.gateway.closed(1))[0]?.outcome.code).toBe('policy-denied')
  })
})
