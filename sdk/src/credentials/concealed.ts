import { inspect } from 'node:util'

/**
 * An object with members that are readable only by name: `console.log`, `util.inspect`, `JSON.stringify` and spreading
 * leave them out, so that they reach no log by accident.
 * @param json the output of `JSON.stringify`
 */
export function concealed<S extends object, H extends object, J>(
  kind: string,
  { shown, hidden, json }: { shown: S; hidden: H; json: J },
): Readonly<H & S & { toJSON: () => J }> {
  const value = Object.assign({}, hidden, shown, { toJSON: () => json })
  const invisible = Object.keys(hidden).map((name) => [name, { enumerable: false }] as const)
  const words = Object.fromEntries(Object.keys(hidden).map((name) => [name, '[hidden]']))
  return Object.freeze(
    Object.defineProperties(value, {
      ...Object.fromEntries(invisible),
      toJSON: { enumerable: false },
      [inspect.custom]: { enumerable: false, value: () => `${kind} ${inspect({ ...shown, ...words })}` },
    }),
  )
}
