/** The variables that a secret may set by its own name. */
import { expect, it } from 'vitest'
import { isPowerful } from '../../src/cli/exec/child-env.ts'

it.each([
  'KAFKA_OPTS', 'CATALINA_OPTS', 'SBT_OPTS', 'GUNICORN_CMD_ARGS', 'DJANGO_SETTINGS_MODULE', 'SPRING_CONFIG_IMPORT',
  'SPRING_APPLICATION_JSON', 'ASPNETCORE_HOSTINGSTARTUPASSEMBLIES', 'ELECTRON_RUN_AS_NODE', 'AWS_ENDPOINT_URL', 'AWS_ENDPOINT_URL_S3',
  'AWS_CA_BUNDLE', 'PGOPTIONS', 'FLASK_APP', 'FTP_PROXY', 'ODD_TOOL_FLAGS', 'ODD_TOOL_PATH', 'ODD_TOOL_PRELOAD', 'NODE_OPTIONS', 'LD_PRELOAD',
])('%s only by an explicit name', (name) => {
  expect(isPowerful(name)).toBe(true)
  expect(isPowerful(name.toLowerCase())).toBe(true)
}) // prettier-ignore

it.each([
  'DB_PASSWORD', 'DB_USERNAME', 'DB_HOST', 'DB_PORT', 'API_KEY', 'API_TOKEN', 'DATABASE_URL', 'REDIS_URL', 'STRIPE_SECRET_KEY', 'KAFKA_PASSWORD',
  'AWS_ACCESS_KEY_ID', 'AWS_SECRET_ACCESS_KEY', 'AWS_SESSION_TOKEN', 'SPRING_DATASOURCE_PASSWORD', 'PGPASSWORD', 'TLS_KEY', 'TLS_CRT', 'TLS_CA', 'SMTP_USER',
])('%s is an ordinary secret', (name) => {
  expect(isPowerful(name)).toBe(false)
}) // prettier-ignore
