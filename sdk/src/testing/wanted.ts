import { checkDatabases } from '../databases/role.ts'
import { PurserError } from '../errors.ts'
import { type SecretOption, checkSecretOptions } from '../secrets/secret.ts'
import { invalid } from './refusal.ts'

function read<T>(pointer: string, check: () => T): T {
  try {
    return check()
  } catch (error) {
    if (error instanceof PurserError) throw invalid(pointer, error.message)
    throw error
  }
}

/** @throws Refusal `invalid_request` */
export const readWanted = (given: unknown): SecretOption[] => read('/secrets', () => checkSecretOptions(given))

/** @throws Refusal `invalid_request` */
export const readDatabases = (given: unknown): string[] => read('/databases', () => checkDatabases(given))
