// The entry of the `sallyport` command.
import { createProgram } from './program.ts'

await createProgram().parseAsync()
