// `sallyport policy explain`: asks the policy one question and shows which policies decided it, and where it is a denial,
// which permits are nearest and what would have to be true.
import type { ReasonCode } from '../../gateway/audit/reasons.ts'
import { type Explanation, explainDecision } from '../../gateway/policy/explain.ts'
import type { Decision } from '../../gateway/policy/types.ts'
import { UsageError } from '../diagnose/asked.ts'
import { type Asked, type AskedOptions, createResolve, readAsked } from './asked.ts'
import { explanationText } from './explain-show.ts'
import { type LoadedPolicy, loadPolicy, type Output, printFaults, printUsage } from './load.ts'

export interface ExplainOptions extends AskedOptions {
  readonly config: string
  readonly json?: true | undefined
}

export interface Explained extends Explanation {
  readonly result: 'allow' | 'deny'
  /** As an audit record would have it; null where it is let through. */
  readonly code: ReasonCode | null
  readonly mode: Decision['mode'] | null
  readonly error: string | null
  /** ISO 8601: the first moment at which time may change the answer. */
  readonly recheckAt: string | null
  readonly destination: { readonly name: string; readonly tags: readonly string[] } | null
  /** What policy is asked for, where it is not what was asked of the gateway. */
  readonly target: { readonly host: string; readonly port: number } | null
  readonly asked: {
    readonly workload: string | null
    readonly network: string | null
    readonly host: string
    readonly port: number
    readonly listener: string
    readonly sourceIp: string
    readonly serialNumber: string
    readonly vpcEndpoint: string | null
    readonly at: string
  }
}

/** 0 where it is let through, 1 for a "no", 2 for wrong use. */
export async function runExplain(options: ExplainOptions, output: Output = process): Promise<0 | 1 | 2> {
  const loaded = await loadPolicy(options.config)
  if (!loaded.ok) return printFaults(loaded.faults, options.json === true, output)
  try {
    const explained = explain(loaded, readAsked(options, loaded.source, new Date()))
    output.stdout.write(options.json ? `${JSON.stringify(explained)}\n` : explanationText(explained))
    return explained.code === null ? 0 : 1
  } catch (error) {
    if (!(error instanceof UsageError)) throw error
    return printUsage(error, output)
  }
}

/** The answer of the gateway to this question, with its reasons. */
export function explain({ policy, policies, source }: LoadedPolicy, asked: Asked): Explained {
  const resolved = createResolve(source)(asked)
  const about = describeAsked(asked)
  if (resolved === null) {
    const unknown = { result: 'deny', code: 'destination-unknown', mode: null, error: null } as const
    const nothing = { recheckAt: null, destination: null, target: null, decidedBy: [], nearest: [] }
    return { ...unknown, ...nothing, asked: about }
  }
  const { destination, question } = resolved
  const { name, tags } = destination
  const decision = policy.decide(question)
  const { result, code, mode, error, recheckAt } = decision
  const { host, port } = question
  return {
    ...{ result, code, mode, error },
    recheckAt: recheckAt?.toISOString() ?? null,
    destination: { name, tags },
    target: host === asked.host && port === asked.port ? null : { host, port },
    ...explainDecision(policies, question, decision),
    asked: about,
  }
}

function describeAsked({ principal, host, port, context }: Asked): Explained['asked'] {
  return {
    workload: principal.kind === 'workload' ? principal.id.uri : null,
    network: principal.kind === 'network' ? principal.name : null,
    ...{ host, port },
    listener: context.listener,
    sourceIp: context.sourceIp,
    serialNumber: context.serialNumber,
    vpcEndpoint: context.vpcEndpoint ?? null,
    at: context.now.toISOString(),
  }
}
