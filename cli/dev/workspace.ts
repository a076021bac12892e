// The folder `.sallyport/` in which the local story runs: the example configuration, copied, with its ports moved where
// one is taken. What is copied is made anew at each start; the authority's CA below pki/authority is kept.
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import net from 'node:net'
import path from 'node:path'

/** The ports that examples/local names, by the part that listens there. */
const EXAMPLE_PORTS = {
  gateway: 18443,
  partner: 18444,
  authority: 18445,
  issuer: 18446,
  health: 18447,
  admin: 18448,
  sts: 18449,
} as const

export type Part = keyof typeof EXAMPLE_PORTS

export interface Workspace {
  readonly directory: string
  readonly ports: Readonly<Record<Part, number>>
  /** An absolute path below the directory. */
  file(name: string): string
}

/** The file in the workspace, and where it comes from in the examples. */
function filesFor(aws: boolean) {
  const identity = aws ? 'identity.aws.yaml' : 'identity.yaml'
  return { 'gateway.yaml': 'gateway.yaml', 'policy.cedar': 'policy.cedar', 'identity.yaml': identity }
}

/** Copies `examples` (examples/local of the package) to `directory`; with `anyPorts` on none of the ports that they name. */
export async function prepareWorkspace(
  examples: string,
  directory: string,
  { aws, anyPorts }: { readonly aws: boolean; readonly anyPorts: boolean },
): Promise<Workspace> {
  await mkdir(path.join(directory, 'pki'), { recursive: true, mode: 0o700 })
  const ports = await choosePorts(anyPorts)
  for (const [name, source] of Object.entries(filesFor(aws))) {
    const text = await readFile(path.join(examples, source), 'utf8')
    await writeFile(path.join(directory, name), movePorts(text, ports))
  }
  return { directory, ports, file: (name) => path.join(directory, name) }
}

function movePorts(text: string, ports: Record<Part, number>): string {
  return text.replaceAll(/\b1844[3-9]\b/g, (found) => {
    const part = (Object.keys(EXAMPLE_PORTS) as Part[]).find((name) => EXAMPLE_PORTS[name] === Number(found))
    return part === undefined ? found : String(ports[part])
  })
}

async function choosePorts(any: boolean): Promise<Record<Part, number>> {
  const chosen: Partial<Record<Part, number>> = {}
  // All are held until the last is chosen, so that no free port is given out twice.
  await using held = new AsyncDisposableStack()
  for (const part of Object.keys(EXAMPLE_PORTS) as Part[]) {
    const server = (any ? null : await tryListen(EXAMPLE_PORTS[part])) ?? (await tryListen(0))
    if (server === null) throw new Error('no free port on 127.0.0.1')
    held.defer(() => new Promise<void>((resolve) => server.close(() => resolve())))
    chosen[part] = (server.address() as net.AddressInfo).port
  }
  return chosen as Record<Part, number>
}

async function tryListen(port: number): Promise<net.Server | null> {
  return new Promise((resolve) => {
    const server = net.createServer()
    server.once('error', () => resolve(null))
    server.listen(port, '127.0.0.1', () => resolve(server))
  })
}
