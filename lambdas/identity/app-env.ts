// What middleware leaves for the handlers of the authority's API.

/** Of what Hono's two adapters hand over (@hono/node-server, hono/aws-lambda), the part that is looked at. */
interface Bindings {
  readonly incoming?: { readonly socket?: { readonly remoteAddress?: string | undefined } }
  readonly event?: { readonly requestContext?: { readonly http?: { readonly sourceIp?: string } } }
}

export interface IdentityEnv {
  Bindings: Bindings
  Variables: {
    /** Random; in the log, the issuance record and the answer's `x-request-id`. */
    requestId: string
  }
}
