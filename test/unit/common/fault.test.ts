import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { ConfigurationError, type Fault, formatFault } from '../../../common/fault.ts'

const FAULT: Fault = { file: 'gateway.yaml', line: 12, key: 'a.b', message: 'missing', remedy: 'add it' }

describe('the line of a fault', () => {
  const cases: Record<string, readonly [changes: Partial<Fault>, line: string]> = {
    'with all that there is': [{}, 'gateway.yaml:12: a.b: missing (add it)'],
    'without line, where the whole file is meant': [{ line: null }, 'gateway.yaml: a.b: missing (add it)'],
    'without key': [{ key: null }, 'gateway.yaml:12: missing (add it)'],
    'without remedy': [{ remedy: null }, 'gateway.yaml:12: a.b: missing'],
    'with file and message alone': [{ line: null, key: null, remedy: null }, 'gateway.yaml: missing'],
    'with a path as the operator wrote it': [
      { file: '../etc/x y.yaml' },
      '../etc/x y.yaml:12: a.b: missing (add it)',
    ],
    'with a line break in the message': [
      { message: 'found "x\ngateway.yaml:1: all is well"' },
      'gateway.yaml:12: a.b: found "x gateway.yaml:1: all is well" (add it)',
    ],
    'with Windows line breaks, each run of them one blank': [
      { message: 'a\r\n\r\nb' },
      'gateway.yaml:12: a.b: a b (add it)',
    ],
    'with line breaks in file, key and remedy': [
      { file: 'a\nb', key: 'c\rd', remedy: 'e\nf' },
      'a b:12: c d: missing (e f)',
    ],
  }
  test.each(Object.entries(cases))('%s', (_, [changes, line]) => {
    expect(formatFault({ ...FAULT, ...changes })).toBe(line)
  })

  test('property: it is one line, whatever the parts', () => {
    const text = fc.string({ unit: fc.constantFrom('a', ':', '\r', '\n', '(', ' ') })
    const fault = fc.record({
      file: text,
      line: fc.option(fc.nat()),
      key: fc.option(text),
      message: text,
      remedy: fc.option(text),
    })
    fc.assert(
      fc.property(fault, (fault) => {
        expect(formatFault(fault)).not.toMatch(/[\r\n]/)
      }),
    )
  })
})

describe('ConfigurationError', () => {
  const faults = [FAULT, { ...FAULT, line: 3, message: 'two\nlines' }]

  test('says all faults, one line each, and keeps them', () => {
    const error = new ConfigurationError(faults)
    expect(error.message.split('\n')).toEqual(faults.map(formatFault))
    expect(error.faults).toEqual(faults)
  })

  test('is known by its code and name', () => {
    const error = new ConfigurationError([])
    expect(error).toMatchObject({ code: 'configuration-invalid', name: 'ConfigurationError', message: '' })
    expect(error).toBeInstanceOf(Error)
  })
})
