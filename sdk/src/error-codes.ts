/** What can go wrong on this side. A server's refusal carries the server's own code instead (`docs/errors.md`). */
export const ownErrors = {
  // An option or the environment: nothing was sent
  bad_options: ['An option or an environment variable is wrong; nothing was sent', 'correct what the message names'],
  no_proof: ['No proof of who this workload is was found', 'give it one of the sources that the message lists'],
  bad_proof: ['What was found is no token', 'check that the file or variable holds one token and nothing else'],
  wrong_audience: [
    'The proof is addressed to somebody else, so it was not sent',
    "have the orchestrator make a token for Purser's audience",
  ],

  // The connection: nothing was sent
  untrusted_server: ['The server could not be verified', 'set PURSER_CA_FILE or PURSER_CA_SHA256 to its root'],
  fingerprint_mismatch: [
    'No certificate that the server sent has the fingerprint',
    'compare PURSER_CA_SHA256 with the root: openssl x509 -in ca.pem -noout -fingerprint -sha256',
  ],
  unreachable: ['The server can’t be reached', 'check PURSER_ADDR, the network, and whether Purser is up'],
  timeout: ['It took longer than timeoutMs', 'try again; look at the network and the server’s load'],
  aborted: ['Its own signal gave it up', 'nothing, if that was meant'],
  closed: ['The client was closed', 'connect() again, if that was not meant'],

  // Not an answer that Purser gives
  redirected: ['The server answered with a redirect, which is not followed', 'give its own address as PURSER_ADDR'],
  too_large: ['The answer is larger than any of Purser’s', 'check what answers at PURSER_ADDR'],
  incomplete: ['The answer broke off in its middle', 'try again; what was issued is in the log all the same'],
  bad_reply: [
    'The answer is not one of Purser’s, or not fit for use',
    'check what answers at PURSER_ADDR, and the clocks',
  ],
  not_offered: ['The server is too old for what was asked', 'leave it out, or update the server'],

  // What is held
  not_requested: ['It was not asked for in connect()', 'ask for it there'],
  expired: [
    'What is held has ended and could not be renewed',
    'see the cause; it recovers by itself once that is gone',
  ],

  // The log, by which every credential is accounted for
  no_log_key: [
    'No key of the log is known',
    'pin one with PURSER_LOG_KEY; an auditor knows it, GET /log/keys lists them',
  ],
  receipt_invalid: [
    'The receipt does not verify, and the credential was thrown away',
    'compare PURSER_LOG_KEY with the log’s keys; else tell whoever audits the log',
  ],
  receipt_mismatch: [
    'The log’s entry is not about what was received, which was thrown away',
    'show the receipt and the message to whoever audits the log',
  ],
  log_forked: [
    'The log is not the one that was seen before',
    'keep both heads (error.heads) and show them to whoever audits the log',
  ],
  log_epoch: [
    'The log was begun anew since it was seen',
    'have an auditor confirm it, then pin the new log’s key (PURSER_LOG_KEY)',
  ],
  bad_state: ['A file in PURSER_STATE_DIR can’t be used', 'find out why it is damaged before you remove it'],

  // Somebody else's token or certificate
  bad_token: ['The token proves nothing here', 'refuse the caller; the message names the check that failed'],
  bad_peer: ['The other side is not who may be here', 'refuse it; the message names the check that failed'],
  revoked: ['It was revoked', 'refuse the caller'],
} as const satisfies Record<string, readonly [meaning: string, whatToDo: string]>

export type OwnErrorCode = keyof typeof ownErrors
