// docs/errors.md from the table of reason codes.
import { isConcealed, refusalFor } from '../gateway/audit/answer.ts'
import { isDisclosed, isReasonCode, REASONS } from '../gateway/audit/reasons.ts'
import type { ReasonCode } from '../gateway/audit/reasons.ts'

/** In the order of a connection's life. */
const STAGES: readonly (readonly [prefix: string, title: string])[] = [
  ['client', 'Handshake and identity of the client'],
  ['request', 'The request'],
  ['destination', 'The destination'],
  ['revoked', 'Revocation'],
  ['policy', 'Policy'],
  ['limit', 'Limits'],
  ['dns', 'Name resolution'],
  ['address', 'The resolved address'],
  ['connect', 'The TCP connection to the service'],
  ['upstream-starttls', 'The upgrade to TLS towards the service'],
  ['upstream-tls', 'TLS with the service'],
  ['name', 'Proof of the inner name'],
  ['relay', 'The open session'],
  ['session', 'The gateway’s own state'],
  ['closed', 'The proper end'],
]

const INTRODUCTION = `# Reason codes

Every attempt ends with one of these codes, in \`outcome.code\` of its audit record, with the hint beside it. This page is
written by \`npm run docs\` from \`gateway/audit/reasons.ts\`; do not edit it. A code is never renamed.

## What a client is told

A refusal is an RFC 9457 problem document (\`application/problem+json\`) with \`title\`, \`status\` and \`session\`, the id under
which the audit has the record, and a \`Proxy-Status\` header (RFC 9209):

\`\`\`
HTTP/1.1 403 Forbidden
${headerLines(refusalFor('client-certificate-expired', '01K0EXAMPLE0EXAMPLE0EXAMPL'))}
\`\`\`

- **told**: \`code\` is in the body and in \`details\` of \`Proxy-Status\`. Only \`client-…\` and \`request-…\` codes are: they are
  about what the client itself did.
- **one answer**: \`destination-…\`, \`revoked-…\`, \`policy-…\` and \`address-…\` share one answer, 403 and
  \`http_request_denied\`, which differs by the session id alone. A client cannot learn which destinations exist.
- **status alone**: the status and the error type of \`Proxy-Status\` are told, the code is not.
- **no answer**: there is nobody to answer yet or the session was open. The connection is closed or reset.
`

/** The whole page. */
export function errorsPage(): string {
  const codes = Object.keys(REASONS).filter(isReasonCode)
  const sections = STAGES.map(([prefix, title]) => {
    const rows = codes.filter((code) => stageOf(code) === prefix).map(row)
    if (rows.length === 0) return ''
    const head = '| code | answer | the client learns | meaning | what to do |\n|---|---|---|---|---|'
    return `\n## ${title}\n\n${head}\n${rows.join('\n')}\n`
  })
  return INTRODUCTION + sections.join('')
}

function stageOf(code: ReasonCode): string {
  const stage = STAGES.find(([prefix]) => code === prefix || code.startsWith(`${prefix}-`))
  if (stage === undefined) throw new Error(`${code} has no stage`)
  return stage[0]
}

function row(code: ReasonCode): string {
  const { status, proxyError, meaning, hint } = REASONS[code]
  const answer = status === null ? '–' : `${status} \`${proxyError}\``
  return `| \`${code}\` | ${answer} | ${learns(code)} | ${cell(meaning)} | ${cell(hint ?? '–')} |`
}

function learns(code: ReasonCode): string {
  if (REASONS[code].status === null) return 'no answer'
  if (isConcealed(code)) return 'one answer'
  return isDisclosed(code) ? 'told' : 'status alone'
}

function cell(text: string): string {
  return text.replaceAll('|', '\\|')
}

function headerLines({ headers, body }: ReturnType<typeof refusalFor>): string {
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}`)
  return [...lines, '', body.trimEnd()].join('\n')
}
