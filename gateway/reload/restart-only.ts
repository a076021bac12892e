// What of a new configuration counts only after a restart: ports that a balancer or an operator knows, and what the
// process is built around. It is said, never passed over in silence, and keeps the rest of the configuration from nothing.
import type { GatewayConfig } from '../config/types.ts'

const PARTS: Readonly<Record<string, (config: GatewayConfig) => unknown>> = {
  trustDomain: ({ trustDomain }) => trustDomain,
  'health.address': ({ health }) => health,
  'admin.address': ({ admin }) => admin,
  audit: ({ audit }) => audit,
  arrivals: ({ arrivals }) => arrivals,
  dns: ({ dns }) => dns,
}

/** The keys of gateway.yaml whose new value is not in force, in the order of the file. */
export function needsRestart(running: GatewayConfig, next: GatewayConfig): readonly string[] {
  return Object.entries(PARTS)
    .filter(([, of]) => JSON.stringify(of(running)) !== JSON.stringify(of(next)))
    .map(([key]) => key)
}
