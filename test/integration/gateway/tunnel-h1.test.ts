import net from 'node:net'
import { describe, expect, test } from 'vitest'
import { connect, connectTls, readAnswer, readBody } from '../../fixtures/connect-client.ts'
import { partnerDestination, startPartner, startTcp, toLoopback } from '../../fixtures/partner.ts'
import { readToEnding } from '../../fixtures/sockets.ts'
import { createWorld, startTestGateway } from '../../fixtures/world.ts'

describe('a tunnel over HTTP/1.1 CONNECT', () => {
  test('reaches the partner over verified TLS and leaves a whole record', async () => {
    await using world = await createWorld()
    await using partner = await startPartner(world, (socket) => {
      socket.on('data', (chunk) => socket.write(`echo ${chunk}`))
      socket.on('end', () => socket.end())
    })
    await using gateway = await startTestGateway(world, {
      destinations: partnerDestination(partner.port),
      resolve: toLoopback,
    })
    const svid = await world.svid('/payments/api')
    const target = `partner.test:${partner.port}`
    const answer = await connect(world, gateway.port, { svid, target })
    expect(answer.head).toBe('HTTP/1.1 200 Connection established')
    answer.socket.end('hello')
    expect((await readToEnding(answer.socket)).data.toString()).toBe('echo hello')
    const [record] = await gateway.closed(1)
    expect(record).toMatchObject({
      event: 'session',
      listener: 'proxy',
      source: { ip: '127.0.0.1', vpcEndpoint: null },
      workload: 'spiffe://example.org/payments/api',
      credential: 'certificate',
      requested: { host: 'partner.test', port: partner.port, serverName: null },
      destination: 'partner',
      decision: { result: 'allow', mode: 'enforce', policies: ['all'], cached: false },
      upstream: {
        address: `127.0.0.1:${partner.port}`,
        serverName: 'partner.test',
        nameProof: 'certificate',
        tlsVersion: 'TLSv1.3',
        resumed: false,
        clientCertificateSha256: null,
        attempts: 1,
      },
      bytes: { sent: 5, received: 10 },
      outcome: { code: 'closed', by: 'client', hint: null },
    })
    const opened = gateway.events().find((event) => event.event === 'session.opened')
    expect(opened).toMatchObject({ id: record?.id, connection: record?.connection, destination: 'partner' })
    expect(await gateway.metric('sallyport_sessions_open')).toBe(0)
  })

  test('the opening record is written before the client is told', async () => {
    await using world = await createWorld()
    await using partner = await startPartner(world, (socket) => {
      socket.resume()
      socket.on('end', () => socket.end())
    })
    await using gateway = await startTestGateway(world, {
      destinations: partnerDestination(partner.port),
      resolve: toLoopback,
    })
    const target = `partner.test:${partner.port}`
    const answer = await connect(world, gateway.port, { svid: await world.svid('/a'), target })
    expect(answer.status).toBe(200)
    expect(gateway.events().map(({ event }) => event)).toEqual(['session.opened'])
    answer.socket.destroy()
    expect((await gateway.closed(1))[0]?.outcome.by).toBe('client')
  })

  test('bytes behind the header block belong to the tunnel', async () => {
    await using world = await createWorld()
    await using partner = await startPartner(world, (socket) => {
      socket.on('data', (chunk) => socket.write(chunk))
      socket.on('end', () => socket.end())
    })
    await using gateway = await startTestGateway(world, {
      destinations: partnerDestination(partner.port),
      resolve: toLoopback,
    })
    const target = `partner.test:${partner.port}`
    const request = `CONNECT ${target} HTTP/1.1\r\nHost: ${target}\r\n\r\nearly bytes`
    const { status, socket } = await connect(world, gateway.port, { svid: await world.svid('/a'), request })
    expect(status).toBe(200)
    socket.end()
    const { data } = await readToEnding(socket)
    expect(data.toString()).toBe('early bytes')
  })

  test('a reset by the partner in mid-stream is a reset for the client, never a clean end', async () => {
    await using world = await createWorld()
    await using partner = await startPartner(world, (socket, raw) => {
      socket.write('half an ans')
      socket.once('data', () => raw.resetAndDestroy())
    })
    await using gateway = await startTestGateway(world, {
      destinations: partnerDestination(partner.port),
      resolve: toLoopback,
    })
    const target = `partner.test:${partner.port}`
    const { socket } = await connect(world, gateway.port, { svid: await world.svid('/a'), target })
    await new Promise((resolve) => socket.once('readable', resolve))
    const ending = readToEnding(socket)
    socket.write('now')
    expect(await ending).toMatchObject({ how: 'reset', error: { code: 'ECONNRESET' } })
    expect((await gateway.closed(1))[0]?.outcome).toMatchObject({
      code: 'relay-upstream-reset',
      by: 'upstream',
    })
    expect(await gateway.metric('sallyport_sessions_open')).toBe(0)
  })

  test('opaque bytes pass without TLS', async () => {
    await using world = await createWorld()
    await using server = await startTcp((raw) => raw.end('SSH-2.0-test\r\n'))
    await using gateway = await startTestGateway(world, {
      destinations: `  - {name: ssh, hosts: [localhost], ports: [${server.port}], tls: opaque, allowAddresses: [127.0.0.1/32]}`,
    })
    const target = `localhost:${server.port}`
    const answer = await connect(world, gateway.port, { svid: await world.svid('/a'), target })
    answer.socket.end()
    expect(await readBody(answer)).toBe('SSH-2.0-test\r\n')
    const [record] = await gateway.closed(1)
    expect(record?.upstream).toMatchObject({ tlsVersion: null, nameProof: null, serverName: null })
  })

  test.for<[string, string, number, string]>([
    ['another method', 'GET / HTTP/1.1\r\nHost: x\r\n\r\n', 405, 'request-method'],
    [
      'a path in the target',
      'CONNECT partner.test:443/x HTTP/1.1\r\nHost: partner.test\r\n\r\n',
      400,
      'request-target',
    ],
    ['no port', 'CONNECT partner.test HTTP/1.1\r\nHost: partner.test\r\n\r\n', 400, 'request-target'],
    ['port 0', 'CONNECT partner.test:0 HTTP/1.1\r\nHost: partner.test\r\n\r\n', 400, 'request-target'],
    ['userinfo', 'CONNECT u@partner.test:443 HTTP/1.1\r\nHost: partner.test\r\n\r\n', 400, 'request-target'],
    [
      'an IPv4 address in octal',
      'CONNECT 0177.0.0.1:443 HTTP/1.1\r\nHost: 0177.0.0.1\r\n\r\n',
      400,
      'request-target',
    ],
    ['HTTP/1.1 without Host', 'CONNECT partner.test:443 HTTP/1.1\r\n\r\n', 400, 'request-host-missing'],
    [
      'two Hosts',
      'CONNECT partner.test:443 HTTP/1.1\r\nHost: partner.test\r\nHost: partner.test\r\n\r\n',
      400,
      'request-host-missing',
    ],
    [
      'a Host of another name',
      'CONNECT partner.test:443 HTTP/1.1\r\nHost: evil.test\r\n\r\n',
      400,
      'request-host-mismatch',
    ],
    [
      'Transfer-Encoding',
      'CONNECT partner.test:443 HTTP/1.1\r\nHost: partner.test\r\nTransfer-Encoding: chunked\r\n\r\n',
      400,
      'request-body',
    ],
    [
      'a Content-Length',
      'CONNECT partner.test:443 HTTP/1.1\r\nHost: partner.test\r\nContent-Length: 5\r\n\r\n',
      400,
      'request-body',
    ],
    ['HTTP/3.0', 'CONNECT partner.test:443 HTTP/3.0\r\nHost: partner.test\r\n\r\n', 505, 'request-version'],
    ['a bare LF', 'CONNECT partner.test:443 HTTP/1.1\nHost: partner.test\r\n\r\n', 400, 'request-malformed'],
    [
      'an endless header',
      `CONNECT partner.test:443 HTTP/1.1\r\nX: ${'x'.repeat(20_000)}`,
      431,
      'request-too-large',
    ],
  ])('%s is refused, and nothing behind it is processed', async ([, request, status, code]) => {
    await using world = await createWorld()
    await using gateway = await startTestGateway(world, {
      destinations: partnerDestination(443),
      resolve: toLoopback,
    })
    const again = 'CONNECT partner.test:443 HTTP/1.1\r\nHost: partner.test\r\n\r\n'
    const answer = await connect(world, gateway.port, {
      svid: await world.svid('/a'),
      request: `${request}${again}`,
    })
    expect(answer.status).toBe(status)
    expect(answer.head.toLowerCase()).toContain('connection: close')
    expect(await readBody(answer)).toContain(code)
    const records = await gateway.closed(1)
    expect(records.map(({ outcome }) => outcome.code)).toEqual([code])
  })

  test.for<[string, string, string]>([
    ['HTTP/1.0 without Host (Python, openssl, socat)', 'CONNECT TARGET HTTP/1.0\r\n\r\n', 'HTTP/1.0 200'],
    ['a Host without port (undici)', 'CONNECT TARGET HTTP/1.1\r\nHost: partner.test\r\n\r\n', 'HTTP/1.1 200'],
    [
      'a name in capitals with a trailing dot',
      'CONNECT PARTNER.test.:PORT HTTP/1.1\r\nHost: partner.test\r\n\r\n',
      'HTTP/1.1 200',
    ],
  ])('%s is accepted and answered in kind', async ([, request, start]) => {
    await using world = await createWorld()
    await using partner = await startPartner(world, (socket) => socket.end())
    await using gateway = await startTestGateway(world, {
      destinations: partnerDestination(partner.port),
      resolve: toLoopback,
    })
    const text = request
      .replaceAll('TARGET', `partner.test:${partner.port}`)
      .replaceAll('PORT', String(partner.port))
    const answer = await connect(world, gateway.port, { svid: await world.svid('/a'), request: text })
    expect(answer.head).toContain(start)
    answer.socket.destroy()
  })

  test('a client that leaves before the answer cancels what was being opened', async () => {
    await using world = await createWorld()
    await using server = await startTcp(() => {})
    await using gateway = await startTestGateway(world, {
      destinations: partnerDestination(server.port),
      resolve: toLoopback,
    })
    const target = `partner.test:${server.port}`
    const raw = net.connect(gateway.port, '127.0.0.1')
    const socket = await connectTls(world, gateway.port, {
      svid: await world.svid('/a'),
      tls: { socket: raw },
    })
    socket.write(`CONNECT ${target} HTTP/1.1\r\nHost: ${target}\r\n\r\n`)
    await expect.poll(() => server.accepted()).toBe(1)
    raw.resetAndDestroy()
    expect((await gateway.closed(1))[0]?.outcome).toMatchObject({ code: 'request-abandoned', by: 'client' })
    expect(await gateway.metric('sallyport_connections_open')).toBe(0)
  })

  test('a client that sends all it has and its FIN before the upstream is there gets the whole answer', async () => {
    await using world = await createWorld()
    await using partner = await startPartner(world, (socket) => socket.pipe(socket))
    const resolving = Promise.withResolvers<void>()
    const release = Promise.withResolvers<void>()
    await using gateway = await startTestGateway(world, {
      destinations: partnerDestination(partner.port),
      resolve: async () => {
        resolving.resolve()
        await release.promise
        return ['127.0.0.1']
      },
    })
    const target = `partner.test:${partner.port}`
    const socket = await connectTls(world, gateway.port, { svid: await world.svid('/a') })
    socket.end(`CONNECT ${target} HTTP/1.1\r\nHost: ${target}\r\n\r\nall of it`)
    await resolving.promise
    // The FIN has been read by now: this answer comes behind it on the same loop.
    await expect.poll(() => gateway.metric('sallyport_connections_open')).toBe(1)
    release.resolve()
    const answer = await readAnswer(socket)
    expect(answer.status).toBe(200)
    expect(await readBody(answer)).toBe('all of it')
    expect((await gateway.closed(1))[0]).toMatchObject({
      bytes: { sent: 9, received: 9 },
      outcome: { code: 'closed' },
    })
  })
})
