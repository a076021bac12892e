// A fault in something that an operator wrote: configuration, registrations or policy. One fault is one line of
// output that names the file, the line, the key and the remedy. Values quoted in `message` must not be secrets.

export interface Fault {
  /** As the operator named it, relative where it was relative. */
  readonly file: string
  /** 1-based; null where the file as a whole is meant (it is missing, or cannot be read). */
  readonly line: number | null
  /** The path of the key, such as `destinations[0].tls`; null where there is none. */
  readonly key: string | null
  /** What is wrong: the value found and what was expected. */
  readonly message: string
  /** What to do about it; null where the message says it all. */
  readonly remedy: string | null
}

/** One line without its end: `gateway.yaml:12: destinations[0].tls: … (remedy)`. */
export function formatFault(fault: Fault): string {
  const place = fault.line === null ? fault.file : `${fault.file}:${fault.line}`
  const key = fault.key === null ? '' : `${fault.key}: `
  const remedy = fault.remedy === null ? '' : ` (${fault.remedy})`
  // A message may quote what the file holds; a line break in it must not look like a second fault.
  return `${place}: ${key}${fault.message}${remedy}`.replaceAll(/[\r\n]+/g, ' ')
}

/** Thrown where a command cannot go on; carries all faults found, never only the first. */
export class ConfigurationError extends Error {
  readonly code = 'configuration-invalid'
  readonly faults: readonly Fault[]

  constructor(faults: readonly Fault[]) {
    super(faults.map(formatFault).join('\n'))
    this.name = 'ConfigurationError'
    this.faults = faults
  }
}
