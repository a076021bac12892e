// Where a list of revocations is kept, for the command that changes it: read, written back only over what was read, and
// given to the gateways.

export interface ReadList {
  readonly text: string
  /** Of AppConfig the number of the version; null of a file. */
  readonly version: number | null
}

/** What became of the list after it was written. */
export interface Deployment {
  readonly number: number
  readonly version: number
  readonly state: string
}

export interface RevocationListStore {
  /** `file:…` or `appconfig:…`. */
  readonly source: string
  /** @throws RevokeError */
  read(): Promise<ReadList>
  /** @throws RevokeError `list-changed` where it is no more what was read; nothing is written then */
  write(text: string, over: ReadList, why: string): Promise<ReadList>
  /** Whether gateways are given this list, or see it by themselves. */
  isDeployed(list: ReadList): Promise<boolean>
  /**
   * Gives the newest list to the gateways, which may be one that somebody has written since. Null where they look for
   * themselves.
   * @throws RevokeError `not-deployed`
   */
  deploy(): Promise<Deployment | null>
}
