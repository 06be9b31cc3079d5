/** Login sessions of operators: API tokens that a login creates, with a short life. */
import type { ApiTokenParts } from '../tokens/new-api-token.ts'
import { createLogin } from './create.ts'
import { endLogin } from './end.ts'
import { type VerifyParts, createVerifyLogin } from './verify.ts'

export const createLoginActions = (parts: VerifyParts & ApiTokenParts) => ({
  verify: createVerifyLogin(parts),
  create: createLogin(parts),
  end: endLogin,
})
