/** Values at hand for the program, and in no log by accident. */
import { inspect } from 'node:util'

/**
 * An object whose hidden members are read by name alone: not shown by `console.log`, `util.inspect` or `JSON.stringify`, and not
 * copied by spreading.
 * @param json what `JSON.stringify` shows
 */
export function concealed<S extends object, H extends object, J>(
  kind: string,
  { shown, hidden, json }: { shown: S; hidden: H; json: J },
): Readonly<H & S & { toJSON: () => J }> {
  const made = Object.assign({}, hidden, shown, { toJSON: () => json })
  const invisible = Object.keys(hidden).map((name) => [name, { enumerable: false }] as const)
  const words = Object.fromEntries(Object.keys(hidden).map((name) => [name, '[hidden]']))
  return Object.freeze(
    Object.defineProperties(made, {
      ...Object.fromEntries(invisible),
      toJSON: { enumerable: false },
      [inspect.custom]: { enumerable: false, value: () => `${kind} ${inspect({ ...shown, ...words })}` },
    }),
  )
}
