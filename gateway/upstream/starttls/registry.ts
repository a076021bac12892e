// The protocols of `startTls` that this version speaks, a line each. The schema of gateway.yaml takes these alone and
// refuses the others by name.
import { createPostgres } from './postgres.ts'
import { START_TLS_NAMES, type StartTls, type StartTlsName } from './types.ts'

const CREATE: Readonly<Partial<Record<StartTlsName, () => StartTls>>> = {
  postgres: createPostgres,
}

export const AVAILABLE_START_TLS: readonly StartTlsName[] = START_TLS_NAMES.filter((name) =>
  Object.hasOwn(CREATE, name),
)
export const LATER_START_TLS = START_TLS_NAMES.filter((name) => !AVAILABLE_START_TLS.includes(name))

/** The protocol of a name that the schema let through. @throws TypeError for any other */
export type StartTlsSet = (name: StartTlsName) => StartTls

/** One set for a gateway, shared by all that speak the protocols. */
export function createStartTlsSet(): StartTlsSet {
  const set = new Map(AVAILABLE_START_TLS.map((name) => [name, CREATE[name]?.()]))
  return (name) => {
    const found = set.get(name)
    if (found === undefined) throw new TypeError(`startTls: ${name} is not available`)
    return found
  }
}
