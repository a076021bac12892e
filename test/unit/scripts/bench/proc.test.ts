// What Linux says of a process, as the bench reads it.
import { describe, expect, test } from 'vitest'
import {
  cpuSeconds,
  parseResident,
  parseStat,
  residentKib,
  withChildren,
} from '../../../../scripts/bench/proc.ts'

const stat = (name: string) =>
  `4242 (${name}) S 17 4242 4242 0 -1 4194560 5083 0 3 0 731 269 11 12 20 0 11 0 8241 1200 9000 18446744073709551615 1 1 0`

describe('/proc/<pid>/stat', () => {
  test.each([
    ['a plain name', 'nginx'],
    ['a name with a space', 'nginx: worker'],
    ['a name with parentheses, as a thread may have', 'a) R 1 (b'],
  ])('%s: the parent, and user and system time together without that of children', (_name, name) => {
    expect(parseStat(stat(name))).toEqual({ parent: 17, cpuSeconds: 10 })
  })

  test.each([
    ['nothing', ''],
    ['a text that ends early', '4242 (nginx) S 17 4242'],
  ])('%s is an error', (_name, text) => {
    expect(() => parseStat(text)).toThrow('not the text of /proc/<pid>/stat')
  })
})

describe('/proc/<pid>/status', () => {
  test('has what is resident, in KiB', () => {
    expect(parseResident('VmHWM:\t  9000 kB\nVmRSS:\t  8192 kB\nRssAnon:\t 100 kB\n')).toBe(8192)
  })

  test('without it is an error', () => {
    expect(() => parseResident('Name:\tkthreadd\n')).toThrow('no VmRSS')
  })
})

describe('this process', () => {
  test('has used some CPU, has memory and is a child of its parent', async () => {
    expect(await cpuSeconds([process.pid])).toBeGreaterThan(0)
    expect(await residentKib([process.pid])).toBeGreaterThan(1024)
    expect(await withChildren(process.ppid)).toContain(process.pid)
  })
})
