// The Debian 13 tree that scripts/real-parts/trixie.sh makes, and programs run in it by chroot.
import { mkdtemp, rm } from 'node:fs/promises'
import path from 'node:path'
import { type Ran, run } from '../fixtures/process.ts'
import { REPOSITORY } from '../fixtures/sallyport.ts'

/** Where it is; fails with how to get it. */
export async function needTree(): Promise<string> {
  const script = path.join(REPOSITORY, 'scripts/real-parts/trixie.sh')
  const { code, stdout } = await run('/bin/bash', [script, '--path'])
  if (code !== 0) {
    throw new Error('moto, botocore and PostgreSQL 17 are missing: run scripts/real-parts/trixie.sh as root')
  }
  return stdout.trim()
}

/** A new folder of the tree, by its path here and its path there. */
export async function makeFolderInTree() {
  const here = await mkdtemp(path.join(await needTree(), 'tmp/sallyport-'))
  return {
    here,
    there: `/tmp/${path.basename(here)}`,
    [Symbol.asyncDispose]: () => rm(here, { recursive: true, force: true }),
  }
}

/** Runs a program of the tree to its end, with nothing of our environment. */
export async function runInTree(
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<Ran> {
  const variables = Object.entries({ PATH: '/usr/bin:/bin', HOME: '/tmp', ...env })
  const settings = variables.map(([name, value]) => `${name}=${value}`)
  return run('/usr/sbin/chroot', [await needTree(), '/usr/bin/env', '-i', ...settings, ...args])
}
