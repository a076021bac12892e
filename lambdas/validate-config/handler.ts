// The validator function of the configuration profile, as AppConfig calls it before each deployment. SALLYPORT_DEPLOYED
// names the file that says what was deployed. An error refuses the configuration.
import { readFile } from 'node:fs/promises'
import * as z from 'zod'
import { SallyportError } from '../../common/errors.ts'
import { formatFault } from '../../common/fault.ts'
import { Logger } from '@aws-lambda-powertools/logger'
import { readDeployed } from './deployed.ts'
import { validateBundle } from './validate.ts'

/** AppConfig user guide, "Validators": content is base64. */
const EVENT = z.object({ content: z.base64(), configurationVersion: z.string().optional() })

class ValidationError extends SallyportError<'configuration-refused' | 'validator-event'> {}

/** Of the message that AppConfig shows; the log has all. */
const SHOWN = 10

/** @throws ValidationError with the faults, a line each */
export async function handler(event: unknown): Promise<void> {
  const logger = new Logger({ serviceName: 'validate-config' })
  const parsed = EVENT.safeParse(event)
  if (!parsed.success) throw new ValidationError('validator-event', 'not an event of AppConfig')
  const { content, configurationVersion: version } = parsed.data
  const deployed = readDeployed(await readFile(process.env.SALLYPORT_DEPLOYED ?? '', 'utf8'))
  const { faults, warnings } = await validateBundle(Buffer.from(content, 'base64'), deployed)
  const lines = faults.map(formatFault)
  for (const warning of warnings)
    logger.warn('configuration.warning', { version, fault: formatFault(warning) })
  if (lines.length === 0) return logger.info('configuration.accepted', { version })
  logger.error('configuration.refused', { version, faults: lines })
  const rest = lines.length > SHOWN ? [`and ${lines.length - SHOWN} more`] : []
  throw new ValidationError('configuration-refused', [...lines.slice(0, SHOWN), ...rest].join('\n'))
}
