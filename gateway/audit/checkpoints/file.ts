// Checkpoints into a file: one line each, on the disk (fdatasync) before it counts as kept. That the gateway cannot
// rewrite the file is the operator's to see to: an append-only mount or attribute, or a file of another user.
import { open } from 'node:fs/promises'
import type { CheckpointSink } from '../checkpointer.ts'

/** Opens for append, and makes a new file readable for its owner alone. Rejects where that cannot be. */
export async function createFileCheckpoints(path: string): Promise<CheckpointSink> {
  const file = await open(path, 'a', 0o600)
  let torn = false
  return {
    async put({ line }) {
      // What a full disk tore before is ended first, so that it takes no other line with it.
      const bytes = Buffer.from(`${torn ? '\n' : ''}${line}\n`)
      const { bytesWritten } = await file.write(bytes)
      torn = bytesWritten < bytes.length
      if (torn) throw new Error(`only ${bytesWritten} of ${bytes.length} bytes were written to ${path}`)
      await file.datasync()
    },
    close: () => file.close(),
  }
}
