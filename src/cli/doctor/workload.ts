/** Checks a workload's side in the order of the SDK: server, proof, log key, state, attestation. */
import type { Io } from '../io.ts'
import { type Finding, isWorking, skipped } from './finding.ts'
import { createLook } from './look.ts'
import { lookAtAttestation } from './workload-attestation.ts'
import { lookAtLogKey } from './workload-log-key.ts'
import { lookAtProof } from './workload-proof.ts'
import { type ServerInfo, lookAtServer } from './workload-server.ts'
import { lookAtStateDirectory } from './workload-state.ts'

type Parts = { io: Io; attest: boolean; now: () => Date }

export async function examineWorkload({ io, attest, now }: Parts): Promise<Finding[]> {
  const look = createLook(io)
  const { env } = io
  const server: { info?: ServerInfo } = {}
  const findings = [
    ...(await look('server', async () => {
      const result = await lookAtServer(env, now)
      if (result.info) server.info = result.info
      return result.findings
    })),
    ...(await look('proof', () => lookAtProof(io, server.info?.audiences, now()))),
    ...(await look('log key', () => lookAtLogKey(env, server.info))),
    ...(await look('state', () => lookAtStateDirectory(env))),
  ]
  if (!attest) return [...findings, skipped('attestation', 'not tried: --no-attest')]
  if (!isWorking(findings)) return [...findings, skipped('attestation', 'not tried: fix the failures above first')]
  const attested = await look('attestation', () => lookAtAttestation(env, findings))
  // If the SDK reports the proof, its finding replaces the note that no file was found.
  const hasProof = attested.some(({ check }) => check === 'proof')
  return [...findings.filter(({ check, level }) => !(hasProof && check === 'proof' && level === 'note')), ...attested]
}
