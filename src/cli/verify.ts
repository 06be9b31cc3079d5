/** `purser verify`: verifies a JWT-SVID or a certificate, check by check. */
import type { Command } from 'commander'
import { type Api, withApi } from './api.ts'
import { type WorkloadFlags, withWorkload } from './as-workload.ts'
import { CliError, type Io, exitCodes } from './io.ts'
import { list, withExamples, withOutput } from './options.ts'
import { type OutputFlags, createStyle, show } from './output.ts'
import { type Anchors, anchorsOfFile, anchorsOfServer } from './verify/anchors.ts'
import { type Judged, type Report, formatReport } from './verify/checks.ts'
import { type Credential, readCredential } from './verify/input.ts'

type Flags = WorkloadFlags & OutputFlags & { bundle?: string; trustDomain?: string; audience?: string[] }

export function addVerify(program: Command, io: Io): void {
  const command = program
    .command('verify')
    .summary('verify a JWT or a certificate, check by check')
    .description(
      'Verifies a JWT-SVID or a certificate against the bundle of its trust domain, and prints each check. Fetches the bundle and the revocation state from the server; with --bundle it works offline. The revocation state of a JWT needs PURSER_API_TOKEN or a proof of this workload.',
    )
    .argument('<file>', 'a JWT, or a certificate with its chain in PEM; - for stdin')
    .option('--audience <audience>', 'expected audience of the JWT; may be repeated, and one must match', list)
    .option('--bundle <file>', 'verify offline against this SPIFFE bundle, or these roots in PEM')
    .option('--trust-domain <name>', 'expected trust domain (default: that of the server or bundle)')
    .action(async (argument: string, flags: Flags) => {
      const report = await judge(io, await readCredential(io, argument), flags)
      show(io, flags, report, () => formatReport(report, createStyle(io)))
      if (!report.verified) throw new CliError('verification failed', exitCodes.unverified)
    })
  withExamples(
    withOutput(withWorkload(command)),
    'purser verify /run/web/tls.crt',
    'purser verify /run/web/jwt-payments --audience payments',
    'purser verify - --bundle /run/web/ca.crt < /run/web/tls.pem',
  )
}

async function judge(io: Io, input: Credential, flags: Flags): Promise<Report> {
  const { bundle, trustDomain } = flags
  if (bundle !== undefined) return reportOf(input, anchorsOfFile(io, bundle, trustDomain), undefined, flags, io)
  return withApi(io, flags, async (api) => reportOf(input, await anchorsOfServer(api, trustDomain), api, flags, io))
}

/** @param api undefined when working offline */
async function reportOf(
  input: Credential,
  anchors: Anchors,
  api: Api | undefined,
  flags: Flags,
  io: Io,
): Promise<Report> {
  const now = new Date()
  const report = ({ checks, facts }: Judged): Report => ({
    kind: input.kind,
    verified: checks.sound(),
    against: anchors.from,
    checks: checks.all,
    facts,
  })
  const offline = 'not checked: --bundle works offline'
  // Loaded on demand, so that other verbs start faster.
  if (input.kind === 'jwt') {
    const { judgeJwt } = await import('./verify/jwt.ts')
    const judged = judgeJwt(input.token, anchors, flags.audience ?? [], now)
    const { judgeRevocation } = await import('./verify/introspection.ts')
    if (api) await judgeRevocation(judged.checks, input.token, flags, io)
    else judged.checks.skipped('revocation', offline)
    return report(judged)
  }
  const { judgeCertificate } = await import('./verify/certificate.ts')
  const judged = judgeCertificate(input.pem, anchors, now)
  const { judgeCrls } = await import('./verify/crls.ts')
  if (api) await judgeCrls(judged.checks, judged.path, api, now)
  else judged.checks.skipped('revocation', offline)
  return report(judged)
}
