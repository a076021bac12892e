// Stock clients that speak a protocol in plaintext, as a workload's own forwarder lets them: a port on loopback, of which
// each connection is a tunnel through the gateway with the workload's SVID.
import net, { type AddressInfo } from 'node:net'
import type { ClientOptions } from '../fixtures/connect-client.ts'
import { connect } from '../fixtures/connect-client.ts'
import { startTestGateway, type TestGateway, type World } from '../fixtures/world.ts'
import { toLoopback } from '../fixtures/partner.ts'

export const HOST = 'partner.test'
/** Two workloads; each has a certificate of its own towards the same service, by the common name given. */
export const WORKLOADS = { '/payments/api': 'acme-payments', '/reports/api': 'acme-reports' } as const
export type Workload = keyof typeof WORKLOADS

export interface Forwarder extends AsyncDisposable {
  readonly port: number
}

export async function startForwarder(
  world: World,
  gateway: TestGateway,
  options: Pick<ClientOptions, 'svid'> & { readonly target: string },
): Promise<Forwarder> {
  const sockets = new Set<net.Socket>()
  const server = net.createServer({ allowHalfOpen: true, pauseOnConnect: true }, (local) => {
    sockets.add(local)
    local.on('error', () => {}).on('close', () => sockets.delete(local))
    void connect(world, gateway.port, options).then(
      ({ status, socket, rest }) => {
        if (status !== 200) {
          local.destroy()
          return
        }
        socket.on('close', () => local.destroy())
        local.on('close', () => socket.destroy())
        local.write(rest)
        local.pipe(socket)
        socket.pipe(local)
      },
      () => void local.destroy(),
    )
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    port: (server.address() as AddressInfo).port,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

const CLIENT_AUTH = '1.3.6.1.5.5.7.3.2'

/** A gateway whose destination `partner` is the service on `port`, with a client certificate for each of the workloads. */
export async function startGatewayTo(
  world: World,
  startTls: string | null,
  port: number,
): Promise<TestGateway> {
  const entries: string[] = []
  for (const [workload, cn] of Object.entries(WORKLOADS)) {
    const issued = await world.partnerCa.issue({ cn, eku: [CLIENT_AUTH] })
    await world.file(`pki/${cn}.pem`, issued.chainPem)
    await world.file(`pki/${cn}.key`, issued.keyPem)
    entries.push(
      `      - {workloads: ["spiffe://example.org${workload}"], certificate: "file:pki/${cn}.pem", key: "file:pki/${cn}.key"}`,
    )
  }
  return startTestGateway(world, {
    destinations: `  - name: partner
    hosts: [${HOST}]
    ports: [${port}]
${startTls === null ? '' : `    startTls: ${startTls}\n`}    roots: file:pki/partner-ca.pem
    allowAddresses: [127.0.0.0/8]
    clientCertificates:
${entries.join('\n')}`,
    resolve: toLoopback,
  })
}

/** The service's own certificate, as files. */
export async function serverFiles(
  world: World,
): Promise<{ certificate: string; key: string; both: string; ca: string }> {
  const { chainPem, keyPem } = await world.partnerCa.issue({ cn: HOST, dns: [HOST] })
  return {
    certificate: await world.file('service.pem', chainPem),
    key: await world.file('service.key', keyPem),
    both: await world.file('service.both.pem', keyPem + chainPem),
    ca: `${world.directory}/pki/partner-ca.pem`,
  }
}

/** A local port through which `workload` reaches the service on `port`. */
export async function forwarderOf(
  world: World,
  gateway: TestGateway,
  workload: Workload | '/nobody',
  port: number,
): Promise<Forwarder> {
  return startForwarder(world, gateway, { svid: await world.svid(workload), target: `${HOST}:${port}` })
}
