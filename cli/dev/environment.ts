// Everything that the local story needs, in one process tree on loopback: a prover of identities, authority, partner
// and gateway, each started by the code that runs it in earnest. Only the prover and the partner are for development.
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { Writable } from 'node:stream'
import pino from 'pino'
import { ConfigurationError } from '../../common/fault.ts'
import { createStdoutSink } from '../../gateway/audit/sink.ts'
import { loadGatewayConfig } from '../../gateway/config/load.ts'
import { formatAddress, startGateway } from '../../gateway/gateway.ts'
import { compilePolicy } from '../../gateway/policy/compile.ts'
import { loadIdentityConfig } from '../../lambdas/identity/config.ts'
import { readIdentityEnvironment } from '../../lambdas/identity/environment.ts'
import { startAuthority } from '../../lambdas/identity/server.ts'
import { fetchX509Svid } from '../identity/fetch.ts'

import { startPartner } from './partner.ts'
import { createPartnerPki } from './partner-pki.ts'
import { startProver, type Who } from './provers.ts'
import { prepareWorkspace, type Workspace } from './workspace.ts'

const TRUST_DOMAIN = 'example.org'
const PARTNER_NAME = 'partner.localhost'

export interface WorkloadSvid {
  readonly spiffeId: string
  readonly serialNumber: string
  /** ISO 8601, both. */
  readonly expiresAt: string
  readonly renewAfter: string
  readonly certificatePem: string
  readonly keyPem: string
  readonly bundlePem: string
}

export interface Environment extends AsyncDisposable {
  readonly workspace: Workspace
  readonly authority: { readonly url: string }
  readonly prover: { readonly description: string }
  readonly gateway: { readonly host: string; readonly port: number }
  readonly gatewayAddress: string
  readonly gatewayId: string
  readonly auditFile: string
  /** Makes a key, shows a proof of `team/service`, exchanges a CSR, and writes the files under `workloads/`. */
  workload(name: string): Promise<WorkloadSvid>
}

const MAX_STARTS = 5

/** Starts all parts below `directory`; rejects with nothing left running. */
export async function startEnvironment(
  examples: string,
  directory: string,
  options: { readonly aws: boolean },
): Promise<Environment> {
  for (let count = 1; ; count++) {
    try {
      // Those that want the same ports in the same moment would take them from each other again and again.
      return await startOnce(examples, directory, { ...options, anyPorts: count > 1 })
    } catch (error) {
      // A port is chosen some time before its part listens there, and another process may have come first.
      if (!isTaken(error) || count === MAX_STARTS) throw error
    }
  }
}

function isTaken(error: unknown): boolean {
  const { code, cause } = error as NodeJS.ErrnoException
  return code === 'EADDRINUSE' || (cause instanceof Error && isTaken(cause))
}

async function startOnce(
  examples: string,
  directory: string,
  { aws, anyPorts }: { readonly aws: boolean; readonly anyPorts: boolean },
): Promise<Environment> {
  await using stack = new AsyncDisposableStack()
  const workspace = await prepareWorkspace(examples, directory, { aws, anyPorts })
  const { ports } = workspace
  const authorityUrl = `http://127.0.0.1:${ports.authority}`
  const prover = stack.use(await startProver(authorityUrl, workspace, aws))
  const authority = stack.use(await startLocalAuthority(workspace))
  const fetchFor = async (who: Who) =>
    fetchX509Svid({
      authorityUrl: authority.url,
      ca: null,
      proof: await prover.proofOf(who),
      trustDomain: TRUST_DOMAIN,
    })

  const partnerPki = await createPartnerPki(workspace.file('pki'), PARTNER_NAME)
  const partner = await startPartner(partnerPki, ports.partner)
  stack.defer(() => partner.close())

  const own = await fetchFor({ claims: { client_id: 'gateway' }, role: 'sallyport-gateway' })
  await writeFile(workspace.file('pki/gateway.pem'), own.certificatePem)
  await writeFile(workspace.file('pki/gateway.key'), own.keyPem, { mode: 0o600 })
  await writeFile(workspace.file('pki/bundle.pem'), own.bundlePem)
  await writeFile(workspace.file('pki/bundle.json'), own.bundleJson)

  // One run, one file: the chain starts anew with each process.
  const auditFile = workspace.file('audit.jsonl')
  await rename(auditFile, workspace.file('audit.previous.jsonl')).catch(ignoreMissing)
  const gateway = stack.use(await startLocalGateway(workspace))
  const address = gateway.addresses.get('proxy')
  if (address === undefined) throw new Error('examples/local/gateway.yaml has no listener named proxy')

  const parts = stack.move()
  return {
    workspace,
    authority,
    prover,
    gateway: address,
    gatewayAddress: formatAddress(address),
    gatewayId: own.spiffeId,
    auditFile,
    async workload(name) {
      const [team = '', service = ''] = name.split('/')
      const svid = await fetchFor({
        claims: { client_id: 'workload', team, service },
        role: `${team}-${service}`,
      })
      const prefix = workspace.file(path.join('workloads', name.replace('/', '-')))
      await writeSvid(prefix, svid)
      return svid
    },
    [Symbol.asyncDispose]: () => parts.disposeAsync(),
  }
}

async function startLocalAuthority(workspace: Workspace) {
  const file = workspace.file('identity.yaml')
  const config = loadIdentityConfig({
    file,
    text: await readFile(file, 'utf8'),
    // The development issuer is plain http on loopback, which nothing but development allows.
    environment: readIdentityEnvironment({ ...process.env, SALLYPORT_DEV: '1' }),
  })
  return startAuthority({ config, address: `127.0.0.1:${workspace.ports.authority}`, log: () => {} })
}

async function startLocalGateway(workspace: Workspace) {
  const loaded = await loadGatewayConfig(workspace.file('gateway.yaml'))
  if (!loaded.ok) throw new ConfigurationError(loaded.faults)
  const { config } = loaded
  const compiled = compilePolicy(config.policyFiles, loaded.policy)
  if (!compiled.ok) throw new ConfigurationError(compiled.faults)
  return startGateway({
    config,
    policy: compiled.policy,
    revocations: loaded.revocations,
    log: pino({ level: 'warn' }, pino.destination({ dest: 2, sync: true })),
    stdout: createStdoutSink(discard()),
  })
}

async function writeSvid(prefix: string, svid: WorkloadSvid): Promise<void> {
  await mkdir(path.dirname(prefix), { recursive: true, mode: 0o700 })
  await writeFile(`${prefix}.pem`, svid.certificatePem)
  await writeFile(`${prefix}.key`, svid.keyPem, { mode: 0o600 })
}

/** The start lines of an embedded gateway are nobody's output: the story tells what listens where. */
function discard(): Writable {
  return new Writable({ write: (_chunk, _encoding, callback) => callback() })
}

function ignoreMissing(error: unknown): void {
  if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
}
