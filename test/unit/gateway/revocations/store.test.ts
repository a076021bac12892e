// What those who judge open sessions are told when the list changes.
import { expect, test } from 'vitest'
import { NO_REVOCATIONS, type Revocation, RevocationList } from '../../../../gateway/revocations/list.ts'
import { createRevocationStore, type RevocationChange } from '../../../../gateway/revocations/store.ts'

const START = new Date('2027-01-01T00:00:00Z')
const destination = (value: string, until: Date | null = null): Revocation => ({
  selector: 'destination',
  value,
  reason: 'because',
  until,
})
const asking = (name: string) => ({ workload: null, serialNumber: '', tokenId: null, destination: name })

test('a replacement counts at once and tells what is newly revoked, and nothing else', () => {
  let now = START
  const store = createRevocationStore(NO_REVOCATIONS, () => now)
  const changes: RevocationChange[] = []
  store.onChange((change) => {
    expect(store.find(asking('b'))).not.toBeNull()
    changes.push(change)
  })
  const later = new Date(START.getTime() + 60_000)
  store.replace(new RevocationList([destination('a'), destination('b', later)]))
  expect(changes[0]?.added.entries.map(({ value }) => value)).toEqual(['a', 'b'])
  store.replace(new RevocationList([destination('b', later), destination('c'), destination('gone', START)]))
  expect(changes[1]?.added.entries.map(({ value }) => value)).toEqual(['c'])
  expect(changes[1]?.added.find(asking('c'), now)?.code).toBe('revoked-destination')
  expect(changes[1]?.removed.map(({ value }) => value)).toEqual(['a'])
  // Over by now, and then prolonged: whoever came in between is newly revoked.
  now = later
  expect(store.find(asking('b'))).toBeNull()
  store.replace(new RevocationList([destination('b')]))
  expect(changes[2]?.added.entries.map(({ value }) => value)).toEqual(['b'])
})
