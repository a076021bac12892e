// `sallyport revoke` from its options to its exit code: an entry more or less in a list of revocations, wherever it is kept.
import { parseDuration } from '../../common/duration.ts'
import { parseAppConfig } from '../../gateway/config/appconfig.ts'
import type { Revocation, Selector } from '../../gateway/revocations/list.ts'
import { isInForce } from '../../gateway/revocations/list.ts'
import type { ControlClient } from './appconfig-ids.ts'
import { createAppConfigStore } from './appconfig.ts'
import { addEntry, checkEntry, findCovering, readEntries, removeEntries, type WantedEntry } from './edit.ts'
import { RevokeError } from './errors.ts'
import { createFileStore } from './file.ts'
import type { Deployment, ReadList, RevocationListStore } from './store.ts'

export interface RevokeOptions {
  readonly workload?: string | undefined
  readonly serial?: string | undefined
  readonly token?: string | undefined
  readonly destination?: string | undefined
  readonly reason?: string | undefined
  readonly until?: string | undefined
  readonly remove?: true | undefined
  readonly list?: true | undefined
  readonly revocations?: string | undefined
  readonly strategy?: string | undefined
  readonly timeout: string
  readonly json?: true | undefined
}

export interface RevokeSurroundings {
  readonly env: NodeJS.ProcessEnv
  readonly now: () => Date
  readonly client: () => Promise<ControlClient>
  /** Between two looks at a deployment. */
  readonly pollMs?: number
  readonly stdout: { write(text: string): unknown }
  readonly stderr: { write(text: string): unknown }
}

/** How often a list is read anew that somebody else changed meanwhile. */
const ROUNDS = 5

/** 0 where it is in force, 1 for a "no", 2 for wrong use. */
export async function runRevoke(
  options: RevokeOptions,
  surroundings: RevokeSurroundings,
): Promise<0 | 1 | 2> {
  const { stdout, stderr } = surroundings
  try {
    const done = await work(options, surroundings)
    stdout.write(options.json === true ? `${JSON.stringify(done)}\n` : show(done))
    return 0
  } catch (error) {
    if (!(error instanceof RevokeError)) throw error
    const { code, message, hint } = error
    const text = hint === null ? message : `${message} (${hint})`
    if (options.json === true) stdout.write(`${JSON.stringify({ ok: false, code, message: text })}\n`)
    stderr.write(`sallyport: ${text}\n`)
    return code === 'usage' ? 2 : 1
  }
}

interface Done {
  readonly ok: true
  readonly source: string
  readonly version: number | null
  readonly deployment: Deployment | null
  /** Each null where it was not asked for. */
  readonly revoked: Revocation | null
  readonly removed: readonly Revocation[] | null
  readonly list: readonly (Revocation & { readonly inForce: boolean })[] | null
}

async function work(options: RevokeOptions, surroundings: RevokeSurroundings): Promise<Done> {
  const store = openStore(options, surroundings)
  if (options.list === true) return list(store, options, surroundings.now())
  if (options.remove === true) return remove(store, options)
  return add(store, readWanted(options), surroundings.now())
}

const NOTHING = { version: null, deployment: null, revoked: null, removed: null, list: null } as const

async function list(store: RevocationListStore, options: RevokeOptions, now: Date): Promise<Done> {
  if (selectorsOf(options).length > 0) throw usage('--list shows all of the list: leave the others out')
  const { text, version } = await store.read()
  const entries = readEntries(store.source, text).map((one) => ({ ...one, inForce: isInForce(one, now) }))
  return { ok: true, source: store.source, ...NOTHING, version, list: entries }
}

async function add(store: RevocationListStore, wanted: WantedEntry, now: Date): Promise<Done> {
  const entry = checkEntry(wanted, now)
  const { result, deployment } = await change(store, async (before) => {
    const covering = findCovering(readEntries(store.source, before.text), entry, now)
    if (covering === null) {
      const why = `revoked: ${describe(entry)}`
      return { text: addEntry(store.source, before.text, wanted), why, entry }
    }
    if (await store.isDeployed(before)) {
      throw new RevokeError('revoked-already', `${covering.value} is revoked already: ${covering.reason}`)
    }
    // Written by a command that could not deploy it.
    return { text: null, why: '', entry: covering }
  })
  await confirm(store, result.list, deployment, (entries) => findCovering(entries, entry, now) !== null)
  const { source } = store
  return { ok: true, source, ...NOTHING, ...facts(result.list, deployment), revoked: result.entry }
}

async function remove(store: RevocationListStore, options: RevokeOptions): Promise<Done> {
  if (options.reason !== undefined || options.until !== undefined) {
    throw usage('--remove takes away what is named: leave --reason and --until out')
  }
  const { selector, value } = readSelector(options)
  const { result, deployment } = await change(store, async (before) => {
    const { text, removed } = removeEntries(store.source, before.text, { selector, value })
    return { text, why: `no longer revoked: ${removed.map(describe).join('; ')}`, removed }
  })
  await confirm(
    store,
    result.list,
    deployment,
    (entries) => !entries.some((one) => one.selector === selector && one.value === value),
  )
  const { source } = store
  return { ok: true, source, ...NOTHING, ...facts(result.list, deployment), removed: result.removed }
}

/** Reads, changes and writes until nobody has come between, and deploys. A null text changes nothing. */
async function change<T extends { readonly text: string | null; readonly why: string }>(
  store: RevocationListStore,
  edit: (before: ReadList) => Promise<T>,
): Promise<{ result: T & { readonly list: ReadList }; deployment: Deployment | null }> {
  for (let round = 1; ; round += 1) {
    const before = await store.read()
    const edited = await edit(before)
    try {
      const written = edited.text === null ? before : await store.write(edited.text, before, edited.why)
      return { result: { ...edited, list: written }, deployment: await store.deploy() }
    } catch (error) {
      const again = error instanceof RevokeError && error.code === 'list-changed' && round < ROUNDS
      if (!again) throw error
    }
  }
}

/** Where a newer list than ours was deployed, it must say so too: its author may not have read ours. */
async function confirm(
  store: RevocationListStore,
  { version }: ReadList,
  deployment: Deployment | null,
  says: (entries: readonly Revocation[]) => boolean,
): Promise<void> {
  if (deployment === null || deployment.version === version) return
  const { text, version: newest } = await store.read()
  if (says(readEntries(store.source, text))) return
  const message = `version ${version} is written, and version ${newest}, which somebody else wrote without it, is deployed`
  throw new RevokeError('not-deployed', message)
}

function facts({ version }: ReadList, deployment: Deployment | null) {
  return { version: deployment?.version ?? version, deployment }
}

const SELECTORS: Readonly<Record<Selector, 'workload' | 'serial' | 'token' | 'destination'>> = {
  workload: 'workload',
  serialNumber: 'serial',
  tokenId: 'token',
  destination: 'destination',
}

function selectorsOf(options: RevokeOptions): { readonly selector: Selector; readonly value: string }[] {
  const all = Object.entries(SELECTORS) as [Selector, (typeof SELECTORS)[Selector]][]
  return all.flatMap(([selector, option]) => {
    const value = options[option]
    return value === undefined ? [] : [{ selector, value }]
  })
}

function readSelector(options: RevokeOptions): { readonly selector: Selector; readonly value: string } {
  const [first, second] = selectorsOf(options)
  if (first !== undefined && second === undefined) return first
  throw usage('name one of --workload, --serial, --token and --destination')
}

function readWanted(options: RevokeOptions): WantedEntry {
  const { reason, until = null } = options
  const selector = readSelector(options)
  if (reason === undefined) throw usage('--reason: expected why, in one line; it stands in the record')
  return { ...selector, reason, until }
}

function openStore(options: RevokeOptions, { env, client, pollMs }: RevokeSurroundings): RevocationListStore {
  if (options.list === true && options.remove === true) throw usage('--list and --remove: one of them')
  const source = options.revocations ?? env['SALLYPORT_REVOCATIONS'] ?? ''
  if (source === '') {
    throw usage(
      '--revocations or SALLYPORT_REVOCATIONS: expected file:<path> or appconfig:<application>/<environment>/<profile>',
    )
  }
  const timeoutMs = parseDuration(options.timeout)
  if (timeoutMs === null) throw usage(`--timeout: expected a duration such as 90s, found ${options.timeout}`)
  const profile = parseAppConfig(source)
  if (profile !== null) {
    return createAppConfigStore({
      profile,
      strategy: options.strategy ?? null,
      timeoutMs,
      client,
      ...(pollMs === undefined ? {} : { pollMs }),
    })
  }
  const file = source.startsWith('file:') ? source.slice('file:'.length) : source
  if (file === '' || file.includes('\0') || file.startsWith('appconfig:')) {
    throw usage(
      `--revocations: expected file:<path> or appconfig:<application>/<environment>/<profile>, found ${source}`,
    )
  }
  if (options.strategy !== undefined) throw usage('--strategy is of AppConfig, and the list is a file')
  return createFileStore(file)
}

function usage(message: string): RevokeError {
  return new RevokeError('usage', message)
}

function show({ source, version, deployment, revoked, removed, list: entries }: Done): string {
  const where = version === null ? source : `${source}, version ${version}`
  const how = deployment === null ? '' : `, deployment ${deployment.number} ${deployment.state}`
  if (revoked !== null) return `revoked ${describe(revoked)}\n  in ${where}${how}\n`
  if (removed !== null)
    return `${removed.map((one) => `no longer revoked: ${describe(one)}\n`).join('')}  in ${where}${how}\n`
  const lines = (entries ?? []).map((one) => `${one.inForce ? '' : '(past) '}${describe(one)}\n`)
  return `${where}: ${lines.length === 0 ? 'nothing is revoked' : `${lines.length} entries`}\n${lines.join('')}`
}

function describe({ selector, value, reason, until }: Revocation): string {
  return `${selector} ${value}${until === null ? '' : ` until ${until.toISOString()}`}: ${reason}`
}
