import { NameError } from './errors.ts'

/** An `aud` value: 1 to 255 printable ASCII characters, no space. */
export function isAudience(text: string): boolean {
  return /^[!-~]{1,255}$/.test(text)
}

/** @throws NameError `bad_audience` */
export function parseAudience(text: string): string {
  if (isAudience(text)) return text
  throw new NameError('bad_audience', 'an audience is 1 to 255 printable ASCII characters without spaces')
}
