// What each stage of the way out has to tell, in lines: from the facts, the trace and the certificates that were seen.
import { expiry } from './certificates.ts'
import type { Journal } from './journal.ts'

export function resolutionNotes({ trace }: Journal): readonly string[] {
  if (trace === null || trace.found.length === 0) return []
  const { resolution, found } = trace
  const from =
    resolution === null
      ? 'no query needed'
      : `${resolution.source}, good for ${Math.round(resolution.ttlMs / 1000)} s`
  return [`${found.join(', ')} (${from})`]
}

export function addressNotes({ addresses }: Journal): readonly string[] {
  return addresses.map(
    ({ address, class: found, permitted }) =>
      `${address} is ${found}: ${permitted ? 'permitted' : 'REFUSED'}`,
  )
}

export function attemptNotes({ trace }: Journal): readonly string[] {
  if (trace === null) return []
  return trace.attempts.map(({ endpoint, result, ms }) => `${endpoint} ${result} after ${ms.toFixed(1)} ms`)
}

export function serverNotes({ upstream, serverChain }: Journal, now: Date): readonly string[] {
  const named = upstream === null || upstream.serverName === null ? [] : [`asked for ${upstream.serverName}`]
  const spoken =
    upstream === null ? [] : [upstream.tlsVersion, upstream.cipher].filter((part) => part !== null)
  const first = [...named, ...spoken].join(', ')
  const [leaf, ...issuers] = serverChain
  return [
    ...(first === '' ? [] : [first]),
    ...(leaf === undefined
      ? ['no certificate of the server was seen']
      : [
          `the server showed ${leaf.subject}`,
          `  names ${leaf.names ?? 'none'}`,
          `  issuer ${leaf.issuer}`,
          `  valid from ${leaf.notBefore} to ${expiry(leaf.notAfter, now)}`,
        ]),
    ...issuers.map(({ subject, notAfter }) => `  above it ${subject}, to ${expiry(notAfter, now)}`),
  ]
}

export function clientCertificateNotes({ clientCertificate: own }: Journal, now: Date): readonly string[] {
  if (own === null) return ['none is configured for this workload']
  const place = `clientCertificates[${own.entry}]`
  return [
    own.askedFor === true
      ? `the server asked, and was shown ${place}`
      : `the server did not ask for ${place}`,
    `  ${own.subject}, serial ${own.serialNumber}`,
    `  issuer ${own.issuer}`,
    `  valid to ${expiry(own.notAfter, now)}`,
  ]
}
