// The form of `listeners` and `arrivals` in gateway.yaml. Which keys go with which protocol is said in rules-listeners.ts.
import * as z from 'zod'
import * as values from './values.ts'

const keyPair = { certificate: values.filePath, key: values.filePath }

/** The two alone, or under `files` as at the top of the file; `under` says where they stand. */
const identity = z
  .strictObject({
    certificate: values.filePath.optional(),
    key: values.filePath.optional(),
    files: z.strictObject(keyPair).optional(),
  })
  .transform(({ files, certificate, key }, context) => {
    const report = (at: 'certificate' | 'key', message: string, remedy: string) =>
      context.addIssue({ code: 'custom', path: [at], message, params: { remedy } })
    if (files !== undefined) {
      if (certificate !== undefined) report('certificate', 'stands beside files', 'remove it')
      if (key !== undefined) report('key', 'stands beside files', 'remove it')
      return { ...files, under: ['files'] }
    }
    if (certificate === undefined) report('certificate', 'missing; expected the path of a file', 'add it')
    if (key === undefined) report('key', 'missing; expected the path of a file', 'add it')
    return { certificate: certificate ?? '', key: key ?? '', under: [] }
  })

/** What a name of `serverNames` stands for. */
export interface NamedDestination {
  /** The name as it stands in the file, for faults. */
  readonly text: string
  readonly serverName: string
  readonly destination: string
}

const serverNameKey = z.string().superRefine((text, context) => {
  const read = values.readServerNameKey(text)
  if (!read.ok) context.addIssue({ code: 'custom', message: `no host name: ${read.message}` })
})

const serverNames = z.record(serverNameKey, values.name).transform((record, context) => {
  const report = (path: string[], message: string, remedy: string) =>
    context.addIssue({ code: 'custom', path, message, params: { remedy } })
  const named: NamedDestination[] = []
  for (const [text, destination] of Object.entries(record)) {
    const read = values.readServerNameKey(text)
    if (!read.ok) continue
    const { host: serverName } = read
    // Spelled otherwise, so that YAML has not seen it: which of them counts would depend on the order of the file.
    const twice = named.some((other) => other.serverName === serverName)
    if (twice) report([text], `${serverName} stands here twice`, 'remove one of them')
    named.push({ text, serverName, destination })
  }
  if (named.length === 0) report([], 'names nothing', 'add a server name and its destination')
  return named
})

const proxyProtocol = z.strictObject({
  required: z.boolean().default(true),
  from: z.array(values.addressRange).min(1).max(256),
})

export const PROTOCOLS = ['connect', 'hbone', 'linkerd', 'sni', 'fixed', 'passthrough'] as const

export const listener = z.strictObject({
  name: values.name,
  address: values.listenAddress,
  protocol: z.enum(PROTOCOLS),
  minVersion: z.enum(['TLSv1.2', 'TLSv1.3']).optional(),
  identity: identity.optional(),
  trustDomains: z.array(values.trustDomain).min(1).max(64).optional(),
  proxyProtocol: proxyProtocol.optional(),
  clientAuthentication: z.enum(['svid', 'svid-or-token']).optional(),
  audience: values.audience.optional(),
  serverNames: serverNames.optional(),
  destination: values.name.optional(),
  startTls: values
    .oneOf(
      ['postgres'],
      ['mysql', 'smtp', 'imap', 'pop3', 'ldap'],
      'use postgres, or a protocol that begins with TLS',
    )
    .optional(),
  port: z.int().min(1).max(65_535).optional(),
})

/** How many may come at once, over all listeners (docs/overload.md). */
export const arrivals = z.strictObject({
  timeout: values.duration('100ms', '5m').default(10_000),
  connections: z.int().min(1).max(10_000_000).optional(),
  connectionsPerSource: z.int().min(1).max(1_000_000).default(8192),
  handshakes: z.int().min(1).max(100_000).default(512),
  handshakesPerSource: z.int().min(1).max(100_000).default(256),
  waiting: z.int().min(1).max(1_000_000).default(4096),
  waitingPerSource: z.int().min(1).max(1_000_000).default(2048),
  bufferedBytes: values.size('64KiB', '64GiB').prefault('256MiB'),
})
