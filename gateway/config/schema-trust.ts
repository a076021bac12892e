// The form of `trust` and `networks` in gateway.yaml: whom, besides the workloads of the gateway's own trust domain, it
// lets in.
import * as z from 'zod'
import * as values from './values.ts'

const linkerd = z.strictObject({
  trustAnchors: values.filePath,
  map: z.record(z.string(), z.string('expected a SPIFFE ID such as spiffe://cluster.local/ns/{2}/sa/{1}')),
})

const EITHER = 'an entry is either trustDomain and bundle, or linkerd'

/** One of the two; which one is said by the keys, so that a fault is about the key that is wrong. */
export const trust = z
  .strictObject({
    trustDomain: values.trustDomain.optional(),
    bundle: values.filePath.optional(),
    linkerd: linkerd.optional(),
  })
  .superRefine((entry, context) => {
    const spiffe = entry.trustDomain !== undefined || entry.bundle !== undefined
    if (spiffe === (entry.linkerd !== undefined)) {
      const message = spiffe ? 'holds a trust domain and linkerd' : 'holds neither a trust domain nor linkerd'
      context.addIssue({ code: 'custom', message, params: { remedy: EITHER } })
    } else if (spiffe && (entry.trustDomain === undefined || entry.bundle === undefined)) {
      const missing = entry.bundle === undefined ? 'bundle' : 'trustDomain'
      context.addIssue({ code: 'custom', path: [missing], message: 'missing', params: { remedy: 'add it' } })
    }
  })

export const network = z
  .strictObject({
    name: values.name,
    sources: z.array(values.addressRange).max(256).default([]),
    vpcEndpoints: z.array(values.vpcEndpoint).max(256).default([]),
  })
  .refine(({ sources, vpcEndpoints }) => sources.length + vpcEndpoints.length > 0, {
    message: 'covers nothing',
    params: { remedy: 'add sources or vpcEndpoints' },
  })
