// `npm run build`: dist/, which needs no node_modules: the gateway, the Lambda handlers and the CLI. Cedar's WebAssembly
// stands beside them, because its loader reads it from the directory of its own file.
import { copyFile, mkdir, rm, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { buildIdentity, buildWhole } from './bundles.ts'

const root = path.dirname(import.meta.dirname)
const dist = path.join(root, 'dist')
const CEDAR_WASM = 'node_modules/@cedar-policy/cedar-wasm/nodejs/cedar_wasm_bg.wasm'

await rm(dist, { recursive: true, force: true })
await mkdir(dist, { recursive: true })
await buildWhole(dist)
await buildIdentity(dist)
await copyFile(path.join(root, CEDAR_WASM), path.join(dist, path.basename(CEDAR_WASM)))
// Wherever the folder goes (an image, a Lambda archive), its files are ES modules.
await writeFile(path.join(dist, 'package.json'), '{"type":"module"}\n')
