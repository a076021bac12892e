// Runs in namespaces of its own, where /etc/hosts and /etc/resolv.conf lead astray: what libc makes of two names there,
// and what the gateway's resolver does. Prints one line of JSON.
import { lookup } from 'node:dns/promises'
import { createResolve } from '../../gateway/upstream/resolve.ts'
import { ask, LIMITS, NO_SUCH_NAME, NONE, v4 } from '../integration/upstream/dns-answers.ts'
import { fakeDns } from '../integration/upstream/fake-dns.ts'

const ANSWERS = new Map([
  ['bank', v4('192.0.2.1')],
  ['teller.corp.example', v4('203.0.113.66')],
])

await using dns = await fakeDns((type, name) => {
  const found = ANSWERS.get(name)
  return found === undefined ? NO_SUCH_NAME : type === 'A' ? found : NONE
}, 53)
const libc: string[] = []
for (const name of ['bank', 'teller']) libc.push((await lookup(name, 4)).address)
const before = dns.queries.length
const resolve = createResolve({ limits: LIMITS })
const ours = [(await ask(resolve, 'bank')).result, (await ask(resolve, 'teller')).result]
const queries = dns.queries.slice(before).sort()
process.stdout.write(`${JSON.stringify({ libc, ours, queries })}\n`)
