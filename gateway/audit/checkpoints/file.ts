// Checkpoints into a file: one line each, on the disk (fdatasync) before it counts as kept. That the gateway cannot
// rewrite the file is the operator's to see to: an append-only mount or attribute, or a file of another user.
import { open } from 'node:fs/promises'
import type { CheckpointSink } from '../checkpointer.ts'
import { endsTorn } from '../file-sink.ts'

/** Opens for append, and makes a new file readable for its owner alone. Rejects where that cannot be. */
export async function createFileCheckpoints(path: string): Promise<CheckpointSink> {
  const file = await open(path, 'a', 0o600)
  let torn = await wasTorn(path)
  return {
    async put({ line }) {
      // What a full disk or a kill tore before is ended first, so that it takes no other line with it.
      const bytes = Buffer.from(`${torn ? '\n' : ''}${line}\n`)
      const { bytesWritten } = await file.write(bytes)
      torn = bytesWritten < bytes.length
      if (torn) throw new Error(`only ${bytesWritten} of ${bytes.length} bytes were written to ${path}`)
      await file.datasync()
    },
    close: () => file.close(),
  }
}

/** False where this process may append and not read, as it should be. */
async function wasTorn(path: string): Promise<boolean> {
  try {
    await using file = await open(path, 'r')
    return (await file.stat()).isFile() && (await endsTorn(file))
  } catch {
    return false
  }
}
