// The port that a server name is asked for on, which no ClientHello says.
import { describe, expect, test } from 'vitest'
import type { Destination } from '../../../../gateway/config/types.ts'
import { createChoosePort } from '../../../../gateway/listeners/passthrough.ts'

type Part = Pick<Destination, 'name' | 'hosts' | 'ports' | 'tls'>

const exact = (host: string) => ({ kind: 'exact', host }) as const
const PARTS: readonly Part[] = [
  { name: 'one', hosts: [exact('one.test')], ports: [8443], tls: 'passthrough' },
  { name: 'several', hosts: [exact('several.test')], ports: [443, 8443, 9443], tls: 'passthrough' },
  { name: 'odd', hosts: [exact('odd.test')], ports: [8443, 9443], tls: 'passthrough' },
  { name: 'wide', hosts: [{ kind: 'suffix', suffix: 'wide.test' }], ports: [443], tls: 'passthrough' },
  { name: 'narrow', hosts: [exact('narrow.wide.test')], ports: [8443], tls: 'passthrough' },
  { name: 'originated', hosts: [exact('originated.test')], ports: [443], tls: 'originate' },
]
const choose = createChoosePort(PARTS as readonly Destination[])

describe('the port', () => {
  test.each<[string, string, number | null, number | null, number | null]>([
    ['is the only one of the destination', 'one.test', null, null, 8443],
    ['is that also where another was dialled', 'one.test', null, 443, 8443],
    ["is the listener's own", 'several.test', 9443, 8443, 9443],
    ["is none where the listener's own is none of the destination", 'one.test', 443, 8443, null],
    ['is the one that was dialled, of several', 'several.test', null, 9443, 9443],
    ['is 443 of several, where another was dialled', 'several.test', null, 22, 443],
    ['is 443 of several, where nobody tells what was dialled', 'several.test', null, null, 443],
    ['is none of several without 443, where nobody tells', 'odd.test', null, null, null],
    ['is the one dialled of several without 443', 'odd.test', null, 8443, 8443],
    ['is that of a suffix', 'a.wide.test', null, null, 443],
    // On 443 the suffix has it, on 8443 the exact name: two destinations, and 443 is meant.
    ['is 443 where two destinations have the name', 'narrow.wide.test', null, null, 443],
    ['is the one dialled where two destinations have the name', 'narrow.wide.test', null, 8443, 8443],
    ['is none for a name that nobody has', 'elsewhere.test', null, 443, null],
    ['is none for the apex of a suffix', 'wide.test', null, 443, null],
    ['is none where the gateway speaks TLS to it itself', 'originated.test', null, 443, null],
    ['is none there though the listener has it', 'originated.test', 443, null, null],
  ])('%s', (_, serverName, listenerPort, dialled, port) => {
    expect(choose(serverName, listenerPort, dialled)).toBe(port)
  })

  test('is none where there is no destination at all', () => {
    expect(createChoosePort([])('one.test', 443, 443)).toBeNull()
  })
})
