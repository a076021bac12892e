// What a server said that was to speak TLS and did not: a guess at its protocol, for the operator's eyes alone. The bytes
// are a stranger's; a few of them are shown, and none that is not printable.

/** Enough for a banner. */
export const MAX_PLAINTEXT_BYTES = 256
const MAX_SHOWN_BYTES = 60

/** By a pattern over the bytes as Latin-1, or over their hex digits where they are no text. */
type Guess = { readonly protocol: string } & ({ readonly begins: RegExp } | { readonly hex: RegExp })

/** The closer before the looser: SMTP, FTP and others all begin with 220. */
const GUESSES: readonly Guess[] = [
  { protocol: 'SSH', begins: /^SSH-\d/ },
  { protocol: 'VNC', begins: /^RFB \d{3}\.\d{3}\n/ },
  { protocol: 'HTTP', begins: /^HTTP\/\d/ },
  { protocol: 'HTTP', begins: /^\s*<(?:!doctype|html|\?xml)/i },
  // A SETTINGS frame on stream 0.
  { protocol: 'HTTP/2 without TLS', hex: /^00....04..00000000/ },
  { protocol: 'SMTP', begins: /^(?:220|421|554)[ -][^\r\n]*(?:E?SMTP|mail)/i },
  { protocol: 'FTP', begins: /^(?:220|421)[ -][^\r\n]*(?:FTP|FileZilla)/i },
  { protocol: 'SMTP or FTP', begins: /^(?:220|421|554|500|501|502|530)[ -]/ },
  { protocol: 'NNTP', begins: /^(?:200|201)[ -]/ },
  { protocol: 'POP3', begins: /^(?:\+OK|-ERR)(?=[ \r])[^\r\n]*(?:POP|dovecot|mail|ready)/i },
  { protocol: 'IMAP', begins: /^\* (?:OK|PREAUTH|BYE|BAD)[ \r]/ },
  { protocol: 'Redis', begins: /^-(?:ERR|NOAUTH|DENIED|LOADING|MASTERDOWN)[ \r]/ },
  { protocol: 'POP3', begins: /^\+OK[ \r]/ },
  // Packet 0 with protocol version 10 and a version's text, or an ERR packet.
  { protocol: 'MySQL', hex: /^....0000(?:0a(?:[2-7].)+00|ff....)/ },
  // ErrorResponse (a length and the field S), or the E of servers before 7.4.
  { protocol: 'PostgreSQL', hex: /^45(?:0000....53|(?:[2-7].)+(?:0a)?00)/ },
  { protocol: 'LDAP', hex: /^30(?:..){1,5}02010078/ },
  { protocol: 'AMQP', begins: /^AMQP[^]{4}/ },
  { protocol: 'memcached', begins: /^(?:ERROR|CLIENT_ERROR)[ \r]/ },
  { protocol: 'Telnet', hex: /^ff(?:fb|fc|fd|fe)/ },
]

/** The protocol that servers open or answer garbage so in; null = none that we know. */
export function guessProtocol(bytes: Uint8Array): string | null {
  const shown = Buffer.from(bytes.subarray(0, MAX_PLAINTEXT_BYTES))
  const [text, digits] = [shown.toString('latin1'), shown.toString('hex')]
  const found = GUESSES.find((guess) =>
    'begins' in guess ? guess.begins.test(text) : guess.hex.test(digits),
  )
  return found?.protocol ?? null
}

/** `looks like SSH: "SSH-2.0-OpenSSH_9.2\r\n"`; null where there are no bytes. */
export function describePlaintext(bytes: Uint8Array): string | null {
  if (bytes.length === 0) return null
  const protocol = guessProtocol(bytes)
  const known = protocol === null ? 'it begins with' : `it looks like ${protocol}:`
  return `${known} "${escape(bytes.subarray(0, MAX_SHOWN_BYTES))}${bytes.length > MAX_SHOWN_BYTES ? '…' : ''}"`
}

const NAMED: Readonly<Record<number, string>> = { 10: '\\n', 13: '\\r', 34: '\\"', 92: '\\\\' }

function escape(bytes: Uint8Array): string {
  return [...bytes]
    .map((byte) => {
      const printable = byte >= 0x20 && byte <= 0x7e ? String.fromCharCode(byte) : null
      return NAMED[byte] ?? printable ?? `\\x${byte.toString(16).padStart(2, '0')}`
    })
    .join('')
}
