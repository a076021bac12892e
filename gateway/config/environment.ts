// What only a deployment knows, and says by the environment (design §5.5): where its revocation list is, where checkpoints
// go besides the log, and under which name CloudWatch has the metrics. A variable that is set wins over gateway.yaml.
// Which addresses PROXY headers may come from is in listeners.ts, where the state is kept in last-known-good.ts.
import type * as z from 'zod'
import type { BuildContext } from './context.ts'
import type { GatewayDocument } from './schema.ts'
import * as values from './values.ts'

export const REVOCATIONS = 'SALLYPORT_REVOCATIONS'
export const CHECKPOINTS = 'SALLYPORT_CHECKPOINTS'
export const METRICS_NAMESPACE = 'SALLYPORT_METRICS_NAMESPACE'

/** Of `metrics.emf.interval`: CloudWatch's own period. */
const EMF_INTERVAL_MS = 60_000

type Put<T> = (document: GatewayDocument, value: T) => GatewayDocument
type Apply = (document: GatewayDocument, text: string) => GatewayDocument | z.core.$ZodIssue

function override<T>(schema: z.ZodType<T>, put: Put<T>): Apply {
  return (document, text) => {
    const result = schema.safeParse(text)
    return result.success ? put(document, result.data) : (result.error.issues[0] as z.core.$ZodIssue)
  }
}

const OVERRIDES: Readonly<Record<string, Apply>> = {
  [REVOCATIONS]: override(values.revocationSource, (document, source) => ({
    ...document,
    revocations: { source },
  })),
  // How long they are locked is of the place: what the file says is said of the place that it names.
  [CHECKPOINTS]: override(values.checkpoints, (document, checkpoints) => {
    const { checkpointRetentionDays: _, ...audit } = document.audit
    return { ...document, audit: { ...audit, checkpoints } }
  }),
  [METRICS_NAMESPACE]: override(values.metricNamespace, (document, namespace) => {
    const { interval } = document.metrics.emf ?? { interval: EMF_INTERVAL_MS }
    return { ...document, metrics: { ...document.metrics, emf: { namespace, interval } } }
  }),
}

/** The document with what the environment says instead. A value that is wrong is a fault, and leaves the document as it is. */
export function applyEnvironment(
  document: GatewayDocument,
  { environment, report, overridden }: Pick<BuildContext, 'environment' | 'report' | 'overridden'>,
): GatewayDocument {
  let result = document
  for (const [name, apply] of Object.entries(OVERRIDES)) {
    const text = environment[name] ?? ''
    if (text === '') continue
    const applied = apply(result, text)
    if ('version' in applied) {
      result = applied
      overridden(name)
    } else {
      report([], `${name}: ${applied.message}, found "${text.slice(0, 200)}"`, 'set it right or not at all')
    }
  }
  return result
}
