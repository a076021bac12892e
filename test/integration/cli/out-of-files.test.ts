// A gateway process with few file descriptors: it refuses what it cannot afford, with the reason, keeps what it needs
// itself, and takes connections again when there is room.
import { spawn } from 'node:child_process'
import net from 'node:net'
import path from 'node:path'
import { expect, test, vi } from 'vitest'
import { connect } from '../../fixtures/connect-client.ts'
import { REPOSITORY } from '../../fixtures/sallyport.ts'
import { createWorld } from '../../fixtures/world.ts'

test('more connections than files are refused and recorded, and then it goes on', async () => {
  await using world = await createWorld()
  await world.file('policy.cedar', '@id("all") permit (principal is Workload, action, resource);')
  const config = await world.file(
    'gateway.yaml',
    `version: 1
trustDomain: example.org
identity:
  files: {certificate: pki/gateway.pem, key: pki/gateway.key, bundle: pki/bundle.pem}
listeners: [{name: proxy, address: "127.0.0.1:0", protocol: connect}]
destinations: [{name: partner, hosts: [partner.test], ports: [443]}]
policy: {files: [policy.cedar]}
health: {address: "127.0.0.1:0"}
admin: {address: "127.0.0.1:0"}
`,
  )
  const main = path.join(REPOSITORY, 'cli/main.ts')
  // Node opens its source files one after the other, so that it starts with few; what is left is for connections.
  const command = `ulimit -n 80; exec "${process.execPath}" "${main}" gateway --config "${config}"`
  const child = spawn('/bin/sh', ['-c', command], { stdio: ['ignore', 'pipe', 'pipe'] })
  const exited = new Promise((resolve) => child.on('close', resolve))
  let [stdout, stderr] = ['', '']
  child.stdout.on('data', (chunk: Buffer) => {
    stdout += chunk.toString()
  })
  child.stderr.on('data', (chunk: Buffer) => {
    stderr += chunk.toString()
  })
  try {
    await vi.waitFor(() => expect(stdout, stderr).toContain('"event":"ready"'), {
      timeout: 20_000,
      interval: 50,
    })
    const port = Number(/"listener":"proxy","address":"127\.0\.0\.1:(\d+)"/.exec(stdout)?.[1])
    const sockets = Array.from({ length: 100 }, () =>
      net.connect({ host: '127.0.0.1', port }).on('error', () => {}),
    )
    await vi.waitFor(() => expect(stdout).toContain('"code":"limit-connections"'), {
      timeout: 10_000,
      interval: 20,
    })
    for (const socket of sockets) socket.destroy()
    const svid = await world.svid('/payments')
    await vi.waitFor(
      async () =>
        expect((await connect(world, port, { svid, target: 'elsewhere.test:443' })).status).toBe(403),
      { timeout: 10_000, interval: 100 },
    )
    expect(child.exitCode).toBeNull()
    expect(stderr).not.toContain('EMFILE')
  } finally {
    child.kill('SIGKILL')
    await exited
  }
})
