// Loaded into a gateway before it starts (`node --import`): at each SIGUSR2 it says on standard error for how long the event
// loop was held at most, and how much CPU was used, since the one before. By CPU time of the thread beside the clock's: on a
// busy machine the clock counts others' work too.
import { monitorEventLoopDelay } from 'node:perf_hooks'

const TICK_MS = 2

const delay = monitorEventLoopDelay({ resolution: 1 })
delay.enable()
let before = process.cpuUsage()
let tick = process.threadCpuUsage()
let heldMs = 0

setInterval(() => {
  const { user, system } = process.threadCpuUsage(tick)
  heldMs = Math.max(heldMs, (user + system) / 1000)
  tick = process.threadCpuUsage()
}, TICK_MS).unref()

process.on('SIGUSR2', () => {
  const { user, system } = process.cpuUsage(before)
  const said = { longestMs: delay.max / 1e6, heldCpuMs: heldMs, cpuMs: (user + system) / 1000 }
  process.stderr.write(`${JSON.stringify({ loopWatch: said })}\n`)
  delay.reset()
  heldMs = 0
  before = process.cpuUsage()
})
