// Puts the built console where the server serves it from and the wheel packs it.
import { cp, rm, stat } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'

const built = fileURLToPath(new URL('../dist/', import.meta.url))
const packaged = fileURLToPath(new URL('../../src/remotegpu/server/console/', import.meta.url))

await stat(`${built}index.html`) // throws when there is no build to copy
await rm(packaged, { recursive: true, force: true })
await cp(built, packaged, { recursive: true })
console.log(`console copied to ${packaged}`)
