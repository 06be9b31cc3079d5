/** Checks a workload's side in the order of the SDK: server, proof, log key, state, attestation. */
import type { Io } from '../io.ts'
import { type Finding, isWorking, skipped } from './finding.ts'
import { createRunCheck } from './run-check.ts'
import { checkAttestation } from './workload-attestation.ts'
import { checkLogKey } from './workload-log-key.ts'
import { checkProof } from './workload-proof.ts'
import { type ServerInfo, checkServer } from './workload-server.ts'
import { checkStateDirectory } from './workload-state.ts'

type Parts = { io: Io; attest: boolean; now: () => Date }

export async function examineWorkload({ io, attest, now }: Parts): Promise<Finding[]> {
  const run = createRunCheck(io)
  const { env } = io
  const server: { info?: ServerInfo } = {}
  const findings = [
    ...(await run('server', async () => {
      const result = await checkServer(env, now)
      if (result.info) server.info = result.info
      return result.findings
    })),
    ...(await run('proof', () => checkProof(io, server.info?.audiences, now()))),
    ...(await run('log key', () => checkLogKey(env, server.info))),
    ...(await run('state', () => checkStateDirectory(env))),
  ]
  if (!attest) return [...findings, skipped('attestation', 'not tried: --no-attest')]
  if (!isWorking(findings)) return [...findings, skipped('attestation', 'not tried: fix the failures above first')]
  const attested = await run('attestation', () => checkAttestation(env, findings))
  // If the SDK reports the proof, its finding replaces the note that no file was found.
  const hasProof = attested.some(({ check }) => check === 'proof')
  return [...findings.filter(({ check, level }) => !(hasProof && check === 'proof' && level === 'note')), ...attested]
}
