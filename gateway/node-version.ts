// Which Node the gateway runs on. Before the security releases of 2026-10-21 Node takes `0177.0.0.1`, full-width digits and
// NUL in host names for what they are not (CVE-2026-105482, -105483, -106069, -106072): the matters of an egress gateway.

/** The first release of each line with the fixes (nodejs/security-wg, vuln/core/197, 198, 201). */
const FIXED: Readonly<Record<number, readonly [number, number]>> = { 24: [22, 1], 26: [12, 1] }

export interface NodeVerdict {
  /** Where others rely on it: a deployment. Elsewhere it is a warning, since npm's own `node@24` is older. */
  readonly refused: boolean
  readonly message: string
}

function isFixed(version: string): boolean {
  const [major = 0, minor = 0, patch = 0] = version.split('.').map((part) => Number.parseInt(part, 10))
  const [fixedMinor, fixedPatch] = FIXED[major] ?? [0, 0]
  // Of lines that were never fixed, such as 25; what comes after 26 began with the fixes.
  if (FIXED[major] === undefined) return major > 26
  return minor > fixedMinor || (minor === fixedMinor && patch >= fixedPatch)
}

/**
 * Null where all is well.
 * @param version as `process.versions.node` has it
 */
export function judgeNode(
  version: string,
  env: Readonly<Record<string, string | undefined>>,
): NodeVerdict | null {
  if (isFixed(version)) return null
  const refused = (env.ECS_CONTAINER_METADATA_URI_V4 ?? env.ECS_CONTAINER_METADATA_URI ?? '') !== ''
  const message = `Node ${version} has known faults in TLS host checks and DNS: use 24.22.1 or later, or 26.12.1 or later`
  return { refused, message: refused ? `${message}; refused in ECS` : message }
}
