// The errors of upgrades to TLS, and how words of the other side come into them: bounded and escaped, since they end in
// records and logs.
import { UpstreamError } from '../types.ts'

const MAX_QUOTED = 160

/** At most 160 characters of what a peer said, in quotes, with everything but printable ASCII escaped. */
export function quote(text: string): string {
  const cut = text.length > MAX_QUOTED ? `${text.slice(0, MAX_QUOTED)}…` : text
  const escaped = cut.replaceAll(/["\\]|[^ -~…]/g, (char) => {
    if (char === '"' || char === '\\') return `\\${char}`
    return `\\x${char.charCodeAt(0).toString(16).padStart(2, '0')}`
  })
  return `"${escaped}"`
}

/** The server does not offer TLS, or answered "no". */
export function refused(detail: string): UpstreamError {
  return new UpstreamError('upstream-starttls-refused', detail)
}

/** What the server sent is not the protocol, or more than a server of it ever says. */
export function malformed(detail: string): UpstreamError {
  return new UpstreamError('upstream-starttls-malformed', detail)
}

/**
 * Plaintext behind the server's agreement: whoever puts it there wants it to be read as if it had come through TLS
 * (CVE-2011-0411 and its relatives).
 */
export function injected(): UpstreamError {
  return new UpstreamError('upstream-starttls-injected', 'plaintext came behind the agreement to begin TLS')
}
