// `npm run fuzz` as a command: what it prints and how it exits.
import { spawnSync } from 'node:child_process'
import path from 'node:path'
import { describe, expect, test } from 'vitest'

const script = path.join(import.meta.dirname, '../../../scripts/fuzz.ts')
const fuzz = (...args: readonly string[]) =>
  spawnSync(process.execPath, [script, ...args], { encoding: 'utf8' })

describe('npm run fuzz', () => {
  test('runs one target for a time and says how many inputs it saw', () => {
    const { status, stdout } = fuzz('--target', 'proxy-header', '--seconds', '0.5', '--seed', '9')
    expect(stdout).toMatch(/^seed 9, 0\.5 s over 1 targets\nproxy-header +[1-9]\d* inputs\n$/)
    expect(status).toBe(0)
  })

  test.for<[string, readonly string[]]>([
    ['an unknown target', ['--target', 'nothing']],
    ['no time', ['--seconds', '0']],
    ['a seed that is no number', ['--seed', 'x']],
    ['an unknown option', ['--fast']],
  ])('refuses %s', ([, args]) => {
    expect(fuzz(...args)).toMatchObject({ status: 2, stdout: '' })
  })
})
