import { randomBytes } from 'node:crypto'
import { mkdir, mkdtemp, open, readFile, rename, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { createAuditLog } from '../../../gateway/audit/chain.ts'
import type { AppendFile } from '../../../gateway/audit/file-sink.ts'
import { createHandleSink } from '../../../gateway/audit/file-sink.ts'
import type { Sink } from '../../../gateway/audit/sink.ts'
import { createFileSink } from '../../../gateway/audit/sink.ts'
import { verifyChain } from '../../fixtures/audit-chain.ts'
import { attempt, NO_KEY } from '../../fixtures/audit-facts.ts'

async function temporaryFile() {
  const directory = await mkdtemp(path.join(tmpdir(), 'sallyport-audit-'))
  return {
    file: path.join(directory, 'audit.jsonl'),
    [Symbol.asyncDispose]: () => rm(directory, { recursive: true }),
  }
}

function startLog(sink: Sink) {
  const log = createAuditLog({
    sink,
    revision: () => ({ config: 'sha256:1', policy: 'sha256:2' }),
    now: () => new Date(),
    random: randomBytes,
    onFailure: 'refuse',
    maxBacklogBytes: 1024 * 1024,
    ...NO_KEY,
  })
  const write = (times: number) => {
    for (let count = 0; count < times; count += 1) {
      log.closed(attempt(), { code: 'closed', by: 'client', detail: null }, { sent: 1, received: 2 })
    }
  }
  return { log, write }
}

const linesOf = async (file: string) => (await readFile(file, 'utf8')).split('\n').slice(0, -1)

describe('the file sink', () => {
  test('appends, readable for the owner alone, a chain for each process', async () => {
    await using place = await temporaryFile()
    for (let run = 0; run < 2; run += 1) {
      const { log, write } = startLog(await createFileSink(place.file))
      write(500)
      await log.close(30_000)
    }
    const lines = await linesOf(place.file)
    expect(verifyChain(lines.slice(0, 500))).toHaveLength(500)
    expect(verifyChain(lines.slice(500))).toHaveLength(500)
    expect((await stat(place.file)).mode & 0o777).toBe(0o600)
  })

  test('a line torn by a killed process does not take the next one with it', async () => {
    await using place = await temporaryFile()
    await writeFile(place.file, '{"event":"session","id":"01')
    const { log, write } = startLog(await createFileSink(place.file))
    write(2)
    await log.close(30_000)
    const lines = await linesOf(place.file)
    expect(lines[0]).toBe('{"event":"session","id":"01')
    expect(verifyChain(lines.slice(1))).toHaveLength(2)
  })

  test('a file that cannot be opened is an error at once', async () => {
    await using place = await temporaryFile()
    await expect(createFileSink(path.join(place.file, 'x'))).rejects.toMatchObject({ code: 'ENOENT' })
    await expect(createFileSink(path.dirname(place.file))).rejects.toMatchObject({ code: 'EISDIR' })
  })

  test('a full disk makes the log unavailable, and closing gives up after its time', async () => {
    const { log, write } = startLog(await createFileSink('/dev/full'))
    expect(log.available()).toBe(true)
    write(1)
    await expect.poll(() => log.available()).toBe(false)
    await log.close(50)
  })

  test('a line that a full disk tore is whole in the file that takes its place', async () => {
    await using place = await temporaryFile()
    const full: AppendFile = {
      close: async () => {},
      async write(_data, offset, length) {
        if (offset > 0) throw Object.assign(new Error('no space'), { code: 'ENOSPC' })
        return { bytesWritten: Math.min(length, 100) }
      },
    }
    const handle = createHandleSink(full, { retryMs: 5 })
    const { log, write } = startLog(handle.sink)
    write(3)
    await expect.poll(() => log.available()).toBe(false)
    handle.replace(await open(place.file, 'a', 0o600))
    await expect.poll(() => log.available()).toBe(true)
    await log.close(30_000)
    expect(verifyChain(await linesOf(place.file))).toHaveLength(3)
  })

  test('of lines that are written together, each is whole in one file, whenever another takes its place', async () => {
    const step = fc.oneof(fc.integer({ min: 1, max: 25 }), fc.constant('full'), fc.constant('another'))
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 40 }), async (steps) => {
        const files: string[] = []
        const plan = [...steps]
        const handle: { replace?: (file: AppendFile) => void } = {}
        const fileOf = (place: number): AppendFile => ({
          close: async () => {},
          async write(data, offset, length) {
            const next = plan.shift() ?? length
            if (next === 'another') handle.replace?.(fileOf(files.push('') - 1))
            if (typeof next === 'string') throw Object.assign(new Error('no space'), { code: 'ENOSPC' })
            const bytesWritten = Math.min(next, length)
            files[place] += data.toString('latin1', offset, offset + bytesWritten)
            return { bytesWritten }
          },
        })
        const { sink, replace } = createHandleSink(fileOf(files.push('') - 1), { retryMs: 0 })
        handle.replace = replace
        const lines = Array.from({ length: 12 }, (_, n) => `line ${'x'.repeat(n)} ${n}`)
        for (const line of lines) sink.line(line)
        await expect.poll(() => sink.state(), { interval: 1 }).toMatchObject({ backlogBytes: 0 })
        const whole = files.flatMap((file) => file.split('\n').slice(0, -1))
        expect(whole).toEqual(lines)
        expect(files.at(-1)?.endsWith('\n')).toBe(true)
      }),
      { numRuns: 50 },
    )
  })

  test('a file that was renamed keeps what it has, and the rest goes to a new one', async () => {
    await using place = await temporaryFile()
    const sink = await createFileSink(place.file)
    const { log, write } = startLog(sink)
    write(200)
    await expect.poll(() => sink.state().backlogBytes).toBe(0)
    await rename(place.file, `${place.file}.1`)
    write(1)
    await sink.reopen()
    write(200)
    await log.close(30_000)
    const [before, after] = [await linesOf(`${place.file}.1`), await linesOf(place.file)]
    expect(verifyChain([...before, ...after])).toHaveLength(401)
    expect(before.length).toBeGreaterThanOrEqual(200)
    expect(after.length).toBeGreaterThanOrEqual(200)
  })

  test('one that cannot be opened anew keeps the old one', async () => {
    await using place = await temporaryFile()
    const sink = await createFileSink(place.file)
    const { log, write } = startLog(sink)
    await rename(place.file, `${place.file}.1`)
    await mkdir(place.file)
    await expect(sink.reopen()).rejects.toMatchObject({ code: 'EISDIR' })
    write(5)
    await log.close(30_000)
    expect(verifyChain(await linesOf(`${place.file}.1`))).toHaveLength(5)
  })

  test('when the disk has room again, writing goes on at the byte where it stopped', async () => {
    await using place = await temporaryFile()
    const file = await open(place.file, 'a', 0o600)
    let room = 1_000
    const disk: AppendFile = {
      close: () => file.close(),
      async write(data, offset, length) {
        if (room === 0) throw Object.assign(new Error('no space'), { code: 'ENOSPC' })
        const { bytesWritten } = await file.write(data, offset, Math.min(length, room))
        room -= bytesWritten
        return { bytesWritten }
      },
    }
    const { sink } = createHandleSink(disk, { retryMs: 5 })
    const { log, write } = startLog(sink)
    write(10)
    await expect.poll(() => sink.state().failure).toBe('ENOSPC')
    expect(log.available()).toBe(false)
    expect((await readFile(place.file)).length).toBe(1_000)
    room = 1_000_000
    await expect.poll(() => log.available()).toBe(true)
    await log.close(30_000)
    expect(verifyChain(await linesOf(place.file))).toHaveLength(10)
    expect(sink.state()).toEqual({ failure: null, backlogBytes: 0, oldestWaitMs: 0, dropped: 0 })
  })
})
