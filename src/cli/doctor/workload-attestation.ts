/**
 * A dry attestation: the proof is presented as the SDK would, and nothing is asked for. It opens or continues this
 * instance's session and is an entry of the log like any other.
 */
import { type Choice, PurserError, connect } from '@purser/sdk'
import { withBorrowedState } from '../borrowed-state.ts'
import { type Finding, fail, note, ok, skipped } from './finding.ts'
import type { Env } from './workload-server.ts'

const check = 'attestation'

export async function lookAtAttestation(env: Env, before: readonly Finding[]): Promise<Finding[]> {
  if (before.some((one) => one.check === 'proof' && one.what.startsWith('a join token'))) {
    return [skipped(check, 'not tried: a join token is used up by it')]
  }
  try {
    // No certificate, so that none is renewed: its serial number is its owner's to spend.
    const purser = await withBorrowedState(env.PURSER_STATE_DIR, (state) =>
      connect({ env: { ...env, PURSER_STATE_DIR: state }, x509: false, onWarning: () => undefined }),
    )
    purser.close()
    const { spiffeId, workload, session, chosen } = purser
    const who = `${spiffeId}, workload ${workload.name}, session until ${session.expiresAt.toISOString()}`
    return [ok(check, who), ...aboutProof(chosen, before)]
  } catch (error) {
    if (!(error instanceof PurserError)) throw error
    return [refused(error)]
  }
}

/** Where the SDK found it, when that was in no file that was looked at already. */
function aboutProof(chosen: readonly Choice[], before: readonly Finding[]): Finding[] {
  if (before.some((one) => one.check === 'proof' && one.level === 'ok')) return []
  return chosen.filter(({ about }) => about === 'proof').map((choice) => ok('proof', choice.chosen))
}

function refused(error: PurserError): Finding {
  const { code, message, requestId, status } = error
  const ask = requestId === undefined ? undefined : `an operator: purser explain ${requestId}`
  switch (code) {
    case 'no_proof':
    case 'bad_proof':
    case 'wrong_audience':
      return fail('proof', code === 'no_proof' ? 'none was found' : message, {
        why: message,
        do: 'export PURSER_PROOF_FILE=/path/to/token; in Kubernetes mount a projected serviceAccountToken with the audience of Purser',
      })
    case 'attestation_failed':
      return fail(check, `the server refused the proof (attestation_failed, ${requestId ?? 'no request id'})`, {
        why: 'the server tells its operators alone what was wrong with it',
        ...(ask !== undefined && { do: ask }),
      })
    case 'several_workloads':
      return fail(check, 'several workload entries match this proof', {
        why: message,
        do: 'export PURSER_WORKLOAD=NAME',
      })
    case 'rate_limited':
      return note(check, 'not tried: the server says that too many came lately', { do: 'wait, then run this again' })
    case 'log_forked':
    case 'log_epoch':
    case 'receipt_invalid':
    case 'receipt_mismatch':
      return fail('log', `what the server proves of its log does not hold (${code})`, {
        why: message,
        do: 'keep what is in PURSER_STATE_DIR as evidence, and tell an auditor',
      })
  }
  const words = status === undefined ? code : `${code}, ${status}`
  return fail(check, `it failed (${words})`, { why: message, ...(ask !== undefined && { do: ask }) })
}
