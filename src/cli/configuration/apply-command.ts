/** `purser apply`: makes the server have what files declare, or carries out a plan that was reviewed. */
import type { Command } from 'commander'
import type { Api } from '../api.ts'
import { type Io, usageError } from '../io.ts'
import { repeated } from '../options.ts'
import { createStyle, remark, show } from '../output.ts'
import { readText } from '../settings.ts'
import { addVerb } from '../verb.ts'
import { type Applied, applyPlan, checkPasswords } from './apply.ts'
import { createCounter } from './counter.ts'
import { keyOf } from './kinds.ts'
import { type Objects, openObjects } from './live.ts'
import { refuseOwnOperator } from './own-operator.ts'
import { type PlanItem, checkUnmoved } from './plan.ts'
import { type PlanFlags, planFiles, withPlanOptions } from './plan-command.ts'
import { readPlan } from './plan-file.ts'
import { countsOf, formatApplied } from './show.ts'

type ApplyFlags = PlanFlags & { passwordFile?: string[] }

export function addApplyConfiguration(program: Command, io: Io): void {
  addVerb(program, io, {
    usage: 'apply',
    summary: 'make the server have what files declare, or carry out a plan',
    description:
      'Writes what differs: attestors, databases, workloads, rotation policies, then operators; deletes in reverse. Never touches values of secrets or blocks. After a refusal the rest stays as it is: run it again.',
    options: (command) =>
      withPlanOptions(command.argument('[plan]', 'a plan of `purser plan --out`, in place of --file')).option(
        '--password-file <database=file>',
        'file with the password of a database that is created; may be repeated',
        repeated,
      ),
    reason: true,
    examples: [
      'purser apply -f purser/ --owner git:shop --prune --reason "$(git rev-parse HEAD)"',
      'purser apply plan.json --reason "$(git rev-parse HEAD)"',
    ],
    run: async (api, flags: ApplyFlags, planFile?: string) => {
      const passwords = readPasswords(io, flags)
      const objects = openObjects(api)
      const items = await itemsOf(io, api, objects, flags, planFile)
      await refuseOwnOperator(api, items)
      checkPasswords(items, passwords)
      const applied: Applied[] = []
      const counter = createCounter(io, 'applied', items.length)
      const onApplied = (item: Applied): void => {
        applied.push(item)
        counter.count()
        for (const { code, detail } of item.warnings ?? []) remark(io, `warning: ${keyOf(item)}: ${code}: ${detail}`)
      }
      try {
        await applyPlan(objects, items, { reason: flags.reason, passwords, onApplied })
      } finally {
        counter.end()
        const output = { counts: countsOf(applied), items: applied }
        show(io, flags, output, () => formatApplied(applied, createStyle(io)))
      }
    },
  })
}

async function itemsOf(
  io: Io,
  api: Api,
  objects: Objects,
  flags: PlanFlags,
  planFile: string | undefined,
): Promise<PlanItem[]> {
  if (planFile === undefined) return (await planFiles(io, objects, flags)).items
  if (flags.file ?? flags.owner ?? flags.prune ?? flags.adopt ?? flags.allowEmpty) {
    throw usageError('a plan has its own files and owner: leave the other options out')
  }
  const items = await readPlan(io, api, planFile)
  const counter = createCounter(io, 'compared', items.length)
  await checkUnmoved(objects, items, counter.count)
  counter.end()
  return items
}

/** Passwords are in files, since other users of the machine see arguments. */
function readPasswords(io: Io, { passwordFile = [] }: ApplyFlags): Map<string, string> {
  return new Map(
    passwordFile.map((pair) => {
      const at = pair.indexOf('=')
      if (at < 1 || at === pair.length - 1) throw usageError('--password-file must be <database>=<file>')
      const text = readText(io, pair.slice(at + 1), '--password-file')
      return [pair.slice(0, at), text.replace(/\r?\n$/, '')] as const
    }),
  )
}
