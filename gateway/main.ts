// The entry of the gateway's image: `node gateway.js --config gateway.yaml`. The CLI's `sallyport gateway` is the same.
import { parseArgs } from 'node:util'
import { runGateway } from './run.ts'

const { values } = parseArgs({ options: { config: { type: 'string' } } })
if (values.config === undefined) {
  process.stderr.write('usage: gateway --config gateway.yaml\n')
  process.exitCode = 2
} else {
  // All is written by then. Left to itself, Node closes what is still open first, and spins where a handle cannot be closed.
  process.exit(await runGateway({ configFile: values.config }))
}
