import type { ProofOption } from '../types/options.ts'
import { wordsOf } from '../errors.ts'
import { readToken } from './file.ts'
import type { Detect } from './machine.ts'
import { noProof } from './errors.ts'

export const fromOption =
  (option: ProofOption | undefined): Detect =>
  () => {
    if (option === undefined) return { dismissed: 'the option proof is not given' }
    if (typeof option === 'string') {
      return { chosen: 'the token in the option proof', read: () => Promise.resolve(option), isLocal: true }
    }
    if (typeof option === 'object') {
      const chosen = `the file ${option.file} (option proof)`
      return { chosen, read: () => readToken(option.file, chosen), isLocal: true }
    }
    return {
      chosen: 'the function in the option proof',
      async read(request) {
        let token: unknown
        try {
          token = await option(request)
        } catch (error) {
          throw noProof(`the function in the option proof failed: ${wordsOf(error)}`, error)
        }
        if (typeof token !== 'string') throw noProof('the function in the option proof gave no text')
        return token
      },
    }
  }
