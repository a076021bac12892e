// What `npm run build` makes, as a function, for tests and measurements that need it elsewhere: the gateway, the rotation
// function and the CLI as one file each, and the identity function, which is cut to what its cold start can bear.
import path from 'node:path'
import { type BuildOptions, build } from 'esbuild'
import { nodeBuiltins } from './node-builtins.ts'

const root = path.dirname(import.meta.dirname)

/** Libraries that are CommonJS ask for these, which an ES module does not have. */
const COMMONJS = [
  "import { createRequire as __createRequire } from 'node:module'",
  'const require = __createRequire(import.meta.url)',
  'const __dirname = import.meta.dirname',
  'const __filename = import.meta.filename',
].join('\n')

// Everything runs on Node 24: the image, Lambda, and the CLI by bin/sallyport.js.
const COMMON = {
  absWorkingDir: root,
  bundle: true,
  platform: 'node',
  format: 'esm',
  target: 'node24',
  // The AWS SDK's ES modules can be shaken; its CommonJS ones come whole.
  mainFields: ['module', 'main'],
  legalComments: 'linked',
  logLevel: 'warning',
  logOverride: { 'empty-import-meta': 'error' },
} as const satisfies BuildOptions

const WHOLE = [
  { entry: 'gateway/main.ts', out: 'gateway.js', minify: false },
  // Names stay, so that stack traces say something.
  { entry: 'lambdas/rotation/handler.ts', out: 'rotation.js', minify: true },
  { entry: 'lambdas/birth/handler.ts', out: 'birth.js', minify: true },
  { entry: 'lambdas/validate-config/handler.ts', out: 'validate-config.js', minify: false },
  { entry: 'cli/main.ts', out: 'cli.js', minify: false },
]

/** One file each, that needs no node_modules. */
export async function buildWhole(dist: string): Promise<void> {
  for (const { entry, out, minify } of WHOLE) {
    await build({
      ...COMMON,
      entryPoints: [entry],
      outfile: path.join(dist, out),
      banner: { js: COMMONJS },
      minify,
      keepNames: minify,
    })
  }
}

/**
 * `identity.js` and the files that it loads, `identity-….js`: what the first request needs, and apart from it what only
 * some do (a CA in files, the OpenAPI document). Without the names of functions, which cost a tenth of the load. What
 * stands in for a library, or for Node's own, says so itself; tests hold each against what it replaces, and mint through
 * the whole (test/integration/authority/lambda-bundle.test.ts).
 * @returns the bytes of all its code
 */
export async function buildIdentity(dist: string): Promise<number> {
  const { metafile } = await build({
    ...COMMON,
    entryPoints: { identity: 'lambdas/identity/handler.ts' },
    outdir: dist,
    splitting: true,
    chunkNames: 'identity-[name]-[hash]',
    minify: true,
    metafile: true,
    inject: ['lambdas/identity/lambda-web.ts'],
    alias: {
      '@aws-sdk/client-dynamodb': './lambdas/identity/aws-json/dynamodb.ts',
      '@aws-sdk/client-secrets-manager': './lambdas/identity/aws-json/secrets-manager.ts',
      // The same source as ES modules, which can be shaken.
      yaml: path.join(root, 'node_modules/yaml/browser/dist/index.js'),
    },
    plugins: [nodeBuiltins],
  })
  const code = Object.entries(metafile.outputs).filter(([file]) => file.endsWith('.js'))
  return code.reduce((sum, [, { bytes }]) => sum + bytes, 0)
}
