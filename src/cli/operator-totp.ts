/**
 * `purser operator totp`: the authenticator app of an operator. The secret is shown on the terminal, and recovery codes
 * go to stdout, both once.
 */
import type { Command } from 'commander'
import type { Api } from './api.ts'
import type { Schemas } from './api-types.ts'
import { CliError, type Io } from './io.ts'
import { remark, show, table } from './output.ts'
import { type Prompts, withPrompts } from './prompts.ts'
import { addVerb, type VerbFlags } from './verb.ts'

const path = '/api/v1/operators/{name}'
/** Codes that a person may mistype before the command gives up. */
const maxTries = 3
const codePrompt = 'code of the authenticator app: '

export function addTotp(group: Command, io: Io): void {
  const totp = group.command('totp').summary('add or remove an authenticator app, the second factor of a login')
  addVerb(totp, io, {
    usage: 'add',
    summary: 'add an authenticator app to your own account',
    description:
      'Shows the secret of a new authenticator app as a QR code, asks for a code of it, and prints ten recovery codes to stdout. From then on a login with a password needs a code. Without a terminal it prints the otpauth URI alone: then run `purser operator totp confirm` with a code on stdin.',
    reason: true,
    examples: ['purser operator totp add > recovery-codes'],
    run: async (api, flags) => {
      const { reason } = flags
      const { body } = await api.call('POST', `${path}:enrol-totp`, { path: { name: 'self' }, reason })
      if (io.stdin.isTTY === true) return confirmTyped(io, api, flags, body)
      show(io, flags, body, ({ uri }) => `${uri}\n`)
      remark(io, 'not in use yet: scan the URI, then run `purser operator totp confirm` with a code on stdin')
    },
  })
  addVerb(totp, io, {
    usage: 'confirm',
    summary: 'confirm the authenticator app with a code, and print the recovery codes',
    reason: true,
    examples: ['purser operator totp confirm > recovery-codes'],
    run: (api, flags) =>
      withPrompts(io, async (prompts) => {
        showCodes(io, flags, await confirm(api, flags, await prompts.hidden(codePrompt)))
      }),
  })
  addVerb(totp, io, {
    usage: 'remove',
    summary: 'remove the authenticator app and its recovery codes',
    description:
      'Removes your own with a code of it, or a recovery code; without a terminal, from the first line of stdin. An admin removes that of another operator without a code, and its sessions end.',
    options: (command) => command.argument('[name]', 'name of the operator', 'self'),
    reason: true,
    examples: ['purser operator totp remove', 'purser operator totp remove ada --reason "lost her phone"'],
    run: (api, flags, name) => withPrompts(io, (prompts) => remove(io, api, prompts, flags, name)),
  })
}

/** From a terminal the code follows at once. */
async function confirmTyped(io: Io, api: Api, flags: VerbFlags, { secret, uri }: Schemas['TotpSecret']): Promise<void> {
  const { encodeQR } = await import('qr')
  io.stderr.write(`${encodeQR(uri, 'term')}\nscan it with an authenticator app, or type the secret ${secret}\n${uri}\n`)
  await withPrompts(io, async (prompts) => {
    for (let tries = 1; ; tries++) {
      try {
        return showCodes(io, flags, await confirm(api, flags, await prompts.hidden(codePrompt)))
      } catch (error) {
        if (tries === maxTries || !isCodeFault(error)) throw error
        remark(io, 'this is not a present code: type the one that the app shows now')
      }
    }
  })
}

const confirm = async (api: Api, { reason }: VerbFlags, code: string): Promise<Schemas['RecoveryCodes']> =>
  (await api.call('POST', `${path}:confirm-totp`, { path: { name: 'self' }, body: { code }, reason })).body

function showCodes(io: Io, flags: VerbFlags, codes: Schemas['RecoveryCodes']): void {
  show(io, flags, codes, ({ recoveryCodes }) => recoveryCodes.map((code) => `${code}\n`).join(''))
  remark(io, 'logins need a code from now on; each recovery code works once, and is not shown again: keep them apart')
}

async function remove(io: Io, api: Api, prompts: Prompts, { reason }: VerbFlags, name: string): Promise<void> {
  const call = (body: { code?: string }) => api.call('POST', `${path}:remove-totp`, { path: { name }, body, reason })
  const askCode = async () =>
    call({ code: await prompts.hidden('code of the authenticator app, or a recovery code: ') })
  const { logIndex } = await (name === 'self'
    ? askCode()
    : call({}).catch((error: unknown) => {
        // The name is the caller's own.
        if (!isCodeFault(error)) throw error
        return askCode()
      }))
  const whose = name === 'self' ? 'your second factor' : `second factor of ${name}`
  io.stdout.write(table([[`${whose} removed`, `log ${logIndex}`]]))
}

const isCodeFault = (error: unknown): boolean =>
  error instanceof CliError &&
  ['forbidden', 'invalid_request'].includes(error.code ?? '') &&
  error.message.includes('/code')
