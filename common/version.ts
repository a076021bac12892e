// The version of this package, for --version, metrics and reports.
import manifest from '../package.json' with { type: 'json' }

export const VERSION: string = manifest.version
