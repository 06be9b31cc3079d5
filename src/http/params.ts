/** Parameters of the path. */
import { secretPath } from '../secrets/read.ts'
import type { ApiRequest } from './request.ts'

type WithParams = Pick<ApiRequest, 'params'>

export const nameOf = ({ params }: WithParams): string => params.name ?? ''

export const idOf = ({ params }: WithParams): string => params.id ?? ''

/** The path of a secret. @throws Refusal `invalid_request` */
export const pathOf = ({ params }: WithParams) => secretPath(params.path ?? '', '/path/path')
