// `sallyport audit verify` from its options to its exit code.
import { readFile } from 'node:fs/promises'
import { BundleError, readBundle } from '../../spiffe/bundle.ts'
import { parseSpiffeId, SpiffeIdError } from '../../spiffe/id.ts'
import type { CheckpointTrust } from './checkpoint.ts'
import { filesAt, linesOf, ReadError } from './files.ts'
import { verifyText } from './verify-text.ts'
import { Verifier } from './verifier.ts'

export interface VerifyOptions {
  readonly checkpoints?: readonly string[] | undefined
  readonly bundle?: string | undefined
  readonly trustDomain?: string | undefined
  readonly gatewayId?: string | undefined
  readonly partial?: true | undefined
  readonly json?: true | undefined
}

export interface Output {
  readonly stdout: { write(text: string): unknown }
  readonly stderr: { write(text: string): unknown }
}

class UsageError extends Error {}

/** 0 where nothing is wrong, 1 where something is, 2 for wrong use and for what cannot be read. */
export async function runVerify(
  files: readonly string[],
  options: VerifyOptions,
  output: Output = process,
): Promise<0 | 1 | 2> {
  try {
    const trust = await readTrust(options)
    const verifier = new Verifier({ trust, partial: options.partial === true })
    for (const place of options.checkpoints ?? []) {
      for (const file of await filesAt(place)) {
        for await (const line of linesOf(file)) await verifier.checkpoint(file, line)
      }
    }
    for (const file of files) for await (const line of linesOf(file)) await verifier.line(file, line)
    const report = verifier.finish()
    output.stdout.write(
      options.json
        ? `${JSON.stringify({ ...report, trusted: trust !== null })}\n`
        : verifyText(report, trust),
    )
    return report.ok ? 0 : 1
  } catch (error) {
    if (!(error instanceof UsageError) && !(error instanceof ReadError)) throw error
    output.stderr.write(`sallyport: ${error.message}\n`)
    return 2
  }
}

async function readTrust({ bundle, trustDomain, gatewayId }: VerifyOptions): Promise<CheckpointTrust | null> {
  if (bundle === undefined && trustDomain === undefined && gatewayId === undefined) return null
  if (bundle === undefined || trustDomain === undefined) {
    throw new UsageError('--bundle and --trust-domain go together: whose roots these are is not in them')
  }
  const text = await readFile(bundle, 'utf8').catch((error: NodeJS.ErrnoException) => {
    throw new ReadError(`${bundle}: cannot be read: ${error.code}`)
  })
  try {
    const id = parseSpiffeId(gatewayId ?? `spiffe://${trustDomain}/sallyport/gateway`)
    if (id.trustDomain !== trustDomain) throw new UsageError(`--gateway-id is not of ${trustDomain}`)
    return { bundle: readBundle(text, trustDomain), gatewayId: id.uri }
  } catch (error) {
    if (error instanceof BundleError) throw new UsageError(`${bundle}: ${error.message}`)
    if (error instanceof SpiffeIdError)
      throw new UsageError(`--trust-domain or --gateway-id: ${error.message}`)
    throw error
  }
}
