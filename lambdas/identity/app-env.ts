// What middleware leaves for the handlers of the authority's API.

/** Of what Hono's two adapters hand over (@hono/node-server, hono/aws-lambda), the part that is looked at. */
interface Bindings {
  readonly incoming?: { readonly socket?: { readonly remoteAddress?: string | undefined } }
  readonly event?: {
    readonly requestContext?: {
      /** Of an HTTP API or a function URL (payload 2.0), and of a REST API (1.0). */
      readonly http?: { readonly sourceIp?: string }
      readonly identity?: { readonly sourceIp?: string }
    }
  }
}

export interface IdentityEnv {
  Bindings: Bindings
  Variables: {
    /** Random; in the log, the issuance record and the answer's `x-request-id`. */
    requestId: string
  }
}
