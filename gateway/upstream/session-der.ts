// A TLS session as OpenSSL writes it down (ssl/ssl_asn1.c, SSL_SESSION_ASN1), without the server's certificate that stands in
// it. Each connection that resumes it would parse that certificate anew and keep it, 5 KiB in 80 pieces, for as long as it
// lives; what is needed of it is kept once for all of them (server-proof.ts). Reads what our own OpenSSL and Node wrote; what
// it does not know, such as the mark of another Node, it leaves as it is.

const SEQUENCE = 0x30
/** `[3] EXPLICIT X509 OPTIONAL`. */
const PEER = 0xa3
const LONG_FORM = 0x80
const MARK = Buffer.from('\0nodejs:tls:session:1\0')

interface Element {
  readonly tag: number
  readonly content: number
  readonly end: number
}

/** The session without its peer's certificate; as it is, where it has none or is no sequence that we can read. */
export function withoutPeer(session: Buffer): Buffer {
  const start = derAt(session)
  const whole = readElement(session, start)
  if (whole?.tag !== SEQUENCE || whole.end !== session.length) return session
  for (let at = whole.content; at < whole.end; ) {
    const element = readElement(session, at)
    if (element === null) return session
    if (element.tag === PEER) {
      const rest = [session.subarray(whole.content, at), session.subarray(element.end)]
      const length = rest.reduce((sum, part) => sum + part.length, 0)
      return Buffer.concat([session.subarray(0, start), header(SEQUENCE, length), ...rest])
    }
    at = element.end
  }
  return session
}

/** Where the sequence begins. Node 24.21 puts a mark before it, and the server name with its length in two bytes. */
function derAt(session: Buffer): number {
  if (!session.subarray(0, MARK.length).equals(MARK)) return 0
  return session.length < MARK.length + 2
    ? session.length
    : MARK.length + 2 + session.readUInt16BE(MARK.length)
}

/** Null where it does not end within `bytes`. Tags here are one byte. */
function readElement(bytes: Buffer, at: number): Element | null {
  const [tag, first] = [bytes[at], bytes[at + 1]]
  if (tag === undefined || first === undefined) return null
  const digits = first < LONG_FORM ? 0 : first - LONG_FORM
  const content = at + 2 + digits
  if (digits > 4 || content > bytes.length) return null
  const length = digits === 0 ? first : bytes.readUIntBE(at + 2, digits)
  const end = content + length
  return first === LONG_FORM || end > bytes.length ? null : { tag, content, end }
}

function header(tag: number, length: number): Buffer {
  if (length < LONG_FORM) return Buffer.from([tag, length])
  const digits = length < 0x100 ? 1 : length < 0x1_0000 ? 2 : 3
  const bytes = Buffer.alloc(2 + digits, tag)
  bytes.writeUInt8(LONG_FORM + digits, 1)
  bytes.writeUIntBE(length, 2, digits)
  return bytes
}
