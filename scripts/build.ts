// `npm run build`: dist/, which needs no node_modules: the gateway, the Lambda handlers and the CLI. Cedar's WebAssembly
// stands beside them, because its loader reads it from the directory of its own file.
import { mkdir, rm } from 'node:fs/promises'
import path from 'node:path'
import { buildAll } from './deployed.ts'

const dist = path.join(path.dirname(import.meta.dirname), 'dist')
await rm(dist, { recursive: true, force: true })
await mkdir(dist, { recursive: true })
await buildAll(dist)
