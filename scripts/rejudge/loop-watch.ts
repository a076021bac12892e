// Loaded into a gateway before it starts (`node --import`): at each SIGUSR2 it says on standard error how long the event
// loop was held at most, and how much CPU was used, since the one before.
import { monitorEventLoopDelay } from 'node:perf_hooks'

const delay = monitorEventLoopDelay({ resolution: 1 })
delay.enable()
let before = process.cpuUsage()

process.on('SIGUSR2', () => {
  const { user, system } = process.cpuUsage(before)
  const said = { longestMs: delay.max / 1e6, cpuMs: (user + system) / 1000 }
  process.stderr.write(`${JSON.stringify({ loopWatch: said })}\n`)
  delay.reset()
  before = process.cpuUsage()
})
