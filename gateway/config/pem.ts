// Reads PEM (RFC 7468) into certificates and keys. The text is a file's and may hold anything; no part of it is
// repeated in a message, since a file that was taken for another may hold a key.
import { createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto'
import { SallyportError } from '../../common/errors.ts'

export type PemErrorCode = 'no-block' | 'malformed' | 'unexpected-block' | 'encrypted' | 'too-many'

export class PemError extends SallyportError<PemErrorCode> {}

/** A certificate chain has two or three; a list of roots a few hundred. */
const MAX_BLOCKS = 1000

const RIGHT_FILE = 'name the right file'
const COPY = 'copy it again, whole'

interface Block {
  readonly label: string
  readonly pem: string
}

/** Text between the blocks is comment. */
function readBlocks(text: string): readonly Block[] {
  const parts = text.split('-----BEGIN ').slice(1)
  if (parts.length > MAX_BLOCKS)
    throw new PemError('too-many', `more than ${MAX_BLOCKS} PEM blocks`, { hint: RIGHT_FILE })
  return parts.map((part) => {
    const label = /^([A-Z0-9 ]{1,64})-----/.exec(part)?.[1]
    const end = `-----END ${label}-----`
    const at = part.indexOf(end)
    if (label === undefined || at === -1) {
      throw new PemError('malformed', 'a PEM block that is cut off or has another end than its beginning', {
        hint: COPY,
      })
    }
    return { label, pem: `-----BEGIN ${part.slice(0, at)}${end}\n` }
  })
}

/** One or more certificates and nothing else, in their order. Throws a PemError. */
export function readCertificates(text: string): readonly X509Certificate[] {
  const blocks = readBlocks(text)
  if (blocks.length === 0) throw new PemError('no-block', 'no PEM certificate in it', { hint: RIGHT_FILE })
  return blocks.map(({ label, pem }, index) => {
    if (label !== 'CERTIFICATE') {
      throw new PemError('unexpected-block', `holds a ${label} beside certificates`, {
        hint: 'keep certificates and key in files of their own',
      })
    }
    try {
      return new X509Certificate(pem)
    } catch (error) {
      throw new PemError('malformed', `certificate ${index + 1} of ${blocks.length} cannot be parsed`, {
        hint: COPY,
        cause: error,
      })
    }
  })
}

/** The one private key in the text; `openssl ecparam -genkey` writes its parameters before it. Throws a PemError. */
export function readPrivateKey(text: string): { readonly pem: string; readonly key: KeyObject } {
  const blocks = readBlocks(text).filter(({ label }) => label !== 'EC PARAMETERS')
  const [block, ...others] = blocks.filter(({ label }) => label.endsWith('PRIVATE KEY'))
  if (block === undefined) throw new PemError('no-block', 'no PEM private key in it', { hint: RIGHT_FILE })
  if (others.length > 0)
    throw new PemError('too-many', 'more than one private key in it', { hint: 'leave one' })
  if (blocks.length > 1) {
    throw new PemError('unexpected-block', 'holds more than a private key', {
      hint: 'keep certificates and key in files of their own',
    })
  }
  if (block.label.startsWith('ENCRYPTED') || block.pem.includes('Proc-Type: 4,ENCRYPTED')) {
    throw new PemError('encrypted', 'the private key is encrypted', {
      hint: 'the gateway has no passphrase for it: openssl pkey writes it in the clear',
    })
  }
  try {
    return { pem: block.pem, key: createPrivateKey(block.pem) }
  } catch {
    // The cause is left out: OpenSSL's errors carry the data that they failed on.
    throw new PemError('malformed', 'the private key cannot be parsed', { hint: COPY })
  }
}
