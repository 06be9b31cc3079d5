/** A join token from an operator, for workloads without an orchestrator. */
import { PurserError } from '../errors.ts'
import { readToken } from './file.ts'
import { type Detect, variable } from './machine.ts'

export const joinToken: Detect = (machine) => {
  const token = variable(machine, 'PURSER_JOIN_TOKEN')
  const path = variable(machine, 'PURSER_JOIN_TOKEN_FILE')
  if (token !== undefined && path !== undefined) {
    throw new PurserError('bad_options', 'PURSER_JOIN_TOKEN and PURSER_JOIN_TOKEN_FILE are both set; set only one')
  }
  if (token !== undefined) {
    return { chosen: 'the join token in PURSER_JOIN_TOKEN', read: () => Promise.resolve(token) }
  }
  if (path === undefined) return { dismissed: 'neither PURSER_JOIN_TOKEN nor PURSER_JOIN_TOKEN_FILE is set' }
  const chosen = `the file ${path} (PURSER_JOIN_TOKEN_FILE)`
  return { chosen, read: () => readToken(path, chosen) }
}
