/** The environment of a command: which variables a secret may set, and which variables are not passed on. */

/** Variables that decide how a program is loaded, what it runs, or what it trusts. `*` ends a prefix. The list cannot be complete. */
const powerful = [
  // The dynamic loader and the C library (ld.so(8), dyld(1)).
  'LD_*', 'DYLD_*', 'GLIBC_TUNABLES', 'GCONV_PATH', 'LOCPATH', 'NLSPATH', 'MALLOC_*', 'HOSTALIASES', 'RES_OPTIONS', 'LOCALDOMAIN',
  // Shells, and paths that programs look up.
  'PATH', 'IFS', 'ENV', 'BASH_*', 'BASHOPTS', 'SHELL', 'SHELLOPTS', 'PS4', 'PROMPT_COMMAND', 'CDPATH', 'FPATH', 'ZDOTDIR',
  'HOME', 'XDG_*', 'TMPDIR', 'EDITOR', 'VISUAL', 'PAGER', 'MANPAGER', 'BROWSER', 'LESSOPEN', 'LESSCLOSE', 'TERMINFO', 'TERMINFO_DIRS',
  // Interpreters, virtual machines and their package managers.
  'NODE_*', 'NPM_*', 'DENO_*', 'BUN_*', 'PYTHON*', 'PIP_*', 'PERL5*', 'PERL_*', 'PERLLIB', 'RUBY*', 'GEM_*', 'BUNDLE_*',
  'JAVA_*', 'JDK_JAVA_OPTIONS', '_JAVA_OPTIONS', 'CLASSPATH', 'MAVEN_*', 'GRADLE_*', 'JVM_*', 'PHPRC', 'PHP_INI_SCAN_DIR', 'LUA_*',
  'DOTNET_*', 'COMPLUS_*', 'COR_*', 'CORECLR_*', 'ERL_*', 'ELIXIR_*', 'JULIA_*', 'R_*', 'TCLLIBPATH', 'GODEBUG', 'GOFLAGS', 'CARGO_*', 'RUSTC_*', 'MAKEFLAGS',
  // Frameworks and servers.
  'ELECTRON_*', 'DJANGO_SETTINGS_*', 'FLASK_APP', 'UWSGI_*', 'CATALINA_*', 'SPRING_CONFIG_*', 'SPRING_PROFILES_*', 'SPRING_MAIN_*', 'SPRING_APPLICATION_JSON',
  'ASPNETCORE_HOSTINGSTARTUP*', 'PGOPTIONS', 'MYSQL_HOME',
  // Programs that run what their settings name.
  'GIT_*', 'SSH_*', 'SUDO_*', 'KUBECONFIG', 'DOCKER_*', 'AWS_CONFIG_FILE', 'AWS_SHARED_CREDENTIALS_FILE', 'PGSERVICEFILE', 'PGSYSCONFDIR',
  // Trust, proxies and endpoints.
  'AWS_ENDPOINT_URL*', 'AWS_CONTAINER_CREDENTIALS_*', 'OPENSSL_*', 'SSL_CERT_*', 'SSLKEYLOGFILE', 'CURL_*', 'REQUESTS_CA_BUNDLE', 'HTTP_PROXY', 'HTTPS_PROXY', 'ALL_PROXY', 'NO_PROXY',
  // Purser's own.
  'PURSER_*',
] // prettier-ignore
/** Suffixes of such variables of other programs. */
const suffixes = [
  '_OPTS', '_OPTIONS', '_ARGS', '_FLAGS', '_PATH', '_HOME', '_MODULE', '_MODULES', '_PLUGINS', '_PRELOAD', '_COMMAND', '_CMD', '_EDITOR', '_PAGER',
  '_PROXY', '_ENDPOINT_URL', '_CA_BUNDLE', '_CONFIG_IMPORT', '_CONFIG_FILE', '_CONFIG_LOCATION', '_INIT_SCRIPT', '_STARTUP', '_HOSTINGSTARTUPASSEMBLIES',
] // prettier-ignore
const names = new Set(powerful.filter((name) => !name.endsWith('*')))
const prefixes = powerful.filter((name) => name.endsWith('*')).map((name) => name.slice(0, -1))

/** Whether a variable must be named explicitly, since the writer of a secret chooses the names of its members. */
export function isPowerful(name: string): boolean {
  const upper = name.toUpperCase()
  const fits = prefixes.some((prefix) => upper.startsWith(prefix)) || suffixes.some((suffix) => upper.endsWith(suffix))
  return fits || names.has(upper)
}

/** Passed on, so that the command can be a client too. Proofs, tokens, keys and the state directory are not. */
const passedOn = new Set(['PURSER_ADDR', 'PURSER_CA_FILE', 'PURSER_CA_SHA256', 'PURSER_AUDIENCE', 'PURSER_LOG_KEY'])

export const childEnv = (env: Readonly<Record<string, string | undefined>>): Record<string, string | undefined> =>
  Object.fromEntries(Object.entries(env).filter(([name]) => !name.startsWith('PURSER_') || passedOn.has(name)))
