// One of those that are compared, running.

export interface Product extends AsyncDisposable {
  readonly name: string
  /** All its processes. */
  readonly pids: readonly number[]
  readonly port: number
  /** What it is asked for by CONNECT, `host:port`; null where a connection goes on to the partner by itself. */
  readonly target: string | null
}
