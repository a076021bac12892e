// Where a task of the gateway keeps what: names that several parts must agree on.

/** As the image declares it: a volume that its user owns. */
export const STATE_DIRECTORY = '/var/lib/sallyport'
/** Of the bucket of evidence: the gateway may write below it, and nowhere else. */
export const CHECKPOINTS_PREFIX = 'checkpoints'
