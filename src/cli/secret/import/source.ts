/** Where values are imported from. */
export type Data = Record<string, unknown>

export type Source = {
  /** For the report, without a token. */
  where: string
  /** Names in the source, with slashes between folders. */
  names: () => Promise<string[]>
  /** All values of a name, oldest first, or only the newest; or why there is none. */
  values: (name: string, all: boolean) => Promise<Data[] | { refused: string }>
}
