// `sallyport sessions … --ecs`: every task of a service is asked over mTLS, and who does not answer is named.
import net from 'node:net'
import path from 'node:path'
import { expect, test } from 'vitest'
import { startFakeEcs } from '../../fakes/aws/ecs.ts'
import { runSallyport } from '../../fixtures/sallyport.ts'
import { scene } from './living-scene.ts'

/** A task's address: all have the same admin port, as those of a service do. */
async function taskAddress(host: string, port: number, to: number) {
  const live = new Set<net.Socket>()
  const server = net.createServer((socket) => {
    const onward = net.connect(to, '127.0.0.1')
    for (const one of [socket, onward]) live.add(one.on('error', () => undefined))
    socket.pipe(onward).pipe(socket)
  })
  await new Promise<void>((resolve) => server.listen(port, host, resolve))
  const bound = server.address()
  return {
    port: typeof bound === 'object' && bound !== null ? bound.port : 0,
    async [Symbol.asyncDispose]() {
      for (const one of live) one.destroy()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

const ADMIN = 'spiffe://example.org/sallyport/admin/**'

/** One gateway behind the addresses of two tasks. */
async function service() {
  const stack = new AsyncDisposableStack()
  const first = stack.use(await scene({ adminWorkloads: ADMIN }))
  const ecs = stack.use(await startFakeEcs())
  const adminPort = first.gateway.portOf('admin')
  const { port } = stack.use(await taskAddress('127.0.0.2', 0, adminPort))
  stack.use(await taskAddress('127.0.0.3', port, adminPort))
  const { chainPem, keyPem } = await first.svid('/sallyport/admin/alice')
  const files = {
    cert: await first.world.file('admin.pem', chainPem),
    key: await first.world.file('admin.key', keyPem),
    ca: path.join(first.world.directory, 'pki/bundle.pem'),
  }
  const tls = Object.entries(files).flatMap(([name, file]) => [`--${name}`, file])
  const env = {
    AWS_ENDPOINT_URL_ECS: ecs.endpoint,
    AWS_ACCESS_KEY_ID: 'test',
    AWS_SECRET_ACCESS_KEY: 'test',
    AWS_REGION: 'eu-west-1',
    AWS_CONFIG_FILE: '/nonexistent',
    AWS_SHARED_CREDENTIALS_FILE: '/nonexistent',
  }
  const target = ['--ecs', 'sallyport-prod/gateway', '--admin-port', String(port), ...tls]
  return {
    ...{ ecs, s: first },
    run: (command: string, ...args: string[]) =>
      runSallyport(['sessions', command, ...target, ...args], { env }),
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  }
}

test('lists the sessions of every task, those too of one that is about to end', async () => {
  await using all = await service()
  await all.s.open(await all.s.svid('/a'))
  all.ecs.tasks.push(
    { id: 'aaa', desired: 'RUNNING', status: 'RUNNING', address: '127.0.0.2' },
    { id: 'bbb', desired: 'STOPPED', status: 'DEACTIVATING', address: '127.0.0.3' },
    { id: 'ccc', desired: 'STOPPED', status: 'STOPPED', address: '127.0.0.4' },
  )
  const listed = await all.run('list')
  expect(listed).toMatchObject({ code: 0, stderr: '' })
  // Both addresses lead to the same gateway.
  const [heading, ...rows] = listed.stdout.trimEnd().split('\n')
  expect(heading).toMatch(/^TASK +ID +AGE/)
  expect(rows.map((row) => row.split(/ +/)[0])).toEqual(['aaa', 'bbb'])
  for (const row of rows) expect(row).toContain('spiffe://example.org/a')
})

test('closes in each task, by filter and by id, and says which task did not answer', async () => {
  await using all = await service()
  const [a, b] = [await all.s.open(await all.s.svid('/a')), await all.s.open(await all.s.svid('/b'))]
  all.ecs.tasks.push(
    { id: 'aaa', desired: 'RUNNING', status: 'RUNNING', address: '127.0.0.2' },
    { id: 'bbb', desired: 'RUNNING', status: 'PROVISIONING', address: null },
    { id: 'ccc', desired: 'RUNNING', status: 'RUNNING', address: '127.0.0.4' },
  )
  const closed = await all.run('close', '--workload', 'spiffe://example.org/a', '--json')
  expect(closed.code).toBe(1)
  expect(JSON.parse(closed.stdout)).toMatchObject({
    closed: 1,
    tasks: [
      { id: 'aaa', address: '127.0.0.2', answered: true, error: null },
      { id: 'bbb', address: null, answered: false, error: 'it has no network interface yet' },
      { id: 'ccc', address: '127.0.0.4', answered: false, error: expect.stringContaining('ECONNREFUSED') },
    ],
  })
  expect(closed.stderr).toMatch(
    /^task bbb \(no address\) did not answer.*\ntask ccc \(127\.0\.0\.4\) did not/,
  )
  expect((await a.ending).how).toBe('reset')
  await b.alive()

  all.ecs.tasks.splice(1)
  const { stdout } = await all.run('list', '--json')
  const { sessions } = JSON.parse(stdout) as { sessions: { id: string; task: string }[] }
  expect(sessions.map(({ task }) => task)).toEqual(['aaa'])
  const byId = await all.run('close', sessions[0]?.id ?? '', 'nobody')
  expect(byId).toMatchObject({
    code: 1,
    stdout: '1 closed\n',
    stderr: 'nobody: no task that answered has it\n',
  })
  expect((await b.ending).how).toBe('reset')
})

test('a service without tasks, one that is not there, and wrong use are told apart', async () => {
  await using all = await service()
  expect(await all.run('list')).toMatchObject({ code: 1, stderr: 'sallyport-prod/gateway has no task\n' })
  expect(await all.run('list', '--ecs', 'sallyport-prod/other')).toMatchObject({
    code: 1,
    stderr: expect.stringContaining('ServiceNotFoundException'),
  })
  expect((await all.run('list', '--ecs', 'gateway')).code).toBe(2)
  expect((await all.run('list', '--admin', 'https://127.0.0.2:1')).code).toBe(2)
  expect(await all.run('list', '--admin-port', 'x')).toMatchObject({ code: 2, stdout: '' })
})
