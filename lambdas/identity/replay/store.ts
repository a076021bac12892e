// Remembers tokens that were used, and with which key. Written only after every other check of a request: a store
// that is written earlier can be filled with a victim's token ids by anybody.

export type PutResult = 'stored' | 'same-binding' | 'other-binding'

export interface ReplayEntry {
  /** Names the token among all issuers. */
  readonly id: string
  /** What the first use ties it to. */
  readonly binding: string
  /** Until when it must be remembered. */
  readonly keepUntil: Date
}

export interface ReplayStore {
  /**
   * Stores the entry where none of that id is there, in one step, and says what it found otherwise.
   * @throws where the entry can be neither stored nor looked up; the request must then be refused
   */
  put(entry: ReplayEntry): Promise<PutResult>
  /**
   * What the token of that id is tied to at the moment; null = it is not remembered. For telling alone: between this and
   * a put there may be another request.
   * @throws where nothing can be looked up
   */
  peek(id: string): Promise<string | null>
}
