// The local story: what Sallyport is for, played once over real sockets. Each step shows what really happened and
// fails where it did not; nothing here knows the answer beforehand.
import { readFile } from 'node:fs/promises'
import type { SessionEvent } from '../../gateway/audit/events.ts'
import { type ConnectAnswer, connectThrough, getThrough } from './connect-through.ts'
import type { Environment, WorkloadSvid } from './environment.ts'
import type { PartnerAnswer } from './partner.ts'

export interface Step {
  readonly name: string
  readonly ok: boolean
  /** What was seen; on failure what was expected instead. */
  readonly detail: string
}

const RECORD_WAIT_MS = 5_000

/** Plays the steps in order and hands each to `onStep` when it is over; a failed step ends the story. */
export async function playStory(
  environment: Environment,
  onStep: (step: Step) => void,
): Promise<readonly Step[]> {
  const steps: Step[] = []
  const play = async (name: string, action: () => Promise<string>): Promise<boolean> => {
    let step: Step
    try {
      step = { name, ok: true, detail: await action() }
    } catch (error) {
      step = { name, ok: false, detail: error instanceof Error ? error.message : String(error) }
    }
    steps.push(step)
    onStep(step)
    return step.ok
  }
  for (const [name, action] of script(environment)) {
    if (!(await play(name, action))) break
  }
  return steps
}

type Scene = readonly [name: string, action: () => Promise<string>]

function script(environment: Environment): readonly Scene[] {
  const { workspace, authority, prover } = environment
  const svids = new Map<string, WorkloadSvid>()
  const identify = (workload: string) => async () => {
    const svid = await environment.workload(workload)
    svids.set(workload, svid)
    return `made a key, proved who it is, got ${svid.spiffeId} (serial ${svid.serialNumber}, until ${svid.expiresAt})`
  }
  const partner = `partner.localhost:${workspace.ports.partner}`
  return [
    [
      'authority',
      async () => `${authority.url}, CA under ${workspace.file('pki/authority')}, ${prover.description}`,
    ],
    ['gateway', async () => `listens on ${environment.gatewayAddress} as ${environment.gatewayId}`],
    ['payments gets an identity', identify('payments/api')],
    [
      'payments reaches the partner',
      async () => reachPartner(environment, need(svids, 'payments/api'), partner),
    ],
    ['reports gets an identity', identify('reports/export')],
    [
      'reports is refused',
      async () => isRefused(environment, need(svids, 'reports/export'), partner, 'policy-denied'),
    ],
    ['agent gets an identity', identify('agents/browser')],
    [
      'agent is kept from instance credentials',
      async () =>
        isRefused(environment, need(svids, 'agents/browser'), '169.254.169.254:80', 'address-metadata'),
    ],
    ['audit records', async () => summarise(environment)],
  ]
}

function need(svids: ReadonlyMap<string, WorkloadSvid>, workload: string): WorkloadSvid {
  const svid = svids.get(workload)
  if (svid === undefined) throw new Error(`${workload} has no identity`)
  return svid
}

async function connect(environment: Environment, svid: WorkloadSvid, target: string): Promise<ConnectAnswer> {
  return connectThrough({ gateway: environment.gateway, svid, target })
}

async function reachPartner(environment: Environment, svid: WorkloadSvid, target: string): Promise<string> {
  const answer = await connect(environment, svid, target)
  if (!('socket' in answer))
    throw new Error(`CONNECT ${target} was answered ${answer.status}: ${answer.body}`)
  const { status, body } = await getThrough(answer.socket, target)
  if (status !== 200) throw new Error(`the partner answered ${status}: ${body}`)
  const seen = JSON.parse(body) as PartnerAnswer
  const { subject, issuer } = seen.clientCertificate
  if (!subject.includes('CN=acme-payments')) throw new Error(`the partner saw ${subject}`)
  return `200; over ${seen.tls} the partner saw ${subject} of ${issuer}, whose key the workload never held`
}

async function isRefused(
  environment: Environment,
  svid: WorkloadSvid,
  target: string,
  reason: string,
): Promise<string> {
  const answer = await connect(environment, svid, target)
  if ('socket' in answer) {
    answer.socket.destroy()
    throw new Error(`CONNECT ${target} was let through`)
  }
  const record = await lastRecord(environment, svid.spiffeId)
  if (answer.status !== 403 || record.outcome.code !== reason) {
    throw new Error(
      `answered ${answer.status} with reason ${record.outcome.code}, expected 403 with ${reason}`,
    )
  }
  if (answer.body.includes(reason)) throw new Error('the client was told the reason')
  return `the client saw only ${answer.status} (${answer.proxyStatus}); the audit record says ${reason}: ${record.outcome.hint}`
}

/** The closing record of the workload's latest attempt; it may be written just after the client has its answer. */
async function lastRecord(environment: Environment, workload: string): Promise<SessionEvent> {
  const until = Date.now() + RECORD_WAIT_MS
  for (;;) {
    const found = (await readRecords(environment)).findLast((record) => record.workload === workload)
    if (found !== undefined) return found
    if (Date.now() > until) throw new Error(`no audit record of ${workload} in ${environment.auditFile}`)
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}

async function readRecords(environment: Environment): Promise<readonly SessionEvent[]> {
  const events = await readEvents(environment)
  return events.filter((event): event is SessionEvent => event.event === 'session')
}

/** The audit events of this run, `session.opened` included. */
export async function readEvents(
  environment: Environment,
): Promise<readonly (SessionEvent | { event: 'other' })[]> {
  const lines = (await readFile(environment.auditFile, 'utf8')).split('\n').filter((line) => line !== '')
  return lines.map((line) => JSON.parse(line) as SessionEvent)
}

async function summarise(environment: Environment): Promise<string> {
  const until = Date.now() + RECORD_WAIT_MS
  for (;;) {
    const records = await readRecords(environment)
    if (records.length >= 3) {
      const lines = records.map(({ workload, requested, outcome }) => {
        return `${workload} → ${requested?.host}:${requested?.port}: ${outcome.code}`
      })
      return `${records.length} closing records in ${environment.auditFile}: ${lines.join('; ')}`
    }
    if (Date.now() > until) throw new Error(`${records.length} closing records, expected 3`)
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}
