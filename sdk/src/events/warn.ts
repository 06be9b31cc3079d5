import { callOut } from './call-out.ts'
import { wordsOf } from '../errors.ts'
import type { ConnectOptions } from '../types/options.ts'

const toProcess = (warning: string): void => process.emitWarning(warning, 'PurserWarning')

/** @param onWarning where it fails, both are told to the process: what warns goes on with what it does */
export const warnBy = (onWarning: ConnectOptions['onWarning']): ((warning: string) => void) =>
  onWarning
    ? (warning) =>
        callOut(
          () => onWarning(warning),
          (error) => toProcess(`onWarning failed (${wordsOf(error)}) for: ${warning}`),
        )
    : toProcess
