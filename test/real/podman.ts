// podman without a daemon, a registry or anything of the machine's: a store of its own, and a base image made here that bears
// the name which gateway/Dockerfile begins from.
import { copyFile, mkdtemp, rm, writeFile } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import { needProgram, type Ran, run } from '../fixtures/process.ts'
import { REPOSITORY } from '../fixtures/sallyport.ts'

export const BASE = 'docker.io/library/node:24-bookworm-slim'

const CONTAINERS_CONF = `[containers]
netns = "host"
log_driver = "k8s-file"
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
`

export interface Podman extends AsyncDisposable {
  /** Arguments before a command. */
  readonly store: readonly string[]
  readonly program: string
  readonly env: NodeJS.ProcessEnv
  /** @throws Error with what it said where it fails */
  run(...args: readonly string[]): Promise<Ran>
}

async function needBase(): Promise<string> {
  const script = path.join(REPOSITORY, 'scripts/real-parts/image-base.sh')
  const { code, stdout } = await run('/bin/bash', [script, '--path'])
  if (code !== 0) throw new Error('a Debian archive is missing: run scripts/real-parts/image-base.sh as root')
  return stdout.trim()
}

/** With the base image in its store. */
export async function createPodman(): Promise<Podman> {
  const directory = await mkdtemp(path.join(os.tmpdir(), 'sallyport-podman-'))
  const program = await needProgram('podman')
  await needProgram('runc')
  const conf = path.join(directory, 'containers.conf')
  await writeFile(conf, CONTAINERS_CONF)
  const store = [
    '--root',
    path.join(directory, 'store'),
    '--runroot',
    path.join(directory, 'run'),
    '--storage-driver',
    'vfs',
  ]
  const env = { ...process.env, CONTAINERS_CONF: conf }
  const podman: Podman = {
    store,
    program,
    env,
    async run(...args) {
      const ran = await run(program, [...store, ...args], env)
      if (ran.code !== 0) throw new Error(`podman ${args.join(' ')}: ${ran.stderr.slice(-2000)}`)
      return ran
    },
    async [Symbol.asyncDispose]() {
      await run(program, [...store, 'rm', '--all', '--force', '--time', '0'], env)
      await rm(directory, { recursive: true, force: true })
    },
  }
  await makeBase(podman, directory)
  return podman
}

/** Node is npm's: what runs here is what `npm test` runs on. Put into the archive: a build of its own would copy it all. */
async function makeBase(podman: Podman, directory: string): Promise<void> {
  const archive = path.join(directory, 'base.tar')
  await copyFile(await needBase(), archive)
  const node = path.join(REPOSITORY, 'node_modules/node/bin')
  const ran = await run('tar', ['-rf', archive, '--transform', 's,^,usr/local/bin/,', '-C', node, 'node'])
  if (ran.code !== 0) throw new Error(`tar: ${ran.stderr}`)
  await podman.run('import', archive, BASE)
  await rm(archive)
}

export async function build(podman: Podman, tag: string, context: string, ...args: readonly string[]) {
  // The vfs driver copies the whole of it for each layer: one at the end of a stage will do.
  const isolated = ['--isolation', 'chroot', '--network', 'host', '--pull=never', '--layers=false']
  return podman.run('build', ...isolated, '--format', 'docker', '-t', tag, ...args, context)
}

/** As ECS runs it: nobody, without capabilities, under a read-only root. The hard limits are those of this machine. */
export const AS_IN_ECS = [
  ...['run', '--rm', '--read-only', '--cap-drop', 'all', '--security-opt', 'no-new-privileges'],
  ...['--network', 'host', '--no-healthcheck', '--ulimit', 'nofile=4096:4096', '--ulimit', 'nproc=512:512'],
]
