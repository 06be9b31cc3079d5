/** Where values are imported from. */
export type Data = Record<string, unknown>

export type Source = {
  /** For the report: never with a token. */
  where: string
  /** Names as the source has them, folders with slashes. */
  names: () => Promise<string[]>
  /** The values of a name, oldest first and the newest alone unless all are asked for; or why there is none. */
  values: (name: string, all: boolean) => Promise<Data[] | { refused: string }>
}
