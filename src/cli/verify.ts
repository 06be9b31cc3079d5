/** `purser verify`: whether a JWT-SVID or a certificate holds, and why not. */
import type { Command } from 'commander'
import { type Api, withApi } from './api.ts'
import { type WorkloadFlags, withWorkload } from './as-workload.ts'
import { CliError, type Io, exitCodes } from './io.ts'
import { list, withExamples, withOutput } from './options.ts'
import { type OutputFlags, createStyle, show } from './output.ts'
import { type Anchors, anchorsOfFile, anchorsOfServer } from './verify/anchors.ts'
import { type Report, reportWords } from './verify/checks.ts'
import { type Input, readInput } from './verify/input.ts'
import type { Judged } from './verify/judged.ts'

type Flags = WorkloadFlags & OutputFlags & { bundle?: string; trustDomain?: string; audience?: string[] }

export function addVerify(program: Command, io: Io): void {
  const command = program
    .command('verify')
    .summary('say whether a JWT or a certificate holds, check by check')
    .description(
      "Holds a JWT-SVID or a certificate against the bundle of its trust domain, and says what came of each check. It asks the server for the bundle and for what was revoked; with --bundle it asks nobody. Whether a JWT was revoked takes PURSER_API_TOKEN or this workload's own proof.",
    )
    .argument('<file>', 'a JWT, or a certificate with its chain in PEM; - for the standard input')
    .option('--audience <audience>', 'whom the JWT must be for; may be repeated, one of them is enough', list)
    .option('--bundle <file>', 'hold it against this SPIFFE bundle, or these roots in PEM, and ask nobody')
    .option('--trust-domain <name>', 'that it must be of (default: as server or bundle say)')
    .action(async (argument: string, flags: Flags) => {
      const report = await judge(io, await readInput(io, argument), flags)
      show(io, flags, report, (report) => reportWords(report, createStyle(io)))
      if (!report.verified) throw new CliError('it does not verify', exitCodes.unverified)
    })
  withExamples(
    withOutput(withWorkload(command)),
    'purser verify /run/web/tls.crt',
    'purser verify /run/web/jwt-payments --audience payments',
    'purser verify - --bundle /run/web/ca.crt < /run/web/tls.pem',
  )
}

async function judge(io: Io, input: Input, flags: Flags): Promise<Report> {
  const { bundle, trustDomain } = flags
  if (bundle !== undefined) return reportOf(input, anchorsOfFile(io, bundle, trustDomain), undefined, flags, io)
  return withApi(io, flags, async (api) => reportOf(input, await anchorsOfServer(api, trustDomain), api, flags, io))
}

/** @param api undefined where nobody is to be asked */
async function reportOf(input: Input, anchors: Anchors, api: Api | undefined, flags: Flags, io: Io): Promise<Report> {
  const now = new Date()
  const report = ({ checks, facts }: Judged): Report => ({
    kind: input.kind,
    verified: checks.sound(),
    against: anchors.from,
    checks: checks.all,
    facts,
  })
  const offline = 'not asked: --bundle asks nobody'
  // Loaded here, so that no other verb waits for it.
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
