// Many of the same at once, and no more than so many.

/** Calls `work` for 0 to `count` - 1, at most `parallel` at one time; rejects with the first that does. */
export async function pool(
  count: number,
  parallel: number,
  work: (index: number) => Promise<void>,
): Promise<void> {
  let next = 0
  const worker = async () => {
    while (next < count) await work(next++)
  }
  await Promise.all(Array.from({ length: Math.min(parallel, count) }, worker))
}
