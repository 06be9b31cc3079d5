/**
 * GitHub's immutable form of a token's subject: `repo:acme@7/shop@42:ref:refs/heads/main` names owner and repository with
 * their ids. An entry that was written for the form without ids no longer matches it.
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
