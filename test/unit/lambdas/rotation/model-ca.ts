// The keys of the model: certificates that are JSON, and root keys that are there or not as the model says.
import type { CaTools } from '../../../../lambdas/identity/authority/advance.ts'

const DAY = 24 * 3_600_000
export const ISSUING_LIFE = 7 * DAY
export const ROOT_LIFE = 10 * 365 * DAY

/** Where root keys are: files without end, or two in KMS. */
export type Keys = 'files' | 'kms'

interface FakeCa {
  readonly id: string
  /** The id of the root that signed it. */
  readonly root: string
  readonly from: number
  readonly to: number
}

export function readCa(text: string): FakeCa {
  return JSON.parse(text) as FakeCa
}

export class FakeRootKeys {
  readonly kind: Keys
  /** References that are configured no longer, for now. */
  readonly withdrawn = new Set<string>()
  /** Whether files have room for one more. */
  roomy = true
  /** Whether what makes a root fails. */
  broken = false

  constructor(kind: Keys) {
    this.kind = kind
  }

  /** The reference of a key that is none of `used`; null where there is none. */
  spare(used: readonly string[], next: () => number): string | null {
    if (this.kind === 'files')
      return this.roomy ? `file:root-${next().toString(16).padStart(16, '0')}.key` : null
    const keys = ['a', 'b'].map((name) => `kms:arn:aws:kms:eu-west-1:111122223333:key/${name}`)
    return keys.find((key) => !used.includes(key) && !this.withdrawn.has(key)) ?? null
  }
}

export interface FakeToolsOptions {
  readonly keys: FakeRootKeys
  readonly next: () => number
  /** The rotation's own. */
  readonly clock: () => number
  readonly rootLife: number
}

export function createFakeTools({ keys, next, clock, rootLife }: FakeToolsOptions): CaTools {
  return {
    facts(document) {
      const roots = document.roots.map(({ certificate }) => readCa(certificate))
      const issuing = readCa(document.issuing.chain)
      return {
        rootEnds: roots.map(({ to }) => to),
        issuing: { root: roots.findIndex(({ id }) => id === issuing.root), beganAt: issuing.from },
      }
    },
    canSign: (key) => !keys.withdrawn.has(key),
    hasSpare: (used) => keys.spare(used, () => 0) !== null,
    async makeRoot(used) {
      const key = keys.spare(used, next)
      if (key === null || keys.broken) throw new Error('no root key')
      const id = `root-${next()}`
      return { key, certificate: JSON.stringify({ id, root: id, from: clock(), to: clock() + rootLife }) }
    },
    async makeIssuing(root) {
      const { id, to: rootEnds } = readCa(root.certificate)
      const to = Math.min(clock() + ISSUING_LIFE, rootEnds)
      const ca: FakeCa = { id: `issuing-${next()}`, root: id, from: clock(), to }
      return { chain: JSON.stringify(ca), key: 'k', notAfter: new Date(to).toISOString() }
    },
    makeJwtKey: async () => ({ kid: `kid-${next()}`, alg: 'ES256', key: 'k' }),
  }
}
