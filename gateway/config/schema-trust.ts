// The form of `trust` and `networks` in gateway.yaml: whom, besides the workloads of the gateway's own trust domain, it
// lets in.
import * as z from 'zod'
import * as values from './values.ts'

const linkerd = z.strictObject({
  trustAnchors: values.filePath,
  map: z.record(z.string(), z.string()),
})

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
      context.addIssue({ code: 'custom', message: 'expected either trustDomain and bundle, or linkerd' })
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
    message: 'covers nothing: expected sources or vpcEndpoints',
  })
