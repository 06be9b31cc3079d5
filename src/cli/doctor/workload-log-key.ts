/** Checks that the log key does not come from the server alone. */
import { VerifyError, parseVkey } from '@purser/sdk/verify'
import { type Finding, fail, note, ok } from './finding.ts'
import type { Env, ServerInfo } from './workload-server.ts'

const check = 'log key'

export function checkLogKey(env: Env, info: ServerInfo | undefined): Finding {
  const pinned = (env.PURSER_LOG_KEY ?? '').split(/[\s,]+/).filter(Boolean)
  const current = info?.logKeys.filter((vkey) => nameOf(vkey) === originOf(info)) ?? []
  if (pinned.length === 0) {
    const remedy =
      current.length > 0
        ? `compare with an auditor, then: export PURSER_LOG_KEY=${current.join(',')}`
        : 'export PURSER_LOG_KEY=…'
    return note(check, 'PURSER_LOG_KEY is not set: the log key is trusted on first use', {
      why: 'a compromised server could show a forged log',
      do: remedy,
    })
  }
  const broken = pinned.filter((vkey) => nameOf(vkey) === undefined)
  if (broken.length > 0) {
    const remedy = 'get the key: curl $PURSER_ADDR/log/keys'
    return fail(check, 'PURSER_LOG_KEY is not a verifier key (name+id+key)', { why: receipts, do: remedy })
  }
  if (!info) return ok(check, 'pinned by PURSER_LOG_KEY')
  if (pinned.some((vkey) => current.includes(vkey))) return ok(check, `PURSER_LOG_KEY pins ${originOf(info)}`)
  return fail(
    check,
    `PURSER_LOG_KEY belongs to ${pinned.map(nameOf).join(', ')}, which does not sign ${originOf(info)}`,
    {
      why: receipts,
      do: `ask an auditor why (a new epoch, a new key), then: export PURSER_LOG_KEY=${current.join(',')}`,
    },
  )
}

const receipts = 'receipts do not verify, and the SDK refuses credentials without a valid receipt'
const originOf = ({ trustDomain, epoch }: ServerInfo): string => `${trustDomain}/log/${epoch}`

function nameOf(vkey: string): string | undefined {
  try {
    return parseVkey(vkey).name
  } catch (error) {
    if (error instanceof VerifyError) return undefined
    throw error
  }
}
