// The one door to zod: its small form, which is a third of the code and of the time to load, with the messages of the large
// one. No parser is compiled from text: on Lambda that costs more at the start than it ever saves.
import { config } from 'zod/mini'
import en from 'zod/v4/locales/en.js'

config({ ...en(), jitless: true })

// By name: as a member of `core` it would bring all of that, with every language of the world, into the bundle.
export { $ZodError as ZodError, type $ZodType as Schema } from 'zod/v4/core'
export * from 'zod/mini'
