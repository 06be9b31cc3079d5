/**
 * A trial attestation: presents the proof as the SDK would, and requests nothing. It opens or continues the session of
 * this instance, and the log records it.
 */
import { type Choice, PurserError, connect } from '@purser/sdk'
import { withBorrowedState } from '../borrowed-state.ts'
import { type Finding, fail, note, ok, skipped } from './finding.ts'
import type { Env } from './workload-server.ts'

const check = 'attestation'

export async function checkAttestation(env: Env, before: readonly Finding[]): Promise<Finding[]> {
  if (before.some(({ check, what }) => check === 'proof' && what.startsWith('a join token'))) {
    return [skipped(check, 'not tried: it would use up the join token')]
  }
  try {
    // Without a certificate, so that the workload's own certificate is not renewed: each can be renewed once.
    const purser = await withBorrowedState(env.PURSER_STATE_DIR, (state) =>
      connect({ env: { ...env, PURSER_STATE_DIR: state }, x509: false, onWarning: () => undefined }),
    )
    purser.close()
    const { spiffeId, workload, session, chosen } = purser
    const who = `${spiffeId}, workload ${workload.name}, session until ${session.expiresAt.toISOString()}`
    return [ok(check, who), ...judgeProof(chosen, before)]
  } catch (error) {
    if (!(error instanceof PurserError)) throw error
    return [refusalFinding(error)]
  }
}

/** The proof that the SDK found, unless the proof check has already reported it. */
function judgeProof(chosen: readonly Choice[], before: readonly Finding[]): Finding[] {
  if (before.some(({ check, level }) => check === 'proof' && level === 'ok')) return []
  return chosen.filter(({ about }) => about === 'proof').map((choice) => ok('proof', choice.chosen))
}

function refusalFinding(error: PurserError): Finding {
  const { code, message, requestId, status } = error
  const remedy = requestId === undefined ? undefined : `ask an operator to run: purser explain ${requestId}`
  switch (code) {
    case 'no_proof':
    case 'bad_proof':
    case 'wrong_audience':
      return fail('proof', code === 'no_proof' ? 'not found' : message, {
        why: message,
        do: 'export PURSER_PROOF_FILE=/path/to/token; in Kubernetes, mount a projected serviceAccountToken with the audience of Purser',
      })
    case 'attestation_failed':
      return fail(check, `the server refused the proof (attestation_failed, ${requestId ?? 'no request id'})`, {
        why: 'only operators can see the reason',
        ...(remedy !== undefined && { do: remedy }),
      })
    case 'several_workloads':
      return fail(check, 'several workload entries match this proof', {
        why: message,
        do: 'export PURSER_WORKLOAD=NAME',
      })
    case 'rate_limited':
      return note(check, 'not tried: the server limits the rate of requests', { do: 'wait, then run this again' })
    case 'log_forked':
    case 'log_epoch':
    case 'receipt_invalid':
    case 'receipt_mismatch':
      return fail('log', `the server's proof of its log does not verify (${code})`, {
        why: message,
        do: 'keep the files in PURSER_STATE_DIR as evidence, and inform an auditor',
      })
  }
  const reason = status === undefined ? code : `${code}, ${status}`
  return fail(check, `attestation failed (${reason})`, { why: message, ...(remedy !== undefined && { do: remedy }) })
}
