// Runs a command of this repository on the Node that package.json pins, and installs the dependencies first where
// they are missing or older than the lockfile. It is plain JavaScript without a dependency because it must run on
// whatever Node is there (20 or newer), before anything is installed.
import { spawn, spawnSync } from 'node:child_process'
import { existsSync, readFileSync, statSync } from 'node:fs'
import path from 'node:path'

const root = path.dirname(import.meta.dirname)
const bin = path.join(root, 'node_modules', '.bin')
const [command, ...args] = process.argv.slice(2)

/** npm writes node_modules/.package-lock.json at the end of each install: older than the lockfile means stale. */
function installed() {
  const marker = path.join(root, 'node_modules', '.package-lock.json')
  if (!existsSync(marker)) return false
  return statSync(marker).mtimeMs >= statSync(path.join(root, 'package-lock.json')).mtimeMs
}

function install() {
  process.stderr.write('sallyport: installing dependencies (npm ci) …\n')
  const done = spawnSync('npm', ['ci', '--no-audit', '--no-fund', '--loglevel=error'], {
    cwd: root,
    stdio: ['ignore', 2, 2],
    shell: process.platform === 'win32',
  })
  if (done.status !== 0) {
    process.stderr.write('sallyport: npm ci failed; what it printed stands above\n')
    process.exit(1)
  }
}

/** The commands behind names that are more than one program. */
function expand(name, rest) {
  if (name === 'sallyport') return [['node', [path.join(root, 'cli', 'main.ts'), ...rest]]]
  if (name === 'check') {
    return [
      ['biome', ['format', '.']],
      ['oxlint', ['--type-aware', '--deny-warnings']],
      ['tsc', ['--noEmit', '-p', '.']],
      ['knip', []],
      ['node', [path.join(root, 'scripts', 'write-docs.ts'), '--check']],
    ]
  }
  if (name === 'synth') {
    const synth = (environment) => [
      'cdk',
      [
        'synth',
        '--strict',
        '--quiet',
        '-c',
        `environment=${environment}`,
        '-o',
        `dist/cdk.out/${environment}`,
        ...rest,
      ],
    ]
    return [['node', [path.join(root, 'scripts', 'build.ts')]], synth('dev'), synth('prod')]
  }
  return [[name, rest]]
}

function run(name, rest) {
  // The user's own directory stays the working directory of `sallyport`, so that relative paths mean what he typed.
  const cwd = command === 'sallyport' ? (process.env.INIT_CWD ?? process.cwd()) : root
  const env = {
    // Stripping types and compiling is half of a command's second, and the same each time.
    NODE_COMPILE_CACHE: path.join(root, 'node_modules', '.cache', 'compile'),
    ...process.env,
    PATH: `${bin}${path.delimiter}${process.env.PATH ?? ''}`,
  }
  const child = spawn(name, rest, { cwd, env, stdio: 'inherit', shell: process.platform === 'win32' })
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal))
  return new Promise((resolve) => {
    child.on('error', (error) => {
      process.stderr.write(`sallyport: cannot run ${name}: ${error.message}\n`)
      resolve(1)
    })
    child.on('exit', (code, signal) => resolve(code ?? (signal === 'SIGINT' ? 130 : 143)))
  })
}

if (command === undefined) {
  process.stderr.write('usage: node scripts/run.js COMMAND [ARGUMENT…]\n')
  process.exit(2)
}
if (!installed()) install()
const wanted = JSON.parse(readFileSync(path.join(root, 'package.json'), 'utf8')).devDependencies.node
if (!existsSync(path.join(root, 'node_modules', 'node', 'bin', 'node'))) {
  process.stderr.write(
    `sallyport: node@${wanted} is not installed; its install script must be allowed to run\n`,
  )
  process.exit(1)
}
for (const [name, rest] of expand(command, args)) {
  const code = await run(name, rest)
  if (code !== 0) process.exit(code)
}
