// The gateway does not start in ECS on a Node with known faults, and says so elsewhere.
import { expect, test } from 'vitest'
import { judgeNode } from '../../../gateway/node-version.ts'

const ECS = { ECS_CONTAINER_METADATA_URI_V4: 'http://169.254.170.2/v4/abc' }

test.each<[string, string, boolean]>([
  ['the last before the fixes', '24.21.0', true],
  ['a release that lacks one of them', '24.22.0', true],
  ['the first with them', '24.22.1', false],
  ['a later one', '24.23.0', false],
  ['the line before', '22.23.4', true],
  ['a line that was never fixed', '25.9.0', true],
  ['the next line before its fixes', '26.12.0', true],
  ['the next line with them', '26.12.1', false],
  ['a line that began with them', '27.0.0', false],
])('%s: %s', (_name, version, faulty) => {
  expect(judgeNode(version, ECS)?.refused ?? false).toBe(faulty)
  expect(judgeNode(version, {}) !== null).toBe(faulty)
  expect(judgeNode(version, {})?.refused ?? false).toBe(false)
})
