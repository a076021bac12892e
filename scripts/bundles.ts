// The files of dist/, as a function, for tests that need one of them elsewhere.
import path from 'node:path'
import { build } from 'esbuild'

const root = path.dirname(import.meta.dirname)

/** Libraries that are CommonJS ask for these, which an ES module does not have. */
const COMMONJS = [
  "import { createRequire as __createRequire } from 'node:module'",
  'const require = __createRequire(import.meta.url)',
  'const __dirname = import.meta.dirname',
  'const __filename = import.meta.filename',
].join('\n')

export interface Bundle {
  readonly entry: string
  readonly out: string
  /** Small, since Lambda reads it at every cold start: without the parts of the SDK that no function uses. */
  readonly lambda: boolean
}

// Everything runs on Node 24: the image, Lambda, and the CLI by bin/sallyport.js.
export const IDENTITY: Bundle = { entry: 'lambdas/identity/handler.ts', out: 'identity.js', lambda: true }
export const BUNDLES: readonly Bundle[] = [
  { entry: 'gateway/main.ts', out: 'gateway.js', lambda: false },
  IDENTITY,
  { entry: 'lambdas/rotation/handler.ts', out: 'rotation.js', lambda: true },
  { entry: 'cli/main.ts', out: 'cli.js', lambda: false },
]

const ON_LAMBDA = {
  '@aws-sdk/credential-provider-node': './lambdas/stubs/credential-chain.ts',
  '@smithy/core/event-streams': './lambdas/stubs/never-loaded.ts',
  bowser: './lambdas/stubs/never-loaded.ts',
  // The same source as ES modules, of which what nobody uses can be left out.
  yaml: path.join(root, 'node_modules/yaml/browser/dist/index.js'),
}

/** Writes one file that needs no node_modules, and the licenses of what is in it beside it. */
export async function buildBundle({ entry, out, lambda }: Bundle, dist: string): Promise<void> {
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
    minify: lambda,
    ...(lambda ? { alias: ON_LAMBDA } : {}),
    legalComments: 'linked',
    logLevel: 'warning',
    logOverride: { 'empty-import-meta': 'error' },
  })
}
