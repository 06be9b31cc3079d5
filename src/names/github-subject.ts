/**
 * GitHub's immutable form of the subject of a token: `repo:acme@7/shop@42:ref:refs/heads/main` includes the ids of owner
 * and repository. A workload entry for the form without ids does not match it.
 */
const withIds = /^repo:([^/@:]+)@(\d+)\/([^/@:]+)@(\d+)(:.*)$/s

export type GithubSubject = {
  /** The subject in the form without ids. */
  names: string
  ownerId: string
  repositoryId: string
}

export function readGithubSubject(subject: string): GithubSubject | undefined {
  const [, owner, ownerId, repository, repositoryId, rest] = withIds.exec(subject) ?? []
  if (ownerId === undefined || repositoryId === undefined) return undefined
  return { names: `repo:${owner}/${repository}${rest}`, ownerId, repositoryId }
}
