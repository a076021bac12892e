import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { type BaggageHints, readBaggage } from '../../../../gateway/listeners/baggage.ts'
import { readForwarded } from '../../../../gateway/listeners/forwarded.ts'
import { readMeshHints, readTraceparent } from '../../../../gateway/listeners/mesh-hints.ts'

const TRACE = '4bf92f3577b34da6a3ce929d0e0e4736'
const PARENT = '00f067aa0ba902b7'

const NONE: BaggageHints = {
  cluster: null,
  namespace: null,
  workloadKind: null,
  workload: null,
  service: null,
  version: null,
  region: null,
  zone: null,
}

describe('the headers of an HBONE request', () => {
  test('as ztunnel sends them', () => {
    const hints = readMeshHints({
      baggage:
        'k8s.cluster.name=Kubernetes,k8s.namespace.name=shop,k8s.deployment.name=cart,service.name=cart,service.version=v1,cloud.region=eu-west-1,cloud.availability_zone=eu-west-1a',
      forwarded: 'for="10.1.2.3:40312";host=api.bank.example',
      traceparent: `00-${TRACE}-${PARENT}-00`,
    })
    expect(hints).toEqual({
      baggage: {
        cluster: 'Kubernetes',
        namespace: 'shop',
        workloadKind: 'deployment',
        workload: 'cart',
        service: 'cart',
        version: 'v1',
        region: 'eu-west-1',
        zone: 'eu-west-1a',
      },
      forwarded: { source: { address: '10.1.2.3', port: 40_312 }, host: 'api.bank.example' },
      trace: { traceId: TRACE, parentId: PARENT, sampled: false },
    })
    const parts = [hints, hints.baggage, hints.forwarded, hints.forwarded?.source, hints.trace]
    expect(parts.every(Object.isFrozen)).toBe(true)
  })

  test('none of them', () => {
    expect(readMeshHints({})).toEqual({ baggage: null, forwarded: null, trace: null })
    expect(readMeshHints({ baggage: '', forwarded: '', traceparent: '' })).toEqual(readMeshHints({}))
  })

  test('a malformed one takes no other with it', () => {
    const hints = readMeshHints({ baggage: '\0', forwarded: 'for=10.0.0.1', traceparent: 'x' })
    expect(hints).toEqual({
      baggage: null,
      forwarded: { source: { address: '10.0.0.1', port: null }, host: null },
      trace: null,
    })
  })

  test('several fields of a name: baggage is one list, of the others there must be one', () => {
    const hints = readMeshHints({
      baggage: ['service.name=a', 'service.version=b'],
      forwarded: ['for=10.0.0.1', 'for=10.0.0.2'],
      traceparent: [`00-${TRACE}-${PARENT}-00`, `00-${TRACE}-${PARENT}-01`],
    } as never)
    expect(hints).toEqual({ baggage: { ...NONE, service: 'a', version: 'b' }, forwarded: null, trace: null })
  })
})

describe('baggage', () => {
  const LONG = 'a'.repeat(253)
  const cases: Record<string, readonly [header: string, expected: Partial<BaggageHints> | null]> = {
    'white space around all': ['service.name \t=  a\t, service.version=b ', { service: 'a', version: 'b' }],
    'a pod': ['k8s.pod.name=cart-0', { workloadKind: 'pod', workload: 'cart-0' }],
    'a job': ['k8s.job.name=x', { workloadKind: 'job', workload: 'x' }],
    'a cron job': ['k8s.cronjob.name=x', { workloadKind: 'cronjob', workload: 'x' }],
    'a workload of an unknown kind': ['k8s.daemonset.name=x', null],
    'keys that are not ours': ['userId=alice,service.name=a,__proto__=b,constructor=c', { service: 'a' }],
    'keys that are not ours alone': ['userId=alice', null],
    'a key of ours in capitals, which is another': ['Service.Name=a', null],
    properties: ['service.name=a;p=1;q,service.version=b;r', { service: 'a', version: 'b' }],
    'an equals sign in a value': ['service.version=a=b', { version: 'a=b' }],
    'a value in percent-encoding': ['service.name=a%2Db', { service: 'a-b' }],
    'an empty value': ['service.name=,service.version=b', { version: 'b' }],
    'a value of 253 characters': [`service.name=${LONG}`, { service: LONG }],
    'a value of 254 characters': [`service.name=${LONG}a,service.version=b`, { version: 'b' }],
    'a value with a line end in it': ['service.name=a%0Ab,service.version=b', { version: 'b' }],
    'a value with an escape sequence in it': ['service.name=%1B%5B2J,service.version=b', { version: 'b' }],
    'a value with a space in it': ['service.name=a%20b,service.version=b', { version: 'b' }],
    'a value that is not ASCII': ['service.name=%C3%A9,service.version=b', { version: 'b' }],
    'a value that is not UTF-8': ['service.name=%FF,service.version=b', { version: 'b' }],
    'half a percent-encoding': ['service.name=a%2,service.version=b', { version: 'b' }],
    'a key twice': ['service.name=a,service.version=b,service.name=c', { version: 'b' }],
    'a key twice with one value': ['service.name=a,service.name=a', null],
    'a key three times': ['service.name=a,service.name=b,service.name=c', null],
    'two workloads': ['k8s.pod.name=a,k8s.deployment.name=b,service.name=c', { service: 'c' }],
    nothing: ['', null],
    'a comma at the end': ['service.name=a,', null],
    'a member without a value': ['service.name', null],
    'a member without a key': ['=a', null],
    'a space in a value': ['service.name=a b', null],
    'a quote in a value': ['service.name="a"', null],
    'a backslash in a value': ['service.name=a\\b', null],
    'a line end': ['service.name=a\r\nx: y', null],
    NUL: ['service.name=a\0', null],
    'a character beyond ASCII': ['service.name=é', null],
    '64 members': [`${'a=b,'.repeat(63)}service.name=a`, { service: 'a' }],
    '65 members': [`${'a=b,'.repeat(64)}service.name=a`, null],
    '8192 bytes': [`service.name=a,b=${'b'.repeat(8175)}`, { service: 'a' }],
    '8193 bytes': [`service.name=a,b=${'b'.repeat(8176)}`, null],
  }
  test.each(Object.entries(cases))('%s', (_, [header, expected]) => {
    expect(readBaggage(header)).toEqual(expected === null ? null : { ...NONE, ...expected })
  })
})

describe('forwarded', () => {
  const from = (address: string, port: number | null = null) => ({ source: { address, port }, host: null })
  const host = (name: string) => ({ source: null, host: name })
  const cases: Record<string, readonly [header: string, expected: ReturnType<typeof readForwarded>]> = {
    IPv4: ['for=192.0.2.60', from('192.0.2.60')],
    'IPv4 and port': ['for="192.0.2.60:8080"', from('192.0.2.60', 8080)],
    IPv6: ['for="[2001:DB8::1]"', from('2001:db8::1')],
    'IPv6 and port': ['for="[2001:db8:0::1]:80"', from('2001:db8::1', 80)],
    'IPv4 in IPv6': ['for="[::ffff:10.0.0.1]:80"', from('10.0.0.1', 80)],
    'port 0': ['for="10.0.0.1:0"', from('10.0.0.1', 0)],
    'an obfuscated port': ['for="10.0.0.1:_x"', from('10.0.0.1')],
    'names in capitals': [
      'For="10.0.0.1";HOST=a',
      { source: { address: '10.0.0.1', port: null }, host: 'a' },
    ],
    'parameters that are not ours': ['by=_x;proto=https;for=10.0.0.1;secret="a;b,c"', from('10.0.0.1')],
    'empty pairs': [';;for=10.0.0.1;', from('10.0.0.1')],
    'white space around pairs': [
      'for=10.0.0.1 ; host=a.test',
      { source: { address: '10.0.0.1', port: null }, host: 'a.test' },
    ],
    'quoted pairs': ['host="a\\.test"', host('a.test')],
    'a host': ['host=API.bank.example', host('api.bank.example')],
    'a host and port': ['host="api.bank.example:443"', host('api.bank.example:443')],
    'an IPv6 host and port': ['host="[2001:DB8::1]:443"', host('[2001:db8::1]:443')],
    'a host that is none beside a source': ['for=10.0.0.1;host="a b"', from('10.0.0.1')],
    'a source that is none beside a host': ['for=unknown;host=a.test', host('a.test')],
    'an unknown source': ['for=unknown', null],
    'an obfuscated source': ['for=_hidden', null],
    'a source that is a name': ['for=api.bank.example', null],
    'IPv6 without brackets': ['for="2001:db8::1"', null],
    'IPv6 without quotes': ['for=[2001:db8::1]', null],
    'IPv6 with a zone': ['for="[fe80::1%eth0]"', null],
    'IPv4 in brackets': ['for="[10.0.0.1]"', null],
    'IPv4 with leading zeros': ['for=010.0.0.1', null],
    'port 65536': ['for="10.0.0.1:65536"', null],
    'an empty port': ['for="10.0.0.1:"', null],
    'a port with a sign': ['for="10.0.0.1:+1"', null],
    'two ports': ['for="10.0.0.1:1:2"', null],
    'two elements': ['for=10.0.0.1, for=10.0.0.2', null],
    'a parameter twice': ['for=10.0.0.1;FOR=10.0.0.1', null],
    'no value': ['for=;host=a.test', null],
    'no quote at the end': ['for="10.0.0.1', null],
    'text behind the quote': ['for="10.0.0.1"x', null],
    'white space around the equals sign': ['for = 10.0.0.1', null],
    'a line end in quotes': ['for="10.0.0.1\r\n"', null],
    nothing: ['', null],
    '1024 bytes': [`for=10.0.0.1;x=${'x'.repeat(1009)}`, from('10.0.0.1')],
    '1025 bytes': [`for=10.0.0.1;x=${'x'.repeat(1010)}`, null],
  }
  test.each(Object.entries(cases))('%s', (_, [header, expected]) => {
    expect(readForwarded(header)).toEqual(expected)
  })
})

describe('traceparent', () => {
  const good = { traceId: TRACE, parentId: PARENT }
  const cases: Record<string, readonly [header: string, expected: object | null]> = {
    'not sampled': [`00-${TRACE}-${PARENT}-00`, { ...good, sampled: false }],
    sampled: [`00-${TRACE}-${PARENT}-01`, { ...good, sampled: true }],
    'sampled, by the last bit alone': [`00-${TRACE}-${PARENT}-fe`, { ...good, sampled: false }],
    'a later version': [`01-${TRACE}-${PARENT}-01`, { ...good, sampled: true }],
    'a later version with more': [`01-${TRACE}-${PARENT}-01-what`, { ...good, sampled: true }],
    'this version with more': [`00-${TRACE}-${PARENT}-01-what`, null],
    'a later version with more that is not set apart': [`01-${TRACE}-${PARENT}-01what`, null],
    'version ff': [`ff-${TRACE}-${PARENT}-01`, null],
    capitals: [`00-${TRACE.toUpperCase()}-${PARENT}-01`, null],
    'a trace of zeros': [`00-${'0'.repeat(32)}-${PARENT}-01`, null],
    'a parent of zeros': [`00-${TRACE}-${'0'.repeat(16)}-01`, null],
    'too short': [`00-${TRACE}-${PARENT.slice(1)}-01`, null],
    'no flags': [`00-${TRACE}-${PARENT}`, null],
    'white space': [` 00-${TRACE}-${PARENT}-01`, null],
    'a line end': [`00-${TRACE}-${PARENT}-01\n`, null],
    'a later version with a line end': [`01-${TRACE}-${PARENT}-01-a\nb`, null],
    'two of them': [`00-${TRACE}-${PARENT}-01,00-${TRACE}-${PARENT}-01`, null],
    nothing: ['', null],
    'a later version of 257 bytes': [`01-${TRACE}-${PARENT}-01-`.padEnd(257, 'x'), null],
  }
  test.each(Object.entries(cases))('%s', (_, [header, expected]) => {
    expect(readTraceparent(header)).toEqual(expected)
  })
})

describe('any headers', () => {
  const piece = fc.constantFrom(
    ...[
      'service.name',
      'k8s.pod.name',
      'for',
      'host',
      '=',
      '=',
      ';',
      ',',
      '"',
      '\\',
      '%',
      '%0a',
      '10.0.0.1',
      '[::1]',
      ':80',
    ],
    ...['00-', TRACE, PARENT, '-01', ' ', 'a', '\0', '\r\n', 'é', '\u202e'],
  )
  const header = fc.oneof(
    fc.array(piece, { maxLength: 12 }).map((parts) => parts.join('')),
    fc.string({ unit: 'binary' }),
  )
  const value = fc.oneof(header, fc.array(header, { maxLength: 3 }), fc.constant(undefined))

  test('give hints of printable ASCII within bounds and never throw', () => {
    fc.assert(
      fc.property(value, value, value, (baggage, forwarded, traceparent) => {
        const hints = readMeshHints({ baggage, forwarded, traceparent } as never)
        const text = JSON.stringify(hints)
        expect(text).toMatch(/^[\u0020-\u007e]*$/)
        expect(text.length).toBeLessThan(4096)
      }),
      { numRuns: 2000 },
    )
  })

  test('of the greatest length are read in time', () => {
    for (const unit of ['a=b;', ' ', '"', '\\', ';', 'a', '=', ';a="', '%']) {
      for (const length of [1024, 8192])
        readMeshHints({
          baggage: unit.repeat(length).slice(0, length),
          forwarded: unit.repeat(length).slice(0, length),
        })
    }
  })
})
