// What tests of the gateway's front door with foreign clients share: a web server behind the gateway whose TLS the client
// speaks itself, an SVID as files, and a program's environment without what this machine says of proxies and roots.
import type { IncomingMessage, ServerResponse } from 'node:http'
import https from 'node:https'
import type { AddressInfo } from 'node:net'
import path from 'node:path'
import type { Issued } from '../fixtures/pki.ts'
import { run } from '../fixtures/process.ts'
import { REPOSITORY } from '../fixtures/sallyport.ts'
import type { World } from '../fixtures/world.ts'

export interface Page extends AsyncDisposable {
  readonly port: number
  /** Connections so far. */
  readonly accepted: () => number
}

type Answer = (request: IncomingMessage, response: ServerResponse) => void

/** A web server of the partner's CA, by default for `partner.test`. */
export async function startPage(world: World, answer: Answer, name = 'partner.test'): Promise<Page> {
  const { chainPem, keyPem } = await world.partnerCa.issue({ cn: name, dns: [name] })
  let accepted = 0
  const server = https.createServer({ cert: chainPem, key: keyPem }, answer)
  server.on('connection', () => {
    accepted += 1
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    port: (server.address() as AddressInfo).port,
    accepted: () => accepted,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

/** A destination `partner` through which the client speaks the service's TLS itself. */
export function opaqueDestination(port: number, host = 'partner.test', more = ''): string {
  return `  - {name: partner, hosts: [${host}], ports: [${port}], tls: opaque, allowAddresses: [127.0.0.0/8]${more}}\n`
}

export interface SvidFiles {
  readonly certificate: string
  readonly key: string
  /** The roots of the trust domain. */
  readonly bundle: string
}

export async function svidFiles(world: World, svid: Issued, name = 'svid'): Promise<SvidFiles> {
  return {
    certificate: await world.file(`${name}.pem`, svid.chainPem),
    key: await world.file(`${name}.key`, svid.keyPem),
    bundle: path.join(world.directory, 'pki/bundle.pem'),
  }
}

export const partnerRoots = (world: World): string => path.join(world.directory, 'pki/partner-ca.pem')

/** How curl and its descendants reach a gateway on `port` with an SVID. */
export function curlProxy(port: number, files: SvidFiles | null, bundle: string): readonly string[] {
  const certificate = files === null ? [] : ['--proxy-cert', files.certificate, '--proxy-key', files.key]
  return ['--proxy', `https://localhost:${port}`, '--proxy-cacert', bundle, ...certificate]
}

/** A curl that can `--proxy-http2`; fails with how to get it. */
export async function needCurlHttp2(): Promise<string> {
  const script = path.join(REPOSITORY, 'scripts/real-parts/curl-http2.sh')
  const { code, stdout } = await run('/bin/bash', [script, '--path'])
  if (code !== 0) throw new Error('curl with --proxy-http2 is missing: run scripts/real-parts/curl-http2.sh')
  return stdout.trim()
}

/** Nothing of the environment but PATH: machines have proxies, roots and configuration files of their own there. */
export function bareEnvironment(home: string, more: NodeJS.ProcessEnv = {}): NodeJS.ProcessEnv {
  return { PATH: process.env.PATH, HOME: home, LC_ALL: 'C.UTF-8', ...more }
}
