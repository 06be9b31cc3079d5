/** A workload's place, in the order in which the SDK goes: where is the server, is it believed, who am I to it. */
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
      const looked = await lookAtServer(env, now)
      if (looked.info) server.info = looked.info
      return looked.findings
    })),
    ...(await look('proof', () => lookAtProof(io, server.info?.audiences, now()))),
    ...(await look('log key', () => lookAtLogKey(env, server.info))),
    ...(await look('state', () => lookAtStateDirectory(env))),
  ]
  if (!attest) return [...findings, skipped('attestation', 'the proof was presented to nobody, as --no-attest says')]
  if (!isWorking(findings))
    return [...findings, skipped('attestation', 'not tried: what failed above would fail there')]
  const attested = await look('attestation', () => lookAtAttestation(env, findings))
  // Where the SDK itself looked for a proof, its word replaces that there was no file.
  const told = attested.some(({ check }) => check === 'proof')
  return [...findings.filter(({ check, level }) => !(told && check === 'proof' && level === 'note')), ...attested]
}
