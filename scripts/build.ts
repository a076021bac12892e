// `npm run build`: dist/, of which each part is one file that needs no node_modules: the gateway, the Lambda handlers and
// the CLI. Cedar's WebAssembly stands beside them, because its loader reads it from the directory of its own file.
import { copyFile, mkdir, rm, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { build } from 'esbuild'

const root = path.dirname(import.meta.dirname)
const dist = path.join(root, 'dist')
const CEDAR_WASM = 'node_modules/@cedar-policy/cedar-wasm/nodejs/cedar_wasm_bg.wasm'

/** Libraries that are CommonJS ask for these, which an ES module does not have. */
const COMMONJS = [
  "import { createRequire as __createRequire } from 'node:module'",
  'const require = __createRequire(import.meta.url)',
  'const __dirname = import.meta.dirname',
  'const __filename = import.meta.filename',
].join('\n')

// Everything runs on Node 24: the image, Lambda, and the CLI by bin/sallyport.js.
const OUTPUTS = [
  { entry: 'gateway/main.ts', out: 'gateway.js', minify: false },
  // Small, since Lambda reads it at every cold start; names stay, so that stack traces say something.
  { entry: 'lambdas/identity/handler.ts', out: 'identity.js', minify: true },
  { entry: 'lambdas/rotation/handler.ts', out: 'rotation.js', minify: true },
  { entry: 'cli/main.ts', out: 'cli.js', minify: false },
]

await rm(dist, { recursive: true, force: true })
await mkdir(dist, { recursive: true })
for (const { entry, out, minify } of OUTPUTS) {
  await build({
    absWorkingDir: root,
    entryPoints: [entry],
    outfile: path.join(dist, out),
    bundle: true,
    platform: 'node',
    format: 'esm',
    target: 'node24',
    banner: { js: COMMONJS },
    // The AWS SDK's ES modules can be shaken; its CommonJS ones come whole.
    mainFields: ['module', 'main'],
    minify,
    keepNames: minify,
    legalComments: 'linked',
    logLevel: 'warning',
    logOverride: { 'empty-import-meta': 'error' },
  })
}
await copyFile(path.join(root, CEDAR_WASM), path.join(dist, path.basename(CEDAR_WASM)))
// Wherever the folder goes (an image, a Lambda archive), its files are ES modules.
await writeFile(path.join(dist, 'package.json'), '{"type":"module"}\n')
