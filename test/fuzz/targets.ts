// All that `npm run fuzz` tries. A new parser is a target in a file beside this one, and its list stands here.
import { AUDIT_TARGETS } from './audit.ts'
import { CERTIFICATE_TARGETS } from './certificates.ts'
import { DATABASE_TARGETS } from './databases.ts'
import { LISTENER_TARGETS } from './listeners.ts'
import { MESH_TARGETS } from './mesh.ts'
import { START_TLS_TARGETS } from './start-tls.ts'
import type { FuzzTarget } from './target.ts'
import { TEXT_TARGETS } from './texts.ts'

export const targets: readonly FuzzTarget[] = [
  ...LISTENER_TARGETS,
  ...MESH_TARGETS,
  ...START_TLS_TARGETS,
  ...DATABASE_TARGETS,
  ...TEXT_TARGETS,
  ...CERTIFICATE_TARGETS,
  ...AUDIT_TARGETS,
]
