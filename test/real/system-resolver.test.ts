// The system's own DNS configuration, with a hosts file and a search suffix that libc follows, as the control shows, and
// the gateway does not. The files are those of a mount namespace, port 53 that of a network namespace.
import { mkdtempDisposable, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { expect, test } from 'vitest'
import { needProgram, run } from '../fixtures/process.ts'

const PROGRAM = path.join(import.meta.dirname, 'system-resolver.ts')
const SCRIPT = `set -e
mount --bind "$1/hosts" /etc/hosts
mount --bind "$1/resolv.conf" /etc/resolv.conf
"$2" link set lo up
exec "$3" "$4"`

test('neither a hosts file nor a search suffix leads the gateway anywhere', async () => {
  const unshare = await needProgram('unshare')
  const ip = await needProgram('ip')
  await using directory = await mkdtempDisposable(path.join(tmpdir(), 'sallyport-resolver-'))
  await writeFile(path.join(directory.path, 'hosts'), '203.0.113.66 bank\n')
  const resolvConf = 'nameserver 127.0.0.1\nsearch corp.example\noptions ndots:5\n'
  await writeFile(path.join(directory.path, 'resolv.conf'), resolvConf)
  const inside = ['/bin/bash', '-c', SCRIPT, 'bash', directory.path, ip, process.execPath, PROGRAM]
  const { code, stdout, stderr } = await run(unshare, ['--mount', '--net', ...inside])
  expect({ code, stderr: stderr.replaceAll(/\(node:.*\n|\(Use .*\n/g, '') }).toEqual({ code: 0, stderr: '' })
  expect(JSON.parse(stdout)).toEqual({
    libc: ['203.0.113.66', '203.0.113.66'],
    ours: [['192.0.2.1'], 'dns-not-found'],
    queries: ['A bank', 'A teller', 'AAAA bank', 'AAAA teller'],
  })
})
