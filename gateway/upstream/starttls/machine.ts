// The gateway's own way up to TLS as a pure state machine, which touches no socket.

/** Fed with what the server says, in pieces of any size. Throws UpstreamErrors, and is over then. */
export interface Ascent<Kept> {
  /** What the gateway says before the server has said anything; empty where the server speaks first. */
  readonly opening: Buffer
  feed(bytes: Buffer): AscentStep<Kept>
}

export type AscentStep<Kept> =
  | { readonly next: 'plain'; readonly say: Buffer }
  /** The ClientHello is next, after `say`; `kept` is what has to be known of the plaintext later. */
  | { readonly next: 'tls'; readonly say: Buffer; readonly kept: Kept }

export const NOTHING: Buffer = Buffer.alloc(0)
