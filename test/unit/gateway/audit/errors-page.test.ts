import { expect, test } from 'vitest'
import { isReasonCode, REASONS } from '../../../../gateway/audit/reasons.ts'
import { errorsPage } from '../../../../scripts/errors-page.ts'

test('the page has one row for every code', () => {
  const rows = errorsPage()
    .split('\n')
    .flatMap((line) => /^\| `([a-z0-9-]+)` \|/.exec(line)?.[1] ?? [])
  expect(rows.toSorted()).toEqual(Object.keys(REASONS).filter(isReasonCode).toSorted())
})
