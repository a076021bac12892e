// The part of a question that decides how a set of policies answers it, as a text that is equal for two questions only
// where every policy of the set must answer both alike. Trusts the question to have been checked (question.ts).
import ipaddr from 'ipaddr.js'
import { type Attribute, matchesPattern, type Pattern } from './expression.ts'
import type { AddressTest, Read } from './reads.ts'
import type { Question } from './types.ts'

export interface Reduction {
  /** Which attributes keep answers from being kept: they are read in a form that no literal stands for. */
  readonly uncached: ReadonlySet<Attribute>
  /** At which moments an answer may change, ascending; null = at any. */
  readonly moments: readonly number[] | null
  /** Null where answers are not kept. `address` is the source's, canonical. */
  keyOf(question: Question, address: string): string | null
}

/** Host, port and listener have few values in one gateway, so that their value may be the key. */
const BY_VALUE: ReadonlySet<Attribute> = new Set(['host', 'port', 'listener'])

export function reduceReads(reads: readonly Read[]): Reduction {
  const otherwise = new Set(
    reads.filter(({ form }) => form === 'otherwise').map(({ attribute }) => attribute),
  )
  const uncached = new Set([...otherwise].filter((attribute) => !BY_VALUE.has(attribute)))
  const moments = [...new Set(reads.flatMap((read) => (read.form === 'moments' ? read.moments : [])))]
  moments.sort((a, b) => a - b)
  const text = (attribute: Attribute) => textReducer(attribute, reads, otherwise.has(attribute))
  const host = text('host')
  const listener = text('listener')
  const serialNumber = text('serialNumber')
  const vpcEndpoint = text('vpcEndpoint')
  const sourceIp = addressReducer(reads)
  const port = otherwise.has('port')
  return {
    uncached,
    moments: otherwise.has('now') ? null : moments,
    keyOf(question, address) {
      if (uncached.size > 0) return null
      const { context } = question
      return [
        port ? question.port : '',
        moments.length === 0 ? '' : passed(moments, context.now.getTime()),
        sourceIp(address),
        serialNumber(context.serialNumber),
        vpcEndpoint(context.vpcEndpoint),
        listener(context.listener),
        host(question.host),
      ].join(';')
    },
  }
}

/** How many of the moments are not in the future. */
function passed(moments: readonly number[], now: number): number {
  const next = moments.findIndex((moment) => moment > now)
  return next === -1 ? moments.length : next
}

type Reduce = (value: string | undefined) => string

function textReducer(attribute: Attribute, reads: readonly Read[], byValue: boolean): Reduce {
  const mine = reads.filter((read) => read.attribute === attribute)
  // Quoted, so that no value can look like the next part.
  if (byValue) return (value) => JSON.stringify(value ?? null)
  if (mine.length === 0) return () => ''
  const literals = new Map<string, number>()
  const patterns: Pattern[] = []
  for (const read of mine) {
    if (read.form === 'pattern') patterns.push(read.pattern)
    else if (read.form === 'literals') {
      for (const literal of read.literals) if (!literals.has(literal)) literals.set(literal, literals.size)
    }
  }
  return (value) => {
    if (value === undefined) return '-'
    const bits = patterns.map((pattern) => (matchesPattern(pattern, value) ? 1 : 0)).join('')
    return `${literals.get(value) ?? '+'}/${bits}`
  }
}

function addressReducer(reads: readonly Read[]): (address: string) => string {
  const tests = reads.flatMap((read) => (read.form === 'address' ? [read.test] : []))
  if (tests.length === 0) return () => ''
  // Most questions in a row are about the same one.
  let last = { text: '', bits: '' }
  return (text) => {
    if (text === last.text) return last.bits
    const address = ipaddr.parse(text)
    last = { text, bits: tests.map((test) => (meets(address, test) ? 1 : 0)).join('') }
    return last.bits
  }
}

const LOOPBACK = { ipv4: ipaddr.parseCIDR('127.0.0.0/8'), ipv6: ipaddr.parseCIDR('::1/128') }
const MULTICAST = { ipv4: ipaddr.parseCIDR('224.0.0.0/4'), ipv6: ipaddr.parseCIDR('ff00::/8') }

/** As Cedar's functions of the same names, for a single address. */
function meets(address: ipaddr.IPv4 | ipaddr.IPv6, test: AddressTest): boolean {
  const kind = address.kind()
  const within = ([base, prefix]: readonly [ipaddr.IPv4 | ipaddr.IPv6, number]) =>
    base.kind() === kind && address.match(base, prefix)
  switch (test.kind) {
    case 'isIpv4':
      return kind === 'ipv4'
    case 'isIpv6':
      return kind === 'ipv6'
    case 'isLoopback':
      return within(LOOPBACK[kind])
    case 'isMulticast':
      return within(MULTICAST[kind])
    case 'in':
      return within([test.range.address, test.range.prefix])
    case 'equal':
      // A range is no address, even where its base is the same.
      return (
        test.range.prefix === (kind === 'ipv4' ? 32 : 128) && within([test.range.address, test.range.prefix])
      )
  }
}
