// The health port over raw sockets, with the bytes that an AWS NLB sends when PROXY protocol v2 is on.
import net from 'node:net'
import { describe, expect, test } from 'vitest'
import { startHealth } from '../../../gateway/admin/health.ts'

const LOOPBACK = { host: '127.0.0.1', port: 0 }
const SIGNATURE = '0d0a0d0a000d0a515549540a'
const CHECK =
  'GET /readyz HTTP/1.1\r\nHost: 10.0.1.7:9902\r\nConnection: close\r\nUser-Agent: ELB-HealthChecker/2.0\r\n\r\n'

/** 10.0.0.5:41234 to 10.0.1.7:9902 (proxy-protocol.txt §2.2), PP2_TYPE_CRC32C and AWS's VPC endpoint TLV (0xEA). */
const PROXY_WITH_TLVS = header(
  '2111',
  '0a000005' +
    '0a000107' +
    'a112' +
    '26ae' +
    '030004' +
    'deadbeef' +
    'ea0016' +
    '01' +
    Buffer.from('vpce-0123456789abcdef0').toString('hex').slice(0, 42),
)
const LOCAL = header('2000', '')
const UNSPEC = header('2100', '')

function header(versionAndFamily: string, rest: string): Buffer {
  const length = (rest.length / 2).toString(16).padStart(4, '0')
  return Buffer.from(SIGNATURE + versionAndFamily + length + rest, 'hex')
}

function startPort(reason: string | null = null) {
  return startHealth({
    address: LOOPBACK,
    ready: () => ({ ok: reason === null, reason }),
    alive: () => ({ ok: reason !== 'policy-engine', reason: null }),
  })
}

/** Sends each piece as a segment of its own and reads to the end. */
async function talk(port: number, pieces: readonly (Buffer | string)[]): Promise<string> {
  const socket = net.connect({ port, host: '127.0.0.1', noDelay: true, allowHalfOpen: true })
  socket.on('error', () => {})
  let text = ''
  socket.on('data', (chunk: Buffer) => {
    text += chunk.toString()
  })
  const closed = new Promise((resolve) => socket.once('close', resolve))
  socket.on('end', () => socket.end())
  for (const piece of pieces) await new Promise((resolve) => socket.write(piece, resolve))
  await closed
  return text
}

describe('the health port', () => {
  test.for<[string, readonly (Buffer | string)[]]>([
    ['no header', [CHECK]],
    ['LOCAL, as NLB sends it for its own checks', [LOCAL, CHECK]],
    ['PROXY with family UNSPEC', [UNSPEC, CHECK]],
    ['PROXY with addresses and TLVs', [PROXY_WITH_TLVS, CHECK]],
    ['the header and the request in one segment', [Buffer.concat([PROXY_WITH_TLVS, Buffer.from(CHECK)])]],
    ['the header byte by byte', [...splitBytes(PROXY_WITH_TLVS), CHECK]],
    ['the request byte by byte', [LOCAL, ...splitBytes(Buffer.from(CHECK))]],
  ])('answers behind %s', async ([, pieces]) => {
    await using health = await startPort()
    const answer = await talk(health.address.port, pieces)
    expect(answer).toMatch(/^HTTP\/1\.1 200 OK\r\n/)
    expect(answer).toContain('{"ok":true,"reason":null}')
  })

  test('/readyz is 503 with its reason, and /livez stays 200', async () => {
    await using health = await startPort('draining')
    expect(await talk(health.address.port, [LOCAL, CHECK])).toMatch(/^HTTP\/1\.1 503 [^]*"reason":"draining"/)
    const livez = CHECK.replace('/readyz', '/livez')
    expect(await talk(health.address.port, [livez])).toMatch(/^HTTP\/1\.1 200 /)
  })

  test('/livez is 503 where only a restart helps', async () => {
    await using health = await startPort('policy-engine')
    const livez = CHECK.replace('/readyz', '/livez')
    expect(await talk(health.address.port, [livez])).toMatch(/^HTTP\/1\.1 503 /)
  })

  test.for<[string, string]>([
    ['another path', 'GET /metrics HTTP/1.1'],
    ['another method', 'POST /readyz HTTP/1.1'],
    ['a query', 'GET /readyz?x HTTP/1.1'],
  ])('%s is 404', async ([, line]) => {
    await using health = await startPort()
    expect(await talk(health.address.port, [CHECK.replace('GET /readyz HTTP/1.1', line)])).toMatch(
      /^HTTP\/1\.1 404 /,
    )
  })

  test.for<[string, readonly (Buffer | string)[]]>([
    ['a header longer than any balancer sends', [header('2111', '00'.repeat(2000)), CHECK]],
    ['a second header', [LOCAL, LOCAL, CHECK]],
    ['a header of version 3', [header('3100', ''), CHECK]],
    ['a header whose addresses are cut short', [header('2111', '0a000005'), CHECK]],
    ['PROXY protocol v1', ['PROXY TCP4 10.0.0.5 10.0.1.7 41234 9902\r\n', CHECK]],
    ['TLS', [Buffer.from('16030100c8010000c40303', 'hex')]],
  ])('%s gets no answer but a refusal', async ([, pieces]) => {
    await using health = await startPort()
    expect(await talk(health.address.port, pieces)).not.toMatch(/^HTTP\/1\.1 200 /)
    // And the port lives on.
    expect(await talk(health.address.port, [CHECK])).toMatch(/^HTTP\/1\.1 200 /)
  })
})

function splitBytes(bytes: Buffer): Buffer[] {
  return Array.from(bytes, (byte) => Buffer.from([byte]))
}
