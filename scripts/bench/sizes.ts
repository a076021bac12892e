// How much is measured: the full form, and a smoke run that shows that everything works and whose figures mean nothing.

export interface Amounts {
  /** In each direction, of each round. */
  readonly mib: number
  readonly sessions: number
  readonly tunnels: number
  readonly echoSessions: number
  readonly echoSeconds: number
}

export interface Growth {
  /** Live sessions that wait meanwhile. */
  readonly live: readonly number[]
  readonly policies: readonly number[]
  readonly rounds: number
  readonly amounts: Amounts
}

export interface Sizes extends Amounts {
  readonly rounds: number
  readonly warmUp: Amounts
  /** Idle sessions whose memory is looked at. */
  readonly idle: number
  readonly growth: Growth
}

const ECHO_SESSIONS = 200

export const FULL: Sizes = {
  ...{ rounds: 5, mib: 256, sessions: 400, tunnels: 400, echoSessions: ECHO_SESSIONS, echoSeconds: 3 },
  // A gateway lives for weeks: what V8 has not compiled yet after some thousand sessions is no cost of a session.
  warmUp: { mib: 256, sessions: 3_000, tunnels: 2_000, echoSessions: 20, echoSeconds: 0.4 },
  idle: 2_000,
  growth: {
    live: [100, 1_000, 10_000],
    policies: [10, 100, 1_000],
    rounds: 1,
    amounts: { mib: 256, sessions: 300, tunnels: 300, echoSessions: ECHO_SESSIONS, echoSeconds: 2 },
  },
}

const FEW: Amounts = { mib: 64, sessions: 10, tunnels: 10, echoSessions: 4, echoSeconds: 0.4 }

export const QUICK: Sizes = {
  ...FEW,
  rounds: 1,
  warmUp: FEW,
  idle: 20,
  growth: { live: [10], policies: [10], rounds: 1, amounts: FEW },
}
