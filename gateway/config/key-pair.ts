// A certificate chain and its key, as one value that is known to work: in order, in time, belonging together, and
// taken by OpenSSL. What would otherwise be found by the first connection, or by the partner, is found here.
import { createHash, type KeyObject, type X509Certificate } from 'node:crypto'
import { createSecureContext } from 'node:tls'
import { Secret } from '../../common/secret.ts'
import { PemError, readCertificates, readPrivateKey } from './pem.ts'
import type { KeyPair } from './types.ts'

export interface Problem {
  readonly of: 'certificate' | 'key'
  readonly message: string
  readonly remedy: string | null
}

export interface CheckedKeyPair {
  /** Null where there are problems. */
  readonly keyPair: KeyPair | null
  /** Leaf first; empty where it cannot be parsed. */
  readonly chain: readonly X509Certificate[]
  readonly problems: readonly Problem[]
}

/** `certificate` and `key` are PEM; null = not there, which the caller has reported. */
export function checkKeyPair(certificate: string | null, key: string | null, now: Date): CheckedKeyPair {
  const problems: Problem[] = []
  const attempt = <T>(of: Problem['of'], text: string | null, read: (text: string) => T): T | null => {
    if (text === null) return null
    try {
      return read(text)
    } catch (error) {
      if (!(error instanceof PemError)) throw error
      problems.push({ of, message: error.message, remedy: error.hint })
      return null
    }
  }
  const chain = attempt('certificate', certificate, readCertificates) ?? []
  const privateKey = attempt('key', key, readPrivateKey)
  const [leaf] = chain
  if (leaf === undefined) return { keyPair: null, chain, problems }
  const misplaced = privateKey === null ? null : checkKey(chain, privateKey.key)
  problems.push(...(misplaced === null ? checkOrder(chain) : [misplaced]), ...checkTimes(chain, now))
  if (privateKey === null || problems.length > 0) return { keyPair: null, chain, problems }
  const chainPem = chain.map((one) => one.toString()).join('')
  const refused = tryOpenSsl(chainPem, privateKey.pem)
  if (refused !== null) return { keyPair: null, chain, problems: [refused] }
  return {
    keyPair: { chainPem, key: new Secret(privateKey.pem), leaf, leafSha256: sha256(leaf.raw) },
    chain,
    problems,
  }
}

function sha256(der: Uint8Array): string {
  return createHash('sha256').update(der).digest('hex')
}

function checkKey(chain: readonly X509Certificate[], key: KeyObject): Problem | null {
  const owner = chain.findIndex((certificate) => certificate.checkPrivateKey(key))
  if (owner === 0) return null
  if (owner > 0) {
    const message = `the key belongs to certificate ${owner + 1} in it, not to the first`
    return { of: 'certificate', message, remedy: 'the leaf comes first, then its issuing CAs' }
  }
  return {
    of: 'key',
    message: 'does not belong to the certificate',
    remedy: 'name the key that it was issued for',
  }
}

function checkOrder(chain: readonly X509Certificate[]): readonly Problem[] {
  return chain.slice(1).flatMap((issuer, index): readonly Problem[] => {
    const issued = chain[index]
    // Names alone can agree between two CAs of one name; the signature cannot.
    if (issued === undefined || (issued.checkIssued(issuer) && issued.verify(issuer.publicKey))) return []
    const message = `certificate ${index + 2} in it did not issue certificate ${index + 1}`
    return [
      { of: 'certificate', message, remedy: 'the leaf comes first, then the CA that issued it, and so on' },
    ]
  })
}

function checkTimes(chain: readonly X509Certificate[], now: Date): readonly Problem[] {
  return chain.flatMap((certificate, index): readonly Problem[] => {
    const which = chain.length === 1 ? 'the certificate' : `certificate ${index + 1} in it`
    if (certificate.validToDate < now) {
      const message = `${which} expired at ${certificate.validToDate.toISOString()}`
      return [{ of: 'certificate', message, remedy: 'renew it' }]
    }
    if (certificate.validFromDate > now) {
      const message = `${which} is not valid before ${certificate.validFromDate.toISOString()}`
      return [{ of: 'certificate', message, remedy: 'wait, or set the clock' }]
    }
    return []
  })
}

/** OpenSSL's own limits (key sizes, digests) are found by asking it. */
function tryOpenSsl(cert: string, key: string): Problem | null {
  try {
    createSecureContext({ cert, key })
    return null
  } catch (error) {
    const code: unknown = error instanceof Error && 'code' in error ? error.code : null
    // The code alone: a message of OpenSSL may quote its input.
    return {
      of: 'certificate',
      message: `OpenSSL refuses it: ${String(code)}`,
      remedy: 'use a stronger key or digest',
    }
  }
}
