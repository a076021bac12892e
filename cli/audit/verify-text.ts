// What `audit verify` found, as text for people: a line for each thing that is wrong, what is worth knowing, each chain, and
// the verdict last.
import type { Problem } from './chains.ts'
import type { CheckpointTrust } from './checkpoint.ts'
import { plain } from './plain.ts'
import type { ChainReport, VerifyReport } from './verifier.ts'

/** Ends with a line break. */
export function verifyText(report: VerifyReport, trust: CheckpointTrust | null): string {
  const { problems, moreProblems, notes, chains, records } = report
  const lines = [
    ...problems.map(problemLine),
    ...(moreProblems > 0 ? [`and ${moreProblems} more`] : []),
    ...chains.map((chain) => chainLine(chain, trust)),
    ...notes.map((note) => `note: ${note}`),
    ...(trust === null && chains.some(({ checkpoints }) => checkpoints > 0)
      ? ['note: who signed was not checked: give --bundle and --trust-domain']
      : []),
    verdict(report, records),
  ]
  return `${lines.map(plain).join('\n')}\n`
}

function problemLine({ kind, file, line, chain, sequence, message }: Problem): string {
  const place = file === null ? '' : `${file}:${line}: `
  const record = chain === null ? '' : `chain ${chain}, record ${sequence}: `
  return `${place}${kind}: ${record}${message}`
}

function chainLine(chain: ChainReport, trust: CheckpointTrust | null): string {
  const { first, last, checkpoints, signedUpTo, ended } = chain
  const by = trust === null ? '' : ` by ${trust.gatewayId}`
  const signed = checkpoints === 0 ? 'not signed' : `signed up to ${signedUpTo}${by}`
  return `chain ${chain.chain}: records ${first} to ${last}, ${signed}${ended ? ', ended in order' : ''}`
}

function verdict({ ok, problems, moreProblems, chains }: VerifyReport, records: number): string {
  const found = `${records} records in ${chains.length} ${chains.length === 1 ? 'chain' : 'chains'}`
  if (!ok) return `${found}: NOT WHOLE, ${problems.length + moreProblems} problems`
  return records === 0 ? `${found}: there is nothing to verify` : `${found}: whole`
}
