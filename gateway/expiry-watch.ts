// Says in the log that a certificate is about to expire, or has: from 14 days before, once a day for each.
import type { Logger } from 'pino'
import { readCertificates } from './config/pem.ts'
import type { KeyPair } from './config/types.ts'

const HOUR_MS = 3_600_000
const DAY_MS = 24 * HOUR_MS
const NOTICE_MS = 14 * DAY_MS

export interface ExpiryWatchOptions {
  /** By name, asked at each look. */
  readonly certificates: () => ReadonlyMap<string, KeyPair>
  readonly log: Pick<Logger, 'warn' | 'error'>
  readonly now: () => Date
  readonly intervalMs?: number
}

/** Looks at once and then every hour, until it is disposed of. */
export function watchExpiry(options: ExpiryWatchOptions): Disposable {
  const told = new Map<string, number>()
  const look = () => {
    const now = options.now().getTime()
    const current = new Set<string>()
    for (const [name, keyPair] of options.certificates()) {
      const key = `${name} ${keyPair.leafSha256}`
      current.add(key)
      const last = told.get(key)
      if (last !== undefined && now - last < DAY_MS) continue
      if (tell(name, keyPair, now, options.log)) told.set(key, now)
    }
    for (const key of told.keys()) if (!current.has(key)) told.delete(key)
  }
  look()
  const timer = setInterval(look, options.intervalMs ?? HOUR_MS)
  timer.unref()
  return { [Symbol.dispose]: () => clearInterval(timer) }
}

/** Whether there was something to tell. */
function tell(name: string, keyPair: KeyPair, now: number, log: Pick<Logger, 'warn' | 'error'>): boolean {
  const { leaf } = keyPair
  // A CA in the chain that ends before the leaf takes the leaf with it.
  const ends = Math.min(...readCertificates(keyPair.chainPem).map(({ validToDate }) => validToDate.getTime()))
  if (now < ends - noticeMs(leaf.validFromDate.getTime(), ends)) return false
  const facts = {
    certificate: name,
    notAfter: new Date(ends).toISOString(),
    serialNumber: leaf.serialNumber.toLowerCase(),
    sha256: keyPair.leafSha256,
  }
  if (now >= ends) log.error(facts, 'a certificate has expired')
  else log.warn({ ...facts, daysLeft: Math.floor((ends - now) / DAY_MS) }, 'a certificate expires soon')
  return true
}

/** 14 days; of a certificate that lives less than 28, the last third, or one of a day would be warned of all its life. */
function noticeMs(begins: number, ends: number): number {
  const life = ends - begins
  return life >= 2 * NOTICE_MS ? NOTICE_MS : life / 3
}
