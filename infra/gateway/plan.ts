// What of a configuration cannot run as a deployment is found here, before anything is made: each of these would be found
// by nothing else, neither by CDK nor by CloudFormation, and shows in production as sessions that are cut or never begin.
import type { GatewayNeeds, ListenerNeed } from '../../gateway/config/needs.ts'
import { STATE_DIRECTORY } from './places.ts'

/** ECS: target groups of one service. */
const MAX_TARGET_GROUPS = 5
/** What of gateway.yaml's places a task has. The others the deployment gives by the environment, or there are none. */
export const PLACES: readonly string[] = [`the directory ${STATE_DIRECTORY}`]
/** From the end of the drain to the end of the process: what waits in standard output is still written (5 s). */
const AFTER_DRAIN_SECONDS = 8
/** Listening sockets, log, DNS, AWS calls. */
const SPARE_FILES = 1024

export interface PlanOptions {
  readonly needs: Pick<
    GatewayNeeds,
    'listeners' | 'drain' | 'connections' | 'healthPort' | 'adminPort' | 'places'
  >
  /** Networks in CIDR form from which the admin port is to be reached. */
  readonly operators: readonly string[]
  /** Names of listeners; null = all in one. */
  readonly services: readonly (readonly string[])[] | null
  readonly stopTimeoutSeconds: number
  readonly openFiles: number
  /** Each listener takes two target groups then. */
  readonly blueGreen: boolean
}

/** The listeners of each service. @throws Error */
export function planServices(options: PlanOptions): readonly (readonly ListenerNeed[])[] {
  checkDrain(options)
  checkFiles(options)
  checkPlaces(options)
  checkAdmin(options)
  const { listeners } = options.needs
  for (const { name, proxyProtocol } of listeners) {
    if (proxyProtocol) continue
    throw new Error(
      `expected proxyProtocol: {required: true} of listener ${name}, got none: behind the balancer all clients would be one source`,
    )
  }
  const groups = options.services ?? [listeners.map(({ name }) => name)]
  const named = groups.flat()
  for (const name of named) {
    if (!listeners.some((listener) => listener.name === name)) {
      throw new Error(`expected names of listeners in services, got ${name}`)
    }
  }
  for (const { name } of listeners) {
    const count = named.filter((other) => other === name).length
    if (count !== 1) throw new Error(`expected listener ${name} in one service, got ${count}`)
  }
  return groups.map((names) => {
    const most = options.blueGreen ? Math.floor(MAX_TARGET_GROUPS / 2) : MAX_TARGET_GROUPS
    if (names.length > most) {
      const said = `expected at most ${most} listeners in a service, got ${names.length}`
      throw new Error(`${said}: ECS takes no more target groups; name several in gateway.services`)
    }
    return listeners.filter(({ name }) => names.includes(name))
  })
}

function checkDrain({ needs: { drain }, stopTimeoutSeconds }: PlanOptions): void {
  if (drain.delayMs !== 0) {
    throw new Error(
      `expected drain.delay of 0s, got ${drain.delayMs} ms: ECS sends SIGTERM when the balancer has let go already`,
    )
  }
  const needed = drain.deadlineMs / 1000 + AFTER_DRAIN_SECONDS
  if (needed <= stopTimeoutSeconds) return
  const said = `expected drain.deadline of ${stopTimeoutSeconds - AFTER_DRAIN_SECONDS} s at most`
  throw new Error(
    `${said}, got ${drain.deadlineMs / 1000} s: stopTimeout of ${stopTimeoutSeconds} s would cut it`,
  )
}

/** A file of its own would be written nowhere, another list or bucket never be read or written: the task may not. */
function checkPlaces({ needs: { places } }: PlanOptions): void {
  const missing = places.find((place) => !PLACES.includes(place))
  if (missing === undefined) return
  throw new Error(
    `expected none of sink, checkpoints, revocations in gateway.yaml and ${STATE_DIRECTORY} as directory, got ${missing}: the deployment says these (docs/deploy.md#environment)`,
  )
}

/** A rule to a port on which nobody outside the task is heard would be a promise that is not kept. */
function checkAdmin({ needs: { adminPort }, operators }: PlanOptions): void {
  if (operators.length === 0 || adminPort !== null) return
  throw new Error(
    'expected admin: {address: "0.0.0.0:9901", workloads: […]} in gateway.yaml, since operators are set, got loopback',
  )
}

/** A session holds two sockets. */
function checkFiles({ needs: { connections }, openFiles }: PlanOptions): void {
  if (connections === null || connections * 2 + SPARE_FILES <= openFiles) return
  throw new Error(
    `expected openFiles of ${connections * 2 + SPARE_FILES} for arrivals.connections: ${connections}, got ${openFiles}`,
  )
}
