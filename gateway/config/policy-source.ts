// What is to be compiled as policy and what it may name: the part of gateway.yaml that needs no certificate and no key,
// so that policy can be tested where those are not.
import type { Known, PolicyFile } from '../policy/compile.ts'
import type { ListenerFacts } from '../policy/partial.ts'
import type { FileContext } from './context.ts'
import { decodeText } from './files.ts'
import { knownTrustDomains } from './rules-trust.ts'
import type { GatewayDocument } from './schema.ts'

export interface PolicySource extends Known {
  readonly files: readonly PolicyFile[]
  readonly destinations: GatewayDocument['destinations']
  readonly listeners: readonly ListenerFacts[]
}

/** Null after a fault. */
export async function readPolicySource(
  document: GatewayDocument,
  context: Pick<FileContext, 'files' | 'report'>,
): Promise<PolicySource | null> {
  const files = await readFiles(document.policy.files, context)
  if (files === null) return null
  return {
    files,
    // Of all workloads that can be let in.
    trustDomains: knownTrustDomains(document),
    networks: document.networks.map(({ name }) => name),
    destinations: document.destinations,
    listeners: document.listeners.map(({ name, protocol, trustDomains }) => ({
      name,
      admits: protocol === 'passthrough' ? 'network' : 'workload',
      trustDomains: trustDomains ?? null,
    })),
    mode: document.policy.mode,
  }
}

async function readFiles(
  references: readonly string[],
  { files, report }: Pick<FileContext, 'files' | 'report'>,
): Promise<readonly PolicyFile[] | null> {
  const read: PolicyFile[] = []
  let complete = true
  for (const [index, reference] of references.entries()) {
    // One that stands there twice is a fault already.
    if (references.indexOf(reference) < index) continue
    const key = ['policy', 'files', index]
    const content = await files.readApart(reference, key)
    const text = content === null ? null : decodeText(content.bytes)
    if (text !== null) read.push({ name: files.nameOf(reference), text })
    else complete = false
    if (content !== null && text === null) report(key, `${reference}: not text in UTF-8`)
  }
  return complete ? read : null
}
