/** Whether the log that accounts for this workload's credentials is known from elsewhere than the server itself. */
import { VerifyError, parseVkey } from '@purser/sdk/verify'
import { type Finding, fail, note, ok } from './finding.ts'
import type { Env, ServerInfo } from './workload-server.ts'

const check = 'log key'

export function lookAtLogKey(env: Env, info: ServerInfo | undefined): Finding[] {
  const given = (env.PURSER_LOG_KEY ?? '').split(/[\s,]+/).filter(Boolean)
  const current = info?.logKeys.filter((vkey) => nameOf(vkey) === originOf(info)) ?? []
  if (given.length === 0) {
    const pin =
      current.length > 0
        ? `export PURSER_LOG_KEY=${current.join(',')}, once compared with an auditor`
        : 'export PURSER_LOG_KEY=…'
    return [
      note(check, 'PURSER_LOG_KEY is not set: the log key is the one that the server says at first use', {
        why: 'a server in bad hands could show a log of its own making',
        do: pin,
      }),
    ]
  }
  const broken = given.filter((vkey) => nameOf(vkey) === undefined)
  if (broken.length > 0) {
    const remedy = 'take it from the server: curl $PURSER_ADDR/log/keys'
    return [fail(check, 'PURSER_LOG_KEY is no verifier key (name+id+key)', { why: receipts, do: remedy })]
  }
  if (!info) return [ok(check, 'PURSER_LOG_KEY pins it')]
  if (given.some((vkey) => current.includes(vkey))) return [ok(check, `PURSER_LOG_KEY pins ${originOf(info)}`)]
  return [
    fail(check, `PURSER_LOG_KEY is of ${given.map(nameOf).join(', ')}: not a key that signs ${originOf(info)}`, {
      why: receipts,
      do: `ask an auditor what happened (a new epoch, a new key); then PURSER_LOG_KEY=${current.join(',')}`,
    }),
  ]
}

const receipts = 'receipts do not verify, and credentials without a receipt are refused'
const originOf = ({ trustDomain, epoch }: ServerInfo): string => `${trustDomain}/log/${epoch}`

function nameOf(vkey: string): string | undefined {
  try {
    return parseVkey(vkey).name
  } catch (error) {
    if (error instanceof VerifyError) return undefined
    throw error
  }
}
