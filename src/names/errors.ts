export type NameErrorCode =
  | 'bad_trust_domain'
  | 'bad_spiffe_id'
  | 'bad_prefix'
  | 'bad_path'
  | 'bad_pattern'
  | 'bad_selector_key'
  | 'bad_selector_value'
  | 'bad_match'
  | 'not_wide'
  | 'bad_template'
  | 'fact_missing'
  | 'fact_has_many_values'
  | 'fact_not_plain'
  | 'bad_dns_name'
  | 'bad_audience'
  | 'bad_name'

/** An invalid name. `detail` states the broken rule without the value, so that it may be shown; `key` is the selector key. */
export class NameError extends Error {
  readonly code: NameErrorCode
  readonly detail: string
  readonly key: string | undefined

  constructor(code: NameErrorCode, detail: string, key?: string) {
    super(`${code}: ${detail}`)
    this.name = 'NameError'
    this.code = code
    this.detail = detail
    this.key = key
  }
}
