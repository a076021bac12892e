// revocations.yaml: whom and what the gateway refuses whatever policy says (design §5.1). A list of its own, read and
// replaced apart from gateway.yaml, so that no roll-back of a configuration brings back what was revoked. Strict, since
// an entry that nobody understands would be one that revokes nothing. Trusts nothing about the text.
import * as z from 'zod'
import type { Fault } from '../../common/fault.ts'
import { parseRfc3339 } from '../../common/rfc3339.ts'
import type { KeyPath } from '../../common/schema-faults.ts'
import { loadYamlFile } from '../../common/yaml-file.ts'
import { MISSING, stampOf } from '../file-stamp.ts'
import { canonicalSerialNumber } from '../policy/serial-number.ts'
import { type Revocation, RevocationList, type Selector } from '../revocations/list.ts'
import { type AppConfigOptions, AppConfigPoller, type AppConfigProfile } from './appconfig.ts'
import { decodeText, FileError, type ReadFile } from './files.ts'
import { name, text, workloads, Wrong } from './values.ts'

const MAX_ENTRIES = 20_000
const SELECTORS = [
  'workload',
  'serialNumber',
  'destination',
  'tokenId',
] as const satisfies readonly Selector[]

const SERIAL_NUMBER = 'a serial number in lower-case hexadecimal, two digits a byte, in quotes'

const serialNumber = text(SERIAL_NUMBER, (value) => {
  const canonical = canonicalSerialNumber(value)
  // RFC 5280 §4.1.2.2: at most 20 bytes; some issuers take more.
  if (canonical === null || value === '' || value.length > 128) return new Wrong(`expected ${SERIAL_NUMBER}`)
  return canonical === value ? value : new Wrong(`expected ${SERIAL_NUMBER}`, `write "${canonical}"`)
})

const TIME = 'a time with its zone, such as 2027-06-30T00:00:00Z'

const time = text(TIME, (value) => parseRfc3339(value) ?? new Wrong(`expected ${TIME}`))

const REASON = 'a reason of one line, at most 512 characters'

const entry = z
  .strictObject({
    workload: workloads.optional(),
    serialNumber: serialNumber.optional(),
    destination: name.optional(),
    tokenId: z
      .string()
      .regex(/^[\u0020-\u007e]{1,1024}$/, 'expected the tokenId of a record')
      .optional(),
    reason: z.string(`expected ${REASON}`).regex(/^(?!\s*$)\P{Cc}{1,512}$/u, `expected ${REASON}`),
    until: time.optional(),
  })
  .superRefine((value, context) => {
    const given = SELECTORS.filter((selector) => value[selector] !== undefined)
    if (given.length === 1) return
    const message = given.length === 0 ? 'names nothing that is revoked' : `names ${given.join(' and ')}`
    const remedy = `one entry has one of ${SELECTORS.join(', ')}`
    context.addIssue({ code: 'custom', message, params: { remedy } })
  })

const DOCUMENT = z.array(entry, 'expected a list; [] is the list without an entry').max(MAX_ENTRIES)

/** What entries may name, for warnings: a list may well be written for more gateways than this one. */
export interface RevocableNames {
  readonly trustDomains: readonly string[]
  readonly destinations: readonly { readonly name: string }[]
}

export interface RevocationReading {
  /** Null where there is any fault. */
  readonly list: RevocationList | null
  readonly faults: readonly Fault[]
  /** Entries that revoke nothing here, which may be a slip. */
  readonly warnings: readonly Fault[]
}

export interface RevocationLook {
  /** Whether the list that was read last is the one that the source holds now. */
  readonly contact: boolean
  /** Null where there was nothing to read. */
  readonly reading: RevocationReading | null
}

/** Where the list is, and how it is read. Neither rejects for what is there or not there. */
export interface RevocationSource {
  /** The path from where this process looks, or `appconfig:…`. */
  readonly file: string
  /** The list as it is now; null where it comes from afar and is asked for while the gateway runs. */
  readonly read: () => Promise<RevocationReading | null>
  /** Reads where something has changed, or where the last reading failed. */
  readonly look: () => Promise<RevocationLook>
}

export function createFileRevocations(
  file: string,
  readFile: ReadFile,
  names: RevocableNames,
): RevocationSource {
  let stamp: string | null = null
  const read = async (): Promise<RevocationReading> => {
    try {
      const { bytes } = await readFile(file)
      const content = decodeText(bytes)
      return content === null ? broken(file, 'not text in UTF-8') : parseRevocations(file, content, names)
    } catch (error) {
      if (error instanceof FileError) return broken(file, error.message)
      throw error
    }
  }
  return {
    file,
    read,
    async look() {
      const seen = await stampOf(file)
      if (seen === stamp && seen !== MISSING) return { contact: true, reading: null }
      const reading = await read()
      // What changes while it is read has another stamp by then, and is read again at the next look.
      stamp = reading.list === null ? null : seen
      return { contact: reading.list !== null, reading }
    },
  }
}

const REACH =
  'revocations.source names it; the role of this process needs appconfig:StartConfigurationSession and appconfig:GetLatestConfiguration, and a way to the service'

/** The document is the list itself. */
export function createAppConfigRevocations(
  profile: AppConfigProfile,
  options: AppConfigOptions,
  names: RevocableNames,
): RevocationSource {
  const poller = new AppConfigPoller(profile, options)
  const file = profile.name
  let good = false
  return {
    file,
    read: async () => null,
    async look() {
      const { contact, document, problem } = await poller.poll(false)
      // Which begins with the name, as the fault does.
      if (problem !== null)
        return { contact: false, reading: broken(file, problem.replace(`${file}: `, ''), REACH) }
      if (document === null) return { contact: contact && good, reading: null }
      const text = decodeText(document.content)
      const reading = text === null ? broken(file, 'not text in UTF-8') : parseRevocations(file, text, names)
      good = reading.list !== null
      return { contact: good, reading }
    },
  }
}

/** Now, whatever it takes. Nothing that can be had is a fault too. */
export async function readFromAfar<Source extends RevocationSource>(
  source: Source,
): Promise<Source & { readonly first: RevocationReading }> {
  const { reading } = await source.look()
  return { ...source, first: reading ?? broken(source.file, 'the service holds no document for it') }
}

/** Every fault has file, line, key and remedy. Never throws. */
export function parseRevocations(file: string, content: string, names: RevocableNames): RevocationReading {
  const loaded = loadYamlFile({ file, text: content }, DOCUMENT)
  if (!loaded.ok) return { list: null, faults: loaded.faults, warnings: [] }
  const entries = loaded.value.map(toRevocation)
  const warnings = entries.flatMap(({ selector, value }, index) => {
    const complaint = complaintAbout(selector, value, names)
    if (complaint === null) return []
    const path: KeyPath = [index, selector]
    return { file, line: loaded.lineOf(path), key: `[${index}].${selector}`, ...complaint }
  })
  return { list: new RevocationList(entries), faults: [], warnings }
}

function broken(
  file: string,
  message: string,
  remedy = 'revocations.source names it; [] is the list without an entry',
): RevocationReading {
  return { list: null, faults: [{ file, line: null, key: null, message, remedy }], warnings: [] }
}

function toRevocation(entry: z.infer<typeof DOCUMENT>[number]): Revocation {
  const { workload, reason, until = null } = entry
  const common = { reason, until }
  if (workload !== undefined) return { selector: 'workload', value: workload.text, ...common }
  const selector = SELECTORS.find((one) => one !== 'workload' && entry[one] !== undefined)
  if (selector === undefined || selector === 'workload') throw new TypeError('an entry without selector')
  return { selector, value: entry[selector] ?? '', ...common }
}

function complaintAbout(
  selector: Selector,
  value: string,
  { trustDomains, destinations }: RevocableNames,
): Pick<Fault, 'message' | 'remedy'> | null {
  if (selector === 'destination' && !destinations.some((one) => one.name === value)) {
    return {
      message: `there is no destination ${value}, so this revokes nothing here`,
      remedy: 'look at its name',
    }
  }
  if (selector !== 'workload') return null
  const trustDomain = value.split('/')[2] ?? ''
  if (!trustDomains.includes(trustDomain)) {
    return {
      message: `no workload of trust domain ${trustDomain} is let in here, so this revokes nothing`,
      remedy: `known: ${trustDomains.join(', ')}`,
    }
  }
  return value.includes('/', 'spiffe://'.length)
    ? null
    : {
        message: `${value} is a trust domain and no workload, so this revokes nothing`,
        remedy: `${value}/** is all of its workloads`,
      }
}
