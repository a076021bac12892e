// The files of `npm run build` once more, as they are deployed: a folder for each function, and the context of the image.
import { copyFile, mkdir, readdir, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { buildIdentity, buildWhole } from './bundles.ts'

const root = path.dirname(import.meta.dirname)
const CEDAR_WASM = 'node_modules/@cedar-policy/cedar-wasm/nodejs/cedar_wasm_bg.wasm'

/** All of `dist`, which must be there: bundles, Cedar's WebAssembly beside them, and `deploy/`. */
export async function buildAll(dist: string): Promise<void> {
  await buildWhole(dist)
  await buildIdentity(dist)
  await copyFile(path.join(root, CEDAR_WASM), path.join(dist, path.basename(CEDAR_WASM)))
  // Wherever the folder goes (an image, a Lambda archive), its files are ES modules.
  await writeFile(path.join(dist, 'package.json'), '{"type":"module"}\n')
  await stage(dist)
}

async function stage(dist: string): Promise<void> {
  const identity = (await readdir(dist)).filter((name) => /^identity(?:-.*)?\.js$/.test(name))
  const wasm = path.basename(CEDAR_WASM)
  const deployed: Readonly<Record<string, readonly string[]>> = {
    identity,
    rotation: ['rotation.js'],
    birth: ['birth.js'],
    'validate-config': ['validate-config.js', wasm],
    image: ['gateway.js', wasm],
  }
  for (const [name, parts] of Object.entries(deployed)) {
    const folder = path.join(dist, 'deploy', name)
    await mkdir(folder, { recursive: true })
    for (const part of [...parts, 'package.json'])
      await copyFile(path.join(dist, part), path.join(folder, part))
  }
  for (const name of ['Dockerfile', 'openssl.cnf'])
    await copyFile(path.join(root, 'gateway', name), path.join(dist, 'deploy/image', name))
}
