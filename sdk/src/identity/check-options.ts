import { PurserError } from '../errors.ts'

/**
 * Checks options that decide whom to accept. Without `accept` the whole trust domain is accepted, so a misspelt name, or a
 * missing value such as an unset variable, must not count as absence.
 * @param owner of the options, in words
 * @throws PurserError `bad_options`
 */
export function checkOptions(options: object, names: Readonly<Record<string, true>>, owner: string): void {
  const unknown = Object.keys(options).filter((name) => !Object.hasOwn(names, name))
  if (unknown.length > 0) throw new PurserError('bad_options', `${owner} has no option: ${unknown.join(', ')}`)
  if ('accept' in options && options.accept === undefined) {
    throw new PurserError(
      'bad_options',
      `the option accept of ${owner} has no value: name the callers, or remove it to accept the whole trust domain`,
    )
  }
}
