import { secretPath } from '../secrets/read.ts'
import type { ApiRequest } from './request.ts'

/** The secret path of a request. @throws Refusal `invalid_request` */
export const pathOf = ({ params }: Pick<ApiRequest, 'params'>) => secretPath(params.path ?? '', '/path/path')
