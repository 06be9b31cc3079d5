/** The configuration of the server. Frozen, and safe to print: secrets print as `(secret)`. */
import type { join } from './join.ts'
import type { Secret } from './secret.ts'

/** Deeply read-only; a secret is frozen already. */
type Deep<T> = T extends string | number | boolean | Secret ? T : { readonly [K in keyof T]: Deep<T[K]> }

export type Config = Deep<ReturnType<typeof join>>
