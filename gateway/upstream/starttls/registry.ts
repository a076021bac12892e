// The protocols of `startTls`, a line each.
import { createImap } from './imap.ts'
import { createLdap } from './ldap.ts'
import { createMysql } from './mysql.ts'
import { createPop3 } from './pop3.ts'
import { createPostgres } from './postgres.ts'
import { createSmtp } from './smtp.ts'
import { START_TLS_NAMES, type StartTls, type StartTlsName } from './types.ts'

const CREATE: Readonly<Record<StartTlsName, () => StartTls>> = {
  postgres: createPostgres,
  mysql: createMysql,
  smtp: createSmtp,
  imap: createImap,
  pop3: createPop3,
  ldap: createLdap,
}

export type StartTlsSet = (name: StartTlsName) => StartTls

/** One set for a gateway, shared by all that speak the protocols. */
export function createStartTlsSet(): StartTlsSet {
  const set = Object.fromEntries(START_TLS_NAMES.map((name) => [name, CREATE[name]()]))
  return (name) => {
    const found = set[name]
    if (found === undefined) throw new TypeError(`startTls: ${name} is no protocol`)
    return found
  }
}
