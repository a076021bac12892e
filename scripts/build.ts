// `npm run build`: dist/, which needs no node_modules: the gateway, the Lambda handlers and the CLI. Cedar's WebAssembly
// stands beside them, because its loader reads it from the directory of its own file. Below dist/deploy/ the same files
// once more, as they are deployed: a folder for each function, and the context of the image.
import { copyFile, mkdir, readdir, rm, writeFile } from 'node:fs/promises'
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

const files = await readdir(dist)
const identity = files.filter((name) => /^identity(?:-.*)?\.js$/.test(name))
const wasm = path.basename(CEDAR_WASM)
const DEPLOYED: Readonly<Record<string, readonly string[]>> = {
  identity,
  rotation: ['rotation.js'],
  birth: ['birth.js'],
  'validate-config': ['validate-config.js', wasm],
  image: ['gateway.js', wasm],
}
for (const [name, parts] of Object.entries(DEPLOYED)) {
  const folder = path.join(dist, 'deploy', name)
  await mkdir(folder, { recursive: true })
  for (const part of [...parts, 'package.json'])
    await copyFile(path.join(dist, part), path.join(folder, part))
}
await copyFile(path.join(root, 'gateway/Dockerfile'), path.join(dist, 'deploy/image/Dockerfile'))
