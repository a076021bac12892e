// What middleware leaves for the handlers of the authority's API.

export interface IdentityEnv {
  Variables: {
    /** Random; in the log, the issuance record and the answer's `x-request-id`. */
    requestId: string
  }
}
