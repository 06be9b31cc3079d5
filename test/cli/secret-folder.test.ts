/**
 * The folders that may hold files with secrets: those of one user, and with a warning those of a group or of one pod.
 */
import { expect, it } from 'vitest'
import { judgeFolder, judgePrivateFolder } from '../../src/cli/secret-folder.ts'

const own = process.geteuid?.() ?? 0
const [disk, volume] = [1, 2]
const open = { fault: expect.stringContaining('other users may write in it') }
const warned = { warning: expect.stringContaining('other users may write in it') }

it.each([
  ['of this user alone', { uid: own, mode: 0o40700, dev: disk }, {}],
  ['of root', { uid: 0, mode: 0o40755, dev: disk }, {}],
  [
    'of another user',
    { uid: own + 1, mode: 0o40700, dev: disk },
    { fault: expect.stringContaining('belongs to user') },
  ],
  [
    'of another user at the root of a volume',
    { uid: own + 1, mode: 0o40777, dev: volume },
    { fault: expect.any(String) },
  ],
  ['open to all users', { uid: own, mode: 0o40777, dev: disk }, open],
  ["root's, open to all users", { uid: 0, mode: 0o40777, dev: disk }, open],
  ['open to a group', { uid: own, mode: 0o40775, dev: disk }, warned],
  ['of fsGroup', { uid: 0, mode: 0o42775, dev: volume }, warned],
  ['that is an emptyDir', { uid: 0, mode: 0o40777, dev: volume }, warned],
  ['that is an emptyDir with fsGroup', { uid: 0, mode: 0o42777, dev: volume }, warned],
])('a folder %s', (_, folder, judgement) => {
  expect(judgeFolder(folder, disk)).toEqual(judgement)
  expect(judgePrivateFolder(folder, disk)).toEqual(judgement)
})

it('a folder that users share, such as /tmp, where links of others may lie beside the files', () => {
  const shared = { uid: 0, mode: 0o41777, dev: volume }
  expect(judgeFolder(shared, disk)).toEqual({})
  expect(judgePrivateFolder(shared, disk)).toEqual(open)
})
