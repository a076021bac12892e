// Sallyport as it ships: the built bundle, as a process of its own, with the flags of the image. Its standard output, which
// has an opening and a closing record of every session, is read and dropped, as a log driver would read it.
import { spawn } from 'node:child_process'
import path from 'node:path'
import { imageEnvironment, imageFlags } from './image.ts'
import { PARTNER, type Pki, THROUGH } from './pki.ts'
import type { Partner } from './peers.ts'
import type { Product } from './product.ts'
import { stop, tie } from './programs.ts'

const BUNDLE = path.resolve(import.meta.dirname, '../../dist/gateway.js')

export interface Sallyport extends Product {
  readonly target: string
  /** For `passthrough`. */
  readonly throughTarget: string
}

export interface SallyportOptions {
  /** In the policy. */
  readonly policies?: number
  /** Instead of the bundle that was built. */
  readonly bundle?: string
  /** Instead of the image's, such as `--cpu-prof`, which its permissions do not allow. */
  readonly flags?: readonly string[]
  /** Beside the image's. */
  readonly environment?: Readonly<Record<string, string>>
}

/** The image's, for other folders. */
function flagsFor(directory: string): readonly string[] {
  return imageFlags().map((flag) =>
    flag
      .replace(/=\/app$/, `=${path.dirname(BUNDLE)}`)
      .replace(/=\/etc\/sallyport$/, `=${directory}`)
      .replace(/=\/var\/lib\/sallyport$/, `=${directory}`),
  )
}

/** One that applies; the others are of other teams and other destinations. */
function policyText(count: number): string {
  const others = Array.from({ length: count - 1 }, (_, at) => {
    const who = `principal in Path::"spiffe://example.org/team${at}"`
    return `@id("p${at}") permit (${who}, action, resource == Destination::"partner");`
  })
  const own = 'principal in Path::"spiffe://example.org/payments"'
  return [`@id("own") permit (${own}, action, resource);`, ...others].join('\n')
}

/** 10,000 live ones, and those of the jobs. By itself the gateway takes half of its open files, since a session has two. */
const CONNECTIONS = 12_000

function configText(pki: Pki, { port, throughPort }: Partner): string {
  const { directory } = pki
  return `version: 1
trustDomain: example.org
identity:
  files: {certificate: ${directory}/gateway.crt, key: ${directory}/gateway.key, bundle: ${directory}/bundle.pem}
listeners: [{name: proxy, address: "127.0.0.1:0", protocol: connect}]
arrivals: {connections: ${CONNECTIONS}}
destinations:
  - name: partner
    hosts: [${PARTNER}]
    ports: [${port}]
    roots: file:partner-ca.pem
    allowAddresses: [127.0.0.0/8]
    clientCertificates:
      - {workloads: ["spiffe://example.org/**"], certificate: "file:identity.crt", key: "file:identity.key"}
  - name: through
    hosts: [${THROUGH}]
    ports: [${throughPort}]
    tls: passthrough
    allowAddresses: [127.0.0.0/8]
policy: {files: [policy.cedar]}
health: {address: "127.0.0.1:0"}
admin: {address: "127.0.0.1:0"}
drain: {delay: 0s, deadline: 1s}
`
}

/** That it drains and stops is no news. */
function showTrouble(log: string): void {
  const lines = log.split('\n').filter((line) => line !== '' && !line.includes('"level":30'))
  if (lines.length > 0) process.stderr.write(`${lines.join('\n')}\n`)
}

export async function startSallyport(
  pki: Pki,
  partner: Partner,
  { policies = 1, bundle = BUNDLE, flags = flagsFor(pki.directory), environment = {} }: SallyportOptions = {},
): Promise<Sallyport> {
  await pki.file('policy.cedar', policyText(policies))
  const config = await pki.file('gateway.yaml', configText(pki, partner))
  const args = [...flags, bundle, '--config', config]
  const child = spawn(process.execPath, args, {
    cwd: pki.directory,
    env: { NODE_ENV: 'production', PATH: process.env.PATH ?? '', ...imageEnvironment(), ...environment },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  tie(child)
  child.stderr.on('data', (chunk: Buffer) => showTrouble(chunk.toString()))
  const port = await new Promise<number>((resolve, reject) => {
    let said = ''
    child.once('exit', (code) => reject(new Error(`Sallyport ended with ${code} before it was ready`)))
    const onData = (chunk: Buffer) => {
      said += chunk.toString()
      if (!said.includes('"event":"ready"')) return
      child.stdout.off('data', onData)
      child.stdout.resume()
      resolve(Number(/"listener":"proxy","address":"127\.0\.0\.1:(\d+)"/.exec(said)?.[1]))
    }
    child.stdout.on('data', onData)
  })
  const { pid } = child
  if (pid === undefined) throw new Error('Sallyport has no process id')
  return {
    ...{ name: 'Sallyport', pids: [pid], port },
    target: `${PARTNER}:${partner.port}`,
    throughTarget: `${THROUGH}:${partner.throughPort}`,
    [Symbol.asyncDispose]: () => stop(child),
  }
}
