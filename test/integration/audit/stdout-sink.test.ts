import { spawn } from 'node:child_process'
import { once } from 'node:events'
import path from 'node:path'
import { createInterface } from 'node:readline'
import { expect, test } from 'vitest'
import { verifyChain } from '../../fixtures/audit-chain.ts'

const WRITER = path.join(import.meta.dirname, '../../fixtures/audit-writer.ts')

/** A writer process; its standard output is not read before `lines()`. */
function startWriter() {
  const child = spawn(process.execPath, [WRITER], { stdio: ['pipe', 'pipe', 'pipe'] })
  const exited = once(child, 'exit')
  const reports = createInterface({ input: child.stderr })[Symbol.asyncIterator]()
  return {
    child,
    exited,
    async ask(command: string): Promise<Record<string, unknown>> {
      child.stdin.write(`${command}\n`)
      const { value, done } = await reports.next()
      if (done === true) throw new Error(`the writer ended at ${command}`)
      return JSON.parse(value)
    },
    async lines(): Promise<string[]> {
      const chunks = await child.stdout.setEncoding('utf8').toArray()
      return chunks.join('').split('\n').slice(0, -1)
    },
    async [Symbol.asyncDispose]() {
      child.kill('SIGKILL')
      await exited
    },
  }
}

test('start lines and events share the stream, and none is lost at exit', async () => {
  await using writer = startWriter()
  await writer.ask('write 2500')
  const lines = writer.lines()
  expect(await writer.ask('close 30000')).toEqual({ closed: true })
  expect(verifyChain(await lines)).toHaveLength(2500)
  expect((await lines).slice(0, 2).map((line) => JSON.parse(line).event)).toEqual(['listening', 'ready'])
  expect(await writer.exited).toEqual([0, null])
})

test('a reader that does not read makes the log unavailable, and available again when it reads', async () => {
  await using writer = startWriter()
  const flooded = await writer.ask('flood')
  expect(flooded).toMatchObject({ available: false, failure: null, dropped: 0 })
  expect(flooded.backlogBytes).toBeGreaterThan(1024 * 1024)
  const lines = writer.lines()
  expect(await writer.ask('await')).toMatchObject({ available: true, failure: null, dropped: 0 })
  await writer.ask('write 10')
  await writer.ask('close 30000')
  expect(verifyChain(await lines).length).toBeGreaterThan(500)
})

test('what cannot wait is dropped, counted, and missing in the chain', async () => {
  await using writer = startWriter()
  const flooded = await writer.ask('write 20000')
  expect(flooded.backlogBytes).toBeLessThanOrEqual(4 * 1024 * 1024)
  expect(flooded.dropped).toBeGreaterThan(1000)
  const lines = writer.lines()
  await writer.ask('await')
  await writer.ask('write 1')
  await writer.ask('close 30000')
  const written = await lines
  expect(() => verifyChain(written)).toThrow(/sequence 20001 in place of/)
  expect(written.length - 2 + Number(flooded.dropped)).toBe(20_001)
})

test('a reader that goes away crashes nothing; what follows is dropped and counted', async () => {
  await using writer = startWriter()
  await writer.ask('write 1')
  writer.child.stdout.destroy()
  await expect.poll(() => writer.ask('write 1')).toMatchObject({ available: false, failure: 'EPIPE' })
  const before = await writer.ask('state')
  expect(before.backlogBytes).toBe(0)
  const after = await writer.ask('write 100')
  expect(Number(after.dropped) - Number(before.dropped)).toBe(100)
  expect(await writer.ask('close 30000')).toEqual({ closed: true })
  expect(await writer.exited).toEqual([0, null])
})

test('closing gives up after its time where nobody reads', async () => {
  await using writer = startWriter()
  await writer.ask('flood')
  expect(await writer.ask('close 100')).toEqual({ closed: true })
})
