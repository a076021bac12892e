// How the Lambda bundle takes Node's own modules: by `process.getBuiltinModule` and not by `import`. An import reads every
// export of the module, also those that load something when they are read: of `node:http` that is a whole HTTP client of
// another kind (undici), a fifth of a cold start.
import { builtinModules } from 'node:module'
import type { Plugin } from 'esbuild'

const NAMES = new Set(builtinModules)
/** Where somebody waits for a module at run time, nothing says which of its exports he needs. */
const WHOLE = '?whole'

function isGetter(module: object, name: string): boolean {
  return Object.getOwnPropertyDescriptor(module, name)?.get !== undefined
}

/** A module with the same exports. Each is read where it is used, since those that nobody uses are shaken off. */
function contentsOf(name: string, suffix: string): string {
  const module: object = process.getBuiltinModule(name) ?? {}
  const names = Object.keys(module).filter((key) => /^[A-Za-z_]\w*$/.test(key) && key !== 'default')
  const wanted = suffix === WHOLE ? names.filter((key) => !isGetter(module, key)) : names
  return [
    `const __module = process.getBuiltinModule('node:${name}')`,
    'const __read = (name) => __module[name]',
    'export default __module',
    ...wanted.map((key) => `export const ${key} = /* @__PURE__ */ __read('${key}')`),
  ].join('\n')
}

export const nodeBuiltins: Plugin = {
  name: 'node-builtins',
  setup(build) {
    build.onResolve({ filter: /.*/ }, ({ path, kind }) => {
      const name = path.replace(/^node:/, '')
      if (!NAMES.has(name) || kind === 'require-call') return undefined
      const suffix = kind === 'dynamic-import' ? WHOLE : ''
      return { path: name, namespace: 'node-builtin', sideEffects: false, suffix }
    })
    build.onLoad({ filter: /.*/, namespace: 'node-builtin' }, ({ path, suffix }) => ({
      contents: contentsOf(path, suffix),
    }))
  },
}
