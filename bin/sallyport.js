#!/usr/bin/env node
// The installed command. In the repository it runs the source, in the package the bundle. Plain JavaScript without a
// dependency, because it runs on whatever Node is there (20 or newer) and finds the Node that Sallyport needs.
import { spawn, spawnSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import path from 'node:path'
import process from 'node:process'
import { fileURLToPath, pathToFileURL } from 'node:url'

const root = path.dirname(path.dirname(fileURLToPath(import.meta.url)))
const runner = path.join(root, 'scripts', 'run.js')
const bundle = path.join(root, 'dist', 'cli.js')
/** Older ones differ in TLS and HTTP/2, which is what a gateway is made of, and get no security fixes. */
const OLDEST_MAJOR = 24

/** The pinned Node from npm's cache or registry: npm writes to standard error alone, so standard output stays ours. */
function findNode() {
  const { devDependencies } = JSON.parse(readFileSync(path.join(root, 'package.json'), 'utf8'))
  const version = devDependencies.node
  process.stderr.write(
    `sallyport: this is Node ${process.versions.node}; running on Node ${version} by npx\n`,
  )
  const npx = spawnSync(
    'npx',
    ['--yes', '--loglevel=error', `--package=node@${version}`, '--', 'node', '-p', 'process.execPath'],
    { encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'], shell: process.platform === 'win32' },
  )
  if (npx.status === 0) return npx.stdout.trim()
  process.stderr.write(`sallyport: needs Node ${OLDEST_MAJOR} or newer, and npx could not fetch it\n`)
  return process.exit(1)
}

function runOn(node, args) {
  const child = spawn(node, args, { stdio: 'inherit' })
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal))
  child.on('exit', (code, signal) => process.exit(code ?? (signal === 'SIGINT' ? 130 : 143)))
}

const args = process.argv.slice(2)
if (existsSync(runner)) {
  runOn(process.execPath, [runner, 'sallyport', ...args])
} else if (Number.parseInt(process.versions.node, 10) >= OLDEST_MAJOR) {
  process.argv[1] = bundle
  await import(pathToFileURL(bundle).href)
} else {
  runOn(findNode(), [bundle, ...args])
}
