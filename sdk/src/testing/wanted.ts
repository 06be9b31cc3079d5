import { checkDatabases } from '../credentials/role.ts'
import { PurserError } from '../errors.ts'
import { checkSecretOptions } from '../credentials/secret.ts'
import { invalid } from './refusal.ts'
import type { SecretOption } from '../types/secrets.ts'

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
