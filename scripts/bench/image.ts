// What the image starts Node with, so that what is measured is what runs.
import { readFileSync } from 'node:fs'
import path from 'node:path'

const DOCKERFILE = path.resolve(import.meta.dirname, '../../gateway/Dockerfile')

export function imageFlags(): readonly string[] {
  const [, entry = ''] = /^ENTRYPOINT (.*)$/m.exec(readFileSync(DOCKERFILE, 'utf8')) ?? []
  const [, ...flags] = (JSON.parse(entry) as readonly string[]).slice(0, -1)
  return flags
}

/** Those of its collector and heap, without its permissions. */
export function heapFlags(): readonly string[] {
  return imageFlags().filter((flag) => !/^--(?:permission|allow-|disable-)/.test(flag))
}
