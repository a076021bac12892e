// A kept identity is whole at any moment: whatever dies in the middle, and whoever reads during a renewal.
import { mkdtempSync, readdirSync, readFileSync, realpathSync, statSync } from 'node:fs'
import * as fs from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import type { Disk } from '../../../../cli/identity/disk.ts'
import type { FetchedSvid } from '../../../../cli/identity/fetch.ts'
import { checkStore, storeIdentity } from '../../../../cli/identity/store.ts'

const made: string[] = []
afterAll(() => Promise.all(made.map((directory) => fs.rm(directory, { recursive: true, force: true }))))

function directory(): string {
  const parent = mkdtempSync(path.join(os.tmpdir(), 'sallyport-store-'))
  made.push(parent)
  return path.join(parent, 'out')
}

const bundleOf = (sequence: number) => JSON.stringify({ keys: [], spiffe_sequence: sequence })

/** An identity whose four files all carry the same number. */
function svid(number: number, sequence = number): FetchedSvid {
  return {
    spiffeId: 'spiffe://example.org/x',
    keyPem: `key ${number}`,
    certificatePem: `certificate ${number}`,
    bundleJson: bundleOf(sequence),
    bundlePem: `roots ${number}`,
    bundleSequence: sequence,
    serialNumber: '01',
    expiresAt: '2026-11-24T13:00:00.000Z',
    renewAfter: '2026-11-24T12:30:00.000Z',
    registration: 'x',
  }
}

const NAMES = ['key.pem', 'certificate.pem', 'bundle.json', 'bundle.pem'] as const

function contentOf(number: number): Record<string, string> {
  const { keyPem, certificatePem, bundleJson, bundlePem } = svid(number)
  return {
    'key.pem': keyPem,
    'certificate.pem': certificatePem,
    'bundle.json': bundleJson,
    'bundle.pem': bundlePem,
  }
}

/** By name, as a reader finds them; names without a file are left out. */
function read(out: string): Record<string, string> {
  const found: Record<string, string> = {}
  for (const name of NAMES) {
    try {
      found[name] = readFileSync(path.join(out, name), 'utf8')
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
    }
  }
  return found
}

async function writePlain(out: string, number: number): Promise<void> {
  await fs.mkdir(out)
  for (const [name, text] of Object.entries(contentOf(number))) await fs.writeFile(path.join(out, name), text)
}

/** A clock that is some minutes ahead of the file system's. */
const later = (minutes: number) => ({ clock: () => new Date(Date.now() + minutes * 60_000) })

class Died extends Error {}

/** A file system that does `steps` things and then nothing any more, as for a process that was killed. */
function dyingDisk(steps: number): { readonly disk: Disk; readonly done: () => number } {
  let count = 0
  const step = (): void => {
    if (count >= steps) throw new Died()
    count += 1
  }
  const wrap = <A extends unknown[], R>(work: (...args: A) => Promise<R>) => {
    return async (...args: A): Promise<R> => {
      step()
      return work(...args)
    }
  }
  const { readdir, readFile, readlink, lstat, stat } = fs
  const disk = {
    ...{ readdir, readFile, readlink, lstat, stat },
    chmod: wrap(fs.chmod),
    mkdir: wrap(fs.mkdir),
    mkdtemp: wrap(fs.mkdtemp),
    rename: wrap(fs.rename),
    rm: wrap(fs.rm),
    symlink: wrap(fs.symlink),
    open: async (...args: Parameters<typeof fs.open>) => {
      step()
      const handle = await fs.open(...args)
      return {
        writeFile: wrap(handle.writeFile.bind(handle)),
        sync: wrap(handle.sync.bind(handle)),
        close: () => handle.close(),
      }
    },
  }
  return { disk: disk as unknown as Disk, done: () => count }
}

const starts: Record<
  string,
  { readonly before: number | null; readonly start: (out: string) => Promise<void> }
> = {
  'a directory that is not there': { before: null, start: async () => undefined },
  'an identity of an earlier run': { before: 1, start: (out) => storeIdentity(out, svid(1), 'example.org') },
  'plain files of an earlier release': { before: 1, start: (out) => writePlain(out, 1) },
}

describe.each(Object.entries(starts))('over %s', (_name, { before, start }) => {
  test('a process that is killed at any step leaves the old files or the new ones, and the next one goes on', async () => {
    let old = 0
    for (let steps = 0; ; steps++) {
      const out = directory()
      await start(out)
      const { disk, done } = dyingDisk(steps)
      const result = await storeIdentity(out, svid(2), 'example.org', { disk }).then(
        () => 'stored',
        (error: unknown) => (error as Error).cause,
      )
      const found = read(out)
      const expected = before === null ? {} : contentOf(before)
      if (JSON.stringify(found) === JSON.stringify(expected)) old += 1
      else expect(found).toEqual(contentOf(2))
      if (result === 'stored') {
        expect(found).toEqual(contentOf(2))
        expect(done()).toBe(steps)
        // Else the test would have let nothing fail.
        expect(old).toBeGreaterThan(10)
        return
      }
      expect(result).toBeInstanceOf(Died)
      for (const [number, minutes] of [
        [3, 2],
        [4, 4],
      ] as const) {
        await storeIdentity(out, svid(number), 'example.org', later(minutes))
        expect(read(out)).toEqual(contentOf(number))
      }
      // The version that counts and the one before it; nothing of the dead process's.
      const names = readdirSync(out).filter((name) => !NAMES.some((known) => known === name))
      expect(names.sort()).toEqual([
        expect.stringMatching(/^\.\.2/),
        expect.stringMatching(/^\.\.2/),
        '..data',
      ])
    }
  })

  test('key and directories are for their owner alone', async () => {
    const out = directory()
    await start(out)
    await storeIdentity(out, svid(2), 'example.org')
    expect(statSync(path.join(out, 'key.pem')).mode & 0o777).toBe(0o600)
    if (before === null) {
      expect(statSync(out).mode & 0o777).toBe(0o700)
      expect(statSync(path.join(out, '..data')).mode & 0o777).toBe(0o700)
    }
  })
})

test('a reader that opens ..data once never has a key and a certificate that do not belong together', async () => {
  const out = directory()
  await storeIdentity(out, svid(0), 'example.org')
  const renewing = new AbortController()
  const seen = new Set<string>()
  const reader = (async () => {
    while (!renewing.signal.aborted) {
      const version = await fs.realpath(path.join(out, '..data'))
      const [certificate, key, roots] = await Promise.all(
        ['certificate.pem', 'key.pem', 'bundle.pem'].map((name) =>
          fs.readFile(path.join(version, name), 'utf8'),
        ),
      )
      const numbers = new Set([certificate, key, roots].map((text) => text?.split(' ')[1]))
      expect(numbers.size).toBe(1)
      for (const number of numbers) seen.add(String(number))
    }
  })()
  for (let number = 1; number <= 60; number++) await storeIdentity(out, svid(number), 'example.org')
  renewing.abort()
  await reader
  expect(seen.size).toBeGreaterThan(5)
})

test('the version before stays for who is reading it, older ones and leftovers go', async () => {
  const out = directory()
  await storeIdentity(out, svid(1), 'example.org')
  const first = realpathSync(path.join(out, '..data'))
  await fs.writeFile(path.join(out, '.key.pem.0123456789ab.tmp'), 'a key of an earlier release')
  await fs.writeFile(path.join(out, 'mine.txt'), 'not of the identity')
  await storeIdentity(out, svid(2), 'example.org', later(2))
  expect(readFileSync(path.join(first, 'key.pem'), 'utf8')).toBe('key 1')
  await storeIdentity(out, svid(3), 'example.org', later(4))
  expect(readdirSync(out).filter((name) => name.startsWith('..2'))).toHaveLength(2)
  expect(readdirSync(out).filter((name) => !name.startsWith('..'))).toEqual([...NAMES, 'mine.txt'].sort())
})

test('a process that comes while another one writes takes nothing from under it', async () => {
  const out = directory()
  const disk: Disk = {
    ...fs,
    // The version is written by now and counts only after the next step.
    chmod: async (...args) => {
      await storeIdentity(out, svid(2, 9), 'example.org')
      return fs.chmod(...args)
    },
  }
  await storeIdentity(out, svid(1, 9), 'example.org', { disk })
  expect(read(out)).toEqual({ ...contentOf(1), 'bundle.json': bundleOf(9) })
})

describe('is refused', () => {
  test('with a bundle that went back, or has no sequence any more', async () => {
    const out = directory()
    await storeIdentity(out, svid(5), 'example.org')
    for (const bundleSequence of [4, null]) {
      await expect(storeIdentity(out, { ...svid(6), bundleSequence }, 'example.org')).rejects.toMatchObject({
        code: 'bundle-went-back',
      })
    }
    expect(read(out)).toEqual(contentOf(5))
    await storeIdentity(out, svid(6, 5), 'example.org')
  })

  test('where the kept bundle is damaged, with the file and what to do', async () => {
    const out = directory()
    await storeIdentity(out, svid(5), 'example.org')
    await fs.writeFile(path.join(out, 'bundle.json'), '{"keys": [')
    const file = path.join(out, 'bundle.json')
    for (const refused of [checkStore, (at: string, name: string) => storeIdentity(at, svid(6), name)]) {
      await expect(refused(out, 'example.org')).rejects.toMatchObject({
        code: 'bundle-unreadable',
        message: expect.stringMatching(new RegExp(`^${file}: .*is not JSON .*restore it, or remove it`)),
      })
    }
    await fs.rm(file)
    await storeIdentity(out, svid(6), 'example.org')
    expect(read(out)).toEqual(contentOf(6))
  })

  test('before a proof is shown, where the directory cannot be written', async () => {
    const out = directory()
    await fs.writeFile(out, 'a file')
    await expect(checkStore(out, 'example.org')).rejects.toMatchObject({ code: 'output-unwritable' })
  })

  test.for(['EPERM', 'EOPNOTSUPP'])('where the file system has no links (%s)', async (code) => {
    const out = directory()
    const symlink = () => Promise.reject(Object.assign(new Error(code), { code, syscall: 'symlink' }))
    const options = { disk: { ...fs, symlink } }
    const expected = { code: 'output-unwritable', message: expect.stringContaining('no symbolic links') }
    await expect(checkStore(out, 'example.org', options)).rejects.toMatchObject(expected)
    expect(readdirSync(out)).toEqual([])
    await expect(storeIdentity(out, svid(1), 'example.org', options)).rejects.toMatchObject(expected)
    expect(read(out)).toEqual({})
  })
})

test('a check leaves nothing behind', async () => {
  const out = directory()
  await checkStore(out, 'example.org')
  expect(readdirSync(out)).toEqual([])
})
