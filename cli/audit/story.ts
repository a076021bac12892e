// The story of a session in plain words, from its records, the issuance of its identity and the approvals of its policies.
import { REASONS, isReasonCode } from '../../gateway/audit/reasons.ts'
import type { Destination } from '../../gateway/config/types.ts'
import type { Issuance } from '../../lambdas/identity/issuances/store.ts'
import type { Approvals } from './approvals.ts'
import { plain } from './plain.ts'
import type { ClosedRecord, SessionRecord } from './session-record.ts'

export interface Told {
  readonly record: SessionRecord
  readonly file: string
  readonly line: number
}

export interface Story {
  /** Of one session, in the order of the chain. */
  readonly records: readonly Told[]
  /** Null where none was asked for. */
  readonly issuance: { readonly found: Issuance | null; readonly unreadable: number } | null
  /** Null where no configuration was given. */
  readonly approvals: Approvals | null
}

/** A paragraph for each question; ends with a line break. */
export function storyText(story: Story): string {
  const last = lastOf(story)
  const lines: (readonly [string, string])[] = [
    ['Session', `${last.id}, on connection ${last.connection}`],
    ['Who', who(last)],
    ...proof(story, last).map((line) => ['Proof', line] as const),
    ['Asked for', asked(last)],
    ...decision(story, last).map((line) => ['Decision', line] as const),
    ...upstream(story, last),
    ['Bytes', bytes(story)],
    ...ending(story).map((line) => ['End', line] as const),
    ...story.records.map((told) => ['Record', place(told)] as const),
  ]
  const shown = lines.map(([title, text], index) => {
    const repeated = lines[index - 1]?.[0] === title
    return `${(repeated ? '' : title).padEnd(12)}${plain(text)}`
  })
  return `${shown.join('\n')}\n`
}

/** The same as JSON: the records as they stand, and what was found out about them. */
export function storyJson(story: Story): object {
  const { records, issuance, approvals } = story
  const { destination, upstream } = lastOf(story)
  const digest = upstream?.clientCertificateSha256 ?? null
  return {
    records,
    issuance: issuance?.found ?? null,
    policy: approvals === null ? null : { state: approvals.policy, approvals: approvals.approvals },
    presenting: destination === null ? null : presented(approvals?.destinations ?? null, destination, digest),
    closed: closed(story) !== null,
  }
}

export function lastOf({ records }: Story): SessionRecord {
  const last = records.at(-1)
  if (last === undefined) throw new Error('a story without a record')
  return last.record
}

function who({ workload, network, credential, source, listener }: SessionRecord): string {
  const caller = workload ?? (network === null ? 'nobody that was identified' : `network ${network}`)
  const by = credential === null ? '' : ` by ${credential}`
  const endpoint = source.vpcEndpoint === null ? '' : ` through ${source.vpcEndpoint}`
  return `${caller}${by}, from ${source.ip}:${source.port}${endpoint}, by listener ${listener}`
}

function proof({ issuance }: Story, { serialNumber, tokenId, credential }: SessionRecord): readonly string[] {
  if (credential === 'network') return ['none: a network is known by its addresses alone']
  const shown =
    serialNumber === null
      ? tokenId === null
        ? 'nothing was shown'
        : `token ${tokenId}`
      : `certificate with serial number ${serialNumber}`
  if (issuance === null) return [`${shown} (give --issuances to see for which proof the authority issued it)`]
  const { found } = issuance
  if (found === null) return [`${shown}, of which the issuance records given say nothing`]
  const { issuer, subject, tokenId: of } = found.proof
  return [
    `${shown}, issued ${found.issuedAt} until ${found.expiresAt} by registration ${found.registration}`,
    `to ${subject} of ${issuer}, by proof ${of}, in request ${found.requestId}`,
  ]
}

function asked({ requested, openedAt }: SessionRecord): string {
  if (requested === null) return `nothing, at ${openedAt}`
  const name = requested.serverName === null ? '' : ` (server name ${requested.serverName})`
  return `${requested.host}:${requested.port}${name} at ${openedAt}`
}

function decision({ approvals }: Story, { decision }: SessionRecord): readonly string[] {
  if (decision === null) return ['none: it ended before policy was asked']
  const { result, mode, policies, cached } = decision
  const verb = result === 'allow' ? 'allowed' : 'denied'
  const by = policies.length === 0 ? 'no policy, since none permits it' : policies.join(', ')
  const how = `${mode === 'report' ? ', in report mode' : ''}${cached ? ', as decided before' : ''}`
  return [`${verb} by ${by}${how}`, ...approvedBy(approvals, policies)]
}

function approvedBy(approvals: Approvals | null, policies: readonly string[]): readonly string[] {
  if (policies.length === 0) return []
  if (approvals === null) return ['give --config to see owner and ticket']
  if (approvals.policy === 'unreadable') return ['owner and ticket are not shown: the policy cannot be read']
  if (approvals.policy === 'differs') {
    return ['owner and ticket are not shown: the policy has changed since, its revision is another one']
  }
  return approvals.approvals.map(({ id, owner, ticket, reason, file, line }) => {
    const because = reason === null ? '' : `, because ${reason}`
    return `${id}: owner ${owner ?? 'not named'}, ticket ${ticket ?? 'not named'}${because} (${file}:${line})`
  })
}

function upstream(
  { approvals }: Story,
  { destination, upstream }: SessionRecord,
): readonly (readonly [string, string])[] {
  if (destination === null) return [['To', 'no destination of the configuration']]
  if (upstream === null || upstream.address === null) return [['To', `${destination}, nothing was dialled`]]
  const { address, tlsVersion, cipher, serverName, nameProof, certificateSha256, attempts } = upstream
  const tls = tlsVersion === null ? 'without TLS of the gateway’s own' : `${tlsVersion} with ${cipher}`
  const name = serverName === null ? '' : ` as ${serverName}`
  const proven = nameProof === null ? 'the name was not proven' : `the name was proven by the ${nameProof}`
  const server = certificateSha256 === null ? '' : `; the server’s certificate ${certificateSha256}`
  return [
    [
      'To',
      `${destination} at ${address}${name}, ${tls}, after ${attempts} ${attempts === 1 ? 'try' : 'tries'}`,
    ],
    ['', `${proven}${server}`],
    ['Presenting', presented(approvals?.destinations ?? null, destination, upstream.clientCertificateSha256)],
  ]
}

function presented(destinations: readonly Destination[] | null, name: string, digest: string | null): string {
  if (digest === null) return 'no client certificate'
  const entries = destinations?.find((one) => one.name === name)?.clientCertificates ?? []
  const at = entries.findIndex(({ keyPair }) => keyPair.leafSha256 === digest)
  const entry = entries[at]
  if (entry === undefined) return `client certificate ${digest}`
  const { subject, validToDate } = entry.keyPair.leaf
  const named = subject.replaceAll('\n', ', ') || 'without subject'
  return `client certificate ${digest}, ${named}, valid until ${validToDate.toISOString()} (clientCertificates[${at}])`
}

function closed({ records }: Story): ClosedRecord | null {
  for (const { record } of records) if (record.event === 'session') return record
  return null
}

function bytes(story: Story): string {
  const known = story.records.map(({ record }) => record).findLast((one) => one.event !== 'session.opened')
  if (known === undefined) return 'not known'
  const at = known.event === 'session' ? '' : ` up to ${known.at}`
  return `${known.bytes.sent} sent, ${known.bytes.received} received${at}`
}

function ending(story: Story): readonly string[] {
  const end = closed(story)
  if (end === null) {
    return [
      'no closing record: the session lives, the gateway was killed, or the record is missing (audit verify)',
    ]
  }
  const { code, by, detail, hint } = end.outcome
  const meaning = isReasonCode(code) ? REASONS[code].meaning : 'a code of another version'
  const said = detail === null ? '' : ` (${detail})`
  const duration = ((end.timings.durationMs ?? 0) / 1000).toFixed(1)
  return [
    `${end.closedAt}, after ${duration} s, by the ${by}: ${code}: ${meaning}${said}`,
    ...(hint === null ? [] : [`to do: ${hint}`]),
  ]
}

function place({ record, file, line }: Told): string {
  return `${record.event} is record ${record.sequence} of chain ${record.chain}, ${file}:${line}`
}
