/** `purser secret import`: imports values from Vault, OpenBao or files. It is safe to run again. */
import type { Command } from 'commander'
import type { Api } from '../api.ts'
import { CliError, type Io, usageError } from '../io.ts'
import { repeated } from '../options.ts'
import { remark, show, table } from '../output.ts'
import { readInput, readText } from '../settings.ts'
import { type VerbFlags, addVerb } from '../verb.ts'
import { type ImportParts, type Imported, importValues } from './import/apply.ts'
import { parseEnvFile } from './import/env-file.ts'
import { kv2 } from './import/kv2.ts'
import { type Named, nameAll } from './import/names.ts'
import type { Source } from './import/source.ts'
import { fromTree, parseJsonFile, parseYamlFile } from './import/tree-file.ts'

type Flags = VerbFlags & {
  fromVault?: string
  fromEnv?: string
  fromJson?: string
  fromYaml?: string
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
}

type Item = { from: string; path?: string; did: Imported['did'] | 'refused'; version?: number; why?: string }

export function addImport(group: Command, io: Io): void {
  addVerb(group, io, {
    usage: 'import',
    summary: 'import values from Vault, OpenBao or files',
    description:
      'From Vault or OpenBao, imports every secret of a KV version 2 mount that the token may read. A JSON or YAML file holds paths, each with its value. A file of environment variables becomes one secret, at --to. Values that are already stored are left alone, so an interrupted import can be run again.',
    options: (command) =>
      command
        .option('--from-vault <url>', 'address of Vault or OpenBao; its token is in VAULT_TOKEN or --token-file')
        .option('--mount <name>', 'KV version 2 mount', 'secret')
        .option('--prefix <path>', 'only secrets below this path', '')
        .option('--namespace <name>', 'namespace in Vault (VAULT_NAMESPACE)')
        .option('--token-file <file>', 'file with the token of Vault')
        .option('--vault-ca-file <file>', 'roots to trust for Vault (VAULT_CACERT, default: the roots of Node.js)')
        .option('--all-versions', 'import every readable version, not only the newest')
        .option('--from-env <file>', 'file of NAME=value lines; - for stdin')
        .option('--from-json <file>', 'file such as { "prod/db/password": { "password": "…" } }; - for stdin')
        .option('--from-yaml <file>', 'the same in YAML')
        .option('--to <prefix>', 'import below this path; with --from-env, to this path')
        .option('--rename-lower', 'convert names to lower case')
        .option('--rename <name=path>', 'import one name to another path; may be repeated', repeated)
        .option('--dry-run', 'show what would change, and change nothing'),
    reason: true,
    examples: [
      'purser secret import --from-vault https://vault.example.org:8200 --mount kv --dry-run --reason "moving"',
      'purser secret import --from-env .env --to prod/web/env --reason "moving"',
      'sops -d secrets.yaml | purser secret import --from-yaml - --to prod --reason "moving"',
    ],
    run: (api, flags: Flags) => importAll(io, api, flags),
  })
}

async function sourceOf(io: Io, flags: Flags): Promise<Source> {
  const { fromVault, fromEnv, fromJson, fromYaml } = flags
  if ([fromVault, fromEnv, fromJson, fromYaml].filter((source) => source !== undefined).length !== 1) {
    throw usageError('no single source: give one of --from-vault, --from-env, --from-json and --from-yaml')
  }
  if (fromVault !== undefined) return vaultSource(io, fromVault, flags)
  if (flags.allVersions) throw usageError('--all-versions needs --from-vault: files hold one version')
  if (fromEnv !== undefined) {
    if (flags.to === undefined) throw usageError('--from-env needs --to, the path of the secret')
    return fromTree(fromEnv, { [flags.to]: parseEnvFile(await readInput(io, fromEnv, '--from-env'), fromEnv) })
  }
  if (fromJson !== undefined) {
    return fromTree(fromJson, parseJsonFile(await readInput(io, fromJson, '--from-json'), fromJson))
  }
  const file = fromYaml ?? '-'
  return fromTree(file, parseYamlFile(await readInput(io, file, '--from-yaml'), file))
}

function vaultSource(io: Io, addr: string, flags: Flags): Source {
  const { tokenFile, vaultCaFile = io.env.VAULT_CACERT, namespace = io.env.VAULT_NAMESPACE } = flags
  const token = tokenFile === undefined ? io.env.VAULT_TOKEN : readText(io, tokenFile, '--token-file').trim()
  if (!token)
    throw usageError(
      'no token for Vault: set VAULT_TOKEN or give --token-file; the token must be able to list and read',
    )
  return kv2({
    addr,
    mount: flags.mount,
    prefix: flags.prefix,
    token,
    ...(namespace && { namespace }),
    ...(vaultCaFile && { ca: readText(io, vaultCaFile, '--vault-ca-file') }),
  })
}

function renamesOf(options: readonly string[]): Map<string, string> {
  return new Map(
    options.map((option) => {
      const at = option.lastIndexOf('=')
      if (at < 1 || at === option.length - 1) throw usageError('--rename must be name=path, such as App/DB=prod/app/db')
      return [option.slice(0, at), option.slice(at + 1)]
    }),
  )
}

/** Milliseconds between progress remarks. */
const progressMs = 5000

async function importAll(io: Io, api: Api, flags: Flags): Promise<void> {
  const { reason, dryRun = false, allVersions: all = false } = flags
  if (!reason?.trim())
    throw usageError('--reason is required, since stored values are read to compare them: give --reason "…"')
  const renames = renamesOf(flags.rename ?? [])
  const source = await sourceOf(io, flags)
  const names = await source.names()
  if (names.length === 0) remark(io, `warning: ${source.where} has no secrets`)
  const to = flags.fromEnv === undefined ? (flags.to ?? '') : ''
  const targets = nameAll(names, { to, lower: flags.renameLower ?? false, renames })
  for (const name of renames.keys()) if (!names.includes(name)) remark(io, `warning: --rename ${name}: no such name`)
  const items: Item[] = []
  let reportedAt = Date.now()
  try {
    for (const target of targets) {
      items.push(await importSecret({ api, reason, dryRun, all }, source, target))
      if (Date.now() - reportedAt < progressMs) continue
      reportedAt = Date.now()
      remark(io, `${items.length} of ${targets.length} …`)
    }
  } finally {
    report(io, flags, source, items, targets.length)
  }
  const refused = items.filter((item) => item.did === 'refused').length
  if (refused > 0) throw new CliError(`${refused} of ${items.length} were refused: see the report`)
}

async function importSecret(parts: ImportParts, source: Source, target: Named): Promise<Item> {
  const { from } = target
  if ('refused' in target) return { from, did: 'refused', why: target.refused }
  const { path } = target
  const values = await source.values(from, parts.all)
  const outcome = 'refused' in values ? values : await importValues(parts, path, values)
  if ('refused' in outcome) return { from, path, did: 'refused', why: outcome.refused }
  return { from, path, did: outcome.did, version: outcome.version }
}

const outcomes = ['created', 'changed', 'unchanged', 'refused'] as const

function report(io: Io, flags: Flags, { where }: Source, items: readonly Item[], total: number): void {
  const count = (did: Item['did']): number => items.filter((item) => item.did === did).length
  const counts = Object.fromEntries(outcomes.map((did) => [did, count(did)]))
  const dryRun = flags.dryRun ?? false
  show(io, flags, { from: where, dryRun, counts, left: total - items.length, items }, () => {
    const rows = items.map(({ from, path, did, version, why }) => [
      dryRun && (did === 'created' || did === 'changed') ? `would be ${did}` : did,
      path ?? from,
      why ?? `version ${version ?? 0}`,
    ])
    const sums = outcomes.map((did) => `${count(did)} ${did}`).join(', ')
    const remainder = items.length < total ? `, ${total - items.length} not processed` : ''
    return `${table(rows)}${dryRun ? 'dry run: ' : ''}${sums}${remainder}\n`
  })
}
