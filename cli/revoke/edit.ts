// A list of revocations with an entry more or less, as text: what else stands in it, comments and all, stays byte by byte,
// since its authors keep their reasons there. Each result is read again as a gateway would read it, and is given out only
// where it says what it should: the old entries in their order, and the one that was asked for.
import { type Document, isNode, isSeq, parseDocument, type Range } from 'yaml'
import { formatFault } from '../../common/fault.ts'
import { parseRevocations } from '../../gateway/config/revocations.ts'
import { isInForce, type Revocation, type Selector } from '../../gateway/revocations/list.ts'
import { RevokeError } from './errors.ts'

/** As it was asked for, which nobody has looked at yet. */
export interface WantedEntry {
  readonly selector: Selector
  readonly value: string
  readonly reason: string
  /** RFC 3339; null = until it is removed. */
  readonly until: string | null
}

const SHOWN_AS: Readonly<Record<string, string>> = {
  workload: '--workload',
  serialNumber: '--serial',
  destination: '--destination',
  tokenId: '--token',
  reason: '--reason',
  until: '--until',
}

/** The entry in the one spelling that the list takes. @throws RevokeError `usage`, by the name of the option */
export function checkEntry(wanted: WantedEntry, now: Date): Revocation {
  const { list, faults } = parseRevocations('', `${formatEntry(wanted)}\n`, NOBODY)
  const [entry] = list?.entries ?? []
  if (entry === undefined) {
    const [{ key, message, remedy } = { key: null, message: 'no entry', remedy: null }] = faults
    const option = SHOWN_AS[key?.split('.')[1] ?? ''] ?? `--${wanted.selector}`
    throw new RevokeError('usage', `${option}: ${message}${remedy === null ? '' : ` (${remedy})`}`)
  }
  if (entry.selector === 'workload' && !entry.value.includes('/', 'spiffe://'.length)) {
    const message = `--workload: ${entry.value} is a trust domain and no workload (${entry.value}/** is all of its workloads)`
    throw new RevokeError('usage', message)
  }
  if (!isInForce(entry, now)) {
    throw new RevokeError(
      'usage',
      `--until: ${wanted.until ?? ''} is past, so that this would revoke nothing`,
    )
  }
  return entry
}

/** The entries of a list. @throws RevokeError `list-broken`, with every fault */
export function readEntries(source: string, text: string): readonly Revocation[] {
  const { list, faults } = parseRevocations(source, text, NOBODY)
  if (list === null) throw new RevokeError('list-broken', faults.map(formatFault).join('\n'))
  return list.entries
}

/** The entry in force that says the same already; null where there is none. One that ends earlier does not. */
export function findCovering(
  entries: readonly Revocation[],
  { selector, value, until }: Revocation,
  now: Date,
): Revocation | null {
  const covers = (one: Revocation) =>
    one.selector === selector &&
    one.value === value &&
    isInForce(one, now) &&
    (one.until === null || (until !== null && until <= one.until))
  return entries.find(covers) ?? null
}

/** @throws RevokeError `list-broken` */
export function addEntry(source: string, text: string, wanted: WantedEntry): string {
  const before = readEntries(source, text)
  const [added] = readEntries(source, `${formatEntry(wanted)}\n`)
  const expected = [...before, added]
  const document = parseDocument(text)
  return firstThatSays(expected, [
    () => insertText(text, document, formatEntry(wanted)),
    () => {
      const node = document.createNode(fieldsOf(wanted), { flow: true })
      document.add(node)
      return document.toString({ lineWidth: 0 })
    },
  ])
}

/** Without the entries of this selector and value. @throws RevokeError `not-revoked`, `list-broken` */
export function removeEntries(
  source: string,
  text: string,
  { selector, value }: Pick<Revocation, 'selector' | 'value'>,
): { readonly text: string; readonly removed: readonly Revocation[] } {
  const before = readEntries(source, text)
  const isMeant = (one: Revocation) => one.selector === selector && one.value === value
  const removed = before.filter(isMeant)
  if (removed.length === 0) {
    throw new RevokeError('not-revoked', `${source} has no entry for ${selector} ${value}`)
  }
  const indexes = before.flatMap((one, index) => (isMeant(one) ? [index] : []))
  const document = parseDocument(text, { keepSourceTokens: true })
  const left = firstThatSays(
    before.filter((one) => !isMeant(one)),
    [
      () => cutText(text, document, indexes),
      () => {
        for (const index of indexes.toReversed()) document.deleteIn([index])
        return document.toString({ lineWidth: 0 })
      },
    ],
  )
  return { text: left, removed }
}

/** Trust domains and destinations are for warnings, which a list for many gateways cannot have. */
const NOBODY = { trustDomains: [], destinations: [] } as const

function fieldsOf({ selector, value, reason, until }: WantedEntry) {
  return { [selector]: value, reason, ...(until === null ? {} : { until }) }
}

/** Text of JSON is text of YAML; a serial number without quotes would be a number. */
function formatEntry(wanted: WantedEntry): string {
  const fields = Object.entries(fieldsOf(wanted)).map(([key, value]) => `${key}: ${JSON.stringify(value)}`)
  return `- { ${fields.join(', ')} }`
}

function firstThatSays(
  expected: readonly (Revocation | undefined)[],
  ways: readonly (() => string | null)[],
): string {
  for (const way of ways) {
    const text = way()
    if (text === null) continue
    const { list } = parseRevocations('', text, NOBODY)
    if (list !== null && JSON.stringify(list.entries) === JSON.stringify(expected)) return text
  }
  const message =
    'the list would not say afterwards what it should: it is too long, or written in a form of its own'
  throw new RevokeError('list-broken', message, { hint: 'edit it by hand' })
}

/** Null where the list is not written one entry below the other. */
function insertText(text: string, document: Document, line: string): string | null {
  const { contents } = document
  const range = rangeOf(contents)
  if (!isSeq(contents) || range === null) return null
  const eol = text.includes('\r\n') ? '\r\n' : '\n'
  const [start, end] = range
  const lead = text.slice(text.lastIndexOf('\n', start - 1) + 1, start)
  if (contents.items.length === 0) {
    return `${text.slice(0, start)}${lead === '' ? '' : eol}${line}${text.slice(end)}`
  }
  const last = rangeOf(contents.items.at(-1))?.[1]
  if (contents.flow === true || last === undefined || lead.trim() !== '') return null
  const newline = text.indexOf('\n', Math.max(last - 1, 0))
  const at = newline === -1 ? text.length : newline + 1
  const gap = newline === -1 ? eol : ''
  return `${text.slice(0, at)}${gap}${lead}${line}${eol}${text.slice(at)}`
}

function rangeOf(node: unknown): Range | null {
  return isNode(node) ? (node.range ?? null) : null
}

/** Each entry from its dash to the end of its last line; comments that stand above it stay. */
function cutText(text: string, document: Document, indexes: readonly number[]): string | null {
  const { contents } = document
  const whole = rangeOf(contents)
  if (!isSeq(contents) || contents.flow === true || whole === null) return null
  const token = contents.srcToken
  if (token?.type !== 'block-seq') return null
  let left = text
  for (const index of indexes.toReversed()) {
    const dash = token.items[index]?.start.find(({ type }) => type === 'seq-item-ind')?.offset
    const range = rangeOf(contents.items[index])
    if (dash === undefined || range === null) return null
    const from = text.lastIndexOf('\n', dash - 1) + 1
    const newline = text.indexOf('\n', range[1] - 1)
    left = left.slice(0, from) + (newline === -1 ? '' : left.slice(newline + 1))
  }
  if (indexes.length < contents.items.length) return left
  const start = text.lastIndexOf('\n', whole[0] - 1) + 1
  return `${left.slice(0, start)}[]\n${left.slice(start)}`
}
