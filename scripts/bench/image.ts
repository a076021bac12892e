// What the image starts Node with, so that what is measured is what runs.
import { existsSync, readFileSync } from 'node:fs'
import path from 'node:path'

const OPENSSL = path.resolve(import.meta.dirname, '../../gateway/openssl.cnf')
const DOCKERFILE = path.resolve(import.meta.dirname, '../../gateway/Dockerfile')
const TRIPLET = { x64: 'x86_64-linux-gnu', arm64: 'aarch64-linux-gnu' }[process.arch as string]
/** Of libjemalloc2, where Debian keeps it. The image has the same file in another place. */
export const JEMALLOC = `/usr/lib/${TRIPLET}/libjemalloc.so.2`

export function imageFlags(): readonly string[] {
  const [, entry = ''] = /^ENTRYPOINT (.*)$/m.exec(readFileSync(DOCKERFILE, 'utf8')) ?? []
  const [, ...flags] = (JSON.parse(entry) as readonly string[]).slice(0, -1)
  return flags
}

/** @throws where this machine lacks what the image puts in malloc's place: the loader would go on without it */
export function imageEnvironment(): Readonly<Record<string, string>> {
  if (!existsSync(JEMALLOC)) throw new Error(`${JEMALLOC}: missing, apt-get install libjemalloc2`)
  return { LD_PRELOAD: JEMALLOC, OPENSSL_CONF: OPENSSL }
}

/** Those of its collector and heap, without its permissions. */
export function heapFlags(): readonly string[] {
  return imageFlags().filter((flag) => !/^--(?:permission|allow-|disable-)/.test(flag))
}
