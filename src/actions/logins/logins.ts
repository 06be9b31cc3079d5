/** Login sessions of operators: API tokens that a login creates, with a short life. */
import { createLogin } from './create.ts'
import { endLogin } from './end.ts'
import { type IdTokenParts, createIdTokenLogin, createIssueNonce, createVerifyIdTokenLogin } from './id-token.ts'
import {
  type PasskeyParts,
  createIssuePasskeyOptions,
  createPasskeyLogin,
  createVerifyPasskeyLogin,
} from './passkey.ts'
import { type VerifyParts, createVerifyLogin } from './verify.ts'

export const createLoginActions = (parts: VerifyParts & IdTokenParts & PasskeyParts) => ({
  verify: createVerifyLogin(parts),
  create: createLogin(parts),
  issueNonce: createIssueNonce(parts),
  verifyIdToken: createVerifyIdTokenLogin(parts),
  createByIdToken: createIdTokenLogin(parts),
  issuePasskeyOptions: createIssuePasskeyOptions(parts),
  verifyPasskey: createVerifyPasskeyLogin(parts),
  createByPasskey: createPasskeyLogin(parts),
  end: endLogin,
})
