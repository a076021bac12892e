// Checkpoints in a file over several processes.
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import { expect, test } from 'vitest'
import { createFileCheckpoints } from '../../../gateway/audit/checkpoints/file.ts'

test('a checkpoint that a kill tore does not take the first of the next process with it', async () => {
  const directory = await mkdtemp(path.join(os.tmpdir(), 'sallyport-checkpoints-'))
  await using stack = new AsyncDisposableStack()
  stack.defer(() => rm(directory, { recursive: true, force: true }))
  const file = path.join(directory, 'checkpoints.jsonl')
  const put = async (line: string) => {
    const sink = await createFileCheckpoints(file)
    await sink.put({ chain: 'c', sequence: 1, at: '', line }, new AbortController().signal)
    await sink.close()
  }
  await put('{"n":1}')
  expect(await readFile(file, 'utf8')).toBe('{"n":1}\n')
  await writeFile(file, '{"n":1}\n{"n":')
  await put('{"n":3}')
  await put('{"n":4}')
  expect(await readFile(file, 'utf8')).toBe('{"n":1}\n{"n":\n{"n":3}\n{"n":4}\n')
})
