// A value that is made when somebody first asks for it.

/** A function that calls `make` once, at its own first call. */
export function once<T>(make: () => T): () => T {
  let made: { readonly value: T } | null = null
  return () => {
    made ??= { value: make() }
    return made.value
  }
}
