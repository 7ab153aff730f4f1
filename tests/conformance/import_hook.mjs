// The suite's program imports fs.globSync, which Node has from version 22 on. For older ones this
// hook gives it a node:fs that has everything, and a globSync that finds nothing: only a command
// that is not used here calls it.
import { register } from 'node:module'
import fs from 'node:fs'

const source = `
export * from 'node:fs'
export { default } from 'node:fs'
export const globSync = () => []
`
const url = `data:text/javascript,${encodeURIComponent(source)}`

const hooks = `
export async function resolve(specifier, context, next) {
    const asks = specifier === 'fs' && context.parentURL?.includes('/@modelcontextprotocol/conformance/')
    return asks ? { url: ${JSON.stringify(url)}, shortCircuit: true } : next(specifier, context)
}
`
if (!fs.globSync) {
    register(`data:text/javascript,${encodeURIComponent(hooks)}`)
}
