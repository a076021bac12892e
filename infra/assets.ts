// Where the files are that `npm run build` makes for functions and image, and files that are chosen at synth, staged into
// an asset of their own. Nothing is bundled here: what is deployed is what was built and tested.
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'

export const REPOSITORY = path.dirname(import.meta.dirname)

/** Below `dist/`; each folder is the archive of one function, or the context of the image. */
export type AssetName = 'identity' | 'rotation' | 'birth' | 'validate-config' | 'image'

/** Finds the folder of an asset. Tests give their own, so that they need no build. */
export type FindAsset = (name: AssetName) => string

/** @throws Error where it was not built */
export const findBuilt: FindAsset = (name) => {
  const folder = path.join(REPOSITORY, 'dist', 'deploy', name)
  if (!existsSync(folder)) throw new Error(`${folder} is not there: run npm run build before synth`)
  return folder
}

/**
 * A temporary folder with these files, gone when the process ends: CDK copies an asset when it is declared.
 * @param files text by path below the folder
 */
export function stageFiles(files: ReadonlyMap<string, string>): string {
  const folder = mkdtempSync(path.join(tmpdir(), 'sallyport-asset-'))
  process.once('exit', () => rmSync(folder, { recursive: true, force: true }))
  for (const [name, text] of files) {
    const file = path.resolve(folder, name)
    if (!file.startsWith(folder + path.sep)) throw new Error(`${name} leads out of its own folder`)
    mkdirSync(path.dirname(file), { recursive: true })
    writeFileSync(file, text)
  }
  return folder
}
