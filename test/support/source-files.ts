/** Facts about the source files for structure.test.ts, read with the compiler's parser. */
import { readFileSync, readdirSync } from 'node:fs'
import { posix } from 'node:path'
import ts from 'typescript'

export type SourceFile = {
  /** From the repository's root, such as `src/http/route.ts`. */
  path: string
  text: string
  lines: number
  /** Files of the repository by path, packages as written. Type imports and `import()` count too. */
  imports: string[]
  /** Those of `imports` that import more than types. */
  valueImports: string[]
  hasDefaultExport: boolean
  hasAny: boolean
  usesProcess: boolean
  /** Calls of `createDecipheriv` without an `authTagLength`. */
  looseDeciphers: number
}

export const root = new URL('../..', import.meta.url).pathname

const isGenerated = (path: string): boolean => path.endsWith('.generated.ts') || path.endsWith('.d.ts')

/** Every TypeScript file of a folder that is not generated. */
export function readSources(folder: string): SourceFile[] {
  return readdirSync(posix.join(root, folder), { recursive: true, encoding: 'utf8' })
    .map((name) => posix.join(folder, name))
    .filter((path) => path.endsWith('.ts') && !isGenerated(path) && !path.includes('node_modules'))
    .toSorted()
    .map(readSource)
}

/** `import type …`, or braces that hold only types. */
function isTypeImport(node: ts.Node): boolean {
  if (ts.isImportTypeNode(node)) return true
  if (ts.isExportDeclaration(node)) return node.isTypeOnly
  if (!ts.isImportDeclaration(node) || !node.importClause) return false
  const { isTypeOnly, name, namedBindings } = node.importClause
  if (isTypeOnly) return true
  return (
    !name &&
    namedBindings !== undefined &&
    ts.isNamedImports(namedBindings) &&
    namedBindings.elements.every((element) => element.isTypeOnly)
  )
}

function readSource(path: string): SourceFile {
  const text = readFileSync(posix.join(root, path), 'utf8')
  const file: SourceFile = {
    path,
    text,
    lines: text.split('\n').length - 1,
    imports: [],
    valueImports: [],
    hasDefaultExport: false,
    hasAny: false,
    usesProcess: false,
    looseDeciphers: 0,
  }
  const visit = (node: ts.Node): void => {
    const specifier = specifierOf(node)
    if (specifier !== undefined) {
      const imported = specifier.startsWith('.') ? posix.join(posix.dirname(path), specifier) : specifier
      file.imports.push(imported)
      if (!isTypeImport(node)) file.valueImports.push(imported)
    }
    if (ts.isExportAssignment(node) || node.kind === ts.SyntaxKind.DefaultKeyword)
      file.hasDefaultExport ||= !inSwitch(node)
    if (node.kind === ts.SyntaxKind.AnyKeyword) file.hasAny = true
    if (ts.isIdentifier(node) && node.text === 'process' && !isMemberName(node)) file.usesProcess = true
    if (isLooseDecipher(node)) file.looseDeciphers++
    ts.forEachChild(node, visit)
  }
  visit(ts.createSourceFile(path, text, ts.ScriptTarget.Latest, true))
  return file
}

function specifierOf(node: ts.Node): string | undefined {
  const isDynamic = ts.isCallExpression(node) && node.expression.kind === ts.SyntaxKind.ImportKeyword
  const specifier =
    ts.isImportDeclaration(node) || ts.isExportDeclaration(node)
      ? node.moduleSpecifier
      : ts.isImportTypeNode(node) && ts.isLiteralTypeNode(node.argument)
        ? node.argument.literal
        : isDynamic
          ? node.arguments[0]
          : undefined
  return specifier && ts.isStringLiteral(specifier) ? specifier.text : undefined
}

const inSwitch = (node: ts.Node): boolean => ts.isDefaultClause(node.parent)

/** `worker.process`, `{ process: true }`: a name, not the global. */
const isMemberName = ({ parent, ...node }: ts.Identifier): boolean =>
  (ts.isPropertyAccessExpression(parent) && parent.name.pos === node.pos) ||
  ((ts.isPropertyAssignment(parent) || ts.isPropertySignature(parent)) && parent.name.pos === node.pos)

function isLooseDecipher(node: ts.Node): boolean {
  if (!ts.isCallExpression(node) || !/\bcreateDecipheriv$/.test(node.expression.getText())) return false
  const options = node.arguments[3]
  return !(
    options &&
    ts.isObjectLiteralExpression(options) &&
    options.properties.some((property) => property.name?.getText() === 'authTagLength')
  )
}
