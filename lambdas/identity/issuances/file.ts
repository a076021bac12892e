// Issuance records in a file, one JSON object a line. Each is on the disk (fsync) before its certificate is answered.
import { constants } from 'node:fs'
import { mkdir, open } from 'node:fs/promises'
import path from 'node:path'
import { syncDirectory } from '../atomic-file.ts'
import type { Issuance, IssuanceStore } from './store.ts'

const FLAGS = constants.O_WRONLY | constants.O_APPEND | constants.O_CREAT | constants.O_NOFOLLOW

async function append(file: string, line: string): Promise<void> {
  await mkdir(path.dirname(file), { recursive: true })
  // Opened for each record: a file that was rotated away or became unwritable is noticed, not written to in vain.
  const handle = await open(file, FLAGS, 0o600)
  try {
    const bytes = Buffer.from(line)
    const { size } = await handle.stat()
    // One write on an O_APPEND file, so that two processes never mix their lines.
    const { bytesWritten } = await handle.write(bytes)
    if (bytesWritten !== bytes.length) {
      // A full disk leaves half a line; ended here, it spoils no record after it.
      await handle.write('\n').catch(() => undefined)
      throw new Error(`only ${bytesWritten} of ${bytes.length} bytes were written`)
    }
    await handle.datasync()
    if (size === 0) await syncDirectory(path.dirname(file))
  } finally {
    await handle.close()
  }
}

/** A store that appends to `file`, which is made on first use (mode 0600). */
export function createFileIssuanceStore(file: string): IssuanceStore {
  return {
    put: (issuance: Issuance) => append(file, `${JSON.stringify(issuance)}\n`),
  }
}
