/** The script of each shell. It calls `purser completion`, so it needs no change when verbs do. */

export type Shell = keyof typeof scripts

const bash = `_purser() {
  local candidate
  COMPREPLY=()
  while IFS= read -r candidate; do
    COMPREPLY+=("\${candidate%%$'\\t'*}")
  done < <(purser completion bash -- "\${COMP_WORDS[@]:1:COMP_CWORD}" 2> /dev/null)
}
complete -o default -F _purser purser
`

const zsh = `#compdef purser
_purser() {
  local -a candidates
  candidates=("\${(@f)$(purser completion zsh -- "\${(@)words[2,CURRENT]}" 2> /dev/null)}")
  candidates=("\${(@)candidates:#}")
  if (( \${#candidates} )); then
    candidates=("\${(@)candidates//:/\\\\:}")
    candidates=("\${(@)candidates/$'\\t'/:}")
    _describe purser candidates
  else
    _files
  fi
}
compdef _purser purser
`

const fish = `function __purser_complete
    set -l words (commandline -opc) (commandline -ct)
    set -l candidates (purser completion fish -- $words[2..-1] 2> /dev/null)
    if test (count $candidates) -gt 0
        printf '%s\\n' $candidates
    else
        __fish_complete_path (commandline -ct)
    end
end
complete -c purser -f -a '(__purser_complete)'
`

export const scripts = { bash, zsh, fish }
