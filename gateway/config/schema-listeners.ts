// The form of `listeners` and `arrivals` in gateway.yaml. Which keys go with which protocol is said in rules-listeners.ts.
import * as z from 'zod'
import * as values from './values.ts'

const keyPair = { certificate: values.filePath, key: values.filePath }

/** `{files: {certificate, key}}` as at the top of the file, or the two alone. */
const identity = z.union([
  z.strictObject(keyPair),
  z.strictObject({ files: z.strictObject(keyPair) }).transform(({ files }) => files),
])

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
  serverNames: z.record(values.serverNameKey, values.name).optional(),
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
})
