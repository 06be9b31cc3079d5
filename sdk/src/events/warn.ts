import { callOut } from './listeners.ts'
import { wordsOf } from '../errors.ts'
import type { ConnectOptions } from '../types/options.ts'

const toProcess = (warning: string): void => process.emitWarning(warning, 'PurserWarning')

/** @param onWarning if it fails, both the failure and the warning go to the process */
export const warnBy = (onWarning: ConnectOptions['onWarning']): ((warning: string) => void) =>
  onWarning
    ? (warning) =>
        callOut(
          () => onWarning(warning),
          (error) => toProcess(`onWarning failed (${wordsOf(error)}) for: ${warning}`),
        )
    : toProcess
