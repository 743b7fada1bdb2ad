// The installed version of a package, for the first line that each driver prints.
import { readFileSync } from 'node:fs'

export const version = (name) => JSON.parse(readFileSync(`node_modules/${name}/package.json`, 'utf8')).version
