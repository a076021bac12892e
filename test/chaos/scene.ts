// The files that the gateway runs by, and how they change: keys and certificates, configuration, policy, revocations. A file is
// replaced by a rename, as a careful operator does.
import { rename } from 'node:fs/promises'
import path from 'node:path'
import { type Ca, createRoot, type Issued } from '../fixtures/pki.ts'
import { createWorld, type World } from '../fixtures/world.ts'
import { WORKLOADS, type Workload } from './plan.ts'
import type { Servers } from './servers.ts'

export interface Scene extends AsyncDisposable {
  readonly world: World
  readonly gatewayRoots: string
  readonly svids: Readonly<Record<Workload, Issued>>
  readonly stranger: Issued
  readonly expired: Issued
  readonly state: State
  /** Writes what has changed in `state` since. */
  writeConfig(): Promise<void>
  writePolicy(): Promise<void>
  writeRevocations(): Promise<void>
  writeBundle(): Promise<void>
  rotateGateway(): Promise<Issued>
  rotatePartner(): Promise<Issued>
  write(name: string, text: string): Promise<void>
}

export const LISTENERS = ['proxy', 'mesh', 'fixed', 'named', 'sni', 'raw'] as const
export type Listener = (typeof LISTENERS)[number]

/** What the files say now. */
export interface State {
  denied: boolean
  readonly revoked: Set<string>
  /** The root of `rooted` is trusted. */
  rooted: boolean
  /** The destination `spare` is there. */
  spare: boolean
  revision: number
}

/** Tunnels of one connection have each a name of their own, by which their records are told apart. */
export const MAX_TUNNELS = 16

export async function createScene(
  servers: (world: World) => Promise<Servers>,
): Promise<Scene & { readonly servers: Servers }> {
  const stack = new AsyncDisposableStack()
  const world = stack.use(await createWorld())
  const running = stack.use(await servers(world))
  const other = await createRoot({ name: 'second root of example.org' })
  const issuers: Partial<Record<Workload, Ca>> = { rooted: other }
  const entries = await Promise.all(
    WORKLOADS.map(async (name) => {
      const options = { uris: [`spiffe://example.org/${name}`] }
      return [name, await (issuers[name] ?? world.issuing).issue(options)] as const
    }),
  )
  const stranger = await (await createRoot({ name: 'nobody' })).issue({
    uris: ['spiffe://example.org/steady'],
  })
  const expired = await world.svid('/steady', { notAfter: new Date(Date.now() - 1_000) })
  const state: State = { denied: false, revoked: new Set(), rooted: true, spare: true, revision: 0 }
  const write = async (name: string, text: string) => {
    await world.file(`${name}.new`, text)
    await rename(path.join(world.directory, `${name}.new`), path.join(world.directory, name))
  }
  /** A certificate and its key cannot change in one step: read between the two they do not fit, and are read again. */
  const writePair = async (name: string, issued: Issued) => {
    await write(`pki/${name}.key`, issued.keyPem)
    await write(`pki/${name}.pem`, issued.chainPem)
    return issued
  }
  const scene: Scene & { readonly servers: Servers } = {
    ...{ world, servers: running, gatewayRoots: world.root.pem, stranger, expired, state, write },
    svids: Object.fromEntries(entries) as Record<Workload, Issued>,
    writeConfig: () => write('gateway.yaml', configOf(state, running.ports)),
    writePolicy: () => write('policy.cedar', policyOf(state)),
    writeRevocations: () => write('revocations.yaml', revocationsOf(state)),
    writeBundle: () => write('pki/bundle.pem', world.root.pem + (state.rooted ? other.pem : '')),
    rotateGateway: async () =>
      writePair(
        'gateway',
        await world.issuing.issue({ uris: ['spiffe://example.org/sallyport/gateway'], dns: ['localhost'] }),
      ),
    rotatePartner: async () =>
      writePair('client', await world.partnerCa.issue({ cn: 'client of the partner' })),
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  }
  await scene.rotatePartner()
  await scene.writeBundle()
  await scene.writePolicy()
  await scene.writeRevocations()
  await scene.writeConfig()
  return scene
}

function configOf(state: State, servers: Servers['ports']): string {
  const listen = (name: Listener, protocol: string, more = '') =>
    `  - {name: ${name}, address: "127.0.0.1:0", protocol: ${protocol}${more}}`
  // A busy machine is no fault of the gateway.
  const local = 'allowAddresses: [127.0.0.0/8], connect: {timeout: 40s}'
  const common = `roots: "file:pki/partner-ca.pem", ${local}`
  const wild = (name: string, port: number, more = '') =>
    `  - {name: ${name}, hosts: ["*.${name}.localhost"], ports: [${port}], ${common}${more}}`
  const bad = (name: string, port: number) =>
    wild(name, port).replace('timeout: 40s', 'timeout: 1s, attempts: 2')
  const opaque = Array.from({ length: MAX_TUNNELS }, (_, index) => `n${index}.opaque.localhost`)
  return `# revision ${state.revision}
version: 1
trustDomain: example.org
identity:
  files: {certificate: pki/gateway.pem, key: pki/gateway.key, bundle: pki/bundle.pem}
networks: [{name: here, sources: [127.0.0.0/8]}]
listeners:
${[
  listen('proxy', 'connect'),
  listen('mesh', 'hbone'),
  listen('fixed', 'fixed', ', destination: fixed'),
  listen('named', 'fixed', ', destination: named'),
  listen('sni', 'sni', ', serverNames: {named.internal: named}'),
  listen('raw', 'passthrough'),
].join('\n')}
destinations:
${[
  wild('tls', servers.tls),
  wild(
    'mtls',
    servers.mtls,
    ', clientCertificates: [{workloads: ["spiffe://example.org/**"], certificate: "file:pki/client.pem", key: "file:pki/client.key"}]',
  ),
  wild('paced', servers.tls, ', limits: {bytesPerSecond: 4MiB}'),
  wild('tight', servers.tls, ', limits: {sessions: 3}'),
  ...(state.spare ? [wild('spare', servers.tls)] : []),
  bad('rude', servers.rude),
  bad('mute', servers.mute),
  bad('refuse', servers.refuse),
  `  - {name: opaque, hosts: [${opaque.join(', ')}], ports: [${servers.opaque}], tls: opaque, ${local}}`,
  `  - {name: fixed, hosts: [fixed.localhost], ports: [${servers.opaque}], tls: opaque, ${local}}`,
  `  - {name: named, hosts: [named.localhost], ports: [${servers.tls}], ${common}}`,
  `  - {name: through, hosts: ["*.through.localhost"], ports: [${servers.tls}], tls: passthrough, ${local}}`,
].join('\n')}
policy: {files: [policy.cedar]}
revocations: {source: "file:revocations.yaml"}
audit: {sink: stdout, checkpoints: "file:checkpoints.jsonl"}
health: {address: "127.0.0.1:0"}
admin: {address: "127.0.0.1:0"}
drain: {delay: 300ms, deadline: 2s}
`
}

function policyOf({ denied, revision }: State): string {
  const no = `@id("no") forbid (principal == Workload::"spiffe://example.org/denied", action, resource);\n`
  return `// revision ${revision}
@id("workloads") @owner("chaos") permit (principal is Workload, action, resource);
@id("networks") permit (principal == Network::"here", action, resource == Destination::"through");
${denied ? no : ''}`
}

function revocationsOf({ revoked }: State): string {
  const entries = [...revoked].map((entry) => `- {${entry}, reason: chaos}\n`)
  return entries.length === 0 ? '[]\n' : entries.join('')
}
