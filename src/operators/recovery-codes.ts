/** Recovery codes, for an operator whose authenticator is lost. Each works once. */
import { createHash } from 'node:crypto'

const count = 10
/** Base32 (RFC 4648 section 6) in lower case. */
const alphabet = 'abcdefghijklmnopqrstuvwxyz234567'
const form = /^[a-z2-7]{4}(-[a-z2-7]{4}){3}$/

export const isRecoveryCode = (code: string): boolean => form.test(code)

/** 80 random bits each, so a plain hash is enough. */
export function newRecoveryCodes(randomBytes: (size: number) => Buffer): string[] {
  const newCode = (): string => {
    const letters = Array.from(randomBytes(16), (byte) => alphabet.charAt(byte % 32)).join('')
    return letters.replaceAll(/.{4}(?=.)/g, '$&-')
  }
  return Array.from({ length: count }, newCode)
}

export const hashRecoveryCode = (operatorId: string, code: string): Buffer =>
  createHash('sha256')
    .update(JSON.stringify([operatorId, code]))
    .digest()
