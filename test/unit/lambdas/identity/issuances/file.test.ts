// Issuance records in a file: whole lines, for their owner alone, or an error.
import { chmod, mkdir, mkdtemp, readFile, rm, stat, symlink } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createFileIssuanceStore } from '../../../../../lambdas/identity/issuances/file.ts'
import type { X509Issuance } from '../../../../../lambdas/identity/issuances/store.ts'

let directory = ''
beforeAll(async () => {
  directory = await mkdtemp(path.join(tmpdir(), 'issuances-'))
})
afterAll(() => rm(directory, { recursive: true }))

function issuance(serialNumber: string): X509Issuance {
  return {
    kind: 'x509',
    serialNumber,
    spiffeId: 'spiffe://example.org/x',
    registration: 'x',
    proof: { issuer: 'i', subject: 'line\nbreak', tokenId: 't' },
    certificateSha256: 'aa',
    issuedAt: 'a',
    expiresAt: 'b',
    requestId: 'r',
  }
}

describe('the issuance file', () => {
  it('gets one line a record, from many writers at once, readable by its owner alone', async () => {
    const file = path.join(directory, 'new', 'issuances.jsonl')
    const stores = [createFileIssuanceStore(file), createFileIssuanceStore(file)]
    const serials = Array.from({ length: 40 }, (_, index) => `${index}`)
    await Promise.all(serials.map(async (serial, index) => stores[index % 2]?.put(issuance(serial))))
    const lines = (await readFile(file, 'utf8')).trimEnd().split('\n')
    const found = lines.map((line) => (JSON.parse(line) as X509Issuance).serialNumber)
    expect(found.sort()).toEqual(serials.sort())
    expect((await stat(file)).mode & 0o777).toBe(0o600)
  })

  it('fails where it cannot be written', async () => {
    const file = path.join(directory, 'is-a-directory')
    await mkdir(file)
    await expect(createFileIssuanceStore(file).put(issuance('1'))).rejects.toThrow()
  })

  it('follows no link that somebody put in its place', async () => {
    const target = path.join(directory, 'target')
    const file = path.join(directory, 'link')
    await symlink(target, file)
    await expect(createFileIssuanceStore(file).put(issuance('1'))).rejects.toThrow()
    await expect(stat(target)).rejects.toThrow()
    await chmod(directory, 0o700)
  })
})
