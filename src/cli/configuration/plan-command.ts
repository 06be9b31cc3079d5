/** `purser plan`: shows what `purser apply` would change. */
import type { Command } from 'commander'
import { Ended, type Io, exitCodes, usageError } from '../io.ts'
import { repeated } from '../options.ts'
import { createStyle, remark, show } from '../output.ts'
import { type VerbFlags, addVerb } from '../verb.ts'
import { createCounter } from './counter.ts'
import { type Objects, openObjects } from './live.ts'
import { refuseOwnOperator } from './own-operator.ts'
import { type Plan, createPlan } from './plan.ts'
import { writePlan } from './plan-file.ts'
import { readConfiguration } from './read.ts'
import { countsOf, formatPlan } from './show.ts'

export type PlanFlags = VerbFlags & {
  file?: string[]
  owner?: string
  prune?: boolean
  adopt?: boolean
  allowEmpty?: boolean
}

export const withPlanOptions = (command: Command): Command =>
  command
    .option('-f, --file <path>', 'YAML file, or folder with YAML files; may be repeated; - for stdin', repeated)
    .option('--owner <source>', 'sets managedBy of every object, such as git:shop')
    .option('--prune', 'delete what the owner manages and no file declares; needs --owner')
    .option('--adopt', 'take over objects that another source manages')
    .option('--allow-empty', 'with --prune: accept files that declare nothing')

export function addPlan(program: Command, io: Io): void {
  addVerb(program, io, {
    usage: 'plan',
    summary: 'show what files would change: attestors, databases, workloads, rotation policies, operators',
    options: (command) =>
      withPlanOptions(command)
        .option('--out <file>', 'write the plan to a file for `purser apply <file>`')
        .option('--detailed-exitcode', 'exit code 2 when there are changes, 0 when there are none, 1 for any error'),
    examples: [
      'purser plan -f purser/ --owner git:shop --prune',
      'purser plan -f purser/ --owner git:shop --out plan.json',
      'purser plan -f purser/ --detailed-exitcode --output json',
    ],
    run: async (api, flags: PlanFlags & { out?: string; detailedExitcode?: boolean }) => {
      const { items } = await planFiles(io, openObjects(api), flags)
      await refuseOwnOperator(api, items)
      if (flags.out !== undefined) await writePlan(api, flags.out, items)
      const counts = countsOf(items)
      show(io, flags, { counts, items }, () => formatPlan(items, createStyle(io)))
      if (flags.detailedExitcode && counts.unchanged < items.length) throw new Ended(exitCodes.usage)
    },
  })
}

/** Reads the files and compares them with the server. */
export async function planFiles(io: Io, objects: Objects, flags: PlanFlags): Promise<Plan> {
  const { file, owner, prune = false, adopt = false, allowEmpty = false } = flags
  if (!file || file.length === 0) throw usageError('the files are missing: give --file')
  if (prune && owner === undefined) throw usageError('--prune deletes what an owner manages: give --owner')
  const { objects: declared } = await readConfiguration(io, file, { owner })
  if (prune && declared.length === 0 && !allowEmpty) {
    throw usageError(`${file.join(', ')}: no object is declared, so --prune would delete all: give --allow-empty if so`)
  }
  const counter = createCounter(io, 'compared', declared.length)
  const plan = await createPlan(objects, declared, { owner, prune, adopt }, counter.count)
  counter.end()
  if (plan.undeclared > 0) {
    remark(io, `${owner} manages ${plan.undeclared} more that no file declares: --prune deletes them`)
  }
  return plan
}
