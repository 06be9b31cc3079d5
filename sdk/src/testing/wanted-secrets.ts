import { PurserError } from '../errors.ts'
import { type SecretOption, checkSecretOptions } from '../secrets/secret.ts'
import { invalid } from './refusal.ts'

/** @throws Refusal `invalid_request` */
export function readWanted(given: unknown): SecretOption[] {
  try {
    return checkSecretOptions(given)
  } catch (error) {
    if (error instanceof PurserError) throw invalid('/secrets', error.message)
    throw error
  }
}
