import { describe, expect, test } from 'vitest'
import { hintFor } from '../../../../gateway/audit/hint.ts'

describe('hintFor', () => {
  test('names the destination', () => {
    expect(hintFor('address-private', 'orders-db')).toBe(
      'if this address is meant, list it in allowAddresses of destination "orders-db"',
    )
  })

  test('speaks of the destination where none was matched', () => {
    expect(hintFor('address-private', null)).toContain('allowAddresses of the destination')
  })

  test('is null for a proper end', () => {
    expect(hintFor('closed', 'orders-db')).toBeNull()
  })

  test('takes a name with replacement patterns as it is', () => {
    expect(hintFor('address-private', '$&$1')).toContain('"$&$1"')
  })
})
