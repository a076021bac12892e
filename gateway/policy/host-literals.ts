// Hosts that a policy compares with `resource.host`, which is always in its one spelling (gateway/destinations/host.ts). In
// any other spelling a forbid would silently forbid nothing.
import { isIP } from 'node:net'
import { parseHost } from '../destinations/host.ts'

export interface HostComplaint {
  readonly message: string
  readonly remedy: string
}

/** Of a whole value; null where it can match. */
export function checkHost(text: string): HostComplaint | null {
  const shown = JSON.stringify(text)
  const host = parseHost(isIP(text) === 6 ? `[${text}]` : text)
  if (!host.ok) {
    const remedy = text.includes('*')
      ? `a pattern is compared with like: resource.host like ${shown}`
      : 'write a name in lower case, or an IP address without brackets'
    return { message: `the host ${shown} would never match: ${host.message}`, remedy }
  }
  if (host.host === text) return null
  return { message: `the host ${shown} would never match`, remedy: `write ${JSON.stringify(host.host)}` }
}

/** Of what stands between two wildcards of a `like` pattern. */
export function checkHostPart(text: string): HostComplaint | null {
  if (/^[a-z0-9.:-]*$/.test(text)) return null
  const lower = text.toLowerCase()
  return {
    message: `the host pattern ${JSON.stringify(text)} would never match`,
    remedy: /^[a-z0-9.:-]*$/.test(lower)
      ? `write ${JSON.stringify(lower)}`
      : 'hosts are lower-case letters, digits, hyphens and dots; Unicode names are in Punycode',
  }
}
