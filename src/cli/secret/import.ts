/** `purser secret import`: values of elsewhere, under their names or others, with a dry run and a report; run again, it goes on. */
import type { Command } from 'commander'
import { type ServerFlags, withApi } from '../api.ts'
import { CliError, type Io } from '../io.ts'
import { again, withExamples, withOutput, withReason, withServer } from '../options.ts'
import { type OutputFlags, remark, show, table } from '../output.ts'
import { readText } from '../settings.ts'
import { type Done, applyOne } from './import/apply.ts'
import { parseEnvFile } from './import/env-file.ts'
import { kv2 } from './import/kv2.ts'
import { nameAll } from './import/names.ts'
import type { Source } from './import/source.ts'
import { fromTree, parseJsonFile, parseYamlFile } from './import/tree-file.ts'
import { usage } from './place.ts'

type From = { fromVault?: string; fromEnv?: string; fromJson?: string; fromYaml?: string }
type Flags = ServerFlags &
  OutputFlags &
  From & {
    mount: string
    prefix: string
    namespace?: string
    tokenFile?: string
    vaultCaFile?: string
    allVersions?: true
    to?: string
    renameLower?: true
    rename?: string[]
    dryRun?: true
    reason?: string
  }

type Item = { from: string; path?: string; did: Done['did'] | 'refused'; version?: number; why?: string }

export function addImport(group: Command, io: Io): void {
  const command = group
    .command('import')
    .summary('take values over from Vault, OpenBao or files')
    .description(
      'A JSON or YAML file holds paths, each with its value; a file of environment variables is one secret, at --to. From Vault or OpenBao every secret of a KV version 2 mount is taken that the token may read. What is there already with the same value is left alone, so a run that broke off is run again.',
    )
    .option('--from-vault <url>', 'Vault or OpenBao; its token is in VAULT_TOKEN, or in --token-file')
    .option('--mount <name>', 'the KV version 2 mount', 'secret')
    .option('--prefix <path>', 'only what is below it', '')
    .option('--namespace <name>', 'its namespace (VAULT_NAMESPACE)')
    .option('--token-file <file>', "the file that Vault's token is in")
    .option('--vault-ca-file <file>', "roots that Vault is verified with (VAULT_CACERT), else the system's")
    .option('--all-versions', 'every version that can be read, oldest first; else the newest')
    .option('--from-env <file>', 'NAME=value lines; - is standard input')
    .option('--from-json <file>', '{ "prod/db/password": { "password": "…" } }; - is standard input')
    .option('--from-yaml <file>', 'the same as YAML')
    .option('--to <prefix>', 'below this path; for --from-env the path itself')
    .option('--rename-lower', 'names with capitals in lower case')
    .option('--rename <name=path>', 'another path for one name; may be given several times', again)
    .option('--dry-run', 'say what would be done, and do nothing')
    .action((flags: Flags) => importAll(io, flags))
  withExamples(
    withReason(withOutput(withServer(command))),
    'purser secret import --from-vault https://vault.example.org:8200 --mount kv --dry-run --reason "moving"',
    'purser secret import --from-env .env --to prod/web/env --reason "moving"',
    'sops -d secrets.yaml | purser secret import --from-yaml - --to prod --reason "moving"',
  )
}

async function textFrom(io: Io, file: string, what: string): Promise<string> {
  if (file !== '-') return readText(io, file, what)
  const { text } = await import('node:stream/consumers')
  return text(io.stdin)
}

async function sourceOf(io: Io, flags: Flags): Promise<Source> {
  const { fromVault, fromEnv, fromJson, fromYaml } = flags
  if ([fromVault, fromEnv, fromJson, fromYaml].filter((one) => one !== undefined).length !== 1) {
    throw usage('give one of --from-vault, --from-env, --from-json and --from-yaml')
  }
  if (fromVault !== undefined) return vaultSource(io, fromVault, flags)
  if (flags.allVersions) throw usage('--all-versions goes with --from-vault: files have one value of each')
  if (fromEnv !== undefined) {
    if (flags.to === undefined) throw usage('--from-env needs --to: the path of the secret that the variables become')
    return fromTree(fromEnv, { [flags.to]: parseEnvFile(await textFrom(io, fromEnv, '--from-env'), fromEnv) })
  }
  if (fromJson !== undefined) {
    return fromTree(fromJson, parseJsonFile(await textFrom(io, fromJson, '--from-json'), fromJson))
  }
  const file = fromYaml ?? '-'
  return fromTree(file, parseYamlFile(await textFrom(io, file, '--from-yaml'), file))
}

function vaultSource(io: Io, addr: string, flags: Flags): Source {
  const { tokenFile, vaultCaFile = io.env.VAULT_CACERT, namespace = io.env.VAULT_NAMESPACE } = flags
  const token = tokenFile === undefined ? io.env.VAULT_TOKEN : readText(io, tokenFile, '--token-file').trim()
  if (!token) throw usage("set VAULT_TOKEN, or give --token-file: Vault's token, which may list and read")
  return kv2({
    addr,
    mount: flags.mount,
    prefix: flags.prefix,
    token,
    ...(namespace && { namespace }),
    ...(vaultCaFile && { ca: readText(io, vaultCaFile, '--vault-ca-file') }),
  })
}

function renamesOf(given: readonly string[]): Map<string, string> {
  return new Map(
    given.map((one) => {
      const at = one.lastIndexOf('=')
      if (at < 1 || at === one.length - 1) throw usage('--rename must be name=path, such as App/DB=prod/app/db')
      return [one.slice(0, at), one.slice(at + 1)]
    }),
  )
}

/** Milliseconds between two words about how far it is. */
const progressMs = 5000

async function importAll(io: Io, flags: Flags): Promise<void> {
  const { reason, dryRun = false, allVersions: all = false } = flags
  if (!reason?.trim()) throw usage('say why with --reason "…": values that are here already are read, to compare them')
  const renames = renamesOf(flags.rename ?? [])
  const source = await sourceOf(io, flags)
  const names = await source.names()
  if (names.length === 0) remark(io, `warning: nothing was found in ${source.where}`)
  const to = flags.fromEnv === undefined ? (flags.to ?? '') : ''
  const named = nameAll(names, { to, lower: flags.renameLower ?? false, renames })
  for (const name of renames.keys()) if (!names.includes(name)) remark(io, `warning: there is no ${name} to rename`)
  const items: Item[] = []
  let told = Date.now()
  await withApi(io, flags, async (api) => {
    for (const one of named) {
      items.push(await importOne(one))
      if (Date.now() - told < progressMs) continue
      told = Date.now()
      remark(io, `${items.length} of ${named.length} …`)
    }

    async function importOne(one: (typeof named)[number]): Promise<Item> {
      const { from } = one
      if ('refused' in one) return { from, did: 'refused', why: one.refused }
      const values = await source.values(from, all)
      const done =
        'refused' in values ? values : await applyOne({ api, reason: reason ?? '', dryRun, all }, one.path, values)
      if ('refused' in done) return { from, path: one.path, did: 'refused', why: done.refused }
      return { from, path: one.path, did: done.did, version: done.version }
    }
  }).finally(() => report(io, flags, source, items, named.length))
  const refused = items.filter((item) => item.did === 'refused').length
  if (refused > 0) throw new CliError(`${refused} of ${items.length} were refused; the report says why`)
}

const outcomes = ['created', 'changed', 'unchanged', 'refused'] as const

function report(io: Io, flags: Flags, { where }: Source, items: readonly Item[], of: number): void {
  const count = (did: Item['did']): number => items.filter((item) => item.did === did).length
  const counts = Object.fromEntries(outcomes.map((did) => [did, count(did)]))
  const dryRun = flags.dryRun ?? false
  show(io, flags, { from: where, dryRun, counts, left: of - items.length, items }, () => {
    const rows = items.map(({ from, path, did, version, why }) => [
      dryRun && (did === 'created' || did === 'changed') ? `would be ${did}` : did,
      path ?? from,
      why ?? `version ${version ?? 0}`,
    ])
    const sums = outcomes.map((did) => `${count(did)} ${did}`).join(', ')
    const left = items.length < of ? `, ${of - items.length} not looked at` : ''
    return `${table(rows)}${dryRun ? 'dry run: ' : ''}${sums}${left}\n`
  })
}
