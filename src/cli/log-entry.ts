/** Entries of the log, as the API shows them. */
import type { Issued } from '../store/issued.ts'
import type { Schemas } from './api-types.ts'

/** openapi.yaml leaves open what `issued` holds, since older and newer servers list other kinds. */
export const issuedIn = ({ issued }: Pick<Schemas['Entry'], 'issued'>): Issued | undefined => issued
