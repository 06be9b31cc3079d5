import { PurserError } from '../errors.ts'

/**
 * Options that say whom to let in. Left out, `accept` lets in the whole trust domain, so a name that is misspelt and a
 * value that is missing, such as a variable that isn't set, must not count as left out.
 * @param of what takes the options, in words
 * @throws PurserError `bad_options`
 */
export function checkOptions(options: object, names: Readonly<Record<string, true>>, of: string): void {
  const unknown = Object.keys(options).filter((name) => !Object.hasOwn(names, name))
  if (unknown.length > 0) throw new PurserError('bad_options', `no option of ${of}: ${unknown.join(', ')}`)
  if ('accept' in options && options.accept === undefined) {
    throw new PurserError('bad_options', `${of} was given accept without a value: say who, or leave it out for anybody`)
  }
}
