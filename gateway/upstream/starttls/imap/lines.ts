// Where IMAP lists capabilities: an untagged CAPABILITY response, or a response code in brackets (RFC 9051 §7.2.2, §7.1).

const CODE = /\[CAPABILITY ([^\]]*)\]/i
const RESPONSE = /^\* CAPABILITY (.*)$/i
const STATUS = /^[^ ]+ (?:OK|NO|BAD|PREAUTH|BYE) /i

export function offersTls(name: string): boolean {
  return name.toUpperCase() === 'STARTTLS'
}

/** Of the first line that lists any; null = none does. */
export function capabilitiesOf(lines: readonly string[]): readonly string[] | null {
  for (const line of lines) {
    const list = RESPONSE.exec(line)?.[1] ?? (STATUS.test(line) ? CODE.exec(line)?.[1] : undefined)
    if (list !== undefined) return words(list)
  }
  return null
}

/** The line without STARTTLS in its list, and otherwise as it is. */
export function hideStartTls(line: string): string {
  const list = RESPONSE.exec(line)?.[1]
  if (list !== undefined) {
    return words(list).some(offersTls) ? `* CAPABILITY ${shown(list)}` : line
  }
  if (!STATUS.test(line)) return line
  return line.replace(CODE, (code, inner: string) =>
    words(inner).some(offersTls) ? `[CAPABILITY ${shown(inner)}]` : code,
  )
}

/** A greeting with another list; null = with none. */
export function withCapabilities(greeting: string, capabilities: readonly string[] | null): string {
  return greeting.replace(/\[CAPABILITY [^\]]*\] ?/i, () => {
    const kept = capabilities?.filter((name) => !offersTls(name)) ?? null
    return kept === null ? '' : `[CAPABILITY ${kept.join(' ')}] `
  })
}

function words(list: string): readonly string[] {
  return list.split(' ').filter((word) => word !== '')
}

function shown(list: string): string {
  return words(list)
    .filter((word) => !offersTls(word))
    .join(' ')
}
