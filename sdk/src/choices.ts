/** What was found of one thing and what was passed over, in words for a person. Holds no secret. */
export type Choice = {
  about: 'server' | 'trust' | 'audience' | 'proof' | 'log key' | 'credentials'
  chosen: string
  dismissed: readonly string[]
}
