/** The error that `act` throws, which must be of the class given: anything else is what the test is there to find. */
export function errorOf<T extends Error>(act: () => unknown, kind: abstract new (...args: never[]) => T): T {
  let result: unknown
  try {
    result = act()
  } catch (error) {
    if (error instanceof kind) return error
    throw error
  }
  throw new Error(`nothing was thrown; the result is ${JSON.stringify(result)}`)
}
